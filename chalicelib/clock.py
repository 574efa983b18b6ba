"""The clock and the source of ids, which everything takes as arguments."""

import time


def clock_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """Return an id that was never returned before."""
    import uuid

    return uuid.uuid4().hex
