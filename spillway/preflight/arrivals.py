"""Arrival curves: visitors for each second of a campaign, as rates. Shapes are values, not samples."""

import csv
from collections.abc import Callable, Sequence
from enum import StrEnum
from math import exp, log
from pathlib import Path

from spillway.errors import BadInput
from spillway.preflight.campaign import Campaign

# A link that spreads is at its height after a twentieth of the time.
RISE_SHARE = 0.05
SECOND_SPIKE_AT = 0.5
TRACE_SECONDS_MAX = 7 * 24 * 3600


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
