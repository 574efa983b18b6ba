"""Trouble for the demo's story: addresses that no email reaches, stock that flaps, a late complaint."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.clock import clock_ms, new_id
from chalicelib.domain.availability import AvailabilityEvent
from chalicelib.domain.entry import OptIn, Signup, shard_of, shards_of
from chalicelib.domain.sku import sku_tag
from chalicelib.domain.stock import Availability
from chalicelib.services.availability import Availabilities
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.suppressions import SuppressionsTable
from spillway.demo.shopper import until
from spillway.errors import WorkFailed
from spillway.stage import Stage
from spillway.stage_tables import StageTables

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# No form takes such an address: it stands for one that the transport refuses.
BAD_MAILBOX = "nobody at example.com"
LATE = timedelta(hours=25)
HEARD_WITHIN_S = 30.0


def put_bad_addresses(stage: Stage, sku: str, run: str) -> None:
    """Put a shopper whom no email reaches on each shard of a variant's list, where it ends now."""
    entries = EntriesTable(stage.client("dynamodb"), stage.outputs()["EntriesTable"])
    shards = set(shards_of(sku))
    number = 0
    while shards:
        shopper = f"bad-{run}-{number}"
        number += 1
        if (line := shard_of(sku, shopper)) in shards:
            shards.remove(line)
            signup = Signup(shopper, BAD_MAILBOX, sku, "/", "demo", OptIn.SINGLE)
            entries.ask(signup, at_ms=clock_ms())


def flap(stage: Stage, sku: str, units: tuple[int, ...]) -> None:
    """Report one count after the other, as fast as they are stored."""
    availabilities = Availabilities(StageTables.of(stage).products)
    for count in units:
        state = Availability.IN_STOCK if count else Availability.OUT_OF_STOCK
        event = AvailabilityEvent(new_id(), sku, state, count, clock_ms(), by_arrival=True)
        availabilities.take_in(event)


def complain_late(stage: Stage, shopper: str, sku: str) -> None:
    """Publish that a shopper calls an email of the day before yesterday spam, as SES does.

    Raises:
        WorkFailed: it does not suppress the shopper, or it pauses all sending.
    """
    stack = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId="Feedback"
    )
    names = stage.outputs()
    sent_at = datetime.now(UTC) - LATE
    tags = {"email": ["available"], "shopper": [shopper], "sku": [sku_tag(sku)]}
    event = {
        "eventType": "Complaint",
        "mail": {
            "timestamp": sent_at.isoformat(),
            "messageId": new_id(),
            "tags": {**tags, "ses:configuration-set": [names["Emails"]]},
        },
        "complaint": {
            "timestamp": datetime.now(UTC).isoformat(),
            "complaintFeedbackType": "abuse",
            "complaintSubType": None,
        },
    }
    topic = stack["StackResourceDetail"]["PhysicalResourceId"]
    stage.client("sns").publish(TopicArn=topic, Message=json.dumps(event))
    suppressions = SuppressionsTable(stage.client("dynamodb"), names["SuppressionsTable"])
    until(
        lambda: suppressions.among([shopper]) or None,
        "a complaint suppresses its shopper",
        within_s=HEARD_WITHIN_S,
    )
    state = StageTables.of(stage).pace.state()
    if state is not None and state.paused:
        raise WorkFailed(f"one late complaint paused all sending: {state.paused}")


def shopper_of(stage: Stage, mailbox: str) -> str:
    """Return the id of the shopper with an address.

    Raises:
        WorkFailed: nobody has it.
    """
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=stage.outputs()["EntriesTable"],
        FilterExpression="mailbox = :mailbox",
        ExpressionAttributeValues={":mailbox": {"S": mailbox}},
        ConsistentRead=True,
    )
    for page in pages:
        for item in page["Items"]:
            return str(item["shopper"]["S"])
    raise WorkFailed(f"{mailbox}: no entry")
