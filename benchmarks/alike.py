"""Compare a page that two generators made: its words, elements, attributes and structured data.

A page may have its own address, names of files, and choice of other products below it.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_STRUCTURED = "application/ld+json"
_RELATED = "related"


@dataclass
class _Page(HTMLParser):
    """The parts of a page that are compared."""

    address: str = ""
    words: list[str] = field(default_factory=list)
    elements: Counter[str] = field(default_factory=Counter)
    structured: list[Any] = field(default_factory=list)
    related: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "link" and named.get("rel") == "canonical":
            self.address = named.get("href") or ""
        if tag == "section":
            self._open.append(named.get("class") or "")
        if tag == "script":
            self._open.append(named.get("type") or tag)
        if tag == "style":
            self._open.append(tag)
        self.elements[" ".join([tag, *sorted(named)])] += 1
        self.related += tag == "li" and _RELATED in self._open

    def handle_endtag(self, tag: str) -> None:
        if tag in {"section", "script", "style"}:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == [_STRUCTURED]:
            self.structured.append(json.loads(data.replace(self.address, "")))
        elif not {"script", "style", _RELATED} & set(self._open):
            self.words += data.split()


def difference(ours: Path, theirs: Path) -> str | None:
    """Return what two pages differ in; None for the same page."""
    mine, other = (_read(file) for file in (ours, theirs))
    for what in ("words", "elements", "structured", "related"):
        here, there = getattr(mine, what), getattr(other, what)
        if here != there:
            return f"{what}: {_first(here, there)} in {ours.name}, {_first(there, here)} in {theirs.name}"
    return None


def _read(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    page.close()
    return page


def _first(these: Any, others: Any) -> Any:
    """Return some of what `these` are from where `others` are different on."""
    if isinstance(these, list):
        at = next((at for at, pair in enumerate(zip(these, others, strict=False)) if pair[0] != pair[1]), 0)
        return str(these[at : at + 6])[:200]
    return these - others if isinstance(these, Counter) else these
