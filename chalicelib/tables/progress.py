"""How far a fan-out has come: counters in the sending table.

Those of a limited wave move together with the marks they count; those of a shard right after them, so
that a worker that dies in between leaves them a batch short.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.domain.stock import tag_of
from chalicelib.domain.wave import WaveBudget
from chalicelib.tables.dynamodb import batch_get, update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT_S = 400 * 24 * 3600
COUNTERS = (
    "notified",
    "rejected",
    "unclear",
    "deferred_now",
    "given_up",
    "bounced",
    "complained",
    "unsubscribed_after",
)
# All shards of a limited wave are walked by one worker, and counted in one row.
ALL_SHARDS = "all"


@dataclass(frozen=True, slots=True)
class Progress:
    """`notified` were handed over; `rejected` of them were refused for good, of `unclear` nobody can say.

    `deferred_now` wait for another try by themselves, `given_up` were tried for the last time: they keep
    their position for the next restock.

    Of those that went out, so many `bounced` for good, `complained`, and `unsubscribed_after`: left the list
    after their email. `first_at_ms` and `last_at_ms` are when the first and the last batch were marked.
    """

    notified: int = 0
    rejected: int = 0
    unclear: int = 0
    deferred_now: int = 0
    given_up: int = 0
    bounced: int = 0
    complained: int = 0
    unsubscribed_after: int = 0
    first_at_ms: int | None = None
    last_at_ms: int | None = None


class ProgressTable:
    """Rows of the sending table: `notified#RESTOCK#SHARD` and `received#TAG` (counters), and `wave#SKU` (the
    budget of a variant's limited waves)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def count(self, restock_id: str, shard: str, *, at_ms: int, **emails: int) -> dict[str, Any]:
        """Return the write that counts `emails` (notified, rejected, unclear, deferred_now, given_up), for
        the transaction of the marks."""
        added = {name: count for name, count in emails.items() if count}
        update = (
            "SET last_at_ms = :now, first_at_ms = if_not_exists(first_at_ms, :now), expires_at_s = :expires"
        )
        values = {":now": {"N": str(at_ms)}, ":expires": {"N": str(at_ms // 1000 + KEPT_S)}}
        if added:
            update += " ADD " + ", ".join(f"{name} :{name}" for name in added)
            values |= {f":{name}": {"N": str(count)} for name, count in added.items()}
        return self._write(f"notified#{restock_id}#{shard}", update, values)

    def add(self, restock_id: str, shard: str, *, at_ms: int, **emails: int) -> None:
        """Count `emails` by themselves."""
        self._client.update_item(**self.count(restock_id, shard, at_ms=at_ms, **emails)["Update"])

    def take_from_wave(self, sku: str, emails: int, *, at_ms: int) -> dict[str, Any]:
        """The write that takes `emails` off a variant's limited wave, to go along with the marks."""
        update = "SET last_email_at_ms = :now ADD emails_left :taken"
        values = {":now": {"N": str(at_ms)}, ":taken": {"N": str(-emails)}}
        return self._write(f"wave#{sku}", update, values)

    def give_back(self, sku: str, emails: int, *, number: int) -> bool:
        """Give `emails` that were taken off wave `number` back to it; false when another has begun since."""
        return update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"wave#{sku}"}},
            UpdateExpression="ADD emails_left :given",
            ConditionExpression="wave_number = :number",
            ExpressionAttributeValues={":given": {"N": str(emails)}, ":number": {"N": str(number)}},
        )

    def put_wave(self, sku: str, wave: WaveBudget, *, known: WaveBudget, at_ms: int) -> bool:
        """Begin a wave, or change its emails; false when it is not as `known` any more."""
        condition, values = "attribute_not_exists(wave_number)", {}
        if known.number:
            condition = "wave_number = :known AND emails_granted = :had AND emails_left = :left_then"
            values = {
                ":known": {"N": str(known.number)},
                ":had": {"N": str(known.granted)},
                ":left_then": {"N": str(known.left)},
            }
        return update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"wave#{sku}"}},
            UpdateExpression="SET wave_number = :number, emails_granted = :granted, emails_left = :left,"
            " last_email_at_ms = :last, expires_at_s = :expires",
            ConditionExpression=condition,
            ExpressionAttributeValues={
                ":number": {"N": str(wave.number)},
                ":granted": {"N": str(wave.granted)},
                ":left": {"N": str(wave.left)},
                ":last": {"N": str(wave.last_email_at_ms)},
                ":expires": {"N": str(at_ms // 1000 + KEPT_S)},
                **values,
            },
        )

    def wave(self, sku: str) -> WaveBudget:
        """Where the limited waves of a variant stand (a strongly consistent read)."""
        item = self._client.get_item(
            TableName=self._name, Key={"id": {"S": f"wave#{sku}"}}, ConsistentRead=True
        ).get("Item", {})
        return WaveBudget(
            number=_number(item, "wave_number"),
            granted=_number(item, "emails_granted"),
            left=_number(item, "emails_left"),
            last_email_at_ms=_number(item, "last_email_at_ms"),
            announced=_number(item, "announced"),
            announced_for=item["announced_for"]["S"] if "announced_for" in item else "",
        )

    def announce(self, sku: str, restock_id: str, number: int) -> None:
        """Note that wave `number` is queued, for this restock."""
        update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"wave#{sku}"}},
            UpdateExpression="SET announced = :number, announced_for = :restock",
            ConditionExpression="attribute_not_exists(announced) OR announced < :number"
            " OR announced_for <> :restock",
            ExpressionAttributeValues={":number": {"N": str(number)}, ":restock": {"S": restock_id}},
        )

    def first_unclear(self, restock_id: str, shard: str, position: str) -> bool:
        """Store that the outcome of the batch that begins at `position` is unclear; true for the first
        time."""
        return update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"notified#{restock_id}#{shard}"}},
            UpdateExpression="SET unclear_position = :position",
            ConditionExpression="attribute_not_exists(unclear_position) OR unclear_position <> :position",
            ExpressionAttributeValues={":position": {"S": position}},
        )

    def count_unsubscribed(self, restock_id: str, *, at_ms: int) -> None:
        """Count one who left the list after the email about a restock."""
        self._client.update_item(
            **received(self._name, tag_of(restock_id), "unsubscribed_after", at_ms)["Update"]
        )

    def of(self, restock_id: str, shards: Iterable[str]) -> Progress:
        """The sum of a restock's counters over `shards` and its limited waves."""
        rows = [f"notified#{restock_id}#{shard}" for shard in (*shards, ALL_SHARDS)]
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


def _number(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


def received(table: str, tag: str, counter: str, at_ms: int) -> dict[str, Any]:
    """The write that adds one to a counter of how the emails about a restock were received."""
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
