"""The outcome of a restock: emails sent, clicks on their links, and the orders that a shop reports.

An email that is opened is not measured: that takes a picture of its own in each email, which says when
and where it is read. A click is counted once for each email, and only in a shop that turns counting on.

An order belongs to the newest restock of its SKU in the two weeks before it, or to the one whose email was
clicked, if the order names the click. Shoppers who saw the page by chance are among them: a shop reports what
it sold, not whom an email moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.domain.entry import DAY_MS
from chalicelib.domain.ids import ShopperId, Sku, Slug
from chalicelib.domain.stock import Restock, tag_of

ATTRIBUTED_WITHIN_MS = 14 * DAY_MS
# The marker that makes a second click known is kept a little longer.
CLICKS_COUNTED_MS = 60 * DAY_MS


@dataclass(frozen=True, slots=True)
class Click:
    """The link of one email: its shopper and SKU, the tag of its restock, when it was sent, and its page.

    `path` is a path of this shop, in the language of the email.
    """

    shopper: ShopperId
    sku: Sku
    restock_tag: str
    path: str
    sent_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class OrderLine:
    """Units of a SKU in an order that the shop's checkout took.

    `amount_minor` is the price of the whole line in minor units of `currency` (ISO 4217).
    """

    order_id: str
    sku: Sku
    quantity: int
    amount_minor: int
    currency: str
    ordered_at_ms: int


@dataclass(frozen=True, slots=True)
class RestockRef:
    """A restock as reports name it."""

    id: str
    sku: Sku
    slug: Slug
    opened_at_ms: int

    @classmethod
    def of(cls, restock: Restock) -> "RestockRef":
        """Return the name of a restock."""
        return cls(restock.id, restock.sku, restock.slug, restock.opened_at_ms)

    @property
    def tag(self) -> str:
        """The tag of its emails."""
        return tag_of(self.id)


class OrderOutcome(StrEnum):
    """The outcome of a reported order line."""

    COUNTED = "counted"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class OrderResult:
    """The outcome of an order line, and the restock that it belongs to; None where it has none."""

    outcome: OrderOutcome
    restock: RestockRef | None


@dataclass(frozen=True, slots=True)
class Sales:
    """Order lines that belong to a restock: their number, their units, and the money of each currency.

    `by_click` of the order lines named the click of an email.
    """

    orders: int = 0
    units: int = 0
    by_click: int = 0
    revenue_minor: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestockReport:
    """The report of one restock. `clicks` are emails whose link was clicked."""

    restock: RestockRef
    notified: int
    bounced: int = 0
    unsubscribed: int = 0
    clicks: int = 0
    sales: Sales = Sales()

    @property
    def clicks_per_email(self) -> float | None:
        """The share of emails whose link was clicked; None without an email."""
        return self.clicks / self.notified if self.notified else None

    def revenue_per_email_minor(self, currency: str) -> float | None:
        """Return the revenue in minor units for each email; None without an email."""
        return self.sales.revenue_minor.get(currency, 0) / self.notified if self.notified else None

    def to_document(self) -> dict[str, object]:
        """Return the report as JSON values; rates have four digits, money is in minor units."""
        restock, sales = self.restock, self.sales
        return {
            "restock": restock.id,
            "sku": restock.sku,
            "slug": restock.slug,
            "opened_at_ms": restock.opened_at_ms,
            "notified": self.notified,
            "bounced": self.bounced,
            "unsubscribed": self.unsubscribed,
            "clicks": self.clicks,
            "clicks_per_email": _rounded(self.clicks_per_email),
            "orders": sales.orders,
            "orders_by_click": sales.by_click,
            "units": sales.units,
            "revenue_minor": dict(sorted(sales.revenue_minor.items())),
            "revenue_per_email_minor": {
                currency: _rounded(self.revenue_per_email_minor(currency))
                for currency in sorted(sales.revenue_minor)
            },
        }


def restock_of_order(
    restocks: Sequence[RestockRef], ordered_at_ms: int, *, clicked_tag: str | None = None
) -> RestockRef | None:
    """Return the restock of a SKU that an order of `ordered_at_ms` belongs to; None where there is none.

    Args:
        restocks: the restocks of the order's SKU.
        ordered_at_ms: the time of the order.
        clicked_tag: the tag of the restock whose email was clicked, where the order names a click.
    """
    clicked = [restock for restock in restocks if restock.tag == clicked_tag]
    recent = [
        restock for restock in restocks if 0 <= ordered_at_ms - restock.opened_at_ms <= ATTRIBUTED_WITHIN_MS
    ]
    return max(clicked or recent, key=lambda restock: restock.opened_at_ms, default=None)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
