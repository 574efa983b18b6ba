"""A shopper's side of the waitlist, by the links in their emails: look, confirm, unsubscribe, export, erase.

`Waitlist` serves the links about single entries, `MyWaitlists` the link to everything of one shopper. Signing
up is in `signups`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.tokens import LinkRefused, LinkTokens, Purpose
from chalicelib.log import log
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductReader, stocked_with
from chalicelib.tables.suppressions import ShoppersTable, SuppressionsTable

# Bounds the requests of one call.
MOVES_FOLLOWED_MAX = 20


@dataclass(frozen=True, slots=True)
class LinkedEntry:
    """The entry of a signed link, for the page that the link opens.

    `product` and `variant` are None when the shop sells them no more. `orderable` says whether the shop had
    units a few seconds ago, `is_coming` whether it never had any.
    """

    product: Product | None
    variant: Variant | None
    state: EntryState
    orderable: bool = False
    is_coming: bool = False

    @property
    def confirmed(self) -> bool:
        """Return whether the shopper waits."""
        return self.state is EntryState.CONFIRMED

    @property
    def notified(self) -> bool:
        """Return whether the email was sent: the shopper no longer waits."""
        return self.state is EntryState.NOTIFIED

    @property
    def unsubscribed(self) -> bool:
        """Return whether the shopper has unsubscribed."""
        return self.state is EntryState.UNSUBSCRIBED

    @property
    def confirmable(self) -> bool:
        """Return whether the entry can still be confirmed."""
        return self.state is EntryState.PENDING and self.product is not None


class Waitlist:
    """Shows, confirms and ends the entries that a link is about."""

    def __init__(
        self,
        entries: EntriesTable,
        products: ProductReader,
        links: LinkTokens,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._products = products
        self._links = links
        self._clock_ms = clock_ms

    def entry_to_unsubscribe(self, token: str) -> LinkedEntry | None:
        """Return the entry that an unsubscribe link ends; None when it is gone. Changes nothing.

        An entry that was moved to another SKU is shown where it waits now.

        Raises:
            LinkRefused: no unsubscribe link of ours.
        """
        subject = self._links.read(Purpose.UNSUBSCRIBE, token)
        if subject.sku is None:
            raise LinkRefused
        get = partial(self._entries.get, subject.shopper)
        found = follow_moves(self._entries, subject.shopper, subject.sku, get)
        kept = [entry for entry in found if not entry.expired(at_ms=self._clock_ms())]
        waiting = (entry for entry in kept if entry.state is not EntryState.UNSUBSCRIBED)
        shown = next(waiting, kept[0] if kept else None)
        return self._linked(shown) if shown else None

    def linked_entries(self, purpose: Purpose, token: str) -> tuple[LinkedEntry, ...]:
        """Return the entries that a link is about, in its order, without the ones that are gone.

        Changes nothing.

        Raises:
            LinkRefused: no link of ours for `purpose`.
        """
        subject = self._links.read(purpose, token)
        found = (self._linked_entry(subject.shopper, sku) for sku in subject.skus)
        return tuple(linked for linked in found if linked is not None)

    def confirm(self, token: str) -> EntryState | None:
        """Confirm the pending entries of a link. Confirming twice is confirming once.

        Returns:
            CONFIRMED if any of the entries waits now, else NOTIFIED if any was notified before, else None:
            nothing is left to confirm.

        Raises:
            LinkRefused: no confirmation link of ours.
        """
        subject = self._links.read(Purpose.CONFIRM, token)
        states = {self._confirm(subject.shopper, sku) for sku in subject.skus}
        return next((state for state in (EntryState.CONFIRMED, EntryState.NOTIFIED) if state in states), None)

    def unsubscribe(self, token: str) -> None:
        """Unsubscribe the entry of a link, and each entry it was moved to. A repeat changes nothing.

        Raises:
            LinkRefused: no unsubscribe link of ours.
        """
        subject = self._links.read(Purpose.UNSUBSCRIBE, token)
        if subject.sku is None:
            raise LinkRefused
        unsubscribe_moved(self._entries, subject.shopper, subject.sku, at_ms=self._clock_ms())

    def undo(self, shopper: ShopperId, skus: Sequence[Sku], token: str) -> None:
        """Delete the entries that one signup stored for `shopper`, and nothing else.

        The caller does not learn whether there were any. Undoing twice is undoing once.

        Raises:
            LinkRefused: no token of ours for this shopper, or one that is too old.
        """
        signed_up_at_ms = self._links.read_undo(token, shopper)
        for sku in skus:
            self._entries.undo(shopper, sku, signed_up_at_ms=signed_up_at_ms)

    def products_of(self, skus: Sequence[Sku]) -> dict[Sku, Product]:
        """Return the products of variants by SKU, without the ones that the shop sells no more."""
        found = {sku: stocked_with(self._products, sku) for sku in skus}
        return {sku: stocked.product for sku, stocked in found.items() if stocked}

    def _linked_entry(self, shopper: ShopperId, sku: Sku) -> LinkedEntry | None:
        entry = self._entries.get(shopper, sku)
        if entry is None or entry.expired(at_ms=self._clock_ms()):
            return None
        return self._linked(entry)

    def _linked(self, entry: Entry) -> LinkedEntry:
        stocked, sku = stocked_with(self._products, entry.sku), entry.sku
        if stocked is None:
            return LinkedEntry(None, None, entry.state)
        variant = stocked.product.variant(sku)
        return LinkedEntry(
            stocked.product, variant, entry.state, stocked.can_buy(sku), stocked.is_coming(sku)
        )

    def _confirm(self, shopper: ShopperId, sku: Sku) -> EntryState | None:
        if self._entries.confirm(shopper, sku, at_ms=self._clock_ms()):
            return EntryState.CONFIRMED
        entry = self._entries.get(shopper, sku)
        return entry.state if entry else None


def unsubscribe_moved(entries: EntriesTable, shopper: ShopperId, sku: Sku, *, at_ms: int) -> None:
    """Unsubscribe the entry of a SKU, and each entry that it was moved to: one write if it was never moved.

    A shopper who signed up for the SKU again after the move has two entries, and an email about either has a
    link that looks the same to them: both end.
    """
    ended = follow_moves(entries, shopper, sku, partial(entries.unsubscribe, shopper, at_ms=at_ms))
    if len(ended) == MOVES_FOLLOWED_MAX:
        log("moves_not_followed", shopper=shopper, sku=sku)
        return
    # Only now: the same link follows the same moves again if this call breaks off.
    for entry in ended:
        if entry.moved_to:
            entries.forget_move(entry, at_ms=at_ms)


def follow_moves(
    entries: EntriesTable, shopper: ShopperId, sku: Sku, visit: Callable[[Sku], Entry | None]
) -> list[Entry]:
    """Visit the entry of a SKU and then each one that it was moved to; return those that exist, in order.

    A row that names its move is deleted if a signup after that expires or is undone. The entry that it was
    moved to names the SKU, too; it is looked for only then.
    """
    found: list[Entry] = []
    visited: set[Sku] = set()
    remaining = [sku]
    while remaining and len(visited) < MOVES_FOLLOWED_MAX:
        visited.add(sku := remaining.pop())
        entry = visit(sku)
        if entry is not None:
            found.append(entry)
            moved_to = [entry.moved_to] if entry.moved_to else []
        else:
            moved_to = [other.sku for other in entries.of_shopper(shopper) if other.moved_from == sku]
        remaining += [other for other in moved_to if other not in visited]
    return found


@dataclass(frozen=True, slots=True)
class Awaited:
    """One entry as its shopper reads it. `path` is empty when the shop no longer sells the product."""

    sku: Sku
    title: str
    label: str
    path: str
    state: str

    @property
    def can_unsubscribe(self) -> bool:
        """Return whether the shopper can still unsubscribe."""
        return self.state != EntryState.UNSUBSCRIBED


class MyWaitlists:
    """Lists, exports and ends everything that one shopper waits for.

    Every method takes the link's token, and raises LinkRefused when it is none of ours for this.
    """

    def __init__(
        self,
        entries: EntriesTable,
        shoppers: ShoppersTable,
        suppressions: SuppressionsTable,
        products: ProductReader,
        links: LinkTokens,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._shoppers = shoppers
        self._suppressions = suppressions
        self._products = products
        self._links = links
        self._clock_ms = clock_ms

    def awaited(self, token: str, localize: Callable[[Product], Product]) -> tuple[Awaited, ...]:
        """Return every entry that is stored about the shopper, by SKU. Changes nothing.

        Args:
            token: the link's token.
            localize: translates a product.
        """
        kept = self._shoppers.kept(self._shopper(token))
        return tuple(self._awaited(row.entry, localize) for row in kept)

    def export(self, token: str) -> dict[str, Any]:
        """Return every fact that is stored about the shopper, ready for JSON. Changes nothing.

        `mailbox` has bounces, complaints and a suppression, where there are any.
        """
        shopper = self._shopper(token)
        mailbox = self._suppressions.facts(shopper)
        entries = [dict(row.facts) for row in self._shoppers.kept(shopper)]
        return {"shopper": shopper, "entries": entries, **({"mailbox": mailbox} if mailbox else {})}

    def unsubscribe(self, token: str, sku: Sku | None = None) -> None:
        """Unsubscribe one entry, or all of them without a `sku`. Twice is once."""
        shopper = self._shopper(token)
        skus = [sku] if sku else [row.entry.sku for row in self._shoppers.kept(shopper)]
        for ended in skus:
            unsubscribe_moved(self._entries, shopper, ended, at_ms=self._clock_ms())

    def erase(self, token: str) -> None:
        """Erase the shopper; a suppression stays, so that they are not emailed again. Twice is once."""
        shopper = self._shopper(token)
        log("shopper_erased", shopper=shopper, rows=self._shoppers.erase(shopper))

    def _shopper(self, token: str) -> ShopperId:
        return self._links.read(Purpose.MY_WAITLISTS, token).shopper

    def _awaited(self, entry: Entry, localize: Callable[[Product], Product]) -> Awaited:
        state = "expired" if entry.expired(at_ms=self._clock_ms()) else entry.state.value
        stocked = stocked_with(self._products, entry.sku)
        if stocked is None:
            return Awaited(entry.sku, entry.sku, "", "", state)
        product = localize(stocked.product)
        return Awaited(
            entry.sku,
            product.title,
            product.variant(entry.sku).label,
            product.path_of(product.variant(entry.sku)),
            state,
        )
