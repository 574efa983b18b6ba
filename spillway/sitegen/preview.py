"""Serve a shop while it is edited: rebuild it when a file changes, and reload the browser."""

import asyncio
import html
import mimetypes
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from chalicelib.storage import HOME_KEY, object_key
from spillway.errors import SpillwayError
from spillway.project import Project
from spillway.sitegen.cache import Signature, files_under, signature_of
from spillway.sitegen.reading.redirects import REDIRECTS_FOLDER, redirect_file
from spillway.sitegen.site import build

CHANGES_PATH = "/_preview/changes"
SCRIPT_PATH = "/_preview/reload.js"
_POLL_INTERVAL_S = 0.3
_SCRIPT = f"""let seen;
new EventSource("{CHANGES_PATH}").onmessage = ({{ data }}) => {{
  if (seen !== undefined && seen !== data) location.reload();
  seen = data;
}};
"""
_TAG = f'<script src="{SCRIPT_PATH}"></script>'.encode()
_PAGE_TYPE = "text/html"


class Preview:
    """A shop and its latest build. `number` counts builds; `mistakes` is why the last one failed."""

    def __init__(self, project: Project, *, base_url: str) -> None:
        """Take the shop under `project`, whose pages are built for `base_url`; nothing is built yet."""
        self._project = project
        self._base_url = base_url
        self._folder = project.cache / "preview"
        self._signatures: dict[str, Signature] | None = None
        self._ended = False
        self._types: dict[str, str] = {}
        self.number = 0
        self.mistakes: str | None = None

    def rebuild_if_changed(self) -> bool:
        """Build if a file of the shop has changed since the last call. Return whether one had."""
        watched = (str(self._project.site), str(self._project.default_theme))
        now = {entry.path: signature_of(entry) for folder in watched for _, entry in files_under(folder)}
        if now == self._signatures:
            return False
        self._signatures = now
        try:
            release = build(self._project, base_url=self._base_url, folder=self._folder)
            self._types = {file.key: file.content_type for file in release.source.root_files}
            self.mistakes = None
        except SpillwayError as error:
            self.mistakes = error.message
        self.number += 1
        return True

    def watch(self, stop: threading.Event) -> None:
        """Rebuild in a loop until `stop` is set, then end the streams that browsers listen to."""
        try:
            while not stop.wait(_POLL_INTERVAL_S):
                try:
                    self.rebuild_if_changed()
                except FileNotFoundError:  # an editor replaces files by renaming: look again
                    self._signatures = None
        finally:
            self._ended = True

    def app(self) -> Starlette:
        """Return the server of the shop's pages, each with a script that reloads it."""
        return Starlette(
            routes=[
                Route(CHANGES_PATH, self._changes),
                Route(SCRIPT_PATH, self._script),
                Route("/{path:path}", self._page, methods=["GET", "POST"]),
            ]
        )

    async def _changes(self, request: Request) -> Response:
        async def numbers() -> AsyncIterator[str]:
            sent = -1
            while not (self._ended or await request.is_disconnected()):
                if sent != self.number:
                    sent = self.number
                    yield f"data: {sent}\n\n"
                await asyncio.sleep(_POLL_INTERVAL_S)

        return StreamingResponse(numbers(), media_type="text/event-stream")

    async def _script(self, request: Request) -> Response:
        return Response(_SCRIPT, media_type="text/javascript")

    async def _page(self, request: Request) -> Response:
        if self.mistakes:
            text = f"<!doctype html><title>Mistakes</title><pre>{html.escape(self.mistakes)}</pre>"
            return HTMLResponse(text.encode() + _TAG, status_code=500)
        if request.url.path.startswith("/api/"):
            return PlainTextResponse("Pages only: make demo plays the waitlist, too.\n", status_code=501)
        file = self._file(request.url.path)
        status = 200 if file else 404
        file = file or self._folder / "404"
        media_type = self._types.get(file.relative_to(self._folder).as_posix()) or _type_of(file)
        body = file.read_bytes()
        if media_type == _PAGE_TYPE and not file.is_relative_to(self._folder / REDIRECTS_FOLDER):
            body = body.replace(b"</body>", _TAG + b"</body>")
        headers = {"Cache-Control": "no-store"}
        return Response(body, status_code=status, media_type=media_type, headers=headers)

    def _file(self, path: str) -> Path | None:
        redirect = self._folder / redirect_file(object_key(path))
        if redirect.is_file():
            return redirect
        file = (self._folder / object_key(path)).resolve()
        file = file / HOME_KEY if file.is_dir() else file
        return file if file.is_relative_to(self._folder.resolve()) and file.is_file() else None


def _type_of(file: Path) -> str | None:
    """Return the type of a file by its name. A file without a suffix is a page, and so is a redirect."""
    return mimetypes.guess_type(file.name)[0] if file.suffix else _PAGE_TYPE
