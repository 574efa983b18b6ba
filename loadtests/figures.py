"""Locust's figures of a run, by step and by second."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

TOTAL = "Aggregated"


@dataclass(frozen=True, slots=True)
class Figures:
    """One step of a shopper, or all of them together."""

    step: str
    requests: int
    failures: int
    p50_ms: int
    p95_ms: int
    p99_ms: int
    slowest_ms: int


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of a run, over all steps."""

    at_s: float
    shoppers: int
    requests_per_s: float
    failures_per_s: float
    p95_ms: float


def read_moments(file: Path) -> list[Moment]:
    """Read a finished run, second by second."""
    with file.open(newline="") as rows:
        found = [row for row in csv.DictReader(rows) if row["Name"] == TOTAL]
    began_s = int(found[0]["Timestamp"]) if found else 0
    return [_moment(row, began_s) for row in found]


def read_figures(file: Path) -> list[Figures]:
    """Read the steps of a finished run, the busiest first; the last entry is their total."""
    with file.open(newline="") as rows:
        figures = [_figures(row) for row in csv.DictReader(rows) if row["Request Count"] != "0"]
    return sorted(figures, key=lambda step: (step.step == TOTAL, -step.requests))


def table(figures: Iterable[Figures]) -> Table:
    """Return the figures as a table."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    shown.add_column("step")
    for column in ("requests", "failures", "p50 ms", "p95 ms", "p99 ms", "slowest ms"):
        shown.add_column(column, justify="right")
    for step in figures:
        numbers = (step.requests, step.failures, step.p50_ms, step.p95_ms, step.p99_ms, step.slowest_ms)
        name = "all together" if step.step == TOTAL else step.step
        shown.add_row(name, *(f"{number:,}" for number in numbers))
    return shown


def _figures(row: dict[str, str]) -> Figures:
    return Figures(
        row["Name"],
        int(row["Request Count"]),
        int(row["Failure Count"]),
        *(round(float(row[percentile])) for percentile in ("50%", "95%", "99%", "100%")),
    )


def _moment(row: dict[str, str], began_s: int) -> Moment:
    p95_ms = row["95%"]
    return Moment(
        int(row["Timestamp"]) - began_s,
        int(row["User Count"]),
        float(row["Requests/s"]),
        float(row["Failures/s"]),
        0.0 if p95_ms == "N/A" else float(p95_ms),
    )
