"""Limits of sending: the rate and quota of emails, the hops of queued work, and the complaints that stop it.

A complaint comes hours or days after its email. So it is divided by the emails sent on that email's day (a
cohort), never by those sent while it came in. A rate of few emails says little: sending stops only where the
rate is above the limit by more than chance explains.

A function that sends to the queue it reads from would go on without end if something never succeeded, and AWS
does not stop it here (recursive loop detection would stop correct work after 16 hops). So each message counts
its `hops`, and its `tries`: hops in a row without progress. Past a maximum it is refused and ends in its dead
letter queue. A redrive begins a new count.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import ceil, exp, lgamma, log, log1p

from chalicelib.domain.entry import CONFIRM_WITHIN_S
from chalicelib.domain.wave import WavePolicy

# Rates of this shop's own emails. SES reviews an account at 5 % and 0.1 %, and pauses it at 10 % and 0.5 %:
# https://docs.aws.amazon.com/ses/latest/dg/faqs-enforcement.html
# The account's rates, which SES reckons over more emails and all that the account sends, have bounds of their
# own in `autopilot`.
SHOP_BOUNCE_RATE_MAX = 0.05
SHOP_COMPLAINT_RATE_MAX = 0.001
# A cohort of fewer emails is judged only together with those of the whole window.
COHORT_EMAILS_MIN = 100
COMPLAINTS_MIN = 2
# Complaints come for weeks; what is older is not judged any more.
WINDOW_DAYS = 30
# How likely a sender whose true rate is at the limit is paused by a cohort all the same.
FALSE_ALARM_MAX = 0.01
PAUSE_REASON_CHARS_MAX = 200
# Emails a second in SES's sandbox, its lowest rate.
# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
RATE_PER_S_MIN = 1.0
NEGLIGIBLE = 1e-12


@dataclass(frozen=True, slots=True)
class Cohort:
    """Emails sent on the days from `first` to `last`, and how many of them bounced or were complained of."""

    first: date
    last: date
    emails: int
    bounced: int = 0
    complained: int = 0

    @property
    def days(self) -> str:
        """The days as a person reads them: "2026-11-20", "2026-10-29 to 2026-11-27"."""
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def reason_to_pause(self) -> str | None:
        """Why sending must stop before SES stops it, with days and figures; None when all is well."""
        if self.emails < COHORT_EMAILS_MIN:
            return None
        of_emails = f"of {self.emails:,} emails"
        if self.complained >= COMPLAINTS_MIN and self._exceeds(self.complained, SHOP_COMPLAINT_RATE_MAX):
            return f"{self.days}: {self.complained:,} complaints {of_emails}"
        if self._exceeds(self.bounced, SHOP_BOUNCE_RATE_MAX):
            return f"{self.days}: {self.bounced:,} bounces {of_emails}"
        return None

    def _exceeds(self, count: int, rate_max: float) -> bool:
        return chance_of_at_least(count, self.emails, rate_max) < FALSE_ALARM_MAX


def chance_of_at_least(count: int, emails: int, rate: float) -> float:
    """Return how likely `count` or more of `emails` are bad where each one is with probability `rate`.

    The exact upper tail of the binomial distribution. Below 1 % it says the same as the lower bound of the
    rate by Clopper and Pearson (Biometrika 26, 1934, pages 404 to 413) being above `rate` at 99 % confidence.
    Returns 1 where `count` is no more than expected, without the sum.
    """
    if count <= emails * rate:
        return 1.0
    count = min(count, emails)
    term = exp(
        lgamma(emails + 1)
        - lgamma(count + 1)
        - lgamma(emails - count + 1)
        + count * log(rate)
        + (emails - count) * log1p(-rate)
    )
    total = term
    # Above the expected number, each term is smaller than the one before.
    for number in range(count, emails):
        term *= (emails - number) / (number + 1) * rate / (1 - rate)
        total += term
        if term < NEGLIGIBLE * total:
            break
    return min(total, 1.0)


def day_of(at_ms: int) -> date:
    """Return the day (UTC) of a time in milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


