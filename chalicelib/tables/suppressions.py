"""The rows of one shopper: the history of their mailbox, and everything in their partition of the entries.

A history with a reason suppresses the shopper: no email is sent, whatever their entries say. Keys are the
shopper's id, a keyed hash.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import DAY_MS, Entry
from chalicelib.domain.ids import ShopperId
from chalicelib.domain.suppression import MailboxHistory, Suppression, SuppressionReason
from chalicelib.tables.entries import COUNTER_PREFIX, entry_of
from chalicelib.tables.expressions import Attr, Item
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

UPDATE_TRIES_MAX = 20
# For a row that suppresses nobody: some soft bounces, or a bounce that was lifted.
HISTORY_KEPT_MS = 400 * DAY_MS
# Names of reasons that callers and older rows use.
REASONS = {"bounce": SuppressionReason.BOUNCED, "complaint": SuppressionReason.COMPLAINED}


class SuppressionBusy(RuntimeError):
    """Others wrote the same row on every attempt; the event has to be repeated."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A shopper who must not be emailed, and the reason."""

    shopper: ShopperId
    suppression: Suppression


class SuppressionsTable:
    """Partition key `shopper`; a row with a `reason` is a suppression, one without is history."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def suppress(self, shopper: ShopperId, *, reason: str, at_ms: int) -> None:
        """Stop all emails to this shopper since `at_ms`. A repeat changes nothing.

        Raises:
            ValueError: `reason` is none of `SuppressionReason`.
            SuppressionBusy: see `record`.
        """
        self.record(shopper, history_of(REASONS.get(reason) or SuppressionReason(reason), at_ms))

    def record(self, shopper: ShopperId, news: MailboxHistory, *, at_ms: int = 0) -> MailboxHistory:
        """Add `news` to the history of a mailbox, and return the history after that.

        Args:
            shopper: the shopper.
            news: what became known of their mailbox.
            at_ms: the time of now; a row that suppresses nobody expires some time after it.

        Raises:
            SuppressionBusy: others wrote the same row on every attempt.
        """
        return self.change(shopper, lambda known: known.joined(news), at_ms=at_ms)

    def change(
        self,
        shopper: ShopperId,
        change: Callable[[MailboxHistory], MailboxHistory],
        *,
        at_ms: int = 0,
        because: str = "",
    ) -> MailboxHistory:
        """Change the history of a mailbox by one write, made only while the row is as it was read.

        `because` is stored with the row: the reason of an operator to lift a suppression.

        Raises:
            SuppressionBusy: others wrote the same row on every attempt.
        """
        for _ in range(UPDATE_TRIES_MAX):
            item = self.table.get({"shopper": shopper}) or {}
            known = _history_of(item) if item else MailboxHistory()
            changed = change(known)
            if changed == known:
                return known
            version = item.get("row_version", 0)
            unchanged = Attr("row_version").eq(version) if version else Attr("row_version").not_exists()
            row = _row(shopper, changed, version + 1, at_ms)
            if because or "lifted_because" in item:
                row["lifted_because"] = because or item["lifted_because"]
            if self.table.put_if(row, unchanged):
                return changed
        raise SuppressionBusy("changed at the same time by too many")

    def history(self, shopper: ShopperId) -> MailboxHistory | None:
        """Return the history of a mailbox (a strongly consistent read); None where there is none."""
        item = self.table.get({"shopper": shopper})
        return _history_of(item) if item else None

    def facts(self, shopper: ShopperId) -> dict[str, str | int]:
        """Return what is known of a mailbox, by attribute; a suppression has a `reason`."""
        return plain(self.table.get({"shopper": shopper}) or {})

    def among(self, shoppers: Iterable[ShopperId]) -> frozenset[ShopperId]:
        """Return the suppressed ones of `shoppers` (strongly consistent reads)."""
        keys = [{"shopper": shopper} for shopper in dict.fromkeys(shoppers)]
        items = self.table.batch_get(keys, ["shopper", "reason"])
        return frozenset(item["shopper"] for item in items if "reason" in item)

    def all(self) -> Iterator[Suppressed]:
        """Yield every suppression, in no order. Reads the whole table."""
        for item in self.table.scan():
            found = _history_of(item).suppression
            if found:
                yield Suppressed(item["shopper"], found)


def history_of(reason: SuppressionReason, at_ms: int) -> MailboxHistory:
    """Return the history of a mailbox that is suppressed for `reason` since `at_ms`."""
    nothing = MailboxHistory()
    match reason:
        case SuppressionReason.COMPLAINED:
            return replace(nothing, complained_at_ms=at_ms)
        case SuppressionReason.BLOCKED:
            return replace(nothing, blocked_at_ms=at_ms)
        case SuppressionReason.UNSUBSCRIBED:
            return replace(nothing, unsubscribed_at_ms=at_ms)
        case _:
            return replace(nothing, bounced=frozenset({at_ms}))


def _row(shopper: ShopperId, history: MailboxHistory, version: int, at_ms: int) -> dict[str, Any]:
    known = {field.name: getattr(history, field.name) for field in fields(history)}
    row = {
        "shopper": shopper,
        "row_version": version,
        **{name: value for name, value in known.items() if value},
    }
    found = history.suppression
    if found:
        row |= {"reason": found.reason.value, "since_ms": found.since_ms}
        if history.is_retrying:
            row["retrying"] = 1
    elif at_ms:
        row["expires_at_s"] = (at_ms + HISTORY_KEPT_MS) // 1000
    return row


def _history_of(item: Item) -> MailboxHistory:
    if "row_version" not in item:
        # An older row: a reason and a time.
        reason = item["reason"]
        return history_of(REASONS.get(reason) or SuppressionReason(reason), item["since_ms"])
    return MailboxHistory(
        **{field.name: item[field.name] for field in fields(MailboxHistory) if field.name in item}
    )


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry, and every attribute of its row by name."""

    entry: Entry
    facts: Mapping[str, str | int]


class ShoppersTable:
    """Reads and erases a shopper."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def kept(self, shopper: ShopperId) -> tuple[StoredEntry, ...]:
        """Return the shopper's entries, expired ones too until they are gone (strongly consistent reads)."""
        entries = (row for row in self._rows(shopper) if not row["sku"].startswith(COUNTER_PREFIX))
        return tuple(StoredEntry(entry_of(row), plain(row)) for row in entries)

    def erase(self, shopper: ShopperId) -> int:
        """Delete every row of the shopper, and return their number. A repeat deletes nothing.

        A suppression of the shopper stays, by an id that only this shop can make from an address.
        """
        rows = list(self._rows(shopper))
        for row in rows:
            self.table.delete({"shopper": row["shopper"], "sku": row["sku"]})
        return len(rows)

    def _rows(self, shopper: ShopperId) -> Iterator[Item]:
        return self.table.query_all(Attr("shopper").eq(shopper))


def plain(item: Item) -> dict[str, str | int]:
    """Return an item's numbers and texts by name; a set is a text of its members."""
    return {
        name: " ".join(sorted(map(str, value))) if isinstance(value, frozenset) else value
        for name, value in sorted(item.items())
    }
