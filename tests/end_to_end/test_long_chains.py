"""A fan-out that queues to itself runs to its end, though Lambda stops other chains at their second hop."""

import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from chalicelib.domain.stock import Availability, AvailabilityEvent
from chalicelib.services.availability import Availabilities
from chalicelib.settings import clock_ms
from chalicelib.tables.products import ProductsTable
from spillway.local_cloud.shopper import until
from spillway.stage import Stage, stage_named
from tests.end_to_end.demo import checkout, free_ports, open_demo
from tests.end_to_end.test_workers_killed import SKU, join

pytestmark = [
    pytest.mark.slow,
    pytest.mark.local_cloud,
    pytest.mark.skipif(sys.platform != "linux", reason="what still runs is read from /proc"),
]

# At the emulated account's 14 emails a second, longer than one worker walks on by itself.
WAITERS = 300
NOTIFIED_IN_S = 240.0
STOPPED = "RecursiveInvocationsDropped"


def idle(stage: Stage) -> bool:
    """True when no message waits in any queue, comes later, or is being worked on; dead letters count."""
    sqs = stage.client("sqs")
    counts = ("", "NotVisible", "Delayed")
    names = [f"ApproximateNumberOfMessages{count}" for count in counts]
    return not any(
        int(count)
        for url in sqs.list_queues().get("QueueUrls", [])
        for count in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def test_a_fan_out_longer_than_a_chain_may_be_notifies_everybody_once(tmp_path: Path) -> None:
    project = checkout(tmp_path)
    with open_demo(project, free_ports(), "--fresh", "--invocations-max", "1") as demo:
        stage = stage_named(project, "local")
        waiting = join(stage, WAITERS)
        products = ProductsTable(stage.client("dynamodb"), stage.outputs()["ProductsTable"])
        Availabilities(products).apply(AvailabilityEvent("e2e", SKU, Availability.IN_STOCK, 5, clock_ms()))
        with httpx.Client(base_url=demo.inbox_url, trust_env=False, timeout=30) as inbox:

            def emailed() -> Counter[str]:
                listed = inbox.get("/emails.json").raise_for_status().json()
                return Counter(item["recipient"] for item in listed if "is back" in item["subject"])

            until(
                lambda: True if waiting <= set(emailed()) else None,
                "all are notified",
                within_s=NOTIFIED_IN_S,
            )
            # At the end of each shard, one more walk is queued for what the index shows late.
            until(lambda: True if idle(stage) else None, "no step is left", within_s=NOTIFIED_IN_S)
            assert emailed() == Counter(waiting)
        stopped = stage.client("cloudwatch").list_metrics(Namespace="AWS/Lambda", MetricName=STOPPED)
        assert stopped["Metrics"] == []
