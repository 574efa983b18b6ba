"""Emails: whole as text, whole as HTML, safe whatever the catalogue says."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from chalicelib.domain.email import Email
from chalicelib.domain.product import Picture
from chalicelib.domain.stock import Availability
from chalicelib.storefront.renderer import Renderer
from tests.support.small_shop import THEME
from tests.unit.test_renderer_pages import EVIL, JACKET, stock, theme

ACTION = "https://www.heron.example/api/confirm?token=a.b&x=1"
LEAVE = "https://www.heron.example/api/unsubscribe?token=c.d"
EMAIL_SIZE_BYTES_MAX = 100_000


def renderer() -> Renderer:
    emails = THEME / "emails"
    texts = {
        f"emails/{file.relative_to(emails).as_posix()}": file.read_text()
        for file in emails.rglob("*")
        if file.is_file()
    }
    return Renderer(replace(theme(), templates={**theme().templates, **texts}))


def confirm() -> Email:
    return renderer().product_email("confirm", product=JACKET, variant=JACKET.variants[1], action_url=ACTION)


def available() -> Email:
    return renderer().product_email(
        "available", product=JACKET, variant=JACKET.variants[1], action_url=ACTION, unsubscribe_url=LEAVE
    )


class Addresses(HTMLParser):
    """The links of an email, and the files it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.alts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(values["href"])
        if "src" in values:
            self.loads.append(values["src"])
            self.alts.append(values.get("alt", ""))


def test_a_confirmation_asks_for_one_thing_in_both_forms() -> None:
    email = confirm()

    assert email.subject == "Please confirm: tell me when Field Jacket (M) is back"
    for body in (email.text, email.html):
        assert "Not yet confirmed" in body
        assert "72 hours" in body
        assert "3 Quay Street" in body
    assert ACTION in email.text
    assert Addresses(email.html).links == ["https://www.heron.example/", ACTION]
    assert Addresses(email.html).loads == []


def test_an_email_that_it_is_back_says_what_for_how_much_and_how_to_leave() -> None:
    email = available()

    assert email.subject == "Field Jacket (M) is back"
    for body in (email.text, email.html):
        assert "£148.00" in body
        assert "First come, first served" in body
        assert "3 Quay Street" in body
    assert ACTION in email.text
    assert LEAVE in email.text
    assert Addresses(email.html).links[-2:] == [ACTION, LEAVE]


def test_an_email_loads_nothing_but_the_shops_own_picture_and_says_what_it_shows() -> None:
    addresses = Addresses(available().html)

    assert addresses.loads == ["https://www.heron.example/pictures/jacket-960-aa.jpg"]
    assert addresses.alts == ["A green jacket"]


def test_an_email_shows_the_colour_that_was_waited_for() -> None:
    slate = Picture("/pictures/slate.jpg", 10, 10, "Slate", options=(("Size", "L"),))
    product = replace(JACKET, pictures=(*JACKET.pictures, slate))

    email = renderer().product_email(
        "available", product=product, variant=product.variants[2], action_url=ACTION
    )

    assert Addresses(email.html).alts == ["Slate"]


def test_a_pre_order_is_not_called_back() -> None:
    email = renderer().product_email(
        "available",
        product=JACKET,
        variant=JACKET.variants[1],
        action_url=ACTION,
        stock=stock(FJ_M=Availability.PRE_ORDER),
    )

    assert email.subject == "Field Jacket (M) can be pre-ordered"
    assert "It is back" not in email.text + email.html


@pytest.mark.parametrize("name", ["confirm", "available"])
def test_catalogue_text_is_data_in_an_email_too(name: str) -> None:
    product = replace(JACKET, title=f"A\r\nBcc: x@evil.example\n{EVIL}")

    email = renderer().product_email(
        name, product=product, variant=product.variants[0], action_url=ACTION, unsubscribe_url=LEAVE
    )

    assert len(email.subject.splitlines()) == 1
    assert "hello@heron.example" not in email.subject + email.text + email.html
    assert "<script" not in email.html
    assert "{{ shop.sender }}" in email.text


@pytest.mark.parametrize("email", [confirm(), available()])
def test_an_email_fits_where_mail_programs_cut(email: Email) -> None:
    assert len(email.html.encode()) < EMAIL_SIZE_BYTES_MAX
    assert max(len(line) for line in email.text.splitlines()) <= 78


@pytest.mark.parametrize(
    ("availability", "subject", "heading", "button"),
    [
        (Availability.IN_STOCK, "Field Jacket (M) is back", "It is back", "Buy it"),
        (
            Availability.PRE_ORDER,
            "Field Jacket (M) can be pre-ordered",
            "You can pre-order it now",
            "Pre-order it",
        ),
        (
            Availability.BACK_ORDER,
            "Field Jacket (M) can be ordered (back order)",
            "You can order it now (back order)",
            "Order it",
        ),
    ],
)
def test_each_availability_has_words_of_its_own(
    availability: Availability, subject: str, heading: str, button: str
) -> None:
    email = renderer().product_email(
        "available",
        product=JACKET,
        variant=JACKET.variants[1],
        action_url=ACTION,
        stock=stock(FJ_M=availability),
    )
    assert email.subject == subject
    assert email.text.startswith(f"{heading}.\n")
    assert f">{heading}</h1>" in email.html
    assert f">{button}</a>" in email.html
    late = "It is not in stock yet: it is sent when it arrives."
    assert (late in email.text, late in email.html) == (availability is Availability.BACK_ORDER,) * 2
