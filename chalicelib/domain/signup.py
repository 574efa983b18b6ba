"""A signup between its three steps: the form as it was parsed, and the four ways to decide it."""

from dataclasses import dataclass

from chalicelib.domain.address import Address
from chalicelib.domain.entry import OptIn
from chalicelib.domain.ids import Sku
from chalicelib.domain.tokens import Offer

# The name of the consent text on the page; a new text gets a new name.
CONSENTS = {
    OptIn.DOUBLE: "one-email-when-available-2026-11",
    OptIn.SINGLE: "one-email-when-available-at-once-2026-11",
}


@dataclass(frozen=True, slots=True)
class SignupForm:
    """A complete form. `offer` is what its page offered, by its form token.

    `is_stale`: the token is ours and too old. `honeypot`: the field that no person sees was filled in.
    `wants_undo`: the sender wants a token that undoes the signup.
    """

    address: Address
    skus: tuple[Sku, ...]
    page: str
    form_token: str
    offer: Offer
    is_stale: bool = False
    honeypot: bool = False
    wants_undo: bool = False

    @property
    def opt_in(self) -> OptIn:
        """The terms of the page."""
        return self.offer.opt_in

    @property
    def consent(self) -> str:
        """The name of the text on the page that the shopper agreed to."""
        return CONSENTS[self.opt_in]

    def fields_for(self, email: str, form_token: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the fields of the same form for `email`, to send once more, with another token if given."""
        skus = [("sku", sku) for sku in self.skus]
        return (("email", email), *skus, ("page", self.page), ("form_token", form_token or self.form_token))


@dataclass(frozen=True, slots=True)
class Accepted:
    """The signup is stored, at one time for each of its SKUs."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Honeypot:
    """A robot sent the form: nothing is stored, and a script gets the answer of an accepted signup."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Stale:
    """The page is too old: nothing is stored, and the form can be sent once more with this `form_token`."""

    form_token: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The shop refuses the address's `domain`: nothing is stored."""

    domain: str


SignupDecision = Accepted | Honeypot | Stale | Rejected
