"""What reacts to changed products and entries, walks the waves and tends the shop."""

import random
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.wiring import client, clock_ms, form_stamps, links, new_id, settings
from chalicelib.wiring.letters import pace, postbox
from chalicelib.wiring.stores import entries, products, progress, restocks, themes, waves_queue

if TYPE_CHECKING:
    from chalicelib.services.admissions import Admissions
    from chalicelib.services.fan_out import FanOut
    from chalicelib.services.page_turn import PageTurn
    from chalicelib.services.restocking import Restocking
    from chalicelib.services.tending import Tender


@cache
def page_turn() -> "PageTurn":
    """Turns pages."""
    from chalicelib.services.page_turn import PageTurn
    from chalicelib.storage.pages import Cdn, PagesBucket

    cdn = Cdn(client("cloudfront"), settings().distribution_id)
    bucket = PagesBucket(client("s3"), settings().pages_bucket)
    return PageTurn(products(), themes(), bucket, cdn, form_stamps)


@cache
def restocking() -> "Restocking":
    """Opens fan-outs."""
    from chalicelib.services.restocking import Restocking
    from chalicelib.tables.policies import PoliciesTable

    policies = PoliciesTable(client("dynamodb"), settings().sending_table)
    return Restocking(products(), restocks(), progress(), policies, waves_queue())


@cache
def admissions() -> "Admissions":
    """Lets in who needs no confirmation."""
    from chalicelib.services.admissions import Admissions

    return Admissions(entries(), restocking(), clock_ms)


@cache
def fan_out() -> "FanOut":
    """Walks the waves."""
    from chalicelib.services.batches import Batches
    from chalicelib.services.fan_out import FanOut
    from chalicelib.services.letters import LetterWriter
    from chalicelib.services.teller import Teller
    from chalicelib.tables.leases import LeasesTable
    from chalicelib.tables.line import LineTable

    line = LineTable(client("dynamodb"), settings().entries_table, settings().suppressions_table)
    teller = Teller(
        entries(),
        line,
        progress(),
        lambda: LetterWriter(themes().live(), links()),
        postbox(),
        waves_queue(),
        clock_ms,
    )
    batches = Batches(entries(), line, products(), restocks(), progress(), pace(), teller, clock_ms)
    leases = LeasesTable(client("dynamodb"), settings().sending_table)
    return FanOut(batches, leases, pace(), waves_queue(), clock_ms, new_id, random.random)


@cache
def tender() -> "Tender":
    """Tends the shop, within bounds."""
    from chalicelib.domain.tending import Bounds
    from chalicelib.services.tending import CloudJournal, Places, Tender
    from chalicelib.tables.notices import NoticesTable

    names = settings()
    places = Places(
        names.entries_table,
        names.sending_table,
        names.api_function,
        names.alarms_topic,
        names.dead_letter_queue_urls,
    )
    bounds = Bounds(names.entries_write_units_max, names.api_concurrency_max)
    journal = CloudJournal(NoticesTable(client("dynamodb"), names.sending_table))
    return Tender(client, places, bounds, journal, clock_ms)
