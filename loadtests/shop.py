"""The shop that is sent a flood: the demo that runs, one of our own, or the shop's own on AWS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import sleep
from typing import TYPE_CHECKING

from chalicelib.services.recount import Recount, Recounted
from chalicelib.settings import clock_ms
from chalicelib.tables.demand import EntriesCount
from loadtests.guard import own_base_url, require_own
from loadtests.ledger import Wish
from spillway.errors import BadInput
from spillway.local_cloud.demo import DemoSettings, running_demo
from spillway.local_cloud.story import sold_out
from spillway.project import Project
from spillway.stage import LOCAL, Stage, running_local_stage, stage_named
from spillway.terminal import Steps

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@contextmanager
def open_shop(project: Project, stage_name: str, port: int, steps: Steps) -> Iterator[Stage]:
    """Yield a shop that is open, at an origin that may be sent load.

    Raises:
        BadInput: its origin is another machine's, and not the shop's own.
    """
    with _stage(project, stage_name, port, steps) as stage:
        require_own(stage.shop_url, own_base_url(project.site))
        yield stage


@contextmanager
def _stage(project: Project, name: str, port: int, steps: Steps) -> Iterator[Stage]:
    if name != LOCAL:
        yield replace(stage_named(project, name), shop_url=own_base_url(project.site))
        return
    running = running_local_stage(project)
    if running is not None:
        yield running
        return
    with running_demo(project, DemoSettings(port), steps) as demo:
        yield demo.stage


def landing_of(stage: Stage) -> str:
    """Return the page with the most to wait for.

    Raises:
        BadInput: there is nothing to wait for.
    """
    paths = [variant.path for variant in sold_out(stage)]
    if not paths:
        raise BadInput(
            "nothing in the shop is sold out", hint="mark a variant as sold out: spillway sold-out SKU"
        )
    return max(sorted(set(paths)), key=paths.count)


def stored(stage: Stage, mailbox_prefix: str) -> Iterator[Wish]:
    """Yield every entry of a run's shoppers."""
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=stage.outputs()["EntriesTable"],
        ConsistentRead=True,
        FilterExpression="begins_with(mailbox, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": f"{mailbox_prefix}."}},
    )
    for page in pages:
        yield from (Wish(item["mailbox"]["S"], item["sku"]["S"]) for item in page["Items"])


# An emulated cloud counts a flood for some time after it; a shop on AWS within seconds.
COUNTED_WITHIN_MS = 180_000


def recounted(
    stage: Stage, *, clock_ms: Callable[[], int] = clock_ms, sleep: Callable[[float], None] = sleep
) -> Recounted:
    """Compare the merchant's counters with all entries, again and again until the flood is counted.

    Returns:
        A comparison without any difference, or the last one within three minutes.
    """
    container = stage.container()
    entries = EntriesCount(container.client("dynamodb"), container.settings.entries_table)
    recount = Recount(entries, container.demand, clock_ms, sleep)
    end_ms = clock_ms() + COUNTED_WITHIN_MS
    found = recount.run()
    while found.drifts and clock_ms() < end_ms:
        found = recount.run()
    return found
