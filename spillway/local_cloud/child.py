"""The emulator's own process, bound to the life of the command that started it.

Started as `python -m spillway.local_cloud.child HOME` in a process group of its own. HOME shows in
the process list. Standard input is a pipe held by the parent: when the parent is gone,
however it went, the pipe ends, and so do the emulator and the functions it runs.
"""

import os
import signal
import sys
import threading
import time

from spillway.local_cloud.emulator_patches import (
    bound_workers,
    judge_by_sender,
    judge_by_statement,
    make_own_apis_reachable,
)
from spillway.local_cloud.strict.settings import LayerSettings

STOP_WITHIN_S = 10.0


def main() -> None:
    """Run the emulator until a signal stops it or its parent is gone."""
    orphaned = threading.Event()
    threading.Thread(target=_end_with_parent, args=(orphaned,), daemon=True).start()
    os.umask(0o077)
    settings = LayerSettings.take_from(os.environ)
    sys.argv = ["ministack"]
    from ministack.app import main as serve

    from spillway.local_cloud.strict.emulator import install

    make_own_apis_reachable(int(os.environ["GATEWAY_PORT"]), settings.door_secret)
    bound_workers()
    judge_by_sender()
    judge_by_statement()
    install(settings)
    try:
        serve()
    finally:
        if orphaned.is_set():
            _end_group()


def _end_with_parent(orphaned: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    orphaned.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_WITHIN_S)
    _end_group()


def _end_group() -> None:
    # Functions in mid-call are our children. Only our own group: a person may have started us by hand.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
