"""The domain events that follow from what happens in the shop: pure functions from facts to events.

A stock event whose cause is a rule says so by its id, so the events that follow from it continue the chain.
A chain that passes through a person, a mailbox or another system begins again; each rule's budget holds then.
"""

from collections.abc import Mapping

from chalicelib.domain.domain_event import SHOPPER, DomainEvent, EventType, chain_of, event_id
from chalicelib.domain.entry import DAY_MS, HOUR_MS, Entry
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.reports import OrderLine, OrderResult
from chalicelib.domain.stock import Restock, Stock
from chalicelib.domain.traffic.counting import time_of
from chalicelib.domain.traffic.hour import HourStats
from chalicelib.domain.traffic.report import Coverage
from chalicelib.domain.wave import LimitedWave, ShardStep, WaveMessage

# The numbers of people whose passing is an event.
DEMAND_STEPS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000)
# Access logs are complete enough from this share of the signups on; a share of fewer signups means little.
COVERAGE_MIN = 0.95
COVERAGE_SIGNUPS_MIN = 100


def availability_events(
    slug: Slug, before: Mapping[Sku, Stock], after: Mapping[Sku, Stock], *, at_ms: int
) -> list[DomainEvent]:
    """Return an event for each variant whose availability or units changed between two states."""
    events = []
    for sku, stock in sorted(after.items()):
        known = before.get(sku)
        if known is None or stock.is_shown_like(known):
            continue
        cause, depth = chain_of(stock.event_id)
        data = {
            "sku": sku,
            "product": slug,
            "availability": stock.availability.value,
            "units": stock.units,
            "availability_before": known.availability.value,
            "units_before": known.units,
        }
        identity = event_id(EventType.AVAILABILITY_CHANGED, sku, str(stock.version), stock.event_id)
        events.append(
            DomainEvent(identity, EventType.AVAILABILITY_CHANGED, at_ms, sku, data, cause=cause, depth=depth)
        )
    return events


def restock_event(restock: Restock) -> DomainEvent:
    """Return the event of a restock whose fan-out is opened."""
    cause, depth = _chain_of_restock(restock)
    data = {"sku": restock.sku, "product": restock.slug, "units": restock.units, "restock": restock.id}
    identity = event_id(EventType.RESTOCK_OPENED, restock.id)
    at_ms = restock.opened_at_ms
    return DomainEvent(identity, EventType.RESTOCK_OPENED, at_ms, restock.sku, data, cause=cause, depth=depth)


def wave_event(message: WaveMessage, restock: Restock, *, at_ms: int) -> DomainEvent | None:
    """Return the event of a wave that notified everyone it is for; None for the email of one shopper.

    A restock without limits has a wave for each shard of the waitlist.
    """
    match message:
        case ShardStep():
            wave = message.shard
        case LimitedWave():
            wave = str(message.number)
        case _:
            return None
    cause, depth = _chain_of_restock(restock)
    data = {"sku": restock.sku, "product": restock.slug, "restock": restock.id, "wave": wave}
    identity = event_id(EventType.WAVE_FINISHED, restock.id, wave)
    return DomainEvent(identity, EventType.WAVE_FINISHED, at_ms, restock.sku, data, cause=cause, depth=depth)


def confirmed_event(entry: Entry, *, at_ms: int) -> DomainEvent:
    """Return the event of an entry that begins to wait."""
    identity = event_id(EventType.SIGNUP_CONFIRMED, entry.shopper, entry.sku, str(entry.signed_up_at_ms))
    data = {"sku": entry.sku, "page": entry.page, SHOPPER: entry.shopper}
    return DomainEvent(identity, EventType.SIGNUP_CONFIRMED, at_ms, entry.sku, data)


def demand_step(waiting: int) -> int:
    """Return the highest of the numbers of people that `waiting` reaches; 0 below the first."""
    return max((step for step in DEMAND_STEPS if step <= waiting), default=0)


