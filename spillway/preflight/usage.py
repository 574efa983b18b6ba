"""The amounts that a campaign uses, item by item; each amount shows its calculation."""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.domain.wave import BATCH_ENTRIES_MAX
from spillway.preflight.amounts import (
    LAMBDA_LOG_BYTES,
    MEMORY_MB,
    QUEUE_BATCH,
    QUEUE_REQUESTS_PER_MESSAGE,
    BillPart,
    Item,
    Measured,
    Step,
    StepFigures,
    UsedAmount,
)
from spillway.preflight.built_pages import HEAD_BYTES, NO_REFRESH, PageWeight, RefreshWork
from spillway.preflight.campaign import Campaign
from spillway.preflight.event_usage import deliveries, events_of_the_shop, stock_events
from spillway.terminal import pluralize

# Adding an entry to the waitlist's index writes there too, and so does removing it.
INDEX_WRITES = {Step.CONFIRM: 1, Step.NOTIFY: 1}
STREAM_BATCH = 25  # app.py
COUNTED_BATCH = 50  # app.py
ENTRY_BYTES = 600
# A marker of a counted change, kept for two days.
MARKER_BYTES = 120
MARKER_MONTHS = 2 / 30
# A recount of the whole table each day of a month: one read unit for each 4 KB.
RECOUNTS_PER_MONTH = 30
READ_UNIT_BYTES = 4_096
# Each of CloudFront's 13 regional caches asks the bucket once for an object.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HowCloudFrontWorks.html (2026-11)
REGIONAL_CACHES = 13
# The thanks page, compressed, with its style. A test measures the one of a build.
SMALL_PAGE_BYTES = 4_700
# API responses are sent uncompressed: CloudFront compresses nothing where caching is disabled.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
# The page with the button, with its style, and the answer to a form. Tests measure both.
API_PAGE_BYTES = 14_200
FORM_ANSWER_BYTES = 21


@dataclass(frozen=True, slots=True)
class Watching:
    """The work of one browser that shows the merchant's page, in a flood: each poll makes a new overview.

    Attributes:
        poll_s: Seconds between polls, as spillway/theme/static/merchant.js has them.
        calls: Calls of one poll to DynamoDB.
        cpu_ms: CPU of one poll: about 1 ms for each call, and its own work.
        read_units: DynamoDB's read units of an hour, for a page of 100 variants in 50 products.
        write_units: Its write units of an hour.
        answer_bytes: Size of an answer, which is not compressed.
    """

    poll_s: float
    calls: int
    cpu_ms: float
    read_units: float
    write_units: float
    answer_bytes: int

    def polls(self, seconds: float) -> float:
        """Return the polls of so many seconds."""
        return seconds / self.poll_s


# A test of the overview measures them.
WATCHED = Watching(poll_s=3.0, calls=22, cpu_ms=35, read_units=86_000, write_units=3_600, answer_bytes=31_000)


def usage(
    campaign: Campaign,
    weight: PageWeight,
    measured: Measured,
    *,
    site_bytes: float,
    provisioned: int = 0,
    refresh: RefreshWork = NO_REFRESH,
) -> tuple[UsedAmount, ...]:
    """Return all amounts of a campaign, from the first page to the last email.

    Args:
        campaign: The campaign.
        weight: The landing page.
        measured: The cost of each step.
        site_bytes: Size of the built site, in bytes.
        provisioned: Lambda instances kept ready for the API.
        refresh: The work of one availability change.
    """
    return (
        *_pages(campaign, weight, site_bytes),
        *_refreshes(campaign, refresh),
        *_work(campaign, measured),
        *_kept_ready(campaign, provisioned),
        *_mail(campaign),
        *_feedback(campaign, measured),
        *_demand(campaign, measured),
        *_watching(campaign),
        *stock_events(campaign),
        *events_of_the_shop(campaign),
        *deliveries(campaign),
    )


