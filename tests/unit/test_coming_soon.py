"""A variant that was never on sale: its file, its page, its emails, and the event that launches it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Product, Variant, WhenSoldOut
from chalicelib.domain.stock import (
    SCHEMA_ORG_WORDS,
    Availability,
    AvailabilityEvent,
    EventOutcome,
    Stock,
    StockedProduct,
    is_restock,
)
from chalicelib.storefront.choices import badge_of, choices_of
from chalicelib.storefront.json_ld import product_json_ld
from chalicelib.storefront.renderer import Renderer
from spillway.__main__ import cli
from spillway.importing.reading import Notes, availability_of
from spillway.sitegen.cache import late_launches
from spillway.sitegen.feeds import merchant_feed
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import SCARF, make_small_shop

COMING, SOLD_OUT, IN_STOCK = Availability.COMING_SOON, Availability.OUT_OF_STOCK, Availability.IN_STOCK
SOON = Stock(COMING, 0, 0, "catalogue")
DAY = "2099-03-01"
SKU = "FJ-MOSS-M"
ACTION = "https://www.heron.example/products/scarf"


def event(availability: Availability, units: int | None, *, by_units: bool = False) -> AvailabilityEvent:
    return AvailabilityEvent("e1", SKU, availability, units, 1_000, by_units=by_units)


def coming_scarf(**changes: Any) -> Product:
    return Product(
        "scarf",
        "Wool Scarf",
        "A long scarf.",
        "<p>Lambswool.</p>",
        "accessories",
        (),
        (Variant("SCARF", 4500, available_on=DAY, **changes),),
    )


def scarf_file(**fields: str) -> str:
    lines = "\n".join(f"{name} = {value}" for name, value in fields.items())
    return SCARF.replace("stock = 2", lines)


def page_of(release: Release, product: Product, stock: dict[str, Stock], root: str = "") -> str:
    return Renderer(release.theme).for_root(root).product(product, stock)


@pytest.mark.parametrize("availability", [IN_STOCK, Availability.PRE_ORDER, Availability.BACK_ORDER])
def test_an_event_to_buy_launches_a_variant(availability: Availability) -> None:
    applied = event(availability, 5).applied_to(SOON)

    assert (applied.outcome, applied.stock.availability) == (EventOutcome.CHANGED, availability)
    assert applied.stock.is_launch
    assert is_restock(SOON, applied.stock)


@pytest.mark.parametrize(
    ("happening", "units"),
    [
        (event(SOLD_OUT, 0), 0),
        (event(SOLD_OUT, None), None),
        (event(SOLD_OUT, 0, by_units=True), 0),
        (event(IN_STOCK, 200, by_units=True), 200),
    ],
)
def test_neither_a_count_nor_sold_out_changes_what_was_never_on_sale(
    happening: AvailabilityEvent, units: int | None
) -> None:
    applied = happening.applied_to(SOON, Availability.BACK_ORDER)

    assert (applied.stock.availability, applied.stock.units) == (COMING, units)
    assert not applied.stock.is_launch
    assert not is_restock(SOON, applied.stock)


def test_a_launch_that_is_cancelled_is_discontinued() -> None:
    assert event(Availability.DISCONTINUED, None).applied_to(SOON).stock.availability is (
        Availability.DISCONTINUED
    )


def test_a_launch_lasts_until_the_variant_cannot_be_bought() -> None:
    stock = SOON
    is_launch = []
    for number, happening in enumerate(
        [
            event(Availability.PRE_ORDER, None),
            event(IN_STOCK, 5),
            event(IN_STOCK, 9, by_units=True),
            event(SOLD_OUT, 0, by_units=True),
            event(IN_STOCK, 5),
        ]
    ):
        stock = (
            replace(happening, id=f"e{number}", observed_at_ms=10_000 * (number + 1)).applied_to(stock).stock
        )
        is_launch.append(stock.is_launch)
    assert is_launch == [True, True, True, False, False]


EVENTS = st.lists(
    st.tuples(st.sampled_from(SCHEMA_ORG_WORDS), st.none() | st.integers(0, 3), st.booleans()), max_size=8
)


@settings(max_examples=60)
@given(EVENTS)
def test_after_its_launch_a_variant_is_never_coming_soon_again(
    observed: list[tuple[Availability, int | None, bool]],
) -> None:
    stock, launched = SOON, False
    for number, (availability, units, by_units) in enumerate(observed):
        happening = AvailabilityEvent(
            f"e{number}", SKU, availability, units, 1_000 * (number + 1), by_units=by_units
        )
        stock = happening.applied_to(stock).stock
        launched = launched or stock.availability is not COMING
        assert (stock.availability is COMING) is not launched


def test_no_event_says_coming_soon() -> None:
    assert COMING not in SCHEMA_ORG_WORDS
    assert len(SCHEMA_ORG_WORDS) == len(Availability) - 1


def test_its_page_collects_signups_and_says_the_day(small_release: Release) -> None:
    page = page_of(small_release, coming_scarf(), {"SCARF": SOON})

    assert '<span class="badge">Coming soon</span>' in page
    assert f'<span class="launch">from <time datetime="{DAY}">1 March 2099</time></span>' in page
    assert '<h2 id="waitlist-title">Shall we tell you when it is out?</h2>' in page
    assert '<button class="button">Tell me when it is out</button>' in page
    assert "is back" not in page
    assert "Sold out" not in page


def test_its_page_speaks_german(german_release: Release) -> None:
    page = page_of(german_release, coming_scarf(), {"SCARF": SOON}, "/de")

    assert '<span class="badge">Demnächst</span>' in page
    assert f'ab <time datetime="{DAY}">1. März 2099</time>' in page
    assert "Sagt mir, wenn es da ist</button>" in page
    assert "wieder da" not in page


def test_without_a_day_its_page_promises_none(small_release: Release) -> None:
    product = replace(coming_scarf(), variants=(Variant("SCARF", 4500),))
    page = page_of(small_release, product, {"SCARF": SOON})
    assert '<span class="badge">Coming soon</span>' in page
    assert "<time" not in page


def jacket(*states: Availability) -> tuple[Product, dict[str, Stock]]:
    """A jacket with a size for each state, each coming on a day of its own."""
    variants = tuple(
        Variant(f"S{number}", 100, (("Size", str(number)),), available_on=f"2099-03-0{number}")
        for number, _ in enumerate(states, 1)
    )
    product = replace(coming_scarf(), slug="jacket", title="Jacket", variants=variants)
    return product, {f"S{number}": Stock(state, 0, 0, "e") for number, state in enumerate(states, 1)}


@pytest.mark.parametrize(
    ("states", "badge", "button", "help_text"),
    [
        ((COMING, COMING), COMING, "Tell me when it is out", ""),
        ((COMING, SOLD_OUT), SOLD_OUT, "Notify me when it is available", ""),
        ((SOLD_OUT, SOLD_OUT), SOLD_OUT, "Notify me when it is back", ""),
        ((IN_STOCK, COMING), None, "Tell me when it is out", "Dashed is coming soon: pick it"),
        ((IN_STOCK, COMING, SOLD_OUT), None, "Notify me when it is available", "Crossed out is sold out"),
        ((COMING, Availability.DISCONTINUED), COMING, "Tell me when it is out", ""),
        ((Availability.PRE_ORDER, COMING), Availability.PRE_ORDER, "Tell me when it is out", "Dashed is"),
    ],
)
def test_a_page_words_its_form_by_what_can_be_waited_for(
    small_release: Release, states: tuple[Availability, ...], badge: Availability, button: str, help_text: str
) -> None:
    product, stock = jacket(*states)
    page = page_of(small_release, product, stock)

    assert badge_of(product, stock) is badge
    assert choices_of(product, stock).badge is badge
    assert f'<button class="button">{button}</button>' in page
    assert help_text in page
    chips = dict(re.findall(r'<label class="(chip[^"]*)"[^>]*><i>(\d)</i>', page))
    soon = {str(number) for number, state in enumerate(states, 1) if state is COMING}
    shown = set(
        re.findall(r'<label class="chip soon"[^>]*><i>(\d)</i><span class="unseen">, Coming soon', page)
    )
    assert shown == soon, chips
    # Days that differ stand beside each variant.
    assert page.count("<time") == len(soon)


def test_one_day_for_all_stands_once_beside_the_price(small_release: Release) -> None:
    product, stock = jacket(COMING, COMING)
    product = replace(
        product, variants=tuple(replace(variant, available_on=DAY) for variant in product.variants)
    )
    assert page_of(small_release, product, stock).count(f'<time datetime="{DAY}"') == 1


def test_a_card_says_coming_soon_with_the_day(small_release: Release) -> None:
    renderer = Renderer(small_release.theme)
    card = renderer.card(coming_scarf(), {"SCARF": SOON})

    assert f'Coming soon</span> <span class="launch">from <time datetime="{DAY}">1 March 2099</time>' in (
        " ".join(card.split())
    )
    assert "data-out" not in card
    assert "<time" not in renderer.card(*jacket(COMING, COMING))


def test_search_engines_read_out_of_stock_with_the_day(small_release: Release) -> None:
    edition = small_release.theme.editions[0]
    product = coming_scarf()
    offer = json.loads(product_json_ld(product, choices_of(product, {"SCARF": SOON}), edition))["offers"]

    assert offer["availability"] == "https://schema.org/OutOfStock"
    assert offer["availabilityStarts"] == DAY
    sold_out = json.loads(
        product_json_ld(
            product, choices_of(product, {"SCARF": replace(SOON, availability=SOLD_OUT)}), edition
        )
    )
    assert "availabilityStarts" not in sold_out["offers"]


def test_the_merchant_feed_takes_no_orders_for_it(small_release: Release) -> None:
    feed = merchant_feed(
        small_release.theme.editions[0], [(coming_scarf(), {"SCARF": SOON})], today="2026-11-27"
    )
    assert "<g:availability>out_of_stock</g:availability>" in feed.text
    assert "availability_date" not in feed.text
    assert not [line for line in feed.warnings if "available_on" in line]


@pytest.mark.parametrize(
    ("name", "coming", "said"),
    [
        ("confirm", 1, "asked us for an email when this is out:"),
        ("already", 1, "we write to you once when it is out."),
        ("confirm", 0, "asked us for an email when this is back:"),
        ("already", 0, "we write to you once when it is back."),
    ],
)
def test_the_emails_before_the_launch_do_not_say_back(
    small_release: Release, name: str, coming: int, said: str
) -> None:
    product = coming_scarf()
    email = Renderer(small_release.theme).product_email(
        name,
        product=product,
        variant=product.variants[0],
        action_url=ACTION,
        unsubscribe_url=ACTION,
        stock={"SCARF": SOON if coming else replace(SOON, availability=SOLD_OUT)},
    )
    for text in (email.text, email.html):
        assert said in " ".join(text.split())
        assert ("is back" in text) is not bool(coming)


def test_an_email_about_several_says_available_where_one_was_never_on_sale(small_release: Release) -> None:
    product, stock = jacket(COMING, SOLD_OUT)
    email = Renderer(small_release.theme).product_email(
        "confirm",
        product=product,
        variant=product.variants[0],
        action_url=ACTION,
        stock=stock,
        items=[(product, variant) for variant in product.variants],
        coming=1,
    )
    assert "asked us for an email when these are available:" in " ".join(email.text.split())


@pytest.mark.parametrize(("coming", "button"), [(0, "they are back"), (1, "they are available")])
def test_the_page_to_confirm_several_says_available_where_one_is_coming(
    small_release: Release, coming: int, button: str
) -> None:
    product, _ = jacket(COMING, SOLD_OUT)
    page = Renderer(small_release.theme).linked_items_page(
        "confirm.html",
        [(product, variant, False) for variant in product.variants],
        at="/api/confirm?token=t",
        token="t",
        coming=coming,
    )
    assert f"Yes, email me when {button}</button>" in page


def test_a_file_needs_no_stock_for_what_is_not_there_yet(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    file = shop.site / "products" / "scarf.toml"
    for fields, units in (
        ({"availability": '"ComingSoon"', "available_on": DAY}, 0),
        ({"availability": '"ComingSoon"', "stock": "40"}, 40),
        ({"availability": '"ComingSoon"', "counted": "false"}, None),
    ):
        file.write_text(scarf_file(**fields))
        (scarf,) = [entry for entry in load_catalogue(shop).products if entry.product.slug == "scarf"]
        assert scarf.stock["SCARF"] == Stock(COMING, units, 0, "catalogue")


def test_another_word_still_needs_a_stock(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    (shop.site / "products" / "scarf.toml").write_text(scarf_file(availability='"comingsoon"'))
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(shop)
    stated = {(mistake.field, mistake.line) for mistake in caught.value.mistakes}
    assert stated == {("variants[0].availability", 13), ("variants[0].stock", 11)}
    assert "ComingSoon" in str(caught.value)


def test_a_sheet_says_it_too(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    (shop.site / "products.csv").write_text(
        "slug,title,category,price,summary,description,sku,stock,availability,available_on\n"
        f"cap,Cap,accessories,9.00,A cap.,Wool.,CAP,,ComingSoon,{DAY}\n"
    )
    (cap,) = [entry for entry in load_catalogue(shop).products if entry.product.slug == "cap"]
    assert cap.stock["CAP"].availability is COMING
    assert cap.product.variants[0].available_on == DAY


@pytest.mark.parametrize("text", ["Coming soon", "coming_soon", "ComingSoon", "not yet released"])
def test_an_import_knows_the_word(text: str) -> None:
    assert availability_of(text, Notes()) is COMING


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "is_late"),
    [("2027-03-01T23:59", False), ("2027-03-02T11:59", False), ("2027-03-02T12:00", True)],
)
def test_a_launch_is_late_when_its_day_is_over_everywhere(now: str, *, is_late: bool) -> None:
    launches = [("site/products/scarf.toml:11", "SCARF", "2027-03-01")]
    lines = [*late_launches(launches, at_ms=ms(now))]
    assert [line.partition(": ")[0] for line in lines] == ["site/products/scarf.toml:11"] * is_late
    assert not [*late_launches(launches, at_ms=ms(now), on_sale={"SCARF"})]


def test_a_build_names_the_file_and_line_of_a_late_launch(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    (shop.site / "products" / "scarf.toml").write_text(
        scarf_file(availability='"ComingSoon"', available_on="2020-02-29")
    )
    for _ in range(2):  # the second build finds nothing changed
        result = CliRunner().invoke(cli, ["build"], obj=shop)
        assert result.exit_code == 0, result.output
        assert "site/products/scarf.toml:12: SCARF was to be on sale from 2020-02-29" in result.stderr


def test_a_live_page_keeps_the_launch_of_its_stage(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    (shop.site / "products" / "scarf.toml").write_text(scarf_file(availability='"ComingSoon"'))
    launched = {"scarf": {"SCARF": Stock(IN_STOCK, 3, 1, "e1", 1, ("key",), is_launch=True)}}
    release = build(shop, stock=launched)
    page = next(item for item in release.objects if item.key == "products/scarf").read().decode()
    assert "Coming soon" not in page
    assert 'id="waitlist"' not in page


def test_a_variant_that_is_coming_is_no_other_when_it_is_sold_out() -> None:
    stocked = StockedProduct(coming_scarf(when_sold_out=WhenSoldOut.BACK_ORDER), {"SCARF": SOON})
    assert stocked.is_coming("SCARF")
    assert not stocked.is_coming("OTHER")
    assert not stocked.can_buy("SCARF")
