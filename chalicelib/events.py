"""The first step of every stream record and queue message: parse it, decide, hand it to a service.

A failed record is never swallowed and never takes its neighbours along: see `batches`.

The reactions to streams ignore rows of other kinds. The streams' filters keep them back, but a redrive of a
dead letter reads a range of the stream, filtered or not.

A function imports this module when it is called: the API's cold start pays for none of it.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import Any

from chalicelib.batches import (
    BatchFailures,
    batch_failures,
    failed_messages,
    react_to_queue,
    react_to_stream,
    succeeds,
)
from chalicelib.container import Container
from chalicelib.domain.domain_event import DomainEvent, EventType, schedule_event
from chalicelib.domain.email import RequestedEmail
from chalicelib.domain.emissions import (
    availability_events,
    confirmed_event,
    demand_events,
    demand_step,
    restock_event,
)
from chalicelib.domain.entry import Reaction, reaction_to, rejoins
from chalicelib.domain.ids import Sku
from chalicelib.domain.merchant import MerchantId
from chalicelib.domain.reports import RestockRef
from chalicelib.domain.stock import restocks
from chalicelib.domain.wave import from_json as wave_message
from chalicelib.log import begin_record, log, measure, where
from chalicelib.outbound.deliveries import Probe, message_from_json
from chalicelib.services.confirmations import lift_confirmed
from chalicelib.services.dead_letters import Redriven
from chalicelib.services.requested_emails import RequestedBatch
from chalicelib.tables.demand import EVENTS_MAX, event_of
from chalicelib.tables.entries import entry_from, is_entry
from chalicelib.tables.merchant_actions import Retry
from chalicelib.tables.products import PRODUCT_PREFIX, stock_from

# Longer than Lambda lets a function run.
NO_LIMIT_MS = 900_000

# A whole batch.
DELIVERIES_AT_ONCE = 10


def on_entries_written(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """React to records of the entries table."""
    return react_to_stream(records, partial(react_to_entry, container))


class BatchNotCounted(Exception):
    """Nothing of a batch is counted. It ends the invocation, so that Lambda halves the batch."""


def on_entries_counted(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Count what records of the entries table change, by one transaction for a batch.

    A batch is counted whole or not at all, so no part of one is reported as failed.

    Raises:
        BatchNotCounted: nothing is counted. Lambda tries again with halves, and a record that cannot be
            counted is given up alone.
    """
    at_ms = container.clock_ms()
    try:
        events = [event for event in (event_of(record, at_ms=at_ms) for record in records) if event]
        for start in range(0, len(events), EVENTS_MAX):
            container.demand.count(events[start : start + EVENTS_MAX])
        if events and container.event_emitter.may_have_consumers(EventType.DEMAND_PASSED):
            emit_passed(container, {event.sku for event in events})
    except Exception as error:  # noqa: BLE001 - after any error the whole batch comes again
        log("batch_not_counted", error=type(error).__name__, at=where(error))
        raise BatchNotCounted(type(error).__name__) from None
    return batch_failures([])


def emit_passed(container: Container, skus: Iterable[Sku]) -> None:
    """Emit each number of people that was passed since the last one that was emitted, by SKU.

    The numbers are compared with a stored one and not with those of a batch: a batch that passes several, and
    batches that are counted at once, leave none out. A repeat emits the same events.
    """
    at_ms, demands = container.clock_ms(), container.demand
    known = demands.passed(skus)
    for sku, demand in demands.of(known).items():
        step = demand_step(demand.waiting)
        passed = demand_events(sku, demand.waiting, passed=known[sku], at_ms=at_ms)
        container.event_emitter.emit_or_keep(passed)
        if step != known[sku]:
            demands.put_passed(sku, step, known=known[sku])


def on_day(container: Container) -> None:
    """Compare the counters of demand with the entries, publish how much they differ, and tidy them."""
    recounted = container.recount.run()
    at_ms = container.clock_ms()
    for drift in recounted.drifts:
        log("demand_drift_found", sku=drift.sku, counter=drift.counter, difference=drift.difference)
    counts = {"demand_drift": recounted.drift, "entries_recounted": recounted.entries}
    measure("demand_recounted", counts, at_ms=at_ms, by={"function": "recount_demand"})
    container.demand.tidy(at_ms=at_ms)


def on_hour(container: Container) -> None:
    """Reconcile the stock with each source whose account is known.

    Raises:
        ReconcileFailed: a source is not reconciled; the others are.
    """
    from chalicelib.inbound.reconciliation import ChangeLimit

    if accounts := container.stock_accounts():
        container.reconciliation.run(accounts, ChangeLimit())


