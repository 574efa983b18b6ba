"""The merchant's overview: every variant with its demand and its stock, ranked, searched and filtered.

Values only. `chalicelib.services.overview` reads the tables and keeps the result; an answer of the API is a
document of `Overview`, and has no address in it.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from chalicelib.domain.demand import Demand
from chalicelib.domain.entry import DAY_MS, HOUR_MS
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.overview_waves import LastWave, ShownWave
from chalicelib.domain.stock import Availability, Stock

HOURS_SHOWN = 24
QUERY_CHARS_MAX = 100
# The rows of one page, and of one answer: a merchant asks for more by pages.
PAGE_ROWS, ROWS_MAX = 100, 500
# Few units, for a shop whose pages never say how many are left (`low_stock` of site.toml).
LOW_STOCK = 5
# A picture is 48 CSS pixels wide in a row; a phone has three device pixels for each.
PICTURE_PX = 144


class OverviewNotReady(RuntimeError):
    """The first overview, or the first for a minute, is being made by another poll."""


class Filter(StrEnum):
    """The rows that a merchant asks for."""

    WAITING = "waiting"
    SOLD_OUT = "sold_out"
    LOW_STOCK = "low_stock"
    WAVE = "wave"


@dataclass(frozen=True, slots=True)
class OverviewQuery:
    """Words to search for, a filter, and the number of rows; without them, the first page of everything."""

    query: str = ""
    filter: Filter | None = None
    rows: int = PAGE_ROWS

    @property
    def is_plain(self) -> bool:
        """True for the first page of everything."""
        return self == OverviewQuery()


@dataclass(frozen=True, slots=True)
class Listed:
    """A variant as the catalogue names it, and its stock as last read.

    `availability` is None for a variant that has no stock row. `version` counts the events about its stock.
    A variant that the shop no longer sells is `withdrawn`; people may still wait for it.
    """

    sku: Sku
    slug: Slug
    title: str
    label: str = ""
    picture: str = ""
    availability: Availability | None = None
    units: int | None = None
    version: int = 0
    withdrawn: bool = False

    def with_stock(self, stock: Stock | None) -> "Listed":
        """Return the variant with its stock as of now; None keeps what is known."""
        if stock is None:
            return self
        return replace(self, availability=stock.availability, units=stock.units, version=stock.version)

    @property
    def can_buy(self) -> bool:
        """True while the shop sells the variant and takes orders for it."""
        return not self.withdrawn and self.availability is not None and self.availability.can_buy

    def is_low(self, low_stock: int) -> bool:
        """Return whether few units are left, and some are."""
        return self.can_buy and self.units is not None and 0 < self.units <= low_stock


# A product's document, as `Product.to_document` has it after a round through JSON, and its stock.
StockedDocument = tuple[Mapping[str, Any], Mapping[Sku, Stock]]


def listed(products: Iterable[StockedDocument]) -> list[Listed]:
    """Return the variants of all products, with those that left the catalogue and still have stock.

    It reads the documents, without a `Product` of each: a large shop has ten thousand.
    """
    every = tuple(products)
    sold = {variant["sku"] for document, _ in every for variant in document["variants"]}
    return [variant for document, stock in every for variant in _variants(document, stock, sold)]


def _variants(document: Mapping[str, Any], stock: Mapping[Sku, Stock], sold: Set[str]) -> Iterator[Listed]:
    slug, title, pictures = document["slug"], document["title"], document["pictures"]
    first = picture_url(pictures[0]) if pictures else ""
    chosen = [(shown["options"], picture_url(shown)) for shown in pictures if shown["options"]]
    for variant in document["variants"]:
        sku, options = variant["sku"], variant["options"]
        fitting = (url for wanted, url in chosen if all(option in options for option in wanted))
        label = ", ".join([value for _, value in options])
        yield Listed(sku, slug, title, label, next(fitting, first), *_state(stock.get(sku)))
    # A product's stock keeps SKUs that left the catalogue.
    for sku in sorted(stock.keys() - sold):
        yield Listed(sku, slug, title, "", first, *_state(stock[sku]), withdrawn=True)


def _state(stock: Stock | None) -> tuple[Availability | None, int | None, int]:
    return (stock.availability, stock.units, stock.version) if stock else (None, None, 0)


def picture_url(picture: Mapping[str, Any]) -> str:
    """Return the URL of the smallest encoding that is sharp in a row, from a picture's document."""
    for source in picture["sources"]:
        for url, width in source["candidates"]:
            if width >= PICTURE_PX:
                return str(url)
    return str(picture["url"])


@dataclass(frozen=True, slots=True)
class DemandFigures:
    """The demand for a variant as a row shows it.

    `hours` are the signups of the last 24 hours, oldest first. `waiting_since_day` is the day (since the
    epoch) on which the one who waits longest was confirmed.
    """

    waiting: int = 0
    pending: int = 0
    hours: tuple[int, ...] = (0,) * HOURS_SHOWN
    waiting_since_day: int | None = None

    @classmethod
    def of(cls, demand: Demand, *, at_ms: int) -> "DemandFigures":
        """Return the demand as of `at_ms`."""
        return cls(
            demand.waiting,
            demand.pending,
            demand.by_hour(at_ms=at_ms, hours=HOURS_SHOWN),
            min(demand.waiting_by_day, default=None) if demand.waiting else None,
        )

    @property
    def signups_24h(self) -> int:
        """The signups of the last 24 hours."""
        return sum(self.hours)


