"""The cache of CloudFront: answers by their path, for as long as they say, until an invalidation names them.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from spillway.local_cloud.strict.refusals import AwsResponse

CACHED_METHODS = frozenset({"GET", "HEAD"})
CACHED_STATUSES = frozenset({200, 203, 204, 206, 300, 301, 302, 304, 307, 308})
ERROR_CACHING_DEFAULT_S = 10.0
ROOT = "/"
DIRECTIVE = re.compile(r"([a-z-]+)(?:=\"?(\d+))?")
FORBIDDING = frozenset({"no-store", "no-cache", "private"})


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The limits, in seconds, that a cache policy sets to what an origin asks for."""

    min_s: float
    default_s: float
    max_s: float

    def of(self, cache_control: str) -> float:
        """Return for how many seconds an answer with this `Cache-Control` is kept."""
        directives = dict(DIRECTIVE.findall(cache_control.lower()))
        if FORBIDDING & directives.keys():
            return self.min_s
        wanted = directives.get("s-maxage") or directives.get("max-age")
        return max(self.min_s, min(float(wanted), self.max_s) if wanted else self.default_s)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The part of a distribution's configuration that decides about caching."""

    id: str
    root_object: str
    lifetimes_of: Callable[[str], Lifetimes]
    """The limits for a path."""
    error_s: dict[int, float]
    """For how many seconds an error is kept, by the status viewers see."""

    def key(self, path: str) -> str:
        """Return the path an answer is kept under; the root's is that of the object which stands for it."""
        return f"/{self.root_object}" if path == ROOT and self.root_object else path


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: AwsResponse
    since_s: float
    until_s: float


@dataclass(slots=True)
class EdgeCache:
    """The caches of all edges as one. `clock_s` is a clock that never goes back."""

    clock_s: Callable[[], float]
    _kept: dict[tuple[str, str], _Kept] = field(default_factory=dict)

    def find(
        self, distribution: Distribution, method: str, path: str, etag_known: str = ""
    ) -> AwsResponse | None:
        """Return what is kept for a request, or None when the origin has to be asked.

        Args:
            distribution: whose viewer asks.
            method: the request's method.
            path: its path as it was sent.
            etag_known: the request's If-None-Match.
        """
        key = (distribution.id, distribution.key(path))
        kept = self._kept.get(key) if method in CACHED_METHODS else None
        if kept is None:
            return None
        now = self.clock_s()
        if now >= kept.until_s:
            del self._kept[key]
            return None
        status = kept.answer.status
        headers = kept.answer.headers | {"age": str(int(now - kept.since_s)), "x-cache": _hit(status)}
        if etag_known and etag_known == headers.get("etag") and status in CACHED_STATUSES:
            return AwsResponse(
                304, {name: text for name, text in headers.items() if name != "content-length"}, b""
            )
        return AwsResponse(status, headers, b"" if method == "HEAD" else kept.answer.body)

    def keep(self, distribution: Distribution, method: str, path: str, answer: AwsResponse) -> None:
        """Keep an origin's answer, if the distribution may."""
        if method != "GET":
            return
        if answer.status in CACHED_STATUSES:
            lifetime_s = distribution.lifetimes_of(path).of(answer.headers.get("cache-control", ""))
        elif distribution.lifetimes_of(path).max_s > 0:
            lifetime_s = distribution.error_s.get(answer.status, ERROR_CACHING_DEFAULT_S)
        else:
            return
        if lifetime_s > 0:
            now = self.clock_s()
            self._kept[distribution.id, distribution.key(path)] = _Kept(answer, now, now + lifetime_s)

    def invalidate(self, distribution_id: str, paths: Sequence[str]) -> None:
        """Forget what is kept under these paths: exactly those, or with `*` at the end all that begin so."""
        exact = {unquote(path) for path in paths if not path.endswith("*")}
        beginnings = tuple(unquote(path[:-1]) for path in paths if path.endswith("*"))
        for key in [key for key in self._kept if key[0] == distribution_id]:
            path = unquote(key[1])
            if path in exact or (beginnings and path.startswith(beginnings)):
                del self._kept[key]


def _hit(status: int) -> str:
    return "Error from cloudfront" if status not in CACHED_STATUSES else "Hit from cloudfront"


def emulated_distribution(record: dict[str, Any]) -> Distribution:
    """Return what the emulator's record of a distribution says about caching."""
    from ministack.services import cloudfront

    parsed = cloudfront.parse_distribution_dataplane_config(record)

    def lifetimes_of(path: str) -> Lifetimes:
        policy_id = cloudfront._match_behavior(parsed, path).get("cache_policy_id")
        policy = cloudfront._cache_policies.get(policy_id) or cloudfront._MANAGED_CACHE_POLICIES[policy_id]
        config = policy["Config"]
        return Lifetimes(*(float(config[name]) for name in ("MinTTL", "DefaultTTL", "MaxTTL")))

    return Distribution(record["Id"], parsed["default_root_object"], lifetimes_of, _error_lifetimes(record))


def _error_lifetimes(record: dict[str, Any]) -> dict[int, float]:
    from ministack.services import cloudfront

    found: dict[int, float] = {}
    for error in cloudfront._dist_config_el(record).iter():
        if cloudfront._local_tag_name(error) == "CustomErrorResponse":
            shown = cloudfront._text(error, "ResponseCode") or cloudfront._text(error, "ErrorCode")
            lifetime = cloudfront._text(error, "ErrorCachingMinTTL")
            found[int(shown)] = float(lifetime) if lifetime else ERROR_CACHING_DEFAULT_S
    return found
