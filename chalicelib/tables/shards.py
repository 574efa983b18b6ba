"""The entries table as a fan-out sees it: the shard of a variant, who still stands in it, who was notified.

The index `shard` (see `entries`) is eventually consistent: who is about to be notified is looked up in the
table itself.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import Entry, EntryState, shards_of
from chalicelib.tables.dynamodb import (
    CONDITION_NOT_MET,
    batch_get_both,
    execute_each,
    transact,
    update_if,
)
from chalicelib.tables.entries import entry_from

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SHARD_INDEX = "shard"
MARKS_MAX = 90
MARK_TRIES_MAX = 8
MAY_BE_MAILED = ("shopper", "reason", "retrying")
STANDING = ("shopper", "state", "shard_position", "page", "deferred_for")
MARK = (
    "SET #state = :notified, restock_id = :restock, delivery = :delivery, message_id = :message,"
    " notified_at_ms = :now REMOVE #shard, shard_position, standing, kept_until_s"
)
MARK_NAMES = {"#state": "state", "#shard": "shard"}
MARK_STATEMENT = (
    'UPDATE "{table}" SET "state" = ? SET restock_id = ? SET delivery = ? SET message_id = ?'
    ' SET notified_at_ms = ? REMOVE "shard" REMOVE shard_position REMOVE standing REMOVE kept_until_s'
    ' WHERE shopper = ? AND sku = ? AND "state" = ? AND shard_position = ?'
)
CONFIRMED = {"S": EntryState.CONFIRMED.value}
NOTIFIED = {"S": EntryState.NOTIFIED.value}


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Entries of one shard in order, and whether more may follow."""

    entries: tuple[Entry, ...]
    more: bool


class MarksNotWritten(RuntimeError):
    """Emails were sent, and it could not be written down: they come again."""


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """Who waits at this moment, in order: those who may be mailed, and those who must not."""

    may_be_mailed: tuple[Entry, ...]
    suppressed: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Notified:
    """One entry whose email was handed over, and what the transport said."""

    entry: Entry
    delivery: str
    message_id: str


