"""Knowing that nothing changed since the last build without building: by looks alone, in milliseconds."""

import json
from pathlib import Path

from spillway.build.footprint import Signature, files_under, signature_of
from spillway.build.memory import code_digest, digest_of
from spillway.project import Project


class Standstill:
    """What a build into `folder` was made from and left behind, as file signatures."""

    def __init__(self, project: Project, folder: Path, *, base_url: str | None) -> None:
        self._site = str(project.site)
        self._folder = folder
        self._base_url = base_url
        self._record = project.cache / "shelves" / f"{digest_of(str(folder))[:16]}.json"

    def summary(self) -> str | None:
        """What the last build said of itself, if building again would change nothing; else None."""
        try:
            digest, summary = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return str(summary) if digest and digest == self._digest() else None

    def note(self, summary: str) -> None:
        """Remember a build that just ended well."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps([self._digest(), summary]), encoding="utf-8")

    def _digest(self) -> str | None:
        """None, which is like nothing, while a merchant's file may still be changing."""
        inputs = _signatures(self._site)
        if not all(signature.settled for _, signature in inputs):
            return None
        return digest_of(code_digest(), self._base_url, inputs, _signatures(str(self._folder)))


def _signatures(folder: str) -> list[tuple[str, Signature]]:
    return sorted((name, signature_of(entry)) for name, entry in files_under(folder))
