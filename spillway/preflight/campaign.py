"""A campaign, and the curve its visitors arrive by: a rate for each second, not samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, inf, log
from pathlib import Path

from spillway.errors import BadInput
from spillway.importing.table import TableRow, read_columns

# The peak of a spike comes after a twentieth of the time.
RISE_SHARE = 0.05
SECOND_SPIKE_AT = 0.5
TRACE_SECONDS_MAX = 7 * 24 * 3600
TRACE_VISITORS_PER_S_MAX = 10**9


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: its visitors, their rate, and what they do.

    Attributes:
        visitors: Number of visitors.
        over_s: The campaign's length, in seconds.
        peak_factor: Rate of the busiest second, as a multiple of the mean rate.
        signup_rate: Share of visitors who sign up.
        confirm_rate: Share of signups that are confirmed.
        again_rate: Share of signups that are sent twice.
        pages_per_visitor: Mean number of pages that a visitor opens.
        availability_changes: Times the product comes into stock or sells out.
        stock_events: Signed webhooks of other systems about stock.
        shop_events: Events of the shop, each tried on its rules.
        rule_firings: Times a rule fires on one of them.
        endpoints: Endpoints of other systems that get each of them.
    """

    visitors: int
    over_s: int
    peak_factor: float = 5.0
    signup_rate: float = 0.05
    confirm_rate: float = 1.0
    again_rate: float = 0.0
    pages_per_visitor: float = 1.0
    availability_changes: int = 2
    stock_events: int = 0
    shop_events: int = 0
    rule_firings: int = 0
    endpoints: int = 0

    @property
    def visitors_per_s_mean(self) -> float:
        """Return the mean number of visitors in a second."""
        return self.visitors / self.over_s

    @property
    def signups(self) -> int:
        """Return the number of shoppers who sign up."""
        return round(self.visitors * self.signup_rate)

    @property
    def confirmed(self) -> int:
        """Return the number of shoppers who confirm, and wait for the restock email."""
        return round(self.signups * self.confirm_rate)

    @property
    def page_views(self) -> int:
        """Return the number of pages that all visitors open."""
        return round(self.visitors * self.pages_per_visitor)

    @property
    def signup_posts(self) -> int:
        """Return the number of signup forms sent, with repeated ones."""
        return round(self.signups * (1 + self.again_rate))


# The flood that overloaded the founding shop: each visitor lands on one page.
FOUNDING_STORY = Campaign(visitors=1_000_000, over_s=3600)


class Shape(StrEnum):
    """The distribution of visitors over the campaign's time."""

    FLAT = "flat"
    SPIKE = "spike"
    DOUBLE_SPIKE = "double-spike"


def rates_per_s(campaign: Campaign, shape: Shape) -> list[float]:
    """Return the visitors of each second; their sum and their peak are the campaign's.

    The peak of a few seconds is the nearest one that they have room for.
    """
    if shape is Shape.FLAT or campaign.peak_factor <= 1 or campaign.over_s == 1:
        return [campaign.visitors_per_s_mean] * campaign.over_s
    starts = (0.0,) if shape is Shape.SPIKE else (0.0, SECOND_SPIKE_AT)
    curve = _sharpest_fit(campaign, starts)
    total = sum(curve)
    return [campaign.visitors * value / total for value in curve]


def _sharpest_fit(campaign: Campaign, starts: Sequence[float]) -> list[float]:
    # A spike rises linearly, then halves every half-life. Search for the half-life whose peak is the wanted
    # multiple of the mean.
    def curve(half_life: float) -> list[float]:
        seconds = campaign.over_s
        return [
            sum(_spike(second / seconds - start, half_life) for start in starts) for second in range(seconds)
        ]

    def peak_over_mean(values: list[float]) -> float:
        # A half-life far below a second leaves no visitor in any second.
        return max(values) * len(values) / sum(values) if any(values) else inf

    return curve(_bisect(lambda half_life: peak_over_mean(curve(half_life)), campaign.peak_factor))


def _bisect(falling: Callable[[float], float], wanted: float) -> float:
    low, high = 1e-4, 100.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        if falling(middle) > wanted:
            low = middle
        else:
            high = middle
    return high


def _spike(since: float, half_life: float) -> float:
    if since < 0:
        return 0.0
    rise = min(RISE_SHARE, half_life)
    return since / rise if since < rise else exp(-log(2) * (since - rise) / half_life)


def trace(file: Path) -> list[float]:
    """Read the visitors of each second from a table with the columns `second` and `visitors`; gaps are zero.

    Raises:
        BadInput: The file or a line cannot be used; the error names it.
    """
    found: dict[int, float] = {}
    for row in read_columns(file, ("second", "visitors")):
        second = int(_number(file, row, "second", TRACE_SECONDS_MAX - 1, whole=True))
        found[second] = found.get(second, 0.0) + _number(file, row, "visitors", TRACE_VISITORS_PER_S_MAX)
    if not any(found.values()):
        raise BadInput(f"{file}: no visitors", hint="give each second with its visitors")
    return [found.get(second, 0.0) for second in range(max(found) + 1)]


def _number(file: Path, row: TableRow, column: str, most: int, *, whole: bool = False) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = -1.0
    if not 0 <= number <= most or (whole and number != int(number)):
        kind = "whole number" if whole else "number"
        raise BadInput(
            f"{file}:{row.line}: {column} = {row[column]!r}: expected a {kind} from 0 to {most:,}",
            hint="correct the line",
        )
    return number
