"""The CDN's caches: cold when a campaign begins, each asking the one behind it once, the last one the bucket.

A visitor's edge looks into its regional cache, and that one into the bucket; who asks for what is being
fetched already waits for it. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HowCloudFrontWorks.html
(2026-11)
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from spillway.preflight.usage import REGIONAL_CACHES

# Points of presence that the visitors of one campaign come in by, of several hundred. Assumed; the
# largest sees a hundred times as many as the smallest.
EDGES = 100
# `s-maxage` of a page. Assets and pictures are kept for a year: they never get old here.
PAGE_TTL_S = 86_400
# Fresh until before the first second: nothing was ever fetched.
NEVER = -1


class Fetched(NamedTuple):
    """What a second of views had the edges ask for, and how much of it the bucket was asked."""

    edge_misses: int = 0
    origin_reads: int = 0


class CdnCache:
    """Caches of one page and the `assets` that it shows. Time is given, never looked up."""

    def __init__(self, *, assets: int, dice: Random, edges: int = EDGES) -> None:
        self._assets = assets
        self._dice = dice
        self._shares = _shares(edges)
        self._edges = [NEVER] * edges
        self._regions = [NEVER] * REGIONAL_CACHES
        self._all_fresh_until_s = NEVER

    def view(self, views: int, *, at_s: int) -> Fetched:
        """So many views of the page in this second, spread over the edges."""
        if not views or at_s < self._all_fresh_until_s:
            return Fetched()
        edge_misses = origin_reads = 0
        for edge, share in enumerate(self._shares):
            fresh = at_s < self._edges[edge]
            if fresh or self._dice.random() < (1 - share) ** views:  # nobody came by this one
                continue
            edge_misses += self._fetched(self._edges, edge, at_s)
            region = edge % REGIONAL_CACHES
            if at_s >= self._regions[region]:
                origin_reads += self._fetched(self._regions, region, at_s)
        self._all_fresh_until_s = min(self._edges)
        return Fetched(edge_misses, origin_reads)

    def _fetched(self, caches: list[int], place: int, at_s: int) -> int:
        objects = 1 + (self._assets if caches[place] == NEVER else 0)
        caches[place] = at_s + PAGE_TTL_S
        return objects


def _shares(edges: int) -> Sequence[float]:
    weights = [1 / (rank + 1) for rank in range(edges)]
    return [weight / sum(weights) for weight in weights]
