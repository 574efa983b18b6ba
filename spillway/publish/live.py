"""The live release as its manifest tells it, and who may change it: one publish at a time.

A publish claims the manifest by a conditional write before it touches anything, and ends with another. What
this machine saw last is presumed to be live still: the first of the two finds out.

A publish that comes second fails at once. One that was overtaken after a long silence (its machine slept)
finds out at its next look at the claim, at most 5 s after it last looked, and stops. Objects it may have
written by then are in doubt: the publish after it puts those keys and the theme again.
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

# After it, a claim is taken to be that of a publish that died elsewhere. One that lives renews its claim.
CLAIM_MS = 30 * 60 * 1000
CLAIM_RENEWED_AFTER_MS = CLAIM_MS // 3
# So long, a publish writes without a look at its claim.
CLAIM_TRUSTED_MS = 5_000
# Others write the manifest too: each publish twice, each overtaken one once.
_WRITES_MAX = 10
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


@dataclass(frozen=True, slots=True)
class Claimant:
    """A publish that claims. `token` is its own and no other's; `ended` are the tokens of publishes that
    surely write no more, so that what they left is taken up at once."""

    token: str
    ended: frozenset[str] = frozenset()


class LiveRelease:
    """The manifest of one stage. `copy` is a file to keep the last one in."""

    def __init__(
        self, bucket: ManifestBucket, claimant: Claimant, clock_ms: Callable[[], int], copy: Path
    ) -> None:
        self._bucket = bucket
        self._claimant = claimant
        self._clock_ms = clock_ms
        self._copy = copy

    def read(self) -> Seen:
        """What is live now. One request; a manifest that this machine has seen is not sent again."""
        known = self._kept()
        answer = self._bucket.get(MANIFEST_KEY, unless=known.etag if known else None)
        if answer.status == 304 and known:
            return known
        return self._seen_in(answer)

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

    def claim(self, seen: Seen, plan: Plan) -> "Hold":
        """Take the shop for `plan`.

        Raises:
            WorkFailed: another publish has it.
            Outdated: `seen` was presumed, and is not live.
        """
        taken, now_ms = seen.manifest.claim, self._clock_ms()
        overtakes = taken is not None and taken.owner not in {self._claimant.token, *self._claimant.ended}
        if taken and overtakes and now_ms - taken.since_ms < CLAIM_MS:
            self.confirm(seen)
            raise _busy(now_ms - taken.since_ms)
        # A publish that is overtaken may wake up at any time, and write what it was about to.
        doubted = _together(taken.doubted if taken else None, seen.manifest.unsure if overtakes else None)
        unsure = tuple(sorted({*seen.manifest.unsure, *plan.keys}))
        claim = Claim(self._claimant.token, now_ms, plan.manifest.release, doubted)
        claimed = self._write(replace(seen.manifest, unsure=unsure, claim=claim), seen, _busy(0))
        return Hold(self, claimed, plan, self._clock_ms, looked_at_ms=now_ms)

    def renew(self, claimed: Seen, plan: Plan) -> Seen:
        """Look at the claim, and prolong one that is not new any more. One request, or two.

        Raises:
            WorkFailed: another publish took over; what this one may have written is marked as in doubt.
        """
        there = self._still_claimed(claimed, plan)
        claim, now_ms = _claim_of(there.manifest), self._clock_ms()
        if now_ms - claim.since_ms < CLAIM_RENEWED_AFTER_MS:
            return there
        return self._rewrite(
            there, plan, lambda each: replace(each, claim=replace(_claim_of(each), since_ms=now_ms))
        )

    def finish(self, claimed: Seen, plan: Plan) -> Seen:
        """Write that the plan is done. Keys that overtaken publishes may have written stay in doubt.

        Raises:
            WorkFailed: another publish took over; what this one may have written is marked as in doubt.
        """

        def ended(claimed: Manifest) -> Manifest:
            doubted = _claim_of(claimed).doubted
            return plan.manifest if doubted is None else plan.manifest.with_doubts(doubted)

        return self._rewrite(claimed, plan, ended)

    def _rewrite(self, claimed: Seen, plan: Plan, change: Callable[[Manifest], Manifest]) -> Seen:
        """Write what `change` makes of the claimed manifest, to which overtaken publishes may add doubts."""
        for _ in range(_WRITES_MAX):
            manifest = change(claimed.manifest)
            try:
                return self._keep(manifest, self._put(manifest, claimed.etag))
            except Changed:
                # An answer may have been lost on its way: then what is there is what we wrote.
                there = self.read()
                if there.manifest == manifest:
                    return there
                claimed = self._still_claimed(there, plan)
        raise _contested()

    def _still_claimed(self, claimed: Seen, plan: Plan) -> Seen:
        answer = self._bucket.get(MANIFEST_KEY, unless=claimed.etag)
        there = claimed if answer.status == 304 else self._seen_in(answer)
        claim = there.manifest.claim
        if claim is not None and claim.owner == self._claimant.token:
            return there
        self._doubt(plan, there)
        raise WorkFailed(
            "another publish took over before this one ended",
            hint="publish again: pages that this one may have written over the other's are put again",
        )

    def _doubt(self, plan: Plan, there: Seen) -> None:
        """Write that the next publish is to put again what `plan` may have touched."""
        for _ in range(_WRITES_MAX):
            doubtful = there.manifest.with_doubts(plan.keys)
            if doubtful == there.manifest:
                return
            try:
                self._keep(doubtful, self._put(doubtful, there.etag))
            except Changed:
                there = self.read()
            else:
                return
        raise _contested()

    def _write(self, manifest: Manifest, seen: Seen, otherwise: WorkFailed) -> Seen:
        try:
            etag = self._put(manifest, seen.etag)
        except Changed:
            # An answer may have been lost on its way: then what is there is what we wrote.
            there = self.read()
            if there.manifest == manifest:
                return there
            if seen.presumed:
                raise Outdated(there) from None
            raise otherwise from None
        return self._keep(manifest, etag)

    def _put(self, manifest: Manifest, etag: str | None) -> str:
        return self._bucket.put_if(MANIFEST_KEY, manifest.to_json().encode(), dict(_HEADERS), etag=etag)

    def _seen_in(self, answer: Answer) -> Seen:
        if answer.status == 404:
            return Seen(Manifest(), None)
        return self._keep(Manifest.from_json(answer.body.decode()), answer.headers.get("etag", ""))

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


class Hold:
    """A claim, while the publish that took it writes. `manifest` is the claimed one."""

    def __init__(
        self,
        live: LiveRelease,
        claimed: Seen,
        plan: Plan,
        clock_ms: Callable[[], int],
        *,
        looked_at_ms: int,
    ) -> None:
        self._live = live
        self._claimed = claimed
        self._plan = plan
        self._clock_ms = clock_ms
        self._looked_at_ms = looked_at_ms

    @property
    def manifest(self) -> Manifest:
        """The manifest as it was when the claim was last looked at."""
        return self._claimed.manifest

    @property
    def trusted(self) -> bool:
        """Return whether the claim was looked at within `CLAIM_TRUSTED_MS`, by a clock not put back."""
        return 0 <= self._clock_ms() - self._looked_at_ms < CLAIM_TRUSTED_MS

    def check(self) -> None:
        """Go on only while the claim stands. A request, unless it is trusted.

        Raises:
            WorkFailed: another publish took over; what this one may have written is marked as in doubt.
        """
        if not self.trusted:
            now_ms = self._clock_ms()
            self._claimed = self._live.renew(self._claimed, self._plan)
            self._looked_at_ms = now_ms

    def finish(self) -> Seen:
        """See `LiveRelease.finish`."""
        return self._live.finish(self._claimed, self._plan)


def _claim_of(manifest: Manifest) -> Claim:
    if manifest.claim is None:
        raise AssertionError("a claimed manifest has a claim")
    return manifest.claim


def _together(*keys: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return every key, sorted; None where each is None."""
    known = [each for each in keys if each is not None]
    return tuple(sorted(set().union(*known))) if known else None


def _contested() -> WorkFailed:
    return WorkFailed("others wrote the manifest all the time", hint="publish again when they are done")


def _busy(age_ms: int) -> WorkFailed:
    since = f", since {age_ms // 1000} s" if age_ms else ""
    return WorkFailed(
        f"another publish is under way{since}",
        hint="wait for it to end; one that died is given up after half an hour",
    )
