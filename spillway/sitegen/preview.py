"""Serve a shop while it is edited: rebuild it when a file changes, and reload the browser."""

import asyncio
import mimetypes
import re
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from chalicelib.storage import HOME_KEY, object_key
from spillway.errors import SpillwayError
from spillway.project import Project
from spillway.sitegen.addresses import REDIRECTS_FOLDER, redirect_file
from spillway.sitegen.cache import Signature, signatures_by_folder
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.site import build
from spillway.terminal import pluralize

if TYPE_CHECKING:
    from spillway.sitegen.release import Release

CHANGES_PATH = "/_preview/changes"
SCRIPT_PATH = "/_preview/reload.js"
NO_WAITLIST = "Preview: no waitlist here. Nothing was sent; spillway demo has a waitlist and an inbox."
# A preview's own pages run its scripts and show frames of this server, nothing else.
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_POLL_INTERVAL_S = 0.3
_PAGE_TYPE = "text/html"
_PROBLEM_TYPE = "application/problem+json"
_NO_STORE = {"Cache-Control": "no-store"}
_CONTEXT_LINES = 2
# "site/products/scarf.toml:3: price = ...", and a template's name and line.
_PLACE = re.compile(r"(?P<file>[^\s:]+\.\w+):(?P<line>\d+)(?P<of>[^:]*): (?P<text>.*)", re.DOTALL)

