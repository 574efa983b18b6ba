"""Place the words of a paragraph so that Markdown can say them.

Emphasis is never next to a space on its inner side (CommonMark, "left-flanking delimiter run",
https://spec.commonmark.org/0.31.2/#left-flanking-delimiter-run), and not on punctuation that a word follows.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

BR = "\n"


@dataclass(frozen=True, slots=True)
class TextRun:
    """Words of one style. A run whose text is `BR` is a line break."""

    text: str
    href: str = ""
    styles: tuple[str, ...] = ()

    def tags(self) -> tuple[str, ...]:
        """Return the tags around the text, the outermost first."""
        return ("a", *self.styles) if self.href else self.styles

    def shared(self, other: "TextRun | None") -> int:
        """Return how many of the outer tags this run shares with its neighbour."""
        if other is None or other.href != self.href:
            return 0
        count = 0
        for mine, theirs in zip(self.tags(), other.tags(), strict=False):
            if mine != theirs:
                break
            count += 1
        return count


def paragraphs(runs: list[TextRun]) -> Iterable[list[TextRun]]:
    """Split at two line breaks in a row."""
    group: list[TextRun] = []
    breaks = 0
    for run in runs:
        if run.text == BR:
            breaks += 1
        elif run.text.strip():
            if breaks > 1 and group:
                yield group
                group = []
            elif breaks and group:
                group.append(TextRun(BR))
            breaks = 0
            group.append(run)
        elif not breaks:
            group.append(run)
    if group:
        yield group


def placed(runs: list[TextRun]) -> tuple[list[TextRun], bool]:
    """Return the runs with single spaces and emphasis where Markdown can have it, and whether it may fail."""
    lines: list[list[TextRun]] = [[]]
    for run in runs:
        if run.text == BR:
            lines.append([])
        else:
            lines[-1].append(run)
    placed: list[TextRun] = []
    risky = False
    for line in lines:
        spaced = _spaced(line)
        if not spaced:
            continue
        if len(spaced) > 1 or spaced[0].styles:
            spaced = _merged(_flanked(_merged(_spaces_outside(spaced))))
            risky = risky or any(len(run.styles) > 1 and "del" in run.styles for run in spaced)
            risky = risky or any(
                one.styles and other.styles and one.styles != other.styles for one, other in pairwise(spaced)
            )
        placed += [TextRun(BR)] if placed else []
        placed += spaced
    return placed, risky


def _spaced(line: list[TextRun]) -> list[TextRun]:
    """Return the line without spaces at its ends, and with single ones inside."""
    spaced: list[TextRun] = []
    after_space = True
    for run in line:
        text = run.text.lstrip(" ") if after_space else run.text
        if not spaced:
            text = text.lstrip()
        if text:
            spaced.append(run if text == run.text else TextRun(text, run.href, run.styles))
            after_space = text.endswith(" ")
    while spaced:
        last = spaced.pop()
        if text := last.text.rstrip():
            spaced.append(last if text == last.text else TextRun(text, last.href, last.styles))
            break
    return spaced


def _spaces_outside(line: list[TextRun]) -> list[TextRun]:
    """Give a space between two runs only the tags that both have."""
    parts: list[TextRun] = []
    for run in line:
        core = run.text.strip()
        if not core:
            parts.append(run)
            continue
        at = run.text.index(core)
        lead, tail = run.text[:at], run.text[at + len(core) :]
        parts += [TextRun(lead, run.href, run.styles)] if lead else []
        parts += [TextRun(core, run.href, run.styles) if lead or tail else run]
        parts += [TextRun(tail, run.href, run.styles)] if tail else []
    for index, run in enumerate(parts):
        if not run.text.strip():
            before = next(parts[at] for at in range(index - 1, -1, -1) if parts[at].text.strip())
            after = next(parts[at] for at in range(index, len(parts)) if parts[at].text.strip())
            shared = before.shared(after)
            href = before.href if shared and before.href else ""
            parts[index] = TextRun(run.text, href, before.styles[: shared - bool(href)] if shared else ())
    return parts


def _merged(line: list[TextRun]) -> list[TextRun]:
    merged: list[TextRun] = []
    for run in line:
        last = merged[-1] if merged else None
        if last and last.styles == run.styles and last.href == run.href:
            merged[-1] = TextRun(last.text + run.text, last.href, last.styles)
        else:
            merged.append(run)
    return merged


def _flanked(line: list[TextRun]) -> list[TextRun]:
    """Take punctuation at the edge of emphasis out of it where a word follows or goes before."""
    flanked: list[TextRun] = []
    for index, run in enumerate(line):
        before = line[index - 1] if index else None
        after = line[index + 1] if index + 1 < len(line) else None
        text, lead, tail = run.text, "", ""
        if run.styles and not _same_emphasis(run, before) and not _open_to(before, run, last=True):
            text = text.lstrip("".join({sign for sign in text if _is_sign(sign) or sign.isspace()}))
            lead = run.text[: len(run.text) - len(text)]
        if run.styles and not _same_emphasis(run, after) and not _open_to(after, run, last=False):
            core = text.rstrip("".join({sign for sign in text if _is_sign(sign) or sign.isspace()}))
            text, tail = core, text[len(core) :]
        for part, styles in ((lead, ()), (text, run.styles), (tail, ())):
            flanked += [TextRun(part, run.href, styles)] if part else []
    return flanked


def _same_emphasis(run: TextRun, other: TextRun | None) -> bool:
    return other is not None and other.href == run.href and run.styles == other.styles


def _open_to(other: TextRun | None, run: TextRun, *, last: bool) -> bool:
    """Return whether the neighbour's nearest sign lets punctuation stand at the edge of emphasis."""
    if other is None or other.href != run.href:
        return True
    sign = other.text[-1] if last else other.text[0]
    return sign.isspace() or unicodedata.category(sign)[0] == "P"


@cache
def _is_sign(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "PS"


def without_breaks(runs: list[TextRun]) -> list[TextRun]:
    """Return the runs with spaces for line breaks."""
    return [TextRun(" ") if run.text == BR else run for run in runs]
