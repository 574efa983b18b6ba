"""The sending table: small rows that coordinate sending, each kind under a prefix of the key `id`.

Here are the prefixes, the rows that make something happen once (leases of shards, applied webhooks, sent
alerts), the bounds of the autopilot, and the access log. Modules of their own have the rate limit (`rate`),
the waves (`waves`) and the outcomes of emails (`deliverability`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.autopilot import RuleBounds
from chalicelib.tables.expressions import Attr
from chalicelib.tables.table import Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class SendingRowKind(StrEnum):
    """Key prefixes of the sending table, one for each kind of row."""

    RATE = "sending-rate"
    """The one row of the rate limit, see `rate`."""
    ALERT_STATE = "alert-state"
    """The one row of alerts that were sent, see `AlertStateTable`."""
    AUTOPILOT_BOUNDS = "autopilot-bounds"
    """The one row of the bounds that a rule set, see `RuleBoundsTable`."""
    LEASE = "lease#"
    """`lease#SHARD`, see `LeasesTable`."""
    WEBHOOK = "webhook#"
    """`webhook#DIGEST`, see `WebhooksTable`."""
    POLICY = "policy#"
    """`policy#` (the shop's wave policy) and `policy#SLUG`, see `waves`."""
    WAVE = "wave#"
    """`wave#SKU`, the budget of a SKU's limited waves, see `waves`."""
    NOTIFIED = "notified#"
    """`notified#RESTOCK#SHARD`, counters of a fan-out, see `waves`."""
    RECEIVED = "received#"
    """`received#TAG`, counters of how a restock's emails were received, see `waves`."""
    HEALTH = "health#"
    """`health#DAY`, bounces and complaints of a day, and `health#from`, see `deliverability`."""
    FEEDBACK = "feedback#"
    """`feedback#MESSAGE#STATE`, an event that was counted, see `deliverability`."""
    ACCESS = "access#"
    """`access#TIME#ID`, an access to people's data, see `AccessLogTable`."""

    def key(self, suffix: str = "") -> dict[str, str]:
        """Return the key of one row."""
        return {"id": f"{self}{suffix}"}


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
            return self.table.update_if(SendingRowKind.LEASE.key(shards[0]), is_free, lease)
        return not self.table.transact(
            [
                Update(self.table, SendingRowKind.LEASE.key(shard), lease, condition=is_free)
                for shard in shards
            ]
        )

    def release(self, shards: Sequence[str], *, holder: str) -> None:
        """Give back `shards`; a lease that another worker holds by now stays."""
        for shard in shards:
            self.table.update_if(
                SendingRowKind.LEASE.key(shard),
                Attr("holder").eq(holder),
                remove=("holder", "lease_until_ms"),
            )


class WebhooksTable:
    """Rows `webhook#DIGEST`: signed webhooks that were applied."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def is_known(self, digest: str) -> bool:
        """Return whether the request of this digest was applied (a strongly consistent read)."""
        return self.table.get(SendingRowKind.WEBHOOK.key(digest)) is not None

    def first_time(self, digest: str, *, at_ms: int) -> bool:
        """Store that the request of this digest was applied; false when that was stored before."""
        expiry = {"expires_at_s": at_ms // 1000 + WEBHOOK_KEPT_S}
        return self.table.update_if(SendingRowKind.WEBHOOK.key(digest), Attr("id").not_exists(), expiry)


class AlertStateTable:
    """The row `alert-state`: the number of dead letters that the last alert named."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def dead_letters(self) -> int:
        """Return the number of dead letters that the last alert named; 0 before the first."""
        item = self.table.get(SendingRowKind.ALERT_STATE.key())
        return int(item["dead_letters"]) if item else 0

    def alerted(self, dead_letters: int) -> None:
        """Store the number of dead letters that an alert named, or that are left."""
        self.table.put({**SendingRowKind.ALERT_STATE.key(), "dead_letters": dead_letters})


class RuleBoundsTable:
    """The row `autopilot-bounds`: the bounds that a merchant's rule set for the autopilot."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def get(self) -> RuleBounds:
        """Return the bounds (a strongly consistent read); none of them is set before the first."""
        item = self.table.get(SendingRowKind.AUTOPILOT_BOUNDS.key()) or {}
        return RuleBounds(item.get("entries_write_units_max"), item.get("api_concurrency_max"))

    def put(self, bounds: RuleBounds, *, rule: str, at_ms: int) -> bool:
        """Set the bounds as of an event's time; false where a later event set them."""
        is_newer = Attr("at_ms").not_exists() | Attr("at_ms").lte(at_ms)
        given = {name: value for name, value in asdict(bounds).items() if value is not None}
        row = {**SendingRowKind.AUTOPILOT_BOUNDS.key(), **given, "rule": rule, "at_ms": at_ms}
        return self.table.put_if(row, is_newer)

    def clear(self) -> None:
        """Delete the bounds: those of the operator hold."""
        self.table.delete(SendingRowKind.AUTOPILOT_BOUNDS.key())


ACCESS_KEPT_S = 400 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """One look at people's data, or a change of it.

    `operator` is the caller that AWS knows, or a merchant by id. `subject` is a shopper's id, or a digest of
    the file or the SKUs it was about.
    """

    at_ms: int
    operator: str
    command: str
    subject: str


class AccessLogTable:
    """Rows `access#TIME#ID`: each access to people's data. No address stands in one.

    A row is written before anything is shown or changed: an access that cannot be logged does not take place.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def note(self, access: Access, *, access_id: str) -> None:
        """Store an access that is about to take place."""
        self.table.put(
            {
                **SendingRowKind.ACCESS.key(f"{access.at_ms:013d}#{access_id}"),
                **asdict(access),
                "expires_at_s": access.at_ms // 1000 + ACCESS_KEPT_S,
            }
        )

    def all(self) -> list[Access]:
        """Return every access that is kept, the oldest first. Reads the whole table."""
        rows = self.table.scan(Attr("id").begins_with(SendingRowKind.ACCESS))
        found = (Access(row["at_ms"], row["operator"], row["command"], row["subject"]) for row in rows)
        return sorted(found, key=lambda access: access.at_ms)
