"""Actions of a merchant on stock and sending: each has a preview, or is undone by another one.

A preview counts the people that an action emails, as `spillway available --dry-run` does.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.previews import ActionPreview
from chalicelib.domain.sending_limits import Reach
from chalicelib.domain.stock import (
    Availability,
    AvailabilityEvent,
    EventResult,
    Stock,
    StockedProduct,
    availability_of_units,
    is_restock,
)
from chalicelib.domain.stock_file import LineMistake, NumberFormat, parse_stock_file
from chalicelib.domain.wave import WavePolicy
from chalicelib.services.availability import Availabilities, when_sold_out
from chalicelib.services.stock_import import StockFileChange, StockImport, apply_import, plan_import

if TYPE_CHECKING:
    from chalicelib.tables.demand import DemandTable
    from chalicelib.tables.products import ProductsTable
    from chalicelib.tables.sending.rate import SendingRateTable
    from chalicelib.tables.sending.waves import PoliciesTable

# A file that one call of Lambda reads, plans and applies within its 20 s, and whose answer stays under 6 MB.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
FILE_BYTES_MAX = 500_000
FILE_LINES_MAX = 5_001
# For more, the whole table of demand is read by fewer calls.
DEMAND_BY_SKU_MAX = 50


class StockAction(StrEnum):
    """The stock of a variant, as a merchant states it."""

    AVAILABLE = "available"
    """It is in stock, with a number or without."""
    SOLD_OUT = "sold_out"
    CORRECT = "correct"
    """The number was wrong; with none, the catalogue decides what the page says."""


class UnknownSku(KeyError):
    """The shop sells nothing under this SKU."""


@dataclass(frozen=True, slots=True)
class StockChange:
    """An action on one variant; `units` is None where the shop does not count."""

    sku: Sku
    action: StockAction
    units: int | None = None

    def event(self, event_id: str, *, at_ms: int) -> AvailabilityEvent:
        """Return the event of this action; it counts as the newest, even if a clock is late."""
        availability, units = Availability.IN_STOCK, self.units
        if self.action is StockAction.SOLD_OUT:
            availability, units = Availability.OUT_OF_STOCK, 0
        by_units = self.action is StockAction.CORRECT
        if by_units:
            availability = availability_of_units(units)
        return AvailabilityEvent(
            event_id, self.sku, availability, units, at_ms, by_arrival=True, by_units=by_units
        )


@dataclass(frozen=True, slots=True)
class StockPreview:
    """The outcome of an action before it is done: stock before and after, and the people that it emails."""

    change: StockChange
    stocked: StockedProduct
    before: Stock
    after: Stock
    reach: Reach

    @property
    def emails(self) -> int:
        """The number of emails of the first wave; none where nothing is restocked."""
        return self.reach.emails if is_restock(self.before, self.after) else 0

    @property
    def preview(self) -> ActionPreview:
        """The preview that a merchant agrees to."""
        facts = (stock_words(self.before), stock_words(self.after))
        return ActionPreview(f"stock {self.change.action}", self.change.sku, self.emails, facts)

    def document(self, token: str) -> dict[str, Any]:
        """Return the preview as JSON values, with its token."""
        product = self.stocked.product
        return {
            "sku": self.change.sku,
            "title": product.title,
            "label": product.variant(self.change.sku).label,
            "before": stock_document(self.before),
            "after": stock_document(self.after),
            "waiting": self.reach.waiting,
            "emails": self.emails,
            "minutes": self.reach.minutes if self.emails else 0,
            "next_after_min": self.reach.next_after_min,
            "paused": self.reach.paused,
            "token": token,
        }


def stock_document(stock: Stock) -> dict[str, Any]:
    """Return a stock as JSON values."""
    return {"availability": stock.availability.value, "units": stock.units}


def mistakes_document(mistakes: Iterable[LineMistake]) -> list[dict[str, Any]]:
    """Return the mistakes of a file as JSON values."""
    return [{"line": mistake.line, "what": mistake.what} for mistake in mistakes]


def stock_words(stock: Stock) -> str:
    """Return a stock in words of the audit: "InStock 5", or "InStock" where it is not counted."""
    return stock.availability.value if stock.units is None else f"{stock.availability.value} {stock.units}"


def policy_words(policy: WavePolicy | None) -> str:
    """Return a wave policy in words of the audit; None is that of the shop."""
    if policy is None:
        return "as the shop"
    per_unit = "everyone" if policy.emails_per_unit is None else f"{policy.emails_per_unit} a unit"
    return f"{per_unit}, next after {policy.next_after_min} min, from {policy.units_min} units"


@dataclass(frozen=True, slots=True)
class FilePreview:
    """A stock file as it was read, with a digest of its bytes, and its plan."""

    digest: str
    planned: StockImport

    @property
    def preview(self) -> ActionPreview:
        """The preview that a merchant agrees to; each change counts, with its stock before and after."""
        return ActionPreview("stock file", self.digest, self.planned.mailed, (self.changes_digest,))

    def document(self, minutes: int, token: str) -> dict[str, Any]:
        """Return the preview as JSON values: every change, every mistake, and the token."""
        planned = self.planned
        return {
            "changes": [
                {
                    "line": change.line,
                    "sku": change.event.sku,
                    "before": stock_document(change.before),
                    "after": {"availability": change.event.availability.value, "units": change.event.units},
                    "emails": change.mailed,
                }
                for change in planned.changes
            ],
            "unchanged": planned.unchanged,
            "mistakes": mistakes_document(planned.mistakes),
            "emails": planned.mailed,
            "minutes": minutes if planned.mailed else 0,
            "token": token,
        }

    @property
    def changes_digest(self) -> str:
        """A digest of all changes."""
        return sha256("\n".join(map(change_words, self.planned.changes)).encode()).hexdigest()[:32]


def change_words(change: StockFileChange) -> str:
    """Return a change in words of the audit: "FJ-INK-L: OutOfStock 0 to InStock 5"."""
    units = "" if change.event.units is None else f" {change.event.units}"
    return f"{change.event.sku}: {stock_words(change.before)} to {change.event.availability.value}{units}"


class MerchantActions:
    """Previews and makes a merchant's changes of stock.

    Args:
        products: the products.
        availabilities: applies events.
        policies: the wave policies.
        rate: the rate limit, for the time that emails take.
        demand: how many people wait, by SKU.
        clock_ms: returns the time of now.
    """

    def __init__(
        self,
        products: "ProductsTable",
        availabilities: Availabilities,
        policies: "PoliciesTable",
        rate: "SendingRateTable",
        demand: "DemandTable",
        clock_ms: Callable[[], int],
    ) -> None:
        self._products = products
        self._availabilities = availabilities
        self._policies = policies
        self._rate = rate
        self._demand = demand
        self._clock_ms = clock_ms

    def preview_stock(self, change: StockChange) -> StockPreview:
        """Return what a change would do. Nothing is written.

        Raises:
            UnknownSku: the shop does not sell it.
        """
        stocked = self._products.selling([change.sku]).get(change.sku)
        if stocked is None:
            raise UnknownSku(change.sku)
        before = stocked.stock[change.sku]
        event = change.event("preview", at_ms=self._clock_ms())
        after = event.applied_to(before, when_sold_out(stocked, change.sku)).stock
        reach = Reach.of(
            self._waiting([change.sku])[change.sku],
            change.units,
            self._policies.of(stocked.product.slug),
            state=self._rate.state(),
        )
        return StockPreview(change, stocked, before, after, reach)

    def change_stock(self, change: StockChange, event_id: str) -> EventResult:
        """Make a change; the same id again changes nothing."""
        return self._availabilities.apply(change.event(event_id, at_ms=self._clock_ms()))

    def preview_file(self, raw: bytes, numbers: NumberFormat, new_id: Callable[[], str]) -> FilePreview:
        """Return what a stock file would change, with the emails of each change. Nothing is written.

        Raises:
            StockFileRefused: it is no stock file, or larger than one request may be.
        """
        file = parse_stock_file(raw, numbers, lines_max=FILE_LINES_MAX, bytes_max=FILE_BYTES_MAX)
        sold = self._products.selling(line.sku for line in file.lines)
        planned = plan_import(file, sold, emails_for=self._emails_for, at_ms=self._clock_ms(), new_id=new_id)
        return FilePreview(sha256(raw).hexdigest(), planned)

    def apply_file(self, previewed: FilePreview) -> list[LineMistake]:
        """Apply the changes of a stock file; return an error for each that a newer event overtook."""
        return apply_import(previewed.planned.changes, self._availabilities)

    def minutes_for(self, emails: int) -> int:
        """Return about how many minutes so many emails take."""
        return Reach.of(emails, None, WavePolicy(), state=self._rate.state()).minutes

    def _emails_for(self, restocked: Mapping[Sku, tuple[Slug, int | None]]) -> Mapping[Sku, int]:
        waiting = self._waiting(restocked)
        policies = self._policies.of_many(slug for slug, _ in restocked.values())
        return {
            sku: Reach.of(waiting[sku], units, policies[slug], state=None).emails
            for sku, (slug, units) in restocked.items()
        }

    def _waiting(self, skus: Collection[Sku]) -> Mapping[Sku, int]:
        found = self._demand.of(skus) if len(skus) <= DEMAND_BY_SKU_MAX else self._demand.all()
        return {sku: found[sku].waiting if sku in found else 0 for sku in skus}
