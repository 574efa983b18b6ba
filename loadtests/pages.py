"""Read a page as a browser does: the files to download, its links, and the variants to wait for."""

from dataclasses import dataclass
from html.parser import HTMLParser

from spillway.local_cloud.shopper import waitlist_form

# A phone of 412 CSS pixels with 2 device pixels each, a picture as wide as its screen.
PICTURE_PX = 824


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page as a shopper's browser loads it.

    `pictures` are those a modern browser picks, in the page's order; the first is seen at once.
    `form_token` is what its form for the waitlist has to be sent with.
    """

    stylesheets: tuple[str, ...]
    scripts: tuple[str, ...]
    pictures: tuple[str, ...]
    links: tuple[str, ...]
    awaited_skus: tuple[str, ...]
    form_token: str


def read_page(html: str) -> PageRead:
    """Read a page of the shop."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    form = waitlist_form(html)
    return PageRead(
        tuple(reader.stylesheets),
        tuple(reader.scripts),
        tuple(reader.pictures),
        tuple(dict.fromkeys(reader.links)),
        tuple(reader.awaited_skus),
        "".join(form.choices("form_token")) if form else "",
    )


def picked(srcset: str, *, width_px: int = PICTURE_PX) -> str:
    """Return the candidate that is wide enough and no wider than it must be; else the widest."""
    candidates = [candidate.split() for candidate in srcset.split(",")]
    by_width = sorted((int(width.removesuffix("w")), url) for url, width in candidates)
    return next((url for width, url in by_width if width >= width_px), by_width[-1][1])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stylesheets: list[str] = []
        self.scripts: list[str] = []
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.awaited_skus: list[str] = []
        self._picture_chosen = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        match tag:
            case "link" if attributes.get("rel") == "stylesheet":
                self.stylesheets.append(attributes["href"])
            case "script" if "src" in attributes:
                self.scripts.append(attributes["src"])
            case "picture":
                self._picture_chosen = False
            case "source" if not self._picture_chosen:
                # The first source is the best format, which every browser of today reads.
                self.pictures.append(picked(attributes["srcset"]))
                self._picture_chosen = True
            case "input" if attributes.get("name") == "sku" and (
                "data-wait" in attributes or attributes.get("type") == "hidden"
            ):
                self.awaited_skus.append(attributes["value"])
            case "a" if attributes.get("href", "").startswith("/"):
                self.links.append(attributes["href"])
