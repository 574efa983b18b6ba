"""The bill: every amount times its price, with and without the free allowances, and with a flat plan."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from spillway.preflight.prices import FLAT_PLANS, PRICES, FlatPlan, Item, Price
from spillway.preflight.refresh import PageRefresh
from spillway.preflight.usage import Used


class Part(StrEnum):
    """What the lines of a bill are added up under."""

    BYTES = "bytes"
    REQUESTS = "page requests"
    MAIL = "emails"
    FEEDBACK = "what became of emails"
    REFRESH = "page refreshes"
    BACKEND = "everything else"


PART_OF = {Item.CDN_BYTES: Part.BYTES, Item.CDN_REQUESTS: Part.REQUESTS, Item.EMAILS: Part.MAIL}


@dataclass(frozen=True, slots=True)
class BillLine:
    """One amount and what it costs: at the list price, and after the free allowance."""

    used: Used
    price: Price
    usd: float
    usd_after_free: float

    @property
    def part(self) -> Part:
        """What it is added up under."""
        if self.used.of_feedback:
            return Part.FEEDBACK
        if self.used.of_refresh:
            return Part.REFRESH
        return PART_OF.get(self.used.item, Part.BACKEND)

    @property
    def charged_units(self) -> float:
        """The amount in the unit that the price is for."""
        return self.used.amount / self.price.per


@dataclass(frozen=True, slots=True)
class PlanFit:
    """A flat plan and how much of its monthly allowance a campaign takes (1.0 is all of it)."""

    plan: FlatPlan
    of_requests: float
    of_bytes: float

    @property
    def fits(self) -> bool:
        """Whether the campaign stays within the plan."""
        return max(self.of_requests, self.of_bytes) <= 1


@dataclass(frozen=True, slots=True)
class Bill:
    """The lines, in the order in which a shopper causes them."""

    lines: tuple[BillLine, ...]

    @property
    def usd(self) -> float:
        """The sum at list prices."""
        return sum(line.usd for line in self.lines)

    @property
    def usd_after_free(self) -> float:
        """The sum for an account that has used nothing else of this month's always-free allowances."""
        return sum(line.usd_after_free for line in self.lines)

    def part(self, part: Part) -> float:
        """The sum of one part at list prices."""
        return sum(line.usd for line in self.lines if line.part is part)

    def plans(self) -> tuple[PlanFit, ...]:
        """How the campaign fits CloudFront's flat plans, cheapest first."""
        amounts = {line.used.item: line.used.amount for line in self.lines}
        requests, sent = amounts[Item.CDN_REQUESTS], amounts[Item.CDN_BYTES]
        return tuple(
            PlanFit(plan, requests / plan.requests_per_month, sent / plan.bytes_per_month)
            for plan in FLAT_PLANS
        )

    def usd_with(self, plan: FlatPlan) -> float:
        """The sum at list prices, but for a plan in the place of CloudFront's lines."""
        cdn = {Item.CDN_BYTES, Item.CDN_REQUESTS}
        return plan.usd_per_month + sum(line.usd for line in self.lines if line.used.item not in cdn)


def bill(used: Iterable[Used]) -> Bill:
    """What all of it costs."""
    lines: list[BillLine] = []
    left_free = {item: price.free for item, price in PRICES.items()}
    for each in used:
        price = PRICES[each.item]
        charged = max(0.0, each.amount - left_free[each.item])
        left_free[each.item] = max(0.0, left_free[each.item] - each.amount)
        lines.append(
            BillLine(each, price, each.amount / price.per * price.usd, charged / price.per * price.usd)
        )
    return Bill(tuple(lines))


def refresh_usd(refresh: PageRefresh) -> float:
    """Return the price of one change of availability in dollars, past the month's free paths."""
    items = ((Item.INVALIDATIONS, refresh.paths), (Item.S3_WRITES, refresh.objects))
    return sum(PRICES[item].of(amount, free_tier=False) for item, amount in items)
