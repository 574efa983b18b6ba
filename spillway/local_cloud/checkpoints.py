"""Where the emulator has read its table streams to, put right between two starts.

The emulator saves how far each stream was read, but not the streams, which are empty after a start:
it would skip as many records as it had read before, without a word. So the marks go back to nought.
Deleting and recreating the mappings instead would leave the stack pointing at mappings that are gone,
and the next deployment would add a second set of them.
"""

import json
import os
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
    """Set the marks inside the emulator's saved state to nought. Returns how many there are."""
    positions = saved["payload"]["dynamodb_stream_positions"]
    marks = positions["data"]
    positions["data"] = dict.fromkeys(marks, 0)
    return len(marks)
