"""The tables of a fan-out: restocks, entries that wait in a shard, and marks on notified ones.

The newest restock of a SKU is the live one. The index `shard` (see `entries`) is eventually consistent, so
entries are read from the table itself right before they are notified.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import Entry, EntryState, shards_of
from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import EVERYONE, WavePolicy
from chalicelib.tables.entries import IS_CONFIRMED, STANDING, entry_of
from chalicelib.tables.expressions import Attr, Condition, Item, Param
from chalicelib.tables.table import CONDITION_NOT_MET, PreparedStatement, ReadByKey, Table, Update, batch_get

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


POLICIES_KEPT_MAX = 32


class RestocksTable:
    """Partition key `sku`, sort key `opened` (time of observation, then the stock's version)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def open(self, restock: Restock) -> None:
        """Write a restock. A repeat changes nothing."""
        self.table.put(
            {
                "sku": restock.sku,
                "opened": f"{restock.observed_at_ms:013d}#{restock.version:012d}#{restock.id}",
                "id": restock.id,
                "slug": restock.slug,
                "observed_at_ms": restock.observed_at_ms,
                "opened_at_ms": restock.opened_at_ms,
                "version": restock.version,
                **({} if restock.units is None else {"units": restock.units}),
                "policy": json.dumps(asdict(restock.policy), sort_keys=True),
            }
        )

    def live(self, sku: Sku) -> Restock | None:
        """Return the newest restock of a SKU (a strongly consistent read); None when there is none."""
        newest = self.newest(sku, most=1)
        return newest[0] if newest else None

    def newest(self, sku: Sku, *, most: int) -> tuple[Restock, ...]:
        """Return at most `most` restocks of a SKU, newest first (a strongly consistent read)."""
        items, _ = self.table.query(Attr("sku").eq(sku), limit=most, newest_first=True)
        return tuple(map(_restock_of, items))


def _restock_of(item: Item) -> Restock:
    return Restock(
        id=item["id"],
        slug=item["slug"],
        sku=item["sku"],
        units=item.get("units"),
        observed_at_ms=item["observed_at_ms"],
        opened_at_ms=item["opened_at_ms"],
        policy=_policy_of(item["policy"]) if "policy" in item else EVERYONE,
        version=item.get("version", 0),
    )


@lru_cache(maxsize=POLICIES_KEPT_MAX)
def _policy_of(text: str) -> WavePolicy:
    """Return the policy of a restock. A fan-out reads the same one twice for each batch."""
    return WavePolicy(**json.loads(text))


SHARD_INDEX = "shard"
# Above every position.
AFTER_ALL = "~"
MARKS_MAX = 90
MARK_TRIES_MAX = 8
FIRST_PAUSE_S = 0.02


def is_at_position(position: str | None) -> Condition:
    """Require the position in the shard: an entry that joined again since has another one."""
    return Attr("shard_position").eq(position or "")


def is_not_deferred(marker: str) -> Condition:
    """Require that the email of this marker was not deferred."""
    return Attr("deferred_for").not_exists() | Attr("deferred_for").ne(marker)


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Entries of one shard in order; `more` may follow."""

    entries: tuple[Entry, ...]
    more: bool


class MarksNotWritten(RuntimeError):
    """Emails were sent and their marks could not be written: the emails are sent again."""


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """Entries that wait at this moment, in order, by whether their shopper may be emailed."""

    may_be_mailed: tuple[Entry, ...]
    suppressed: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Notified:
    """One entry whose email was handed over, and what the transport answered."""

    entry: Entry
    delivery: str
    message_id: str


class ShardsTable:
    """Reads shards, and marks entries that were notified or deferred."""

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        suppressions: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.table = Table(client, name)
        self._mailboxes = Table(client, suppressions)
        self._sleep = sleep
        self._marking = PreparedStatement(_mark(self.table, {name: Param(name) for name in MARKED}))

    def waiting(self, shard: str, *, after: str, upto: str, limit: int) -> WaitingPage:
        """Return the next entries of a shard, in order: positions in (`after`, `upto`], at most `limit`."""
        items, more = self.table.query(_in_shard(shard, after, upto), index=SHARD_INDEX, limit=limit)
        return WaitingPage(tuple(map(entry_of, items)), more)

    def first_waiting(self, sku: Sku, *, limit: int, after: str = "") -> tuple[Entry, ...]:
        """Return the first `limit` entries of all shards of a SKU together, by position."""
        # No time ends the range: the clock of a signup may be ahead of this one's.
        shards = [
            self.waiting(shard, after=after, upto=AFTER_ALL, limit=limit).entries for shard in shards_of(sku)
        ]
        return tuple(islice(merge(*shards, key=lambda entry: entry.position or ""), limit))

    def count(self, sku: Sku, *, after: str = "", upto: str = AFTER_ALL) -> int:
        """Return the number of entries in all shards of a SKU, at positions in (`after`, `upto`]."""
        shards = (_in_shard(shard, after, upto) for shard in shards_of(sku))
        return sum(self.table.count(condition, index=SHARD_INDEX) for condition in shards)

    def still_waiting(self, entries: Sequence[Entry], *, not_deferred_for: str = "") -> StillWaiting:
        """Read which entries wait at this moment, and which of their shoppers are suppressed.

        One call of strongly consistent reads, which also returns the pages that the index does not have.
        Left out are entries whose email about the restock `not_deferred_for` was deferred, since each of
        them is tried again separately, and shoppers whose own confirmation is about to lift their
        suppression.

        Args:
            entries: at most 50 entries of one SKU.
            not_deferred_for: the id of a restock.
        """
        if not entries:
            return StillWaiting((), ())
        rows, mailboxes = batch_get(
            ReadByKey(
                self.table,
                [{"shopper": entry.shopper, "sku": entry.sku} for entry in entries],
                ("shopper", "state", "shard_position", "page", "deferred_for"),
            ),
            ReadByKey(
                self._mailboxes,
                [{"shopper": entry.shopper} for entry in entries],
                ("shopper", "reason", "retrying"),
            ),
        )
        suppressed = {mailbox["shopper"] for mailbox in mailboxes if "reason" in mailbox}
        # Such a shopper confirms now what lifts the suppression; the reaction to that notifies them.
        retrying = {mailbox["shopper"] for mailbox in mailboxes if "retrying" in mailbox}
        confirmed = {row["shopper"]: row for row in rows if row["state"] == EntryState.CONFIRMED}
        waiting = [
            _on_page(entry, row.get("page", "/"))
            for entry in entries
            if (row := confirmed.get(entry.shopper))
            and row["shard_position"] == entry.position
            and ("deferred_for" not in row or row["deferred_for"] != _deferred_for(not_deferred_for, entry))
        ]
        return StillWaiting(
            tuple(entry for entry in waiting if entry.shopper not in suppressed),
            tuple(entry for entry in waiting if entry.shopper in suppressed - retrying),
        )

    def defer(self, entry: Entry, *, restock_id: str, counting: Sequence[Update] = ()) -> bool:
        """Mark an entry whose email about a restock is tried again separately, so that no walk sends it.

        Args:
            entry: the entry.
            restock_id: the restock.
            counting: writes that are made together with the mark or not at all.

        Returns:
            False when it was marked before, or does not wait any more.

        Raises:
            MarksNotWritten: others wrote to the entry on every attempt.
        """
        marker = _deferred_for(restock_id, entry)
        key = {"shopper": entry.shopper, "sku": entry.sku}
        condition = IS_CONFIRMED & is_at_position(entry.position) & is_not_deferred(marker)
        if not counting:
            return self.table.update_if(key, condition, {"deferred_for": marker})
        mark = Update(self.table, key, {"deferred_for": marker}, condition=condition)
        for attempt in range(MARK_TRIES_MAX):
            reasons = self.table.transact([mark, *counting])
            if not reasons:
                return True
            if reasons[0] == CONDITION_NOT_MET:
                return False
            self._pause(attempt)
        raise MarksNotWritten("a deferral")

    def mark_batch(
        self,
        notified: Sequence[Notified],
        *,
        restock_id: str,
        at_ms: int,
        counting: Sequence[Update] = (),
    ) -> int:
        """Take notified entries out of the shard by one transaction, and return their number.

        An entry that was unsubscribed meanwhile stays so, and is not in that number. `counting` are writes
        that are made together with the marks or not at all.

        Raises:
            MarksNotWritten: others wrote to these entries on every attempt.
            ValueError: they are more writes than one transaction takes.
        """
        if len(notified) + len(counting) > MARKS_MAX:
            raise ValueError(f"{len(notified)} marks at once, {MARKS_MAX} is the most")
        remaining = list(notified)
        for attempt in range(MARK_TRIES_MAX):
            if not remaining and not counting:
                return 0
            about = {"restock_id": restock_id, "at_ms": at_ms}
            marks = [_mark(self.table, {**_facts(entry), **about}) for entry in remaining]
            reasons = self.table.transact([*marks, *counting])
            if not reasons:
                return len(remaining)
            gone = {number for number, reason in enumerate(reasons) if reason == CONDITION_NOT_MET}
            if not gone:
                self._pause(attempt)
            remaining = [entry for number, entry in enumerate(remaining) if number not in gone]
        raise MarksNotWritten(f"{len(remaining)} marks")

    def mark_each(self, notified: Sequence[Notified], *, restock_id: str, at_ms: int) -> None:
        """Take notified entries out of the shard by separate writes: one write unit for each instead of two.

        An entry that was unsubscribed meanwhile stays so.

        Raises:
            MarksNotWritten: some marks are missing; those that were written stay.
        """
        remaining = list(notified)
        for attempt in range(MARK_TRIES_MAX):
            statements = self._marking.each(map(_facts, remaining), restock_id=restock_id, at_ms=at_ms)
            reasons = self.table.execute_each(statements)
            done = {"", CONDITION_NOT_MET}
            remaining = [
                entry for entry, reason in zip(remaining, reasons, strict=True) if reason not in done
            ]
            if not remaining:
                return
            self._pause(attempt)
        raise MarksNotWritten(f"{len(remaining)} marks")

    def _pause(self, attempt: int) -> None:
        self._sleep(random.uniform(0, FIRST_PAUSE_S * 2**attempt))  # noqa: S311 - jitter, not a secret


# The facts that a mark is made of: those of `_facts`, the restock, and the time.
MARKED = ("shopper", "sku", "position", "restock_id", "delivery", "message_id", "at_ms")


def _facts(notified: Notified) -> dict[str, Any]:
    entry = notified.entry
    return {
        "shopper": entry.shopper,
        "sku": entry.sku,
        "position": entry.position or "",
        "delivery": notified.delivery,
        "message_id": notified.message_id,
    }


def _mark(table: Table, facts: Mapping[str, Any]) -> Update:
    """Return the update that takes an entry out of its shard, of a value (or `Param`) for each of MARKED."""
    return Update(
        table,
        {"shopper": facts["shopper"], "sku": facts["sku"]},
        {
            "state": EntryState.NOTIFIED,
            "restock_id": facts["restock_id"],
            "delivery": facts["delivery"],
            "message_id": facts["message_id"],
            "notified_at_ms": facts["at_ms"],
        },
        remove=("shard", "shard_position", *STANDING),
        condition=IS_CONFIRMED & is_at_position(facts["position"]),
    )


def _in_shard(shard: str, after: str, upto: str) -> Condition:
    # BETWEEN is inclusive; "!" sorts below every character of a longer position.
    return Attr("shard").eq(shard) & Attr("shard_position").between(after + "!", upto)


def _on_page(entry: Entry, page: str) -> Entry:
    return entry if entry.page == page else replace(entry, page=page)


def _deferred_for(restock_id: str, entry: Entry) -> str:
    """Return the marker of a deferred email; an entry that joined again since has another position."""
    return f"{restock_id}@{entry.position}"
