"""Checkpoints of the emulator: save its state regularly, and rewind the positions of streams at a start."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from spillway.errors import WorkFailed

STATE_FILE = "lambda.json"


def rewind(state: Path) -> int:
    """Set every stream's saved mark to its beginning. Returns how many there were.

    Raises:
        WorkFailed: the saved state is not what this version of the emulator writes.
    """
    file = state / STATE_FILE
    if not file.is_file():
        return 0
    try:
        saved = json.loads(file.read_text())
        marks = rewound(saved)
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFailed(
            f"{file}: not the state of a local cloud that this version knows",
            hint="start afresh with --fresh; earlier signups are forgotten",
        ) from error
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(saved))
    os.replace(draft, file)  # noqa: PTH105 - atomic, and it says so
    return marks


def rewound(saved: dict[str, Any]) -> int:
    """Set the marks inside the emulator's saved state to 0; return how many there are."""
    positions = saved["payload"]["dynamodb_stream_positions"]
    marks = positions["data"]
    positions["data"] = dict.fromkeys(marks, 0)
    return len(marks)


# Saving holds up every answer for as long as it takes: it may take a fiftieth of the time.
PAUSE_PER_SAVING = 50


async def save_regularly(every_s: float) -> None:
    """Save all there is, again and again, with at least `every_s` seconds in between."""
    from ministack import app

    logging.getLogger("persistence").setLevel(logging.WARNING)
    took_s = 0.0
    while True:
        await asyncio.sleep(max(every_s, PAUSE_PER_SAVING * took_s))
        began = time.monotonic()
        # On the loop that answers requests, so that none of them changes what is being written.
        app.save_all(app._build_persistence_save_dict())
        took_s = time.monotonic() - began
