"""What is live: written by each publish beside the theme, read by the next to know what to leave alone."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spillway.sitegen.release import Dated, SiteObject

MANIFEST_KEY = "manifest.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """That a publish of `release` is under way: who carries it out, and since when.

    `doubted`: keys that overtaken publishes may still write while this one runs, or after it. None where
    this publish overtook nobody; empty where the theme is all that may change.
    """

    owner: str
    since_ms: int
    release: str = ""
    doubted: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A release that can be gone back to, and when it went live."""

    release: str
    live_at_ms: int
    products: int
    pages: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """`objects`: a fingerprint for each key of the live release. `retired`: keys that no page of the
    live release asks for any more, with the time (ms) they went out of use. `theme`: a digest of the live
    theme. `kept`: the last releases, the live one first. `dates`: since when each page
    says what it says.

    While a publish is under way, `claim` says whose and since when, and `unsure` names the keys it may
    have touched: if it never ends, they are not taken to be what `objects` says. Without a claim, `unsure`
    names the keys that an overtaken publish may have touched since, and `theme` is empty.
    """

    release: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    retired: Mapping[str, int] = field(default_factory=dict)
    theme: str = ""
    kept: tuple[Kept, ...] = ()
    dates: Mapping[str, Dated] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    claim: Claim | None = None

    def with_doubts(self, keys: Iterable[str]) -> "Manifest":
        """Return this manifest, with `keys` and the theme to be put again by the next publish."""
        if self.claim is None:
            return replace(self, unsure=tuple(sorted({*self.unsure, *keys})), theme="")
        doubted = tuple(sorted({*(self.claim.doubted or ()), *keys}))
        return replace(self, claim=replace(self.claim, doubted=doubted))

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest of a text made by `to_json`."""
        document = json.loads(text)
        claim = document.get("claim")
        return cls(
            **{
                **document,
                "kept": tuple(Kept(**each) for each in document.get("kept", ())),
                "dates": {path: Dated(*each) for path, each in document.get("dates", {}).items()},
                "unsure": tuple(document.get("unsure", ())),
                "claim": _claim(claim) if claim else None,
            }
        )


def _claim(document: Mapping[str, Any]) -> Claim:
    doubted = document.get("doubted")
    return Claim(**{**document, "doubted": None if doubted is None else tuple(doubted)})


def fingerprint(site_object: SiteObject) -> str:
    """Changes when the object's bytes or its headers change."""
    told = (site_object.sha256, site_object.content_type, site_object.cache_control, site_object.language)
    return "|".join(each for each in told if each)


def fingerprints(objects: Iterable[SiteObject]) -> dict[str, str]:
    """The fingerprint of each object, by key."""
    return {site_object.key: fingerprint(site_object) for site_object in objects}
