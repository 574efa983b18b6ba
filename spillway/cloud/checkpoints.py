"""Where the emulator has read its table streams to, put right between two starts.

The emulator saves how far each stream was read, but not the streams, which are empty after a start:
it would skip as many records as it had read before, without a word. So the marks go back to nought.
Deleting and recreating the mappings instead would leave the stack pointing at mappings that are gone.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STATE_FILE = "lambda.json"


def rewind(state: Path) -> int:
    """Set every stream's saved mark to its beginning. Returns how many there were."""
    file = state / STATE_FILE
    if not file.is_file():
        return 0
    saved = json.loads(file.read_text())
    marks = saved["payload"]["dynamodb_stream_positions"]
    saved["payload"]["dynamodb_stream_positions"] = rewound(marks)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(saved))
    os.replace(draft, file)  # noqa: PTH105 - atomic, and it says so
    return len(marks)


def rewound(marks: Mapping[str, Any]) -> dict[str, Any]:
    """The same marks, each at the beginning of its stream."""
    return dict.fromkeys(marks, 0)
