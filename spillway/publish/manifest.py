"""The manifest of the live release: each publish writes it, the next one reads what it can leave alone."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spillway.sitegen.release import Dated, SiteObject

MANIFEST_KEY = "manifest.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """A publish under way.

    Attributes:
        owner: the token of the publish.
        since_ms: when it claimed the manifest, or last renewed the claim.
        release: the release it publishes.
        in_doubt: keys that overtaken publishes may still write, during this publish or after it. None: this
            publish overtook no other one. Empty: only the theme is in doubt.
    """

    owner: str
    since_ms: int
    release: str = ""
    in_doubt: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A release that `spillway rollback` can restore, and when it went live."""

    release: str
    live_at_ms: int
    products: int
    pages: int


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
    """

    release: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    retired: Mapping[str, int] = field(default_factory=dict)
    theme: str = ""
    kept: tuple[Kept, ...] = ()
    dates: Mapping[str, Dated] = field(default_factory=dict)
    in_doubt: tuple[str, ...] = ()
    claim: Claim | None = None

    def with_doubts(self, keys: Iterable[str]) -> "Manifest":
        """Return this manifest with `keys` and the theme in doubt: the next publish puts them again."""
        if self.claim is None:
            return replace(self, in_doubt=tuple(sorted({*self.in_doubt, *keys})), theme="")
        in_doubt = tuple(sorted({*(self.claim.in_doubt or ()), *keys}))
        return replace(self, claim=replace(self.claim, in_doubt=in_doubt))

    def to_json(self) -> str:
        """Return the manifest as a JSON object."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Return the manifest that `to_json` serialized."""
        document = json.loads(text)
        claim = document.get("claim")
        return cls(
            **{
                **document,
                "kept": tuple(Kept(**kept) for kept in document.get("kept", ())),
                "dates": {path: Dated(*dated) for path, dated in document.get("dates", {}).items()},
                "in_doubt": tuple(document.get("in_doubt", ())),
                "claim": _claim(claim) if claim else None,
            }
        )


def _claim(document: Mapping[str, Any]) -> Claim:
    in_doubt = document.get("in_doubt")
    return Claim(**{**document, "in_doubt": None if in_doubt is None else tuple(in_doubt)})


def fingerprint(site_object: SiteObject) -> str:
    """Return a text that changes with the object's bytes and headers."""
    parts = (site_object.sha256, site_object.content_type, site_object.cache_control, site_object.language)
    return "|".join(part for part in parts if part)


def fingerprints(objects: Iterable[SiteObject]) -> dict[str, str]:
    """Return the fingerprint of each object, by key."""
    return {site_object.key: fingerprint(site_object) for site_object in objects}
