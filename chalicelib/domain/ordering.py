"""How many units to order of a variant, for the people who wait for it, and the reasons for that number.

People who wait, times the share of them that buys. The share is taken from the first of these that is known:

- `OWN`: units sold for each email of earlier restocks of the variant.
- `SHOP`: the same over all restocks of the shop.
- `CLICKS`: clicks for each email over all restocks, of which `ORDERS_PER_CLICK` is taken to buy.
- `DEFAULT`: nothing is reported. `DEFAULT_SHARE` of the people who asked within `FRESH_DAYS` are taken to
  buy; each `HALVED_AFTER_DAYS` more of waiting halve that.

A measured share is one of people of every age, so it is used for every age alike. The defaults are rules of
thumb and no measurement: report orders, and they are not used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from chalicelib.domain.ids import Sku
from chalicelib.domain.reports import RestockReport

DEFAULT_SHARE = 0.3
FRESH_DAYS = 7
HALVED_AFTER_DAYS = 30
ORDERS_PER_CLICK = 0.3
# Fewer emails say nothing about a share.
EMAILS_MIN = 20
# 33 people times a share of 1/3 are 11 units, not the 12 of a sum of binary fractions.
_ROUNDING = 1e-9


class Basis(StrEnum):
    """The source of the share of people who buy."""

    OWN = "own"
    SHOP = "shop"
    CLICKS = "clicks"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class PastRestocks:
    """The outcome of earlier restocks together: their emails, clicked emails, and units sold."""

    emails: int = 0
    clicks: int = 0
    units: int = 0

    @classmethod
    def of(cls, reports: Iterable[RestockReport]) -> "PastRestocks":
        """Return the sums over restocks that emailed anybody; sales without an email say nothing here."""
        counted = [report for report in reports if report.notified]
        return cls(
            sum(report.notified for report in counted),
            sum(report.clicks for report in counted),
            sum(report.sales.units for report in counted),
        )

    @property
    def share_sold(self) -> float | None:
        """Units sold for each email, at most one; None where too little is known."""
        if self.emails < EMAILS_MIN or not self.units:
            return None
        return min(1.0, self.units / self.emails)

    @property
    def share_clicked(self) -> float | None:
        """Clicked emails of all emails; None where too little is known."""
        if self.emails < EMAILS_MIN or not self.clicks:
            return None
        return min(1.0, self.clicks / self.emails)


@dataclass(frozen=True, slots=True)
class Advice:
    """The number of units to order, and the sentences that explain it.

    `expected` is the number of units that the people who wait would buy; `units` are in stock already.
    """

    order: int
    expected: float
    waiting: int
    units: int
    basis: Basis
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """The advice for one variant; `title` and `label` are None for one that the shop no longer sells."""

    sku: Sku
    title: str | None
    label: str | None
    advice: Advice

    def to_document(self) -> dict[str, object]:
        """Return the row as JSON values."""
        advice = self.advice
        return {
            "sku": self.sku,
            "title": self.title,
            "label": self.label,
            "order_about": advice.order,
            "expected": round(advice.expected, 1),
            "waiting": advice.waiting,
            "stock": advice.units,
            "basis": advice.basis.value,
            "reasons": list(advice.reasons),
        }


def order_about(
    waiting_by_age: Mapping[int, int], own: PastRestocks, shop: PastRestocks, *, units: int = 0
) -> Advice:
    """Return how many units to order.

    Args:
        waiting_by_age: the number of people by the days that they have waited.
        own: the outcome of earlier restocks of the variant.
        shop: the outcome of earlier restocks of all variants.
        units: the units in stock.
    """
    waiting = sum(waiting_by_age.values())
    basis, share, reason = _share(own, shop)
    if basis is Basis.DEFAULT:
        expected = sum(number * default_share(age) for age, number in sorted(waiting_by_age.items()))
    else:
        expected = waiting * share
    wanted = ceil(expected - _ROUNDING)
    order = max(0, wanted - units)
    reasons = [_ages(waiting_by_age, waiting), reason, f"that is about {wanted:,}"]
    if units:
        reasons.append(f"{units:,} {'is' if units == 1 else 'are'} in stock: order about {order:,}")
    return Advice(order, expected, waiting, units, basis, tuple(reasons))


def default_share(age_days: int) -> float:
    """Return the share of people taken to buy who have waited for `age_days`, where nothing is reported."""
    over = max(0, age_days - FRESH_DAYS)
    return float(DEFAULT_SHARE * 0.5 ** (over / HALVED_AFTER_DAYS))


def _share(own: PastRestocks, shop: PastRestocks) -> tuple[Basis, float, str]:
    if (share := own.share_sold) is not None:
        words = f"{own.units:,} units were sold for {own.emails:,} emails about it"
        return Basis.OWN, share, f"{words}: {_percent(share)}"
    if (share := shop.share_sold) is not None:
        words = f"{shop.units:,} units were sold for {shop.emails:,} emails of the whole shop"
        return Basis.SHOP, share, f"{words}: {_percent(share)}"
    if (share := shop.share_clicked) is not None:
        words = f"{_percent(share)} of {shop.emails:,} emails of the whole shop were clicked"
        taken = f"no sales are reported, so {_percent(ORDERS_PER_CLICK)} of these are taken to buy"
        return Basis.CLICKS, share * ORDERS_PER_CLICK, f"{words}; {taken}"
    return (
        Basis.DEFAULT,
        DEFAULT_SHARE,
        f"no sales are reported, so of those asked within {FRESH_DAYS} days {_percent(DEFAULT_SHARE)} are "
        f"taken to buy, and half as many for each {HALVED_AFTER_DAYS} days more",
    )


def _ages(waiting_by_age: Mapping[int, int], waiting: int) -> str:
    ends = (FRESH_DAYS, FRESH_DAYS + HALVED_AFTER_DAYS)
    fresh = sum(number for age, number in waiting_by_age.items() if age <= ends[0])
    middle = sum(number for age, number in waiting_by_age.items() if ends[0] < age <= ends[1])
    parts = [
        f"{number:,} {words}"
        for number, words in (
            (fresh, f"for up to {ends[0]} days"),
            (middle, f"for {ends[0] + 1} to {ends[1]} days"),
            (waiting - fresh - middle, "for longer"),
        )
        if number
    ]
    waits = "waits" if waiting == 1 else "wait"
    return f"{waiting:,} {waits}: {', '.join(parts)}" if parts else f"{waiting:,} {waits}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
