"""Two of the three steps of a signup: parse its form (pure, with all errors), and write the answer.

The step between them is `chalicelib/services/signups.py`. A page of the answer shows what was requested, or
asks about a likely typing error, or has a form to send once more. It depends on what was posted and on
nothing that is stored of shoppers: it is the same if an address is known or not.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Request, Response

from chalicelib.domain.address import Address, AddressFault, AddressRefused, suggest_domain
from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.locales import root_of
from chalicelib.domain.signup import Honeypot, Rejected, SignupDecision, SignupForm, Stale
from chalicelib.domain.tokens import FormTokenOld, FormTokenRefused, FormTokens, Offer
from chalicelib.http.request import FieldError, Fields, Problem, RequestBody
from chalicelib.http.responses import accepted, html_page, see_other, wants_html
from chalicelib.log import log

if TYPE_CHECKING:
    from chalicelib.domain.product import Product
    from chalicelib.storefront.renderer import Renderer

# No person sees this field, and no program that fills in forms knows its name.
HONEYPOT = "knot"
# The field's name in pages that may still be in caches. Password managers fill it in, so it says nothing.
HONEYPOT_BEFORE = "website"
FILLED_IN = FieldError(
    HONEYPOT,
    "A field that nobody sees was filled in, perhaps by a program that fills in forms for you."
    " Nothing has been sent yet: press the button.",
).text
ADDRESS_ERRORS: Mapping[AddressFault, FieldError] = {
    AddressFault.NO_AT: FieldError("email", "An email address has an @ in it: name@example.com."),
    AddressFault.SEVERAL_AT: FieldError("email", "An email address has only one @."),
    AddressFault.NOTHING_BEFORE_AT: FieldError("email", "Something is missing before the @."),
    AddressFault.NOTHING_AFTER_AT: FieldError("email", "Something is missing after the @."),
    AddressFault.SPACE: FieldError("email", "An email address has no spaces in it."),
    AddressFault.DOT_ASTRAY: FieldError(
        "email", "There is a dot too many: at the beginning, at the end, beside the @ or beside another dot."
    ),
    AddressFault.NO_ENDING: FieldError("email", "The part after the @ has no ending, such as .com."),
    AddressFault.LETTERS_BEFORE_AT: FieldError(
        "email", "Before the @ we can only write to plain letters, digits and signs, without accents."
    ),
    AddressFault.TOO_LONG: FieldError("email", "This address is too long. Is it spelt right?"),
    AddressFault.OTHER: FieldError("email", "We cannot write to this address. Is it spelt right?"),
}
FIELDS = frozenset({"email", "sku", "page", "form_token", "undo", HONEYPOT, HONEYPOT_BEFORE})
UNDO_FIELDS = frozenset({"email", "sku", "undo"})
# Each SKU is an email of its own, and these are half of a day's: more is an error, none is dropped silently.
SKUS_PER_SIGNUP_MAX = 5
PAGE_CHARS_MAX = 200
# Only our own paths: one slash, then neither slash nor backslash, so that "//evil" is no page.
PAGE = re.compile(r"/(?:[a-z0-9][a-z0-9/-]*)?", re.ASCII)


def parse_signup(body: RequestBody, form_tokens: FormTokens) -> SignupForm:
    """Return the form of a request's body; `form_tokens` reads the shop's, as of today.

    Raises:
        Problem: 400 naming every field that is wrong, and as `RequestBody.fields`.
    """
    fields = body.fields(FIELDS)
    errors: list[FieldError] = []
    address = parse_address(fields, errors)
    offer, is_stale = _offer(fields, form_tokens, errors)
    skus = _skus(fields, offer, errors)
    page, undo = _only(fields, "page", errors), _only(fields, "undo", errors)
    if len(page) > PAGE_CHARS_MAX or (page and not PAGE.fullmatch(page)):
        errors.append(FieldError("page", "Must be a path of this shop."))
    if errors or address is None or offer is None:
        raise _incomplete(page, *errors)
    return SignupForm(
        address,
        skus,
        page or "/",
        fields["form_token"][0],
        offer,
        is_stale=is_stale,
        honeypot=any(fields.get(HONEYPOT, ())),
        wants_undo=bool(undo),
    )


def signup_problem(form: SignupForm, decision: Stale | Rejected) -> Problem:
    """Return the problem of a form that the shop did not take, to be sent once more if it is only stale."""
    match decision:
        case Rejected():
            error = FieldError("email", "Addresses there are thrown away. Use one that you will read later.")
            return _incomplete(form.page, error)
        case Stale(form_token):
            error = FieldError(
                "form_token", "This page had been open for very long. Nothing is lost: send it once more."
            )
            return Problem(
                HTTPStatus.BAD_REQUEST,
                "The form is from an old page.",
                (error,),
                back_path=form.page,
                again=form.fields_for(form.address.mailbox, form_token),
            )


def undo_form(body: RequestBody) -> tuple[Address, tuple[Sku, ...], str]:
    """Return the address, the SKUs and the token of the form that undoes a signup.

    Raises:
        Problem: 400 naming every field that is wrong, and as `RequestBody.fields`.
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


