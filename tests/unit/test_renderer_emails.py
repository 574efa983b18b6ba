"""Emails: whole as text, whole as HTML, safe whatever the catalogue says."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from chalicelib.domain.email import Email
from chalicelib.domain.product import Picture, Product
from chalicelib.domain.stock import Availability
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Logo, Theme, ThemeSettings
from tests.support.small_shop import THEME
from tests.unit.test_renderer_pages import EVIL, JACKET, stock, theme

ACTION = "https://www.heron.example/api/confirm?token=a.b&x=1"
LEAVE = "https://www.heron.example/api/unsubscribe?token=c.d"
EMAIL_SIZE_BYTES_MAX = 100_000


def theme_of_emails() -> Theme:
    emails = THEME / "emails"
    texts = {
        f"emails/{file.relative_to(emails).as_posix()}": file.read_text()
        for file in emails.rglob("*")
        if file.is_file()
    }
    return replace(theme(), templates={**theme().templates, **texts})


def renderer() -> Renderer:
    return Renderer(theme_of_emails())


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

    assert email.subject == "Confirm your alert: Field Jacket (M)"
    for body in (email.text, email.html):
        assert "Confirm your alert" in body
        assert "You are on the list when you have pressed it." in " ".join(body.split())
        assert "72 hours" in body
        assert "3 Quay Street" in body
    assert ACTION in email.text
    assert Addresses(email.html).links == ["https://www.heron.example/", ACTION]


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


def test_the_picture_of_a_variant_fills_the_column_and_keeps_its_shape_where_styles_are_dropped() -> None:
    product = replace(JACKET, pictures=(Picture("/pictures/wide.jpg", 1000, 333, "Wide"),))

    email = renderer().product_email(
        "available", product=product, variant=product.variants[0], action_url=ACTION
    )
    plain = renderer().product_email(
        "available",
        product=replace(JACKET, pictures=()),
        variant=product.variants[0],
        action_url=ACTION,
    )

    (picture,) = re.findall(r"<img [^>]*>", email.html)
    assert 'src="https://www.heron.example/pictures/wide.jpg" width="600" height="200" alt="Wide"' in picture
    assert "width:100%;max-width:600px;height:auto" in picture
    assert (
        f'<a href="{ACTION.replace("&", "&amp;")}" style="text-decoration:none">{picture}</a>' in email.html
    )
    assert "<img" not in plain.html


@pytest.mark.parametrize("name", ["confirm", "already", "available", "my-waitlists", "sign-in", "test"])
def test_an_email_has_one_button_and_the_shops_name_as_its_masthead(name: str) -> None:
    email = renderer().email(
        name,
        product=JACKET,
        variant=JACKET.variants[1],
        items=[(JACKET, JACKET.variants[1])],
        availability=Availability.IN_STOCK,
        can_buy_online=True,
        is_launch=False,
        coming=0,
        action_url=ACTION,
        unsubscribe_url=LEAVE,
    )

    assert email.html.count('<td class="button"') == 1
    assert Addresses(email.html).links[0] == "https://www.heron.example/"
    assert re.search(
        r'<a class="ink" href="https://www\.heron\.example/"[^>]*>Heron &amp; Daughters</a>', email.html
    )
    # As plain text: each link alone on its line, and a line for each line of the address.
    lines = email.text.splitlines()
    assert [line for line in lines if "://" in line] == [line for line in lines if line in {ACTION, LEAVE}]
    assert lines[-4:] == ["--", "Heron & Daughters", "3 Quay Street", "Ambleford"]


def test_every_colour_of_an_email_stands_at_the_top_of_the_frame_with_one_for_dark_mode() -> None:
    frame = (THEME / "emails/frame.html").read_text()
    head, _, rest = frame.partition("{% macro")
    bodies = [file.read_text() for file in (THEME / "emails").rglob("body.html")]
    light, dark = (
        dict(re.findall(r'"(\w+)": "(#[0-9a-f]{6})"', found))
        for found in re.findall(r"{% set (?:light|dark) = {(.*)} %}", head)
    )

    colour = re.compile(r"(?:#(?:[0-9a-f]{3}){1,2}\b|rgba?\()", re.IGNORECASE)
    assert [found for text in [rest, *bodies] for found in colour.findall(text.replace("&#847;", ""))] == []
    assert light.keys() == dark.keys()
    assert not {"#ffffff", "#000000"} & {*light.values(), *dark.values()}
    html = available().html
    for at in ("", "[data-ogsc] "):
        assert f"{at}.sheet{{background:{dark['sheet']}!important}}" in html
    assert '<meta name="color-scheme" content="light dark">' in html


def test_a_logo_takes_the_place_of_the_name_and_changes_with_dark_mode() -> None:
    logo = Logo("/assets/l.png", 120, 40, "/assets/d.png")
    shop = theme_of_emails()
    edition = replace(shop.editions[0], settings=ThemeSettings(email_logo=logo))
    html = Renderer(replace(shop, editions=(edition,))).email("my-waitlists", action_url=ACTION).html

    home = "https://www.heron.example"
    assert Addresses(html).loads == [f"{home}/assets/l.png", f"{home}/assets/d.png"]
    assert Addresses(html).alts == ["Heron & Daughters"] * 2
    assert f'class="in-light" src="{home}/assets/l.png" width="120" height="40"' in html
    assert html.count("Heron &amp; Daughters</a>") == 0


def test_a_back_order_says_when_it_ships_where_the_catalogue_says_so() -> None:
    variant = replace(JACKET.variants[1], available_on="2026-12-31")
    product = replace(JACKET, variants=(variant,))
    texts = {
        availability: renderer()
        .product_email(
            "available",
            product=product,
            variant=variant,
            action_url=ACTION,
            stock=stock(FJ_M=availability),
        )
        .text
        for availability in (Availability.IN_STOCK, Availability.PRE_ORDER, Availability.BACK_ORDER)
    }

    said = [name for name, text in texts.items() if "We expect to ship it on 2026-12-31." in text]
    assert said == [Availability.PRE_ORDER, Availability.BACK_ORDER]


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
    assert "is back" not in email.text + email.html


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
        (Availability.IN_STOCK, "Field Jacket (M) is back", "is back", "Buy it"),
        (
            Availability.PRE_ORDER,
            "Field Jacket (M) can be pre-ordered",
            "can be pre-ordered",
            "Pre-order it",
        ),
        (
            Availability.BACK_ORDER,
            "Field Jacket (M) can be ordered (back order)",
            "can be ordered (back order)",
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
    assert email.text.startswith(f"Field Jacket {heading}.\n")
    assert f'<span dir="auto">Field Jacket</span> {heading}</h1>' in email.html
    assert f">{button}</a>" in email.html
    late = "It is not in stock yet: it is sent when it arrives."
    assert (late in email.text, late in email.html) == (availability is Availability.BACK_ORDER,) * 2


@pytest.mark.parametrize(
    "availability", [Availability.IN_STOCK, Availability.PRE_ORDER, Availability.BACK_ORDER]
)
def test_a_shop_without_a_checkout_offers_to_look_and_not_to_buy(availability: Availability) -> None:
    def email(product: Product) -> Email:
        editions = tuple(
            replace(edition, shop=replace(edition.shop, checkout=None))
            for edition in theme_of_emails().editions
        )
        return Renderer(replace(theme_of_emails(), editions=editions)).product_email(
            "available",
            product=product,
            variant=product.variants[1],
            action_url=ACTION,
            stock=stock(FJ_M=availability),
        )

    looked_at = email(JACKET)
    assert ">See the product</a>" in looked_at.html
    assert f"See the product:\n\n{ACTION}" in looked_at.text
    assert "Buy it" not in looked_at.html + looked_at.text
    with_link = email(replace(JACKET, checkout_url="https://pay.example/jacket"))
    assert "See the product" not in with_link.html + with_link.text
