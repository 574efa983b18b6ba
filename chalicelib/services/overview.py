"""The merchant's overview: made at most every 2.5 s, by the first poll, read by all others.

A poll is one read of the snapshot. When it is too old, one poll claims the next snapshot by a conditional
write and makes it; the others get the old one meanwhile.

The reads for a snapshot do not grow with the catalogue. The names, the pictures and the stock of all
variants are read once a minute, in a large shop less often: a shop of 10,000 products every 160 s. The stock
of the first page's products, and of those with waves, is read for each snapshot; so is the stock of the rows
that a search shows, by the search itself.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import DAY_MS
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.overview import (
    LOW_STOCK,
    NO_DEMAND,
    PAGE_ROWS,
    DemandFigures,
    Listed,
    Overview,
    OverviewNotReady,
    OverviewQuery,
    OverviewRow,
    found,
    listed,
    page_of,
    rows_of,
)
from chalicelib.domain.overview_waves import LastWave, ShownWave, WaveState
from chalicelib.domain.stock import Availability
from chalicelib.services.overview_waves import KnownWave, Waves, orderable, with_fewer_waiting
from chalicelib.tables.overview import CatalogueVersion, OverviewTable, Snapshot

if TYPE_CHECKING:
    from chalicelib.tables.demand import DemandTable
    from chalicelib.tables.products import ProductsTable
    from chalicelib.tables.sending.rate import SendingRateTable
    from chalicelib.tables.sending.waves import ProgressTable
    from chalicelib.tables.shards import RestocksTable

FRESH_MS = 2_500
# An older snapshot is of another day's work: nobody is shown it while the next one is made.
SHOWN_MS_MAX = 60_000
CATALOGUE_FRESH_MS_MIN = 60_000
CATALOGUE_FRESH_MS_PER_PRODUCT = 16


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that the overview is read from."""

    snapshots: OverviewTable
    demand: "DemandTable"
    products: "ProductsTable"
    restocks: "RestocksTable"
    progress: "ProgressTable"
    sending_rate: "SendingRateTable"


@dataclass(frozen=True, slots=True)
class OverviewAnswer:
    """The answer to a poll, as JSON values; `etag` is a digest of what it shows."""

    etag: str
    made_at_ms: int
    document: dict[str, Any]


