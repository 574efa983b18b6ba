"""The cost of a signup in the table: one write unit, and one for the index once it is confirmed."""

from collections.abc import Mapping
from typing import Any

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.entry import OptIn, Signup, shard_of
from chalicelib.http.signup import PAGE_CHARS_MAX
from chalicelib.services.signups import Signups
from chalicelib.tables.entries import EntriesTable
from tests.support.aws import create_table, template
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
UNIT_BYTES = 1024
INDEX_OVERHEAD_BYTES = 100
LONGEST_LOCAL_PART = "l" * 64
# 254 octets, the most an address may have.
LONGEST = f"{LONGEST_LOCAL_PART}@{'.'.join(['d' * 61] * 3)}.com"
SKU = "S" * 40


def bytes_of(item: Mapping[str, Any]) -> int:
    """The size DynamoDB charges: names and values in UTF-8, a number by its digits."""

    def size(value: Mapping[str, str]) -> int:
        kind, content = next(iter(value.items()))
        return len(content.encode()) if kind == "S" else (len(content) + 1) // 2 + 1

    return sum(len(name) + size(value) for name, value in item.items())


@pytest.mark.parametrize("typed", ["ada@example.com", LONGEST])
def test_a_signup_is_one_write_unit_and_one_more_for_the_line(clock: Clock, typed: str) -> None:
    client: Any = MemoryDynamoDb()
    table = create_table(client, "EntriesTable")
    entries = EntriesTable(client, table)
    page = "/" + "p" * (PAGE_CHARS_MAX - 1)
    address = Address.parse(typed)
    Signups(entries, b"identity", clock).sign_up(address, [SKU], page=page, consent="c" * 40)
    (asked,) = client.scan(TableName=table)["Items"]
    assert bytes_of(asked) <= UNIT_BYTES
    # Not in the line before it is confirmed: the index has no part in a flood.
    assert "shard" not in asked
    shopper = address.shopper_id(b"identity")
    assert entries.confirm(shopper, SKU, at_ms=clock())
    (confirmed,) = client.scan(TableName=table)["Items"]
    assert confirmed["shard"]["S"] == shard_of(SKU, shopper)
    assert bytes_of(confirmed) <= UNIT_BYTES
    (index,) = template()["Resources"]["EntriesTable"]["Properties"]["GlobalSecondaryIndexes"]
    projected = {"shopper", "sku", "shard", "shard_position", *index["Projection"]["NonKeyAttributes"]}
    indexed = {name: value for name, value in confirmed.items() if name in projected}
    assert bytes_of(indexed) + INDEX_OVERHEAD_BYTES <= UNIT_BYTES


class KeptSignups(EntriesTable):
    """Keeps what is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Signup, int]] = []

    def sign_up(self, signup: Signup, *, at_ms: int) -> bool:
        self.asked.append((signup, at_ms))
        return True


def test_a_signup_for_several_is_written_in_the_order_of_their_skus_with_all_that_was_said(
    clock: Clock,
) -> None:
    entries, address = KeptSignups(), Address.parse("Ada@Example.com")
    signups = Signups(entries, b"identity", clock)
    at_ms = signups.sign_up(address, ["B", "A"], page="/p", consent="c", opt_in=OptIn.SINGLE, source="net4-a")
    assert at_ms == clock()
    clock.pass_s(1)
    assert signups.sign_up(address, ["C"], page="/p", consent="c") == clock()
    shopper = address.shopper_id(b"identity")
    assert entries.asked == [
        (Signup(shopper, "Ada@example.com", "A", "/p", "c", OptIn.SINGLE, "net4-a"), clock() - 1000),
        (Signup(shopper, "Ada@example.com", "B", "/p", "c", OptIn.SINGLE, "net4-a"), clock() - 1000),
        (Signup(shopper, "Ada@example.com", "C", "/p", "c", OptIn.DOUBLE, None), clock()),
    ]
