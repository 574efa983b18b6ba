"""The demand table, on each DynamoDB that the tests know."""

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.demand import Demand, DemandEvent
from chalicelib.domain.entry import DAY_MS, HOUR_MS, OptIn, Signup
from chalicelib.services.recount import Recount
from chalicelib.tables.demand import PARTS, DemandTable, EntriesCount, event_of, home_part, part_name
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.expressions import Attr, Condition
from chalicelib.tables.shards import Notified, ShardsTable
from chalicelib.tables.table import Put, Update
from tests.support.aws import create_table
from tests.support.clock import Clock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def demand(dynamodb: "DynamoDBClient") -> DemandTable:
    return DemandTable(dynamodb, create_table(dynamodb, "DemandTable"))


def test_a_table_without_counters_has_no_demand(demand: DemandTable) -> None:
    assert demand.all() == {}
    assert demand.of(["A"]) == {"A": Demand("A")}


def test_a_skus_demand_is_the_sum_of_its_parts(demand: DemandTable) -> None:
    for number in range(PARTS):
        demand.table.put({"part": part_name(number), "sku": "A", "waiting": 1, "h10": 2, "w3": number})
    demand.table.put({"part": home_part("B"), "sku": "B", "pending": 7})
    demand.table.put({"part": "counted#e1", "sku": "A", "expires_at_s": 1})
    a, b = Demand("A", PARTS, 0, {10: 2 * PARTS}, {3: sum(range(PARTS))}), Demand("B", 0, 7)
    assert demand.all() == {"A": a, "B": b}
    # More keys than one call takes.
    nobody = {f"{number}": Demand(f"{number}") for number in range(7)}
    assert demand.of(["A", *nobody, "B", "A"]) == {"A": a, **nobody, "B": b}


def event(number: int, sku: str = "A", **change: int) -> DemandEvent:
    return DemandEvent(f"e{number}", sku, change or {"waiting": 1, "h7": 1}, 1_790_000_000_000)


def test_each_event_is_counted_once_however_batches_are_cut(demand: DemandTable) -> None:
    first = [event(number) for number in range(12)]
    assert demand.count(first) == 12
    assert demand.count([*first[6:], event(12), event(13, "a b", pending=1)]) == 2
    assert demand.count(first[:3]) == 0
    assert demand.count([event(14, waiting=-1), event(15, waiting=1)]) == 2
    assert demand.all() == {"A": Demand("A", 13, 0, {7: 13}), "a b": Demand("a b", 0, 1)}


def test_the_largest_batch_of_different_skus_fits(demand: DemandTable) -> None:
    assert demand.count([event(number, f"sku {number}") for number in range(50)]) == 50
    assert len(demand.all()) == 50


def test_a_cancelled_transaction_names_each_item_in_order_and_writes_nothing(demand: DemandTable) -> None:
    table = demand.table
    demand.count([event(1)])
    puts = [Put(table, {"part": f"counted#e{number}", "sku": "A"}, _is_new()) for number in (0, 1, 2)]
    counting = Update(table, {"part": home_part("A"), "sku": "A"}, add={"waiting": 3})
    assert table.transact([*puts, counting]) == ("None", "ConditionalCheckFailed", "None", "None")
    assert demand.all()["A"].waiting == 1
    assert table.get({"part": "counted#e0", "sku": "A"}) is None


def _is_new() -> Condition:
    return Attr("part").not_exists()


def test_the_token_of_a_transaction_makes_it_take_effect_once(
    dynamodb: "DynamoDBClient", demand: DemandTable
) -> None:
    if is_moto(dynamodb):
        pytest.skip("moto does not know the tokens of transactions")
    counting = [Update(demand.table, {"part": home_part("A"), "sku": "A"}, add={"waiting": 3})]
    for _ in range(2):
        assert demand.table.transact(counting, token="t1") == ()
    assert demand.all()["A"].waiting == 3
    other = [Update(demand.table, {"part": home_part("A"), "sku": "A"}, add={"waiting": 4})]
    with pytest.raises(ClientError) as refused:
        demand.table.transact(other, token="t1")
    assert refused.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"
    demand.table.transact(other, token="t2")
    assert demand.all()["A"].waiting == 7


def is_moto(dynamodb: "DynamoDBClient") -> bool:
    """Return whether the client's answers are moto's: it has AWS's own endpoint."""
    return "amazonaws.com" in getattr(getattr(dynamodb, "meta", None), "endpoint_url", "")


def test_a_transaction_that_was_cancelled_can_be_made_with_the_same_token(demand: DemandTable) -> None:
    counting = Update(demand.table, {"part": home_part("A"), "sku": "A"}, add={"waiting": 1})
    marker = {"part": "counted#e1", "sku": "A"}
    demand.table.put(marker)
    writes = [Put(demand.table, marker, _is_new()), counting]
    assert demand.table.transact(writes, token="again") == ("ConditionalCheckFailed", "None")
    demand.table.delete(marker)
    assert demand.table.transact(writes, token="again") == ()
    assert demand.all()["A"].waiting == 1


