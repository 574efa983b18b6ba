"""Gather what `spillway traffic` shows: statistics of logs, the funnel, the coverage, and the bill so far."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.container import Container
from chalicelib.domain.entry import EntryState
from chalicelib.domain.traffic.counting import time_of
from chalicelib.domain.traffic.report import Coverage, TrafficReport
from chalicelib.services.traffic import SIGNUP_ROUTE, hour_at
from chalicelib.services.traffic import signups_counted as answers_counted
from chalicelib.tables.entries import is_entry
from spillway.preflight.amounts import UsedAmount
from spillway.preflight.bill import Bill, bill, used_by_traffic
from spillway.stage import Stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

HOURS_MAX = 400 * 24


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """The people of one product on their way: views are of the time that is shown, the rest of all time.

    Entries that DynamoDB has deleted are not counted: unconfirmed ones after three days, erased ones at once.
    `clicked` are restock emails whose link was followed, each once, of the last 400 days at least: a person
    who was notified of two restocks may click two. None where the shop does not count clicks.
    """

    slug: str
    views: int
    signed_up: int
    confirmed: int
    notified: int
    clicked: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Everything that the page of a stage's traffic shows."""

    report: TrafficReport
    coverage: Coverage
    funnel: tuple[FunnelRow, ...]
    bill: Bill

    def to_document(self) -> dict[str, Any]:
        """Return a JSON-ready document."""
        return self.report.to_document() | {
            "coverage": self.coverage.to_document(),
            "funnel": [asdict(row) for row in self.funnel],
            "bill": {
                "usd": round(self.bill.usd, 4),
                "usd_after_free": round(self.bill.usd_after_free, 4),
                "lines": [
                    {"item": str(line.used.item), "amount": line.used.amount, "usd": round(line.usd, 6)}
                    for line in self.bill.lines
                ],
            },
        }


def gather(stage: Stage, *, since_s: int, now_ms: int) -> Traffic:
    """Return the traffic of the last `since_s` seconds, in whole hours.

    Raises:
        BadInput: nothing is deployed as this stage.
    """
    container = stage.container()
    since, until = hour_at(now_ms - since_s * 1_000), hour_at(now_ms)
    report = container.traffic_reports.report(since, until)
    coverage = Coverage(report.posted, signups_counted(stage, since, until))
    return Traffic(report, coverage, tuple(funnel(container, report)), bill(used(report, coverage)))


def funnel(container: Container, report: TrafficReport) -> Iterator[FunnelRow]:
    """Yield the funnel of each product that was viewed, has entries or was clicked, most views first."""
    slugs: dict[str, str] = {
        variant.sku: stocked.product.slug
        for stocked in container.products.scan()
        for variant in stocked.product.variants
    }
    steps: dict[str, Counter[str]] = {}
    client: DynamoDBClient = container.client("dynamodb")
    pages = client.get_paginator("scan").paginate(TableName=container.settings.entries_table)
    for page in pages:
        for item in page["Items"]:
            if is_entry(item):
                slug = slugs.get(item["sku"]["S"], item["sku"]["S"])
                steps.setdefault(slug, Counter()).update(steps_of(item))
    views = report.views_by_product
    clicks = container.reports.clicks_by_product()
    counts_clicks = bool(clicks) or container.recent_themes.live().theme.shop.count_clicks
    for slug in sorted({*views, *steps, *clicks}, key=lambda slug: (-views.get(slug, 0), slug)):
        counts = steps.get(slug, Counter())
        yield FunnelRow(
            slug,
            views.get(slug, 0),
            counts["signed_up"],
            counts["confirmed"],
            counts["notified"],
            clicks.get(slug, 0) if counts_clicks else None,
        )


def steps_of(item: Mapping[str, Any]) -> list[str]:
    """Return the steps of the funnel that a stored entry has behind it."""
    notified = item["state"]["S"] == EntryState.NOTIFIED or "restock_id" in item
    confirmed = notified or "confirmed_at_ms" in item or item["state"]["S"] == EntryState.CONFIRMED
    return ["signed_up", *(["confirmed"] if confirmed else []), *(["notified"] if notified else [])]


def signups_counted(stage: Stage, since: str, until: str) -> int | None:
    """Return how many `POST /waitlist` the API answered from one hour to another; None where none is known.

    The API counts its answers by a metric in its log, which CloudWatch takes out; the local cloud keeps the
    log alone.
    """
    if stage.endpoint_url:
        return _logged_answers(stage, time_of(since), time_of(until) + timedelta(hours=1))
    return answers_counted(stage.client("cloudwatch"), f"Spillway/{stage.stack_name}", since, until)


def _logged_answers(stage: Stage, start: datetime, end: datetime) -> int:
    group = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId="APIHandlerLogGroup"
    )["StackResourceDetail"]["PhysicalResourceId"]
    logs = stage.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=int(start.timestamp() * 1_000),
        endTime=int(end.timestamp() * 1_000) - 1,
        filterPattern='"answered"',
    )
    return sum(_is_signup(event["message"]) for page in pages for event in page["events"])


def _is_signup(message: str) -> bool:
    try:
        line = json.loads(message)
    except ValueError:
        return False
    return isinstance(line, dict) and line.get("event") == "answered" and line.get("route") == SIGNUP_ROUTE


def used(report: TrafficReport, coverage: Coverage) -> Iterator[UsedAmount]:
    """Return the amounts that the logs show so far, at the items of preflight's bill."""
    posted = coverage.counted if coverage.counted is not None else report.posted
    return used_by_traffic(
        requests=report.requests,
        bytes_sent=report.bytes_sent,
        uncached=max(0, report.uncached - report.posted),
        signups=posted,
    )
