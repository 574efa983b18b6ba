"""The founding story, then and now: a million visitors in an hour."""

from dataclasses import dataclass

from spillway.preflight.bill import Bill, Part
from spillway.preflight.campaign import FOUNDING_STORY
from spillway.preflight.prices import PRICES, Item
from spillway.preflight.weight import HEAD_BYTES

# What the shop told of its flood: about $200 in all, of which $0.07 for Lambda and DynamoDB.
THEN_TOTAL_USD = 200.0
THEN_COMPUTE_USD = 0.07
# CloudFront had no such plans, and S3 and CloudFront both charged about this for what left them.
THEN_USD_PER_GB = 0.09


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