class ShardsTable:
    """Reads shards and marks who was notified. `suppressions` is the table of who must not be mailed."""

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        suppressions: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._name = name
        self._suppressions = suppressions
        self._sleep = sleep

    def waiting(self, shard: str, *, after: str, upto: str, limit: int) -> WaitingPage:
        """The next entries of a shard, in order: positions in (`after`, `upto`], at most `limit`."""
        answer = self._client.query(**self._query(shard, after, upto), Limit=limit)
        return WaitingPage(tuple(entry_from(item) for item in answer["Items"]), "LastEvaluatedKey" in answer)

    def first_waiting(self, sku: str, *, upto: str, limit: int, after: str = "") -> tuple[Entry, ...]:
        """The first `limit` after a position of all shards of a variant's shard together, by position."""
        shards = [
            self.waiting(shard, after=after, upto=upto, limit=limit).entries for shard in shards_of(sku)
        ]
        return tuple(islice(merge(*shards, key=lambda entry: entry.position or ""), limit))

    def count(self, sku: str, *, after: str = "", upto: str = "~") -> int:
        """How many stand in a variant's shard, in positions after `after` and up to `upto`."""
        pages = self._client.get_paginator("query")
        return sum(
            page["Count"]
            for shard in shards_of(sku)
            for page in pages.paginate(**self._query(shard, after, upto), Select="COUNT")
        )

    def still_waiting(self, entries: Sequence[Entry], *, not_deferred_for: str = "") -> StillWaiting:
        """Who of `entries` (at most 50, of one variant) waits at this very moment, and who of those must
        not be mailed: both in one call of strongly consistent reads. It brings their pages, too, which the
        index does not have. Those whose email about the restock `not_deferred_for` was deferred are left
        out: they are tried again by themselves. So are shoppers whose own confirmation is about to lift their
        suppression."""
        shoppers = [{"S": entry.shopper} for entry in entries]
        positions = {entry.shopper: entry for entry in entries}
        found = batch_get_both(
            self._client,
            {
                self._name: (
                    [{"shopper": shopper, "sku": {"S": entries[0].sku}} for shopper in shoppers],
                    STANDING,
                ),
                self._suppressions: ([{"shopper": shopper} for shopper in shoppers], MAY_BE_MAILED),
            }
            if entries
            else {},
        )
        known = {item["shopper"]["S"]: item for item in found.get(self._suppressions, ())}
        suppressed = {shopper for shopper, item in known.items() if "reason" in item}
        # Such a shopper has confirmed, or soon does, what lifts the suppression; that reaction notifies them.
        retrying = {shopper for shopper in suppressed if "retrying" in known[shopper]}
        pages = {
            item["shopper"]["S"]: item.get("page", {}).get("S", "/")
            for item in found.get(self._name, ())
            if item["state"] == CONFIRMED
            and item["shard_position"]["S"] == positions[item["shopper"]["S"]].position
            and item.get("deferred_for") != _deferred_for(not_deferred_for, positions[item["shopper"]["S"]])
        }
        waiting = [replace(entry, page=pages[entry.shopper]) for entry in entries if entry.shopper in pages]
        return StillWaiting(
            tuple(entry for entry in waiting if entry.shopper not in suppressed),
            tuple(entry for entry in waiting if entry.shopper in suppressed - retrying),
        )

    def defer(self, entry: Entry, *, restock_id: str, counting: Sequence[dict[str, Any]] = ()) -> bool:
        """Note that the email about a restock is tried again by itself, so that no walk does; true for the
        first time, false as well when the shopper does not wait any more. `counting` are writes that are
        done together with this one or not at all."""
        update: dict[str, Any] = {
            "TableName": self._name,
            "Key": {"shopper": {"S": entry.shopper}, "sku": {"S": entry.sku}},
            "UpdateExpression": "SET deferred_for = :restock",
            "ConditionExpression": "#state = :confirmed AND shard_position = :position"
            " AND (attribute_not_exists(deferred_for) OR deferred_for <> :restock)",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {
                ":restock": _deferred_for(restock_id, entry),
                ":confirmed": CONFIRMED,
                ":position": {"S": entry.position or ""},
            },
        }
        if not counting:
            return update_if(self._client, **update)
        for attempt in range(MARK_TRIES_MAX):
            reasons = transact(self._client, [{"Update": update}, *counting])
            if not reasons:
                return True
            if reasons[0] == CONDITION_NOT_MET:
                return False
            self._sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise MarksNotWritten("a deferral")

    def mark_batch(
        self,
        notified: Sequence[Notified],
        *,
        restock_id: str,
        at_ms: int,
        counting: Sequence[dict[str, Any]] = (),
    ) -> int:
        """Take who was notified out of the shard, all in one transaction; give how many that were.

        Who left in the meantime stays gone, and is not counted in the result. `counting` are writes
        that are done together with the marks or not at all.

        Raises:
            MarksNotWritten: others wrote to these entries all the time.
        """
        if len(notified) + len(counting) > MARKS_MAX:
            raise ValueError(f"{len(notified)} marks at once, {MARKS_MAX} is the most")
        remaining = list(notified)
        for attempt in range(MARK_TRIES_MAX):
            if not remaining and not counting:
                return 0
            writes = [self._mark(each, restock_id, at_ms) for each in remaining]
            reasons = transact(self._client, [*writes, *counting])
            if not reasons:
                return len(remaining)
            gone = {position for position, reason in enumerate(reasons) if reason == CONDITION_NOT_MET}
            if not gone:
                self._sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not a secret
            remaining = [each for position, each in enumerate(remaining) if position not in gone]
        raise MarksNotWritten(f"{len(remaining)} marks")

    def mark_each(self, notified: Sequence[Notified], *, restock_id: str, at_ms: int) -> None:
        """Take who was notified out of the shard, each for themselves: a write unit for each instead of two.

        Who left in the meantime stays gone.

        Raises:
            MarksNotWritten: not all could be written down; those that were stay so.
        """
        remaining = list(notified)
        for attempt in range(MARK_TRIES_MAX):
            reasons = execute_each(
                self._client, [self._mark_statement(each, restock_id, at_ms) for each in remaining]
            )
            done = {"", CONDITION_NOT_MET}
            remaining = [each for each, reason in zip(remaining, reasons, strict=True) if reason not in done]
            if not remaining:
                return
            self._sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise MarksNotWritten(f"{len(remaining)} marks")

    def _mark_statement(self, notified: Notified, restock_id: str, at_ms: int) -> dict[str, Any]:
        return {
            "Statement": MARK_STATEMENT.format(table=self._name),
            "Parameters": [
                NOTIFIED,
                {"S": restock_id},
                {"S": notified.delivery},
                {"S": notified.message_id},
                {"N": str(at_ms)},
                {"S": notified.entry.shopper},
                {"S": notified.entry.sku},
                CONFIRMED,
                {"S": notified.entry.position or ""},
            ],
        }

    def _mark(self, notified: Notified, restock_id: str, at_ms: int) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self._name,
                "Key": {"shopper": {"S": notified.entry.shopper}, "sku": {"S": notified.entry.sku}},
                "UpdateExpression": MARK,
                "ConditionExpression": "#state = :confirmed AND shard_position = :position",
                "ExpressionAttributeNames": MARK_NAMES,
                "ExpressionAttributeValues": {
                    ":notified": NOTIFIED,
                    ":confirmed": CONFIRMED,
                    ":position": {"S": notified.entry.position or ""},
                    ":restock": {"S": restock_id},
                    ":delivery": {"S": notified.delivery},
                    ":message": {"S": notified.message_id},
                    ":now": {"N": str(at_ms)},
                },
            }
        }

    def _query(self, shard: str, after: str, upto: str) -> dict[str, Any]:
        return {
            "TableName": self._name,
            "IndexName": SHARD_INDEX,
            "KeyConditionExpression": "#shard = :shard AND shard_position BETWEEN :after AND :upto",
            "ExpressionAttributeNames": {"#shard": "shard"},
            "ExpressionAttributeValues": {
                ":shard": {"S": shard},
                # BETWEEN is inclusive; "!" sorts below every character of a longer position.
                ":after": {"S": after + "!"},
                ":upto": {"S": upto},
            },
        }


def _deferred_for(restock_id: str, entry: Entry) -> dict[str, str]:
    """What an entry bears whose email was deferred: one that joined again since then has another position."""
    return {"S": f"{restock_id}@{entry.position}"}
