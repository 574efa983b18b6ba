"""Look up, erase or unblock one shopper, by the address that a merchant or an operator gives.

Nothing here writes a log: the caller notes each access first, by the shopper's id. An address is never
stored, except where the shopper put it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.aws.connections import code_of
from chalicelib.domain.address import Address
from chalicelib.domain.entry import EntryState
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.suppression import Suppression, SuppressionReason
from chalicelib.tables.suppressions import ShoppersTable, StoredEntry, SuppressionsTable

BECAUSE_CHARS_MAX = 200
NOT_SUPPRESSED_CODE = "NotFoundException"


class LiftRefused(Exception):
    """The shopper complained at `since_ms`, and nothing says that they asked for emails since."""

    def __init__(self, since_ms: int) -> None:
        super().__init__()
        self.since_ms = since_ms


class ReasonRefused(ValueError):
    """The reason for an action is empty, too long, or names the address."""


@dataclass(frozen=True, slots=True)
class ShopperRecord:
    """The rows of a shopper: the entries, expired ones too, and a suppression; None without one."""

    shopper: ShopperId
    entries: tuple[StoredEntry, ...]
    suppression: Suppression | None

    @property
    def is_known(self) -> bool:
        """Return whether anything is stored."""
        return bool(self.entries or self.suppression)

    @property
    def waiting_for(self) -> tuple[Sku, ...]:
        """The SKUs of confirmed entries."""
        found = (kept.entry for kept in self.entries)
        return tuple(entry.sku for entry in found if entry.state is EntryState.CONFIRMED)


@dataclass(frozen=True, slots=True)
class LiftedSuppression:
    """A suppression that is lifted (None: there was none), and a sentence about SES's own list."""

    shopper: ShopperId
    before: Suppression | None
    ses: str

    @property
    def is_complete(self) -> bool:
        """Return whether SES's list has the address no more."""
        return not self.ses.startswith("cannot")


class ShopperRecords:
    """Finds, erases and unblocks shoppers.

    Args:
        shoppers: the rows of a shopper.
        suppressions: the suppressions.
        identity: the key that makes ids of addresses.
        clock_ms: returns the time of now.
    """

    def __init__(
        self,
        shoppers: ShoppersTable,
        suppressions: SuppressionsTable,
        identity: bytes,
        clock_ms: Callable[[], int],
    ) -> None:
        self._shoppers = shoppers
        self._suppressions = suppressions
        self._identity = identity
        self._clock_ms = clock_ms

    def id_of(self, address: Address) -> ShopperId:
        """Return the id of the shopper with an address."""
        return address.shopper_id(self._identity)

    def of(self, shopper: ShopperId) -> ShopperRecord:
        """Return what is stored of a shopper. Changes nothing."""
        return ShopperRecord(shopper, self._shoppers.kept(shopper), self.suppression(shopper))

    def suppression(self, shopper: ShopperId) -> Suppression | None:
        """Return the suppression of a shopper; None without one."""
        history = self._suppressions.history(shopper)
        return history.suppression if history else None

    def erase(self, shopper: ShopperId) -> int:
        """Delete every row of a shopper, and return their number; a suppression stays, as an id."""
        return self._shoppers.erase(shopper)

    def require_liftable(self, shopper: ShopperId, *, shopper_asked: bool) -> Suppression | None:
        """Return the suppression that a lift would end; None without one.

        Raises:
            LiftRefused: the shopper complained, and did not ask for emails in writing.
        """
        before = self.suppression(shopper)
        if before and before.reason is SuppressionReason.COMPLAINED and not shopper_asked:
            raise LiftRefused(before.since_ms)
        return before

    def lift(
        self, address: Address, because: str, ses: Callable[[Address], str], *, shopper_asked: bool
    ) -> LiftedSuppression:
        """Allow emails to an address again.

        Args:
            address: the address.
            because: the reason, as `checked_reason` returns it; it is stored with the row.
            ses: takes the address off SES's own list, and returns a sentence with the result.
            shopper_asked: whether the shopper asked for emails in writing, which lifts a complaint too.

        Raises:
            LiftRefused: the shopper complained, and did not ask.
        """
        shopper, now_ms = self.id_of(address), self._clock_ms()
        before = self.require_liftable(shopper, shopper_asked=shopper_asked)
        if before:
            self._suppressions.change(
                shopper, lambda known: known.lifted_by_operator(at_ms=now_ms), at_ms=now_ms, because=because
            )
        return LiftedSuppression(shopper, before, ses(address))


