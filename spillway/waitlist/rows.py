"""Rows of people that an operator reads and writes, beyond the cloud's own tables.

Nothing of it ships to Lambda. Every write of an entry is conditional: an entry that somebody has is never
overwritten, and one that was unsubscribed stays so.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from chalicelib.domain.entry import CONFIRM_WITHIN_S, Arrival, Entry, EntryState, shard_of
from chalicelib.keys import read_keys
from chalicelib.tables.dynamodb import CONDITION_NOT_MET, batch_get, transact
from chalicelib.tables.entries import ENTRY_ATTRIBUTES, STANDING, entry_from, is_entry
from chalicelib.tables.shoppers import ShoppersTable
from spillway.stage import Stage
from spillway.stage_tables import StageTables

# A pending entry past its time counts as gone; DynamoDB may delete it days later.
FREE = "attribute_not_exists(shopper) OR (#state = :pending AND expires_at_s <= :now_s)"
TRANSACTION_TRIES_MAX = 8
# Doubled with each try: less than 3 s in all.
CONFLICT_WAIT_S = 0.01
CONSENT_TEXT_CHARS_MAX = 1000

Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a person's consent was given: the tool, its file by digest, the row, and what the row says."""

    source: str
    file_sha256: str
    row: int
    asked_at: str
    text: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        """The proof as attributes of an entry."""
        texts = {
            "consent": f"imported:{self.source}",
            "consent_file_sha256": self.file_sha256,
            "consent_asked_at": self.asked_at,
            "consent_text": self.text[:CONSENT_TEXT_CHARS_MAX],
        }
        found: dict[str, Any] = {name: {"S": text} for name, text in texts.items() if text}
        return {**found, "consent_row": {"N": str(self.row)}}


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A person to import: `position` is their position, of the time they asked the other tool."""

    shopper: str
    mailbox: str
    sku: str
    page: str
    asked_at_ms: int
    position: str
    proof: Proof = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """An entry as read, with everything in its row."""

    entry: Entry
    item: Mapping[str, Any]

    def number(self, name: str) -> int | None:
        """Return a number of the row; None where it has none of that name."""
        return int(self.item[name]["N"]) if name in self.item else None

    def text(self, name: str) -> str:
        """Return a text of the row; empty where it has none of that name."""
        return str(self.item[name]["S"]) if name in self.item else ""


class EntryRows:
    """Imports, moves and finds entries."""

    def __init__(self, client: Any, name: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep

    def many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], KnownEntry]:
        """Return the entries of (shopper, SKU) that exist (strongly consistent reads)."""
        attributes = (*ENTRY_ATTRIBUTES, "shard_position", "expires_at_s", "consent_file_sha256", "arrival")
        asked = [{"shopper": {"S": shopper}, "sku": {"S": sku}} for shopper, sku in keys]
        items = batch_get(self._client, self._name, asked, attributes=attributes)
        found = [KnownEntry(entry_from(item), item) for item in items if is_entry(item)]
        return {(each.entry.shopper, each.entry.sku): each for each in found}

    def get(self, shopper: str, sku: str) -> KnownEntry | None:
        """Return one entry with everything in its row (a strongly consistent read)."""
        answer = self._client.get_item(
            TableName=self._name, Key={"shopper": {"S": shopper}, "sku": {"S": sku}}, ConsistentRead=True
        )
        item = answer.get("Item")
        return KnownEntry(entry_from(item), item) if is_entry(item) else None

    def of_sku(self, sku: str) -> Iterator[KnownEntry]:
        """Yield every entry for a variant, in any state, in no order: reads the whole table.

        The index of a waitlist has only confirmed entries, and is eventually consistent.
        """
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            ConsistentRead=True,
            FilterExpression="sku = :sku",
            ExpressionAttributeValues={":sku": {"S": sku}},
        )
        for page in pages:
            yield from (KnownEntry(entry_from(item), item) for item in page["Items"] if is_entry(item))

    def put_all(
        self, newcomers: Sequence[Newcomer], arrival: Arrival, *, ask: bool, at_ms: int
    ) -> frozenset[int]:
        """Put people on their waitlists, and return the positions in `newcomers` of those that are.

        One transaction for all of them, at most 100. Somebody who has an entry already keeps it. With `ask`
        they are written down as not confirmed, which has the confirmation emailed; the position is that of
        the time they asked the other tool.

        Raises:
            RuntimeError: others wrote to these entries all the while; nothing of this call is written.
        """
        remaining = {
            position: self._asked(each, arrival, at_ms) if ask else self._confirmed(each, arrival, at_ms)
            for position, each in enumerate(newcomers)
        }
        for attempt in range(TRANSACTION_TRIES_MAX):
            if not remaining:
                break
            reasons = transact(self._client, [self._put(item, at_ms) for item in remaining.values()])
            if not reasons:
                break
            taken = {
                position
                for position, reason in zip(remaining, reasons, strict=True)
                if reason == CONDITION_NOT_MET
            }
            if not taken:
                self._sleep(CONFLICT_WAIT_S * 2**attempt)
            remaining = {position: item for position, item in remaining.items() if position not in taken}
        else:
            raise RuntimeError(f"{len(remaining)} entries are being written by others")
        return frozenset(remaining)

    def move(
        self, known: KnownEntry, sku: str, there: KnownEntry | None, arrival: Arrival, *, at_ms: int
    ) -> bool:
        """Move an entry to another SKU with its position and consent, in one transaction.

        Args:
            known: the entry as read; it is moved only while it is still so.
            sku: the SKU to move it to.
            there: the shopper's entry for that SKU as read, which is replaced; None when there is none.
            arrival: when it is notified of stock that there is already.
            at_ms: the time of the move.

        Returns:
            False when either entry has changed since it was read; nothing is written then.
        """
        shopper = known.entry.shopper
        item = {
            **{name: value for name, value in known.item.items() if name not in MOVED_WITHOUT},
            "sku": {"S": sku},
            "moved_from": {"S": known.entry.sku},
            "arrival": {"S": arrival},
            "arrived_at_ms": {"N": str(at_ms)},
        }
        if known.entry.state is EntryState.CONFIRMED:
            item["shard"] = {"S": shard_of(sku, shopper)}
        put = {"Put": {"TableName": self._name, "Item": item, **_unchanged(there)}}
        return self._transact([self._taking_off(known, sku, at_ms), put])

    def move_ahead(self, known: KnownEntry, there: KnownEntry, *, at_ms: int) -> bool:
        """Give the entry of the other SKU, which waits too, the earlier position of this one; see `move`."""
        ahead = {
            "Update": {
                "TableName": self._name,
                "Key": _key(there.entry),
                "UpdateExpression": "SET shard_position = :ahead, moved_from = :sku",
                "ExpressionAttributeValues": {
                    ":ahead": {"S": known.entry.position or ""},
                    ":sku": {"S": known.entry.sku},
                },
            }
        }
        ahead["Update"] = _with_condition(ahead["Update"], there)
        return self._transact([self._taking_off(known, there.entry.sku, at_ms), ahead])

    def take_off(self, known: KnownEntry, sku: str, *, at_ms: int) -> bool:
        """Take an entry off its waitlist, since the shopper has one for `sku` that counts; see `move`."""
        return self._transact([self._taking_off(known, sku, at_ms)])

    def _taking_off(self, known: KnownEntry, sku: str, at_ms: int) -> dict[str, Any]:
        update = {
            "TableName": self._name,
            "Key": _key(known.entry),
            "UpdateExpression": "SET #state = :left, unsubscribed_at_ms = :now, moved_to = :sku"
            " REMOVE #shard, shard_position, expires_at_s, standing, kept_until_s, again_at_ms, #source",
            "ExpressionAttributeNames": {"#shard": "shard", "#source": "source"},
            "ExpressionAttributeValues": {
                ":left": {"S": EntryState.UNSUBSCRIBED},
                ":now": {"N": str(at_ms)},
                ":sku": {"S": sku},
            },
        }
        return {"Update": _with_condition(update, known)}

    def _transact(self, writes: Sequence[dict[str, Any]]) -> bool:
        for attempt in range(TRANSACTION_TRIES_MAX):
            reasons = transact(self._client, writes)
            if not reasons:
                return True
            if CONDITION_NOT_MET in reasons:
                return False
            self._sleep(CONFLICT_WAIT_S * 2**attempt)
        return False

    def _confirmed(self, newcomer: Newcomer, arrival: Arrival, at_ms: int) -> dict[str, Any]:
        return {
            **self._common(newcomer, arrival, at_ms),
            "state": {"S": EntryState.CONFIRMED},
            "asked_at_ms": {"N": str(newcomer.asked_at_ms)},
            "confirmed_at_ms": {"N": str(newcomer.asked_at_ms)},
            "shard": {"S": shard_of(newcomer.sku, newcomer.shopper)},
            **STANDING,
        }

    @staticmethod
    def _common(newcomer: Newcomer, arrival: Arrival, at_ms: int) -> dict[str, Any]:
        return {
            "shopper": {"S": newcomer.shopper},
            "sku": {"S": newcomer.sku},
            "mailbox": {"S": newcomer.mailbox},
            "page": {"S": newcomer.page},
            "shard_position": {"S": newcomer.position},
            "arrival": {"S": arrival},
            "arrived_at_ms": {"N": str(at_ms)},
            **newcomer.proof.attributes,
        }

    def _asked(self, newcomer: Newcomer, arrival: Arrival, at_ms: int) -> dict[str, Any]:
        return {
            **self._common(newcomer, arrival, at_ms),
            "state": {"S": EntryState.PENDING},
            "asked_at_ms": {"N": str(at_ms)},
            "expires_at_s": {"N": str(at_ms // 1000 + CONFIRM_WITHIN_S)},
        }

    def _put(self, item: Mapping[str, Any], at_ms: int) -> dict[str, Any]:
        return {
            "Put": {
                "TableName": self._name,
                "Item": item,
                "ConditionExpression": FREE,
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {
                    ":pending": {"S": EntryState.PENDING},
                    ":now_s": {"N": str(at_ms // 1000)},
                },
            }
        }


# Attributes of emails about the SKU that an entry is moved from.
MOVED_WITHOUT = frozenset(
    {
        "restock_id",
        "delivery",
        "message_id",
        "notified_at_ms",
        "deferred_for",
        "shard",
        "moved_to",
        "unsubscribed_at_ms",
    }
    # A mark of one confirmation email: a move neither sends that nor lifts a suppression by it.
    | {"retried_at_ms"}
    | {"feedback", "feedback_rank", "feedback_sent_at_ms", "feedback_message_id"}
)


def _key(entry: Entry) -> dict[str, Any]:
    return {"shopper": {"S": entry.shopper}, "sku": {"S": entry.sku}}


def _with_condition(update: dict[str, Any], known: KnownEntry) -> dict[str, Any]:
    condition = _unchanged(known)
    return {
        **update,
        "ConditionExpression": condition["ConditionExpression"],
        "ExpressionAttributeNames": {
            **update.get("ExpressionAttributeNames", {}),
            **condition["ExpressionAttributeNames"],
        },
        "ExpressionAttributeValues": {
            **update["ExpressionAttributeValues"],
            **condition["ExpressionAttributeValues"],
        },
    }


def _unchanged(known: KnownEntry | None) -> dict[str, Any]:
    """Return the condition that an entry is as it was read: its state, its asking, its position."""
    if known is None:
        return {"ConditionExpression": "attribute_not_exists(shopper)"}
    values = {
        ":was": {"S": known.entry.state},
        ":asked_then": {"N": str(known.entry.asked_at_ms)},
    }
    position = "attribute_not_exists(shard_position)"
    if known.entry.position is not None:
        position, values[":stood"] = "shard_position = :stood", {"S": known.entry.position}
    return {
        "ConditionExpression": f"#state = :was AND asked_at_ms = :asked_then AND {position}",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": values,
    }


@dataclass(frozen=True, slots=True)
class PeopleTables:
    """The tables of a stage that the tools for people use, and the key that makes ids of addresses."""

    stage: StageTables
    entries: EntryRows
    shoppers: ShoppersTable
    client: Any
    entries_name: str
    sending_name: str
    suppressions_name: str
    identity_key: bytes = field(repr=False)

    @classmethod
    def of(cls, stage: Stage) -> "PeopleTables":
        """Return the tables of `stage`.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        names, client = stage.outputs(), stage.client("dynamodb")
        keys = read_keys(stage.client("secretsmanager"), names["SigningKeysSecret"])
        entries = names["EntriesTable"]
        return cls(
            StageTables.of(stage),
            EntryRows(client, entries),
            ShoppersTable(client, entries),
            client,
            entries,
            names["SendingTable"],
            names["SuppressionsTable"],
            keys.identity,
        )

    def mailbox(self, shopper: str) -> dict[str, str | int]:
        """Return what is known of a shopper's mailbox, by attribute; a suppression has a `reason`."""
        answer = self.client.get_item(
            TableName=self.suppressions_name, Key={"shopper": {"S": shopper}}, ConsistentRead=True
        )
        return plain(answer.get("Item", {}))


def plain(item: Mapping[str, Any]) -> dict[str, str | int]:
    """Return an item's texts and numbers by name."""
    found: dict[str, str | int] = {}
    for name, value in sorted(item.items()):
        kind, content = next(iter(value.items()))
        text = " ".join(sorted(content)) if kind in {"NS", "SS"} else str(content)
        found[name] = int(content) if kind == "N" else text
    return found


def chunks(of: Iterable[Each], size: int) -> Iterator[list[Each]]:
    """Yield lists of at most `size`, in order."""
    rest = iter(of)
    while chunk := list(islice(rest, size)):
        yield chunk
