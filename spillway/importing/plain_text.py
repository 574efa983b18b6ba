"""Turn the text of a cell or of a feed into HTML: paragraphs, line ends and lists, as people type them."""

import html
import re
from collections.abc import Iterator
from itertools import groupby

_NAMES = (
    "p|br|div|span|ul|ol|li|dl|dt|dd|b|strong|em|i|u|s|del|a|h[1-6]|table|tbody|thead|tr|td|th|img|hr|pre|code"
    "|blockquote|font|center|iframe|video|section|article|figure|sub|sup|small|big|script|style|strike|meta"
)
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_HAS_PARAGRAPHS = re.compile(r"<(?:p|br|div|table)\b", re.IGNORECASE)
_PREFORMATTED = re.compile(r"(<pre\b.*?</pre>)", re.IGNORECASE | re.DOTALL)
_BULLET = re.compile(
    r"\s*(?:[-*\u2022\u00b7\u25cf\u25aa\u25e6\u2023\u2713\u2714+]|[\u2013\u2014](?=\s))\s+(\S.*)"
)
_SIGNED = re.compile(r"\s*([\u2022\u25cf\u25aa\u25e6\u2023\u2713\u2714])\s*(\S.*)")
_NUMBERED = re.compile(r"\s*([0-9]{1,3})[.)]\s+(\S.*)")


def html_of(text: str, *, newlines_count: bool) -> str:
    """Return the HTML of a description that is HTML already, or plain text.

    `newlines_count` says whether line ends in HTML without paragraphs are line ends, as WordPress has it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    if not _TAG.search(text):
        return plain_html(_decoded(text))
    if newlines_count and not _HAS_PARAGRAPHS.search(text):
        parts = _PREFORMATTED.split(text)
        return "".join(
            part if number % 2 else part.replace("\n", "<br>") for number, part in enumerate(parts)
        )
    return text


def plain_html(text: str) -> str:
    """Return the HTML of plain text: blank lines end paragraphs, lines with a bullet are a list."""
    return "".join(_paragraph(lines) for lines in _paragraphs(text.split("\n")))


def line_of(text: str) -> str:
    """Return a title without tags, its entities decoded once."""
    return " ".join(_decoded(_TAG.sub(lambda tag: " " if _breaks(tag[0]) else "", text)).split())


def _decoded(text: str) -> str:
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _breaks(tag: str) -> bool:
    return bool(re.match(r"</?(?:p|br|div|li|ul|ol|td|tr|h[1-6]|hr)\b", tag, re.IGNORECASE))


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        if not blank:
            yield list(group)


def _paragraph(lines: list[str]) -> str:
    parts = []
    for kind, group in groupby(_kinds(lines), key=lambda each: each[0]):
        texts = [html.escape(text, quote=False) for _, text in group]
        if kind:
            parts.append(f"<{kind}>{''.join(f'<li>{text}</li>' for text in texts)}</{kind}>")
        else:
            parts.append(f"<p>{'<br>'.join(texts)}</p>")
    return "".join(parts)


def _kinds(lines: list[str]) -> list[tuple[str, str]]:
    """Return ("ul", "ol" or "", text) of each line."""
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    kinds: list[tuple[str, str]] = []
    for index, line in enumerate(lines):
        bullet = _BULLET.fullmatch(line) or _SIGNED.fullmatch(line)
        number = numbered[index]
        if bullet:
            kinds.append(("ul", bullet[bullet.re.groups]))
        elif number and _is_step(numbered, index):
            kinds.append(("ol", number[2]))
        else:
            kinds.append(("", line.strip()))
    return kinds


def _is_step(numbered: list[re.Match[str] | None], index: int) -> bool:
    """Return whether a number at a line's start counts: it belongs to 1, 2, 3 on lines in a row."""
    start = index
    while start and numbered[start - 1]:
        start -= 1
    end = index
    while end + 1 < len(numbered) and numbered[end + 1]:
        end += 1
    numbers = [int(found[1]) for found in numbered[start : end + 1] if found]
    return len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1))
