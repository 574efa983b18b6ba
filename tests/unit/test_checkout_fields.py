"""Ids and addresses of the checkout, in product files, in the sheet and in exports."""

from pathlib import Path

import pytest

from chalicelib.storefront.choices import choices_of
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from tests.support.importing import import_products, product, variant
from tests.support.small_shop import JACKET, SCARF, SITE, make_small_shop

PERMALINK = "https://shop.example/cart/{variant_id}:{quantity}"
SHEET = """\
slug,title,category,price,summary,description,option:Size,sku,stock,variant_id,checkout_url
mug,Mug,accessories,9.00,A mug.,Clay.,S,M-S,3,,
mug,,,,,,L,M-L,0,77,
pot,Pot,accessories,9.00,A pot.,Clay.,S,P-S,1,,https://buy.stripe.com/aEU00a
pot,,,,,,L,P-L,1,,
"""


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def with_checkout(shop: Project, checkout: str) -> None:
    (shop.site / "site.toml").write_text(SITE.replace("/checkout?sku={sku}", checkout))


def mistakes_of(shop: Project) -> list[str]:
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(shop)
    return [str(mistake) for mistake in caught.value.mistakes]


def write(shop: Project, slug: str, text: str) -> None:
    (shop.site / "products" / f"{slug}.toml").write_text(text)


def test_every_variant_without_the_id_that_the_checkout_needs_is_named_at_once(shop: Project) -> None:
    with_checkout(shop, PERMALINK)
    (shop.site / "products.csv").write_text(SHEET)
    write(shop, "scarf", f'{SCARF}variant_id = "4101"\n')
    reason = "as the address of the checkout has {variant_id}"
    assert mistakes_of(shop) == [
        "site/products.csv:2: variant_id = (missing): expected an id for M-S, " + reason,
        "site/products.csv:5: variant_id = (missing): expected an id for P-L, " + reason,
        "site/products/field-jacket.toml:20: variants[0].variant_id = (missing): "
        "expected an id for FJ-MOSS-S, FJ-MOSS-M, FJ-SLATE-M, " + reason,
    ]


def test_a_variant_that_is_no_longer_made_or_has_an_address_of_its_own_needs_no_id(shop: Project) -> None:
    with_checkout(shop, PERMALINK)
    write(shop, "scarf", SCARF.replace("stock = 2", 'stock = 0\navailability = "Discontinued"'))
    link = "https://buy.stripe.com/aEU00a?client_reference_id={sku}"
    write(
        shop, "field-jacket", JACKET.replace('price = "148.00"', f'price = "148.00"\ncheckout_url = "{link}"')
    )
    (jacket, _) = load_catalogue(shop).products
    assert jacket.product.checkout_url == link


