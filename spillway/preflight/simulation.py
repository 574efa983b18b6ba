"""Simulate a campaign second by second with its own clock and random numbers: one seed, one result.

Visitors arrive by the curve and find caches cold or warm. Some sign up after a while. Each call passes the
API's throttle, a Lambda instance and the table's partitions; a rejected shopper tries again, a few times.
Emails for accepted signups leave at SES's rate; shoppers who receive one return to confirm. Nothing here
calls AWS: every limit comes from `limits`, every duration from `measured`.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from zlib import crc32

from chalicelib.domain.entry import CONFIRM_WITHIN_S, SHARDS
from spillway.preflight.amounts import MEMORY_MB, Measured, Step
from spillway.preflight.campaign import Campaign
from spillway.preflight.cloud_model import (
    TAIL_S_MAX,
    TAIL_STEP_S,
    CallStart,
    CdnCache,
    EmailQueue,
    LambdaInstances,
    TableCapacity,
    TokenBucket,
    fan_out_s,
)
from spillway.preflight.limits import FloodLimits

# People's behaviour: assumptions, not measurements.
SIGNUP_AFTER_S_MEAN = 40.0  # a shopper reads the page before sending its form
CONFIRM_AFTER_S_MEAN = 300.0  # a shopper finds and opens the email
BUTTON_AFTER_S = 5.0  # a shopper reads the page of the link
TRIES_MAX = 4
# The shop's script asks rejected shoppers to try again in a minute; people are not punctual.
TRY_AGAIN_AFTER_S = (30.0, 90.0)
# Time that a new Lambda instance needs to start Python and this application.
INIT_S = 0.6
FINE_TAIL_S = 2 * 3600


class Resource(StrEnum):
    """A resource that can reject a call."""

    API = "API throttle"
    LAMBDA = "Lambda instances"
    TABLE = "entries table"
    INDEX = "waitlist index"


@dataclass(slots=True)
class SimulatedSecond:
    """One second of a run, or `step_s` seconds in its long tail; `emails_waiting` is the value at its end."""

    at_s: int
    step_s: int = 1
    visitors: int = 0
    calls: int = 0
    accepted: int = 0
    throttled: int = 0
    busy: int = 0
    cold_starts: int = 0
    table_units: int = 0
    index_units: int = 0
    emails_waiting: int = 0
    emails_sent: int = 0
    edge_misses: int = 0
    origin_reads: int = 0


@dataclass(slots=True)
class SimulationResult:
    """The result of a run. `signups` were tried, `accepted` were stored, `gave_up` were rejected for good."""

    seconds: list[SimulatedSecond] = field(default_factory=list)
    throttled: Counter[Resource] = field(default_factory=Counter)
    first_throttle: tuple[Resource, int] | None = None
    visitors: int = 0
    signups: int = 0
    accepted: int = 0
    confirmed: int = 0
    gave_up: int = 0
    cold_starts: int = 0
    email_wait_s_max: int = 0
    emails_unsent: int = 0
    emails_late: int = 0
    """Confirmation emails sent after the time to confirm, or not at all."""
    fan_out_s: int = 0

    @property
    def origin_reads(self) -> int:
        """Return the number of reads of the bucket, after misses in all caches."""
        return sum(second.origin_reads for second in self.seconds)

    @property
    def nothing_lost(self) -> bool:
        """Return whether each signup is stored, and its confirmation email was sent in time."""
        return self.gave_up == 0 and self.emails_late == 0 and self.emails_unsent == 0

    def most(self, what: str) -> int:
        """Return the highest value of a field of `SimulatedSecond`, over all seconds."""
        return max((getattr(second, what) for second in self.seconds), default=0)

    def most_in_a_row(self, what: str, seconds: int) -> int:
        """Return the highest sum of a field over `seconds` consecutive seconds."""
        values = [getattr(second, what) for second in self.seconds]
        best = window = 0
        for place, value in enumerate(values):
            window += value - (values[place - seconds] if place >= seconds else 0)
            best = max(best, window)
        return best


class ApiCall(StrEnum):
    """A call of a shopper to the API."""

    SIGN_UP = "sign up"
    SHOW = "show"
    CONFIRM = "confirm"


STEP_OF = {ApiCall.SIGN_UP: Step.SIGN_UP, ApiCall.SHOW: Step.SHOW, ApiCall.CONFIRM: Step.CONFIRM}


def simulate(
    campaign: Campaign,
    rates_per_s: Sequence[float],
    limits: FloodLimits,
    measured: Measured,
    *,
    seed: int,
    requests_per_view: float = 1.0,
) -> SimulationResult:
    """Simulate a campaign; return what happened.

    Args:
        campaign: The campaign.
        rates_per_s: Visitors of each second.
        limits: The limits of the account.
        measured: The duration of each step.
        seed: Seed of the random numbers.
        requests_per_view: Requests of one page view.
    """
    play = _Play(campaign, limits, measured, seed, assets=round(requests_per_view) - 1)
    signups = play.signups_by_second(rates_per_s)
    for second, rate in enumerate(rates_per_s):
        play.second(second, rate, signups[second])
    play.tail(len(rates_per_s))
    return play.run


class _Play:
    def __init__(
        self, campaign: Campaign, limits: FloodLimits, measured: Measured, seed: int, *, assets: int
    ) -> None:
        self.run = SimulationResult()
        self._campaign = campaign
        # Arrivals have their own random numbers: runs with other limits see the same visitors.
        self._arrivals = Random(seed)  # noqa: S311 - no secrets
        self._dice = Random(seed + 1)  # noqa: S311
        self._limits = limits
        self._cdn = CdnCache(assets=assets, dice=Random(seed + 2))  # noqa: S311
        calls_per_s = min(limits.api_calls_per_s.value, limits.account_api_calls_per_s.value)
        self._api = TokenBucket(calls_per_s, limits.api_burst_calls.value)
        self._instances = LambdaInstances(
            most=int(limits.concurrency.value),
            new_per_10_s=limits.new_instances_per_10_s.value,
            calls_per_s=limits.calls_per_instance_s.value,
            init_s=INIT_S,
            ready=int(limits.provisioned.value),
        )
        partition = limits.partition_write_units_per_s.value
        self._table = TableCapacity(warm=limits.table_write_units_per_s.value, per_partition=partition)
        self._index = TableCapacity(warm=limits.index_write_units_per_s.value, per_partition=partition)
        self._emails = EmailQueue(per_s=limits.emails_per_s.value, per_day=limits.emails_per_day.value)
        self._duration_s = {
            call: measured.duration_ms(step, MEMORY_MB) / 1000 for call, step in STEP_OF.items()
        }
        # Future calls: (time, a number that orders equal times, the call, the attempt).
        self._ahead: list[tuple[float, int, ApiCall, int]] = []
        self._count = 0

    def signups_by_second(self, rates_per_s: Sequence[float]) -> Counter[int]:
        """Return the number of arriving shoppers who will sign up, by second.

        A Poisson process with a known number of arrivals draws each from its curve.
        """
        self.run.signups = self._campaign.signups
        seconds = range(len(rates_per_s))
        return Counter(self._arrivals.choices(seconds, rates_per_s, k=self.run.signups))

    def second(self, at_s: int, rate: float, signups: int) -> None:
        """Play one second of the campaign, in which `signups` shoppers arrive who will sign up."""
        others = _poisson(self._arrivals, rate * (1 - self._campaign.signup_rate))
        row = SimulatedSecond(at_s, visitors=signups + others)
        self.run.visitors += row.visitors
        views = round(row.visitors * self._campaign.pages_per_visitor)
        row.edge_misses, row.origin_reads = self._cdn.view(views, at_s=at_s)
        for _ in range(signups):
            self._later(
                at_s + self._arrivals.random() + self._arrivals.expovariate(1 / SIGNUP_AFTER_S_MEAN),
                ApiCall.SIGN_UP,
            )
        self._play_until(at_s + 1, row)

    def tail(self, at_s: int) -> None:
        """Play from the last arrival until all emails are sent and all confirmations arrived."""
        fine_until_s = at_s + FINE_TAIL_S
        while (self._ahead or self._emails.depth) and at_s < TAIL_S_MAX:
            step_s = 1 if self._ahead and at_s < fine_until_s else TAIL_STEP_S
            self._play_until(at_s + step_s, SimulatedSecond(at_s, step_s))
            at_s += step_s
        self.run.emails_unsent = self._emails.depth
        self.run.email_wait_s_max = self._emails.wait_s_max
        self.run.cold_starts = self._instances.made
        self.run.fan_out_s = fan_out_s(self.run.confirmed, self._limits)

    def _play_until(self, until_s: int, row: SimulatedSecond) -> None:
        while self._ahead and self._ahead[0][0] < until_s:
            at_s, _, call, attempt = heapq.heappop(self._ahead)
            self._call(at_s, call, attempt, row)
        row.emails_sent = self._emails.send(at_s=row.at_s, for_s=row.step_s)
        self._answered(row, until_s)
        row.emails_waiting = self._emails.depth
        row.busy = max(row.busy, self._instances.busy)
        self.run.seconds.append(row)

    def _answered(self, row: SimulatedSecond, from_s: int) -> None:
        late = self._emails.wait_s_max >= CONFIRM_WITHIN_S
        if late:
            self.run.emails_late += row.emails_sent
            return
        for _ in range(row.emails_sent):
            if self._dice.random() < self._campaign.confirm_rate:
                opened_s = from_s + self._dice.expovariate(1 / CONFIRM_AFTER_S_MEAN)
                self._later(opened_s, ApiCall.SHOW)
                self._later(opened_s + BUTTON_AFTER_S, ApiCall.CONFIRM)

    def _call(self, at_s: float, call: ApiCall, attempt: int, row: SimulatedSecond) -> None:
        row.calls += 1
        refused_by = self._refused_by(at_s, call, row)
        row.busy = max(row.busy, self._instances.busy)
        if refused_by is not None:
            self._throttle(at_s, call, attempt, refused_by, row)
        elif call is ApiCall.SIGN_UP:
            row.accepted += 1
            self.run.accepted += 1
            self._emails.put(1, at_s=int(at_s))
        elif call is ApiCall.CONFIRM:
            self.run.confirmed += 1

    def _refused_by(self, at_s: float, call: ApiCall, row: SimulatedSecond) -> Resource | None:
        if not self._api.take(at_s=at_s):
            return Resource.API
        start, _ = self._instances.call(at_s=at_s, duration_s=self._duration_s[call])
        if start is CallStart.THROTTLED:
            return Resource.LAMBDA
        row.cold_starts += start is CallStart.COLD
        if call is ApiCall.SHOW:
            return None
        shopper = self._dice.getrandbits(32)
        if not self._table.write(shopper, at_s=at_s):
            return Resource.TABLE
        row.table_units += 1
        if call is ApiCall.CONFIRM:
            # Each shopper waits for the same variant, whose waitlist has `SHARDS` shards.
            if not self._index.write(crc32(b"line%d" % (shopper % SHARDS)), at_s=at_s):
                return Resource.INDEX
            row.index_units += 1
        return None

    def _throttle(self, at_s: float, call: ApiCall, attempt: int, by: Resource, row: SimulatedSecond) -> None:
        row.throttled += 1
        self.run.throttled[by] += 1
        if self.run.first_throttle is None:
            self.run.first_throttle = (by, int(at_s))
        if attempt >= TRIES_MAX:
            self.run.gave_up += 1
            return
        self._later(at_s + self._dice.uniform(*TRY_AGAIN_AFTER_S), call, attempt + 1)

    def _later(self, at_s: float, call: ApiCall, attempt: int = 1) -> None:
        self._count += 1
        heapq.heappush(self._ahead, (at_s, self._count, call, attempt))


def _poisson(dice: Random, mean: float) -> int:
    if mean > 60:  # the normal distribution is close enough
        return max(0, round(dice.gauss(mean, mean**0.5)))
    return sum(1 for _ in _gaps(dice, mean))


def _gaps(dice: Random, mean: float) -> Iterator[float]:
    if mean <= 0:
        return
    at = dice.expovariate(1.0)
    while at < mean:
        yield at
        at += dice.expovariate(1.0)
