"""Turn a description in HTML, as merchants paste it, into the Markdown of a product file.

`html_text` cleans it, `body_tree` and `body_runs` make a strict tree of it (paragraphs hold words, lists hold
items, emphasis never touches a word wrongly). The library html-to-markdown writes the tree: it gets strict
HTML, with a private character for each one that has a meaning in Markdown; afterwards the private ones become
escaped characters.
"""

import html
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from urllib.parse import quote as percent_encoded
from urllib.parse import urljoin, urlsplit

import html_to_markdown
from html_to_markdown import convert

from spillway.importing.body_runs import BR, TextRun
from spillway.importing.body_tree import Node, Tree, opening
from spillway.importing.html_text import (
    ATTRIBUTE,
    INLINE,
    TOKEN,
    bounded,
    sanitised,
    visible_words,
    without_styles,
)
from spillway.importing.names import cut
from spillway.sitegen.reading.markdown import safe_link, to_html

_SPECIAL = re.compile(r"[\\`*_\[\]<>|#]|~(?=~|\Z)|(?<=~)~|\A~|&(?=#?\w+;)|!(?=\Z)")
_LINE_START = re.compile(r"([-+=:~])|(\d{1,9})([.)])")
# A private character for each printable ASCII one; `sanitised` leaves out what the export has of these.
_PRIVATE = 0x10F000
_UNESCAPED_SPACES = {0xA0, 0x2002, 0x2003, 0x2007, 0x2008, 0x2009, 0x200A, 0x202F, 0x205F, 0x3000, 0x1680}
_KEPT_SPACES = {code: 0x10F080 + index for index, code in enumerate(sorted(_UNESCAPED_SPACES))}
_RESTORED = {
    **{_PRIVATE + code: f"\\{chr(code)}" for code in range(0x21, 0x7F)},
    **{private: chr(code) for code, private in _KEPT_SPACES.items()},
}
_HEADING_LEVEL_MIN = 3
_HEADING_LEVEL_MAX = 6


def escaped(text: str) -> str:
    """Return plain text with each character escaped that Markdown would take for something else."""
    return _hidden(" ".join(text.split()), at_start=True).translate(_RESTORED)


class _Headings:
    """Gives headings levels without gaps, whatever levels the description has."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def level(self, written: int) -> int:
        while self._open and self._open[-1] >= written:
            self._open.pop()
        self._open.append(written)
        return min(_HEADING_LEVEL_MIN + len(self._open) - 1, _HEADING_LEVEL_MAX)


def written(tree: Tree) -> str:
    """Return the Markdown of a description."""
    return _markdown(tree.root, _Headings()).translate(_RESTORED)


def _markdown(node: Node, headings: _Headings) -> str:
    """Return the Markdown of a block's children. Quotes are written here: the library joins their parts."""
    parts: list[str] = []
    for quoted, group in groupby(node.children, key=lambda child: child.tag == "blockquote"):
        if quoted:
            for quote in group:
                lines = _markdown(quote, headings).split("\n")
                parts.append("\n".join(f"> {line}".rstrip(" ") for line in lines))
        else:
            strict = "".join(_block(child, headings) for child in group)
            parts.append((convert(strict, _options()).content or "").strip("\n"))
    return "\n\n".join(parts)


@cache
def _options() -> html_to_markdown.ConversionOptions:
    # Members of its enumerations spare the library a look-up by name with each description.
    return html_to_markdown.ConversionOptions(
        bullets="-",
        autolinks=False,
        extract_metadata=False,
        compact_tables=True,
        newline_style=html_to_markdown.NewlineStyle.BACKSLASH,
        heading_style=html_to_markdown.HeadingStyle.ATX,
        list_indent_type=html_to_markdown.ListIndentType.SPACES,
        highlight_style=html_to_markdown.HighlightStyle.NONE,
        whitespace_mode=html_to_markdown.WhitespaceMode.NORMALIZED,
        code_block_style=html_to_markdown.CodeBlockStyle.BACKTICKS,
        inline_data_media=html_to_markdown.InlineDataMedia.KEEP,
        hidden_content=html_to_markdown.HiddenContent.DROP,
        url_escape_style=html_to_markdown.UrlEscapeStyle.ANGLE,
        link_style=html_to_markdown.LinkStyle.INLINE,
        output_format=html_to_markdown.OutputFormat.MARKDOWN,
        tier_strategy=html_to_markdown.TierStrategy.AUTO,
    )


def _blocks(node: Node, headings: _Headings) -> str:
    return "".join(_block(child, headings) for child in node.children)


def _block(node: Node, headings: _Headings) -> str:
    if written := _LEAVES.get(node.tag):
        return written(node)
    if node.tag[1:].isdecimal():
        level = headings.level(int(node.tag[1]))
        return f"<h{level}>{_inline(node.runs)}</h{level}>"
    if node.tag == "li" and _is_tight(node):
        lists = "".join(_block(child, headings) for child in node.children[1:])
        return f"<li>{_inline(node.children[0].runs)}{lists}</li>"
    if node.tag == "blockquote":  # inside a list, where it would be hard to tell from its item
        return _blocks(node, headings)
    start = f' start="{node.start}"' if node.start > 1 else ""
    return f"<{node.tag}{start}>{_blocks(node, headings)}</{node.tag}>"


