"""Compare the rows of an export with each other, and with the SKUs of the shop: one outcome for each row."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby

from chalicelib.domain.address import is_listed, suggest_domain
from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import StockedProduct
from spillway.merchant.export_rows import ExportRow, in_order
from spillway.merchant.export_words import Outcome
from spillway.merchant.stock_import import SkuIndex

ENDED_THERE = {Outcome.LEFT_THERE, Outcome.NOTIFIED_THERE}


@dataclass(frozen=True, slots=True)
class Here:
    """The shop's own data that an import is held against.

    Args:
        sold: the product of each SKU, with its stock.
        identity_key: makes the shoppers' ids of addresses.
        refused_domains: domains whose addresses no signup takes.
        page_of: where the page of a product is, in the language of the import.
    """

    sold: Mapping[Sku, StockedProduct]
    identity_key: bytes
    refused_domains: Set[str]
    page_of: Callable[[StockedProduct], str]

    @property
    def index(self) -> SkuIndex:
        """Return the SKUs that are sold, to name similar ones."""
        return SkuIndex((sku, stocked.product.slug) for sku, stocked in self.sold.items())


@dataclass(frozen=True, slots=True)
class Judged:
    """A row that was compared with the others of its person; `at_ms` is the time it stands in line by."""

    row: ExportRow
    outcome: Outcome
    at_ms: int
    note: str | None = None


def judged_rows(rows: Sequence[ExportRow], here: Here, *, ask: bool, at_ms: int) -> Iterator[Judged]:
    """Yield every row of an export with its outcome, as far as the file and the catalogue decide it."""
    index = here.index
    suppressed = {row.address.key for row in rows if row.address and row.outcome is Outcome.SUPPRESSED_THERE}

    def key(pair: tuple[ExportRow, int]) -> tuple[str, Sku]:
        address = pair[0].address
        return (address.key if address else "", pair[0].sku)

    wrong = [row for row in rows if row.address is None]
    yield from (Judged(row, Outcome.WRONG, 0, row.problem) for row in wrong)
    ordered = in_order([row for row in rows if row.address is not None], now_ms=at_ms)
    # Sorting is stable: rows of one person stay in order.
    for (address, sku), pairs in groupby(sorted(ordered, key=key), key=key):
        mine = list(pairs)
        if address in suppressed:
            yield from (Judged(row, Outcome.SUPPRESSED_THERE, 0) for row, _ in mine)
        elif sku not in here.sold:
            words = f"SKU {sku!r}: this stage sells nothing under that name"
            note = ". ".join(filter(None, (words, index.near_miss(sku) or index.similar(sku))))
            yield from (Judged(row, Outcome.WRONG, 0, note) for row, _ in mine)
        else:
            yield from _of_person(mine, here, ask=ask)


def _of_person(rows: Sequence[tuple[ExportRow, int]], here: Here, *, ask: bool) -> Iterator[Judged]:
    """Judge the rows of one person about one SKU, which are in order: the last end there counts."""
    ended = max((place for place, (row, _) in enumerate(rows) if row.outcome in ENDED_THERE), default=-1)
    if ended >= 0 and any(row.time_ms is None for row, _ in rows):
        # Nobody knows which came first: an end outweighs a beginning.
        end = next(row.outcome for row, _ in rows if row.outcome in ENDED_THERE)
        yield from (Judged(row, end, 0) for row, _ in rows)
        return
    waits = Outcome.ASK if ask else Outcome.ADD
    first = True
    for place, (row, at_ms) in enumerate(rows):
        if place <= ended:
            yield Judged(row, rows[ended][0].outcome if row.outcome not in ENDED_THERE else row.outcome, 0)
        elif row.outcome is Outcome.NO_CONSENT and not ask:
            yield Judged(row, Outcome.NO_CONSENT, 0)
        elif not first:
            yield Judged(row, Outcome.REPEATED, 0)
        elif row.address and is_listed(row.address.domain, here.refused_domains):
            yield Judged(row, Outcome.WRONG, 0, "addresses there are thrown away: site.toml refuses them")
        else:
            first = False
            meant = suggest_domain(row.address) if row.address else None
            yield Judged(row, waits, at_ms, f"looks like a slip of {meant}" if meant else "")
