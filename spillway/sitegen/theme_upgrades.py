"""Copied files of the theme after an upgrade: the changes of the shop, those of the default theme, and both.

`spillway theme copy` keeps the text that it copied in site/theme-originals/VERSION/, as the file it was: the
three texts can be compared without the earlier version of Spillway, a shop's git has all of them, and any
other program that merges can read them. A record of digests would need the texts as well, and could disagree
with them.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from spillway.sitegen.theme_files import ThemeFile

ORIGINALS = "theme-originals"


def default_version() -> str:
    """Return the version of the default theme, which is that of the package."""
    return version("spillway")


class LineEdit(NamedTuple):
    """Lines `start` to `end` (counted from 0, without `end`) of a text, replaced by `lines`.

    `place` is the number of the first of them in the edited text, counted from 1.
    """

    start: int
    end: int
    lines: tuple[str, ...]
    place: int

    def overlaps(self, other: "LineEdit") -> bool:
        """Return whether both change the same lines, or lines next to each other, in different ways."""
        if self[:3] == other[:3]:
            return False
        return self.start <= other.end and other.start <= self.end


@dataclass(frozen=True, slots=True)
class Original:
    """The text of a file of the default theme at the time when it was copied, and the version it was in."""

    version: str
    text: str


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A shop's copy of a file of the default theme, beside the original and the default of today.

    Attributes:
        name: as in the theme: "templates/card.html".
        own: the text of the shop's file.
        original: what was copied; None for a file that was not made by `spillway theme copy`.
        default: the text of today; None where the default theme has no such file any more.
    """

    name: str
    own: str
    original: Original | None
    default: str | None

    @property
    def default_changed(self) -> bool:
        """True where the default theme's file has changed since it was copied."""
        return self.original is not None and self.default != self.original.text

    def conflicts(self) -> list[int]:
        """Return the lines of the shop's file where the default theme changed the same place differently."""
        own, default = self._edits()
        return [edit.place for edit in own if any(edit.overlaps(other) for other in default)]

    def merged(self) -> str:
        """Return the original with the changes of both; there are no conflicts."""
        assert self.original is not None  # noqa: S101 - only a file with an original is merged
        lines = self.original.text.splitlines(keepends=True)
        own, default = self._edits()
        edits = {edit[:3] for edit in (*own, *default)}
        for start, end, replacement in sorted(edits, reverse=True):
            lines[start:end] = replacement
        return "".join(lines)

    def diffs(self) -> str:
        """Return the shop's changes, and then the default theme's since the copy, as unified diffs."""
        if self.original is None:
            return _diff(self.default or "", self.own, f"default/{self.name}", f"site/{self.name}")
        original = f"original/{self.name} ({self.original.version})"
        changes = _diff(self.original.text, self.own, original, f"site/{self.name}")
        if self.default is not None:
            default = f"default/{self.name} ({default_version()})"
            changes += _diff(self.original.text, self.default, original, default)
        return changes

    def _edits(self) -> tuple[list[LineEdit], list[LineEdit]]:
        original = self.original.text if self.original else ""
        return _edits_between(original, self.own), _edits_between(original, self.default or "")


@dataclass(frozen=True, slots=True)
class Originals:
    """The originals of copied files, in a shop's site/theme-originals."""

    site: Path

    def compare(self, file: ThemeFile) -> CopiedFile | None:
        """Return a file of the shop beside its original and its default; None for one that has neither.

        Raises:
            BadInput: the shop's file, or its original, is not saved as UTF-8.
        """
        original = self.find(file.name)
        if file.own is None or (file.default is None and original is None):
            return None
        default = file.default.read_text(encoding="utf-8") if file.default else None
        return CopiedFile(file.name, file.read_text(), original, default)

    def find(self, name: str) -> Original | None:
        """Return the original of a file; the newest, should there be several."""
        folders = self._folders_with(name)
        if not folders:
            return None
        folder = max(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)])
        kept = ThemeFile(f"{ORIGINALS}/{folder.name}/{name}", own=folder / name, default=None)
        return Original(folder.name, kept.read_text())

    def copy(self, file: ThemeFile) -> None:
        """Copy a file of the default theme into the shop, and keep its original."""
        assert file.default is not None, file.name  # noqa: S101 - the caller has looked
        text = file.default.read_text(encoding="utf-8")
        # An original without a copy does nothing; a copy without its original could not be compared.
        self.keep(file.name, text)
        _write(self.site / file.name, text)

    def merge(self, copied: CopiedFile) -> None:
        """Write the changes of the default theme into the shop's file, and keep the new original.

        Interrupted between the two, it can be repeated: equal changes of both sides are one.
        """
        own = self.site / copied.name
        newline = "\r\n" if b"\r\n" in own.read_bytes() else "\n"
        _write(own, copied.merged(), newline=newline)
        self.keep(copied.name, copied.default or "")

    def keep(self, name: str, text: str) -> None:
        """Keep the text of today's default theme as the original of a file, instead of an earlier one."""
        kept = self.site / ORIGINALS / default_version()
        _write(kept / name, text)
        for folder in self._folders_with(name):
            if folder != kept:
                (folder / name).unlink()
                if not any(path.is_file() for path in folder.rglob("*")):
                    shutil.rmtree(folder)

    def _folders_with(self, name: str) -> list[Path]:
        return [folder for folder in (self.site / ORIGINALS).glob("*") if (folder / name).is_file()]


def _edits_between(before: str, after: str) -> list[LineEdit]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    changes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        LineEdit(start, end, tuple(new[new_start:new_end]), new_start + 1)
        for kind, start, end, new_start, new_end in changes
        if kind != "equal"
    ]


def _diff(before: str, after: str, before_name: str, after_name: str) -> str:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(_ended(line) for line in unified_diff(old, new, before_name, after_name))


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _write(file: Path, text: str, newline: str = "\n") -> None:
    # A link stays one: what it leads to is written.
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8", newline=newline)
    part.replace(file)


def verdict_of(copied: CopiedFile) -> str:
    """Return a line about a copied file: whether the default theme's changes need a look."""
    name = copied.name
    if copied.original is None:
        return f"{name}: differs from the default theme; what was copied is not known"
    if copied.default is None:
        return f"{name}: look at it: the default theme of {default_version()} has no such file any more"
    if not copied.default_changed:
        return f"{name}: no conflict: the default theme's file is as it was when copied"
    if places := copied.conflicts():
        return f"{name}: look at line {_listed(places)}: the default theme changed the same place"
    return f"{name}: no conflict: spillway theme merge {name} adds the default theme's changes"


def _listed(places: Sequence[int]) -> str:
    return ", ".join(map(str, places))
