"""A campaign's bill: each amount times its price, with and without free allowances, and with a flat plan.

It also compares the founding story's bill with today's: a million visitors in an hour.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from spillway.preflight.built_pages import HEAD_BYTES, PageRefresh
from spillway.preflight.campaign import FOUNDING_STORY
from spillway.preflight.prices import FLAT_PLANS, PRICES, FlatPlan, Item, Price
from spillway.preflight.usage import Used

# What the shop told of its flood: about $200 in all, of which $0.07 for Lambda and DynamoDB.
THEN_TOTAL_USD = 200.0
THEN_COMPUTE_USD = 0.07
# CloudFront had no such plans, and S3 and CloudFront both charged about this for what left them.
THEN_USD_PER_GB = 0.09


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


@dataclass(frozen=True, slots=True)
class StoryRow:
    """One line of the comparison. `then_usd` is None where the story says nothing."""

    what: str
    then_usd: float | None
    now_usd: float


def then_bytes_per_visitor() -> float:
    """The story read backwards: what a visitor must have downloaded for the bill to come to that."""
    return (THEN_TOTAL_USD - THEN_COMPUTE_USD) / THEN_USD_PER_GB * 1e9 / FOUNDING_STORY.visitors


def story(now: Bill) -> tuple[StoryRow, ...]:
    """Then and now. `now` is the bill of a million visitors at today's list prices."""
    pages = now.part(Part.BYTES) + now.part(Part.REQUESTS) + now.part(Part.REFRESH)
    return (
        StoryRow("bytes to visitors", THEN_TOTAL_USD - THEN_COMPUTE_USD, now.part(Part.BYTES)),
        StoryRow("requests for pages and pictures", None, now.part(Part.REQUESTS)),
        StoryRow("API, Lambda, DynamoDB, queues, logs", THEN_COMPUTE_USD, now.part(Part.BACKEND)),
        StoryRow("refreshing pages: back in stock, sold out again", None, now.part(Part.REFRESH)),
        StoryRow("without emails", THEN_TOTAL_USD, pages + now.part(Part.BACKEND)),
        StoryRow("two emails to each shopper who signed up", None, now.part(Part.MAIL)),
        StoryRow("hearing of each whether it was delivered", None, now.part(Part.FEEDBACK)),
        StoryRow("in all", THEN_TOTAL_USD, now.usd),
    )


def usd_per_request() -> float:
    """What one request more in each view adds to the story: its price, and the bytes of its head."""
    price, sent = PRICES[Item.CDN_REQUESTS], PRICES[Item.CDN_BYTES]
    return FOUNDING_STORY.visitors * (price.usd / price.per + HEAD_BYTES * sent.usd / sent.per)


def usd_per_10_kb() -> float:
    """What 10 kB more in each view add."""
    sent = PRICES[Item.CDN_BYTES]
    return FOUNDING_STORY.visitors * 10_000 * sent.usd / sent.per
