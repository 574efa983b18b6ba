"""Rows of people that an operator imports, moves and reads. This module does not ship to Lambda.

Every write of an entry is conditional: an existing entry is never overwritten, and an unsubscribed one stays
unsubscribed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from chalicelib.container import Container
from chalicelib.domain.entry import CONFIRM_WITHIN_S, Arrival, Entry, EntryState, shard_of
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.tables.entries import (
    ENTRY_ATTRIBUTES,
    IS_NEW,
    IS_PENDING,
    OF_WAITING,
    STANDING,
    entry_of,
    is_entry,
    signed_up_at,
)
from chalicelib.tables.expressions import Attr, Condition
from chalicelib.tables.table import CONDITION_NOT_MET, Put, Table, Update

TRANSACTION_TRIES_MAX = 8
# Doubled with each try: 1 s in all, or a minute while DynamoDB gives the table more capacity.
CONFLICT_WAIT_S, THROTTLED_WAIT_S = 0.01, 0.5
THROTTLED = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})
CONSENT_TEXT_CHARS_MAX = 1000

Member = TypeVar("Member")


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of a person's consent: the tool, its file by digest, the row, and the row's text."""

    source: str
    file_sha256: str
    row: int
    asked_at: str
    text: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        """Return the proof as attributes of an entry."""
        texts = {
            "consent": f"imported:{self.source}",
            "consent_file_sha256": self.file_sha256,
            "consent_asked_at": self.asked_at,
            "consent_text": self.text,
        }
        return {**{name: text for name, text in texts.items() if text}, "consent_row": self.row}


@dataclass(frozen=True, slots=True)
class ImportedPerson:
    """A person to import; `position` is made from the time of their signup with the other tool."""

    shopper: ShopperId
    mailbox: str
    sku: Sku
    page: str
    signed_up_at_ms: int
    position: str
    proof: Proof = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """An entry as read, with everything in its row."""

    entry: Entry
    item: Mapping[str, Any]

    def number(self, name: str) -> int | None:
        """Return a number of the row; None where it has none of that name."""
        return int(self.item[name]) if name in self.item else None

    def text(self, name: str) -> str:
        """Return a text of the row; empty where it has none of that name."""
        return str(self.item.get(name, ""))


class EntriesBusy(RuntimeError):
    """Others wrote the same entries on every attempt, or the table took no more writes."""


