"""What reacts to changed products and entries, walks the waves and tends the shop."""

import random
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.wiring import client, clock_ms, form_stamps, links, new_id, settings
from chalicelib.wiring.emails import rate_limiter, sender
from chalicelib.wiring.stores import entries, products, progress, restocks, themes, waves_queue

if TYPE_CHECKING:
    from chalicelib.services.autopilot import Autopilot
    from chalicelib.services.fan_out import FanOut
    from chalicelib.services.page_refresh import PageRefresh
    from chalicelib.services.restocking import Restocking
    from chalicelib.services.single_opt_in import SingleOptIn


@cache
def page_refresh() -> "PageRefresh":
    """Turns pages."""
    from chalicelib.services.page_refresh import PageRefresh
    from chalicelib.storage.pages import Cdn, PagesBucket

    cdn = Cdn(client("cloudfront"), settings().distribution_id)
    bucket = PagesBucket(client("s3"), settings().pages_bucket)
    return PageRefresh(products(), themes(), bucket, cdn, form_stamps)


@cache
def restocking() -> "Restocking":
    """Opens fan-outs."""
    from chalicelib.services.restocking import Restocking
    from chalicelib.tables.policies import PoliciesTable

    policies = PoliciesTable(client("dynamodb"), settings().sending_table)
    return Restocking(products(), restocks(), progress(), policies, waves_queue())


@cache
def single_opt_in() -> "SingleOptIn":
    """Lets in who needs no confirmation."""
    from chalicelib.services.single_opt_in import SingleOptIn

    return SingleOptIn(entries(), restocking(), clock_ms)


@cache
def fan_out() -> "FanOut":
    """Walks the waves."""
    from chalicelib.services.batches import Batches
    from chalicelib.services.email_composer import EmailComposer
    from chalicelib.services.fan_out import FanOut
    from chalicelib.services.notifier import Notifier
    from chalicelib.tables.leases import LeasesTable
    from chalicelib.tables.shards import ShardsTable

    shards = ShardsTable(client("dynamodb"), settings().entries_table, settings().suppressions_table)
    notifier = Notifier(
        entries(),
        shards,
        progress(),
        lambda: EmailComposer(themes().live(), links()),
        sender(),
        waves_queue(),
        clock_ms,
    )
    batches = Batches(
        entries(), shards, products(), restocks(), progress(), rate_limiter(), notifier, clock_ms
    )
    leases = LeasesTable(client("dynamodb"), settings().sending_table)
    return FanOut(batches, leases, rate_limiter(), waves_queue(), clock_ms, new_id, random.random)


@cache
def autopilot() -> "Autopilot":
    """AutopilotRuns the shop, within bounds."""
    from chalicelib.domain.autopilot import Bounds
    from chalicelib.services.autopilot import Autopilot, CloudActionLog, Resources
    from chalicelib.tables.alert_state import AlertStateTable

    names = settings()
    positions = Resources(
        names.entries_table,
        names.sending_table,
        names.api_function,
        names.alarms_topic,
        names.dead_letter_queue_urls,
    )
    bounds = Bounds(names.entries_write_units_max, names.api_concurrency_max)
    action_log = CloudActionLog(AlertStateTable(client("dynamodb"), names.sending_table))
    return Autopilot(client, positions, bounds, action_log, clock_ms)
