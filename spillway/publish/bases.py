"""Keep most of a large manifest in an object of its own, its base, which never changes.

A shop of 50,000 products has 100,000 fingerprints and dates, and a publish writes its manifest twice. The
manifest names a base, and has the changes since. A base is named by its content, so that a copy on this
machine is as good as the object.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from chalicelib.aws.response import Response
from spillway.publish.manifest import Manifest, UnreadableManifest, dates_of
from spillway.publish.s3 import PreconditionFailed, S3Request
from spillway.sitegen.release import DatedDigest

T = TypeVar("T")

# A manifest of fewer objects has them itself.
BASE_OBJECTS_MIN = 1000
# With more changes than this share of the objects, a manifest gets another base.
CHANGES_SHARE_MAX = 0.05
JSON_HEADERS = {"content-type": "application/json"}


class ManifestBucket(Protocol):
    """The calls to the release bucket that a manifest needs."""

    def get(self, key: str, *, unless: str | None = None) -> Response: ...
    def put_if(self, key: str, body: bytes, headers: dict[str, str], *, etag: str | None) -> str: ...
    def send(self, requests: Iterable[S3Request]) -> None: ...


class BaseIsGone(Exception):
    """The bucket does not have the base of a manifest: another one has taken the place of both."""


@dataclass(frozen=True, slots=True)
class Base:
    """The objects and dates of a release that was live. `name` is a digest of `text`, its JSON."""

    name: str
    text: str
    objects: Mapping[str, str]
    dates: Mapping[str, DatedDigest]

    @classmethod
    def of(cls, manifest: Manifest) -> "Base":
        """Return the base of a complete manifest."""
        content = {"objects": manifest.objects, "dates": manifest.dates}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return cls(_name_of(text), text, manifest.objects, manifest.dates)

    @classmethod
    def from_json(cls, text: str, name: str) -> "Base":
        """Return the base `name` of its text.

        Raises:
            UnreadableManifest: it has another text.
        """
        if _name_of(text) != name:
            raise UnreadableManifest(f"{base_key(name)} is not as it was written")
        document = json.loads(text)
        return cls(name, text, document["objects"], dates_of(document["dates"]))

    def changes_to(self, manifest: Manifest) -> Manifest:
        """Return a complete manifest as the changes of this base."""
        return replace(
            manifest,
            objects=_changed(self.objects, manifest.objects),
            dates=_changed(self.dates, manifest.dates),
            base=self.name,
            gone=tuple(sorted(self.objects.keys() - manifest.objects.keys())),
            undated=tuple(sorted(self.dates.keys() - manifest.dates.keys())),
        )

    def completed(self, changes: Manifest) -> Manifest:
        """Return the complete manifest of changes of this base."""
        gone, undated = {*changes.gone}, {*changes.undated}
        return replace(
            changes,
            objects={
                **{key: value for key, value in self.objects.items() if key not in gone},
                **changes.objects,
            },
            dates={
                **{path: dated for path, dated in self.dates.items() if path not in undated},
                **changes.dates,
            },
            base=None,
            gone=(),
            undated=(),
        )


class Bases:
    """The bases of one stage's manifests.

    Args:
        bucket: the release bucket.
        copy: the file with a copy of the base of now.
    """

    def __init__(self, bucket: ManifestBucket, copy: Path) -> None:
        self._bucket = bucket
        self._copy = copy
        self._current: Base | None = None

    @property
    def current(self) -> str | None:
        """The name of the base of the manifest that was read or written last; None if it has none."""
        return self._current.name if self._current else None

    def split(self, manifest: Manifest) -> tuple[Manifest, Base | None]:
        """Return a complete manifest as it is stored, and its base."""
        if len(manifest.objects) < BASE_OBJECTS_MIN:
            return manifest, None
        if self._current:
            stored = self._current.changes_to(manifest)
            count = len(stored.objects) + len(stored.dates) + len(stored.gone) + len(stored.undated)
            if count <= len(manifest.objects) * CHANGES_SHARE_MAX:
                return stored, self._current
        base = Base.of(manifest)
        return base.changes_to(manifest), base

    def completed(self, stored: Manifest) -> Manifest:
        """Return the complete manifest of a stored one. One request if this machine has no copy of its base.

        Raises:
            BaseIsGone: the bucket does not have the base.
            UnreadableManifest: the base has another content than it was written with.
        """
        if stored.base is None:
            self._current = None
            return stored
        with suppress(BaseIsGone):
            return self.completed_here(stored)
        response = self._bucket.get(base_key(stored.base))
        if response.status != 200:
            raise BaseIsGone
        self.keep(Base.from_json(response.body.decode(), stored.base))
        return self.completed_here(stored)

    def completed_here(self, stored: Manifest) -> Manifest:
        """Return the complete manifest of a stored one, without a request.

        Raises:
            BaseIsGone: this machine has no copy of the base.
        """
        if stored.base is None:
            return stored
        if self._current is None or self._current.name != stored.base:
            try:
                self._current = Base.from_json(self._copy.read_text(encoding="utf-8"), stored.base)
            except (OSError, ValueError, LookupError, TypeError):
                raise BaseIsGone from None
        return self._current.completed(stored)

    def put(self, base: Base) -> None:
        """Store a base that a manifest is about to name."""
        if base.name == self.current:
            return
        # Where it is there already, it is the same.
        with suppress(PreconditionFailed):
            self._bucket.put_if(base_key(base.name), base.text.encode(), dict(JSON_HEADERS), etag=None)

    def keep(self, base: Base | None) -> None:
        """Keep the base that the manifest of now names, and a copy of it."""
        if base and base.name != self.current:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._copy.with_name(f"{self._copy.name}.unfinished")
            unfinished.write_text(base.text, encoding="utf-8")
            unfinished.replace(self._copy)
        self._current = base

    def delete(self, names: Iterable[str]) -> None:
        """Delete bases that no manifest names."""
        requests = [S3Request("DELETE", base_key(name)) for name in sorted(names)]
        if requests:
            self._bucket.send(requests)


def base_key(name: str) -> str:
    """Return the key of a base."""
    return f"manifests/{name}.json"


def _name_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _changed(before: Mapping[str, T], now: Mapping[str, T]) -> dict[str, T]:
    return {key: value for key, value in now.items() if before.get(key) != value}
