"""A description as merchants paste it, in HTML, as the Markdown of a product file."""

import re
from html.parser import HTMLParser

import nh3

_TAGS = {
    *("p", "br", "div", "ul", "ol", "li", "strong", "b", "em", "i", "a", "blockquote", "hr"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "tr", "td", "th"),
}
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#])")
_LINE_START = re.compile(r"^(\s*)([-+=]|\d+[.)])(?=\s|$|[-=])", re.MULTILINE)
_LOST = re.compile(r"<(iframe|img|video|audio|object|embed|form|svg)\b", re.IGNORECASE)
_BLOCKS = frozenset({"p", "div", "blockquote", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6"})


def lost_in(body_html: str) -> tuple[str, ...]:
    """What of a body does not become text: the names of its elements, each once."""
    return tuple(sorted({found.lower() for found in _LOST.findall(body_html)}))


def markdown_of(body_html: str) -> str:
    """The words, paragraphs, lists, emphasis and safe links of a body; nothing else of it."""
    clean = nh3.clean(
        body_html.replace("\r\n", "\n"),
        tags=_TAGS,
        clean_content_tags={"script", "style", "iframe", "object", "svg"},
        attributes={"a": {"href"}},
        url_schemes={"https", "mailto"},
        link_rel=None,
    )
    writer = _Markdown()
    writer.feed(clean)
    writer.close()
    return writer.text()


class _Markdown(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._lists: list[int | None] = []
        self._href = ""

    def text(self) -> str:
        lines = [line.rstrip() for line in "".join(self._parts).split("\n")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
        return re.sub(r"\*\*\s*\*\*|(?<!\*)\*\s+\*(?!\*)", "", text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._break(2 if tag != "tr" else 1)
            self._parts.append(f"{'#' * max(3, int(tag[1]))} " if tag[0] == "h" and tag[1:].isdigit() else "")
        elif tag in {"ul", "ol"}:
            self._break(1 if self._lists else 2)
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._start_item()
        elif tag == "br":
            self._break(2)
        elif tag in {"td", "th"}:
            self._parts.append(" ")
        elif tag == "a":
            self._href = dict(attrs).get("href") or ""
            self._parts.append("[" if self._links else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"ul", "ol"} and self._lists:
            self._lists.pop()
            self._break(1 if self._lists else 2)
        elif tag in _BLOCKS and not self._lists:
            self._break(2)
        elif tag == "a":
            self._parts.append(f"]({self._href})" if self._links else "")
            self._href = ""

    def handle_data(self, data: str) -> None:
        words = re.sub(r"\s+", " ", data.replace("\u00ad", ""))
        if words == " " and (not self._parts or self._parts[-1].endswith(("\n", " "))):
            return
        text = _SPECIAL.sub(r"\\\1", words)
        if not self._parts or self._parts[-1].endswith("\n"):
            text = _LINE_START.sub(r"\1\\\2", text.lstrip())
        self._parts.append(text)

    @property
    def _links(self) -> bool:
        return self._href.startswith(("https://", "mailto:")) and not re.search(r"[\s()<>\\]", self._href)

    def _start_item(self) -> None:
        self._break(1)
        depth = max(len(self._lists) - 1, 0)
        number = self._lists[-1] if self._lists else None
        if number is None:
            self._parts.append(f"{'   ' * depth}- ")
        else:
            self._lists[-1] = number + 1
            self._parts.append(f"{'   ' * depth}{number + 1}. ")

    def _break(self, lines: int) -> None:
        if self._lists and lines == 2:
            lines = 1
        written = "".join(self._parts[-3:])
        if "".join(self._parts).strip():
            have = len(written) - len(written.rstrip("\n"))
            self._parts.append("\n" * max(0, lines - have))
