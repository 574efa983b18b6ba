"""The live manifest and the claim on it: one publish at a time.

A publish claims the manifest with a conditional write before it changes anything, and ends with another. It
starts from the copy that this machine saved last, presumed to be live; the claim fails if it is not.

While a claim stands, another publish fails at once. A claim is given up after half an hour. A publish that
wakes up after that (its machine slept) checks its claim, at most 5 s after the last check, and stops. Objects
it may have written by then are in doubt: the next publish puts them and the theme again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from chalicelib.aws.response import Response
from spillway.errors import WorkFailed
from spillway.publish.bases import JSON_HEADERS, BaseIsGone, Bases, ManifestBucket
from spillway.publish.manifest import MANIFEST_KEY, Manifest, PublishClaim, UnreadableManifest
from spillway.publish.plan import PublishPlan
from spillway.publish.s3 import PreconditionFailed

# After this time without renewal, the publish that claimed is presumed dead.
CLAIM_MS = 30 * 60 * 1000
CLAIM_RENEWED_AFTER_MS = CLAIM_MS // 3
# A publish writes this long without a check of its claim.
CLAIM_TRUSTED_MS = 5_000
# Other publishes write the manifest too: each one twice, an overtaken one once.
_WRITES_MAX = 10
_READS_MAX = 3


@dataclass(frozen=True, slots=True)
class LiveManifest:
    """A manifest as it was read: complete, or the changes of its base.

    Attributes:
        etag: the ETag of its object; None without one.
        presumed: it comes from the copy on this machine and may be outdated.
    """

    manifest: Manifest
    etag: str | None
    presumed: bool = False


class StaleManifest(Exception):
    """The presumed manifest is not live; `live` is."""

    def __init__(self, live: LiveManifest) -> None:
        super().__init__()
        self.live = live


@dataclass(frozen=True, slots=True)
class Claimant:
    """A publish that may claim.

    Attributes:
        token: unique to this publish.
        ended: tokens of publishes that write no more; this publish may take over their claims at once.
    """

    token: str
    ended: frozenset[str] = frozenset()


class ManifestStore:
    """The manifest of one stage, with a copy in the file `copy`, and one of its base beside it.

    Args:
        bucket: the release bucket.
        claimant: this publish.
        clock_ms: returns the time of now.
        copy: the file of the copy.
        hint: the way out where another version of Spillway wrote the live manifest.
        complete: read complete manifests; otherwise the changes of their base, which is not read.
    """

    def __init__(
        self,
        bucket: ManifestBucket,
        claimant: Claimant,
        clock_ms: Callable[[], int],
        copy: Path,
        *,
        hint: str = "",
        complete: bool = True,
    ) -> None:
        self._bucket = bucket
        self._claimant = claimant
        self._clock_ms = clock_ms
        self._copy = copy
        self._hint = hint
        self._complete = complete
        self._bases = Bases(bucket, copy.with_name(f"{copy.name}.base"))

    @property
    def of_changes(self) -> "ManifestStore":
        """The same manifest, read and written as the changes of its base."""
        return ManifestStore(
            self._bucket, self._claimant, self._clock_ms, self._copy, hint=self._hint, complete=False
        )

    def read(self) -> LiveManifest:
        """Return the live manifest. One request; a manifest equal to the copy is not sent again.

        Raises:
            WorkFailed: another version of Spillway wrote it.
        """
        known = self._read_copy()
        for _ in range(_READS_MAX):
            response = self._bucket.get(MANIFEST_KEY, unless=known.etag if known else None)
            try:
                return known if response.status == 304 and known else self._parse(response)
            except BaseIsGone:
                # Another publish has written its manifest since, and deleted the base of this one.
                known = None
        raise WorkFailed("the base of the live manifest is gone", hint=self._hint)

    def presumed(self) -> LiveManifest:
        """Return the copy without a request, or the live manifest if there is no copy."""
        known = self._read_copy()
        return replace(known, presumed=True) if known else self.read()

    def confirm(self, live: LiveManifest) -> None:
        """Verify that a presumed manifest is live. One request, or none if it was read.

        Raises:
            StaleManifest: it is not.
        """
        if live.presumed and (current := self.read()).manifest != live.manifest:
            raise StaleManifest(current)

    def claim(self, live: LiveManifest, plan: PublishPlan) -> "HeldClaim":
        """Claim the shop for `plan`.

        Raises:
            WorkFailed: another publish is under way.
            StaleManifest: `live` was presumed, and is not live.
        """
        other, now_ms = live.manifest.claim, self._clock_ms()
        overtakes = other is not None and other.owner not in {self._claimant.token, *self._claimant.ended}
        if other and overtakes and now_ms - other.since_ms < CLAIM_MS:
            self.confirm(live)
            raise _busy(now_ms - other.since_ms)
        # An overtaken publish may wake up at any time and send what it was about to.
        still_in_doubt = _union(
            other.in_doubt if other else None, live.manifest.in_doubt if overtakes else None
        )
        in_doubt = tuple(sorted({*live.manifest.in_doubt, *plan.keys}))
        claim = PublishClaim(
            self._claimant.token,
            now_ms,
            plan.manifest.release,
            still_in_doubt,
            self._bases_of(plan.manifest, other),
        )
        claimed = self._put_claim(replace(live.manifest, in_doubt=in_doubt, claim=claim), live)
        return HeldClaim(self, claimed, plan, self._clock_ms, checked_at_ms=now_ms)

    def renew(self, claimed: LiveManifest, plan: PublishPlan) -> LiveManifest:
        """Check the claim, and extend it after a third of its time. One request, or two.

        Raises:
            WorkFailed: another publish took over; the keys of `plan` are marked as in doubt.
        """
        current = self._checked(claimed, plan)
        claim, now_ms = _claim_of(current.manifest), self._clock_ms()
        if now_ms - claim.since_ms < CLAIM_RENEWED_AFTER_MS:
            return current

        def extended(manifest: Manifest) -> Manifest:
            return replace(manifest, claim=replace(_claim_of(manifest), since_ms=now_ms))

        return self._rewrite(current, plan, extended)

    def finish(self, claimed: LiveManifest, plan: PublishPlan) -> LiveManifest:
        """Write the manifest of the finished plan. Keys of overtaken publishes stay in doubt.

        Raises:
            WorkFailed: another publish took over; the keys of `plan` are marked as in doubt.
        """

        def finished(manifest: Manifest) -> Manifest:
            in_doubt = _claim_of(manifest).in_doubt
            return plan.manifest if in_doubt is None else plan.manifest.with_doubts(in_doubt)

        unused = {self._bases.current, *_claim_of(claimed.manifest).bases}
        done = self._rewrite(claimed, plan, finished)
        self._bases.delete(name for name in unused - {self._bases.current} if name and self._complete)
        return done

    def _bases_of(self, manifest: Manifest, other: PublishClaim | None) -> tuple[str, ...]:
        """Return the bases that a publish of `manifest` may write, or the one that it takes over from."""
        _, base = self._bases.split(manifest) if self._complete else (manifest, None)
        names = {*(other.bases if other else ()), *([base.name] if base else [])}
        return tuple(sorted(names - {self._bases.current}))

    def _rewrite(
        self, claimed: LiveManifest, plan: PublishPlan, change: Callable[[Manifest], Manifest]
    ) -> LiveManifest:
        """Write `change` of the claimed manifest; overtaken publishes may add doubts meanwhile."""
        for _ in range(_WRITES_MAX):
            manifest = change(claimed.manifest)
            try:
                return self._put(manifest, claimed.etag)
            except PreconditionFailed:
                # If the response to our own write was lost, the current manifest is ours.
                current = self.read()
                if current.manifest == manifest:
                    return current
                claimed = self._checked(current, plan)
        raise _contested()

    def _checked(self, claimed: LiveManifest, plan: PublishPlan) -> LiveManifest:
        response = self._bucket.get(MANIFEST_KEY, unless=claimed.etag)
        current = claimed if response.status == 304 else self.read()
        claim = current.manifest.claim
        if claim is not None and claim.owner == self._claimant.token:
            return current
        self._mark_in_doubt(plan, current)
        raise WorkFailed(
            "another publish took over before this one ended",
            hint="publish again: pages that this one may have written over the other's are put again",
        )

    def _mark_in_doubt(self, plan: PublishPlan, current: LiveManifest) -> None:
        for _ in range(_WRITES_MAX):
            doubtful = current.manifest.with_doubts(plan.keys)
            if doubtful == current.manifest:
                return
            try:
                self._put(doubtful, current.etag)
            except PreconditionFailed:
                current = self.read()
            else:
                return
        raise _contested()

    def _put_claim(self, manifest: Manifest, live: LiveManifest) -> LiveManifest:
        try:
            return self._put(manifest, live.etag)
        except PreconditionFailed:
            # If the response to our own write was lost, the current manifest is ours.
            current = self.read()
            if current.manifest == manifest:
                return current
            if live.presumed:
                raise StaleManifest(current) from None
            raise _busy(0) from None

    def _put(self, manifest: Manifest, etag: str | None) -> LiveManifest:
        stored, base = self._bases.split(manifest) if self._complete else (manifest, None)
        if base:
            self._bases.put(base)
        etag = self._bucket.put_if(MANIFEST_KEY, stored.to_json().encode(), dict(JSON_HEADERS), etag=etag)
        if self._complete:
            self._bases.keep(base)
        self._save_copy(stored, etag)
        return LiveManifest(manifest, etag)

    def _parse(self, response: Response) -> LiveManifest:
        if response.status == 404:
            return LiveManifest(Manifest(), None)
        try:
            stored = Manifest.from_json(response.body.decode())
            manifest = self._bases.completed(stored) if self._complete else stored
        except UnreadableManifest as error:
            raise WorkFailed(
                f"another version of Spillway wrote the live {MANIFEST_KEY}: {error}", hint=self._hint
            ) from error
        etag = response.headers.get("etag", "")
        self._save_copy(stored, etag)
        return LiveManifest(manifest, etag)

    def _read_copy(self) -> LiveManifest | None:
        try:
            etag, text = json.loads(self._copy.read_text(encoding="utf-8"))
            stored = Manifest.from_json(text)
            return LiveManifest(self._bases.completed_here(stored) if self._complete else stored, etag)
        except (OSError, ValueError, TypeError, BaseIsGone):
            return None

    def _save_copy(self, stored: Manifest, etag: str) -> None:
        self._copy.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._copy.with_name(f"{self._copy.name}.unfinished")
        unfinished.write_text(json.dumps([etag, stored.to_json()]), encoding="utf-8")
        unfinished.replace(self._copy)


class HeldClaim:
    """A claim, for as long as its publish writes."""

    def __init__(
        self,
        store: ManifestStore,
        claimed: LiveManifest,
        plan: PublishPlan,
        clock_ms: Callable[[], int],
        *,
        checked_at_ms: int,
    ) -> None:
        self._store = store
        self._claimed = claimed
        self._plan = plan
        self._clock_ms = clock_ms
        self._checked_at_ms = checked_at_ms

    @property
    def manifest(self) -> Manifest:
        """The claimed manifest at the last check."""
        return self._claimed.manifest

    @property
    def trusted(self) -> bool:
        """True if the claim was checked within `CLAIM_TRUSTED_MS`, by a clock that was not set back."""
        return 0 <= self._clock_ms() - self._checked_at_ms < CLAIM_TRUSTED_MS

    def check(self) -> None:
        """Verify that the claim stands. One request, or none while it is trusted.

        Raises:
            WorkFailed: another publish took over; the keys of the plan are marked as in doubt.
        """
        if not self.trusted:
            now_ms = self._clock_ms()
            self._claimed = self._store.renew(self._claimed, self._plan)
            self._checked_at_ms = now_ms

    def finish(self) -> LiveManifest:
        """Write the manifest of the finished plan; see `ManifestStore.finish`."""
        return self._store.finish(self._claimed, self._plan)


def _claim_of(manifest: Manifest) -> PublishClaim:
    if manifest.claim is None:
        raise AssertionError("a claimed manifest has a claim")
    return manifest.claim


def _union(*keys: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return all the keys, sorted; None where every argument is None."""
    known = [group for group in keys if group is not None]
    return tuple(sorted(set().union(*known))) if known else None


def _contested() -> WorkFailed:
    return WorkFailed("others wrote the manifest all the time", hint="publish again when they are done")


def _busy(age_ms: int) -> WorkFailed:
    since = f", since {age_ms // 1000} s" if age_ms > 0 else ""
    return WorkFailed(
        f"another publish is under way{since}",
        hint="wait for it to end; one that died is given up after half an hour",
    )
