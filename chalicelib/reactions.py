"""Reactions to records and messages: parsed, then handed to the service whose promise it is.

Apart from app.py, and imported by the function that needs it: the API's cold start pays for none of it.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any

from chalicelib.container import Container
from chalicelib.domain.email import RequestedEmail
from chalicelib.domain.entry import Reaction, reaction_to, rejoins
from chalicelib.domain.stock import restocks
from chalicelib.domain.wave import from_json as wave_message
from chalicelib.records import BatchFailures, react_to_queue
from chalicelib.services.confirmations import lift_confirmed
from chalicelib.services.requested_batch import RequestedBatch
from chalicelib.tables.entries import entry_from, is_entry
from chalicelib.tables.products import PRODUCT_PREFIX, stock_from


class RequestedEmailHandler:
    """Sends either kind of email that shoppers ask for."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def send(self, email: RequestedEmail) -> None:
        """See `Desk.send`."""
        if email.sku is None:
            self._container.my_waitlists_email.send(email.shopper, email.source)
        elif email.already:
            self._container.confirmations.say_already(email.shopper, email.sku, email.source)
        else:
            self._container.confirmations.send(email.shopper, email.sku)


def send_confirmations(
    container: Container, records: Iterable[dict[str, Any]], remaining_ms: Callable[[], int]
) -> BatchFailures:
    """Emails that shoppers asked for are due. Each that is done is taken off the queue at once, so that a
    function that dies has only the one under way come again."""
    queue = container.confirmations_queue
    due = RequestedBatch(
        RequestedEmailHandler(container), queue, container.clock_ms, random.random, remaining_ms
    )
    return react_to_queue(records, due.send, queue.delete)


def react_to_entry(container: Container, record: dict[str, Any]) -> None:
    """An entry was written. Records that the stream's filter keeps back come too, after a redrive: a range
    of the stream holds rows of other kinds, as counters."""
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
            if "retried_at_ms" in change["NewImage"]:
                # First: a suppressed shopper is passed over, whatever may be sent to them.
                lift_confirmed(container.suppressions, after.shopper, at_ms=container.clock_ms())
            container.restocking.notify_if_available(after.shopper, after.sku, at_ms=container.clock_ms())
        case Reaction.COUNT_UNSUBSCRIBE:
            # Who left after an email: a figure for the merchant, which a repeated record may count twice.
            if "restock_id" in change["OldImage"]:
                restock_id = change["OldImage"]["restock_id"]["S"]
                container.progress.count_unsubscribed(restock_id, at_ms=container.clock_ms())
        case Reaction.SAY_ALREADY if before is not None:
            container.entries.keep(before, after)
            container.confirmations_queue.put_already(after.shopper, after.sku, after.source)
        case Reaction.ACCEPT_SINGLE_OPT_IN:
            container.single_opt_in.accept(after)


def react_to_product(container: Container, record: dict[str, Any]) -> None:
    """A product's row was changed. Records that the stream's filter keeps back come too, after a redrive."""
    change = record["dynamodb"]
    row = change["Keys"]["id"]["S"]
    if not row.startswith(PRODUCT_PREFIX) or not {"OldImage", "NewImage"} <= change.keys():
        return
    slug = row.removeprefix(PRODUCT_PREFIX)
    before, after = stock_from(change["OldImage"]), stock_from(change["NewImage"])
    if before == after:
        return
    # A count that is sent again is news of nothing a page says.
    if before.keys() != after.keys() or not all(after[sku].is_shown_like(before[sku]) for sku in after):
        container.page_refresh.refresh(slug, reference=record["eventID"])
    # The stream gives whole seconds: everybody who waits in that second is notified as well. A record
    # without a time counts as written now.
    written_at_s = change.get("ApproximateCreationDateTime")
    written_at_ms = container.clock_ms() if written_at_s is None else int(written_at_s * 1000) + 999
    for restock in restocks(slug, before, after, at_ms=written_at_ms):
        container.restocking.open_restock(restock)


def take_feedback(container: Container, body: str) -> None:
    """SES says what became of an email."""
    container.ses_event_handler.take_in(body)


def walk(container: Container, body: str) -> None:
    """A step of a fan-out is due."""
    container.fan_out.work(wave_message(body))