def _is_tight(item: Node) -> bool:
    return item.children[0].tag == "p" and all(child.tag in {"ul", "ol"} for child in item.children[1:])


def _table(table: Node) -> str:
    width = max(len(row.children) for row in table.children)
    rows = ["".join(f"<td>{_inline(cell.runs)}</td>" for cell in row.children) for row in table.children]
    rows = [
        row + "<td></td>" * (width - len(cells.children))
        for row, cells in zip(rows, table.children, strict=True)
    ]
    # A table of Markdown begins with a header. The build leaves an empty one out.
    header = rows.pop(0).replace("td>", "th>") if table.header else "<th></th>" * width
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


_LEAVES: dict[str, Callable[[Node], str]] = {
    "p": lambda node: f"<p>{_inline(node.runs)}</p>",
    "pre": lambda node: f"<pre>{html.escape(node.text, quote=False)}</pre>",
    "hr": lambda node: "<hr>",
    "table": _table,
}


def _inline(runs: list[TextRun]) -> str:
    parts: list[str] = []
    at_start = True
    for index, run in enumerate(runs):
        if run.text == BR:
            parts.append("<br>")
            at_start = True
            continue
        before = runs[index - 1] if index and runs[index - 1].text != BR else None
        after = runs[index + 1] if index + 1 < len(runs) and runs[index + 1].text != BR else None
        parts.append(_opened(run, before))
        text = _hidden(run.text, at_start=at_start)
        parts.append(html.escape(text, quote=False))
        parts.append(_closed(run, after))
        at_start = False
    return "".join(parts)


def _opened(run: TextRun, before: TextRun | None) -> str:
    shared = run.shared(before)
    tags = run.tags()[shared:]
    return "".join(f'<a href="{html.escape(run.href)}">' if tag == "a" else f"<{tag}>" for tag in tags)


def _closed(run: TextRun, after: TextRun | None) -> str:
    return "".join(f"</{tag}>" for tag in reversed(run.tags()[run.shared(after) :]))


def _hidden(text: str, *, at_start: bool) -> str:
    """Return the text with private characters for those that have to be escaped."""
    text = _SPECIAL.sub(lambda sign: chr(_PRIVATE + ord(sign[0])), text)
    if at_start and (sign := _LINE_START.match(text)):
        at = sign.start(1) if sign[1] else sign.start(3)
        text = f"{text[:at]}{chr(_PRIVATE + ord(text[at]))}{text[at + 1 :]}"
    return text.translate(_KEPT_SPACES)


def rendered(markdown: str) -> str:
    """Return the markup that the build makes of a description."""
    return to_html(markdown, heading_level_min=_HEADING_LEVEL_MIN, refuse=lambda line, value, expected: None)


_OF_A_TABLE = frozenset({"table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption"})
_BLOCKS_OF_A_LAYOUT = frozenset(
    {"ul", "ol", "blockquote", "pre", "dl", "hr", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_LOST = re.compile(r"<(iframe|img|video|audio|object|embed|input|svg|canvas|math)\b", re.IGNORECASE)
_LINKS = re.compile(r"<a\s[^<>]*?\bhref\s*=", re.IGNORECASE)
_NESTING_MAX = 12


@dataclass(frozen=True, slots=True)
class ConvertedBody:
    """A description as Markdown.

    Attributes:
        markdown: The description.
        opening: The words that it begins with, as plain text on one line.
        lost: (what, outcome) of each kind of thing the description lost.
    """

    markdown: str
    opening: str = ""
    lost: tuple[tuple[str, str], ...] = ()


def markdown_of(
    body_html: str, *, link_base: str = "", own_path: Callable[[str], str] | None = None
) -> ConvertedBody:
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
    shown, hidden = without_styles(body_html)
    lost.update((f"hidden text {cut(words, 60)!r}", "left out") for words in hidden)
    clean = sanitised(shown)
    links = _Links(link_base, own_path or (lambda path: ""), lost)
    # The links of hidden text are reported with it.
    unread = len(_LINKS.findall(shown if hidden else body_html)) - len(_LINKS.findall(clean))
    if unread > 0 and "<!--" not in body_html:
        links.lose("a link of an unknown kind", unread)
    tree = _tree(clean, links)
    markdown = written(tree)
    if tree.risky and visible_words(rendered(markdown)) != visible_words(clean):
        # Emphasis that Markdown cannot express here: the words count.
        markdown = written(_tree(clean, _Links(link_base, links.own_path, Counter()), emphasis=False))
    return ConvertedBody(
        markdown,
        opening(tree.root),
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
                href = dict(ATTRIBUTE.findall(attributes)).get("href")
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
                tree.start(name, dict(ATTRIBUTE.findall(attributes)))
    tree.finish()
    return tree