def test_an_address_of_a_variants_own_needs_its_id_too(shop: Project) -> None:
    write(shop, "scarf", f'{SCARF}checkout_url = "{PERMALINK}"\n')
    (mistake,) = mistakes_of(shop)
    assert mistake.startswith(
        "site/products/scarf.toml:11: variants[0].variant_id = (missing): expected an id for SCARF,"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'checkout_url = "http://pay.example"',
            "'http://pay.example': expected an https:// address or a path of this shop",
        ),
        ('checkout_url = "javascript:alert(1)"', "expected an https:// address or a path of this shop"),
        (
            'checkout_url = "https://a:b@pay.example"',
            "expected an address without a user name or a password before its host",
        ),
        (
            'checkout_url = "/till"',
            "'/till': expected a page of this shop: site/pages/till.md does not exist",
        ),
        (
            'checkout_url = "https://pay.example/{id}"',
            "expected one of {sku}, {variant_id}, {quantity}, {product} instead of {id}",
        ),
        ("checkout_url = 7", "checkout_url = 7: expected a text"),
        (
            "variant_id = 4125",
            "variant_id = 4125: expected at most 255 letters, digits and signs in quotes, without spaces",
        ),
        ('variant_id = "41 25"', "expected at most 255 letters, digits and signs in quotes"),
        ('variant_id = ".."', "expected at most 255 letters, digits and signs in quotes"),
        ('variant_id = "日本"', "expected at most 255 letters, digits and signs in quotes"),
        (f'variant_id = "{"4" * 256}"', "expected at most 255 letters, digits and signs in quotes"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(shop: Project, line: str, expected: str) -> None:
    write(shop, "scarf", f"{SCARF}{line}\n")
    (mistake,) = mistakes_of(shop)
    assert mistake.startswith(f"site/products/scarf.toml:14: variants[0].{line.partition(' ')[0]} = ")
    assert expected in mistake


def test_a_product_with_a_wrong_address_is_named_too(shop: Project) -> None:
    write(shop, "scarf", SCARF.replace('price = "45.00"', 'price = "45.00"\ncheckout_url = "/till"'))
    (mistake,) = mistakes_of(shop)
    assert mistake.startswith(
        "site/products/scarf.toml:4: checkout_url = '/till': expected a page of this shop"
    )


@pytest.mark.parametrize("checkout", ["https://pay.example/{sku}", "https://pay.example/?sku={sku}"])
def test_an_sku_that_browsers_drop_from_a_path_is_refused_there_alone(shop: Project, checkout: str) -> None:
    with_checkout(shop, checkout)
    write(shop, "scarf", SCARF.replace('"SCARF"', '".."'))
    if "?" in checkout:
        assert len(load_catalogue(shop).rows) == 2
    else:
        (mistake,) = mistakes_of(shop)
        assert mistake.startswith("site/products/scarf.toml:12: variants[0].sku = '..': expected another SKU")


def test_a_payment_link_in_the_sheet_is_that_of_its_row_alone(shop: Project) -> None:
    (shop.site / "products.csv").write_text(SHEET)
    pot = load_catalogue(shop).products[2].product
    assert pot.checkout_url is None
    assert [variant.checkout_url for variant in pot.variants] == ["https://buy.stripe.com/aEU00a", None]
    assert {choice.buy_url for choice in choices_of(pot, {})} == {None}


@pytest.mark.parametrize("name", ["checkout", "checkout_url"])
def test_the_setting_is_read_by_either_name(shop: Project, name: str) -> None:
    file = shop.site / "site.toml"
    file.write_text(SITE.replace("checkout =", f"{name} ="))
    assert load_catalogue(shop).storefront.shop.checkout == "/checkout?sku={sku}"
    file.write_text(SITE.replace('checkout = "/checkout?sku={sku}"', f'{name} = "none"'))
    assert load_catalogue(shop).storefront.shop.checkout is None


def test_a_shop_says_its_checkout_once_and_says_it(shop: Project) -> None:
    file = shop.site / "site.toml"
    file.write_text(SITE.replace("checkout =", 'checkout_url = "none"\ncheckout ='))
    (twice,) = mistakes_of(shop)
    assert twice == (
        "site/site.toml:8: checkout_url = 'none': expected nothing beside checkout, which is the same setting"
    )
    file.write_text(SITE.replace('checkout = "/checkout?sku={sku}"\n', ""))
    (missing,) = mistakes_of(shop)
    assert missing == (
        "site/site.toml: checkout = (missing): "
        'expected an address with {sku}, {variant_id} or {product} in it, or "none"'
    )


@pytest.mark.parametrize("value", ["0", "101", "true", "2.5", '"3"'])
def test_a_low_stock_is_a_small_number_or_is_not_there(shop: Project, value: str) -> None:
    file = shop.site / "site.toml"
    file.write_text(f"low_stock = {value}\n{SITE}")
    (mistake,) = mistakes_of(shop)
    assert mistake.startswith("site/site.toml:1: low_stock = ")
    assert mistake.endswith(": expected a whole number from 1 to 100: so few are said to be left")
    file.write_text(f"low_stock = 3\n{SITE}")
    assert load_catalogue(shop).storefront.shop.low_stock == 3
    file.write_text(SITE)
    assert load_catalogue(shop).storefront.shop.low_stock is None


def test_checkout_settings_that_an_export_lacks_stay(shop: Project) -> None:
    mug = product("mug", variant("M-1", ("Size", "S"), line=2), variant("M-2", ("Size", "L"), line=3))
    import_products(shop, [mug])
    file = shop.site / "products" / "mug.toml"
    text = file.read_text().replace('sku = "M-1"\n', 'sku = "M-1"\nvariant_id = "4101"\n')
    link = 'checkout_url = "https://buy.stripe.com/aEU00a"\n'
    file.write_text(text.replace("\n[[variants]]", f"{link}\n[[variants]]", 1))
    dearer = product(
        "mug",
        *(
            variant(f"M-{number}", ("Size", size), line=number + 1, price="7.00")
            for number, size in ((1, "S"), (2, "L"))
        ),
    )
    import_products(shop, [dearer])
    (mug_now,) = [entry.product for entry in load_catalogue(shop).products if entry.product.slug == "mug"]
    assert [(item.price_minor, item.variant_id) for item in mug_now.variants] == [(700, "4101"), (700, None)]
    assert mug_now.checkout_url == "https://buy.stripe.com/aEU00a"
