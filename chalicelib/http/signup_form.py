"""Parse the waitlist form of a product page, and the form that undoes a signup: pure, with all errors."""

import re
from http import HTTPStatus

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.form_stamp import FormStamps, Offer, StampOld, StampRefused
from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.signup import Rejected, SignupForm, Stale
from chalicelib.http.problem import FieldError, Problem
from chalicelib.http.request import Body, Fields

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
# Each SKU is an email of its own, and these are half of a day's: more is an error, none is dropped silently.
SKUS_PER_SIGNUP_MAX = 5
PAGE_CHARS_MAX = 200
# Only our own paths: one slash, then neither slash nor backslash, so that "//evil" is no page.
PAGE = re.compile(r"/(?:[a-z0-9][a-z0-9/-]*)?", re.ASCII)


def parse_signup(body: Body, stamps: FormStamps) -> SignupForm:
    """Return the form of a request's body; `stamps` are the shop's, as of today.

    Raises:
        Problem: 400 naming every field that is wrong, and as `Body.fields`.
    """
    fields = body.fields(FIELDS)
    errors: list[FieldError] = []
    address = parse_address(fields, errors)
    offer, is_stale = _offer(fields, stamps, errors)
    skus = _skus(fields, offer, errors)
    page = _only(fields, "page", errors)
    if len(page) > PAGE_CHARS_MAX or (page and not PAGE.fullmatch(page)):
        errors.append(FieldError("page", "Must be a path of this shop."))
    if errors or address is None or offer is None:
        raise _incomplete(page, *errors)
    return SignupForm(
        address,
        skus,
        page or "/",
        fields["stamp"][0],
        offer,
        is_stale=is_stale,
        honeypot=any(fields.get(HONEYPOT, ())),
        wants_undo=any(fields.get("undo", ())),
    )


def signup_problem(form: SignupForm, decision: Stale | Rejected) -> Problem:
    """Return the problem of a form that the shop did not take, to be sent once more if it is only stale."""
    match decision:
        case Rejected():
            error = FieldError("email", "Addresses there are thrown away. Use one that you will read later.")
            return _incomplete(form.page, error)
        case Stale(stamp):
            error = FieldError(
                "stamp", "This page had been open for very long. Nothing is lost: send it once more."
            )
            return Problem(
                HTTPStatus.BAD_REQUEST,
                "The form is from an old page.",
                (error,),
                back_path=form.page,
                again=form.fields_for(form.address.mailbox, stamp),
            )


def undo_form(body: Body) -> tuple[Address, tuple[Sku, ...], str]:
    """Return the address, the SKUs and the token of the form that undoes a signup.

    Raises:
        Problem: 400 naming every field that is wrong, and as `Body.fields`.
    """
    fields = body.fields(UNDO_FIELDS)
    errors: list[FieldError] = []
    address = parse_address(fields, errors)
    skus = _skus(fields, None, errors)
    token = _only(fields, "undo", errors)
    if errors or address is None:
        raise _incomplete("/", *errors)
    return address, skus, token


def undo_refused() -> Problem:
    """Return the problem of a token that undoes nothing: not ours, for another address, or too old."""
    return Problem(
        HTTPStatus.GONE, "It is too late to undo this here. Each email has a way to leave the list."
    )


def _offer(fields: Fields, stamps: FormStamps, errors: list[FieldError]) -> tuple[Offer | None, bool]:
    """Return what the page of a form offered, and whether its stamp is too old."""
    try:
        return stamps.read(_only(fields, "stamp", errors)), False
    except StampOld as old:
        return old.offer, True
    except StampRefused:
        errors.append(FieldError("stamp", "Send this form from the product's page of this shop."))
        return None, False


def _skus(fields: Fields, offer: Offer | None, errors: list[FieldError]) -> tuple[Sku, ...]:
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
        errors.append(
            FieldError("sku", "This shop sells nothing under that name.", particulars=refused.reason)
        )
        return ()
    if offer and not all(offer.has(sku) for sku in skus):
        errors.append(FieldError("sku", "This page does not offer that. Choose from what it shows."))
    return skus


def parse_address(fields: Fields, errors: list[FieldError]) -> Address | None:
    """Return the address of a form's field `email`; None when it is none, and add to `errors`."""
    text = _only(fields, "email", errors).strip(" ")
    if not text:
        errors.append(FieldError("email", "Enter your email address."))
        return None
    try:
        return Address.parse(text)
    except AddressRefused as refused:
        errors.append(
            FieldError(
                "email", "We cannot write to this address. Is it spelt right?", particulars=refused.reason
            )
        )
        return None


def _only(fields: Fields, name: str, errors: list[FieldError]) -> str:
    values = fields.get(name, ())
    if len(values) > 1:
        errors.append(FieldError(name, "Give one, not several."))
    return values[0] if values else ""


def _incomplete(page: str, *errors: FieldError) -> Problem:
    back_path = page if PAGE.fullmatch(page) else "/"
    return Problem(HTTPStatus.BAD_REQUEST, "The form is not complete.", errors, back_path=back_path)
