"""Small web servers in the background of a command, on sockets that were claimed before."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from spillway.errors import WorkFailed

START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0


@contextmanager
def served(app: ASGIApp, claimed: socket.socket) -> Iterator[None]:
    """Serve `app` on a claimed socket for as long as the block lasts.

    Raises:
        WorkFailed: the server did not come up.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            date_header=False,
            lifespan="off",
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=1,
            # Longer than clients keep a connection that is not used: none sends on one that closes just now.
            timeout_keep_alive=75,
        )
    )
    started = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, claimed, started), daemon=True)
    thread.start()
    try:
        if not started.wait(START_WITHIN_S) or not server.started:
            raise WorkFailed(f"no server came up on port {claimed.getsockname()[1]}")
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_WITHIN_S)


def _serve(server: uvicorn.Server, claimed: socket.socket, started: threading.Event) -> None:
    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[claimed]))
        while not (server.started or serving.done()):
            await asyncio.sleep(0.01)
        started.set()
        await serving

    try:
        asyncio.run(run())
    finally:
        started.set()
