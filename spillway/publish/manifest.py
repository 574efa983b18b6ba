"""The manifest of the live release: a fingerprint of each object, dates of pages, the claim of a publish.

Each publish writes the manifest of its release; the next one reads what it can leave alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from spillway.sitegen.release import DatedDigest

MANIFEST_KEY = "manifest.json"


class UnreadableManifest(ValueError):
    """A text that is no manifest of this version. The message says why."""


@dataclass(frozen=True, slots=True)
class PublishClaim:
    """A publish under way.

    Attributes:
        owner: the token of the publish.
        since_ms: when it claimed the manifest, or last renewed the claim.
        release: the release it publishes.
        in_doubt: keys that overtaken publishes may still write, during this publish or after it. None: this
            publish overtook no other one. Empty: only the theme is in doubt.
        bases: names of bases that it, or a publish whose claim it took over, may have written.
    """

    owner: str
    since_ms: int
    release: str = ""
    in_doubt: tuple[str, ...] | None = None
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptRelease:
    """A release that `spillway rollback` can restore, and when it went live.

    `base` is the release that its saved source is a change of; None: its source is complete.
    """

    release: str
    live_at_ms: int
    products: int
    pages: int
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The live release.

    Attributes:
        objects: a fingerprint for each key.
        retired: keys that no live page uses any more, with the time (ms) of their last use.
        theme: a digest of the live theme; empty while the theme is in doubt.
        kept: the last releases, the live one first.
        dates: since when each page has its content.
        in_doubt: keys whose objects may differ from `objects`. With a claim: the keys its publish may have
            written. Without: the keys an overtaken publish may have written since.
        claim: the publish under way, if any.
        base: the name of the base that `objects` and `dates` are the changes of; without one, they are
            complete.
        gone: keys of the base that are no objects any more.
        undated: paths of the base that are no pages any more.
    """

    release: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    retired: Mapping[str, int] = field(default_factory=dict)
    theme: str = ""
    kept: tuple[KeptRelease, ...] = ()
    dates: Mapping[str, DatedDigest] = field(default_factory=dict)
    in_doubt: tuple[str, ...] = ()
    claim: PublishClaim | None = None
    base: str | None = None
    gone: tuple[str, ...] = ()
    undated: tuple[str, ...] = ()

    def with_doubts(self, keys: Iterable[str]) -> "Manifest":
        """Return this manifest with `keys` and the theme in doubt: the next publish puts them again."""
        if self.claim is None:
            return replace(self, in_doubt=tuple(sorted({*self.in_doubt, *keys})), theme="")
        in_doubt = tuple(sorted({*(self.claim.in_doubt or ()), *keys}))
        return replace(self, claim=replace(self.claim, in_doubt=in_doubt))

    @property
    def all_in_doubt(self) -> "Manifest":
        """This manifest with every object and the theme in doubt."""
        return replace(self, in_doubt=tuple(self.objects), theme="")

    def to_json(self) -> str:
        """Return the manifest as a JSON object.

        A big shop has fifty thousand objects and as many dates: `asdict` would copy each, and lines for them
        would be written by Python instead of C.
        """
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        small = {"kept": [asdict(kept) for kept in self.kept], "claim": self.claim and asdict(self.claim)}
        return json.dumps(document | small, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Return the manifest that `to_json` serialized.

        Raises:
            UnreadableManifest: another version wrote it, with keys or values that this one does not know.
        """
        try:
            return cls._of(json.loads(text))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise UnreadableManifest(f"{type(error).__name__} {error}") from error

    @classmethod
    def _of(cls, document: Mapping[str, Any]) -> "Manifest":
        claim = document.get("claim")
        return cls(
            **{
                **document,
                "kept": tuple(KeptRelease(**kept) for kept in document.get("kept", ())),
                "dates": dates_of(document.get("dates", {})),
                "in_doubt": tuple(document.get("in_doubt", ())),
                "gone": tuple(document.get("gone", ())),
                "undated": tuple(document.get("undated", ())),
                "claim": _claim(claim) if claim else None,
            }
        )


def _claim(document: Mapping[str, Any]) -> PublishClaim:
    in_doubt = document.get("in_doubt")
    return PublishClaim(
        **{
            **document,
            "in_doubt": None if in_doubt is None else tuple(in_doubt),
            "bases": tuple(document.get("bases", ())),
        }
    )


def dates_of(document: Mapping[str, Any]) -> dict[str, DatedDigest]:
    """Return dates of a JSON object."""
    return {path: DatedDigest(*dated) for path, dated in document.items()}
