"""Pages of the preview that show every email in every language, at the widths of a phone and a desk."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from spillway.local_cloud.servers import EMAIL_POLICY, EMAIL_SANDBOX
from spillway.merchant.email_previews import SAMPLE_MAILBOX, SampleEmail, samples
from spillway.sitegen.preview import PreviewedShop, preview_page

EMAILS_PATH = "/_preview/emails"
WIDTHS_PIXELS = (360, 700)
_LABELS = {
    "confirm": "Confirm",
    "already": "Already on the list",
    "available": "Back in stock",
    "available-preorder": "Pre-order",
    "available-backorder": "Back order",
    "my-waitlists": "My waitlists",
    "sign-in": "Sign in (merchant)",
    "test": "Test (merchant)",
}
_DARK_MODE = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)")


@dataclass(frozen=True, slots=True)
class ShownEmail:
    """A sample email as the page shows it."""

    name: str
    label: str
    locale: str
    subject: str
    sender: str
    text: str
    html: str
    bytes: int


class EmailPages:
    """Shows the samples of the preview's latest build."""

    def __init__(self, preview: PreviewedShop, clock_ms: Callable[[], int]) -> None:
        self._preview = preview
        self._clock_ms = clock_ms
        self._made: tuple[int, Sequence[ShownEmail]] = (-1, ())

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of these pages."""
        return (
            Route(EMAILS_PATH, self._first),
            Route(f"{EMAILS_PATH}/{{name:str}}", self._email),
            Route(f"{EMAILS_PATH}/{{name:str}}/body.html", self._body),
        )

    def _first(self, _: Request) -> Response:
        if mistakes := self._preview.mistakes_page():
            return mistakes
        return RedirectResponse(f"{EMAILS_PATH}/{self._emails()[0].name}")

    def _email(self, request: Request) -> Response:
        number = self._preview.number
        if mistakes := self._preview.mistakes_page():
            return mistakes
        emails = self._emails()
        shown = _named(emails, request.path_params["name"])
        if shown is None:
            return RedirectResponse(EMAILS_PATH)
        query = request.query_params
        width = next((px for px in WIDTHS_PIXELS if query.get("width") == str(px)), WIDTHS_PIXELS[-1])
        dark = query.get("scheme") == "dark"

        def address(name: str, width: int, *, dark: bool, part: str = "") -> str:
            chosen = urlencode({"width": width, "scheme": "dark" if dark else "light"})
            return f"{EMAILS_PATH}/{name}{part}?{chosen}"

        widths = [
            {"label": f"{px} px", "address": address(shown.name, px, dark=dark), "chosen": px == width}
            for px in WIDTHS_PIXELS
        ]
        schemes = [
            {"label": label, "address": address(shown.name, width, dark=value), "chosen": value == dark}
            for label, value in (("Light", False), ("Dark", True))
        ]
        languages = [
            {
                "name": locale,
                "emails": [
                    {
                        "name": email.name,
                        "label": email.label,
                        "address": address(email.name, width, dark=dark),
                    }
                    for email in emails
                    if email.locale == locale
                ],
            }
            for locale in dict.fromkeys(email.locale for email in emails)
        ]
        return preview_page(
            "emails.html",
            shown=shown,
            languages=languages,
            switches=[{"name": "Width", "choices": widths}, {"name": "Colours", "choices": schemes}],
            width=width,
            sandbox=EMAIL_SANDBOX,
            build=number,
            frame=address(shown.name, width, dark=dark, part="/body.html"),
        )

    def _body(self, request: Request) -> Response:
        shown = None if self._preview.error else _named(self._emails(), request.path_params["name"])
        if shown is None:
            return Response(status_code=404)
        html = in_scheme(shown.html, dark=request.query_params.get("scheme") == "dark")
        body = html.replace("<head>", '<head><base target="_blank">', 1)
        headers = {"Content-Security-Policy": EMAIL_POLICY, "Cache-Control": "no-store"}
        return HTMLResponse(body, headers=headers)

    def _emails(self) -> Sequence[ShownEmail]:
        release = self._preview.release
        number = self._preview.number
        if release and self._made[0] != number:
            made = samples(release, sku=None, mailbox=SAMPLE_MAILBOX, at_ms=self._clock_ms())
            self._made = number, [_shown(sample) for sample in made]
        return self._made[1]


def in_scheme(html: str, *, dark: bool) -> str:
    """Return an email as a program in dark mode shows it, or one in light mode, whatever the browser's is."""
    return _DARK_MODE.sub("all" if dark else "not all", html)


def _named(emails: Sequence[ShownEmail], name: str) -> ShownEmail | None:
    return next((email for email in emails if email.name == name), None)


def _shown(sample: SampleEmail) -> ShownEmail:
    email = sample.outgoing.email
    return ShownEmail(
        sample.name,
        _LABELS.get(sample.kind, sample.kind),
        sample.locale,
        email.subject,
        sample.sender,
        email.text,
        email.html,
        len(sample.message()),
    )
