"""The waitlist form of a product page."""

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from http import HTTPStatus

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.entry import OptIn
from chalicelib.domain.form_stamp import FormStamps, Offer, StampOld, StampRefused
from chalicelib.domain.refused_domains import is_listed
from chalicelib.domain.sku import SkuRefused, parse_sku
from chalicelib.http.forms import Body, Fields
from chalicelib.http.problem import FieldError, Problem

# No person sees this field, and no program that fills in forms knows its name.
HONEYPOT = "knot"
# The field's name in pages that may still be in caches. Password managers fill it in, so it says nothing.
HONEYPOT_BEFORE = "website"
FILLED_IN = FieldError(
    HONEYPOT,
    "A field that nobody sees was filled in, perhaps by a program that fills in forms for you."
    " Nothing has been sent yet: press the button.",
).text
FIELDS = frozenset({"email", "sku", "page", "stamp", "undo", HONEYPOT, HONEYPOT_BEFORE})
UNDO_FIELDS = frozenset({"email", "sku", "undo"})
# Each is an email of its own, and half of a day's: whoever asks for more is told, not silently left out.
SKUS_PER_SIGNUP_MAX = 5
PAGE_CHARS_MAX = 200
# Paths of our own only: one slash, then neither slash nor backslash, so that "//evil" is no page.
PAGE = re.compile(r"/(?:[a-z0-9][a-z0-9/-]*)?", re.ASCII)
# What the form says of our emails; a new text gets a new name.
CONSENTS = {
    OptIn.DOUBLE: "one-email-when-available-2026-11",
    OptIn.SINGLE: "one-email-when-available-at-once-2026-11",
}


@dataclass(frozen=True, slots=True)
class SignupForm:
    """A form that can be taken in. `trapped`: the field no person sees was filled in. `undoable`: the sender
    asks for a token to undo it by."""

    address: Address
    skus: tuple[str, ...]
    page: str
    stamp: str
    opt_in: OptIn
    trapped: bool
    undoable: bool = False

    @property
    def consent(self) -> str:
        """The name of the text on the page that the shopper agreed to."""
        return CONSENTS[self.opt_in]

    def fields_for(self, email: str) -> tuple[tuple[str, str], ...]:
        """The same form for `email`, to be sent once more."""
        skus = [("sku", sku) for sku in self.skus]
        return (("email", email), *skus, ("page", self.page), ("stamp", self.stamp))


def signup_form(
    body: Body,
    stamps: FormStamps,
    refused: Callable[[str], Set[str]],
    offered_now: Callable[[tuple[str, ...]], Offer],
) -> SignupForm:
    """The form of a request's body; `stamps` are the shop's, of today, and `refused` gives the domains of a
    list by its name. `offered_now` says on what terms a page made now would offer the same.

    Raises:
        Problem: naming every field that is wrong. One of a form that is good but for the age of its page
            has the form with it, stamped anew: nobody keeps terms alive that the shop has left.
    """
    fields = body.fields(FIELDS)
    errors: list[FieldError] = []
    address = read_address(fields, errors)
    offer, fresh = _offer(fields, stamps, errors)
    skus = _skus(fields, offer, errors)
    if (
        address
        and offer
        and offer.refused_domains
        and is_listed(address.domain, refused(offer.refused_domains))
    ):
        told = FieldError("email", "Addresses there are thrown away. Use one that you will read later.")
        errors.append(told)
    page = _only(fields, "page", errors)
    if len(page) > PAGE_CHARS_MAX or (page and not PAGE.fullmatch(page)):
        errors.append(FieldError("page", "Must be a path of this shop."))
    trapped = any(fields.get(HONEYPOT, ()))
    if errors or address is None or offer is None:
        back_path = page if PAGE.fullmatch(page) else "/"
        raise Problem(HTTPStatus.BAD_REQUEST, "The form is not complete.", tuple(errors), back_path=back_path)
    stamp = fields["stamp"][0] if fresh else stamps.stamp(offered_now(offer.sku_ids))
    undoable = any(fields.get("undo", ()))
    form = SignupForm(address, skus, page or "/", stamp, offer.opt_in, trapped, undoable)
    if not fresh:
        raise _sent_late(form)
    return form


def undo_form(body: Body) -> tuple[Address, tuple[str, ...], str]:
    """Read the form that undoes a signup: the address, the SKUs, and the token it was answered with.

    Raises:
        Problem: 400 naming every field that is wrong, and what `Body.fields` raises.
    """
    fields = body.fields(UNDO_FIELDS)
    errors: list[FieldError] = []
    address = read_address(fields, errors)
    skus = _skus(fields, None, errors)
    token = _only(fields, "undo", errors)
    if errors or address is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form is not complete.", tuple(errors))
    return address, skus, token


def undo_refused() -> Problem:
    """Return the problem of a token that undoes nothing: not ours, not for this address, or too old."""
    return Problem(
        HTTPStatus.GONE, "It is too late to undo this here. Each email has a way to leave the list."
    )


def _offer(fields: Fields, stamps: FormStamps, errors: list[FieldError]) -> tuple[Offer | None, bool]:
    """What the page of a form offered, and whether its stamp is still good."""
    try:
        return stamps.read(_only(fields, "stamp", errors)), True
    except StampOld as old:
        return old.offer, False
    except StampRefused:
        errors.append(FieldError("stamp", "Send this form from the product's page of this shop."))
        return None, False


def _skus(fields: Fields, offer: Offer | None, errors: list[FieldError]) -> tuple[str, ...]:
    given = fields.get("sku", ())
    if not given:
        errors.append(FieldError("sku", "Choose what you are waiting for."))
        return ()
    if len(given) > SKUS_PER_SIGNUP_MAX:
        errors.append(FieldError("sku", "Choose at most %(most)s.", {"most": SKUS_PER_SIGNUP_MAX}))
        return ()
    try:
        skus = tuple(dict.fromkeys(parse_sku(text) for text in given))
    except SkuRefused as refused:
        told = "This shop sells nothing under that name."
        errors.append(FieldError("sku", told, particulars=refused.reason))
        return ()
    if offer and not all(offer.has(sku) for sku in skus):
        errors.append(FieldError("sku", "This page does not offer that. Choose from what it shows."))
    return skus


def _sent_late(form: SignupForm) -> Problem:
    again = form.fields_for(form.address.mailbox)
    told = FieldError("stamp", "This page had been open for very long. Nothing is lost: send it once more.")
    return Problem(
        HTTPStatus.BAD_REQUEST, "The form is from an old page.", (told,), back_path=form.page, again=again
    )


def read_address(fields: Fields, errors: list[FieldError]) -> Address | None:
    """The address of a form's field `email`; None when it is none, and `errors` says why."""
    text = _only(fields, "email", errors).strip(" ")
    if not text:
        errors.append(FieldError("email", "Enter your email address."))
        return None
    try:
        return Address.parse(text)
    except AddressRefused as refused:
        told = "We cannot write to this address. Is it spelt right?"
        errors.append(FieldError("email", told, particulars=refused.reason))
        return None


def _only(fields: Fields, name: str, errors: list[FieldError]) -> str:
    values = fields.get(name, ())
    if len(values) > 1:
        errors.append(FieldError(name, "Give one, not several."))
    return values[0] if values else ""
