"""What is live: written by each publish beside the theme, read by the next to know what to leave alone."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spillway.build.release import SiteObject

MANIFEST_KEY = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`objects`: a fingerprint for each key of the live release. `retired`: keys that no page of the
    live release asks for any more, with the time (ms) they went out of use."""

    release: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    retired: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object."""
        document = {"release": self.release, "objects": dict(self.objects), "retired": dict(self.retired)}
        return json.dumps(document, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest of a text made by `to_json`."""
        return cls(**json.loads(text))


def fingerprint(site_object: SiteObject) -> str:
    """Changes when the object's bytes or its headers change."""
    return "|".join((site_object.sha256, site_object.content_type, site_object.cache_control))


def fingerprints(objects: Iterable[SiteObject]) -> dict[str, str]:
    """The fingerprint of each object, by key."""
    return {site_object.key: fingerprint(site_object) for site_object in objects}
