"""Pages that answer a signup, for browsers without the shop's script: what was asked for, a slip of the
finger in the address, or a form to be sent once more.

Each goes by what was posted and by nothing that is stored of shoppers: it is the same whether an address is
known.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib.http.responses import html_page
from chalicelib.http.signup_form import FILLED_IN, SignupForm

if TYPE_CHECKING:
    from chalicelib.domain.product import Product
    from chalicelib.storefront.renderer import Renderer


def did_you_mean_page(form: SignupForm, meant: str, renderer: "Renderer", *, thanks_path: str) -> Response:
    """Ask whether `meant` was meant, after the form was taken as it is."""
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
    """Say what was asked for and for which address, with a button to undo it by the token `undo`.

    `products` are those of the form's SKUs; of one that the shop sells no more, the SKU itself is said.
    """
    page = renderer.page(
        "signed-up.html",
        items=[_item(sku, renderer, products.get(sku)) for sku in form.skus],
        mailbox=form.address.mailbox,
        fields=(("email", form.address.mailbox), *(("sku", sku) for sku in form.skus), ("undo", undo)),
    )
    return html_page(page, language=renderer.language)


def once_more_page(action: str, fields: Sequence[tuple[str, str]], renderer: "Renderer") -> Response:
    """Ask a person to send a form once more whose honeypot a program has filled in. Robots stop there."""
    page = renderer.page(
        "form-again.html", action=action, problems=[renderer.say(FILLED_IN)], fields=tuple(fields)
    )
    return html_page(page, language=renderer.language)


def _item(sku: str, renderer: "Renderer", product: "Product | None") -> str:
    if product is None:
        return sku
    localized = renderer.told(product)
    label = localized.variant(sku).label
    return f"{localized.title}, {label}" if label else localized.title
