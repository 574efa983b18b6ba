"""The address that a shopper buys a variant at, from the setting to the page."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.checkout import (
    Checkout,
    CheckoutRefused,
    CheckoutTemplate,
    Placeholder,
)
from chalicelib.storefront.choices import choices_of
from chalicelib.storefront.localization import Texts
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Shop, Theme
from spillway.sitegen.translations import default_file_of, read_texts
from tests.support.small_shop import THEME
from tests.unit.test_renderer_pages import JACKET, ONE_SCARF, SHOP, Page, stock, theme

ROOT = Path(__file__).parents[2]
SHOPIFY = "https://shop.example/cart/{variant_id}:{quantity}"
WOOCOMMERCE = "https://shop.example/cart/?add-to-cart={variant_id}&quantity={quantity}"
OWN_PAGE = "/checkout?sku={sku}"
STRIPE_S, STRIPE_L = "https://buy.stripe.com/aEU00a", "https://buy.stripe.com/bIY11b"
IN_STOCK = stock(FJ_S=Availability.IN_STOCK, FJ_M=Availability.OUT_OF_STOCK, FJ_L=Availability.PRE_ORDER)


def numbered(product: Product = JACKET) -> Product:
    """Return the product with the id 4101, 4102, ... for its variants."""
    variants = [
        replace(variant, variant_id=str(4101 + number)) for number, variant in enumerate(product.variants)
    ]
    return replace(product, variants=tuple(variants))


def page_of(checkout: str | None, product: Product = JACKET) -> Page:
    return Page(Renderer(theme(replace(SHOP, checkout=checkout))).product(product, IN_STOCK))


def bought(page: Page) -> dict[str, str]:
    """Return the address of each link that buys, by SKU."""
    found, shown = {}, ""
    for _, tag, values in page.elements:
        if values.get("class") == "act":
            shown = values["id"].removeprefix("v-")
        elif tag == "a" and values.get("class") == "button":
            found[shown] = values["href"]
    return found


def address_of(checkout: str, sku: str = "FJ-S", variant_id: str | None = "4101") -> str | None:
    product = replace(ONE_SCARF, variants=(Variant(sku, 4500, variant_id=variant_id),))
    return Checkout.of(checkout, lambda path: f"/de{path}").buy_url(product, product.variants[0])


@pytest.mark.parametrize(
    ("checkout", "expected"),
    [
        (SHOPIFY, "https://shop.example/cart/4101:1"),
        (WOOCOMMERCE, "https://shop.example/cart/?add-to-cart=4101&quantity=1"),
        ("https://my.shop.example/buy/{product}/{sku}#pay", "https://my.shop.example/buy/scarf/FJ-S#pay"),
        ("https://shop.example/#!/~/cart/add={sku}", "https://shop.example/#!/~/cart/add=FJ-S"),
        (OWN_PAGE, "/de/checkout?sku=FJ-S"),
        ("HTTPS://pay.example:8443?a={sku}", "HTTPS://pay.example:8443?a=FJ-S"),
        ("https://pay.example/{{x}}?a={sku}", "https://pay.example/%7Bx%7D?a=FJ-S"),
        ("https://pay.example/käse?a={sku}", "https://pay.example/k%C3%A4se?a=FJ-S"),
        ("https://pay.example/?off=10%25&a={sku}", "https://pay.example/?off=10%25&a=FJ-S"),
    ],
)
def test_an_address_has_the_values_of_the_variant(checkout: str, expected: str) -> None:
    assert address_of(checkout) == expected


@pytest.mark.parametrize(
    ("sku", "encoded"),
    [
        ("a&b=c", "a%26b%3Dc"),
        ("Cam/4567", "Cam%2F4567"),
        ("100% #1?", "100%25%20%231%3F"),
        ("日本-1", "%E6%97%A5%E6%9C%AC-1"),
        ('"><script>', "%22%3E%3Cscript%3E"),
        ("{sku}{{", "%7Bsku%7D%7B%7B"),
        ("a+b", "a%2Bb"),
    ],
)
def test_a_hostile_sku_stays_one_value_of_a_path_and_of_a_query(sku: str, encoded: str) -> None:
    assert address_of("https://pay.example/x/{sku}?sku={sku}", sku) == (
        f"https://pay.example/x/{encoded}?sku={encoded}"
    )


@settings(max_examples=60)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=64))
def test_any_value_comes_out_of_the_address_as_it_was(sku: str) -> None:
    address = address_of("https://pay.example/x/{sku}:{quantity}?a=1&sku={sku}&b=2#f={sku}", sku) or ""
    parsed = urlsplit(address)
    assert unquote(parsed.path) == f"/x/{sku}:1"
    assert parsed.path.count("/") == 2
    assert parse_qs(parsed.query) == {"a": ["1"], "sku": [sku], "b": ["2"]}
    assert unquote(parsed.fragment) == f"f={sku}"


@pytest.mark.parametrize("sku", [".", ".."])
def test_a_value_that_browsers_drop_from_a_path_makes_no_address(sku: str) -> None:
    assert address_of("https://pay.example/x/{sku}", sku) is None
    assert address_of("https://pay.example/x?sku={sku}", sku) == f"https://pay.example/x?sku={sku}"
    assert address_of("https://pay.example/x/v{sku}", sku) == f"https://pay.example/x/v{sku}"


def test_a_variant_without_the_id_that_the_address_needs_has_none() -> None:
    assert address_of(SHOPIFY, variant_id=None) is None


@pytest.mark.parametrize(
    ("checkout", "expected"),
    [
        ("https://pay.example/{id}", "one of {sku}, {variant_id}, {quantity}, {product} instead of {id}"),
        ("https://pay.example/{SKU}", "one of {sku}, {variant_id}, {quantity}, {product} instead of {SKU}"),
        ("https://pay.example/{}", "one of {sku}, {variant_id}, {quantity}, {product} instead of {}"),
        ("https://pay.example/{sku", "pairs of braces"),
        ("https://pay.example/sku}", "pairs of braces"),
        ("https://pay.example/{{{sku}", "nothing"),
        ("https://pay.example/{{sku}", "pairs of braces"),
        ("https://pay.example/%{sku}", "a percent sign of the address itself written as %25"),
        ("https://{sku}.example/", "a host without a placeholder"),
        ("https://me:pass@pay.example/{sku}", "without a user name or a password"),
        ("https://pay.example@evil.example/{sku}", "without a user name or a password"),
        ("https://pay.example:port/{sku}", "an https:// address with a host"),
        ("https:///{sku}", "an https:// address with a host"),
        ("http://pay.example/{sku}", "an https:// address or a path of this shop"),
        ("javascript:alert({sku})", "an https:// address or a path of this shop"),
        ("data:text/html,{sku}", "an https:// address or a path of this shop"),
        ("//evil.example/{sku}", "an https:// address or a path of this shop"),
        ("checkout?sku={sku}", "an https:// address or a path of this shop"),
        ("/\\evil.example/{sku}", "without spaces, backslashes"),
        ("https://pay.example/a b{sku}", "without spaces, backslashes"),
        ("https://pay.example/\u200b{sku}", "without spaces, backslashes"),
    ],
)
def test_an_address_that_no_page_may_lead_to_is_refused_with_what_was_expected(
    checkout: str, expected: str
) -> None:
    if expected == "nothing":
        assert address_of(checkout) == "https://pay.example/%7BFJ-S"
        return
    with pytest.raises(CheckoutRefused) as refused:
        CheckoutTemplate.parse(checkout)
    assert expected in str(refused.value)


def test_a_template_knows_its_placeholders_and_the_page_it_leads_to() -> None:
    assert CheckoutTemplate.parse(SHOPIFY).placeholders == {Placeholder.VARIANT_ID, Placeholder.QUANTITY}
    assert CheckoutTemplate.parse(SHOPIFY).own_path is None
    assert CheckoutTemplate.parse(OWN_PAGE).own_path == "/checkout"
    assert CheckoutTemplate.parse("/x/{sku}").own_path == "/x/{sku}"


def test_a_choice_has_the_address_that_buys_it_and_one_that_is_sold_out_has_none() -> None:
    choices = choices_of(numbered(), IN_STOCK, Checkout.of(SHOPIFY))
    assert [choice.buy_url for choice in choices] == [
        "https://shop.example/cart/4101:1",
        None,
        "https://shop.example/cart/4103:1",
    ]
    assert {choice.buy_url for choice in choices_of(numbered(), IN_STOCK)} == {None}


def test_the_page_links_to_the_cart_of_each_variant() -> None:
    page = page_of(SHOPIFY, numbered())
    assert bought(page) == {
        "FJ-S": "https://shop.example/cart/4101:1",
        "FJ-L": "https://shop.example/cart/4103:1",
    }
    assert "get" not in [form.get("method") for form in page.all("form")]


def test_a_payment_link_of_a_variant_or_a_product_replaces_the_checkout_of_the_shop() -> None:
    first, second, third = JACKET.variants
    mixed = replace(
        JACKET,
        variants=(replace(first, checkout_url=STRIPE_S), second, third),
        checkout_url=f"{STRIPE_L}?client_reference_id={{sku}}",
    )
    for checkout in (OWN_PAGE, None):
        assert bought(page_of(checkout, mixed)) == {
            "FJ-S": STRIPE_S,
            "FJ-L": f"{STRIPE_L}?client_reference_id=FJ-L",
        }
    single = replace(mixed, variants=(replace(first, options=(), checkout_url=STRIPE_S),))
    assert bought(page_of(None, single)) == {"FJ-S": STRIPE_S}


@pytest.mark.parametrize("product", [JACKET, replace(JACKET, variants=JACKET.variants[:1])])
def test_a_shop_without_a_checkout_has_no_way_to_buy_and_keeps_its_waitlist(product: Product) -> None:
    page = page_of(None, product)
    assert bought(page) == {}
    assert page.has_form("waitlist") == (len(product.variants) > 1)
    addresses = {value for value in strings_of(json.loads(page.scripts[0])) if "://" in value}
    own = "https://www.heron.example/products/field-jacket"
    offers = {f"{own}?sku={sku}" for sku in product.skus} if len(product.variants) > 1 else set()
    assert {address for address in addresses if not address.startswith("https://schema.org")} == {
        own,
        *offers,
        "https://www.heron.example/pictures/jacket-960-aa.jpg",
    }


@pytest.mark.parametrize("checkout", [OWN_PAGE, None, SHOPIFY, WOOCOMMERCE])
def test_the_forms_of_a_page_stay_in_the_shop_and_links_lead_to_the_checkout(checkout: str | None) -> None:
    html = Renderer(theme(replace(SHOP, checkout=checkout))).product(numbered(), IN_STOCK)
    policies = [item["content"] for item in Page(html).all("meta") if "http-equiv" in item]
    assert len(policies) == 1
    assert "; form-action 'self'; base-uri 'none'" in policies[0]
    assert {form["action"] for form in Page(html).all("form")} == {"/api/waitlist"}


@pytest.mark.parametrize("checkout", [SHOPIFY, WOOCOMMERCE, OWN_PAGE, None])
def test_the_cloud_renders_the_very_page_of_the_build(checkout: str | None) -> None:
    built = theme(replace(SHOP, checkout=checkout))
    product = replace(numbered(), checkout_url=STRIPE_L if checkout is None else None)
    stored = Product.from_document(json.loads(json.dumps(product.to_document())))
    refreshed = Renderer(Theme.from_json(built.to_json())).product(stored, IN_STOCK)
    assert stored == product
    assert refreshed == Renderer(built).product(product, IN_STOCK)


@pytest.mark.parametrize(
    ("low_stock", "units", "availability", "left"),
    [
        (3, 4, Availability.IN_STOCK, None),
        (3, 3, Availability.IN_STOCK, 3),
        (3, 1, Availability.IN_STOCK, 1),
        (3, None, Availability.IN_STOCK, None),
        (3, 0, Availability.OUT_OF_STOCK, None),
        (3, 2, Availability.PRE_ORDER, None),
        (None, 1, Availability.IN_STOCK, None),
    ],
)
def test_a_choice_says_how_many_are_left_where_few_are_and_the_shop_wants_it(
    low_stock: int | None, units: int | None, availability: Availability, left: int | None
) -> None:
    held = {"SCARF": Stock(availability, units, 1, "e1")}
    (choice,) = choices_of(ONE_SCARF, held, low_stock=low_stock)
    assert choice.left == left
    shop = Theme.from_json(theme(replace(SHOP, low_stock=low_stock)).to_json()).shop
    assert shop.low_stock == low_stock


@pytest.mark.parametrize(
    ("locale", "units", "words"),
    [
        ("en-GB", 3, "Only 3 left"),
        ("en-GB", 1, "Only 1 left"),
        ("de", 3, "Nur noch 3 da"),
        ("de", 1, "Nur noch 1 da"),
        ("de", 4, None),
    ],
)
def test_a_page_says_where_a_variant_is_picked_how_many_are_left(
    locale: str, units: int, words: str | None
) -> None:
    shop = theme(replace(SHOP, low_stock=3, locale=locale))
    file = default_file_of(THEME, locale)
    texts = read_texts(file.read_text(), locale=locale, file=file.name, mistakes=[]) if file else Texts()
    held = {"SCARF": Stock(Availability.IN_STOCK, units, 1, "e1")}
    html = Renderer(shop, replace(shop.editions[0], texts=texts)).product(ONE_SCARF, held)
    offer = html.partition('<div class="act"')[2].partition("</div>")[0]
    assert re.findall(r"(?:Only|Nur) [^<]+", offer) == ([words] if words else [])


def test_a_theme_of_before_leads_to_the_checkout_that_it_names() -> None:
    document = json.loads(theme().to_json())["editions"][0]["shop"]
    before = {name: value for name, value in document.items() if name not in {"checkout", "low_stock"}}
    before["checkout_url"] = "https://pay.heron.example/cart?shop=7&item={sku}"
    assert Shop.from_document(before) == SHOP


def strings_of(document: object) -> set[str]:
    if isinstance(document, str):
        return {document}
    parts = document.values() if isinstance(document, dict) else document
    return set().union(*map(strings_of, parts)) if isinstance(parts, Iterable) else set()


def test_a_shop_of_an_earlier_version_has_none_where_it_had_an_empty_text() -> None:
    before = {**asdict(SHOP), "refused_domains": "", "unsubscribe_mailbox": ""}
    shop = Shop.from_document(json.loads(json.dumps(before)))
    assert (shop.refused_domains, shop.unsubscribe_mailbox) == (None, None)
    kept = {**before, "refused_domains": "3fa9c1d2e07b", "unsubscribe_mailbox": "out@shop.example"}
    shop = Shop.from_document(json.loads(json.dumps(kept)))
    assert (shop.refused_domains, shop.unsubscribe_mailbox) == ("3fa9c1d2e07b", "out@shop.example")