# The attributes of an entry that a merchant reads; the others are for sending.
ENTRY_TIMES = ("signed_up_at_ms", "confirmed_at_ms", "notified_at_ms", "unsubscribed_at_ms")


def masked_document(address: Address, record: ShopperRecord, token: str) -> dict[str, Any]:
    """Return that a shopper is known, as JSON values, without what is known of them.

    Args:
        address: the address that was asked for, which is shown by its first letters.
        record: the rows of the shopper.
        token: that of a preview of erasing them.
    """
    return {
        "address": masked(address),
        "known": record.is_known,
        "entries": len(record.entries),
        "waiting": len(record.waiting_for),
        "suppressed": record.suppression is not None,
        "token": token,
    }


def shown_document(
    address: Address, record: ShopperRecord, titles: Mapping[Sku, str], token: str
) -> dict[str, Any]:
    """Return everything that is stored about a shopper as JSON values; `titles` are of products, by SKU."""
    return {
        **masked_document(address, record, token),
        "address": address.mailbox,
        "suppression": suppression_document(record.suppression) if record.suppression else None,
        "waitlists": [
            {
                "sku": kept.entry.sku,
                "title": titles.get(kept.entry.sku),
                "state": kept.entry.state.value,
                "page": kept.entry.page,
                **{name: kept.facts[name] for name in ENTRY_TIMES if name in kept.facts},
            }
            for kept in record.entries
        ],
    }


def checked_reason(text: str, address: Address) -> str:
    """Return the reason for an action about the shopper at `address`, as it is stored.

    Raises:
        ReasonRefused: it is empty, too long, or names the address.
    """
    text = text.strip()
    if not 0 < len(text) <= BECAUSE_CHARS_MAX:
        raise ReasonRefused(f"expected 1 to {BECAUSE_CHARS_MAX} characters")
    if names_address(text, address):
        raise ReasonRefused("it is kept: leave the address out of it")
    return text


def names_address(text: str, address: Address) -> bool:
    """Return whether a text has the address in it."""
    return address.key in text.lower()


def take_off_ses_list(ses: Any, address: Address) -> str:
    """Remove an address from SES's account-level list, and return a sentence with the result.

    SES stores addresses there as they were written in the email, and compares them exactly:
    https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list-tenant-level-manage.html
    """
    removed = False
    for spelling in dict.fromkeys((address.mailbox, address.key)):
        try:
            ses.delete_suppressed_destination(EmailAddress=spelling)
            removed = True
        except Exception as error:  # noqa: BLE001 - the caller says what did not work
            code = code_of(error)
            if code != NOT_SUPPRESSED_CODE:
                return f"cannot be changed ({code or type(error).__name__})"
    return "taken off it" if removed else "not on it"


def masked(address: Address) -> str:
    """Return an address by its first letters, which say nothing new to a reader who knows it: "a…@e…"."""
    local, _, domain = address.mailbox.rpartition("@")
    return f"{local[:1]}…@{domain[:1]}…"


def suppression_document(suppression: Suppression) -> dict[str, Any]:
    """Return a suppression as JSON values."""
    retry_at_ms = suppression.retry_at_ms
    return {
        "reason": suppression.reason.value,
        "since": iso_time(suppression.since_ms),
        "retry_from": None if retry_at_ms is None else iso_time(retry_at_ms),
    }


def iso_time(at_ms: int) -> str:
    """Return a time in milliseconds as text in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
