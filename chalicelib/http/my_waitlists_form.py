"""The forms about all that a shopper waits for: to be sent the link, and behind the link."""

from http import HTTPStatus

from chalicelib.domain.address import Address
from chalicelib.domain.sku import SkuRefused, parse_sku
from chalicelib.http.forms import Body
from chalicelib.http.problem import FieldError, Problem
from chalicelib.http.signup_form import HONEYPOT, HONEYPOT_BEFORE, read_address
from chalicelib.http.token_form import bounded

ASKING_FIELDS = frozenset({"email", HONEYPOT, HONEYPOT_BEFORE})
LEAVING_FIELDS = frozenset({"token", "sku"})


def asking_address(body: Body) -> tuple[Address, bool]:
    """Return the address to send the link to, and whether the field no person sees was filled in.

    Raises:
        Problem: 400 no address, and what `Body.fields` raises.
    """
    fields = body.fields(ASKING_FIELDS)
    errors: list[FieldError] = []
    address = read_address(fields, errors)
    if address is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The form is not complete.",
            tuple(errors),
            back_path="/waitlist/my-waitlists",
        )
    return address, any(fields.get(HONEYPOT, ()))


def unsubscribe_choice(body: Body) -> tuple[str, str]:
    """The token of the link, and the SKU to leave: empty for all.

    Raises:
        Problem: 400 no token or no SKU of ours, and what `Body.fields` raises.
    """
    fields = body.fields(LEAVING_FIELDS)
    tokens, skus = fields.get("token", ()), fields.get("sku", ())
    if len(tokens) != 1 or len(skus) > 1:
        raise _no_choice()
    try:
        return bounded(tokens[0]), parse_sku(skus[0]) if skus else ""
    except SkuRefused as refused:
        raise _no_choice(
            FieldError("sku", "This shop sells nothing under that name.", particulars=refused.reason)
        ) from None


def _no_choice(*errors: FieldError) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "The form must have one token, and at most one SKU.", errors)
