"""The merchant table: rows of the merchant's page, by kind (`kind`) and key (`key`).

Here are the kinds, and the rows of merchants, of their sessions and of the audit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.entry import HOUR_MS
from chalicelib.domain.merchant import Merchant, MerchantId, Role
from chalicelib.tables.expressions import Attr, Item
from chalicelib.tables.table import ReadByKey, Table, Update, batch_get

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class MerchantRowKind(StrEnum):
    """The partition keys of the merchant table, one for each kind of row."""

    MERCHANT = "merchant"
    """`merchant` / ID: a merchant that a command added or removed. Commands alone write it."""
    SETTING = "setting"
    """`setting` / `epoch`: a number; sessions and links of a lower one are over."""
    SESSION = "session"
    """`session` / ID: a merchant who is signed in, in one browser."""
    USED_LINK = "used-link"
    """`used-link` / ID: a sign-in link that was used."""
    REQUESTED = "requested"
    """`requested` / HOUR#ID: the sign-in emails of an hour, by merchant and by network."""
    AUDIT = "audit"
    """`audit` / TIME#ID: an action of a merchant, written before it acts."""
    ACTION = "action"
    """`action` / MERCHANT#KEY: the answer of an action, by the key of its dialog, see `merchant_actions`."""
    RETRY = "retry"
    """`retry` / QUEUE: the last retry of a queue's failed jobs, see `merchant_actions`."""
    OVERVIEW = "overview"
    """The overview that the page shows."""
    RESTOCK = "restock"
    """`restock` / TIME#TAG: a restock that was opened; see `chalicelib.tables.reports`."""
    CLICK = "click"
    """Clicks on the links of emails."""
    ORDER = "order"
    """Orders that the shop reports."""

    def key(self, suffix: str) -> dict[str, str]:
        """Return the key of one row."""
        return {"kind": self.value, "key": suffix}


EPOCH = "epoch"
IS_NEW = Attr("key").not_exists()


