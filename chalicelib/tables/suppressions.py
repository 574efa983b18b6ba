"""The suppressions table: what is known of a shopper's mailbox, by shopper id (a keyed hash), and whether it
must not be emailed, whatever entries say."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from chalicelib.domain.suppression import MailboxHistory, Suppression, SuppressionReason
from chalicelib.tables.dynamodb import batch_get, put_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

UPDATE_TRIES_MAX = 20
# A row that suppresses nobody: some soft bounces, or a bounce that was lifted.
HISTORY_KEPT_MS = 400 * 24 * 3600 * 1000
# Words for reasons, as callers and older rows say them.
REASONS = {"bounce": SuppressionReason.BOUNCED, "complaint": SuppressionReason.COMPLAINED}


class SuppressionBusy(RuntimeError):
    """Others wrote the same row all the time; the event is to come again."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A shopper who must not be emailed, and why."""

    shopper: str
    suppression: Suppression


class SuppressionsTable:
    """Partition key `shopper`; a row with a `reason` is a suppression, one without is history."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def suppress(self, shopper: str, *, reason: str, at_ms: int) -> None:
        """Stop all emails to this shopper since `at_ms`. Suppressing twice is suppressing once.

        Raises:
            ValueError: `reason` is none of `SuppressionReason`.
            SuppressionBusy: see `record`.
        """
        self.record(shopper, history_of(REASONS.get(reason) or SuppressionReason(reason), at_ms))

    def record(self, shopper: str, news: MailboxHistory, *, at_ms: int = 0) -> MailboxHistory:
        """Add what became known of a mailbox, and return all that is known of it by then.

        `at_ms` is the time of now, for how long a row is kept that suppresses nobody.

        Raises:
            SuppressionBusy: others wrote the same row all the time.
        """
        return self.change(shopper, lambda known: known.joined(news), at_ms=at_ms)

    def change(
        self,
        shopper: str,
        change: Callable[[MailboxHistory], MailboxHistory],
        *,
        at_ms: int = 0,
        because: str = "",
    ) -> MailboxHistory:
        """Change what is known of a mailbox by one write, made only while it is as it was read.

        `because` is kept with the row: why an operator lifted it.

        Raises:
            SuppressionBusy: others wrote the same row all the time.
        """
        for _ in range(UPDATE_TRIES_MAX):
            item = self._item(shopper)
            known = _history_from(item) if item else MailboxHistory()
            changed = change(known)
            if changed == known:
                return known
            version = item.get("row_version") if item else None
            unchanged: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(row_version)"}
            if version:
                unchanged = {
                    "ConditionExpression": "row_version = :known",
                    "ExpressionAttributeValues": {":known": version},
                }
            row = _row(shopper, changed, int(version["N"]) + 1 if version else 1, at_ms)
            if because:
                row["lifted_because"] = {"S": because}
            elif item and "lifted_because" in item:
                row["lifted_because"] = item["lifted_because"]
            if put_if(self._client, TableName=self._name, Item=row, **unchanged):
                return changed
        raise SuppressionBusy("changed at the same time by too many")

    def history(self, shopper: str) -> MailboxHistory | None:
        """Return what is known of a mailbox (a strongly consistent read); None where nothing is."""
        item = self._item(shopper)
        return _history_from(item) if item else None

    def among(self, shoppers: Iterable[str]) -> frozenset[str]:
        """Those of `shoppers` who are suppressed (strongly consistent reads)."""
        keys = [{"shopper": {"S": shopper}} for shopper in dict.fromkeys(shoppers)]
        items = batch_get(self._client, self._name, keys, attributes=["shopper", "reason"])
        return frozenset(item["shopper"]["S"] for item in items if "reason" in item)

    def all(self) -> Iterator[Suppressed]:
        """Return every suppression there is, in no order. Reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._name)
        for page in pages:
            for item in page["Items"]:
                found = _history_from(item).suppression
                if found:
                    yield Suppressed(item["shopper"]["S"], found)

    def _item(self, shopper: str) -> dict[str, Any] | None:
        answer: dict[str, Any] = self._client.get_item(  # type: ignore[assignment]
            TableName=self._name, Key={"shopper": {"S": shopper}}, ConsistentRead=True
        )
        return answer.get("Item")


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


def _row(shopper: str, history: MailboxHistory, version: int, at_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = {"shopper": {"S": shopper}, "row_version": {"N": str(version)}}
    for field in fields(history):
        value = getattr(history, field.name)
        if isinstance(value, int) and value:
            row[field.name] = {"N": str(value)}
        elif value:
            row[field.name] = {"NS": [str(sent) for sent in sorted(value)]}
    found = history.suppression
    if found:
        row |= {"reason": {"S": found.reason.value}, "since_ms": {"N": str(found.since_ms)}}
        if history.is_retrying:
            row["retrying"] = {"N": "1"}
    elif at_ms:
        row["expires_at_s"] = {"N": str((at_ms + HISTORY_KEPT_MS) // 1000)}
    return row


def _history_from(item: Mapping[str, Any]) -> MailboxHistory:
    if "row_version" not in item:
        # As rows were before: a reason, and since when.
        reason = item["reason"]["S"]
        return history_of(REASONS.get(reason) or SuppressionReason(reason), int(item["since_ms"]["N"]))
    known: dict[str, Any] = {}
    for field in fields(MailboxHistory):
        if field.name in item:
            ((kind, value),) = item[field.name].items()
            known[field.name] = frozenset(map(int, value)) if kind == "NS" else int(value)
    return MailboxHistory(**known)
