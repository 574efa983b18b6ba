"""A slip of the finger in an address, asked about on a page: for browsers without the shop's script."""

from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib.http.answers import html_page
from chalicelib.http.signup_form import SignupForm

if TYPE_CHECKING:
    from chalicelib.storefront.renderer import Renderer


def did_you_mean_page(form: SignupForm, meant: str, renderer: "Renderer", *, thanks_path: str) -> Response:
    """The page that asks whether `meant` was meant, after the form was taken as it is.

    It goes by what was typed and by nothing that is stored: it is the same whether an address is known.
    """
    page = renderer.page(
        "did-you-mean.html",
        typed=form.address.mailbox,
        meant=meant,
        fields=form.fields_for(meant),
        thanks_path=thanks_path,
    )
    return html_page(page, language=renderer.language)
