"""The demand table, on each DynamoDB that the tests know."""

from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.demand import Demand
from chalicelib.tables.demand import PARTS, DemandTable, home_part, part_name
from tests.support.aws import create_table

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
