"""How far a fan-out has come: counters in the sending table.

Those of a limited wave move together with the marks they count; those of a shard right after them, so
that a worker that dies in between leaves them a batch short.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.domain.stock import tag_of
from chalicelib.tables.dynamodb import batch_get, update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT_S = 400 * 24 * 3600
COUNTERS = ("told", "rejected", "unclear", "deferred_now", "given_up", "bounced", "complained", "left_after")
# All shards of a limited wave are walked by one worker, and counted in one row.
ALL_LINES = "all"


@dataclass(frozen=True, slots=True)
class Progress:
    """`told` were handed over; `rejected` of them were refused for good, of `unclear` nobody can say.

    `deferred_now` wait for another try by themselves, `given_up` were tried for the last time: they keep
    their place for the next restock.

    Of those that went out, so many `bounced` for good, `complained`, and `left_after`: left the list
    after their letter. `first_at_ms` and `last_at_ms` are when the first and the last batch were marked.
    """

    told: int = 0
    rejected: int = 0
    unclear: int = 0
    deferred_now: int = 0
    given_up: int = 0
    bounced: int = 0
    complained: int = 0
    left_after: int = 0
    first_at_ms: int | None = None
    last_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WaveUnderWay:
    """The limited wave that was begun last (0: none yet), the letters it has left, and the number of the
    newest one that waits in the queue."""

    number: int = 0
    letters_left: int = 0
    announced: int = 0


class ProgressTable:
    """Rows of the sending table: `told#RESTOCK#LINE` and `received#TAG` (counters), `wave#RESTOCK` (letters
    left)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def count(self, restock_id: str, line: str, *, at_ms: int, **letters: int) -> dict[str, Any]:
        """The write that counts `letters` (told, rejected, unclear, deferred_now, given_up), to go along with
        the marks."""
        added = {name: count for name, count in letters.items() if count}
        update = (
            "SET last_at_ms = :now, first_at_ms = if_not_exists(first_at_ms, :now), expires_at_s = :expires"
        )
        values = {":now": {"N": str(at_ms)}, ":expires": {"N": str(at_ms // 1000 + KEPT_S)}}
        if added:
            update += " ADD " + ", ".join(f"{name} :{name}" for name in added)
            values |= {f":{name}": {"N": str(count)} for name, count in added.items()}
        return self._write(f"told#{restock_id}#{line}", update, values)

    def add(self, restock_id: str, line: str, *, at_ms: int, **letters: int) -> None:
        """Count `letters` by themselves."""
        self._client.update_item(**self.count(restock_id, line, at_ms=at_ms, **letters)["Update"])

    def take_from_wave(self, restock_id: str, letters: int) -> dict[str, Any]:
        """The write that takes `letters` off a limited wave, to go along with the marks."""
        return self._write(f"wave#{restock_id}", "ADD letters_left :taken", {":taken": {"N": str(-letters)}})

    def take(self, restock_id: str, letters: int) -> None:
        """Take `letters` off a limited wave by themselves; a negative number gives them back."""
        self._client.update_item(**self.take_from_wave(restock_id, letters)["Update"])

    def begin_wave(self, restock_id: str, number: int, *, letters: int, at_ms: int) -> None:
        """Begin wave `number` with so many letters; one that has begun already goes on with what it has."""
        update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"wave#{restock_id}"}},
            UpdateExpression="SET wave_number = :number, letters_left = :letters, expires_at_s = :expires",
            ConditionExpression="attribute_not_exists(wave_number) OR wave_number < :number",
            ExpressionAttributeValues={
                ":number": {"N": str(number)},
                ":letters": {"N": str(letters)},
                ":expires": {"N": str(at_ms // 1000 + KEPT_S)},
            },
        )

    def wave(self, restock_id: str) -> WaveUnderWay:
        """Where the limited waves of a restock stand (a strongly consistent read)."""
        item = self._client.get_item(
            TableName=self._name, Key={"id": {"S": f"wave#{restock_id}"}}, ConsistentRead=True
        ).get("Item", {})
        names = ("wave_number", "letters_left", "announced")
        return WaveUnderWay(*(int(item[name]["N"]) if name in item else 0 for name in names))

    def announce(self, restock_id: str, number: int) -> None:
        """Note that wave `number` is queued."""
        update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"wave#{restock_id}"}},
            UpdateExpression="SET announced = :number",
            ConditionExpression="attribute_not_exists(announced) OR announced < :number",
            ExpressionAttributeValues={":number": {"N": str(number)}},
        )

    def first_unclear(self, restock_id: str, line: str, place: str) -> bool:
        """Note that nobody knows what became of the batch that begins at `place`; true for the first time."""
        return update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"told#{restock_id}#{line}"}},
            UpdateExpression="SET unclear_place = :place",
            ConditionExpression="attribute_not_exists(unclear_place) OR unclear_place <> :place",
            ExpressionAttributeValues={":place": {"S": place}},
        )

    def count_left(self, restock_id: str, *, at_ms: int) -> None:
        """Count one who left the list after the letter about a restock."""
        self._client.update_item(**received(self._name, tag_of(restock_id), "left_after", at_ms)["Update"])

    def of(self, restock_id: str, lines: Iterable[str]) -> Progress:
        """The sum of a restock's counters over `lines` and its limited waves."""
        rows = [f"told#{restock_id}#{line}" for line in (*lines, ALL_LINES)]
        keys = [{"id": {"S": row}} for row in (*rows, received_row(tag_of(restock_id)))]
        items = list(
            batch_get(
                self._client, self._name, keys, attributes=["id", *COUNTERS, "first_at_ms", "last_at_ms"]
            )
        )
        sums = {name: sum(int(item.get(name, {"N": "0"})["N"]) for item in items) for name in COUNTERS}
        first = [int(item["first_at_ms"]["N"]) for item in items if "first_at_ms" in item]
        last = [int(item["last_at_ms"]["N"]) for item in items if "last_at_ms" in item]
        return Progress(**sums, first_at_ms=min(first, default=None), last_at_ms=max(last, default=None))

    def _write(self, row: str, update: str, values: dict[str, Any]) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self._name,
                "Key": {"id": {"S": row}},
                "UpdateExpression": update,
                "ExpressionAttributeValues": values,
            }
        }


def received(table: str, tag: str, counter: str, at_ms: int) -> dict[str, Any]:
    """The write that adds one to a counter of how the letters about a restock were received."""
    return {
        "Update": {
            "TableName": table,
            "Key": {"id": {"S": received_row(tag)}},
            "UpdateExpression": f"SET expires_at_s = :expires ADD {counter} :one",
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":expires": {"N": str(at_ms // 1000 + KEPT_S)},
            },
        }
    }


def received_row(tag: str) -> str:
    """The id of that row."""
    return f"received#{tag}"
