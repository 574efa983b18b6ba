"""Rows that make something happen once: leases of shards, applied webhooks, sent alerts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chalicelib.tables.expressions import Attr
from chalicelib.tables.sending import Row
from chalicelib.tables.table import Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Far longer than a signature is valid.
WEBHOOK_KEPT_S = 3600


class LeasesTable:
    """Rows `lease#SHARD`: the worker that walks a shard.

    A lease ends by itself, and it outlasts the longest life of a function: the holder of an ended lease is
    surely dead.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def take(self, shards: Sequence[str], *, holder: str, at_ms: int, lease_ms: int) -> bool:
        """Take all of `shards` (at most 100), or none of them: false when another worker holds one."""
        is_free = Attr("holder").not_exists() | Attr("lease_until_ms").lt(at_ms)
        lease = {"holder": holder, "lease_until_ms": at_ms + lease_ms}
        if len(shards) == 1:
            return self.table.update_if(Row.LEASE.key(shards[0]), is_free, lease)
        return not self.table.transact(
            [Update(self.table, Row.LEASE.key(shard), lease, condition=is_free) for shard in shards]
        )

    def release(self, shards: Sequence[str], *, holder: str) -> None:
        """Give back `shards`; a lease that another worker holds by now stays."""
        for shard in shards:
            self.table.update_if(
                Row.LEASE.key(shard), Attr("holder").eq(holder), remove=("holder", "lease_until_ms")
            )


class WebhooksTable:
    """Rows `webhook#DIGEST`: signed webhooks that were applied."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def is_known(self, digest: str) -> bool:
        """Return whether the request of this digest was applied (a strongly consistent read)."""
        return self.table.get(Row.WEBHOOK.key(digest)) is not None

    def first_time(self, digest: str, *, at_ms: int) -> bool:
        """Store that the request of this digest was applied; false when that was stored before."""
        expiry = {"expires_at_s": at_ms // 1000 + WEBHOOK_KEPT_S}
        return self.table.update_if(Row.WEBHOOK.key(digest), Attr("id").not_exists(), expiry)


class AlertStateTable:
    """The row `alert-state`: the number of dead letters that the last alert named."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def dead_letters(self) -> int:
        """Return the number of dead letters that the last alert named; 0 before the first."""
        item = self.table.get(Row.ALERT_STATE.key())
        return int(item["dead_letters"]) if item else 0

    def alerted(self, dead_letters: int) -> None:
        """Store the number of dead letters that an alert named, or that are left."""
        self.table.put({**Row.ALERT_STATE.key(), "dead_letters": dead_letters})