def _offer(fields: Fields, form_tokens: FormTokens, errors: list[FieldError]) -> tuple[Offer | None, bool]:
    """Return what the page of a form offered, and whether its token is too old."""
    try:
        return form_tokens.read(_only(fields, "form_token", errors)), False
    except FormTokenOld as old:
        return old.offer, True
    except FormTokenRefused:
        errors.append(FieldError("form_token", "Send this form from the product's page of this shop."))
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
        errors.append(ADDRESS_ERRORS[refused.fault])
        return None


def _only(fields: Fields, name: str, errors: list[FieldError]) -> str:
    values = fields.get(name, ("",))
    if len(values) != 1:
        errors.append(FieldError(name, "Give one, not several."))
    return values[0] if values else ""


def _incomplete(page: str, *errors: FieldError) -> Problem:
    back_path = page if PAGE.fullmatch(page) else "/"
    return Problem(HTTPStatus.BAD_REQUEST, "The form is not complete.", errors, back_path=back_path)


def answer_signup(
    request: Request,
    form: SignupForm,
    decision: SignupDecision,
    *,
    undo_token: Callable[[int], str],
    theme: "Callable[[], Renderer]",
    products_of: "Callable[[Sequence[Sku]], Mapping[Sku, Product]]",
) -> Response:
    """Return the answer to a form that was decided.

    Args:
        request: the form's request.
        form: the parsed form.
        decision: the service's decision.
        undo_token: returns the token that undoes the signup of a time in milliseconds.
        theme: returns the live theme, for a person.
        products_of: returns the products of SKUs, for a person.

    Raises:
        Problem: the decision is Stale or Rejected.
    """
    if isinstance(decision, Stale | Rejected):
        raise signup_problem(form, decision)
    by_script = not wants_html(request)
    if isinstance(decision, Honeypot):
        log("honeypot")
        if not by_script:
            fields = form.fields_for(form.address.mailbox)
            return once_more_page("/api/waitlist", fields, theme().for_root(root_of(form.page)))
    suggestion = suggest_domain(form.address)
    if by_script:
        return accepted(suggestion, undo_token(decision.at_ms) if form.wants_undo else None)
    try:
        renderer = theme().for_root(root_of(form.page))
        return signed_up_page(
            form, undo_token(decision.at_ms), renderer, products_of(form.skus), meant=suggestion
        )
    except Exception as error:  # noqa: BLE001 - the signup is stored, and this page always exists
        log("thanks_not_rendered", error=type(error).__name__)
        return see_other("/waitlist/thanks")


def signed_up_page(
    form: SignupForm,
    undo: str,
    renderer: "Renderer",
    products: "Mapping[Sku, Product]",
    *,
    meant: str | None = None,
) -> Response:
    """Say what was requested for which address, with a button that undoes it by the token `undo`.

    `products` are those of the form's SKUs; the page shows the SKU itself if the shop no longer sells it.
    With `meant`, the page asks first if the shopper meant that address, and has a button that takes it.
    """
    context: dict[str, Any] = {
        "items": [_item(sku, renderer, products.get(sku)) for sku in form.skus],
        "mailbox": form.address.mailbox,
        "fields": (("email", form.address.mailbox), *(("sku", sku) for sku in form.skus), ("undo", undo)),
    }
    if meant:
        page = renderer.page("did-you-mean.html", **context, meant=meant, meant_fields=form.fields_for(meant))
    else:
        page = renderer.page("signed-up.html", **context)
    return html_page(page, language=renderer.language)


def once_more_page(action: str, fields: Sequence[tuple[str, str]], renderer: "Renderer") -> Response:
    """Ask a person to send a form once more after a program filled in its honeypot. Robots stop there."""
    page = renderer.page(
        "form-again.html", action=action, problems=[renderer.gettext(FILLED_IN)], fields=tuple(fields)
    )
    return html_page(page, language=renderer.language)


def _item(sku: Sku, renderer: "Renderer", product: "Product | None") -> str:
    if product is None:
        return sku
    localized = renderer.localize(product)
    label = localized.variant(sku).label
    return f"{localized.title}, {label}" if label else localized.title
