"""A campaign, and the curve its visitors arrive by: a rate for each second, not samples."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from pathlib import Path

from spillway.errors import BadInput

# A link that spreads is at its height after a twentieth of the time.
RISE_SHARE = 0.05
SECOND_SPIKE_AT = 0.5
TRACE_SECONDS_MAX = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Campaign:
    """`peak_factor` is the rate of the busiest second over the mean rate.

    `signup_rate` is the share of visitors who sign up, `confirm_rate` of those who then confirm,
    `pages_per_visitor` how many pages one visitor opens. `again_rate`: who signs up twice.
    `availability_changes`: how often the product comes into stock or sells out: with the restock, and again.
    """

    visitors: int
    over_s: int
    peak_factor: float = 5.0
    signup_rate: float = 0.05
    confirm_rate: float = 1.0
    again_rate: float = 0.0
    pages_per_visitor: float = 1.0
    availability_changes: int = 2

    @property
    def visitors_per_s_mean(self) -> float:
        """Visitors in a second, were they spread evenly."""
        return self.visitors / self.over_s

    @property
    def signups(self) -> int:
        """Shoppers who sign up."""
        return round(self.visitors * self.signup_rate)

    @property
    def confirmed(self) -> int:
        """Shoppers who confirm, and will wait for their email."""
        return round(self.signups * self.confirm_rate)

    @property
    def page_views(self) -> int:
        """Pages opened by all of them."""
        return round(self.visitors * self.pages_per_visitor)

    @property
    def signup_posts(self) -> int:
        """Signup forms sent, those sent twice included."""
        return round(self.signups * (1 + self.again_rate))


# The flood that made the founding shop fall over, as it would come today: everybody lands on one page.
FOUNDING_STORY = Campaign(visitors=1_000_000, over_s=3600)


class Shape(StrEnum):
    """How a campaign's visitors are spread over its time."""

    FLAT = "flat"
    SPIKE = "spike"
    DOUBLE_SPIKE = "double-spike"


def rates_per_s(campaign: Campaign, shape: Shape) -> list[float]:
    """Visitors in each second. They add up to the campaign's; a spike's top is the campaign's peak."""
    if shape is Shape.FLAT or campaign.peak_factor <= 1:
        return [campaign.visitors_per_s_mean] * campaign.over_s
    starts = (0.0,) if shape is Shape.SPIKE else (0.0, SECOND_SPIKE_AT)
    curve = _sharpest_fit(campaign, starts)
    total = sum(curve)
    return [campaign.visitors * value / total for value in curve]


def _sharpest_fit(campaign: Campaign, starts: Sequence[float]) -> list[float]:
    # A spike rises in a straight line and then falls off by half each so often: how often is searched
    # for, until its top stands at the wanted multiple of the mean.
    def curve(half_life: float) -> list[float]:
        seconds = campaign.over_s
        return [
            sum(_spike(second / seconds - start, half_life) for start in starts) for second in range(seconds)
        ]

    def peak_over_mean(values: list[float]) -> float:
        return max(values) * len(values) / sum(values)

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
    """Visitors in each second from a CSV with the columns `second` and `visitors`; gaps are zero.

    Raises:
        BadInput: naming the line that cannot be used.
    """
    if not file.is_file():
        raise BadInput(f"--trace {file}: no such file", hint="a CSV with the columns second,visitors")
    found: dict[int, float] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"second", "visitors"} <= set(reader.fieldnames or ()):
            raise BadInput(f"{file}:1: expected the columns second,visitors")
        for row in reader:
            second, visitors = _row(file, reader.line_num, row)
            found[second] = found.get(second, 0.0) + visitors
    if not any(found.values()):
        raise BadInput(f"{file}: nobody comes", hint="give each second with its visitors")
    return [found.get(second, 0.0) for second in range(max(found) + 1)]


def _row(file: Path, line: int, row: dict[str, str]) -> tuple[int, float]:
    try:
        second, visitors = int(row["second"]), float(row["visitors"])
    except (TypeError, ValueError):
        raise BadInput(f"{file}:{line}: {row!r}: second and visitors must be numbers") from None
    if not 0 <= second < TRACE_SECONDS_MAX or not 0 <= visitors < 1e9:
        raise BadInput(f"{file}:{line}: second {second}, visitors {visitors:g}: out of range")
    return second, visitors
