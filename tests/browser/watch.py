"""Looks over the shoulder of a browser: what it asks for, what it is refused, what it complains about."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# Chromium's own line for any answer from 400 up: such answers are kept, and judged, by themselves.
FAILED_RESPONSE = "Failed to load resource"


@dataclass  # Without slots: Playwright sets an attribute of each listener.
class Watch:
    """Records of one browser window. `email_pictures_from`: the one origin a shown email may ask, too."""

    email_pictures_from: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watch every page of a window."""
        context.on("console", self._hear)
        context.on("weberror", self._catch)
        context.on("request", self._see)
        context.on("response", self._judge)

    def leave(self, context: BrowserContext) -> None:
        """Watch a window no longer: another test uses it."""
        context.remove_listener("console", self._hear)
        context.remove_listener("weberror", self._catch)
        context.remove_listener("request", self._see)
        context.remove_listener("response", self._judge)

    def _hear(self, message: ConsoleMessage) -> None:
        # A policy that blocks something speaks here as well.
        if message.type in {"error", "warning"} and not message.text.startswith(FAILED_RESPONSE):
            self.complaints.append(f"{message.type}: {message.text}")

    def _catch(self, error: WebError) -> None:
        self.complaints.append(f"uncaught: {error.error}")

    def _see(self, request: Request) -> None:
        # Where a person goes is their own business; what a page fetches for itself is not.
        if request.is_navigation_request() or request.url.startswith(("data:", "blob:")):
            return
        page = request.frame.url
        asked = origin(request.url)
        in_email = "/emails/" in page and asked == self.email_pictures_from
        if asked != origin(page) and not in_email:
            self.strangers.append(f"{page} asked for {request.url}")

    def _judge(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append((response.status, urlsplit(response.url).path))


def origin(url: str) -> str:
    """The scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
