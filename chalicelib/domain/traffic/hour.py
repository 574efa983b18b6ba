"""The statistics of one hour, of one log file or of all: they add up in any order and any grouping.

`HourStats.to_bytes` is canonical: equal statistics have equal bytes. No field holds an IP address, a query
string, a full referrer or a user agent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any, Self

from chalicelib.domain.traffic.sketch import DIGEST_BYTES, NamedCounts, VisitorSketch, kept_names

VERSION = 1
MINUTES = 60
PAGES_MAX = 20_000
PRODUCTS_MAX = 5_000
REFERRERS_MAX = 2_000
MISSING_MAX = 500
# There are few statuses, edge results, programs and countries; a broken log must not make them many.
KINDS_MAX = 500


def _few() -> NamedCounts:
    return NamedCounts(KINDS_MAX)


@dataclass(slots=True)
class HourStats:
    """Counts of the log lines of one hour.

    Attributes:
        hour: the hour in UTC, as "2026-11-27T10".
        requests: the lines that were read.
        bytes_sent: the bytes sent to viewers, headers included.
        minutes: requests by minute.
        view_minutes: page views of people by minute.
        statuses: requests by status.
        results: requests by what the edge did: Hit, Miss and so on.
        programs: requests of programs by name.
        devices: page views by device.
        countries: page views by country, where the log has that field.
        pages: page views of people by path.
        landings: page views that no page of the shop led to, by path.
        referrers: page views that another site led to, by its host.
        missing: requests answered 404, by path.
        products: page views of a product by minute, all languages together.
        signups: logged `POST /api/waitlist`, by status.
        aside: lines that could not be read, by kind; they are in no other figure.
        unsalted: page views whose week's salt is forgotten; they are in no sketch.
        visitors: sketches of visitors by the week of their salt. Two salts cannot be merged.
    """

    hour: str
    requests: int = 0
    bytes_sent: int = 0
    minutes: list[int] = field(default_factory=lambda: [0] * MINUTES)
    view_minutes: list[int] = field(default_factory=lambda: [0] * MINUTES)
    statuses: NamedCounts = field(default_factory=_few)
    results: NamedCounts = field(default_factory=_few)
    programs: NamedCounts = field(default_factory=_few)
    devices: NamedCounts = field(default_factory=_few)
    countries: NamedCounts = field(default_factory=_few)
    pages: NamedCounts = field(default_factory=lambda: NamedCounts(PAGES_MAX))
    landings: NamedCounts = field(default_factory=lambda: NamedCounts(PAGES_MAX))
    referrers: NamedCounts = field(default_factory=lambda: NamedCounts(REFERRERS_MAX))
    missing: NamedCounts = field(default_factory=lambda: NamedCounts(MISSING_MAX))
    products: dict[str, list[int]] = field(default_factory=dict)
    signups: NamedCounts = field(default_factory=_few)
    aside: NamedCounts = field(default_factory=_few)
    unsalted: int = 0
    visitors: dict[str, VisitorSketch] = field(default_factory=dict)

    def view(self, path: str, slug: str | None, minute: int, count: int) -> None:
        """Count page views, of the product `slug` where it is the page of one."""
        self.view_minutes[minute] += count
        self.pages[path] += count
        if slug is None:
            return
        views = self.products.get(slug)
        if views is None:
            if len(self.products) >= 2 * PRODUCTS_MAX:
                self._trim_products()
            views = self.products[slug] = [0] * MINUTES
        views[minute] += count

    def arrive(self, path: str, host: str | None, count: int) -> None:
        """Count page views that no page of the shop led to, but the site `host` where one is known."""
        self.landings[path] += count
        if host is not None:
            self.referrers[host] += count

    def visitors_of(self, week: str) -> VisitorSketch:
        """Return the sketch of the visitors under a week's salt."""
        if week not in self.visitors:
            self.visitors[week] = VisitorSketch()
        return self.visitors[week]

    @property
    def views(self) -> int:
        """Page views of people."""
        return sum(self.view_minutes)

    def merge(self, other: "HourStats") -> None:
        """Add the statistics of other lines of the same hour."""
        if other.hour != self.hour:
            raise ValueError(f"{other.hour} is not {self.hour}")
        for entry in fields(self):
            mine, others = getattr(self, entry.name), getattr(other, entry.name)
            if isinstance(mine, NamedCounts):
                mine.add(others)
            elif isinstance(mine, list):
                mine[:] = map(sum, zip(mine, others, strict=True))
            elif isinstance(mine, int):
                setattr(self, entry.name, mine + others)
        for slug, views in other.products.items():
            before = self.products.get(slug, [0] * MINUTES)
            self.products[slug] = list(map(sum, zip(before, views, strict=True)))
        self._trim_products()
        for week, sketch in other.visitors.items():
            self.visitors_of(week).merge(sketch)

    def to_document(self) -> dict[str, Any]:
        """Return the statistics as a JSON-ready document with bounded tables."""
        document: dict[str, Any] = {"version": VERSION}
        for entry in fields(self):
            value = getattr(self, entry.name)
            document[entry.name] = dict(value.trim()) if isinstance(value, NamedCounts) else value
        self._trim_products()
        document["products"] = {slug: _sparse(views) for slug, views in self.products.items()}
        document["visitors"] = {week: sketch.to_text() for week, sketch in self.visitors.items()}
        return document

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        return canonical(self.to_document())

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the statistics of a stored document.

        Raises:
            ValueError: it is no document of this version.
        """
        if document.get("version") != VERSION:
            raise ValueError(f"statistics of version {document.get('version')!r}; this code reads {VERSION}")
        stats = cls(document["hour"])
        for entry in fields(cls):
            before, value = getattr(stats, entry.name), document[entry.name]
            if isinstance(before, NamedCounts):
                before.update(value)
            elif isinstance(before, int | list | str):
                setattr(stats, entry.name, value)
        stats.products = {slug: _dense(views) for slug, views in document["products"].items()}
        stats.visitors = {week: VisitorSketch.from_text(text) for week, text in document["visitors"].items()}
        return stats

    def _trim_products(self) -> None:
        for slug in self.products.keys() - kept_names(self.products, PRODUCTS_MAX):
            del self.products[slug]


def canonical(document: Any) -> bytes:
    """Return the one JSON text of a document: keys sorted, no white space."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _sparse(views: list[int]) -> dict[str, int]:
    return {str(minute): count for minute, count in enumerate(views) if count}


