"""How emails are received, by the day they were sent, and when that stops all sending.

A complaint comes hours or days after its email. So it is divided by the emails sent on that email's day (a
cohort), never by those sent while it came in. A rate of few emails says little: sending stops only where the
rate is above the limit by more than chance explains.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import exp, lgamma, log, log1p

DAY_MS = 24 * 3600 * 1000
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
