"""Every kind of page that a person may see, and how to come to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playwright.sync_api import Page

if TYPE_CHECKING:
    from tests.browser.conftest import Post

BAD_ADDRESS = "ada@nowhere"
"""Good enough for a browser's own check, and no address for the shop."""
ADDRESS_WITH_A_SLIP = "ada@gmial.com"
SOLD_OUT_PAGE, SOLD_OUT_SKU = "/products/bucket-hat", "BH-SM"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo is, the emails that were sent, and the form token of a page that is too old."""

    shop_url: str
    inbox_url: str
    post: "Post"
    old_form_token: str


@dataclass(frozen=True, slots=True)
class Kind:
    """`status` is what the server answers with."""

    go: Callable[[Page, Place], object]
    status: int = 200


def _shop(path: str, status: int = 200) -> Kind:
    return Kind(lambda page, place: page.goto(f"{place.shop_url}{path}"), status)


def _inbox(path: Callable[[Place], str], status: int = 200) -> Kind:
    return Kind(lambda page, place: page.goto(f"{place.inbox_url}{path(place)}"), status)


def _form_problem(page: Page, place: Place) -> None:
    _sign_up(page, place, BAD_ADDRESS)


def _did_you_mean(page: Page, place: Place) -> None:
    _sign_up(page, place, ADDRESS_WITH_A_SLIP)


def _form_again(page: Page, place: Place) -> None:
    _sign_up(page, place, "ada@example.com", form_token=place.old_form_token)


def _sign_up(page: Page, place: Place, mailbox: str, *, form_token: str | None = None) -> None:
    page.goto(f"{place.shop_url}{SOLD_OUT_PAGE}")
    if form_token:
        page.locator("#waitlist [name=form_token]").evaluate(
            "(field, form_token) => { field.value = form_token; }", form_token
        )
    page.locator(f"[name=sku][value={SOLD_OUT_SKU}]").check()
    page.get_by_label("Your email address").fill(mailbox)
    with page.expect_navigation():
        # Sent by the form itself, as without the script.
        page.locator("#waitlist").evaluate("form => form.submit()")


KINDS: Mapping[str, Kind] = {
    "home": _shop("/"),
    "category": _shop("/shop/outerwear"),
    "everything": _shop("/shop/all"),
    "product, some variants sold out": _shop("/products/field-jacket"),
    "product, in stock": _shop("/products/chore-coat"),
    "product, all sold out": _shop("/products/bucket-hat"),
    "product, one variant": _shop("/products/forecast-tote"),
    "product, pre-order": _shop("/products/wool-overcoat"),
    "tag": _shop("/tags/wool"),
    "search": _shop("/search"),
    "home, in German": _shop("/de"),
    "product, in German": _shop("/de/products/field-jacket"),
    "about": _shop("/about"),
    "shipping": _shop("/shipping"),
    "privacy": _shop("/privacy"),
    "checkout": _shop("/checkout"),
    "not found": _shop("/products/no-such-thing", 404),
    "thanks": _shop("/waitlist/thanks"),
    "confirmed": _shop("/waitlist/confirmed"),
    "unsubscribed": _shop("/waitlist/unsubscribed"),
    "undone": _shop("/waitlist/undone"),
    "notified": _shop("/waitlist/notified"),
    "merchant, link on its way": _shop("/merchant/sent"),
    "merchant, link over": _shop("/api/merchant/sign-in?token=no-token-of-ours", 410),
    "signed up": Kind(lambda page, place: _sign_up(page, place, "ada@example.com")),
    "confirm": Kind(lambda page, place: page.goto(place.post.confirm_link)),
    "leave": Kind(lambda page, place: page.goto(place.post.leave_link)),
    "link problem": _shop("/api/confirm?token=no-token-of-ours", 410),
    "form problem": Kind(_form_problem, 400),
    "form again": Kind(_form_again, 400),
    "did you mean": Kind(_did_you_mean),
    "email that asks": Kind(lambda page, place: _email(page, place, place.post.confirm.number)),
    "email that tells": Kind(lambda page, place: _email(page, place, place.post.available.number)),
    "inbox": _inbox(lambda _: "/"),
    "inbox, an email": _inbox(lambda place: f"/emails/{place.post.confirm.number}"),
    "inbox, an email with a picture": _inbox(lambda place: f"/emails/{place.post.available.number}"),
    "inbox, no such email": _inbox(lambda _: "/emails/999999", 404),
}


def _email(page: Page, place: Place, number: int) -> None:
    # By itself, as a mail program shows it: the inbox keeps scripts out of emails, and axe is one.
    answer = page.goto(f"{place.inbox_url}/emails/{number}.json")
    assert answer is not None
    page.set_content(answer.json()["html"])
