"""Turn a description in HTML, as merchants paste it, into the Markdown of a product file.

`body_html` cleans it, `body_tree` and `body_runs` make a strict tree of it (paragraphs hold words, lists hold
items, emphasis never touches a word wrongly), `body_markdown` writes that.
"""

import html
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote as percent_encoded
from urllib.parse import urljoin, urlsplit

from spillway.importing.body_html import INLINE, TOKEN, bounded, sanitised, visible_words
from spillway.importing.body_markdown import rendered, written
from spillway.importing.body_tree import Tree
from spillway.sitegen.reading.markdown import safe_link

_OF_A_TABLE = frozenset({"table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption"})
_BLOCKS_OF_A_LAYOUT = frozenset(
    {"ul", "ol", "blockquote", "pre", "dl", "hr", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_LOST = re.compile(r"<(iframe|img|video|audio|object|embed|input|svg|canvas)\b", re.IGNORECASE)
_LINKS = re.compile(r"<a\s[^<>]*?\bhref\s*=", re.IGNORECASE)
_ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')
_NESTING_MAX = 12


@dataclass(frozen=True, slots=True)
class Body:
    """A description as Markdown. `lost` is (what, outcome) of each kind of thing the description lost."""

    markdown: str
    lost: tuple[tuple[str, str], ...] = ()


def markdown_of(body_html: str, *, link_base: str = "", own_path: Callable[[str], str] | None = None) -> Body:
    """Return the Markdown of a description: every visible word, in order, with its structure.

    Args:
        body_html: HTML, of any quality.
        link_base: The address that relative links are resolved against; empty where it is not known.
        own_path: Returns the path here of a page that this shop will have too, such as "/products/mug"; empty
            for any other.
    """
    lost: Counter[tuple[str, str]] = Counter(
        (f"<{name.lower()}> in the description", "left out") for name in _LOST.findall(body_html)
    )
    body_html, too_much = bounded(body_html)
    lost.update(too_much)
    clean = sanitised(body_html)
    links = _Links(link_base, own_path or (lambda path: ""), lost)
    unread = len(_LINKS.findall(body_html)) - len(_LINKS.findall(clean))
    if unread > 0 and "<!--" not in body_html:
        links.lose("a link of an unknown kind", unread)
    tree = _tree(clean, links)
    markdown = written(tree)
    if tree.risky and visible_words(rendered(markdown)) != visible_words(clean):
        # Emphasis that Markdown cannot express here: the words count.
        markdown = written(_tree(clean, _Links(link_base, links.own_path, Counter()), emphasis=False))
    return Body(
        markdown,
        tuple(
            (what if count == 1 else f"{what} ({count} times)", outcome)
            for (what, outcome), count in lost.items()
        ),
    )


class _Links:
    """Decides which links a description keeps, and counts the others."""

    def __init__(self, base: str, own_path: Callable[[str], str], lost: "Counter[tuple[str, str]]") -> None:
        self._base = base
        self._lost = lost
        self.own_path = own_path

    def lose(self, what: str, count: int = 1) -> None:
        self._lost[what, "its words are kept without the link"] += count

    def resolve(self, href: str) -> str:
        """Return the address to link to; empty where the link cannot be kept."""
        url = re.sub(r"[\t\n\r]", "", html.unescape(href)).strip()
        try:
            parts = urlsplit(url)
            if not parts.scheme:
                url = self._absolute(url)
                parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            url, parts, host = "", urlsplit(""), ""
        if parts.scheme in {"http", "https"} and not host:
            url = ""
        url = percent_encoded(url, safe="%/:?#@!$&'*+,;=-._~[]")
        if url and safe_link(url):
            return url
        self.lose(f"link to {href.strip()[:80]!r}" if href.strip() else "a link to nowhere")
        return ""

    def _absolute(self, url: str) -> str:
        if url.startswith("//"):
            return f"https:{url}"
        if not url or url.startswith("#"):
            return ""
        path = url.partition("?")[0].partition("#")[0]
        if own := self.own_path(path):
            return own
        return urljoin(f"{self._base.rstrip('/')}/", url) if self._base else ""


def _is_layout(markup: str, start: int) -> bool:
    """Return whether the table that begins at `start` lays out blocks: then its cells are paragraphs."""
    depth, rows, cells, cells_max = 0, 0, 0, 0
    paragraphs = False
    for token in TOKEN.finditer(markup, start):
        closing, name = token[1], token[2]
        if name == "table":
            depth += -1 if closing else 1
            if depth == 0:
                return cells_max < 2 or (rows < 2 and paragraphs)
            if depth > 1:
                return True
        elif name == "tr" and not closing:
            rows, cells = rows + 1, 0
        elif name in {"td", "th"} and not closing:
            cells += 1
            cells_max = max(cells_max, cells)
        elif name in _BLOCKS_OF_A_LAYOUT:
            return True
        elif name in {"p", "div", "br"}:
            paragraphs = True
    return True


def _tree(clean: str, links: _Links, *, emphasis: bool = True) -> Tree:
    tree = Tree(emphasis=emphasis)
    depth: Counter[str] = Counter()
    layout = False
    for token in TOKEN.finditer(clean):
        closing, name, attributes, text = token.groups()
        if name == "table" and not closing and not depth["table"]:
            layout = _is_layout(clean, token.start())
        if text is not None:
            tree.text(html.unescape(text))
        elif name == "a":
            if closing:
                if tree.end_link():
                    links.lose("a link without words")
            else:
                href = dict(_ATTRIBUTE.findall(attributes)).get("href")
                tree.start_link(links.resolve(href) if href is not None else "")
        elif name in INLINE:
            tree.inline(name, closing=bool(closing))
        else:
            # Deeper nesting than anybody reads becomes flat.
            depth[name] += -1 if closing else 1
            too_deep = depth[name] >= _NESTING_MAX + (not closing)
            if too_deep or (layout and name in _OF_A_TABLE):
                tree.end_paragraph()
            elif closing:
                tree.end(name)
            else:
                tree.start(name, dict(_ATTRIBUTE.findall(attributes)))
    tree.finish()
    return tree