def days_judged(at_ms: int) -> tuple[date, ...]:
    """Return the days whose emails are judged at a time, oldest first."""
    today = day_of(at_ms)
    return tuple(today - timedelta(days=ago) for ago in range(WINDOW_DAYS - 1, -1, -1))


def cohorts(
    days: Iterable[date], emails: Mapping[date, int], bad: Mapping[date, tuple[int, int]]
) -> tuple[Cohort, ...]:
    """Return a cohort for each of `days` with emails, bounces or complaints; `bad` are the latter two."""
    return tuple(
        Cohort(day, day, emails.get(day, 0), *bad.get(day, (0, 0)))
        for day in days
        if emails.get(day) or day in bad
    )


def total_of(found: Iterable[Cohort]) -> Cohort | None:
    """Return several cohorts as one; None where there is none."""
    known = list(found)
    if not known:
        return None
    return Cohort(
        min(cohort.first for cohort in known),
        max(cohort.last for cohort in known),
        sum(cohort.emails for cohort in known),
        sum(cohort.bounced for cohort in known),
        sum(cohort.complained for cohort in known),
    )


def reason_to_pause(found: Iterable[Cohort]) -> str | None:
    """Return why sending must stop: for the newest day that says so, else for all days together."""
    return next(_reasons(tuple(found)), None)


def _reasons(found: tuple[Cohort, ...]) -> Iterator[str]:
    total = total_of(found)
    for cohort in (*reversed(found), *([total] if total else [])):
        if reason := cohort.reason_to_pause:
            yield reason


# Stands for an account without a daily quota.
UNLIMITED = 10**12
BACK_OFF_S_MAX = 900


@dataclass(frozen=True, slots=True)
class SendingLimits:
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


def wait_s(needed_s: int, tries: int, chance: float) -> int:
    """Return how many seconds to wait, after `tries` hops in a row without progress.

    `needed_s` is the wait that the reason needs; `chance` in [0, 1) spreads equal waits.
    """
    grown_s = back_off_s(tries - SHORT_WAITS_MAX, chance) if tries > SHORT_WAITS_MAX else 0
    return min(BACK_OFF_S_MAX, max(needed_s, grown_s))


def early_s(not_before_ms: int, now_ms: int) -> int:
    """Return how many seconds a queue must delay a message that is not due; 0 when it is.

    A queue does so for a quarter of an hour at most: it may take several rounds.
    """
    return min(max(0, -(-(not_before_ms - now_ms) // 1000)), BACK_OFF_S_MAX)


@dataclass(frozen=True, slots=True)
class Reach:
    """The people that a restock of a variant reaches, counted before it.

    Attributes:
        waiting: People who wait for the variant.
        emails: Emails of the first wave: all of them, unless the wave policy says fewer.
        next_after_min: Minutes until the next wave, if the policy limits it.
        rate_per_s: Emails a second that SES allows, as read for the last email; before the first, its lowest.
        paused: The reason why sending is paused; None when it is not.
    """

    waiting: int
    emails: int
    next_after_min: int
    rate_per_s: float
    paused: str | None

    @classmethod
    def of(cls, waiting: int, units: int | None, policy: WavePolicy, *, state: SendingRate | None) -> "Reach":
        """Return the people that a restock of `units` reaches by a policy; `state` is that of sending."""
        most = policy.emails_for(units) if policy.enough(units) else 0
        return cls(
            waiting,
            waiting if most is None else min(waiting, most),
            policy.next_after_min,
            (state.rate_per_s if state else 0) or RATE_PER_S_MIN,
            state.paused if state else None,
        )

    @property
    def minutes(self) -> int:
        """The minutes that the emails take; an email is on its way for some seconds at least."""
        return max(1, ceil(self.emails / self.rate_per_s / 60))
