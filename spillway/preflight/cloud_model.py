"""Models of the AWS services that limit a campaign, each with the page that documents its behaviour.

Time is an argument everywhere, in seconds from the campaign's start; nothing reads a clock.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from math import floor
from random import Random
from typing import NamedTuple

from spillway.preflight.limits import FloodLimits
from spillway.preflight.usage import REGIONAL_CACHES

# "Throttling can occur if you exceed double your previous peak within 30 minutes."
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html (2026-11)
GROWTH_FACTOR = 2
GROWTH_AFTER_S = 30 * 60
DAY_S = 24 * 3600
# The simulation ends here even if emails are left.
TAIL_S_MAX = 14 * 24 * 3600
TAIL_STEP_S = 60
# Points of presence that serve the visitors of one campaign, of several hundred. An assumption; the
# largest serves a hundred times as many as the smallest.
EDGES = 100
# `s-maxage` of a page. Assets and pictures are cached for a year: they never expire here.
PAGE_TTL_S = 86_400
# Never cached: fresh until before the first second.
NEVER = -1


class TokenBucket:
    """A token bucket, as in API Gateway and Lambda: `per_s` tokens a second, at most `burst`."""

    def __init__(self, per_s: float, burst: float, *, at_s: float = 0.0) -> None:
        self._per_s = per_s
        self._burst = burst
        self._held = burst
        self._at_s = at_s

    def take(self, *, at_s: float) -> bool:
        """Take one token; return False if there is none."""
        held = min(self._burst, self._held + (at_s - self._at_s) * self._per_s)
        self._at_s = at_s
        taken = held >= 1
        self._held = held - 1 if taken else held
        return taken


class CallStart(StrEnum):
    """How Lambda started a call."""

    WARM = "warm"
    COLD = "cold"
    THROTTLED = "throttled"


class LambdaInstances:
    """The instances of one function: reused while warm, started when none is idle.

    Scaling refills continuously and does not accumulate:
    https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html (2026-11). Idle instances are kept: a
    flood leaves none idle for the minutes after which Lambda may stop them.
    """

    def __init__(
        self, *, most: int, new_per_10_s: float, calls_per_s: float, init_s: float, ready: int = 0
    ) -> None:
        """Start with `ready` warm instances (provisioned concurrency).

        Args:
            most: Instances at once.
            new_per_10_s: Instances started in 10 seconds.
            calls_per_s: Calls a second of one instance.
            init_s: Time a new instance needs before its first call, in seconds.
            ready: Instances that are warm from the start.
        """
        self._most = most
        self._init_s = init_s
        self._busy_until: list[float] = []
        self._idle = ready
        self._scaling = TokenBucket(new_per_10_s / 10, new_per_10_s)
        # The call rate of all instances together; it is the limit for short calls.
        self._calls = TokenBucket(most * calls_per_s, most * calls_per_s)
        self.made = 0

    def call(self, *, at_s: float, duration_s: float) -> tuple[CallStart, float]:
        """Call the function; return how it started and when it ends. Calls come in order of time."""
        self._free(at_s)
        if self._idle:
            start, ends_s = CallStart.WARM, at_s + duration_s
        elif len(self._busy_until) >= self._most or not self._scaling.take(at_s=at_s):
            return CallStart.THROTTLED, at_s
        else:
            start, ends_s = CallStart.COLD, at_s + self._init_s + duration_s
        if not self._calls.take(at_s=at_s):
            return CallStart.THROTTLED, at_s
        if start is CallStart.WARM:
            self._idle -= 1
        else:
            self.made += 1
        heapq.heappush(self._busy_until, ends_s)
        return start, ends_s

    @property
    def busy(self) -> int:
        """Return the number of busy instances, as of the last call."""
        return len(self._busy_until)

    def _free(self, at_s: float) -> None:
        while self._busy_until and self._busy_until[0] <= at_s:
            heapq.heappop(self._busy_until)
            self._idle += 1


class TableCapacity:
    """The write capacity of an on-demand table: `warm` units a second, `per_partition` for each partition.

    DynamoDB saves up to 300 s of a partition's unused capacity; the model saves none, and throttles too early
    rather than too late.
    """

    def __init__(self, *, warm: float, per_partition: float) -> None:
        self._warm = warm
        self._per_partition = per_partition
        self._second = -1
        self._taken: dict[int, float] = {}
        self._all = 0.0
        self._peaks: deque[tuple[int, float]] = deque()
        self._peak_before = 0.0
        self.capacity = warm
        """Write units of the current second."""
        self._partitions = self._partitions_needed()

    def write(self, key_hash: int, *, at_s: float) -> bool:
        """Write one unit to a key's partition; return False if the partition or the table is throttled."""
        self._advance(int(at_s))
        partition = key_hash % self._partitions
        taken = self._taken.get(partition, 0.0) + 1
        if self._all + 1 > self.capacity or taken > self._per_partition:
            return False
        self._taken[partition] = taken
        self._all += 1
        return True

    def _advance(self, second: int) -> None:
        if second == self._second:
            return
        if self._all:
            self._peaks.append((self._second, self._all))
        while self._peaks and second - self._peaks[0][0] >= GROWTH_AFTER_S:
            self._peak_before = max(self._peak_before, self._peaks.popleft()[1])
            self.capacity = max(self._warm, GROWTH_FACTOR * self._peak_before)
            self._partitions = self._partitions_needed()
        self._second, self._all = second, 0.0
        self._taken.clear()

    def _partitions_needed(self) -> int:
        return max(1, round(self.capacity / self._per_partition)) if self._per_partition else 1


