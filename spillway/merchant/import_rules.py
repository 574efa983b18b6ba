"""Compare the rows of an export with each other, and with the SKUs of the shop: one outcome for each row."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby

from chalicelib.domain.address import is_listed, suggest_domain
from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import StockedProduct
from spillway.merchant.export_rows import ExportRow, in_order
from spillway.merchant.export_words import WORDS, RowOutcome
from spillway.merchant.stock_import import SkuIndex

SLIP = "looks like a slip of"
ENDED_THERE = {RowOutcome.LEFT_THERE, RowOutcome.NOTIFIED_THERE}


@dataclass(frozen=True, slots=True)
class ImportContext:
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
class JudgedRow:
    """A row that was compared with the others of its person; `at_ms` is the time it stands in line by."""

    row: ExportRow
    outcome: RowOutcome
    at_ms: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Refusals:
    """The outcomes by which rows with a mistake, or about any SKU, hold back other rows of their address.

    Args:
        of_address: by the key of an address: a bounce or a complaint, or an unsubscribe whose SKU is not sold
            here, so that it may concern any row.
        of_entry: by the key of an address and the SKU: an end whose time is not known.
    """

    of_address: Mapping[str, RowOutcome]
    of_entry: Mapping[tuple[str, Sku], RowOutcome]

    @classmethod
    def among(cls, rows: Sequence[ExportRow], here: ImportContext, *, ask: bool) -> "_Refusals":
        """Return the refusals that the rows of a file say."""
        of_address: dict[str, RowOutcome] = {}
        of_entry: dict[tuple[str, Sku], RowOutcome] = {}
        for row in rows:
            if row.address is None:
                continue
            if row.said is RowOutcome.SUPPRESSED_THERE:
                of_address[row.address.key] = row.said
            elif row.said is RowOutcome.LEFT_THERE and row.sku not in here.sold:
                of_address.setdefault(row.address.key, row.said)
            elif row.problem and row.said in _ends(ask=ask):
                of_entry.setdefault((row.address.key, row.sku), row.said)
        return cls(of_address, of_entry)

    def of(self, address: str, sku: Sku) -> RowOutcome | None:
        """Return the outcome of every row of an address about an SKU; None without a refusal."""
        return self.of_address.get(address) or self.of_entry.get((address, sku))


def _ends(*, ask: bool) -> Set[RowOutcome]:
    """Return the outcomes that end an earlier signup; a person without consent may be asked for it."""
    return ENDED_THERE if ask else ENDED_THERE | {RowOutcome.NO_CONSENT}


def judged_rows(
    rows: Sequence[ExportRow], here: ImportContext, *, ask: bool, at_ms: int
) -> Iterator[JudgedRow]:
    """Yield every row of an export with its outcome, as far as the file and the catalogue decide it."""
    index = here.index
    refusals = _Refusals.among(rows, here, ask=ask)

    def key(pair: tuple[ExportRow, int]) -> tuple[str, Sku]:
        address = pair[0].address
        return (address.key if address else "", pair[0].sku)

    yield from (_mistake(row, refusals) for row in rows if row.problem)
    yield from (JudgedRow(row, row.outcome, 0) for row in rows if row.outcome is RowOutcome.PHONE_ALONE)
    ordered = in_order([row for row in rows if row.address and not row.problem], now_ms=at_ms)
    # Sorting is stable: rows of one person stay in order.
    for (address, sku), pairs in groupby(sorted(ordered, key=key), key=key):
        mine = list(pairs)
        refused = refusals.of(address, sku)
        if sku not in here.sold and refused is not RowOutcome.SUPPRESSED_THERE:
            words = f"SKU {sku!r}: this stage sells nothing under that name"
            note = ". ".join(filter(None, (words, index.near_miss(sku) or index.similar(sku))))
            yield from (_mistake(replace(row, problem=note), refusals) for row, _ in mine)
        elif refused:
            yield from (JudgedRow(row, refused, 0) for row, _ in mine)
        else:
            yield from _of_person(mine, here, ask=ask)


def _mistake(row: ExportRow, refusals: _Refusals) -> JudgedRow:
    """Return a row with a mistake; its note says where the row holds back others all the same."""
    refused = refusals.of(row.address.key, row.sku) if row.address else None
    holds = f". Other rows of this address are not imported: {refused}" if refused is row.said else ""
    return JudgedRow(row, RowOutcome.WRONG, 0, f"{row.problem}{holds}")


def _of_person(
    rows: Sequence[tuple[ExportRow, int]], here: ImportContext, *, ask: bool
) -> Iterator[JudgedRow]:
    """Judge the rows of one person about one SKU, which are in order: the last end there counts."""
    ends = _ends(ask=ask)
    # An email or an unsubscribe may have a date of its own, after a later signup.
    ended = [(max(at_ms, row.ended_ms or 0), row.outcome) for row, at_ms in rows if row.outcome in ends]
    if ended and any(row.time_ms is None for row, _ in rows):
        # Nobody knows which came first: an end outweighs a beginning.
        end = min((outcome for _, outcome in ended), key=list(WORDS).index)
        yield from (JudgedRow(row, end, 0) for row, _ in rows)
        return
    ended_at_ms, last = max(ended, default=(-1, RowOutcome.ADD))
    waits = RowOutcome.ASK if ask else RowOutcome.ADD
    first = True
    for row, at_ms in rows:
        if at_ms <= ended_at_ms:
            yield JudgedRow(row, row.outcome if row.outcome in ends else last, 0)
        elif not first:
            yield JudgedRow(row, RowOutcome.REPEATED, 0)
        elif row.address and is_listed(row.address.domain, here.refused_domains):
            yield JudgedRow(
                row, RowOutcome.WRONG, 0, "addresses there are thrown away: site.toml refuses them"
            )
        else:
            first = False
            meant = suggest_domain(row.address) if row.address else None
            yield JudgedRow(row, waits, at_ms, f"{SLIP} {meant}" if meant else "")
