"""Small web servers in the background of a command, guarded against pages of other origins.

A browser sends requests to this machine for any page it shows. It says so: in `Host`, which a rebound name
cannot change (DNS rebinding), in `Origin`, and in the fetch metadata headers.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
"""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from spillway.errors import WorkFailed
from spillway.local_cloud.processes import HOST

# An email in a frame shows its pictures and its own styles, and opens links in a new tab. The page around it
# needs its origin to measure it; an email runs no script that could use that origin.
EMAIL_SANDBOX = "allow-same-origin allow-popups allow-popups-to-escape-sandbox"
EMAIL_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; form-action 'none'; "
    f"base-uri 'self'; frame-ancestors 'self'; sandbox {EMAIL_SANDBOX}"
)

READING = frozenset({"GET", "HEAD"})
# Requests of no page at all: a program, a person who types an address or follows a bookmark.
OWN_SITES = frozenset({"", "none"})


def hosts_of(port: int) -> frozenset[str]:
    """Return the values of `Host` that name this machine on `port`."""
    return frozenset({f"{HOST}:{port}", f"localhost:{port}"})


@dataclass(frozen=True, slots=True)
class BrowserGuard:
    """Decides which requests of browsers a server on this machine answers.

    Args:
        hosts: the values of `Host` that mean this server.
        pictures: whether pages and emails elsewhere may show this server's pictures.
    """

    hosts: frozenset[str]
    pictures: bool = False
    origins: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", frozenset(f"http://{host}" for host in self.hosts))

    def refusal(self, method: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, str] | None:
        """Return the status and reason to refuse a request with, or None to answer it.

        Args:
            method: the request's method.
            headers: its headers, names in lower case.
        """
        if headers.get("host", "").lower() not in self.hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own name alone"
        origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
        # `null` is the origin of a sandboxed email, and of a form whose page sends no referrer.
        if origin not in self.origins | {"", "null"}:
            return HTTPStatus.FORBIDDEN, "pages of other origins are not answered"
        if site == "same-origin" or (origin != "null" and site in OWN_SITES):
            return None
        destination = headers.get("sec-fetch-dest", "")
        opened = headers.get("sec-fetch-mode") == "navigate" and destination == "document"
        if method in READING and (opened or (self.pictures and destination == "image")):
            return None
        return HTTPStatus.FORBIDDEN, "requests of other sites are not answered"

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that hands `app` only what is not refused."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                headers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
                }
                refused = self.refusal(scope["method"], headers)
                if refused is not None:
                    status, reason = refused
                    await PlainTextResponse(f"Refused: {reason}.\n", status)(scope, receive, send)
                    return
            await app(scope, receive, send)

        return guarded


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
