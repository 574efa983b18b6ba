"""The traffic of some hours on one page: totals, tables, a timeline, and coverage.

Equal log lines give equal reports: neither the number of log files nor their order is part of one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from chalicelib.domain.traffic.counting import HOUR_FORMAT, time_of
from chalicelib.domain.traffic.hour import MINUTES, HourStats, canonical
from chalicelib.domain.traffic.sketch import VisitorSketch

ROWS_MAX = 20
HITS = ("Hit", "RefreshHit", "OriginShieldHit")
TABLES = (
    *("pages", "landings", "referrers", "missing", "countries", "devices", "programs", "statuses", "results"),
    *("signups", "aside"),
)
# Answers by which the API took a signup: a page's redirect, a script's 202.
ACCEPTED = ("200", "202", "303")


@dataclass(frozen=True, slots=True)
class Minute:
    """The traffic of one minute. `at` is its beginning in UTC, as "2026-11-27T10:05"."""

    at: str
    requests: int
    views: int


@dataclass(slots=True)
class TrafficReport:
    """The traffic from one hour to another, both included.

    Attributes:
        since: the first hour, as "2026-11-27T10".
        until: the last hour.
        requests: all requests.
        bytes_sent: bytes to viewers.
        views: page views of people.
        visits: visitors of each hour, added up: a person counts once for each hour of reading.
        visitors: estimated visitors of each week, added up: salts are replaced on Mondays at 00:00 UTC, so a
            person who comes in two weeks counts twice.
        unsalted: page views in no estimate, since their week's salt is forgotten.
        minutes: minutes with requests, in order.
        products: page views by product and minute.
        tables: counts by name, under the names of `TABLES`.
    """

    since: str
    until: str
    requests: int = 0
    bytes_sent: int = 0
    views: int = 0
    visits: int = 0
    visitors: int = 0
    unsalted: int = 0
    minutes: list[Minute] = field(default_factory=list)
    products: dict[str, dict[str, int]] = field(default_factory=dict)
    tables: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in TABLES})

    @classmethod
    def of(cls, since: str, until: str, hours: Iterable[HourStats]) -> "TrafficReport":
        """Return the report of some hours, which may come in any order."""
        report = cls(since, until)
        weeks: dict[str, VisitorSketch] = {}
        for stats in sorted(hours, key=lambda stats: stats.hour):
            report._add(stats)
            for week, sketch in stats.visitors.items():
                report.visits += sketch.estimate()
                weeks.setdefault(week, VisitorSketch()).merge(sketch)
        report.visitors = sum(sketch.estimate() for sketch in weeks.values())
        return report

    def _add(self, stats: HourStats) -> None:
        self.requests += stats.requests
        self.bytes_sent += stats.bytes_sent
        self.views += stats.views
        self.unsalted += stats.unsalted
        for name in TABLES:
            self.tables[name].update(getattr(stats, name))
        self.minutes += [
            Minute(f"{stats.hour}:{minute:02d}", stats.minutes[minute], stats.view_minutes[minute])
            for minute in range(MINUTES)
            if stats.minutes[minute]
        ]
        for slug, views in stats.products.items():
            by_minute = self.products.setdefault(slug, {})
            by_minute.update({f"{stats.hour}:{minute:02d}": n for minute, n in enumerate(views) if n})

    @property
    def peak(self) -> Minute | None:
        """The minute with the most requests; the first of several."""
        return max(self.minutes, key=lambda minute: minute.requests, default=None)

    @property
    def uncached(self) -> int:
        """The requests that the cache did not answer."""
        return self.requests - sum(self.tables["results"][name] for name in HITS)

    @property
    def hit_ratio(self) -> float | None:
        """The share of requests that the cache answered; None without requests."""
        return (self.requests - self.uncached) / self.requests if self.requests else None

    @property
    def posted(self) -> int:
        """Logged `POST /api/waitlist`, whatever the answer."""
        return self.tables["signups"].total()

    @property
    def views_by_product(self) -> dict[str, int]:
        """Page views by product, most first."""
        totals = {slug: sum(by_minute.values()) for slug, by_minute in self.products.items()}
        return dict(sorted(totals.items(), key=lambda row: (-row[1], row[0])))

    def top(self, table: str, rows: int = ROWS_MAX) -> list[tuple[str, int]]:
        """Return the rows of a table with the highest counts."""
        return sorted(self.tables[table].items(), key=lambda row: (-row[1], row[0]))[:rows]

    def timeline(self, points: int) -> list[Minute]:
        """Return the whole time in at most about `points` steps of equal length, idle ones included.

        A step has the mean of its minutes, so a longer one is no higher.
        """
        if not self.minutes:
            return []
        by_minute = {minute.at: minute for minute in self.minutes}
        first = time_of(self.minutes[0].at[:-3]) + timedelta(minutes=int(self.minutes[0].at[-2:]))
        last = time_of(self.minutes[-1].at[:-3]) + timedelta(minutes=int(self.minutes[-1].at[-2:]))
        count = int((last - first).total_seconds()) // 60 + 1
        step = -(-count // points)
        steps = []
        for start in range(0, count, step):
            names = [
                (first + timedelta(minutes=start + offset)).strftime(f"{HOUR_FORMAT}:%M")
                for offset in range(min(step, count - start))
            ]
            found = [by_minute[name] for name in names if name in by_minute]
            requests, views = (
                sum(counts) for counts in zip(*((m.requests, m.views) for m in found), (0, 0), strict=True)
            )
            steps.append(Minute(names[0], round(requests / len(names)), round(views / len(names))))
        return steps

    def to_document(self, rows: int = ROWS_MAX) -> dict[str, Any]:
        """Return the report as a JSON-ready document; its tables have the `rows` highest counts."""
        plain = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name not in {"minutes", "products", "tables"}
        }
        peak = self.peak
        return plain | {
            "hit_ratio": None if self.hit_ratio is None else round(self.hit_ratio, 4),
            "peak": peak and {"at": peak.at, "requests": peak.requests, "views": peak.views},
            "minutes": [[minute.at, minute.requests, minute.views] for minute in self.minutes],
            "products": [
                {"slug": slug, "views": views, "minutes": self.products[slug]}
                for slug, views in list(self.views_by_product.items())[:rows]
            ],
            "tables": {name: [list(row) for row in self.top(name, rows)] for name in TABLES},
        }

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        return canonical(self.to_document())


@dataclass(frozen=True, slots=True)
class Coverage:
    """How complete the logs are: logged signups beside those that the API counted itself.

    CloudFront delivers logs late, and calls them no complete accounting of all requests.
    """

    logged: int
    counted: int | None

    @property
    def share(self) -> float | None:
        """The share of counted signups that the logs have; None where nothing was counted."""
        return self.logged / self.counted if self.counted else None

    def to_document(self) -> dict[str, Any]:
        """Return a JSON-ready document."""
        return {
            "logged": self.logged,
            "counted": self.counted,
            "share": None if self.share is None else round(self.share, 4),
        }


RECENT_STEP_MIN = 10
RECENT_ROWS = 6
RECENT_TABLES = ("pages", "referrers", "devices", "programs")


def recent_document(report: TrafficReport, coverage: Coverage, *, is_on: bool) -> dict[str, Any]:
    """Return the traffic of some hours as the merchant's page shows it, as a JSON-ready document.

    `timeline` has a number for each ten minutes from `since` to the end of `until`: the requests of their
    busiest minute, so that its highest number is that of the peak.
    """
    start = time_of(report.since)
    hours = (time_of(report.until) - start) // timedelta(hours=1) + 1
    timeline = [0] * (hours * 60 // RECENT_STEP_MIN)
    for minute in report.minutes:
        hour = (time_of(minute.at[:-3]) - start) // timedelta(hours=1)
        step = (hour * 60 + int(minute.at[-2:])) // RECENT_STEP_MIN
        timeline[step] = max(timeline[step], minute.requests)
    peak = report.peak
    return {
        "is_on": is_on,
        **{name: getattr(report, name) for name in ("since", "until", "requests", "bytes_sent", "views")},
        **{name: getattr(report, name) for name in ("visits", "visitors")},
        "uncached": report.uncached,
        "timeline": timeline,
        "peak": peak and {"at": peak.at, "requests": peak.requests},
        "coverage": coverage.to_document(),
        "tables": {name: [list(row) for row in report.top(name, RECENT_ROWS)] for name in RECENT_TABLES},
    }
