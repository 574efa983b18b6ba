"""The live release as its manifest tells it, and who may change it: one publish at a time.

A publish claims the manifest by a conditional write before it touches anything, and ends with another. What
this machine saw last is presumed to be live still: the first of the two finds out.
Whoever comes second is told; whoever was overtaken after a long silence is told at the end.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from spillway.errors import WorkFailed
from spillway.publish.answer import Answer
from spillway.publish.manifest import MANIFEST_KEY, Claim, Manifest
from spillway.publish.plan import Plan
from spillway.publish.s3 import Changed

# Longer than any publish takes. After it, a claim is that of a publish that died elsewhere.
CLAIM_MS = 30 * 60 * 1000
_HEADERS = {"content-type": "application/json"}


class ManifestBucket(Protocol):
    """What is needed of the release bucket."""

    def get(self, key: str, *, unless: str | None = None) -> Answer: ...
    def put_if(self, key: str, body: bytes, headers: dict[str, str], *, etag: str | None) -> str: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A manifest, and the ETag it had (None where there was none). One that is `presumed` may be old."""

    manifest: Manifest
    etag: str | None
    presumed: bool = False


class Outdated(Exception):
    """What was presumed to be live is not. What is, is `seen`."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen


class LiveRelease:
    """The manifest of one stage. `owner` names this machine; `copy` is a file to keep the last one in."""

    def __init__(self, bucket: ManifestBucket, owner: str, clock_ms: Callable[[], int], copy: Path) -> None:
        self._bucket = bucket
        self._owner = owner
        self._clock_ms = clock_ms
        self._copy = copy

    def read(self) -> Seen:
        """What is live now. One request; a manifest that this machine has seen is not sent again."""
        known = self._kept()
        answer = self._bucket.get(MANIFEST_KEY, unless=known.etag if known else None)
        if answer.status == 304 and known:
            return known
        if answer.status == 404:
            return Seen(Manifest(), None)
        return self._keep(Manifest.from_json(answer.body.decode()), answer.headers.get("etag", ""))

    def presumed(self) -> Seen:
        """What this machine saw last, without a request; what is live where it has seen nothing."""
        known = self._kept()
        return replace(known, presumed=True) if known else self.read()

    def confirm(self, seen: Seen) -> None:
        """Make sure that `seen` is live. One request, where it is only presumed.

        Raises:
            Outdated: it is not.
        """
        if seen.presumed and (there := self.read()).manifest != seen.manifest:
            raise Outdated(there)

    def claim(self, seen: Seen, plan: Plan) -> Seen:
        """Take the shop for `plan`.

        Raises:
            WorkFailed: another publish has it.
            Outdated: `seen` was presumed, and is not live.
        """
        taken, now_ms = seen.manifest.claim, self._clock_ms()
        if taken and taken.owner != self._owner and now_ms - taken.since_ms < CLAIM_MS:
            self.confirm(seen)
            raise _busy(now_ms - taken.since_ms)
        unsure = tuple(sorted({*seen.manifest.unsure, *plan.keys}))
        return self._write(
            replace(seen.manifest, unsure=unsure, claim=Claim(self._owner, now_ms, plan.manifest.release)),
            seen,
            _busy(0),
        )

    def finish(self, claimed: Seen, plan: Plan) -> Seen:
        """Say that the plan is done.

        Raises:
            WorkFailed: another publish took over meanwhile.
        """
        overtaken = WorkFailed(
            "another publish took over before this one ended", way_out="publish again to be sure"
        )
        return self._write(plan.manifest, claimed, overtaken)

    def _write(self, manifest: Manifest, seen: Seen, otherwise: WorkFailed) -> Seen:
        try:
            etag = self._bucket.put_if(
                MANIFEST_KEY, manifest.to_json().encode(), dict(_HEADERS), etag=seen.etag
            )
        except Changed:
            # An answer may have been lost on its way: then what is there is what we wrote.
            there = self.read()
            if there.manifest == manifest:
                return there
            if seen.presumed:
                raise Outdated(there) from None
            raise otherwise from None
        return self._keep(manifest, etag)

    def _kept(self) -> Seen | None:
        try:
            etag, text = json.loads(self._copy.read_text(encoding="utf-8"))
            return Seen(Manifest.from_json(text), etag)
        except (OSError, ValueError, TypeError):
            return None

    def _keep(self, manifest: Manifest, etag: str) -> Seen:
        self._copy.parent.mkdir(parents=True, exist_ok=True)
        beside = self._copy.with_name(f"{self._copy.name}.unfinished")
        beside.write_text(json.dumps([etag, manifest.to_json()]), encoding="utf-8")
        beside.replace(self._copy)
        return Seen(manifest, etag)


def _busy(age_ms: int) -> WorkFailed:
    since = f", since {age_ms // 1000} s" if age_ms else ""
    return WorkFailed(
        f"another publish is under way{since}",
        way_out="wait for it to end; one that died is given up after half an hour",
    )
