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

# The founding shop reported about $200 for its flood, $0.07 of it for Lambda and DynamoDB.
THEN_TOTAL_USD = 200.0
THEN_COMPUTE_USD = 0.07
# CloudFront had no flat plans then; S3 and CloudFront both charged about this for outgoing bytes.
THEN_USD_PER_GB = 0.09


class Part(StrEnum):
    """A part of the bill: its lines are added up by part."""

    BYTES = "bytes"
    REQUESTS = "page requests"
    MAIL = "emails"
    FEEDBACK = "delivery events"
    REFRESH = "page refreshes"
    BACKEND = "everything else"


PART_OF = {Item.CDN_BYTES: Part.BYTES, Item.CDN_REQUESTS: Part.REQUESTS, Item.EMAILS: Part.MAIL}


@dataclass(frozen=True, slots=True)
class BillLine:
    """One amount and its cost, at the list price and after the free allowance."""

    used: Used
    price: Price
    usd: float
    usd_after_free: float

    @property
    def part(self) -> Part:
        """Return the part that this line belongs to."""
        if self.used.of_feedback:
            return Part.FEEDBACK
        if self.used.of_refresh:
            return Part.REFRESH
        return PART_OF.get(self.used.item, Part.BACKEND)

    @property
    def charged_units(self) -> float:
        """Return the amount in the unit of the price."""
        return self.used.amount / self.price.per


@dataclass(frozen=True, slots=True)
class PlanFit:
    """A flat plan, and the shares of its monthly allowances that a campaign uses (1.0 is all)."""

    plan: FlatPlan
    of_requests: float
    of_bytes: float

    @property
    def fits(self) -> bool:
        """Return whether the campaign stays within the plan."""
        return max(self.of_requests, self.of_bytes) <= 1


@dataclass(frozen=True, slots=True)
class Bill:
    """The lines of a bill, in the order in which a shopper causes them."""

    lines: tuple[BillLine, ...]

    @property
    def usd(self) -> float:
        """Return the sum at list prices, in dollars."""
        return sum(line.usd for line in self.lines)

    @property
    def usd_after_free(self) -> float:
        """Return the sum for an account with all of this month's free allowances left, in dollars."""
        return sum(line.usd_after_free for line in self.lines)

    def part(self, part: Part) -> float:
        """Return the sum of one part at list prices, in dollars."""
        return sum(line.usd for line in self.lines if line.part is part)

    def plans(self) -> tuple[PlanFit, ...]:
        """Return how the campaign fits each flat plan of CloudFront, cheapest first."""
        amounts = {line.used.item: line.used.amount for line in self.lines}
        requests, sent = amounts[Item.CDN_REQUESTS], amounts[Item.CDN_BYTES]
        return tuple(
            PlanFit(plan, requests / plan.requests_per_month, sent / plan.bytes_per_month)
            for plan in FLAT_PLANS
        )

    def usd_with(self, plan: FlatPlan) -> float:
        """Return the sum at list prices, with a flat plan in place of CloudFront's lines, in dollars."""
        cdn = {Item.CDN_BYTES, Item.CDN_REQUESTS}
        return plan.usd_per_month + sum(line.usd for line in self.lines if line.used.item not in cdn)


def bill(used: Iterable[Used]) -> Bill:
    """Return the bill for all amounts; free allowances apply in their order."""
    lines: list[BillLine] = []
    left_free = {item: price.free for item, price in PRICES.items()}
    for amount in used:
        price = PRICES[amount.item]
        charged = max(0.0, amount.amount - left_free[amount.item])
        left_free[amount.item] = max(0.0, left_free[amount.item] - amount.amount)
        lines.append(
            BillLine(amount, price, amount.amount / price.per * price.usd, charged / price.per * price.usd)
        )
    return Bill(tuple(lines))


def refresh_usd(refresh: PageRefresh) -> float:
    """Return the price of one change of availability in dollars, past the month's free paths."""
    items = ((Item.INVALIDATIONS, refresh.paths), (Item.S3_WRITES, refresh.objects))
    return sum(PRICES[item].of(amount, free_tier=False) for item, amount in items)


@dataclass(frozen=True, slots=True)
class StoryRow:
    """One line of the comparison; `then_usd` is None if the story has no figure."""

    what: str
    then_usd: float | None
    now_usd: float


def then_bytes_per_visitor() -> float:
    """Return the bytes a visitor downloaded then, computed from the bill of the time."""
    return (THEN_TOTAL_USD - THEN_COMPUTE_USD) / THEN_USD_PER_GB * 1e9 / FOUNDING_STORY.visitors


def story(now: Bill) -> tuple[StoryRow, ...]:
    """Compare the founding story's bill with `now`, the bill of a million visitors at today's list prices."""
    pages = now.part(Part.BYTES) + now.part(Part.REQUESTS) + now.part(Part.REFRESH)
    return (
        StoryRow("bytes to visitors", THEN_TOTAL_USD - THEN_COMPUTE_USD, now.part(Part.BYTES)),
        StoryRow("requests for pages and pictures", None, now.part(Part.REQUESTS)),
        StoryRow("API, Lambda, DynamoDB, queues, logs", THEN_COMPUTE_USD, now.part(Part.BACKEND)),
        StoryRow("refreshing pages: back in stock, sold out again", None, now.part(Part.REFRESH)),
        StoryRow("without emails", THEN_TOTAL_USD, pages + now.part(Part.BACKEND)),
        StoryRow("two emails to each shopper who signed up", None, now.part(Part.MAIL)),
        StoryRow("delivery events of those emails", None, now.part(Part.FEEDBACK)),
        StoryRow("in all", THEN_TOTAL_USD, now.usd),
    )


def usd_per_request() -> float:
    """Return the dollars that one more request in each view adds to the story."""
    price, sent = PRICES[Item.CDN_REQUESTS], PRICES[Item.CDN_BYTES]
    return FOUNDING_STORY.visitors * (price.usd / price.per + HEAD_BYTES * sent.usd / sent.per)


def usd_per_10_kb() -> float:
    """Return the dollars that 10 kB more in each view add to the story."""
    sent = PRICES[Item.CDN_BYTES]
    return FOUNDING_STORY.visitors * 10_000 * sent.usd / sent.per