def _pages(campaign: Campaign, weight: PageWeight, site_bytes: float) -> Iterator[UsedAmount]:
    views, calls, confirmed = campaign.page_views, api_calls(campaign), campaign.confirmed
    # A confirmation loads a page with a button from the API, and the thanks page of the shop.
    answers = calls * HEAD_BYTES + campaign.signup_posts * FORM_ANSWER_BYTES + confirmed * API_PAGE_BYTES
    answers += confirmed * (SMALL_PAGE_BYTES + HEAD_BYTES)
    polls = round(WATCHED.polls(campaign.over_s))
    calls += polls
    polled_bytes = polls * (WATCHED.answer_bytes + HEAD_BYTES)
    yield UsedAmount(
        Item.CDN_BYTES,
        views * weight.bytes_sent + answers + polled_bytes,
        f"{views:,} views x {weight.bytes_sent:,.0f} bytes ({weight.path}), and {calls:,} answers of the API",
    )
    yield UsedAmount(
        Item.CDN_REQUESTS,
        views * weight.requests + calls + confirmed,
        f"{views:,} views x {weight.requests:.2f}, {calls:,} API calls, {confirmed:,} thanks pages",
    )
    fetched = weight.requests * REGIONAL_CACHES
    yield UsedAmount(
        Item.S3_READS, fetched, f"{weight.requests:.2f} objects x {REGIONAL_CACHES} regional caches"
    )
    yield UsedAmount(Item.S3_STORAGE, site_bytes, f"the whole site, {site_bytes / 1e6:.1f} MB, for a month")


def _watching(campaign: Campaign) -> Iterator[UsedAmount]:
    """Yield the amounts of the merchant's page, shown in one browser for the whole campaign."""
    polls, hours = WATCHED.polls(campaign.over_s), campaign.over_s / 3600
    busy_s = polls * StepFigures(WATCHED.cpu_ms, {"dynamodb": WATCHED.calls}).duration_ms(MEMORY_MB) / 1000
    why = f"the merchant's page, watched for {hours:g} h: {polls:,.0f} polls"
    for item, amount in (
        (Item.API_CALLS, polls),
        (Item.LAMBDA_CALLS, polls),
        (Item.LAMBDA_TIME, busy_s * MEMORY_MB / 1024),
        (Item.READ_UNITS, WATCHED.read_units * hours),
        (Item.WRITE_UNITS, WATCHED.write_units * hours),
        (Item.LOG_BYTES, polls * LAMBDA_LOG_BYTES),
    ):
        yield UsedAmount(item, amount, why, cause=BillPart.WATCHING)


def _refreshes(campaign: Campaign, refresh: RefreshWork) -> Iterator[UsedAmount]:
    changes = campaign.availability_changes
    if not changes * refresh.paths:
        return
    why = f"{pluralize(changes, 'change')} of availability x"
    yield UsedAmount(
        Item.INVALIDATIONS,
        changes * refresh.paths,
        f"{why} {refresh.paths:.1f} paths",
        cause=BillPart.REFRESH,
    )
    yield UsedAmount(
        Item.S3_WRITES,
        changes * refresh.objects,
        f"{why} {refresh.objects:.1f} pages",
        cause=BillPart.REFRESH,
    )


def api_calls(campaign: Campaign) -> int:
    """Return the number of API calls: one for each form, and two for each confirmation."""
    return campaign.signup_posts + 2 * campaign.confirmed


def steps_of(campaign: Campaign) -> dict[Step, int]:
    """Return the number of shoppers who take each step."""
    return {
        Step.SIGN_UP: campaign.signup_posts,
        Step.REACT_TO_SIGNUP: campaign.signups,
        Step.SEND_CONFIRMATION: campaign.signups,
        Step.SHOW: campaign.confirmed,
        Step.CONFIRM: campaign.confirmed,
        Step.REACT_TO_CONFIRMATION: campaign.confirmed,
        Step.NOTIFY: campaign.confirmed,
    }


