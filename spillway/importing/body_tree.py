"""Build the strict tree of a description: blocks that hold blocks, paragraphs that hold runs of words."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spillway.importing.body_runs import BR, TextRun, paragraphs, placed, without_breaks
from spillway.importing.html_text import STYLES

_LISTS = frozenset({"ul", "ol"})
_CONTAINERS = frozenset({*_LISTS, "li", "blockquote"})
_CELLS = frozenset({"td", "th"})
_SPAN_MAX = 50
# A part of an opening that ends with one of these is followed by a space, without a comma.
_PART_ENDS = ".,:;!?\u2026\u3002\uff01\uff1f\uff1a\uff1b\u3001"
_SPACES = re.compile(r"[ \t\n\f]+")
_RAISED = str.maketrans("0123456789+-=()/n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾\u2044ⁿ")
_LOWERED = str.maketrans("0123456789+-=()/", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎\u2044")
# Its digits are shifted, though its sign cannot be: 10<sup>1,5</sup> is not 101,5.
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]+")
_MARKS = {"TM": "™", "SM": "℠"}
_SHIFTED = {"sup": _RAISED, "sub": _LOWERED}


@dataclass(slots=True)
class Node:
    """A block. `runs` are the words of a paragraph, a heading or a cell; `text` is that of a `pre`.

    `start` is the first number of a list, or how many rows a cell goes over.
    """

    tag: str
    children: "list[Node]" = field(default_factory=list)
    runs: list[TextRun] = field(default_factory=list)
    text: str = ""
    start: int = 1
    header: bool = False
    implicit: bool = False


class Tree:
    """Takes the tags and texts of sanitised HTML, in order. `risky` says that styles meet inside a word."""

    def __init__(self, *, emphasis: bool = True) -> None:
        self.root = Node("root")
        self.risky = False
        self._emphasis = emphasis
        self._stack = [self.root]
        self._runs: list[TextRun] = []
        self._styles: list[str] = []
        self._shifts: list[str] = []
        self._href = ""
        self._link_words = False
        self._heading = 0
        self._pre: list[str] | None = None
        self._pre_depth = 0
        self._table: Node | None = None
        self._cell: Node | None = None
        self._terms = False

    def text(self, text: str) -> None:
        """Add words."""
        if self._pre is not None:
            self._pre.append(text)
            return
        shifted = _SHIFTED[self._shifts[-1]] if self._shifts else {}
        if shifted and (_DECIMAL.fullmatch(text) or all(ord(sign) in shifted for sign in text)):
            text = text.translate(shifted)
        elif self._shifts == ["sup"]:
            text = _MARKS.get(text, text)
        if text.strip():
            if self._terms:
                self.end_paragraph()
            self._link_words = True
        order = ("strong", "em", "del") if self._emphasis else ()
        bold = self._heading and self._in_item()
        styles = tuple(style for style in order if style in self._styles or (bold and style == "strong"))
        self._runs.append(TextRun(_SPACES.sub(" ", text), self._href, styles))

    def inline(self, name: str, *, closing: bool) -> None:
        """Begin or end an inline element."""
        if self._pre is not None:
            self._pre += ["\n"] if name == "br" and not closing else []
        elif name == "br":
            self._runs += [] if closing else [TextRun(BR)]
        elif name in _SHIFTED:
            _toggle(self._shifts, name, closing=closing)
        else:
            _toggle(self._styles, STYLES[name], closing=closing)

    def start_link(self, href: str) -> None:
        """Begin a link; an empty `href` keeps its words only."""
        self._href, self._link_words = href, False

    def end_link(self) -> bool:
        """End a link; return True when it had an address and no words."""
        empty = bool(self._href) and not self._link_words
        self._href = ""
        return empty

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin a block element."""
        if self._pre is not None:
            self._pre.append("\n")
            self._pre_depth += tag == "pre"
            return
        if tag == "dd" and self._terms:
            self._runs.append(TextRun(BR))
            self._terms = False
            return
        self.end_paragraph()
        if tag == "table":
            self._table = Node("table")
        elif tag == "dt":
            self._styles.append("strong")
        elif self._table is not None:
            self._start_in_table(self._table, tag, attributes)
        elif tag == "pre":
            self._pre, self._pre_depth = [], 1
        elif tag == "hr":
            self._container().children += [] if self._in_item() else [Node("hr")]
        elif tag in _CONTAINERS:
            self._start_container(tag, attributes)
        elif tag[1:].isdecimal():
            self._heading = int(tag[1])

    def end(self, tag: str) -> None:
        """End a block element."""
        if self._pre is not None and (tag != "pre" or self._pre_depth > 1):
            self._pre.append("\n")
            self._pre_depth -= tag == "pre"
            return
        if tag == "dt":
            _toggle(self._styles, "strong", closing=True)
            self._terms = True
            return
        if tag == "pre" and self._pre is not None:
            text, self._pre = "".join(self._pre).strip("\n"), None
            if text.strip():
                self._container().children.append(Node("pre", text=text))
            return
        self.end_paragraph()
        if tag in _CELLS:
            self._cell = None
        elif tag == "table" and self._table is not None:
            self._end_table(self._table)
        elif tag in _CONTAINERS and self._table is None:
            self._end_container(tag)
        elif tag[1:].isdecimal():
            self._heading = 0

    def end_paragraph(self) -> None:
        """End the paragraph that the words since the last block make."""
        if self._pre is not None:
            self._pre.append("\n")
            return
        self._terms = False
        runs, self._runs = self._runs, []
        for line_group in paragraphs(runs):
            words, risky = placed(line_group)
            if not words:
                continue
            self.risky = self.risky or risky
            if self._cell is not None:
                self._cell.runs += [TextRun(" ")] if self._cell.runs else []
                self._cell.runs += without_breaks(words)
            elif self._heading and not self._in_item():
                self._container().children.append(Node(f"h{self._heading}", runs=without_breaks(words)))
            else:
                self._container().children.append(Node("p", runs=words))

    def finish(self) -> None:
        """End everything."""
        self.end_paragraph()
        _prune(self.root)

    def _in_item(self) -> bool:
        return self._stack[-1].tag in _CONTAINERS

    def _container(self) -> Node:
        """Return the block that takes the next one: an item, where the current block is a list."""
        while self._stack[-1].implicit:
            self._stack.pop()
        top = self._stack[-1]
        if top.tag in _LISTS:
            if not top.children:
                top.children.append(Node("li"))
            return top.children[-1]
        return top

    def _start_container(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "li" and self._stack[-1].tag in _LISTS:
            parent = self._stack[-1]
        else:
            parent = self._container()
            if tag == "li":
                if not (parent.children and parent.children[-1].implicit):
                    parent.children.append(Node("ul", implicit=True))
                self._stack.append(parent.children[-1])
                parent = parent.children[-1]
        node = Node(tag)
        start = attributes.get("start", "")
        if tag == "ol" and start.isascii() and start.isdecimal() and len(start) < 10:
            node.start = int(start)
        parent.children.append(node)
        self._stack.append(node)

    def _end_container(self, tag: str) -> None:
        if any(node.tag == tag for node in self._stack):
            while self._stack.pop().tag != tag:
                pass

    def _start_in_table(self, table: Node, tag: str, attributes: dict[str, str]) -> None:
        if tag == "thead":
            table.header = not table.children
        elif tag == "tr":
            table.children.append(Node("tr"))
        elif tag in _CELLS:
            if not table.children:
                table.children.append(Node("tr"))
            row = table.children[-1]
            self._cell = Node(tag)
            row.children.append(self._cell)
            self._cell.start = _span(attributes.get("rowspan", ""))
            more = _span(attributes.get("colspan", "")) - 1
            row.children += [Node(tag, start=self._cell.start) for _ in range(more)]

    def _end_table(self, table: Node) -> None:
        self._table = None
        _spread(table)
        table.children = [row for row in table.children if any(cell.runs for cell in row.children)]
        if table.children:
            first = table.children[0].children
            table.header = table.header or all(cell.tag == "th" for cell in first)
            self._container().children.append(table)


def opening(root: Node) -> str:
    """Return the words of the first paragraph, quote or list; where there is none, those of the first block.

    Items of a list and cells of a table are set apart by commas.
    """
    prose = (node for node in root.children if node.tag in {"p", *_CONTAINERS})
    first = next(prose, None) or next((node for node in root.children if node.tag != "hr"), None)
    return " ".join(_joined(_texts(first)).split()) if first else ""


def _texts(node: Node) -> Iterator[str]:
    """Yield the words of each part of a block; those of a quote end with its first part."""
    if node.runs or node.text:
        yield node.text or "".join(run.text for run in without_breaks(node.runs))
    children = node.children[:1] if node.tag == "blockquote" else node.children
    for child in children:
        yield from _texts(child)


def _joined(texts: Iterable[str]) -> str:
    joined = ""
    for text in filter(None, map(str.strip, texts)):
        joined += (" " if joined[-1] in _PART_ENDS else ", ") + text if joined else text
    return joined


def _span(text: str) -> int:
    """Return how many columns or rows a cell goes over."""
    return min(max(int(text), 1), _SPAN_MAX) if text.isascii() and text.isdecimal() and len(text) < 6 else 1


def _spread(table: Node) -> None:
    """Add empty cells under those that go over several rows: `start` is how many."""
    pending: dict[int, int] = {}
    for row in table.children:
        cells, row.children = row.children, []
        while cells or pending.get(len(row.children)):
            column = len(row.children)
            if pending.get(column):
                pending[column] -= 1
                row.children.append(Node("td"))
            else:
                row.children.append(cells.pop(0))
                pending[column] = row.children[-1].start - 1


def _toggle(stack: list[str], name: str, *, closing: bool) -> None:
    if not closing:
        stack.append(name)
    elif name in stack:
        stack.reverse()
        stack.remove(name)
        stack.reverse()


def _prune(node: Node) -> None:
    for child in node.children:
        if child.tag in _CONTAINERS:
            _prune(child)
    node.children = [item for item in node.children if item.tag not in _CONTAINERS or item.children]