class Overviews:
    """Answers polls. `low_stock` returns the most units that are few in this shop; None for `LOW_STOCK`."""

    def __init__(
        self, tables: Tables, low_stock: Callable[[], int | None], clock_ms: Callable[[], int]
    ) -> None:
        self._tables = tables
        self._low_stock = low_stock
        self._clock_ms = clock_ms
        self._waves = Waves(tables.restocks, tables.progress)
        self._catalogue: tuple[str, list[Listed]] | None = None

    def answer(self, ask: OverviewQuery) -> OverviewAnswer:
        """Return the overview, at most some seconds old.

        Raises:
            OverviewNotReady: another poll makes it at this moment; try again in a second.
        """
        snapshot = self._snapshot()
        if ask.is_plain:
            return OverviewAnswer(snapshot.etag, snapshot.made_at_ms, snapshot.body)
        document = snapshot.body | self._page(snapshot, ask)
        return OverviewAnswer(digest(document), snapshot.made_at_ms, document)

    def _snapshot(self) -> Snapshot:
        now_ms, known = self._clock_ms(), self._tables.snapshots.snapshot()
        if known and now_ms - known.made_at_ms < FRESH_MS:
            return known
        if self._tables.snapshots.claim(at_ms=now_ms, known_ms=known.made_at_ms if known else None):
            made = self._make(known, now_ms)
            self._tables.snapshots.put(made)
            return made
        if known and now_ms - known.made_at_ms < SHOWN_MS_MAX:
            return known
        raise OverviewNotReady

    def _page(self, snapshot: Snapshot, ask: OverviewQuery) -> dict[str, Any]:
        """Return the rows that a search, a filter or a further page shows, with their stock as of now."""
        state, variants = _State.of(snapshot.state), self._variants(snapshot.catalogue)
        if variants is None:
            # The stored catalogue expired: DynamoDB deletes one that does not change for a week.
            _, variants = self._current_catalogue(None, self._clock_ms())
        rows = rows_of(variants, state.numbers)
        waves = frozenset(wave.sku for wave in state.waves if wave.is_under_way)
        matching = found(rows, ask, low_stock=state.low_stock, waves=waves)
        shown = self._with_stock(matching[: ask.rows])
        # Rows that left the filter since the catalogue was read are left out.
        shown = found(shown, ask, low_stock=state.low_stock, waves=waves)
        shown, _ = self._waves.last(shown, state.last_waves, self._clock_ms())
        page = page_of(shown, ask, low_stock=state.low_stock)
        return page | {"matched": len(shown) + max(0, len(matching) - ask.rows)}

    def _make(self, before: Snapshot | None, at_ms: int) -> Snapshot:
        state = _State.of(before.state) if before else _State()
        catalogue, variants = self._current_catalogue(before.catalogue if before else None, at_ms)
        if before is None or catalogue.read_at_ms == at_ms:
            state = replace(state, low_stock=self._low_stock() or LOW_STOCK)
        numbers = {
            sku: DemandFigures.of(demand, at_ms=at_ms) for sku, demand in self._tables.demand.all().items()
        }
        numbers = {sku: known for sku, known in numbers.items() if known != NO_DEMAND}
        rows = rows_of(variants, numbers)
        fewer = with_fewer_waiting(state.numbers, numbers)
        watched = {*fewer, *(wave.sku for wave in state.waves), *(row.listed.sku for row in orderable(rows))}
        first = rows[:PAGE_ROWS]
        others = [row for row in rows[PAGE_ROWS:] if row.listed.sku in watched]
        live = {row.listed.sku: row for row in self._with_stock([*first, *others])}
        sending = self._tables.sending_rate.state()
        waves = self._waves.under_way(live, state.waves, fewer, sending, at_ms)
        first, last_waves = self._waves.last(
            [live[row.listed.sku] for row in first], state.last_waves, at_ms, waves=waves
        )
        live |= {row.listed.sku: row for row in first}
        overview = Overview(
            [live.get(row.listed.sku, row) for row in rows],
            waves,
            state.low_stock,
            sending.emails_by_day.get(at_ms // DAY_MS, 0) if sending else 0,
            sending.paused if sending else None,
            at_ms,
        )
        body = overview.head() | page_of(overview.rows, OverviewQuery(), low_stock=state.low_stock)
        # In the order of their rows: an item with too many of them keeps the first.
        numbers = {row.listed.sku: row.numbers for row in rows if row.listed.sku in numbers}
        state = replace(state, numbers=numbers, waves=waves, last_waves=last_waves)
        # A change beyond the first page shows in an answer to a search alone, which has a digest of its own.
        return Snapshot(at_ms, digest(body), body, state.document(), catalogue)

    # ---- The catalogue ----

    def _current_catalogue(
        self, known: CatalogueVersion | None, at_ms: int
    ) -> tuple[CatalogueVersion, list[Listed]]:
        if known and at_ms - known.read_at_ms < _fresh_ms(known.products):
            variants = self._variants(known)
            if variants is not None:
                return known, variants
        products = list(self._tables.products.documents())
        variants = sorted(listed(products), key=lambda variant: (variant.title, variant.label, variant.sku))
        members = [_member(variant) for variant in variants]
        version = digest(members)
        if known is None or version != known.version or self._variants(known) is None:
            parts = self._tables.snapshots.put_catalogue(version, members, at_ms=at_ms)
        else:
            parts = known.parts
        self._catalogue = (version, variants)
        return CatalogueVersion(version, parts, len(products), at_ms), variants

    def _variants(self, known: CatalogueVersion) -> list[Listed] | None:
        """Return the variants of a stored catalogue: from memory, or else from the table."""
        if self._catalogue is None or self._catalogue[0] != known.version:
            members = self._tables.snapshots.catalogue(known)
            if members is None:
                return None
            self._catalogue = (known.version, [_listed_of(member) for member in members])
        return self._catalogue[1]

    def _with_stock(self, rows: Sequence[OverviewRow]) -> list[OverviewRow]:
        slugs = {row.listed.slug for row in rows if row.listed.slug}
        stock = self._tables.products.stock_of(slugs) if slugs else {}
        return [replace(row, listed=row.listed.with_stock(stock.get(row.listed.sku))) for row in rows]


def _fresh_ms(products: int) -> int:
    return max(CATALOGUE_FRESH_MS_MIN, products * CATALOGUE_FRESH_MS_PER_PRODUCT)


def digest(document: Any) -> str:
    """Return a digest of JSON values."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


# ---- What a snapshot keeps for the next one ----


@dataclass(frozen=True, slots=True)
class _State:
    numbers: Mapping[Sku, DemandFigures] = field(default_factory=dict)
    waves: tuple[ShownWave, ...] = ()
    last_waves: Mapping[Sku, KnownWave] = field(default_factory=dict)
    low_stock: int = LOW_STOCK

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "_State":
        numbers = {
            Sku(sku): DemandFigures(waiting, pending, tuple(hours), since)
            for sku, waiting, pending, hours, since in document["numbers"]
        }
        last_waves = {
            Sku(sku): KnownWave(version, since_ms, LastWave(*wave) if wave else None)
            for sku, version, since_ms, wave in document["last_waves"]
        }
        return cls(numbers, tuple(map(_wave_of, document["waves"])), last_waves, document["low_stock"])

    def document(self) -> dict[str, Any]:
        return {
            "numbers": [
                [sku, known.waiting, known.pending, known.hours, known.waiting_since_day]
                for sku, known in self.numbers.items()
            ],
            "waves": [asdict(wave) for wave in self.waves],
            "last_waves": [[sku, *astuple(known)] for sku, known in self.last_waves.items()],
            "low_stock": self.low_stock,
        }


def _wave_of(document: Mapping[str, Any]) -> ShownWave:
    samples = tuple((at_ms, notified) for at_ms, notified in document["samples"])
    return ShownWave(**{**document, "state": WaveState(document["state"]), "samples": samples})


def _member(variant: Listed) -> list[Any]:
    """Return a variant as it is stored; `dataclasses.astuple` takes a second for 30,000 of them."""
    return [getattr(variant, field.name) for field in _FIELDS]


def _listed_of(member: Sequence[Any]) -> Listed:
    sku, slug, title, label, picture, availability, *stock = member
    known = Availability(availability) if availability else None
    return Listed(Sku(sku), Slug(slug), title, label, picture, known, *stock)


_FIELDS = fields(Listed)