def test_entries_are_counted_and_what_is_missing_is_added(
    dynamodb: "DynamoDBClient", demand: DemandTable, clock: Clock
) -> None:
    name = create_table(dynamodb, "EntriesTable")
    entries = EntriesTable(dynamodb, name)
    for shopper, sku, opt_in in (
        ("ada", "A", OptIn.SINGLE),
        ("bob", "A", OptIn.DOUBLE),
        ("bob", "a b", OptIn.SINGLE),
    ):
        signup = Signup(shopper, f"{shopper}@example.com", sku, "/", "c", opt_in=opt_in)
        entries.sign_up(signup, at_ms=clock())
    entries.count_requested_email("ada", at_ms=clock())
    entries.unsubscribe("bob", "a b", at_ms=clock())
    hour, day = clock() // HOUR_MS, clock() // DAY_MS
    counted, number = EntriesCount(dynamodb, name).counters()
    assert number == 3
    assert counted == {
        "A": {"waiting": 1, "pending": 1, f"w{day}": 1, f"h{hour}": 2},
        "a b": {f"h{hour}": 1},
    }
    recount = Recount(EntriesCount(dynamodb, name), demand, clock, clock.pass_s)
    recount.repair(recount.run())
    assert recount.run().drifts == ()
    assert demand.all()["A"] == Demand("A", 1, 1, {hour: 2}, {day: 1})


def test_tidying_keeps_each_sum(demand: DemandTable, clock: Clock) -> None:
    hour = clock() // HOUR_MS
    for number in range(4):
        demand.table.put(
            {
                "part": part_name(number),
                "sku": "A",
                "waiting": 2,
                f"h{hour}": 1,
                "h3": 9,
                "w4": 5 - 2 * number,
            }
        )
    before = demand.all()["A"]
    assert (before.waiting, before.signups_by_hour, before.waiting_by_day) == (8, {hour: 4, 3: 36}, {4: 8})
    for _ in range(2):
        demand.tidy(at_ms=clock())
    assert demand.all()["A"] == Demand("A", 8, 0, {hour: 4}, {4: 8})
    assert {row["part"] for row in demand.rows() if row.get("waiting")} == {home_part("A")}


def test_people_who_waited_since_each_day_of_a_year_are_repaired_moved_and_dropped(
    demand: DemandTable, clock: Clock
) -> None:
    today = clock() // DAY_MS
    days = dict.fromkeys(range(today - 365, today), 1)
    demand.add("A", {"waiting": 365, **{f"w{day}": 1 for day in days}})
    assert demand.all() == {"A": Demand("A", 365, waiting_by_day=days)}
    # A flood of emails is counted in other parts.
    other = next(part_name(number) for number in range(PARTS) if part_name(number) != home_part("A"))
    demand.table.put({"part": other, "sku": "A", "waiting": -365, **{f"w{day}": -1 for day in days}})
    for _ in range(2):
        demand.tidy(at_ms=clock())
    assert list(demand.rows()) == [
        {"part": part, "sku": "A", "waiting": 0} for part in sorted([other, home_part("A")])
    ]


@pytest.mark.local_cloud
def test_the_local_clouds_stream_has_a_record_of_a_statement(local_cloud_url: str) -> None:
    """Entries are marked as notified by statements of PartiQL, which the emulator alone leaves out."""
    client = boto3.client("dynamodb", endpoint_url=local_cloud_url)
    name = create_table(client, "EntriesTable")
    stream = client.update_table(
        TableName=name,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]
    entries = EntriesTable(client, name)
    entries.sign_up(Signup("ada", "ada@example.com", "A", "/", "c", opt_in=OptIn.SINGLE), at_ms=7)
    shards = ShardsTable(client, name, create_table(client, "SuppressionsTable"))
    (entry,) = shards.first_waiting("A", limit=1)
    for _ in range(2):
        shards.mark_each([Notified(entry, "accepted", "m")], restock_id="r", at_ms=9)
    records = records_of(stream, local_cloud_url)
    states = [record["dynamodb"]["NewImage"]["state"]["S"] for record in records]
    # The second mark's condition fails, and changes nothing.
    assert states == ["confirmed", "notified"]
    assert records[1]["dynamodb"]["OldImage"]["state"]["S"] == "confirmed"
    (counted,) = [event for event in [event_of(records[1], at_ms=0)] if event]
    assert counted.change == {"waiting": -1, "w0": -1}


def records_of(stream: str, url: str) -> Any:
    streams: Any = boto3.client("dynamodbstreams", endpoint_url=url)
    (shard,) = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = streams.get_records(ShardIterator=iterator)["Records"]
    for record in records:
        record["dynamodb"].pop("ApproximateCreationDateTime")
    return records
