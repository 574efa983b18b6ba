"""The entries table: one row per (shopper, variant). What a fan-out reads and writes of it is in `line`.

Partition key `shopper`, sort key `sku`: a million signups for one variant spread over a million
partitions. The index `line` is sparse: only confirmed entries carry its key, so it holds exactly
who still waits, sharded by a hash of the shopper and sorted by place.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import (
    ASK_AGAIN_AFTER_S,
    CONFIRM_WITHIN_S,
    CONFIRMATIONS_PER_DAY_MAX,
    Entry,
    EntryState,
    Signup,
    line_of,
    place_of,
)
from chalicelib.tables.dynamodb import update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Names that DynamoDB keeps for itself.
ALIASES = {"#state": "state", "#line": "line"}
COUNTER_KEPT_S = 2 * 24 * 3600


class EntriesTable:
    """The only module that knows how an entry is stored. Every method is one request."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def ask(self, signup: Signup, *, at_ms: int) -> bool:
        """Store a signup; true when a confirmation letter is due for it.

        One conditional write, no read before it. An entry that is confirmed, or was asked for within
        the cool-down, stays as it is. One that left or was told starts again at the end of the line.
        """
        return self._update(
            signup.shopper,
            signup.sku,
            "SET mailbox = :mailbox, #state = :pending, asked_at_ms = :now, page = :page, consent = :consent,"
            " expires_at_s = :expires, place = if_not_exists(place, :place)",
            "attribute_not_exists(shopper) OR #state IN (:left, :notified)"
            " OR (#state = :pending AND asked_at_ms < :cooled_down)",
            {
                ":mailbox": {"S": signup.mailbox},
                ":now": {"N": str(at_ms)},
                ":page": {"S": signup.page},
                ":consent": {"S": signup.consent},
                ":expires": {"N": str(at_ms // 1000 + CONFIRM_WITHIN_S)},
                ":place": {"S": place_of(at_ms, signup.shopper)},
                ":pending": {"S": EntryState.PENDING},
                ":left": {"S": EntryState.LEFT},
                ":notified": {"S": EntryState.NOTIFIED},
                ":cooled_down": {"N": str(at_ms - ASK_AGAIN_AFTER_S * 1000)},
            },
        )

    def confirm(self, shopper: str, sku: str, *, at_ms: int) -> bool:
        """Put a pending entry into the line; false when there is none, or it has expired."""
        return self._update(
            shopper,
            sku,
            "SET #state = :confirmed, confirmed_at_ms = :now, #line = :line REMOVE expires_at_s",
            "#state = :pending AND expires_at_s > :now_s",
            {
                ":confirmed": {"S": EntryState.CONFIRMED},
                ":pending": {"S": EntryState.PENDING},
                ":now": {"N": str(at_ms)},
                ":now_s": {"N": str(at_ms // 1000)},
                ":line": {"S": line_of(sku, shopper)},
            },
        )

    def leave(self, shopper: str, sku: str, *, at_ms: int) -> bool:
        """Take an entry out of the line for good; false when there is none. Leaving twice is leaving once."""
        return self._update(
            shopper,
            sku,
            "SET #state = :left, left_at_ms = if_not_exists(left_at_ms, :now)"
            " REMOVE #line, place, expires_at_s",
            "attribute_exists(shopper)",
            {":left": {"S": EntryState.LEFT}, ":now": {"N": str(at_ms)}},
        )

    def get(self, shopper: str, sku: str) -> Entry | None:
        """The entry as it is now (a strongly consistent read)."""
        answer = self._client.get_item(
            TableName=self._name, Key={"shopper": {"S": shopper}, "sku": {"S": sku}}, ConsistentRead=True
        )
        item = answer.get("Item")
        return entry_from(item) if item else None

    def count_confirmation(self, shopper: str, *, at_ms: int, letters: int = 1) -> bool:
        """Count one confirmation letter of today; false when the day's are used up.

        The cap is per address over all variants, so that nobody can be mail-bombed through the shop.
        A letter that could not be sent is given back with `letters=-1`.
        """
        today = datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
        return self._update(
            shopper,
            f"#confirmations#{today}",
            "SET expires_at_s = :expires ADD letters :letters",
            "attribute_not_exists(letters) OR letters < :limit",
            {
                ":letters": {"N": str(letters)},
                ":limit": {"N": str(CONFIRMATIONS_PER_DAY_MAX + (letters < 0))},
                ":expires": {"N": str(at_ms // 1000 + COUNTER_KEPT_S)},
            },
        )

    def _update(self, shopper: str, sku: str, update: str, condition: str, values: Mapping[str, Any]) -> bool:
        names = {alias: name for alias, name in ALIASES.items() if alias in update + condition}
        aliases = {"ExpressionAttributeNames": names} if names else {}
        return update_if(
            self._client,
            TableName=self._name,
            Key={"shopper": {"S": shopper}, "sku": {"S": sku}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            **aliases,
        )


def entry_from(item: Mapping[str, Any]) -> Entry:
    """The entry of a stored item, or of a stream record's image."""
    return Entry(
        shopper=item["shopper"]["S"],
        sku=item["sku"]["S"],
        mailbox=item["mailbox"]["S"],
        state=EntryState(item["state"]["S"]),
        asked_at_ms=int(item["asked_at_ms"]["N"]),
        place=item.get("place", {}).get("S"),
        expires_at_s=int(item["expires_at_s"]["N"]) if "expires_at_s" in item else None,
        page=item.get("page", {}).get("S", "/"),
    )