def _dense(views: Mapping[str, int]) -> list[int]:
    return [views.get(str(minute), 0) for minute in range(MINUTES)]


@dataclass(slots=True)
class RollUp:
    """The sum of an hour's parts, one for each log file, and the digest of each: a part counts once."""

    stats: HourStats
    files: dict[str, str] = field(default_factory=dict)

    def knows(self, name: str, part: bytes) -> bool:
        """Return whether this very part of a file is in the sum."""
        return self.files.get(name) == digest_of(part)

    def contradicts(self, name: str, part: bytes) -> bool:
        """Return whether another part of the file is in the sum, which cannot be taken out again."""
        return name in self.files and not self.knows(name, part)

    def add(self, name: str, part: bytes) -> None:
        """Add a part that is not in the sum."""
        self.stats.merge(HourStats.from_document(json.loads(part)))
        self.files[name] = digest_of(part)

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        return canonical({"files": self.files, "stats": self.stats.to_document()})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the sum that `to_bytes` wrote.

        Raises:
            ValueError: it is none of this version.
        """
        document = json.loads(content)
        return cls(HourStats.from_document(document["stats"]), document["files"])


def digest_of(part: bytes) -> str:
    """Return a short name of a part's content."""
    return blake2b(part, digest_size=DIGEST_BYTES).hexdigest()
