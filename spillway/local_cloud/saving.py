"""Saves the emulator's state while it runs: by itself it does so only when it is stopped in order."""

import asyncio
import logging
import time

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