class EntryRows:
    """Imports, moves and finds entries."""

    def __init__(self, client: Any, name: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.table = Table(client, name)
        self._sleep = sleep

    @classmethod
    def of(cls, tables: Container) -> "EntryRows":
        """Return the entries of a stage."""
        return cls(tables.client("dynamodb"), tables.settings.entries_table)

    def many(self, keys: Sequence[tuple[ShopperId, Sku]]) -> dict[tuple[ShopperId, Sku], KnownEntry]:
        """Return the entries of (shopper, SKU) that exist (strongly consistent reads)."""
        attributes = (
            *ENTRY_ATTRIBUTES,
            "shard_position",
            "expires_at_s",
            "consent_file_sha256",
            "arrived_at_ms",
        )
        items = self.table.batch_get([{"shopper": shopper, "sku": sku} for shopper, sku in keys], attributes)
        found = [KnownEntry(entry_of(item), item) for item in items if is_entry(item)]
        return {(known.entry.shopper, known.entry.sku): known for known in found}

    def get(self, shopper: ShopperId, sku: Sku) -> KnownEntry | None:
        """Return one entry with everything in its row (a strongly consistent read)."""
        item = self.table.get({"shopper": shopper, "sku": sku})
        return KnownEntry(entry_of(item), item) if item and is_entry(item) else None

    def of_sku(self, sku: Sku) -> Iterator[KnownEntry]:
        """Yield every entry for a variant, in any state, in no order: reads the whole table.

        The index of a waitlist has only confirmed entries, and is eventually consistent.
        """
        for item in self.table.scan(Attr("sku").eq(sku), consistent=True):
            if is_entry(item):
                yield KnownEntry(entry_of(item), item)

    def put_all(
        self, newcomers: Sequence[ImportedPerson], arrival: Arrival, *, ask: bool, at_ms: int
    ) -> frozenset[int]:
        """Put people on their waitlists by one transaction.

        An existing entry stays as it is. With `ask` the new entries are pending, and the stream's reaction to
        them sends the confirmation emails; each position is that of the signup with the other tool.

        Args:
            newcomers: at most 100 people.
            arrival: when they are notified of stock that there is already, if they need not confirm.
            ask: whether they have to confirm.
            at_ms: the time of the import.

        Returns:
            The indexes in `newcomers` of the people who were put on a waitlist.

        Raises:
            EntriesBusy: nothing of this call is written; the same call may be made again.
        """
        remaining = {
            number: _pending(newcomer, at_ms) if ask else _confirmed(newcomer, arrival, at_ms)
            for number, newcomer in enumerate(newcomers)
        }
        for attempt in range(TRANSACTION_TRIES_MAX):
            if not remaining:
                break
            puts = [Put(self.table, item, _is_free(at_ms)) for item in remaining.values()]
            reasons = self.table.transact(puts)
            if not reasons:
                break
            taken = {
                number
                for number, reason in zip(remaining, reasons, strict=True)
                if reason == CONDITION_NOT_MET
            }
            if not taken:
                self._pause(reasons, attempt)
            remaining = {number: item for number, item in remaining.items() if number not in taken}
        else:
            raise EntriesBusy("the table takes no more writes now")
        return frozenset(remaining)

    def move(
        self, known: KnownEntry, sku: Sku, there: KnownEntry | None, arrival: Arrival, *, at_ms: int
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
            "sku": sku,
            "moved_from": known.entry.sku,
            # A person who confirms later is notified then.
            "arrival": Arrival.NOW,
            "arrived_at_ms": at_ms,
        }
        if known.entry.state is EntryState.CONFIRMED:
            item |= {"arrival": arrival, "shard": shard_of(sku, shopper)}
        put = Put(self.table, item, _is_as_read(there) if there else IS_NEW)
        return self._transact([self._taking_off(known, sku, at_ms), put])

    def move_ahead(self, known: KnownEntry, there: KnownEntry, *, at_ms: int) -> bool:
        """Give the entry of the other SKU, which waits too, the earlier position of this one; see `move`."""
        ahead = Update(
            self.table,
            _key(there.entry),
            {"shard_position": known.entry.position or "", "moved_from": known.entry.sku},
            condition=_is_as_read(there),
        )
        return self._transact([self._taking_off(known, there.entry.sku, at_ms), ahead])

    def take_off(self, known: KnownEntry, sku: Sku, *, at_ms: int) -> bool:
        """Take an entry off its waitlist, since the shopper has one for `sku` that counts; see `move`."""
        return self._transact([self._taking_off(known, sku, at_ms)])

    def _taking_off(self, known: KnownEntry, sku: Sku, at_ms: int) -> Update:
        return Update(
            self.table,
            _key(known.entry),
            {"state": EntryState.UNSUBSCRIBED, "unsubscribed_at_ms": at_ms, "moved_to": sku},
            remove=OF_WAITING,
            condition=_is_as_read(known),
        )

    def _transact(self, writes: Sequence[Put | Update]) -> bool:
        for attempt in range(TRANSACTION_TRIES_MAX):
            reasons = self.table.transact(writes)
            if not reasons:
                return True
            if CONDITION_NOT_MET in reasons:
                return False
            self._pause(reasons, attempt)
        return False

    def _pause(self, reasons: Iterable[str], attempt: int) -> None:
        first_s = CONFLICT_WAIT_S if THROTTLED.isdisjoint(reasons) else THROTTLED_WAIT_S
        if attempt + 1 < TRANSACTION_TRIES_MAX:
            self._sleep(first_s * 2**attempt)


def _confirmed(newcomer: ImportedPerson, arrival: Arrival, at_ms: int) -> dict[str, Any]:
    return {
        **_imported(newcomer, arrival, at_ms),
        "state": EntryState.CONFIRMED,
        "signed_up_at_ms": newcomer.signed_up_at_ms,
        "confirmed_at_ms": newcomer.signed_up_at_ms,
        "shard": shard_of(newcomer.sku, newcomer.shopper),
        **STANDING,
    }


def _pending(newcomer: ImportedPerson, at_ms: int) -> dict[str, Any]:
    return {
        **_imported(newcomer, Arrival.NOW, at_ms),
        "state": EntryState.PENDING,
        "signed_up_at_ms": at_ms,
        "expires_at_s": at_ms // 1000 + CONFIRM_WITHIN_S,
    }


def _imported(newcomer: ImportedPerson, arrival: Arrival, at_ms: int) -> dict[str, Any]:
    return {
        "shopper": newcomer.shopper,
        "sku": newcomer.sku,
        "mailbox": newcomer.mailbox,
        "page": newcomer.page,
        "shard_position": newcomer.position,
        "arrival": arrival,
        "arrived_at_ms": at_ms,
        **newcomer.proof.attributes,
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


def _key(entry: Entry) -> dict[str, str]:
    return {"shopper": entry.shopper, "sku": entry.sku}


def _is_free(at_ms: int) -> Condition:
    # A pending entry past its time counts as gone; DynamoDB may delete it days later.
    return IS_NEW | IS_PENDING & Attr("expires_at_s").lte(at_ms // 1000)


def _is_as_read(known: KnownEntry) -> Condition:
    """Require that an entry is as it was read: its state, its signup, its position."""
    entry, position = known.entry, Attr("shard_position")
    stands = position.not_exists() if entry.position is None else position.eq(entry.position)
    return Attr("state").eq(entry.state) & signed_up_at(entry.signed_up_at_ms) & stands


def chunks(of: Iterable[Member], size: int) -> Iterator[list[Member]]:
    """Yield lists of at most `size`, in order."""
    rest = iter(of)
    while chunk := list(islice(rest, size)):
        yield chunk
