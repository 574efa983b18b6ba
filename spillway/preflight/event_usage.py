"""The amounts of events: stock events of other systems, the shop's own events, its rules, its deliveries.

The CPU is the median of 960 by the real handlers and boto3, against a cloud that answers at once, on a
shared machine (2026-11-28): about 2 ms of each call is the SDK's. Tests hold the rest to the services.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from chalicelib.queues import BATCH_MESSAGES_MAX
from spillway.preflight.amounts import (
    LAMBDA_LOG_BYTES,
    MEMORY_MB,
    QUEUE_BATCH,
    QUEUE_REQUESTS_PER_MESSAGE,
    BillPart,
    Item,
    StepFigures,
    UsedAmount,
)
from spillway.preflight.campaign import Campaign
from spillway.terminal import pluralize


@dataclass(frozen=True, slots=True)
class EventFigures:
    """The work of one event.

    Attributes:
        cpu_ms: CPU on the measuring machine, the SDK's included.
        calls: Calls by service.
        read_units: DynamoDB's read units.
        write_units: Its write units.
        log_bytes: Bytes of the lines that the function logs.
        row_bytes: Bytes of the row that is kept for a month, with DynamoDB's own 100.
    """

    cpu_ms: float
    calls: Mapping[str, int]
    read_units: float
    write_units: float
    log_bytes: int
    row_bytes: int = 0

    @property
    def duration_ms(self) -> float:
        """The duration in a deployed function, in milliseconds."""
        return StepFigures(self.cpu_ms, self.calls).duration_ms(MEMORY_MB)


# A signed webhook about one variant, whose product is a row of 10 KB. It reads the slug (half a unit) and the
# product, writes the product with its new stock, a unit for each kilobyte, and the record of the event.
STOCK_EVENT = EventFigures(13.8, {"dynamodb": 4}, read_units=3.5, write_units=11, log_bytes=430)
# An event of the shop is queued, then its record is written. 50 rules about its type are tried on it.
SHOP_EVENT = EventFigures(
    5.4, {"sqs": 1, "dynamodb": 1}, read_units=0, write_units=1, log_bytes=232, row_bytes=490
)
# A rule that fires, beside its event: one transaction writes the firing and the budget of the hour, two units
# for each row; then the result is written. The action is not in it.
FIRING = EventFigures(6.1, {"dynamodb": 2}, read_units=0, write_units=5, log_bytes=280, row_bytes=470)
# A delivery that succeeds at the first attempt: its row is read and written. 2.6 ms of the CPU are TLS.
DELIVERY = EventFigures(8.8, {"dynamodb": 2}, read_units=1, write_units=1, log_bytes=264, row_bytes=530)
# A failure is counted at its endpoint.
COUNTING = StepFigures(2.0, {"dynamodb": 1})
# An event that is kept while its endpoint is down, beside its delivery after that: a row is written, the last
# attempt read, the row deleted.
KEEPING = EventFigures(6.0, {"dynamodb": 3}, read_units=1, write_units=2, log_bytes=0, row_bytes=530)
# One event is queued for up to ten endpoints.
QUEUEING = StepFigures(2.0, {"sqs": 1})
# An endpoint's answer, with its connection: assumed, since it depends on the other system. The ten
# deliveries of a batch wait at the same time.
ENDPOINT_ANSWER_MS = 300


def stock_events(campaign: Campaign) -> Iterator[UsedAmount]:
    """Yield the amounts of webhooks about stock. The pages that they change are among the refreshes."""
    events = campaign.stock_events
    if not events:
        return
    why = f"{pluralize(events, 'stock event')} of other systems"
    yield UsedAmount(Item.API_CALLS, events, why, cause=BillPart.STOCK_EVENTS)
    yield from _work(BillPart.STOCK_EVENTS, why, events, STOCK_EVENT, invocations=events)


def events_of_the_shop(campaign: Campaign) -> Iterator[UsedAmount]:
    """Yield the amounts of the shop's events, taken in batches, and of the rules that they fire."""
    events, firings = campaign.shop_events, campaign.rule_firings
    if events:
        why = f"{pluralize(events, 'event')} of the shop, {QUEUE_BATCH} in a call"
        yield UsedAmount(
            Item.QUEUE_REQUESTS, events * QUEUE_REQUESTS_PER_MESSAGE, why, cause=BillPart.SHOP_EVENTS
        )
        yield from _work(BillPart.SHOP_EVENTS, why, events, SHOP_EVENT, invocations=events / QUEUE_BATCH)
    if firings:
        why = f"{pluralize(firings, 'firing')} of rules, without their actions"
        yield from _work(BillPart.RULES, why, firings, FIRING, invocations=0)


def deliveries(campaign: Campaign) -> Iterator[UsedAmount]:
    """Yield the amounts of events that go to other systems, each delivered at the first attempt."""
    events, endpoints = campaign.shop_events, campaign.endpoints
    count = events * endpoints
    if not count:
        return
    why = f"{pluralize(events, 'event')} of the shop x {pluralize(endpoints, 'endpoint')}"
    # One call queues an event for ten endpoints; Lambda receives and deletes ten messages at once.
    sent = events * ceil(endpoints / BATCH_MESSAGES_MAX)
    requests = sent + count * (QUEUE_REQUESTS_PER_MESSAGE - 1)
    yield UsedAmount(Item.QUEUE_REQUESTS, requests, why, cause=BillPart.DELIVERIES)
    queueing_ms = QUEUEING.duration_ms(MEMORY_MB) * sent / count
    yield from _work(
        BillPart.DELIVERIES,
        why,
        count,
        DELIVERY,
        invocations=count / QUEUE_BATCH,
        waiting_ms=queueing_ms + ENDPOINT_ANSWER_MS / QUEUE_BATCH,
    )


def _work(
    part: BillPart,
    why: str,
    count: int,
    figures: EventFigures,
    *,
    invocations: float,
    waiting_ms: float = 0,
) -> Iterator[UsedAmount]:
    busy_s = count * (figures.duration_ms + waiting_ms) / 1000
    log_bytes = invocations * LAMBDA_LOG_BYTES + count * figures.log_bytes
    for item, amount in (
        (Item.LAMBDA_CALLS, invocations),
        (Item.LAMBDA_TIME, busy_s * MEMORY_MB / 1024),
        (Item.READ_UNITS, count * figures.read_units),
        (Item.WRITE_UNITS, count * figures.write_units),
        (Item.LOG_BYTES, log_bytes),
        (Item.TABLE_STORAGE, count * figures.row_bytes),
    ):
        if amount:
            yield UsedAmount(item, amount, why, cause=part)
