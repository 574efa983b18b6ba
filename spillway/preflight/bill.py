"""A campaign's bill: each amount times its price, with and without free allowances, and with a flat plan.

Prices are those of us-east-1 on `AS_OF`, each with the page to check it against; change the date with the
figures. AWS's own bill is authoritative. The founding story's bill is compared with today's: a million
visitors in an hour.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from spillway.preflight.amounts import MEMORY_MB, BillPart, Item, Measured, Step, UsedAmount
from spillway.preflight.built_pages import HEAD_BYTES, RefreshWork
from spillway.preflight.campaign import FOUNDING_STORY

AS_OF = date(2026, 11, 23)
REGION = "us-east-1"
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Price:
    """A price of `usd` for each `per` units; `free` units a month are free, also after the first year."""

    item: Item
    usd: float
    per: float
    unit: str
    source: str
    free: float = 0.0

    def of(self, amount: float) -> float:
        """Return the cost of `amount` units at the list price, in dollars."""
        return amount / self.per * self.usd


_CLOUDFRONT = "https://aws.amazon.com/cloudfront/pricing/pay-as-you-go/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_SQS = "https://aws.amazon.com/sqs/pricing/"
_SECRETS = "https://aws.amazon.com/secrets-manager/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"

PRICES = {
    price.item: price
    for price in (
        Price(Item.CDN_BYTES, 0.085, GIB, "GiB out, North America and Europe", _CLOUDFRONT, free=1024 * GIB),
        Price(Item.CDN_REQUESTS, 0.0100, 10_000, "10,000 HTTPS requests", _CLOUDFRONT, free=10e6),
        Price(Item.INVALIDATIONS, 0.005, 1, "path", _CLOUDFRONT, free=1_000),
        Price(Item.S3_READS, 0.0004, 1_000, "1,000 GET", _S3),
        Price(Item.S3_WRITES, 0.005, 1_000, "1,000 PUT", _S3),
        Price(Item.S3_STORAGE, 0.023, GIB, "GiB and month", _S3),
        Price(Item.API_CALLS, 3.50, 1e6, "million REST calls", "https://aws.amazon.com/api-gateway/pricing/"),
        Price(Item.LAMBDA_CALLS, 0.20, 1e6, "million calls", _LAMBDA, free=1e6),
        Price(Item.LAMBDA_TIME, 0.0000133334, 1, "GB-second, arm64", _LAMBDA, free=400_000),
        Price(Item.LAMBDA_READY, 0.0000033334, 1, "GB-second kept ready, arm64", _LAMBDA),
        Price(Item.WRITE_UNITS, 0.625, 1e6, "million write units", _DYNAMODB),
        Price(Item.READ_UNITS, 0.125, 1e6, "million read units", _DYNAMODB),
        Price(Item.TABLE_STORAGE, 0.25, GIB, "GiB and month", _DYNAMODB, free=25 * GIB),
        Price(Item.QUEUE_REQUESTS, 0.40, 1e6, "million requests", _SQS, free=1e6),
        Price(Item.NOTICES, 0.50, 1e6, "million published", "https://aws.amazon.com/sns/pricing/", free=1e6),
        Price(Item.EMAILS, 0.10, 1_000, "1,000 emails", "https://aws.amazon.com/ses/pricing/"),
        Price(Item.SECRET_READS, 0.05, 10_000, "10,000 calls", _SECRETS),
        Price(Item.LOG_BYTES, 0.50, GIB, "GiB taken in", _CLOUDWATCH, free=5 * GIB),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlatPlan:
    """A CloudFront plan at one price a month; past its allowance, CloudFront may slow the shop down."""

    name: str
    usd_per_month: float
    requests_per_month: float
    bytes_per_month: float


# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/flat-rate-pricing-plan.html
FLAT_PLANS = (
    FlatPlan("Free", 0, 1e6, 100 * GIB),
    FlatPlan("Pro", 15, 10e6, 50 * 1024 * GIB),
    FlatPlan("Business", 200, 125e6, 50 * 1024 * GIB),
    FlatPlan("Premium", 1000, 500e6, 50 * 1024 * GIB),
)


# The founding shop reported about $200 for its flood, $0.07 of it for Lambda and DynamoDB.
THEN_TOTAL_USD = 200.0
THEN_COMPUTE_USD = 0.07
# CloudFront had no flat plans then; S3 and CloudFront both charged about this for outgoing bytes.
THEN_USD_PER_GB = 0.09


@dataclass(frozen=True, slots=True)
class BillLine:
    """One amount and its cost, at the list price and after the free allowance."""

    used: UsedAmount
    price: Price
    usd: float
    usd_after_free: float

    @property
    def part(self) -> BillPart:
        """Return the part that this line belongs to."""
        return self.used.part

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

    def part(self, part: BillPart) -> float:
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


def bill(used: Iterable[UsedAmount]) -> Bill:
    """Return the bill for all amounts; free allowances apply in their order."""
    lines: list[BillLine] = []
    left_free = {item: price.free for item, price in PRICES.items()}
    for amount in used:
        price = PRICES[amount.item]
        charged = max(0.0, amount.amount - left_free[amount.item])
        left_free[amount.item] = max(0.0, left_free[amount.item] - amount.amount)
        lines.append(BillLine(amount, price, price.of(amount.amount), price.of(charged)))
    return Bill(tuple(lines))


def used_by_traffic(
    *, requests: float = 0, bytes_sent: float = 0, uncached: float = 0, signups: float = 0
) -> Iterator[UsedAmount]:
    """Yield the amounts of logged traffic.

    Args:
        requests: requests at CloudFront.
        bytes_sent: bytes to viewers.
        uncached: requests that no cache answered, without signups.
        signups: signups that the API answered.
    """
    yield UsedAmount(Item.CDN_BYTES, bytes_sent, "bytes to viewers, as logged")
    yield UsedAmount(Item.CDN_REQUESTS, requests, "requests, as logged")
    yield UsedAmount(Item.S3_READS, uncached, "requests that no cache answered")
    yield UsedAmount(Item.API_CALLS, signups, "signups that the API counted")
    yield UsedAmount(Item.LAMBDA_CALLS, signups, "signups that the API counted")
    measured = Measured.read()
    gb_s = measured.duration_ms(Step.SIGN_UP, MEMORY_MB) / 1_000 * MEMORY_MB / 1_024
    yield UsedAmount(Item.LAMBDA_TIME, signups * gb_s, f"{gb_s:.4f} GB-seconds a signup")
    units = measured.steps[Step.SIGN_UP].write_units
    yield UsedAmount(Item.WRITE_UNITS, signups * units, f"{units:g} write units a signup")


def traffic_prices() -> dict[str, float]:
    """Return the dollars of one unit of each amount of `used_by_traffic`, at list prices."""
    names = ("requests", "bytes_sent", "uncached", "signups")
    return {name: bill(used_by_traffic(**{name: 1})).usd for name in names}


def refresh_usd(refresh: RefreshWork) -> float:
    """Return the price of one change of availability in dollars, past the month's free paths."""
    items = ((Item.INVALIDATIONS, refresh.paths), (Item.S3_WRITES, refresh.objects))
    return sum(PRICES[item].of(amount) for item, amount in items)


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
    emails = now.part(BillPart.MAIL) + now.part(BillPart.FEEDBACK)
    return (
        StoryRow("bytes to visitors", THEN_TOTAL_USD - THEN_COMPUTE_USD, now.part(BillPart.BYTES)),
        StoryRow("requests for pages and pictures", None, now.part(BillPart.REQUESTS)),
        StoryRow("API, Lambda, DynamoDB, queues, logs", THEN_COMPUTE_USD, now.part(BillPart.BACKEND)),
        StoryRow("refreshing pages: back in stock, sold out again", None, now.part(BillPart.REFRESH)),
        StoryRow("counting who waits, for the merchant's page", None, now.part(BillPart.DEMAND)),
        StoryRow("the merchant's page, watched all the time", None, now.part(BillPart.WATCHING)),
        StoryRow("without emails", THEN_TOTAL_USD, now.usd - emails),
        StoryRow("two emails to each shopper who signed up", None, now.part(BillPart.MAIL)),
        StoryRow("delivery events of those emails", None, now.part(BillPart.FEEDBACK)),
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
