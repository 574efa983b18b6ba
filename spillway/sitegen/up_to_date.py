"""Detects an unchanged site from the signatures of its files, without building it, in milliseconds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spillway.project import Project
from spillway.sitegen.build_cache import code_digest, digest_of
from spillway.sitegen.file_stat import Signature, files_under, is_settled, signature_of


class Report(NamedTuple):
    """What a build says at its end: of itself, and a line for each thing that the shop leaves unsaid.
    `sales` are those that end, as (file, last day): whether one has ended is another question each day."""

    summary: str
    missing_translations: Sequence[str]
    sales: Sequence[Sequence[str]] = ()
    left_out: Sequence[str] = ()


class UpToDate:
    """What a build into `folder` is made from, as it is now, and what such a build left behind."""

    def __init__(
        self, project: Project, folder: Path, *, base_url: str | None, skip_broken_pictures: bool = False
    ) -> None:
        self._folder = folder
        self._record = project.cache / "shelves" / f"{digest_of(str(folder))[:16]}.json"
        self._made_from = _made_from(project, base_url, skip_broken_pictures)

    def report(self) -> Report | None:
        """What the last build said, if building again would change nothing; else None."""
        try:
            made_from, left, *said = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        unchanged = made_from and made_from == self._made_from and left == self._left()
        if not unchanged or len(said) != len(Report._fields):
            return None
        summary, missing_translations, sales, left_out = said
        return Report(summary, missing_translations, sales, tuple(left_out))

    def note(self, report: Report) -> None:
        """Remember a build that just ended well. What was edited while it ran is not taken for built."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps([self._made_from, self._left(), *report])
        self._record.write_text(content, encoding="utf-8")

    def _left(self) -> str:
        return digest_of(_signatures(self._folder))


def _made_from(project: Project, base_url: str | None, *options: bool) -> str | None:
    """None while a file is still being written: then the build must run."""
    inputs = _signatures(project.site)
    if not all(is_settled(signature) for _, signature in inputs):
        return None
    return digest_of(code_digest(), base_url, options, inputs)


def _signatures(folder: Path) -> list[tuple[str, Signature]]:
    return sorted((name, signature_of(entry)) for name, entry in files_under(str(folder)))
