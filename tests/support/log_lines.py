"""Read back what was logged."""

import json
from typing import Any

import pytest


def logged(capsys: pytest.CaptureFixture[str], *events: str) -> list[dict[str, Any]]:
    """Return the lines about these events since the last look, or all, without what they were written for."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [
        {name: fact for name, fact in line.items() if name not in {"request", "record"}}
        for line in lines
        if not events or line["event"] in events
    ]
