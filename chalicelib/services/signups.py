"""Decide and store signups. A flood is mostly signups, so each takes one conditional write and no read."""

from collections.abc import Callable, Sequence, Set

from chalicelib.domain.address import Address, is_listed
from chalicelib.domain.entry import OptIn, Signup
from chalicelib.domain.ids import Sku
from chalicelib.domain.signup import Accepted, Honeypot, Rejected, SignupDecision, SignupForm, Stale
from chalicelib.domain.tokens import Offer
from chalicelib.tables.entries import EntriesTable


def _no_domains(_: str) -> frozenset[str]:
    return frozenset()


def _no_renewal(_: Offer) -> str:
    raise ValueError("these signups renew no form tokens")


class Signups:
    """Decides and stores signups.

    `identity_key` makes a shopper's id of an address. `refused_domains` returns the domains of a list by its
    name; `renew_form_token` returns a new form token for an offer on an old page, on the terms of now.
    """

    def __init__(
        self,
        entries: EntriesTable,
        identity_key: bytes,
        clock_ms: Callable[[], int],
        *,
        refused_domains: Callable[[str], Set[str]] = _no_domains,
        renew_form_token: Callable[[Offer], str] = _no_renewal,
    ) -> None:
        self._entries = entries
        self._identity_key = identity_key
        self._clock_ms = clock_ms
        self._refused_domains = refused_domains
        self._renew_form_token = renew_form_token

    def decide(self, form: SignupForm, source: str | None = None) -> SignupDecision:
        """Decide a form, and store it if it is accepted.

        Args:
            form: the parsed form.
            source: the id of the network that it came from; None where it is not known.
        """
        domains = form.offer.refused_domains
        if domains and is_listed(form.address.domain, self._refused_domains(domains)):
            return Rejected(form.address.domain)
        if form.is_stale:
            return Stale(self._renew_form_token(form.offer))
        if form.honeypot:
            return Honeypot(self._clock_ms())
        return Accepted(
            self.sign_up(
                form.address,
                form.skus,
                page=form.page,
                consent=form.consent,
                opt_in=form.opt_in,
                source=source,
            )
        )

    def sign_up(
        self,
        address: Address,
        skus: Sequence[Sku],
        *,
        page: str,
        consent: str,
        opt_in: OptIn = OptIn.DOUBLE,
        source: str | None = None,
    ) -> int:
        """Store one entry for each of `skus`, by one conditional write each and without a read.

        The form's token proves that the shop sells them. The email that requests confirmation follows from
        the written row. Nothing shows whether the address was known before.

        Returns:
            The time of the signup in milliseconds, the same for each of `skus`. They are written in order, so
            that workers agree on the newest entry of a visit.
        """
        at_ms = self._clock_ms()
        shopper = address.shopper_id(self._identity_key)
        for sku in sorted(skus):
            signup = Signup(shopper, address.mailbox, sku, page, consent, opt_in, source)
            self._entries.sign_up(signup, at_ms=at_ms)
        return at_ms