_PAGES = Environment(
    loader=PackageLoader("spillway.sitegen", "preview_pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def preview_page(name: str, *, status: int = 200, **values: Any) -> Response:
    """Return one of the preview's own pages."""
    headers = {**_NO_STORE, "Content-Security-Policy": PAGE_POLICY}
    return HTMLResponse(_PAGES.get_template(name).render(**values), status, headers=headers)


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a file; `wrong` for the one that a mistake is in."""

    number: int
    text: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class ShownMistake:
    """A mistake with its place ("site/products/scarf.toml:3") and the lines around it, where known."""

    place: str
    text: str
    lines: Sequence[SourceLine] = ()


def shown_mistakes(error: SpillwayError, project: Project) -> tuple[ShownMistake, ...]:
    """Return each mistake of a build that failed, with the lines of its file."""
    if isinstance(error, CatalogueInvalid):
        return tuple(_shown(str(mistake), project, mistake.file) for mistake in error.mistakes)
    return (_shown(error.message, project),)


def _shown(message: str, project: Project, file: str = "") -> ShownMistake:
    found = _PLACE.match(message)
    if found is None:
        text = message.removeprefix(f"{file}: ") if file else message
        return ShownMistake(file, text)
    place = f"{found['file']}:{found['line']}{found['of']}"
    folders = (project.root, project.default_theme)
    path = next((folder / found["file"] for folder in folders if (folder / found["file"]).is_file()), None)
    return ShownMistake(place, found["text"], _around(path, int(found["line"])) if path else ())


def _around(path: Path, wrong: int) -> tuple[SourceLine, ...]:
    """Return the line `wrong`, counted from 1, with its neighbours."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    first = max(1, wrong - _CONTEXT_LINES)
    return tuple(
        SourceLine(number, text, number == wrong)
        for number, text in enumerate(lines[first - 1 : wrong + _CONTEXT_LINES], start=first)
    )


class PreviewedShop:
    """A shop and its latest build. `number` counts builds; `error` is why the last one failed."""

    def __init__(self, project: Project, *, base_url: str) -> None:
        """Take the shop under `project`, whose pages are built for `base_url`; nothing is built yet."""
        self.project = project
        self._base_url = base_url
        self._folder = project.cache / "preview"
        self._signatures: list[dict[str, dict[str, Signature]]] | None = None
        self._ended = False
        self._types: dict[str, str] = {}
        self.number = 0
        self.error: SpillwayError | None = None
        self.release: Release | None = None

    def rebuild_if_changed(self) -> bool:
        """Build if a file of the shop or its theme has changed since the last call. Return whether one had.

        Only the pages that the change is on are rendered again.
        """
        watched = (self.project.site, self.project.default_theme)
        now = [signatures_by_folder(str(folder), follows_links=True) for folder in watched]
        if now == self._signatures:
            return False
        self._signatures = now
        try:
            self.release = build(self.project, base_url=self._base_url, folder=self._folder)
            self._types = {file.key: file.content_type for file in self.release.source.root_files}
            self.error = None
        except SpillwayError as error:
            self.error = error
        self.number += 1  # last: a page of the new number is never older than its build
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

    def app(self, *more: BaseRoute) -> Starlette:
        """Return the server of the shop's pages, each with a script that reloads it, and of `more`."""
        return Starlette(
            routes=[
                Route(CHANGES_PATH, self._changes),
                *more,
                Route("/_preview/{name:str}", _asset),
                Route("/api/{path:path}", self._no_waitlist, methods=["GET", "POST"]),
                Route("/{path:path}", self._page, methods=["GET", "POST"]),
            ]
        )

    def mistakes_page(self) -> Response | None:
        """Return the page of what the last build failed on; None when it did not."""
        number, error = self.number, self.error
        if error is None:
            return None
        mistakes = shown_mistakes(error, self.project)
        # The catalogue's hint says to build again, which happens by itself here.
        hint = "" if isinstance(error, CatalogueInvalid) else error.hint
        title = f"{pluralize(len(mistakes), 'mistake')}: the shop was not built again"
        return preview_page(
            "mistakes.html", status=500, title=title, hint=hint, mistakes=mistakes, build=number
        )

    async def _changes(self, request: Request) -> Response:
        async def numbers() -> AsyncIterator[str]:
            sent = -1
            while not (self._ended or await request.is_disconnected()):
                if sent != self.number:
                    sent = self.number
                    yield f"data: {sent}\n\n"
                await asyncio.sleep(_POLL_INTERVAL_S)

        return StreamingResponse(numbers(), media_type="text/event-stream", headers=_NO_STORE)

    def _no_waitlist(self, request: Request) -> Response:
        """Answer a form as the API does: a problem document for a script, a page for a person."""
        status = 409
        if "text/html" not in request.headers.get("accept", ""):
            problem = {"type": "about:blank", "title": "Preview", "status": status, "detail": NO_WAITLIST}
            return JSONResponse(problem, status, headers=_NO_STORE, media_type=_PROBLEM_TYPE)
        back = urlsplit(request.headers.get("referer", "")).path or "/"
        return preview_page("no-waitlist.html", status=status, reason=NO_WAITLIST, back=back)

    def _page(self, request: Request) -> Response:
        # Read before the page: a build that ends in between reloads it once too often, never too seldom.
        number = self.number
        if mistakes := self.mistakes_page():
            return mistakes
        file = self._file(request.url.path)
        status = 200 if file else 404
        file = file or self._folder / "404"
        media_type = self._types.get(file.relative_to(self._folder).as_posix()) or _type_of(file)
        body = file.read_bytes()
        if media_type == _PAGE_TYPE and not file.is_relative_to(self._folder / REDIRECTS_FOLDER):
            tag = f'<script src="{SCRIPT_PATH}?build={number}"></script>'
            body = body.replace(b"</body>", tag.encode() + b"</body>")
        return Response(body, status_code=status, media_type=media_type, headers=_NO_STORE)

    def _file(self, path: str) -> Path | None:
        redirect = self._folder / redirect_file(object_key(path))
        if redirect.is_file():
            return redirect
        file = (self._folder / object_key(path)).resolve()
        file = file / HOME_KEY if file.is_dir() else file
        return file if file.is_relative_to(self._folder.resolve()) and file.is_file() else None


def _asset(request: Request) -> Response:
    """Return a style sheet or a script of the preview's own pages."""
    name = request.path_params["name"]
    if not re.fullmatch(r"[a-z]+\.(?:css|js)", name):
        return Response(status_code=404)
    file = files("spillway.sitegen").joinpath("preview_pages", name)
    if not file.is_file():
        return Response(status_code=404)
    return Response(file.read_bytes(), media_type=mimetypes.guess_type(name)[0], headers=_NO_STORE)


def _type_of(file: Path) -> str | None:
    """Return the type of a file by its name. A file without a suffix is a page, and so is a redirect."""
    return mimetypes.guess_type(file.name)[0] if file.suffix else _PAGE_TYPE
