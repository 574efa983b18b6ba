"""A million signups for one SKU in an hour: the write units of each partition, measured item by item."""

from collections import Counter
from collections.abc import Mapping
from math import ceil
from random import Random
from typing import Any

import pytest

from chalicelib.domain.demand import HOURS_KEPT, DemandEvent
from chalicelib.tables.demand import EVENTS_MAX, FLOOD_EVENTS_MIN, PARTS, DemandTable, home_part, part_name
from spillway.preflight.campaign import Campaign, Shape, rates_per_s
from spillway.preflight.limits import FloodLimits
from tests.support.aws import create_table
from tests.support.dynamodb import MemoryDynamoDb

SKU = "A"
HOUR = 500_000
DAY = 20_800
# Signed up, and confirmed: with a confirmation in the same second, a signup's two records fall together.
CHANGES = ({"pending": 1, f"h{HOUR}": 1}, {"pending": -1, "waiting": 1, f"w{DAY}": 1})
A_MILLION = Campaign(1_000_000, 3600, signup_rate=1.0)
UNITS_PER_PARTITION = FloodLimits().partition_write_units_per_s.value


class Metered:
    """Passes transactions on, and adds up what each partition is charged for.

    Two write units for each begun kilobyte of an item in a transaction, before or after it, by the larger:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """

    def __init__(self, memory: MemoryDynamoDb) -> None:
        self._memory = memory
        self.calls = 0
        self.units: Counter[str] = Counter()

    def __getattr__(self, method: str) -> Any:
        return getattr(self._memory, method)

    def transact_write_items(self, **request: Any) -> Any:
        answer = self._memory.transact_write_items(**request)
        self.calls += 1
        for item in request["TransactItems"]:
            ((kind, write),) = item.items()
            key = write["Item"] if kind == "Put" else write["Key"]
            place = (key["part"]["S"], key["sku"]["S"])
            self.units[place[0]] += 2 * ceil(size_of(self._memory.items(write["TableName"])[place]) / 1024)
        return answer


def size_of(item: Mapping[str, Any]) -> int:
    """Return an item's size by DynamoDB's rule: texts in UTF-8, a byte for two digits and one more.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    values = ((name, *value.items()) for name, value in item.items())
    return sum(
        len(name.encode()) + (len(text.encode()) if kind == "S" else ceil(len(text) / 2) + 1)
        for name, (kind, text) in values
    )


class Counting:
    """A table whose rows have all that a busy SKU has: every hour that is kept, and a month of days."""

    def __init__(self) -> None:
        memory = MemoryDynamoDb(checked=False)
        client: Any = Metered(memory)
        self.metered = client
        self.demand = DemandTable(client, create_table(memory, "DemandTable"))
        counters = {f"h{HOUR - age}": 100_000 for age in range(HOURS_KEPT + 24)}
        counters |= {f"w{DAY - age}": 100_000 for age in range(30)} | {"waiting": 1_000_000}
        for number in range(PARTS):
            self.demand.table.put({"part": part_name(number), "sku": SKU, "pending": 10**6, **counters})

    def second(self, signups: int, batch: int) -> Counter[str]:
        """Count the records of a second's signups in batches, and return the units of each partition."""
        # A record's id is 32 hexadecimal digits.
        ids = Random(signups)
        events = [
            DemandEvent(f"{ids.getrandbits(128):032x}", SKU, change, HOUR * 3_600_000)
            for _ in range(signups)
            for change in CHANGES
        ]
        for start in range(0, len(events), batch):
            self.demand.count(events[start : start + batch])
        units: Counter[str] = self.metered.units
        return units


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_no_part_meets_its_limit_in_the_busiest_second_of_a_million_signups(counting: Counting) -> None:
    signups = ceil(max(rates_per_s(A_MILLION, Shape.SPIKE)))
    assert signups > 1_300
    units = counting.second(signups, EVENTS_MAX)
    assert counting.metered.calls == ceil(2 * signups / EVENTS_MAX)
    parts = {name: number for name, number in units.items() if name.startswith("demand#")}
    assert len(parts) == PARTS
    assert max(parts.values()) <= UNITS_PER_PARTITION / 10
    # A marker has a partition of its own.
    assert max(number for name, number in units.items() if name not in parts) == 2


def test_the_smallest_batches_of_a_flood_leave_room_too(counting: Counting) -> None:
    """Many shards of the stream have few records each: as few as just count as a flood."""
    units = counting.second(1_400, FLOOD_EVENTS_MIN)
    assert max(number for name, number in units.items() if name.startswith("demand#")) < (
        UNITS_PER_PARTITION / 2
    )


def test_fewer_records_than_a_flood_come_at_most_once_a_second_from_each_shard(counting: Counting) -> None:
    """A batch that is not full waits for its window: the own part takes hundreds of shards' of them."""
    units = counting.second((FLOOD_EVENTS_MIN - 1) // 2, FLOOD_EVENTS_MIN - 1)
    per_batch = units[home_part(SKU)]
    assert per_batch <= 4
    shards_max = UNITS_PER_PARTITION / per_batch
    # A shard of the stream is a partition of the entries, which takes 1,000 writes a second itself.
    assert shards_max >= 250


def test_a_batch_costs_two_units_for_each_record_and_two_for_its_counters() -> None:
    """The figures that the bill is made from."""
    counting = Counting()
    for number in range(PARTS):
        counting.demand.table.put({"part": part_name(number), "sku": SKU, "waiting": 5})
    units = counting.second(EVENTS_MAX // 2, EVENTS_MAX)
    assert sum(units.values()) == 2 * EVENTS_MAX + 2
    assert counting.metered.calls == 1


def test_the_size_of_an_item_is_dynamodbs() -> None:
    assert size_of({"part": {"S": "demand#01"}, "sku": {"S": "ä"}}) == 4 + 9 + 3 + 2
    assert size_of({"waiting": {"N": "123"}, "h1": {"N": "7"}}) == 7 + 3 + 2 + 2
