"""DynamoDB as everybody plays it, and the tables of a fan-out together."""

from typing import TYPE_CHECKING, cast

import boto3
import pytest

from chalicelib.domain.entry import Entry, EntryState, Signup
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.sending import LeasesTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import ProgressTable
from chalicelib.tables.shards import Notified, ShardsTable
from chalicelib.tables.suppressions import SuppressionsTable
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_boto3_dynamodb import DynamoDBClient


class Tables:
    """Everything a fan-out reads and writes."""

    def __init__(self, client: "DynamoDBClient", clock: Clock) -> None:
        entries, sending = create_table(client, "EntriesTable"), create_table(client, "SendingTable")
        self.client, self.entries_name, self.sending_name = client, entries, sending
        self.clock = clock
        self.entries = EntriesTable(client, entries)
        suppressions = create_table(client, "SuppressionsTable")
        self.suppressions = SuppressionsTable(client, suppressions)
        self.shards = ShardsTable(client, entries, suppressions, sleep=clock.pass_s)
        self.leases = LeasesTable(client, sending)
        self.progress = ProgressTable(client, sending)
        self.rate_limiter = SendingRateTable(client, sending)

    def join(self, *shoppers: str) -> list[Entry]:
        """Shoppers sign up and confirm, in this order."""
        joined = []
        for shopper in shoppers:
            self.entries.sign_up(Signup(shopper, f"{shopper}@example.com", "A", "/", "c"), at_ms=self.clock())
            self.entries.confirm(shopper, "A", at_ms=self.clock())
            self.clock.pass_s(1)
            entry = self.entries.get(shopper, "A")
            assert entry is not None
            joined.append(entry)
        return joined

    def mark(self, *entries: Entry) -> int:
        """Mark entries as notified, and count them."""
        marked = [Notified(entry, "accepted", f"m-{entry.shopper}") for entry in entries]
        counting = self.progress.count("r1", "A#1", at_ms=self.clock(), notified=len(marked))
        return self.shards.mark_batch(marked, restock_id="r1", at_ms=self.clock(), counting=[counting])

    def state(self, shopper: str) -> EntryState:
        """The state of an entry."""
        entry = self.entries.get(shopper, "A")
        assert entry is not None
        return entry.state


@pytest.fixture
def tables(dynamodb: "DynamoDBClient", clock: Clock) -> Tables:
    return Tables(dynamodb, clock)


@pytest.fixture(
    scope="package", params=["memory", "moto", pytest.param("local_cloud", marks=pytest.mark.local_cloud)]
)
def dynamodb(request: pytest.FixtureRequest) -> "Iterator[DynamoDBClient]":
    """DynamoDB three times: a promise about a table holds on each. Every test makes tables of its own."""
    if request.param == "memory":
        yield cast("DynamoDBClient", MemoryDynamoDb())
    elif request.param == "moto":
        from moto import mock_aws

        with mock_aws():
            yield boto3.client("dynamodb")
    else:
        yield boto3.client("dynamodb", endpoint_url=request.getfixturevalue("local_cloud_url"))