NO_DEMAND = DemandFigures()


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """A variant, its demand, and its last wave if it is known."""

    listed: Listed
    numbers: DemandFigures = NO_DEMAND
    last_wave: LastWave | None = None

    @property
    def rank(self) -> tuple[object, ...]:
        """A key that sorts by demand, and equal demand by name."""
        known, numbers = self.listed, self.numbers
        demand = (-numbers.waiting, -numbers.signups_24h, -numbers.pending)
        return (*demand, known.title, known.label, known.sku)

    def document(self, low_stock: int) -> dict[str, Any]:
        """Return the row as JSON values."""
        known, numbers = self.listed, self.numbers
        return {
            "sku": known.sku,
            "slug": known.slug or None,
            "title": known.title,
            "label": known.label,
            "picture": known.picture or None,
            "waiting": numbers.waiting,
            "pending": numbers.pending,
            "signups_24h": numbers.signups_24h,
            "hours": list(numbers.hours),
            "waiting_since_day": numbers.waiting_since_day,
            "availability": known.availability,
            "stock": known.units,
            "low": known.is_low(low_stock),
            "withdrawn": known.withdrawn,
            "last_wave": asdict(self.last_wave) if self.last_wave else None,
        }


def rows_of(variants: Iterable[Listed], demand: Mapping[Sku, DemandFigures]) -> list[OverviewRow]:
    """Return a row for each variant, and for each other SKU with demand, ranked.

    `variants` are in the order of their names, in which those without demand stay.
    """
    rows = [OverviewRow(variant, demand.get(variant.sku, NO_DEMAND)) for variant in variants]
    unknown = demand.keys() - {row.listed.sku for row in rows}
    wanted = [row for row in rows if row.numbers is not NO_DEMAND]
    wanted += [OverviewRow(Listed(sku, Slug(""), sku, withdrawn=True), demand[sku]) for sku in unknown]
    wanted.sort(key=lambda row: row.rank)
    return [*wanted, *(row for row in rows if row.numbers is NO_DEMAND)]


def plain(text: str) -> str:
    """Return a text without case and accents: "Größe" is found by "grosse"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def found(
    rows: Sequence[OverviewRow], ask: OverviewQuery, *, low_stock: int, waves: frozenset[Sku]
) -> list[OverviewRow]:
    """Return the rows that have every word of the query in their names, and fit the filter; in their order.

    Args:
        rows: ranked rows.
        ask: the query and the filter.
        low_stock: the most units that are few.
        waves: the SKUs with a wave under way.
    """
    words = plain(ask.query).split()
    return [
        row for row in rows if _fits(row, ask.filter, low_stock, waves) and (not words or _named(row, words))
    ]


def _named(row: OverviewRow, words: Sequence[str]) -> bool:
    known = row.listed
    name = plain(f"{known.title} {known.label} {known.sku}")
    return all(word in name for word in words)


def _fits(row: OverviewRow, wanted: Filter | None, low_stock: int, waves: frozenset[Sku]) -> bool:
    match wanted:
        case None:
            return True
        case Filter.WAITING:
            return row.numbers.waiting > 0
        case Filter.SOLD_OUT:
            return not row.listed.withdrawn and not row.listed.can_buy
        case Filter.LOW_STOCK:
            return row.listed.is_low(low_stock)
        case Filter.WAVE:
            return row.listed.sku in waves


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that one answer shows, apart from the page of rows. `rows` are all, ranked.

    `emails_today` are those since midnight UTC; `paused` is why nothing may be sent.
    """

    rows: Sequence[OverviewRow]
    waves: Sequence[ShownWave] = ()
    low_stock: int = LOW_STOCK
    emails_today: int = 0
    paused: str | None = None
    at_ms: int = 0

    def totals(self) -> dict[str, Any]:
        """Return the sums over all rows."""
        numbers = [row.numbers for row in self.rows if row.numbers is not NO_DEMAND]
        hours = [sum(column) for column in zip(*(known.hours for known in numbers), strict=True)]
        hours = hours or [0] * HOURS_SHOWN
        return {
            "waiting": sum(known.waiting for known in numbers),
            "pending": sum(known.pending for known in numbers),
            "signups_24h": sum(hours),
            "signups_1h": hours[-1],
            "hours": hours,
            "variants": sum(not row.listed.withdrawn for row in self.rows),
            "variants_waiting": sum(known.waiting > 0 for known in numbers),
            "sold_out": sum(_fits(row, Filter.SOLD_OUT, 0, frozenset()) for row in self.rows),
            "emails_today": self.emails_today,
        }

    def head(self) -> dict[str, Any]:
        """Return what every answer has, whatever rows it shows."""
        variants = {row.listed.sku: row.listed for row in self.rows} if self.waves else {}
        return {
            "hour": self.at_ms // HOUR_MS,
            "day": self.at_ms // DAY_MS,
            "paused": self.paused,
            "totals": self.totals(),
            "waves": [wave.document() | _names(variants[wave.sku]) for wave in self.waves],
        }


def _names(variant: Listed) -> dict[str, Any]:
    return {"title": variant.title, "label": variant.label, "picture": variant.picture or None}


def page_of(rows: Sequence[OverviewRow], ask: OverviewQuery, *, low_stock: int) -> dict[str, Any]:
    """Return the rows of one answer as JSON values, and how many match."""
    return {"rows": [row.document(low_stock) for row in rows[: ask.rows]], "matched": len(rows)}
