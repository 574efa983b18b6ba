"""People waiting for each variant, the people that a restock reaches, and a waitlist as a table."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import TextIO

from chalicelib.container import Container
from chalicelib.domain.entry import DAY_MS, Entry, position_of, shards_of
from chalicelib.domain.ids import ShopperId, Sku, Slug
from chalicelib.domain.sending_limits import Reach
from chalicelib.domain.stock import StockedProduct
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.shards import ShardsTable
from spillway.terminal import pluralize

PAGE_ENTRIES = 500
MINUTES_SHOWN_MAX = 90
HEADER = ["position", "asked_at", "address", "state"]
# The signs that start a formula in a spreadsheet.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class WaitlistSize:
    """The people waiting for a variant; `last_day` of them signed up within 24 hours.

    A variant that the shop no longer sells is `withdrawn`: its people are not notified until they are moved
    to another SKU.
    """

    sku: Sku
    title: str
    label: str
    availability: str
    waiting: int
    last_day: int
    withdrawn: bool = False


def demand(
    products: ProductsTable, shards: ShardsTable, *, at_ms: int, progress: Callable[[int, int], None]
) -> list[WaitlistSize]:
    """Return the variants with people waiting, the largest number first; `progress` gets (done, total)."""
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
                WaitlistSize(
                    sku,
                    stocked.product.title,
                    label,
                    stocked.stock[sku].availability,
                    waiting,
                    shards.count(sku, after=position_of(at_ms - DAY_MS, ShopperId(""))),
                    sku in gone,
                )
            )
        progress(number, len(variants))
    return sorted(found, key=lambda variant: (-variant.waiting, -variant.last_day, variant.sku))


def withdrawn_skus(every: Iterable[StockedProduct]) -> dict[Sku, StockedProduct]:
    """Return the SKUs that are no longer sold, each with its former product."""
    every = tuple(every)
    sold = {sku for stocked in every for sku in stocked.product.skus}
    # A product's stock keeps SKUs that left the catalogue.
    return {sku: stocked for stocked in every for sku in sorted(stocked.stock.keys() - sold)}


def reach_of(tables: Container, sku: Sku, slug: Slug, units: int | None) -> Reach:
    """Count the people waiting for a variant of product `slug`, and apply its policy to `units`."""
    return Reach.of(
        tables.shards.count(sku), units, tables.policies.of(slug), state=tables.sending_rate.state()
    )


def reach_sentence(reach: Reach, verb: str) -> str:
    """Return how many people `verb` ("will be", "would be") emailed, and how long that takes."""
    if not reach.waiting:
        return f"nobody is waiting: nobody {verb} emailed"
    if not reach.emails:
        waits = pluralize(reach.waiting, "person waits", "people wait")
        return f"{waits}; nobody {verb} emailed: the wave policy wants more stock"
    words = f"{pluralize(reach.emails, 'person', 'people')} {verb} emailed, {_about(reach)}"
    if later := reach.waiting - reach.emails:
        more = pluralize(later, "more waits", "more wait")
        words += f"; {more}: the next wave follows after {pluralize(reach.next_after_min, 'minute')}"
    return f"{words}; sending is paused: {reach.paused}" if reach.paused else words


def _about(reach: Reach) -> str:
    """Return a duration as people say it."""
    if reach.minutes < MINUTES_SHOWN_MAX:
        return f"about {pluralize(reach.minutes, 'minute')}"
    return f"about {reach.emails / reach.rate_per_s / 3600:,.1f} hours"


def safe_cell(text: str) -> str:
    """Return a text as a cell that a spreadsheet does not calculate."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def text_of_cell(cell: str) -> str:
    """Return the text that `safe_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_SIGNS) else cell


def in_line(shards: ShardsTable, sku: Sku) -> Iterator[Entry]:
    """Yield the people waiting for a variant, in order; memory holds one page of each shard."""
    return merge(*(_shard(shards, shard) for shard in shards_of(sku)), key=lambda entry: entry.position or "")


def write_csv(entries: Iterator[Entry], file: TextIO) -> int:
    """Write entries as CSV; return their number."""
    rows = csv.writer(file)
    rows.writerow(HEADER)
    count = 0
    for count, entry in enumerate(entries, start=1):
        rows.writerow([count, _asked_at(entry), safe_cell(entry.mailbox), entry.state.value])
    return count


def document(entry: Entry, place: int) -> dict[str, object]:
    """Return an entry as JSON values."""
    return {
        "position": place,
        "asked_at": _asked_at(entry),
        "address": entry.mailbox,
        "state": entry.state.value,
    }


def _asked_at(entry: Entry) -> str:
    """Return the time that a position counts from: a repeated signup, a move or an import may be later."""
    at_ms = int(entry.position.partition("#")[0]) if entry.position else entry.signed_up_at_ms
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _shard(shards: ShardsTable, shard: str) -> Iterator[Entry]:
    after = ""
    while True:
        page = shards.waiting(shard, after=after, upto="~", limit=PAGE_ENTRIES)
        yield from page.entries
        if not page.more or not page.entries:
            return
        after = page.entries[-1].position or ""
