"""The entries table: one row per (shopper, SKU). Reads and writes of a fan-out are in `shards`.

Partition key `shopper`, sort key `sku`: a million signups for one SKU spread over a million partitions. The
index `shard` is sparse: only confirmed entries have its key, so it holds exactly the entries that wait,
sharded by a hash of the shopper and sorted by position.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import (
    ALREADY_EMAIL_EVERY_S,
    CONFIRM_WITHIN_S,
    DAY_MS,
    HOUR_MS,
    REQUESTED_EMAILS_PER_DAY_MAX,
    SIGN_UP_COOL_DOWN_S,
    SINGLE_OPT_INS_PER_DAY_MAX,
    Arrival,
    EmailClaim,
    Entry,
    EntryState,
    OptIn,
    Signup,
    position_of,
    shard_of,
)
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.tables.expressions import Attr, Condition, Item, Param, decode_item, if_not_exists
from chalicelib.tables.table import PreparedUpdate, Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

COUNTER_KEPT_S = 2 * 24 * 3600
COUNT_TRIES_MAX = 20
HOURS_PER_DAY = 24
# A shopper's counters are rows beside their entries: no SKU begins with a space.
COUNTER_PREFIX = " "
# Attributes of confirmed entries alone: a repeated signup takes its state and its time to live from them.
# `kept_until_s` is the year 9999, which DynamoDB's TTL takes for never.
STANDING = {"standing": EntryState.CONFIRMED, "kept_until_s": 253402300799}
# Attributes that an unsubscribed entry does not have.
OF_WAITING = ("shard", "shard_position", "expires_at_s", *STANDING, "again_at_ms", "source")

IS_NEW = Attr("shopper").not_exists()
EXISTS = Attr("shopper").exists()
IS_OVER = Attr("state").is_in(EntryState.UNSUBSCRIBED, EntryState.NOTIFIED)
IS_FREE = IS_NEW | IS_OVER
IS_UNSUBSCRIBED = Attr("state").eq(EntryState.UNSUBSCRIBED)
IS_PENDING = Attr("state").eq(EntryState.PENDING)
IS_CONFIRMED = Attr("state").eq(EntryState.CONFIRMED)
STAYS_CONFIRMED = Attr("standing").eq(EntryState.CONFIRMED)
IS_NOT_REPEATED = Attr("again_at_ms").not_exists()


def signed_up_at(at_ms: int) -> Condition:
    """Require that the last signup is the one of this time."""
    return Attr("signed_up_at_ms").eq(at_ms)


def signed_up_before(at_ms: int | Param) -> Condition:
    """Require that the last signup is older."""
    return Attr("signed_up_at_ms").lt(at_ms)


def was_not_repeated_since(at_ms: int | Param) -> Condition:
    """Require that no repeated signup was stored since then."""
    return IS_NOT_REPEATED | Attr("again_at_ms").lt(at_ms)


class AlreadyClaimed(Exception):
    """Another message has sent, or is about to send, the email that covers the same signups."""


class EntriesTable:
    """Changes of one shopper's entry. Every method is one request, unless it says otherwise."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)
        # By single opt-in, and by a known source: written once, for a flood makes this request only.
        self._signups: dict[tuple[bool, bool], PreparedUpdate] = {}

    def sign_up(self, signup: Signup, *, at_ms: int) -> bool:
        """Store a signup by one conditional write, with no read before it.

        A pending entry that was signed up within the cool-down stays as it is. An unsubscribed or notified
        one starts again at the end of the shard. A confirmed one stays confirmed and keeps its position;
        once a day this stores that it was signed up again, which the stream sees (see `keep`). With single
        opt-in this write confirms the entry and puts it into the shard.

        Returns:
            False when the signup changes nothing.
        """
        single, source = signup.opt_in is OptIn.SINGLE, signup.source is not None
        write = self._signups.get((single, source))
        if write is None:
            write = self._signups[single, source] = self._prepare_signup(single=single, source=source)
        return write.make(
            _key(signup.shopper, signup.sku),
            mailbox=signup.mailbox,
            now_ms=at_ms,
            page=signup.page,
            consent=signup.consent,
            source=signup.source,
            position=position_of(at_ms, signup.shopper),
            shard=shard_of(signup.sku, signup.shopper) if single else None,
            expires_at_s=at_ms // 1000 + CONFIRM_WITHIN_S,
            cooled_down_ms=at_ms - SIGN_UP_COOL_DOWN_S * 1000,
            day_ago_ms=at_ms - ALREADY_EMAIL_EVERY_S * 1000,
        )

    def _prepare_signup(self, *, single: bool, source: bool) -> PreparedUpdate:
        now_ms = Param("now_ms")
        signed_up = {
            "mailbox": Param("mailbox"),
            "signed_up_at_ms": now_ms,
            "page": Param("page"),
            "consent": Param("consent"),
            **({"source": Param("source")} if source else {}),
        }
        # Each signup gives its own.
        key = _key(ShopperId(""), Sku(""))
        if single:
            confirmed = {
                "state": EntryState.CONFIRMED,
                "confirmed_at_ms": now_ms,
                "shard": Param("shard"),
                **STANDING,
            }
            return PreparedUpdate(
                Update(
                    self.table,
                    key,
                    {**signed_up, **confirmed, "shard_position": Param("position")},
                    remove=("expires_at_s", "unsubscribed_at_ms", "again_at_ms"),
                    condition=IS_FREE | IS_PENDING,
                )
            )
        return PreparedUpdate(
            Update(
                self.table,
                key,
                {
                    **signed_up,
                    "again_at_ms": now_ms,
                    "state": if_not_exists("standing", EntryState.PENDING),
                    "expires_at_s": if_not_exists("kept_until_s", Param("expires_at_s")),
                    "shard_position": if_not_exists("shard_position", Param("position")),
                },
                remove=("unsubscribed_at_ms",),
                condition=IS_FREE
                | IS_PENDING & signed_up_before(Param("cooled_down_ms"))
                | STAYS_CONFIRMED & was_not_repeated_since(Param("day_ago_ms")),
            )
        )

    def rejoin(self, entry: Entry) -> bool:
        """Move an entry whose earlier signup expired to the end of the shard.

        It is not in the shard until it is confirmed, so no fan-out reads it in between. False when there was
        another signup since.
        """
        position = position_of(entry.signed_up_at_ms, entry.shopper)
        return self._change_pending(entry, {"shard_position": position})

    def keep(self, before: Entry, again: Entry) -> bool:
        """Set a confirmed entry back to what it was `before` it was signed up `again`.

        A repeated signup, which anybody can send, overwrites the time, the page and the consent of the one
        that was confirmed. False when there was another signup since. A repeat changes nothing.
        """
        return self.table.update_if(
            _key(before.shopper, before.sku),
            IS_CONFIRMED & signed_up_at(again.signed_up_at_ms),
            {
                "mailbox": before.mailbox,
                "signed_up_at_ms": before.signed_up_at_ms,
                "page": before.page,
                "consent": before.consent or "",
            },
            remove=("expires_at_s", "source"),
        )

    def confirm(self, shopper: ShopperId, sku: Sku, *, at_ms: int) -> bool:
        """Put a pending entry into the shard; false when there is none, or it has expired."""
        return self.table.update_if(
            _key(shopper, sku),
            IS_PENDING & Attr("expires_at_s").gt(at_ms // 1000),
            _confirmed(sku, shopper, at_ms),
            remove=("expires_at_s", "again_at_ms", "source"),
        )

    def unsubscribe(self, shopper: ShopperId, sku: Sku, *, at_ms: int) -> Entry | None:
        """Unsubscribe an entry for good, and return it; None when there is none. A repeat changes nothing."""
        since_ms = if_not_exists("unsubscribed_at_ms", at_ms)
        values = {"state": EntryState.UNSUBSCRIBED, "unsubscribed_at_ms": since_ms}
        ended = Update(self.table, _key(shopper, sku), values, remove=OF_WAITING, condition=EXISTS)
        item = self.table.update_and_get(ended)
        return entry_of(item) if item else None

    def forget_move(self, moved: Entry, *, at_ms: int) -> bool:
        """Remove the move of an entry that its shopper unsubscribed; false when it has changed since."""
        return self.table.update_if(
            _key(moved.shopper, moved.sku),
            IS_UNSUBSCRIBED & Attr("moved_to").eq(moved.moved_to),
            {"unsubscribed_at_ms": at_ms},
            remove=("moved_to",),
        )

    def undo(self, shopper: ShopperId, sku: Sku, *, signed_up_at_ms: int) -> bool:
        """Delete an entry that the signup of `signed_up_at_ms` made; false when it made none.

        An entry that was pending before keeps its position when it is signed up again, so a position of
        that very time means that there was none before. An entry confirmed since then stays.
        """
        is_confirmed_at_once = IS_CONFIRMED & Attr("confirmed_at_ms").eq(signed_up_at_ms)
        return self.table.delete_if(
            _key(shopper, sku),
            signed_up_at(signed_up_at_ms)
            & Attr("shard_position").eq(position_of(signed_up_at_ms, shopper))
            & (IS_PENDING | is_confirmed_at_once),
        )

    def mark_retry(self, entry: Entry, *, at_ms: int) -> bool:
        """Mark a pending entry whose confirmation lifts a suppression; false when it has changed."""
        return self._change_pending(entry, {"retried_at_ms": at_ms})

    def get(self, shopper: ShopperId, sku: Sku) -> Entry | None:
        """Return the entry as it is now (a strongly consistent read)."""
        item = self.table.get(_key(shopper, sku))
        return entry_of(item) if item else None

    def of_shopper(self, shopper: ShopperId) -> tuple[Entry, ...]:
        """Return every entry of a shopper, expired ones too, in the order of SKUs (strongly consistent)."""
        items = self.table.query_all(Attr("shopper").eq(shopper))
        return tuple(entry_of(item) for item in items if is_entry(item))

    def count_requested_email(
        self,
        inbox: str,
        *,
        at_ms: int,
        emails: int = 1,
        budget: str = "confirm",
        claim: EmailClaim | None = None,
    ) -> bool:
        """Count one requested email; false when the limit of the last 24 hours is reached.

        The limit is per inbox over all SKUs, which prevents mail bombs, and each kind of email has its own
        `budget`. `emails=-1` gives back the email that was counted at `at_ms` and could not be sent; a
        repeat changes nothing. The same write stores the `claim`, so that one of the messages about one
        visit sends; a repeat of that message may send again. One read, one conditional write.

        Raises:
            AlreadyClaimed: another message's email covers the signups of `claim`.
            RuntimeError: others counted for the same inbox on every attempt; try again.
        """
        key = _counter_key(inbox, f"requested#{budget}")
        for _ in range(COUNT_TRIES_MAX):
            known = self.table.get(key)
            before = known["times"] if known else ""
            if claim and known and "claim" in known and claim.is_held(known["claim"]):
                raise AlreadyClaimed
            times = [time for time in map(int, before.split()) if time > at_ms - DAY_MS]
            if emails < 0:
                if at_ms not in times:
                    return True
                times.remove(at_ms)
            elif len(times) >= REQUESTED_EMAILS_PER_DAY_MAX:
                return False
            else:
                times.append(at_ms)
            counted = {
                "expires_at_s": at_ms // 1000 + COUNTER_KEPT_S,
                "times": " ".join(map(str, sorted(times))),
                **({"claim": claim.to_json()} if claim else {}),
            }
            if self.table.update_if(key, Attr("times").eq(before) if known else IS_NEW, counted):
                return True
        raise RuntimeError("counted at the same time by too many")

    def count_requested_by_network(
        self, source: str, *, at_ms: int, limit: int, emails: int = 1, budget: str = "confirm"
    ) -> bool:
        """Count one email that a network requested; false when the `limit` of 24 hours is reached.

        Counts by the hour, in one row for each network and budget: one write, and one more to take back an
        email over the limit. `emails=-1` gives back an email that could not be sent.
        """
        hour = at_ms // HOUR_MS
        row = self.table.update_and_get(
            Update(
                self.table,
                _counter_key(source, f"network#{budget}"),
                {"expires_at_s": at_ms // 1000 + COUNTER_KEPT_S},
                remove=[f"h{hour - age}" for age in range(HOURS_PER_DAY, 2 * HOURS_PER_DAY)],
                add={f"h{hour}": emails},
            )
        )
        counts = [row.get(f"h{hour - age}", 0) for age in range(HOURS_PER_DAY)] if row else []
        if emails < 0 or sum(counts) <= limit:
            return True
        self.count_requested_by_network(source, at_ms=at_ms, limit=limit, emails=-emails, budget=budget)
        return False

    def count_single_opt_in(self, entry: Entry) -> bool:
        """Count an entry of single opt-in; false when the day's limit is reached.

        The entry and the time of its signup identify it, so that a repeat counts nothing.
        """
        day = datetime.fromtimestamp(entry.signed_up_at_ms / 1000, UTC).date().isoformat()
        signup = f"{entry.sku}#{entry.signed_up_at_ms}"
        admitted = Attr("admitted")
        return self.table.update_if(
            _counter_key(entry.shopper, f"single-opt-ins#{day}"),
            admitted.not_exists()
            | admitted.contains(signup)
            | admitted.is_smaller_than(SINGLE_OPT_INS_PER_DAY_MAX),
            {"expires_at_s": entry.signed_up_at_ms // 1000 + COUNTER_KEPT_S},
            add={"admitted": {signup}},
        )

    def _change_pending(self, entry: Entry, values: dict[str, Any]) -> bool:
        is_same_signup = IS_PENDING & signed_up_at(entry.signed_up_at_ms)
        return self.table.update_if(_key(entry.shopper, entry.sku), is_same_signup, values)


def _key(shopper: ShopperId, sku: Sku) -> dict[str, str]:
    return {"shopper": shopper, "sku": sku}


def _counter_key(counted: str, counter: str) -> dict[str, str]:
    """Return the key of a counter of a shopper, an inbox or a network, by its id."""
    return {"shopper": counted, "sku": COUNTER_PREFIX + counter}


def _confirmed(sku: Sku, shopper: ShopperId, at_ms: int) -> dict[str, Any]:
    return {
        "state": EntryState.CONFIRMED,
        "confirmed_at_ms": at_ms,
        "shard": shard_of(sku, shopper),
        **STANDING,
    }


ENTRY_ATTRIBUTES = frozenset({"shopper", "sku", "mailbox", "state", "signed_up_at_ms"})


def is_entry(item: Mapping[str, Any] | None) -> bool:
    """Return whether a stored item, or a stream record's image, is an entry: the table has counters too."""
    return item is not None and item.keys() >= ENTRY_ATTRIBUTES


def entry_from(image: Mapping[str, Any]) -> Entry:
    """Return the entry of a stream record's image, which has AttributeValues."""
    return entry_of(decode_item(image))


def entry_of(item: Item) -> Entry:
    """Return the entry of an item."""
    return Entry(
        shopper=item["shopper"],
        sku=item["sku"],
        mailbox=item["mailbox"],
        state=EntryState(item["state"]),
        signed_up_at_ms=item["signed_up_at_ms"],
        position=item.get("shard_position"),
        expires_at_s=item.get("expires_at_s"),
        page=item.get("page", "/"),
        arrival=Arrival(item["arrival"]) if "arrival" in item else None,
        arrived_at_ms=item.get("arrived_at_ms"),
        consent=item.get("consent") or None,
        source=item.get("source"),
        moved_to=item.get("moved_to"),
        moved_from=item.get("moved_from"),
    )
