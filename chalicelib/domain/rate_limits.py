"""Limits of sending: the rate and quota of emails, waits between tries, and the hops of queued work.

A function that sends to the queue it reads from would go on without end if something never succeeded, and
AWS does not stop it here (recursive loop detection would stop honest work after 16 hops). So each message
counts its `hops`, and its `tries`: hops in a row that moved nothing forward. Past a maximum it is refused and
ends in its dead letter queue. A redrive begins a new count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.domain.entry import CONFIRM_WITHIN_S

# Stands for an account without a daily quota.
UNLIMITED = 10**12
BACK_OFF_S_MAX = 900
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The transport's limits: emails a second, and emails left of the last 24 hours' quota.

    A transport that does not count has a quota of `emails_per_day`, and we count our own emails.
    """

    rate_per_s: float
    emails_left: int
    sending_enabled: bool = True
    emails_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class SendingRate:
    """The state of the shop's sending.

    `ready_at_us` is when the next email may leave; `read_at_ms` when the limits were read. `emails_by_hour`
    counts granted emails, `earlier_by_hour` those before the last resume, `emails_by_day` them by days since
    the epoch, for as long as emails are judged. `paused` says why nothing may leave.
    """

    rate_per_s: float
    emails_left: int
    ready_at_us: int
    read_at_ms: int
    paused: str | None = None
    emails_by_hour: Mapping[int, int] = field(default_factory=dict)
    earlier_by_hour: Mapping[int, int] = field(default_factory=dict)
    emails_by_day: Mapping[int, int] = field(default_factory=dict)

    def emails_since(self, first_hour: int) -> int:
        """Return how many emails were granted since an hour began, or since the last resume."""
        return sum(count for hour, count in self.emails_by_hour.items() if hour >= first_hour)

    def left_of(self, emails_per_day: int, *, this_hour: int) -> int:
        """Return the rest of a day's quota; hours count whole, so that it is never exceeded."""
        earlier = sum(count for hour, count in self.earlier_by_hour.items() if hour >= this_hour - 24)
        return max(0, emails_per_day - self.emails_since(this_hour - 24) - earlier)


def back_off_s(tries: int, chance: float) -> int:
    """Return how many seconds to wait after `tries` in a row; `chance` in [0, 1) spreads equal waits."""
    longest_s = min(BACK_OFF_S_MAX, 1 << min(tries + 1, 10))
    return max(1, round(longest_s * (0.5 + chance / 2)))


DAY_S = 24 * 3600
# Waits grow with the tries, 2 s and doubled, to a quarter of an hour; jitter halves one at most.
WAIT_S_MIN = BACK_OFF_S_MAX // 2
RAMP_HOPS = 10
# A grant or a lease may be missed so often before its wait grows.
SHORT_WAITS_MAX = 5
# A quota used up comes back within a day, a paused account when somebody resumes it.
PAUSE_DAYS_MAX = 30
TRIES_MAX = SHORT_WAITS_MAX + RAMP_HOPS + PAUSE_DAYS_MAX * DAY_S // WAIT_S_MIN

# A whole chain: two million shoppers wait for one variant, in eight shards; each hop that moves forward
# settles one shopper at least, and a shard is walked twice.
ENTRIES_PER_SHARD_MAX = 250_000
WALKS_PER_SHARD = 2
# Days of quotas, pauses between limited waves, pauses of the account: as long as counters are kept.
CHAIN_DAYS_MAX = 400
WAVE_HOPS_MAX = (
    WALKS_PER_SHARD * ENTRIES_PER_SHARD_MAX * (1 + SHORT_WAITS_MAX) + CHAIN_DAYS_MAX * DAY_S // WAIT_S_MIN
)

# An email whose mailbox says "later" is tried again after these waits, then given up: longer than grey lists
# and a day's quota.
DEFERRED_S = (60, 300, 900, 3600, 6 * 3600, 24 * 3600)
# A confirmation is not sent after 72 h. Until then each wait is a quarter of an hour, or half of it,
# after a ramp of short ones: one to begin with, one after each deferral, each with the deferral's own hop.
UNCLEAR_HOPS = 1
EMAIL_HOPS_MAX = (1 + len(DEFERRED_S)) * (RAMP_HOPS + 1) + UNCLEAR_HOPS + CONFIRM_WITHIN_S // WAIT_S_MIN


class ChainTooLong(RuntimeError):
    """A message has queued itself again more often than its work can need."""


def wait_s(asked_s: int, tries: int, chance: float) -> int:
    """Return how many seconds to wait, after `tries` hops in a row without progress.

    `asked_s` is the wait that the reason needs; `chance` in [0, 1) spreads equal waits.
    """
    grown_s = back_off_s(tries - SHORT_WAITS_MAX, chance) if tries > SHORT_WAITS_MAX else 0
    return min(BACK_OFF_S_MAX, max(asked_s, grown_s))


def early_s(not_before_ms: int, now_ms: int) -> int:
    """Return how many seconds a queue must delay a message that is not due; 0 when it is.

    A queue does so for a quarter of an hour at most: it may take several rounds.
    """
    return min(max(0, -(-(not_before_ms - now_ms) // 1000)), BACK_OFF_S_MAX)