def _work(campaign: Campaign, measured: Measured) -> Iterator[UsedAmount]:
    steps = steps_of(campaign)
    batch = {
        Step.REACT_TO_SIGNUP: STREAM_BATCH,
        Step.REACT_TO_CONFIRMATION: STREAM_BATCH,
        Step.SEND_CONFIRMATION: QUEUE_BATCH,
        Step.NOTIFY: BATCH_ENTRIES_MAX,
    }
    calls = sum(count / batch.get(step, 1) for step, count in steps.items())
    busy_s = sum(count * measured.duration_ms(step, MEMORY_MB) / 1000 for step, count in steps.items())
    figures = {step: (count, measured.steps[step]) for step, count in steps.items()}
    writes = sum(
        count * (step_figures.write_units + INDEX_WRITES.get(step, 0))
        for step, (count, step_figures) in figures.items()
    )
    reads = sum(count * step_figures.read_units for count, step_figures in figures.values())
    messages = sum(
        count * step_figures.called("sqs", "SendMessage") for count, step_figures in figures.values()
    )
    gets = sum(count * step_figures.called("s3") for count, step_figures in figures.values())
    api = api_calls(campaign)
    yield UsedAmount(
        Item.API_CALLS,
        api,
        f"{campaign.signup_posts:,} forms, {campaign.confirmed:,} confirmed: a page, a button",
    )
    yield UsedAmount(Item.LAMBDA_CALLS, calls, f"{api:,} API calls; streams and queues in batches")
    yield UsedAmount(
        Item.LAMBDA_TIME,
        busy_s * MEMORY_MB / 1024,
        f"{busy_s:,.0f} s at {MEMORY_MB} MB, from CPU and calls measured {measured.measured_on}",
    )
    yield UsedAmount(
        Item.WRITE_UNITS,
        writes,
        f"{writes / max(1, campaign.signups):.1f} for each signup, with its restock email",
    )
    yield UsedAmount(
        Item.READ_UNITS,
        reads,
        f"{reads / max(1, campaign.signups):.1f} for each signup, with its restock email",
    )
    yield UsedAmount(
        Item.TABLE_STORAGE, campaign.signups * ENTRY_BYTES, f"{campaign.signups:,} entries, for a month"
    )
    yield UsedAmount(
        Item.QUEUE_REQUESTS,
        messages * QUEUE_REQUESTS_PER_MESSAGE,
        f"{messages:,.0f} messages x {QUEUE_REQUESTS_PER_MESSAGE:g} requests",
    )
    yield UsedAmount(Item.S3_READS, gets, "the theme, read by each step that renders a page or an email")
    logged = calls * LAMBDA_LOG_BYTES + sum(
        count * step_figures.log_bytes for count, step_figures in figures.values()
    )
    yield UsedAmount(
        Item.LOG_BYTES, logged, f"{calls:,.0f} calls x {LAMBDA_LOG_BYTES} bytes of Lambda's, and ours"
    )


def _kept_ready(campaign: Campaign, provisioned: int) -> Iterator[UsedAmount]:
    if provisioned:
        yield UsedAmount(
            Item.LAMBDA_READY,
            provisioned * MEMORY_MB / 1024 * campaign.over_s,
            f"{provisioned:,} instances at {MEMORY_MB} MB for {campaign.over_s:,} s",
        )


def _mail(campaign: Campaign) -> Iterator[UsedAmount]:
    yield UsedAmount(
        Item.EMAILS,
        campaign.signups + campaign.confirmed,
        f"{campaign.signups:,} confirmations, {campaign.confirmed:,} restock emails",
    )


def _feedback(campaign: Campaign, measured: Measured) -> Iterator[UsedAmount]:
    """Yield the amounts of delivery events: SES publishes one for each email; a queue passes it on."""
    emails, heard = campaign.signups + campaign.confirmed, measured.steps[Step.DELIVERED]
    calls = emails / QUEUE_BATCH
    busy_s = emails * heard.duration_ms(MEMORY_MB) / 1000
    why = f"{emails:,} delivered emails"
    for item, amount in (
        (Item.NOTICES, emails),
        (Item.QUEUE_REQUESTS, emails * QUEUE_REQUESTS_PER_MESSAGE),
        (Item.LAMBDA_CALLS, calls),
        (Item.LAMBDA_TIME, busy_s * MEMORY_MB / 1024),
        (Item.READ_UNITS, emails * heard.read_units),
        (Item.WRITE_UNITS, emails * heard.write_units),
        (Item.LOG_BYTES, calls * LAMBDA_LOG_BYTES + emails * heard.log_bytes),
    ):
        yield UsedAmount(item, amount, why, cause=BillPart.FEEDBACK)


def _demand(campaign: Campaign, measured: Measured) -> Iterator[UsedAmount]:
    """Yield the amounts of the merchant's counters: each signup, confirmation and notification is counted."""
    changes, counting = campaign.signups + 2 * campaign.confirmed, measured.steps[Step.COUNT]
    calls = changes / COUNTED_BATCH
    busy_s = changes * counting.duration_ms(MEMORY_MB) / 1000
    why = f"{changes:,} changes of entries, {COUNTED_BATCH} in a transaction"
    recounts = campaign.signups * ENTRY_BYTES / READ_UNIT_BYTES * RECOUNTS_PER_MONTH
    for item, amount, what in (
        (Item.LAMBDA_CALLS, calls, why),
        (Item.LAMBDA_TIME, busy_s * MEMORY_MB / 1024, why),
        (Item.WRITE_UNITS, changes * counting.write_units, why),
        (Item.LOG_BYTES, calls * LAMBDA_LOG_BYTES, why),
        (Item.TABLE_STORAGE, changes * MARKER_BYTES * MARKER_MONTHS, f"{changes:,} markers, for two days"),
        (Item.READ_UNITS, recounts, f"{campaign.signups:,} entries, recounted each day of a month"),
    ):
        yield UsedAmount(item, amount, what, cause=BillPart.DEMAND)
