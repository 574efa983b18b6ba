"""People waiting for each variant, the progress of restock emails, and a waitlist as a table."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import TextIO

from chalicelib.domain.entry import Entry, position_after_all, position_of, shards_of
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import Progress, ProgressTable
from chalicelib.tables.shards import ShardsTable

DAY_MS = 24 * 3600 * 1000
RESTOCKS_SHOWN_MAX = 10
PAGE_ENTRIES = 500
HEADER = ["position", "asked_at", "address", "state"]
# What spreadsheets take for the beginning of a formula.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Demand:
    """So many wait for a variant; `last_day` of them asked within 24 hours. One that the shop no longer sells
    is `withdrawn`: its people hear of nothing until they are moved to another SKU."""

    sku: str
    title: str
    label: str
    availability: str
    waiting: int
    last_day: int
    withdrawn: bool = False


def demand(
    products: ProductsTable, shards: ShardsTable, *, at_ms: int, progress: Callable[[int, int], None]
) -> list[Demand]:
    """Every variant that somebody waits for, the most wanted first. `progress` hears (done, of how many)."""
    every = list(products.scan())
    variants = [
        (stocked, variant.sku, variant.label)
        for stocked in every
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
    ]
    gone = withdrawn_skus(every)
    variants += [(stocked, sku, "") for sku, stocked in gone.items()]
    found = []
    for number, (stocked, sku, label) in enumerate(variants, start=1):
        waiting = shards.count(sku)
        if waiting:
            found.append(
                Demand(
                    sku,
                    stocked.product.title,
                    label,
                    stocked.stock[sku].availability,
                    waiting,
                    shards.count(sku, after=position_of(at_ms - DAY_MS, "")),
                    sku in gone,
                )
            )
        progress(number, len(variants))
    return sorted(found, key=lambda each: (-each.waiting, -each.last_day, each.sku))


def withdrawn_skus(every: Iterable[StockedProduct]) -> dict[str, StockedProduct]:
    """Return the SKUs that were sold once and no product has any more, each with the product it was of."""
    every = tuple(every)
    sold = {sku for stocked in every for sku in stocked.product.skus}
    # A product's stock keeps SKUs that the catalogue has dropped.
    return {sku: stocked for stocked in every for sku in sorted(stocked.stock.keys() - sold)}


@dataclass(frozen=True, slots=True)
class FanOutState:
    """How far the emails about one restock are. `waiting` are still to get theirs, of limited waves in so
    many `further_waves`; `eta_s` is a guess by the rate that is allowed and the pauses between waves, None
    while sending is paused. The newest restock is `live`, unless its variant cannot be had any more."""

    restock: Restock
    live: bool
    progress: Progress
    waiting: int
    further_waves: int
    rate_per_s: float | None
    eta_s: float | None
    paused: str | None


def fan_outs(
    sku: str,
    products: ProductsTable,
    restocks: RestocksTable,
    progress: ProgressTable,
    shards: ShardsTable,
    pace: SendingRateTable,
) -> Iterator[FanOutState]:
    """The newest restocks of a variant, newest first."""
    state = pace.state()
    paused = state.paused if state else None
    for place, restock in enumerate(restocks.newest(sku, most=RESTOCKS_SHOWN_MAX)):
        done = progress.of(restock.id, shards_of(sku))
        stocked = products.get(restock.slug) if place == 0 else None
        live = stocked is not None and stocked.can_buy(sku)
        standing = shards.count(sku, upto=position_after_all(restock.opened_at_ms)) if live else 0
        # Given up for this restock, they keep their place for the next.
        waiting = max(0, standing - done.given_up)
        allowed = state.rate_per_s if state and not paused else 0
        further = _further_waves(restock, progress, waiting)
        pauses_s = further * restock.policy.next_after_min * 60
        eta_s = waiting / allowed + pauses_s if allowed else None
        yield FanOutState(restock, live, done, waiting, further, _rate(done), eta_s, paused)


def _further_waves(restock: Restock, progress: ProgressTable, waiting: int) -> int:
    size = restock.policy.emails_for(restock.units)
    if not size:
        return 0
    return -(-max(0, waiting - progress.wave(restock.sku).left) // size)


def _rate(done: Progress) -> float | None:
    """Emails a second between the first batch and the last."""
    if done.first_at_ms is None or done.last_at_ms is None or done.last_at_ms == done.first_at_ms:
        return None
    return done.notified * 1000 / (done.last_at_ms - done.first_at_ms)


def safe_cell(text: str) -> str:
    """The text as a cell that is only read, never calculated."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def in_line(shards: ShardsTable, sku: str) -> Iterator[Entry]:
    """Everybody who waits for a variant, first come first; no more than a page of each shard in memory."""

    return merge(*(_shard(shards, shard) for shard in shards_of(sku)), key=lambda entry: entry.position or "")


def write_csv(entries: Iterator[Entry], file: TextIO) -> int:
    """Write them, and count them."""
    rows = csv.writer(file)
    rows.writerow(HEADER)
    count = 0
    for count, entry in enumerate(entries, start=1):
        rows.writerow([count, _time(entry.asked_at_ms), safe_cell(entry.mailbox), entry.state.value])
    return count


def document(entry: Entry, place: int) -> dict[str, object]:
    """One of them, ready for JSON."""
    return {
        "position": place,
        "asked_at": _time(entry.asked_at_ms),
        "address": entry.mailbox,
        "state": entry.state.value,
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _shard(shards: ShardsTable, shard: str) -> Iterator[Entry]:
    after = ""
    while True:
        page = shards.waiting(shard, after=after, upto="~", limit=PAGE_ENTRIES)
        yield from page.entries
        if not page.more or not page.entries:
            return
        after = page.entries[-1].position or ""
