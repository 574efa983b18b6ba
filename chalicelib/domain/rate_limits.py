"""How fast emails may leave, and how long to wait before trying again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Stands for an account without a daily quota.
UNLIMITED = 10**12
BACK_OFF_S_MAX = 900
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the transport allows: emails a second, and emails left of the last 24 hours' quota.

    A transport that does not count for us has a quota of `emails_per_day` instead, of which goes what
    we gave out ourselves.
    """

    rate_per_s: float
    emails_left: int
    sending_enabled: bool = True
    emails_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class SendingRate:
    """Where the shop's sending stands. `ready_at_us` is when the next email may leave; `read_at_ms`
    when the limits were asked for; `emails_by_hour` counts what was given out, `earlier_by_hour` what was
    before sending was last resumed; `emails_by_day` counts it by days since the epoch, for as long as emails
    are judged; `paused` says why nothing may leave."""

    rate_per_s: float
    emails_left: int
    ready_at_us: int
    read_at_ms: int
    paused: str | None = None
    emails_by_hour: Mapping[int, int] = field(default_factory=dict)
    earlier_by_hour: Mapping[int, int] = field(default_factory=dict)
    emails_by_day: Mapping[int, int] = field(default_factory=dict)

    def emails_since(self, first_hour: int) -> int:
        """How many emails were given out since an hour began, or since sending was last resumed."""
        return sum(count for hour, count in self.emails_by_hour.items() if hour >= first_hour)

    def left_of(self, emails_per_day: int, *, this_hour: int) -> int:
        """What is left of a day's quota: hours count whole, so that it is never overdrawn."""
        earlier = sum(count for hour, count in self.earlier_by_hour.items() if hour >= this_hour - 24)
        return max(0, emails_per_day - self.emails_since(this_hour - 24) - earlier)


def back_off_s(tries: int, chance: float) -> int:
    """How long to wait after so many tries in a row; `chance` in [0, 1) spreads who waits alike."""
    longest_s = min(BACK_OFF_S_MAX, 1 << min(tries + 1, 10))
    return max(1, round(longest_s * (0.5 + chance / 2)))
