"""A campaign that was played: what each second saw, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Resource(StrEnum):
    """What can turn a call away."""

    API = "API throttle"
    LAMBDA = "Lambda environments"
    TABLE = "entries table"
    INDEX = "line index"


@dataclass(slots=True)
class Second:
    """What one second saw, or `step_s` of them in a long tail. `emails_waiting` is as of its end."""

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
class Run:
    """What came of it. `signups` were meant, `accepted` were stored, `gave_up` were turned away for good."""

    seconds: list[Second] = field(default_factory=list)
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
    """Confirmation emails that went when the shopper's time to confirm was over, or have not gone at all."""
    fan_out_s: int = 0

    @property
    def origin_reads(self) -> int:
        """How often the bucket was read, because no cache had what was asked for."""
        return sum(second.origin_reads for second in self.seconds)

    @property
    def nothing_lost(self) -> bool:
        """Every shopper who meant to sign up is stored, and was asked to confirm in time."""
        return self.gave_up == 0 and self.emails_late == 0 and self.emails_unsent == 0

    def most(self, what: str) -> int:
        """The highest value of a field of `Second`, over all seconds."""
        return max((getattr(second, what) for second in self.seconds), default=0)

    def most_in_a_row(self, what: str, seconds: int) -> int:
        """The highest sum of a field over so many seconds on end."""
        values = [getattr(second, what) for second in self.seconds]
        best = window = 0
        for place, value in enumerate(values):
            window += value - (values[place - seconds] if place >= seconds else 0)
            best = max(best, window)
        return best
