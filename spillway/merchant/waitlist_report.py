"""People waiting for each variant, the progress of restock emails, and a waitlist as a table."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import TextIO

from chalicelib.container import Container
from chalicelib.domain.entry import Entry, position_after_all, position_of, shards_of
from chalicelib.domain.ids import ShopperId, Sku, Slug
from chalicelib.domain.sending_limits import Reach
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import Progress, ProgressTable
from chalicelib.tables.shards import RestocksTable, ShardsTable
from spillway.terminal import pluralize

DAY_MS = 24 * 3600 * 1000
RESTOCKS_SHOWN_MAX = 10
PAGE_ENTRIES = 500
MINUTES_SHOWN_MAX = 90
HEADER = ["position", "asked_at", "address", "state"]
# The signs that start a formula in a spreadsheet.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Demand:
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
) -> list[Demand]:
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
                Demand(
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


@dataclass(frozen=True, slots=True)
class FanOutState:
    """The progress of the emails about one restock.

    Attributes:
        restock: The restock.
        live: Whether it is the newest, and its variant is still in stock.
        progress: The counts of emails.
        waiting: People who are not emailed yet.
        further_waves: Waves that a limited policy still needs.
        rate_per_s: Emails a second so far.
        eta_s: Estimated seconds to the end, by the allowed rate and the pauses; None while sending is paused.
        paused: The reason of a pause.
    """

    restock: Restock
    live: bool
    progress: Progress
    waiting: int
    further_waves: int
    rate_per_s: float | None
    eta_s: float | None
    paused: str | None


def fan_outs(
    sku: Sku,
    products: ProductsTable,
    restocks: RestocksTable,
    progress: ProgressTable,
    shards: ShardsTable,
    pace: SendingRateTable,
) -> Iterator[FanOutState]:
    """Yield the newest restocks of a variant, newest first."""
    state = pace.state()
    paused = state.paused if state else None
    for place, restock in enumerate(restocks.newest(sku, most=RESTOCKS_SHOWN_MAX)):
        done = progress.of(restock.id, shards_of(sku))
        stocked = products.get(restock.slug) if place == 0 else None
        live = stocked is not None and stocked.can_buy(sku)
        standing = shards.count(sku, upto=position_after_all(restock.opened_at_ms)) if live else 0
        # People given up for this restock keep their position for the next.
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
    """Return the emails a second between the first batch and the last."""
    if done.first_at_ms is None or done.last_at_ms is None or done.last_at_ms == done.first_at_ms:
        return None
    return done.notified * 1000 / (done.last_at_ms - done.first_at_ms)


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


def in_line(shards: ShardsTable, sku: Sku) -> Iterator[Entry]:
    """Yield the people waiting for a variant, in order; memory holds one page of each shard."""
    return merge(*(_shard(shards, shard) for shard in shards_of(sku)), key=lambda entry: entry.position or "")


def write_csv(entries: Iterator[Entry], file: TextIO) -> int:
    """Write entries as CSV; return their number."""
    rows = csv.writer(file)
    rows.writerow(HEADER)
    count = 0
    for count, entry in enumerate(entries, start=1):
        rows.writerow([count, _time(entry.asked_at_ms), safe_cell(entry.mailbox), entry.state.value])
    return count


def document(entry: Entry, place: int) -> dict[str, object]:
    """Return an entry as JSON values."""
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
