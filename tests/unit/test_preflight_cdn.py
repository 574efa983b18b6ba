"""The CDN's caches: what a flood asks of the bucket."""

from random import Random

import pytest

from spillway.preflight.cloud_model import EDGES, PAGE_TTL_S, CacheMisses, CdnCache
from spillway.preflight.usage import REGIONAL_CACHES

MANY = 10**7


def test_every_edge_and_every_region_asks_once_however_many_come() -> None:
    cache = CdnCache(assets=4, dice=Random(1))
    assert cache.view(MANY, at_s=0) == CacheMisses(EDGES * 5, REGIONAL_CACHES * 5)
    assert cache.view(MANY, at_s=1) == CacheMisses(0, 0)


def test_a_page_is_asked_for_again_when_it_is_old_and_what_it_shows_is_not() -> None:
    cache = CdnCache(assets=4, dice=Random(1))
    cache.view(MANY, at_s=0)
    assert cache.view(MANY, at_s=PAGE_TTL_S - 1) == CacheMisses(0, 0)
    assert cache.view(MANY, at_s=PAGE_TTL_S) == CacheMisses(EDGES, REGIONAL_CACHES)


def test_nobody_asks_for_nothing() -> None:
    assert CdnCache(assets=1, dice=Random(1)).view(0, at_s=0) == CacheMisses(0, 0)


def test_as_many_edges_are_warm_as_chance_would_have_it() -> None:
    # Ten places, visited by shares of 1/rank: the mean number of those visited at all is known.
    shares = [1 / rank for rank in range(1, 11)]
    shares = [share / sum(shares) for share in shares]
    expected = sum(1 - (1 - share) ** 12 for share in shares)
    found = [
        sum(cache.view(3, at_s=second).edge_misses for second in range(4))
        for cache in (CdnCache(assets=0, dice=Random(seed), edges=10) for seed in range(400))
    ]
    assert sum(found) / len(found) == pytest.approx(expected, rel=0.03)


def test_a_region_is_asked_by_all_of_its_edges_and_asks_once() -> None:
    cache = CdnCache(assets=0, dice=Random(1), edges=2 * REGIONAL_CACHES)
    assert cache.view(MANY, at_s=0) == CacheMisses(2 * REGIONAL_CACHES, REGIONAL_CACHES)
