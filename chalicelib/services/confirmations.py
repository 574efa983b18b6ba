"""Confirmation emails: one for all signups of a visit, while they are still pending.

Each signup queues a message, and the email of a message lists every entry that the shopper has still to
confirm. A message that comes during a visit leaves the email to the message of the newest entry; of several
at once, the first one claims the email (`chalicelib.domain.entry.EmailClaim`).

An address whose emails bounced is suppressed. When its owner signs up again after some time, this email is
the only one that may leave, and its confirmation lifts the suppression: see `chalicelib.domain.suppression`.
"""

from collections.abc import Callable, Sequence

from chalicelib.domain.entry import CONFIRMED_AT_ONCE_MAX, EmailClaim, Entry, EntryState
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.stock import StockedProduct
from chalicelib.domain.tokens import fits_a_link
from chalicelib.log import log
from chalicelib.services.requested_emails import RequestedEmails
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductReader, stocked_with
from chalicelib.tables.suppressions import SuppressionsTable

# Entries, each with the product that its variant is of.
Due = Sequence[tuple[Entry, StockedProduct]]
# While a shopper goes on signing up, the first email waits at most so many times the length of a visit.
VISITS_MAX = 3


class Confirmations:
    """Sends confirmation emails. A visit ends `visit_s` seconds after its last signup."""

    def __init__(
        self,
        entries: EntriesTable,
        products: ProductReader,
        suppressions: SuppressionsTable,
        emails: RequestedEmails,
        clock_ms: Callable[[], int],
        *,
        visit_s: int = 0,
    ) -> None:
        self._entries = entries
        self._products = products
        self._suppressions = suppressions
        self._emails = emails
        self._clock_ms = clock_ms
        self._visit_ms = visit_s * 1000

    def send(self, shopper: ShopperId, sku: Sku) -> None:
        """Send the confirmation email of a shopper's pending entries, for the message about `sku`.

        Nothing is sent if no entry is pending, or if the email of another message lists them.

        Raises:
            SendRefused: the email was not taken and has to be tried again.
        """
        due = self._due(shopper)
        if not due:
            log("confirmation_not_due", shopper=shopper, sku=sku)
            return
        if not _fit(due):
            due = _fitting(due, sku)
        elif due[-1][0].sku != sku and self._goes_on([entry for entry, _ in due]):
            log("confirmation_left_to_newest", shopper=shopper, sku=sku)
            return
        if not self._may_email([entry for entry, _ in due]):
            log("confirmation_not_due", shopper=shopper, sku=sku)
            return
        self._emails.send(
            shopper,
            lambda composer: composer.confirm(due),
            claim=EmailClaim(shopper, sku, {entry.sku: entry.signed_up_at_ms for entry, _ in due}),
            source=due[-1][0].source,
        )

    def send_already_waiting(self, shopper: ShopperId, sku: Sku, source: str | None = None) -> None:
        """Send the email "you are on the list already" to a shopper who signed up again.

        Args:
            shopper: the shopper's id.
            sku: the variant.
            source: the id of the network that signed up, None where none is known.

        Raises:
            SendRefused: the email was not taken and has to be tried again.
        """
        entry = self._entries.get(shopper, sku)
        stocked = stocked_with(self._products, sku)
        stands = entry is not None and entry.state is EntryState.CONFIRMED
        if entry is None or stocked is None or not stands or self._suppressions.among([shopper]):
            log("already_not_due", shopper=shopper, sku=sku)
        else:
            self._emails.send(shopper, lambda composer: composer.already(entry, stocked), source=source)

    def _due(self, shopper: ShopperId) -> Due:
        """Return the entries that can be confirmed, by time of signup and then by SKU."""
        now_ms = self._clock_ms()
        pending = [
            entry
            for entry in self._entries.of_shopper(shopper)
            if entry.state is EntryState.PENDING and not entry.expired(at_ms=now_ms)
        ]
        return [
            (entry, stocked)
            for entry in sorted(pending, key=lambda entry: (entry.signed_up_at_ms, entry.sku))
            if (stocked := stocked_with(self._products, entry.sku)) is not None
        ]

    def _may_email(self, entries: Sequence[Entry]) -> bool:
        """Return whether the shopper of `entries`, the newest last, may be sent an email about them."""
        history = self._suppressions.history(entries[-1].shopper)
        return history is None or history.suppression is None or self._may_retry(entries)

    def _may_retry(self, entries: Sequence[Entry]) -> bool:
        newest = entries[-1]
        now_ms, signed_up_at_ms = self._clock_ms(), newest.signed_up_at_ms
        history = self._suppressions.change(
            newest.shopper,
            lambda known: known.retried(at_ms=now_ms, signed_up_at_ms=signed_up_at_ms),
            at_ms=now_ms,
        )
        # The other messages about that signup may send it too, and so may a repeated one.
        if not history.is_retrying or history.retried_for_ms != signed_up_at_ms:
            return False
        log("suppressed_shopper_asked", shopper=newest.shopper, sku=newest.sku)
        # The confirmation of any of them lifts the suppression.
        marked = [self._entries.mark_retry(entry, at_ms=now_ms) for entry in entries]
        return marked[-1]

    def _goes_on(self, entries: Sequence[Entry]) -> bool:
        """Return whether the newest entry's own message is still to come, and may be waited for."""
        ages_ms = [self._clock_ms() - entry.signed_up_at_ms for entry in entries]
        recent_ms = [age_ms for age_ms in ages_ms if age_ms < 2 * VISITS_MAX * self._visit_ms]
        return ages_ms[-1] < self._visit_ms and max(recent_ms) < VISITS_MAX * self._visit_ms


def _fit(due: Due) -> bool:
    return len(due) <= CONFIRMED_AT_ONCE_MAX and fits_a_link([entry.sku for entry, _ in due])


def _fitting(due: Due, sku: Sku) -> Due:
    """Split entries that are too many for one email; return the part with the entry of `sku`, else the last.

    The parts begin with the oldest entry, so that each message about an entry of a part finds the same part.
    """
    parts: list[list[tuple[Entry, StockedProduct]]] = [[]]
    for item in due:
        if not _fit([*parts[-1], item]):
            parts.append([])
        parts[-1].append(item)
    return next((part for part in parts if sku in {entry.sku for entry, _ in part}), parts[-1])


def lift_confirmed(suppressions: SuppressionsTable, shopper: ShopperId, *, at_ms: int) -> None:
    """Lift the suppression of a shopper who confirmed the email that left despite it.

    Neither a complaint is lifted, nor a bounce of a later email. Repeats change nothing.

    Raises:
        SuppressionBusy: others wrote the same row; the suppression stands.
    """
    history = suppressions.change(shopper, lambda known: known.confirmed(at_ms=at_ms), at_ms=at_ms)
    log("suppression_lifted", shopper=shopper, lifted=history.suppression is None)