def demand_events(sku: Sku, waiting: int, *, passed: int, at_ms: int) -> list[DomainEvent]:
    """Return an event for each number of people above `passed` that `waiting` reaches, the lowest first.

    A number that is passed twice in a day (UTC) is the same event.
    """
    return [
        DomainEvent(
            event_id(EventType.DEMAND_PASSED, sku, str(step), str(at_ms // DAY_MS)),
            EventType.DEMAND_PASSED,
            at_ms,
            sku,
            {"sku": sku, "waiting": step},
        )
        for step in DEMAND_STEPS
        if passed < step <= waiting
    ]


def feedback_event(feedback: Feedback, *, complaints_of_day: int = 0) -> DomainEvent | None:
    """Return the event of an email that bounced for good, or was complained about; None for other news.

    Args:
        feedback: the news.
        complaints_of_day: the complaints so far about emails of the same day.
    """
    types = {
        FeedbackState.BOUNCED: EventType.EMAIL_BOUNCED,
        FeedbackState.COMPLAINED: EventType.EMAIL_COMPLAINED,
    }
    event_type = types.get(feedback.state)
    if event_type is None:
        return None
    identity = event_id(event_type, feedback.message_id, feedback.shopper)
    data: dict[str, str | int | None] = {"sku": feedback.sku, SHOPPER: feedback.shopper}
    if event_type is EventType.EMAIL_COMPLAINED:
        data["complaints_of_day"] = complaints_of_day
    return DomainEvent(identity, event_type, feedback.at_ms, feedback.sku, data)


def paused_event(reason: str, *, at_ms: int) -> DomainEvent:
    """Return the event of a pause that the shop made by itself, once for a reason and an hour."""
    identity = event_id(EventType.SENDING_PAUSED, reason, str(at_ms // HOUR_MS))
    return DomainEvent(identity, EventType.SENDING_PAUSED, at_ms, data={"reason": reason})


def order_event(line: OrderLine, result: OrderResult, *, at_ms: int) -> DomainEvent:
    """Return the event of an order line that the checkout reported."""
    data = {
        "sku": line.sku,
        "quantity": line.quantity,
        "amount_minor": line.amount_minor,
        "currency": line.currency,
        "restock": result.restock.id if result.restock else None,
    }
    identity = event_id(EventType.ORDER_REPORTED, line.order_id, line.sku)
    return DomainEvent(identity, EventType.ORDER_REPORTED, at_ms, line.sku, data)


def spike_event(stats: HourStats) -> DomainEvent | None:
    """Return the event of the busiest minute of an hour, the first of several; None without requests.

    A later count of the same minute is the same event with more requests: a rule looks at it again, and fires
    once.
    """
    requests = max(stats.minutes)
    if not requests:
        return None
    minute = stats.minutes.index(requests)
    at = f"{stats.hour}:{minute:02d}"
    return DomainEvent(
        event_id(EventType.TRAFFIC_SPIKE, at),
        EventType.TRAFFIC_SPIKE,
        _start_ms(stats.hour) + minute * 60_000,
        data={"minute": at, "requests": requests},
    )


def coverage_event(hour: str, coverage: Coverage) -> DomainEvent | None:
    """Return the event of an hour whose access logs lack signups; None where they are complete enough.

    Args:
        hour: the hour, as "2026-11-27T10".
        coverage: the signups of that hour.
    """
    share = coverage.share
    if share is None or share >= COVERAGE_MIN or (coverage.counted or 0) < COVERAGE_SIGNUPS_MIN:
        return None
    identity = event_id(EventType.TRAFFIC_COVERAGE_FELL, hour)
    data = {"hour": hour, **coverage.to_document()}
    return DomainEvent(identity, EventType.TRAFFIC_COVERAGE_FELL, _start_ms(hour), data=data)


def _start_ms(hour: str) -> int:
    return int(time_of(hour).timestamp()) * 1_000


def _chain_of_restock(restock: Restock) -> tuple[str | None, int]:
    # The id of a restock ends with that of its stock event, see `Stock.restock`.
    return chain_of(restock.id.split(":", 2)[-1])
