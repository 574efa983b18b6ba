"""Reactions to DynamoDB's streams: an entry was written, a product was changed.

Both reactions ignore rows of other kinds. The streams' filters keep them back, but a redrive of a dead letter
reads a range of the stream, filtered or not.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from chalicelib.container import Container
from chalicelib.domain.entry import Reaction, reaction_to, rejoins
from chalicelib.domain.stock import restocks
from chalicelib.events.batches import BatchFailures, react_to_stream
from chalicelib.services.confirmations import lift_confirmed
from chalicelib.tables.entries import entry_from, is_entry
from chalicelib.tables.products import PRODUCT_PREFIX, stock_from


def on_entries_written(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """React to records of the entries table."""
    return react_to_stream(records, partial(react_to_entry, container))


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
        case Reaction.COUNT_UNSUBSCRIBE:
            # Unsubscribed after an email: a figure for the merchant, which a repeated record may count twice.
            if "restock_id" in change["OldImage"]:
                restock_id = change["OldImage"]["restock_id"]["S"]
                container.progress.count_unsubscribed(restock_id, at_ms=container.clock_ms())
        case Reaction.SAY_ALREADY if before is not None:
            container.entries.keep(before, after)
            container.confirmations_queue.put_already(after.shopper, after.sku, after.source)
        case Reaction.ACCEPT_SINGLE_OPT_IN:
            container.single_opt_in.accept(after)


def react_to_product(container: Container, record: dict[str, Any]) -> None:
    """React to one changed product: refresh its pages, then open the fan-outs of its restocks."""
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
    for restock in restocks(slug, before, after, at_ms=written_at_ms):
        container.restocking.open_restock(restock)
