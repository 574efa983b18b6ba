"""Structured log lines: one JSON object each. Ids only; never an address, a token or a body."""

import json
import sys


def log(event: str, **facts: object) -> None:
    """Write one line to the function's log. `facts` must be JSON-ready."""
    sys.stdout.write(json.dumps({"event": event, **facts}, sort_keys=True) + "\n")
