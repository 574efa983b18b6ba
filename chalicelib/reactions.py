"""Reactions to records and messages: parsed, then handed to the service whose promise it is.

Apart from app.py, and imported by the function that needs it: the API's cold start pays for none of it.
"""

import json
import random
from typing import Any

from chalicelib import wiring
from chalicelib.domain.entry import Reaction, reaction_to, rejoins
from chalicelib.domain.pace import back_off_s
from chalicelib.domain.stock import restocks
from chalicelib.domain.wave import from_json as wave_message
from chalicelib.mail.postbox import PostboxRefused, Refusal
from chalicelib.tables.entries import entry_from
from chalicelib.tables.products import PRODUCT_PREFIX, stock_from
from chalicelib.wiring import events, letters, stores

# Messages do not count how often they were put back: each waits like after its fifth time.
LETTER_TRIES = 5


def send_confirmation(body: str) -> None:
    """A letter that a shopper asked for is due. One that may not leave now is put back."""
    facts = json.loads(body)
    desk = letters.confirmations() if "sku" in facts else letters.yours_letters()
    try:
        desk.send(**facts)
    except PostboxRefused as refused:
        if refused.refusal is Refusal.WRONG:
            raise
        delay_s = back_off_s(LETTER_TRIES, random.random())  # noqa: S311 - spreads who waits alike
        stores.confirmations_queue().put_back(body, delay_s=delay_s)


def react_to_entry(record: dict[str, Any]) -> None:
    """An entry was written. Records that the stream's filter keeps back come too, after a redrive."""
    change = record["dynamodb"]
    if "NewImage" not in change:
        return
    before = entry_from(change["OldImage"]) if "OldImage" in change else None
    after = entry_from(change["NewImage"])
    if rejoins(before, after):
        stores.entries().rejoin(after)
    match reaction_to(before, after):
        case Reaction.ASK:
            stores.confirmations_queue().put(after.shopper, after.sku)
        case Reaction.WELCOME:
            events.restocking().welcome(after.shopper, after.sku, at_ms=wiring.clock_ms())
        case Reaction.COUNT_OUT:
            # Who left after a letter: a figure for the merchant, which a repeated record may count twice.
            stores.progress().count_left(change["OldImage"]["restock_id"]["S"], at_ms=wiring.clock_ms())
        case Reaction.ADMIT:
            events.admissions().admit(after)


def react_to_product(record: dict[str, Any]) -> None:
    """A product's row was changed. Records that the stream's filter keeps back come too, after a redrive."""
    change = record["dynamodb"]
    if not {"OldImage", "NewImage"} <= change.keys():
        return
    slug = change["Keys"]["id"]["S"].removeprefix(PRODUCT_PREFIX)
    before, after = stock_from(change["OldImage"]), stock_from(change["NewImage"])
    if before == after:
        return
    events.page_turn().turn(slug, reference=record["eventID"])
    # The stream tells whole seconds: whoever stood in line in that second is told as well.
    written_at_ms = int(change["ApproximateCreationDateTime"] * 1000) + 999
    for restock in restocks(slug, before, after, at_ms=written_at_ms):
        events.restocking().open(restock)


def take_feedback(body: str) -> None:
    """SES says what became of a letter."""
    letters.feedback_desk().take_in(body)


def walk(body: str) -> None:
    """A step of a fan-out is due."""
    events.fan_out().work(wave_message(body))