class EmailQueue:
    """Emails that wait for SES, first come first served: `per_s` a second, `per_day` in 24 hours.

    Emails are counted by the second in which they joined.
    """

    def __init__(self, *, per_s: float, per_day: float) -> None:
        self._per_s = per_s
        self._per_day = per_day
        self._credit = 0.0
        self._sent: deque[tuple[int, int]] = deque()
        self._sent_in_window = 0
        self._waiting: deque[tuple[int, int]] = deque()
        self.depth = 0
        self.sent = 0
        self.wait_s_max = 0
        self.wait_s_sum = 0.0

    def put(self, emails: int, *, at_s: int) -> None:
        """Add emails to the queue."""
        if emails:
            self._waiting.append((at_s, emails))
            self.depth += emails

    def send(self, *, at_s: int, for_s: int = 1) -> int:
        """Send the emails that `for_s` seconds allow; return their number."""
        while self._sent and at_s - self._sent[0][0] >= DAY_S:
            self._sent_in_window -= self._sent.popleft()[1]
        self._credit = min(self._credit + self._per_s * for_s, self._per_s * for_s + 1)
        room = min(floor(self._credit), int(self._per_day) - self._sent_in_window, self.depth)
        self._credit -= room
        left = room
        while left:
            joined_s, emails = self._waiting.popleft()
            taken = min(emails, left)
            left -= taken
            self.wait_s_max = max(self.wait_s_max, at_s - joined_s)
            self.wait_s_sum += (at_s - joined_s) * taken
            if taken < emails:
                self._waiting.appendleft((joined_s, emails - taken))
        if room:
            self._sent.append((at_s, room))
            self._sent_in_window += room
            self.depth -= room
            self.sent += room
        return room


def fan_out_s(emails: int, limits: FloodLimits) -> int:
    """Return the seconds until the last of `emails` is sent at SES's rate."""
    queue = EmailQueue(per_s=limits.emails_per_s.value, per_day=limits.emails_per_day.value)
    queue.put(emails, at_s=0)
    at_s = 0
    while queue.depth and at_s < TAIL_S_MAX:
        queue.send(at_s=at_s, for_s=TAIL_STEP_S)
        at_s += TAIL_STEP_S
    return at_s


def emails_per_s_needed(accepted_per_s: Sequence[int], *, wait_s_max: int) -> float:
    """Return the lowest rate of SES at which no confirmation email waits longer than `wait_s_max`."""
    low, high = 0.0, float(max(max(accepted_per_s, default=0), 1))
    for _ in range(24):
        middle = (low + high) / 2
        if _wait_s_max(accepted_per_s, middle) <= wait_s_max:
            high = middle
        else:
            low = middle
    return high


def _wait_s_max(accepted_per_s: Sequence[int], pace: float) -> float:
    # First come, first served: an email waits until all before it are sent.
    worst = depth = 0.0
    for accepted in accepted_per_s:
        depth = max(0.0, depth + accepted - pace)
        worst = max(worst, depth / pace)
    return worst


class CacheMisses(NamedTuple):
    """Requests that a second of views caused: from the edges, and from the bucket."""

    edge_misses: int = 0
    origin_reads: int = 0


class CdnCache:
    """The CDN's caches of one page and its `assets`, empty when a campaign starts.

    An edge asks its regional cache, which asks the bucket; concurrent requests for one object wait for the
    first. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HowCloudFrontWorks.html
    (2026-11)
    """

    def __init__(self, *, assets: int, dice: Random, edges: int = EDGES) -> None:
        self._assets = assets
        self._dice = dice
        self._shares = _shares(edges)
        self._edges = [NEVER] * edges
        self._regions = [NEVER] * REGIONAL_CACHES
        self._all_fresh_until_s = NEVER

    def view(self, views: int, *, at_s: int) -> CacheMisses:
        """Spread the views of this second over the edges; return the requests that they cause."""
        if not views or at_s < self._all_fresh_until_s:
            return CacheMisses()
        edge_misses = origin_reads = 0
        for edge, share in enumerate(self._shares):
            fresh = at_s < self._edges[edge]
            if fresh or self._dice.random() < (1 - share) ** views:  # no visitor at this edge
                continue
            edge_misses += self._fetched(self._edges, edge, at_s)
            region = edge % REGIONAL_CACHES
            if at_s >= self._regions[region]:
                origin_reads += self._fetched(self._regions, region, at_s)
        self._all_fresh_until_s = min(self._edges)
        return CacheMisses(edge_misses, origin_reads)

    def _fetched(self, caches: list[int], place: int, at_s: int) -> int:
        objects = 1 + (self._assets if caches[place] == NEVER else 0)
        caches[place] = at_s + PAGE_TTL_S
        return objects


def _shares(edges: int) -> Sequence[float]:
    weights = [1 / (rank + 1) for rank in range(edges)]
    return [weight / sum(weights) for weight in weights]
