"""The entries table: one row per (shopper, variant). What a fan-out reads and writes of it is in `shard`.

Partition key `shopper`, sort key `sku`: a million signups for one variant spread over a million
partitions. The index `shard` is sparse: only confirmed entries carry its key, so it holds exactly
who still waits, sharded by a hash of the shopper and sorted by position.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import (
    ADMISSIONS_PER_DAY_MAX,
    ALREADY_AGAIN_AFTER_S,
    ASK_AGAIN_AFTER_S,
    ASKED_EMAILS_PER_DAY_MAX,
    CONFIRM_WITHIN_S,
    Arrival,
    Entry,
    EntryState,
    OptIn,
    Signup,
    position_of,
    shard_of,
)
from chalicelib.tables.dynamodb import delete_if, update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Names that DynamoDB keeps for itself.
ALIASES = {"#state": "state", "#shard": "shard", "#times": "times", "#source": "source"}
COUNTER_KEPT_S = 2 * 24 * 3600
COUNT_TRIES_MAX = 20
DAY_MS = 24 * 3600 * 1000
HOUR_MS = 3600 * 1000
HOURS_PER_DAY = 24
# A shopper's counters stand beside their entries: no SKU begins with a space, so none is like a counter.
COUNTER_PREFIX = " "
ASKED = "SET mailbox = :mailbox, asked_at_ms = :now, page = :page, consent = :consent"
FROM_SOURCE = ", #source = :source"
GONE_OR_OVER = "attribute_not_exists(shopper) OR #state IN (:left, :notified)"
# Attributes of confirmed entries alone: a repeated ask takes its state and its time to live
# from here. `kept_until_s` is the year 9999, which DynamoDB's TTL takes for never.
STANDING = {"standing": {"S": EntryState.CONFIRMED.value}, "kept_until_s": {"N": "253402300799"}}
SET_STANDING = "standing = :confirmed, kept_until_s = :for_good"
FOR_GOOD = STANDING["kept_until_s"]


class AlreadyClaimed(Exception):
    """Another message has sent, or is about to send, the email that covers the same asks."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The asks that one email covers: entries of `shopper` by SKU, with the time of asking in milliseconds.

    The message about `sku` sends it.
    """

    shopper: str
    sku: str
    covers: Mapping[str, int]

    def to_json(self) -> str:
        """Write the claim as a text attribute."""
        return json.dumps([self.shopper, self.sku, self.covers], ensure_ascii=False, separators=(",", ":"))

    def is_held(self, by: str) -> bool:
        """Return whether a stored claim of another message covers what this message is about: its own entry,
        or, where that is gone, all the others."""
        shopper, sku, covered = json.loads(by)
        if shopper != self.shopper or sku == self.sku:
            return False
        own = [self.sku] if self.sku in self.covers else list(self.covers)
        return all(covered.get(one, -1) >= self.covers[one] for one in own)


class EntriesTable:
    """What one shopper does to one entry. Every method is one request."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def ask(self, signup: Signup, *, at_ms: int) -> bool:
        """Store a signup; true when it counts, false when it changes nothing.

        One conditional write, no read before it. An entry that was asked for within the cool-down stays as it
        is. An unsubscribed or notified one starts again at the end of the shard. A confirmed one stays
        confirmed and keeps its position; once a day this stores that it was asked for again, which
        the stream sees (see `keep`). With single opt-in this write confirms the entry and puts it into the
        shard.
        """
        values = {
            ":mailbox": {"S": signup.mailbox},
            ":now": {"N": str(at_ms)},
            ":page": {"S": signup.page},
            ":consent": {"S": signup.consent},
            ":position": {"S": position_of(at_ms, signup.shopper)},
            ":pending": {"S": EntryState.PENDING},
            ":left": {"S": EntryState.UNSUBSCRIBED},
            ":notified": {"S": EntryState.NOTIFIED},
        }
        asked = ASKED
        if signup.source:
            asked, values[":source"] = ASKED + FROM_SOURCE, {"S": signup.source}
        if signup.opt_in is OptIn.SINGLE:
            return self._update(
                signup.shopper,
                signup.sku,
                f"{asked}, #state = :confirmed, confirmed_at_ms = :now, #shard = :shard,"
                f" shard_position = :position, {SET_STANDING}"
                " REMOVE expires_at_s, unsubscribed_at_ms, again_at_ms",
                f"{GONE_OR_OVER} OR #state = :pending",
                {
                    **values,
                    ":confirmed": {"S": EntryState.CONFIRMED},
                    ":for_good": FOR_GOOD,
                    ":shard": {"S": shard_of(signup.sku, signup.shopper)},
                },
            )
        return self._update(
            signup.shopper,
            signup.sku,
            f"{asked}, again_at_ms = :now, #state = if_not_exists(standing, :pending),"
            " expires_at_s = if_not_exists(kept_until_s, :expires),"
            " shard_position = if_not_exists(shard_position, :position) REMOVE unsubscribed_at_ms",
            f"{GONE_OR_OVER} OR (#state = :pending AND asked_at_ms < :cooled_down)"
            " OR (standing = :confirmed AND (attribute_not_exists(again_at_ms) OR again_at_ms < :a_day_ago))",
            {
                **values,
                ":confirmed": {"S": EntryState.CONFIRMED},
                ":a_day_ago": {"N": str(at_ms - ALREADY_AGAIN_AFTER_S * 1000)},
                ":expires": {"N": str(at_ms // 1000 + CONFIRM_WITHIN_S)},
                ":cooled_down": {"N": str(at_ms - ASK_AGAIN_AFTER_S * 1000)},
            },
        )

    def rejoin(self, entry: Entry) -> bool:
        """Put a pending entry at the end of the shard as of its asking: it had been gone before.

        Nobody can be told in between: it stands in the shard once it is confirmed, and its email comes
        after this. False when it is not the same asking any more.
        """
        return self._update(
            entry.shopper,
            entry.sku,
            "SET shard_position = :position",
            "#state = :pending AND asked_at_ms = :asked",
            {
                ":position": {"S": position_of(entry.asked_at_ms, entry.shopper)},
                ":pending": {"S": EntryState.PENDING},
                ":asked": {"N": str(entry.asked_at_ms)},
            },
        )

    def keep(self, before: Entry, again: Entry) -> bool:
        """Set a confirmed entry back to what it was `before` it was asked for `again`.

        A repeated ask writes over the time, the page and the consent of the one that was confirmed: anybody
        can ask. False when it is not the same asking any more. Keeping twice is keeping once.
        """
        return self._update(
            before.shopper,
            before.sku,
            f"{ASKED} REMOVE expires_at_s, #source",
            "#state = :confirmed AND asked_at_ms = :again",
            {
                ":mailbox": {"S": before.mailbox},
                ":now": {"N": str(before.asked_at_ms)},
                ":page": {"S": before.page},
                ":consent": {"S": before.consent},
                ":confirmed": {"S": EntryState.CONFIRMED},
                ":again": {"N": str(again.asked_at_ms)},
            },
        )

    def confirm(self, shopper: str, sku: str, *, at_ms: int) -> bool:
        """Put a pending entry into the shard; false when there is none, or it has expired."""
        return self._update(
            shopper,
            sku,
            f"SET #state = :confirmed, confirmed_at_ms = :now, #shard = :shard, {SET_STANDING}"
            " REMOVE expires_at_s, again_at_ms, #source",
            "#state = :pending AND expires_at_s > :now_s",
            {
                ":confirmed": {"S": EntryState.CONFIRMED},
                ":pending": {"S": EntryState.PENDING},
                ":now": {"N": str(at_ms)},
                ":now_s": {"N": str(at_ms // 1000)},
                ":shard": {"S": shard_of(sku, shopper)},
                ":for_good": FOR_GOOD,
            },
        )

    def leave(self, shopper: str, sku: str, *, at_ms: int) -> bool:
        """Unsubscribe an entry for good; false when there is none. A repeat changes nothing."""
        return self._update(
            shopper,
            sku,
            "SET #state = :left, unsubscribed_at_ms = if_not_exists(unsubscribed_at_ms, :now)"
            " REMOVE #shard, shard_position, expires_at_s, standing, kept_until_s, again_at_ms, #source",
            "attribute_exists(shopper)",
            {":left": {"S": EntryState.UNSUBSCRIBED}, ":now": {"N": str(at_ms)}},
        )

    def undo(self, shopper: str, sku: str, *, asked_at_ms: int) -> bool:
        """Delete an entry that the signup of `asked_at_ms` made; false when it made none.

        An entry that was pending before keeps its position when it is asked for again, so a position of
        that very time means that there was none before. An entry confirmed since then stays.
        """
        return delete_if(
            self._client,
            TableName=self._name,
            Key={"shopper": {"S": shopper}, "sku": {"S": sku}},
            ConditionExpression=(
                "asked_at_ms = :asked AND shard_position = :position"
                " AND (#state = :pending OR (#state = :confirmed AND confirmed_at_ms = :asked))"
            ),
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":asked": {"N": str(asked_at_ms)},
                ":position": {"S": position_of(asked_at_ms, shopper)},
                ":pending": {"S": EntryState.PENDING},
                ":confirmed": {"S": EntryState.CONFIRMED},
            },
        )

    def mark_retry(self, entry: Entry, *, at_ms: int) -> bool:
        """Note on a pending entry that its confirmation lifts a suppression; false when it has changed."""
        return self._update(
            entry.shopper,
            entry.sku,
            "SET retried_at_ms = :now",
            "#state = :pending AND asked_at_ms = :asked",
            {
                ":now": {"N": str(at_ms)},
                ":pending": {"S": EntryState.PENDING},
                ":asked": {"N": str(entry.asked_at_ms)},
            },
        )

    def get(self, shopper: str, sku: str) -> Entry | None:
        """The entry as it is now (a strongly consistent read)."""
        answer = self._client.get_item(
            TableName=self._name, Key={"shopper": {"S": shopper}, "sku": {"S": sku}}, ConsistentRead=True
        )
        item = answer.get("Item")
        return entry_from(item) if item else None

    def of_shopper(self, shopper: str) -> tuple[Entry, ...]:
        """Return every entry of a shopper, expired ones too, in the order of SKUs (strongly consistent)."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="shopper = :shopper",
            ExpressionAttributeValues={":shopper": {"S": shopper}},
            ConsistentRead=True,
        )
        return tuple(entry_from(item) for page in pages for item in page["Items"] if is_entry(item))

    def count_requested_email(
        self,
        inbox: str,
        *,
        at_ms: int,
        emails: int = 1,
        budget: str = "confirm",
        claim: Claim | None = None,
    ) -> bool:
        """Count one email that somebody asked for; false when those of the last 24 hours are used up.

        The cap is per inbox over all variants, so that nobody can be mail-bombed through the shop, and each
        kind of email has a `budget` of its own, so that nobody can use up another kind. An email that could
        not be sent is given back with `emails=-1`. The same write holds the `claim`, so that of the messages
        about one visit just one sends; that message again may send again. One read, one conditional write.

        Raises:
            AlreadyClaimed: another message's email covers what `claim` says.
            RuntimeError: others counted for the same inbox all the while; try again.
        """
        sku = f"{COUNTER_PREFIX}asked#{budget}"
        for _ in range(COUNT_TRIES_MAX):
            known = self._client.get_item(
                TableName=self._name, Key={"shopper": {"S": inbox}, "sku": {"S": sku}}, ConsistentRead=True
            ).get("Item")
            before = known["times"]["S"] if known else ""
            if claim and known and "claim" in known and claim.is_held(known["claim"]["S"]):
                raise AlreadyClaimed
            times = [time for time in map(int, before.split()) if time > at_ms - DAY_MS]
            if emails < 0:
                times.remove(at_ms if at_ms in times else times[-1])
            elif len(times) >= ASKED_EMAILS_PER_DAY_MAX:
                return False
            else:
                times.append(at_ms)
            if self._update(
                inbox,
                sku,
                f"SET expires_at_s = :expires, #times = :times{', claim = :claim' if claim else ''}",
                "#times = :before" if known else "attribute_not_exists(shopper)",
                {
                    ":times": {"S": " ".join(map(str, sorted(times)))},
                    ":expires": {"N": str(at_ms // 1000 + COUNTER_KEPT_S)},
                    **({":claim": {"S": claim.to_json()}} if claim else {}),
                    **({":before": {"S": before}} if known else {}),
                },
            ):
                return True
        raise RuntimeError("counted at the same time by too many")

    def count_asked_by_network(
        self, source: str, *, at_ms: int, limit: int, emails: int = 1, budget: str = "confirm"
    ) -> bool:
        """Count one email that a network asked for; false when the `limit` of 24 hours is used up.

        By the hour, in one row for each network and budget: one write, and one more to take back what is over
        the limit. An email that could not be sent is given back with `emails=-1`.
        """
        hour = at_ms // HOUR_MS
        names = {f"#h{age}": f"h{hour - age}" for age in (0, *range(HOURS_PER_DAY, 2 * HOURS_PER_DAY))}
        old = ", ".join(name for name in names if name != "#h0")
        row = {"shopper": {"S": source}, "sku": {"S": f"{COUNTER_PREFIX}network#{budget}"}}
        counted = self._client.update_item(
            TableName=self._name,
            Key=row,
            UpdateExpression=f"ADD #h0 :emails SET expires_at_s = :expires REMOVE {old}",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={
                ":emails": {"N": str(emails)},
                ":expires": {"N": str(at_ms // 1000 + COUNTER_KEPT_S)},
            },
            ReturnValues="ALL_NEW",
        )["Attributes"]
        hours = (counted.get(f"h{hour - age}", {"N": "0"})["N"] for age in range(HOURS_PER_DAY))
        if emails < 0 or sum(map(int, hours)) <= limit:
            return True
        self.count_asked_by_network(source, at_ms=at_ms, limit=limit, emails=-emails, budget=budget)
        return False

    def count_admission(self, entry: Entry) -> bool:
        """Count an entry that needed no confirmation; false when the day's are used up.

        By the entry and the time of its asking: counting it twice is counting it once.
        """
        return self._update(
            entry.shopper,
            f"{COUNTER_PREFIX}admissions#{_day(entry.asked_at_ms)}",
            "SET expires_at_s = :expires ADD admitted :asking",
            "attribute_not_exists(admitted) OR contains(admitted, :one) OR size(admitted) < :limit",
            {
                ":asking": {"SS": [f"{entry.sku}#{entry.asked_at_ms}"]},
                ":one": {"S": f"{entry.sku}#{entry.asked_at_ms}"},
                ":limit": {"N": str(ADMISSIONS_PER_DAY_MAX)},
                ":expires": {"N": str(entry.asked_at_ms // 1000 + COUNTER_KEPT_S)},
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


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


ENTRY_ATTRIBUTES = frozenset({"shopper", "sku", "mailbox", "state", "asked_at_ms"})


def is_entry(item: Mapping[str, Any] | None) -> bool:
    """Return whether a stored item, or a stream record's image, is an entry: the table has counters too."""
    return item is not None and item.keys() >= ENTRY_ATTRIBUTES


def entry_from(item: Mapping[str, Any]) -> Entry:
    """The entry of a stored item, or of a stream record's image."""
    return Entry(
        shopper=item["shopper"]["S"],
        sku=item["sku"]["S"],
        mailbox=item["mailbox"]["S"],
        state=EntryState(item["state"]["S"]),
        asked_at_ms=int(item["asked_at_ms"]["N"]),
        position=item.get("shard_position", {}).get("S"),
        expires_at_s=int(item["expires_at_s"]["N"]) if "expires_at_s" in item else None,
        page=item.get("page", {}).get("S", "/"),
        arrival=Arrival(item["arrival"]["S"]) if "arrival" in item else None,
        arrived_at_ms=int(item["arrived_at_ms"]["N"]) if "arrived_at_ms" in item else None,
        consent=item.get("consent", {}).get("S", ""),
        source=item.get("source", {}).get("S", ""),
    )