@dataclass(frozen=True, slots=True)
class MerchantRow:
    """A merchant that a command added, or removed: then the role is None, whatever the stack says."""

    id: MerchantId
    email: str
    role: Role | None
    changed_at_ms: int

    @property
    def merchant(self) -> Merchant | None:
        """The merchant; None when removed."""
        return Merchant(self.id, self.email, self.role) if self.role else None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session: its merchant, the epoch that it began in, and a digest of the browser that it is in."""

    id: str
    merchant: MerchantId
    epoch: int
    browser: str


@dataclass(frozen=True, slots=True)
class SessionRows:
    """The rows that decide on a session or a link; None for each that is not there."""

    merchant: MerchantRow | None
    session: SessionRow | None
    epoch: int
    link_used: bool = False


class MerchantTable:
    """Rows of merchants, of their sessions and of their sign-in links."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def get(self, merchant: MerchantId) -> MerchantRow | None:
        """Return the row of a merchant (a strongly consistent read)."""
        item = self.table.get(MerchantRowKind.MERCHANT.key(merchant))
        return _merchant_row(item) if item else None

    def all(self) -> Iterator[MerchantRow]:
        """Yield the row of each merchant, removed ones too."""
        return map(_merchant_row, self.table.query_all(Attr("kind").eq(MerchantRowKind.MERCHANT)))

    def put(self, row: MerchantRow) -> None:
        """Write the row of a merchant."""
        role = {"role": row.role.value} if row.role else {}
        facts = {"email": row.email, "changed_at_ms": row.changed_at_ms, **role}
        self.table.put({**MerchantRowKind.MERCHANT.key(row.id), **facts})

    def standing(
        self, merchant: MerchantId, *, session_id: str | None = None, link_id: str | None = None
    ) -> SessionRows:
        """Return what decides on a session or a link, by one call (strongly consistent reads)."""
        keys = [MerchantRowKind.MERCHANT.key(merchant), MerchantRowKind.SETTING.key(EPOCH)]
        keys += [MerchantRowKind.SESSION.key(session_id)] if session_id else []
        keys += [MerchantRowKind.USED_LINK.key(link_id)] if link_id else []
        attributes = ("kind", "key", "email", "role", "changed_at_ms", "merchant", "epoch", "browser")
        (items,) = batch_get(ReadByKey(self.table, keys, attributes))
        found = {item["kind"]: item for item in items}
        known, session = found.get(MerchantRowKind.MERCHANT), found.get(MerchantRowKind.SESSION)
        return SessionRows(
            _merchant_row(known) if known else None,
            _session_row(session) if session else None,
            _epoch_of(found.get(MerchantRowKind.SETTING)),
            MerchantRowKind.USED_LINK in found,
        )

    def count_requested(
        self, requester: str, *, at_ms: int, limit: int, expires_at_s: int, emails: int = 1
    ) -> bool:
        """Count a sign-in email for a merchant or a network; false when the hour's `limit` is reached.

        `emails=-1` gives back one that could not be sent.
        """
        counted = Attr("emails")
        return self.table.update_if(
            MerchantRowKind.REQUESTED.key(f"{at_ms // HOUR_MS}#{requester}"),
            counted.not_exists() | counted.lt(limit + 1 if emails < 0 else limit),
            {"expires_at_s": expires_at_s},
            add={"emails": emails},
        )

    def open_session(self, row: SessionRow, *, expires_at_s: int) -> None:
        """Write the row of a session."""
        facts = {"merchant": row.merchant, "epoch": row.epoch, "browser": row.browser}
        self.table.put({**MerchantRowKind.SESSION.key(row.id), **facts, "expires_at_s": expires_at_s})

    def end_session(self, session_id: str) -> None:
        """Delete the row of a session, if there is one."""
        self.table.delete(MerchantRowKind.SESSION.key(session_id))

    def epoch(self) -> int:
        """Return the epoch of now, 0 at first (a strongly consistent read)."""
        return _epoch_of(self.table.get(MerchantRowKind.SETTING.key(EPOCH)))

    def end_all(self) -> None:
        """End every session and link by a new epoch. It is a number: the clocks of two machines differ."""
        self.table.make(Update(self.table, MerchantRowKind.SETTING.key(EPOCH), add={"epoch": 1}))

    def use_link(self, link_id: str, *, expires_at_s: int) -> bool:
        """Store that a sign-in link was used; false when that was stored before."""
        return self.table.put_if(
            {**MerchantRowKind.USED_LINK.key(link_id), "expires_at_s": expires_at_s}, IS_NEW
        )


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An action of a merchant: who, what, on what, the value before and after, and when.

    `before` and `after` are None where there is no value. No row has the address of a shopper.
    """

    id: str
    at_ms: int
    merchant: MerchantId
    email: str
    action: str
    target: str
    before: str | None = None
    after: str | None = None


# More than a year, for a shop that looks back at the same season.
AUDIT_KEPT_S = 400 * 24 * 3600


class AuditTable:
    """Rows `audit` / TIME#ID, which nothing changes."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def add(self, row: AuditRow) -> bool:
        """Write an action; false when a row has its key already."""
        facts = {
            "at_ms": row.at_ms,
            "merchant": row.merchant,
            "email": row.email,
            "action": row.action,
            "target": row.target,
            "before": row.before,
            "after": row.after,
            "expires_at_s": row.at_ms // 1000 + AUDIT_KEPT_S,
        }
        known = {name: value for name, value in facts.items() if value is not None}
        return self.table.put_if({**MerchantRowKind.AUDIT.key(f"{row.at_ms:013d}#{row.id}"), **known}, IS_NEW)

    def recent(self, limit: int) -> list[AuditRow]:
        """Return the newest `limit` rows, the newest first (strongly consistent reads)."""
        items, _ = self.table.query(Attr("kind").eq(MerchantRowKind.AUDIT), limit=limit, newest_first=True)
        return [_audit_row(item) for item in items]


def _merchant_row(item: Item) -> MerchantRow:
    role = Role(item["role"]) if "role" in item else None
    return MerchantRow(MerchantId(item["key"]), item["email"], role, int(item["changed_at_ms"]))


def _epoch_of(item: Item | None) -> int:
    return int(item["epoch"]) if item else 0


def _session_row(item: Item) -> SessionRow:
    return SessionRow(item["key"], MerchantId(item["merchant"]), int(item["epoch"]), item["browser"])


def _audit_row(item: Item) -> AuditRow:
    return AuditRow(
        item["key"].partition("#")[2],
        int(item["at_ms"]),
        MerchantId(item["merchant"]),
        item["email"],
        item["action"],
        item["target"],
        item.get("before"),
        item.get("after"),
    )
