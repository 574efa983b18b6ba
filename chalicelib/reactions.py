"""Reactions to records and messages: parsed, then handed to the service whose promise it is.

Apart from app.py, and imported by the function that needs it: the API's cold start pays for none of it.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any

from chalicelib import wiring
from chalicelib.domain.entry import Reaction, reaction_to, rejoins
from chalicelib.domain.letter import AskedLetter
from chalicelib.domain.stock import restocks
from chalicelib.domain.wave import from_json as wave_message
from chalicelib.records import BatchFailures, react_to_queue
from chalicelib.services.confirmations import lift_confirmed
from chalicelib.services.due_letters import DueLetters
from chalicelib.tables.entries import entry_from, is_entry
from chalicelib.tables.products import PRODUCT_PREFIX, stock_from
from chalicelib.wiring import events, letters, stores


class AskedDesk:
    """Sends either kind of letter that shoppers ask for."""

    def send(self, letter: AskedLetter) -> None:
        """See `Desk.send`."""
        if letter.sku is None:
            letters.yours_letters().send(letter.shopper, letter.source)
        elif letter.already:
            letters.confirmations().say_already(letter.shopper, letter.sku, letter.source)
        else:
            letters.confirmations().send(letter.shopper, letter.sku)


def send_confirmations(records: Iterable[dict[str, Any]], remaining_ms: Callable[[], int]) -> BatchFailures:
    """Letters that shoppers asked for are due. Each that is done is taken off the queue at once, so that a
    function that dies has only the one under way come again."""
    queue = stores.confirmations_queue()
    due = DueLetters(AskedDesk(), queue, wiring.clock_ms, random.random, remaining_ms)
    return react_to_queue(records, due.send, queue.delete)


def react_to_entry(record: dict[str, Any]) -> None:
    """An entry was written. Records that the stream's filter keeps back come too, after a redrive: a range
    of the stream holds rows of other kinds, as counters."""
    change = record["dynamodb"]
    if not is_entry(change.get("NewImage")):
        return
    before = entry_from(change["OldImage"]) if is_entry(change.get("OldImage")) else None
    after = entry_from(change["NewImage"])
    if rejoins(before, after):
        stores.entries().rejoin(after)
    match reaction_to(before, after):
        case Reaction.ASK:
            stores.confirmations_queue().put(after.shopper, after.sku)
        case Reaction.WELCOME:
            if "retried_at_ms" in change["NewImage"]:
                # First: a suppressed shopper is passed over, whatever may be sent to them.
                lift_confirmed(stores.suppressions(), after.shopper, at_ms=wiring.clock_ms())
            events.restocking().welcome(after.shopper, after.sku, at_ms=wiring.clock_ms())
        case Reaction.COUNT_OUT:
            # Who left after a letter: a figure for the merchant, which a repeated record may count twice.
            if "restock_id" in change["OldImage"]:
                restock_id = change["OldImage"]["restock_id"]["S"]
                stores.progress().count_left(restock_id, at_ms=wiring.clock_ms())
        case Reaction.SAY_ALREADY if before is not None:
            stores.entries().keep(before, after)
            stores.confirmations_queue().put_already(after.shopper, after.sku, after.source)
        case Reaction.ADMIT:
            events.admissions().admit(after)


def react_to_product(record: dict[str, Any]) -> None:
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
        events.page_turn().turn(slug, reference=record["eventID"])
    # The stream tells whole seconds: whoever stood in line in that second is told as well. Where it tells
    # nothing, now is late enough.
    written_at_s = change.get("ApproximateCreationDateTime")
    written_at_ms = wiring.clock_ms() if written_at_s is None else int(written_at_s * 1000) + 999
    for restock in restocks(slug, before, after, at_ms=written_at_ms):
        events.restocking().open(restock)


def take_feedback(body: str) -> None:
    """SES says what became of a letter."""
    letters.feedback_desk().take_in(body)


def walk(body: str) -> None:
    """A step of a fan-out is due."""
    events.fan_out().work(wave_message(body))
