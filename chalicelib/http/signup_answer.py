"""The answer to a signup, the third step: JSON for a script, or a page for a person.

A page says what was requested, or asks about a likely typing error, or has a form to send once more. It goes
by what was posted and by nothing that is stored of shoppers: it is the same if an address is known or not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib.domain.address import suggest_domain
from chalicelib.domain.locales import root_of
from chalicelib.domain.signup import Honeypot, Rejected, SignupDecision, SignupForm, Stale
from chalicelib.http.responses import accepted, html_page, see_other, wants_html
from chalicelib.http.signup_form import FILLED_IN, signup_problem
from chalicelib.log import log

if TYPE_CHECKING:
    from chalicelib.domain.product import Product
    from chalicelib.storefront.renderer import Renderer


def answer_signup(
    request: Request,
    form: SignupForm,
    decision: SignupDecision,
    *,
    undo_token: Callable[[int], str],
    theme: "Callable[[], Renderer]",
    products_of: "Callable[[Sequence[str]], Mapping[str, Product]]",
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
        if suggestion:
            thanks_path = f"{renderer.edition.root}/waitlist/thanks"
            return did_you_mean_page(form, suggestion, renderer, thanks_path=thanks_path)
        return signed_up_page(form, undo_token(decision.at_ms), renderer, products_of(form.skus))
    except Exception as error:  # noqa: BLE001 - the signup is stored, and this page always exists
        log("thanks_not_rendered", error=type(error).__name__)
        return see_other("/waitlist/thanks")


def did_you_mean_page(form: SignupForm, meant: str, renderer: "Renderer", *, thanks_path: str) -> Response:
    """Ask if the shopper meant the address `meant`, after the form was accepted unchanged."""
    page = renderer.page(
        "did-you-mean.html",
        typed=form.address.mailbox,
        meant=meant,
        fields=form.fields_for(meant),
        thanks_path=thanks_path,
    )
    return html_page(page, language=renderer.language)


def signed_up_page(
    form: SignupForm, undo: str, renderer: "Renderer", products: "Mapping[str, Product]"
) -> Response:
    """Say what was requested for which address, with a button that undoes it by the token `undo`.

    `products` are those of the form's SKUs; the page shows the SKU itself if the shop no longer sells it.
    """
    page = renderer.page(
        "signed-up.html",
        items=[_item(sku, renderer, products.get(sku)) for sku in form.skus],
        mailbox=form.address.mailbox,
        fields=(("email", form.address.mailbox), *(("sku", sku) for sku in form.skus), ("undo", undo)),
    )
    return html_page(page, language=renderer.language)


def once_more_page(action: str, fields: Sequence[tuple[str, str]], renderer: "Renderer") -> Response:
    """Ask a person to send a form once more after a program filled in its honeypot. Robots stop there."""
    page = renderer.page(
        "form-again.html", action=action, problems=[renderer.gettext(FILLED_IN)], fields=tuple(fields)
    )
    return html_page(page, language=renderer.language)


def _item(sku: str, renderer: "Renderer", product: "Product | None") -> str:
    if product is None:
        return sku
    localized = renderer.localize(product)
    label = localized.variant(sku).label
    return f"{localized.title}, {label}" if label else localized.title