def on_products_changed(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """React to records of the products table."""
    return react_to_stream(records, partial(react_to_product, container))


def react_to_entry(container: Container, record: dict[str, Any]) -> None:
    """React to one written entry, as `reaction_to` decides."""
    change = record["dynamodb"]
    if not is_entry(change.get("NewImage")):
        return
    before = entry_from(change["OldImage"]) if is_entry(change.get("OldImage")) else None
    after = entry_from(change["NewImage"])
    if rejoins(before, after):
        container.entries.rejoin(after)
    match reaction_to(before, after):
        case Reaction.SEND_CONFIRMATION:
            container.confirmations_queue.put(after.shopper, after.sku)
        case Reaction.NOTIFY_IF_AVAILABLE:
            now_ms = container.clock_ms()
            if "retried_at_ms" in change["NewImage"]:
                # First: the fan-out leaves suppressed shoppers out.
                lift_confirmed(container.suppressions, after.shopper, at_ms=now_ms)
            container.restocking.notify_if_available(after.shopper, after.sku, at_ms=now_ms)
            container.event_emitter.emit_or_keep([confirmed_event(after, at_ms=now_ms)])
        case Reaction.COUNT_UNSUBSCRIBE:
            # Unsubscribed after an email: a figure for the merchant, which a repeated record may count twice.
            if "restock_id" in change["OldImage"]:
                restock_id = change["OldImage"]["restock_id"]["S"]
                container.progress.count_unsubscribed(restock_id, at_ms=container.clock_ms())
        case Reaction.SEND_ALREADY_WAITING if before is not None:
            container.entries.keep(before, after)
            container.confirmations_queue.put_already_waiting(after.shopper, after.sku, after.source)
        case Reaction.ACCEPT_SINGLE_OPT_IN:
            container.single_opt_in.accept(after)
            container.event_emitter.emit_or_keep([confirmed_event(after, at_ms=container.clock_ms())])


def react_to_product(container: Container, record: dict[str, Any]) -> None:
    """React to one changed product: refresh its pages, open the fan-outs of its restocks, emit events."""
    change = record["dynamodb"]
    row = change["Keys"]["id"]["S"]
    if not row.startswith(PRODUCT_PREFIX) or not {"OldImage", "NewImage"} <= change.keys():
        return
    slug = row.removeprefix(PRODUCT_PREFIX)
    before, after = stock_from(change["OldImage"]), stock_from(change["NewImage"])
    if before == after:
        return
    # A count that is sent again changes no page.
    if before.keys() != after.keys() or not all(after[sku].is_shown_like(before[sku]) for sku in after):
        container.page_refresh.refresh(slug, reference=record["eventID"])
    # The stream gives whole seconds: shoppers who joined within that second are notified as well. A record
    # without a time counts as written now.
    written_at_s = change.get("ApproximateCreationDateTime")
    written_at_ms = container.clock_ms() if written_at_s is None else int(written_at_s * 1000) + 999
    opened = restocks(slug, before, after, at_ms=written_at_ms)
    for restock in opened:
        container.restocking.open_restock(restock)
        container.report_rows.note(RestockRef.of(restock))
    changes = availability_events(slug, before, after, at_ms=written_at_ms)
    # Last: no product waits for events.
    container.event_emitter.emit_or_keep([*changes, *map(restock_event, opened)])


def on_requested_emails(
    container: Container, records: Iterable[dict[str, Any]], remaining_ms: Callable[[], int]
) -> BatchFailures:
    """Send the emails that shoppers requested.

    Each message that is done is deleted at once: after a crash, only the one under way comes again.

    Args:
        container: builds the services.
        records: the messages.
        remaining_ms: returns how long the function may still run.
    """
    queue = container.confirmations_queue
    send = partial(send_requested, container)
    batch = RequestedBatch(send, queue, container.clock_ms, random.random, remaining_ms)
    return react_to_queue(records, batch.send, queue.delete)


def remaining_ms(context: object) -> Callable[[], int]:
    """Return a function that says how long Lambda lets this one run, in milliseconds."""
    known: Callable[[], int] | None = getattr(context, "get_remaining_time_in_millis", None)
    return known or (lambda: NO_LIMIT_MS)


def send_requested(container: Container, email: RequestedEmail) -> None:
    """Send one requested email by the service of its kind.

    Raises:
        SendRefused: the email was not taken.
        OutcomeUnknown: the email may have left.
    """
    if email.sign_in_page is not None:
        container.sign_in_emails.send(MerchantId(email.shopper), email.sign_in_page, email.source)
    elif email.test_page is not None:
        container.sign_in_emails.send_test(MerchantId(email.shopper), email.test_page)
    elif email.sku is None:
        container.my_waitlists_email.send(email.shopper, email.source)
    elif email.already:
        container.confirmations.send_already_waiting(email.shopper, email.sku, email.source)
    else:
        container.confirmations.send(email.shopper, email.sku)


def on_wave_messages(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Work on steps of fan-outs."""
    return react_to_queue(records, lambda body: container.fan_out.work(wave_message(body)))


def on_ses_events(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Apply the events that SES reports about emails."""
    return react_to_queue(records, partial(_handle, container))


def on_retry_messages(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Process failed jobs again, as a merchant asked."""
    return react_to_queue(records, partial(_retry, container))


def _retry(container: Container, body: str) -> None:
    asked = json.loads(body)
    became = container.redriving.redrive(asked["queue"], forget_gone=asked["forget_gone"])
    container.merchant_actions_table.put_retry(
        Retry(
            asked["queue"],
            asked["at_ms"],
            container.clock_ms(),
            became[Redriven.PUT_BACK],
            became[Redriven.FAILED],
            became[Redriven.GONE],
        )
    )


def on_logs_delivered(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Count access logs by the notifications of S3 about them.

    The parts of all logs are stored first; then each hour takes its parts in one write. Its busiest minute is
    an event after that.
    """
    from chalicelib.services.traffic import delivered_keys, emit_spikes

    counter = container.traffic_counter
    hours: dict[str, dict[str, bytes]] = defaultdict(dict)
    waiting: dict[str, list[str]] = defaultdict(list)

    def store(record: dict[str, Any]) -> None:
        for key in delivered_keys(record["body"]):
            for hour, (name, part) in counter.store_parts(key).items():
                hours[hour][name] = part
                waiting[hour].append(record["messageId"])

    failed = set(failed_messages(records, store))
    counted = []
    for hour, parts in hours.items():
        if not succeeds(lambda hour_parts: counted.append(counter.roll_up(*hour_parts)), (hour, parts)):
            failed.update(waiting[hour])
    emit_spikes(container.event_emitter, counted)
    return batch_failures(sorted(failed))


def on_inbound_messages(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Apply stock events that producers inside the merchant's account put into the queue."""
    from chalicelib.inbound.readings import MalformedEvent
    from chalicelib.inbound.sources import InboundMessage, NoMessage

    def receive(record: dict[str, Any]) -> None:
        try:
            message = InboundMessage.from_json(record["body"])
        except NoMessage as problem:
            log("inbound_message_refused", reason=str(problem))
            raise
        try:
            container.inbound_events.receive(message.source, message.read(record["messageId"]))
        except MalformedEvent as problem:
            container.inbound_events.refuse(message.source, str(problem))

    failed = failed_messages(records, receive)
    return batch_failures(failed)


def on_domain_events(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Do what follows from domain events; the ones that are done go on the event bus together."""
    done: dict[str, DomainEvent] = {}

    def process(record: dict[str, Any]) -> None:
        event = DomainEvent.from_json(record["body"])
        container.domain_events.process(event)
        done[record["messageId"]] = event

    failed = failed_messages(records, process)
    if done:
        refused = set(container.domain_events.put_on_bus(list(done.values())))
        failed += [message_id for message_id, event in done.items() if event.id in refused]
    return batch_failures(failed)


def emit_hour(container: Container) -> None:
    """Emit the events of an hour: itself, and a low coverage of its access logs some hours later.

    Then emit the events that the queue did not take before. A repeated call emits the same events.
    """
    at_ms = container.clock_ms()
    if container.event_emitter.has_consumers(EventType.SCHEDULE):
        container.event_emitter.emit([schedule_event(at_ms=at_ms)])
    if container.has_traffic_logs and container.event_emitter.has_consumers(EventType.TRAFFIC_COVERAGE_FELL):
        from chalicelib.services.traffic import emit_low_coverage

        emit_low_coverage(container.event_emitter, container.traffic_reports, at_ms=at_ms)
    container.event_emitter.emit_kept()


def on_webhook_deliveries(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Deliver events to endpoints, a batch at once: an endpoint without an answer delays no other."""
    from concurrent.futures import ThreadPoolExecutor

    delivery = container.webhook_delivery

    def deliver(record: dict[str, Any]) -> None:
        message = message_from_json(record["body"])
        if isinstance(message, Probe):
            delivery.probe(message)
        else:
            # Where the queue does not say how often it handed a message over, its worker may have died.
            received = record.get("attributes", {}).get("ApproximateReceiveCount", "2")
            delivery.deliver(message, is_repeat=int(received) > 1)

    def is_delivered(record: dict[str, Any]) -> bool:
        begin_record(record["messageId"])
        return succeeds(deliver, record)

    batch = list(records)
    with ThreadPoolExecutor(DELIVERIES_AT_ONCE) as pool:
        # Each has a context of its own, which names the request and the record in its log lines.
        running = [pool.submit(copy_context().run, is_delivered, record) for record in batch]
    failed = [record for record, result in zip(batch, running, strict=True) if not result.result()]
    return batch_failures(record["messageId"] for record in failed)


def _handle(container: Container, body: str) -> None:
    container.ses_event_handler.handle(body)
