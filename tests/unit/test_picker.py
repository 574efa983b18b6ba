"""The picker of a product page: one control for each option, whatever the combinations that are sold."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Picture, Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.choices import choices_of, option_kinds
from chalicelib.storefront.picker import PICTURE_GROUPS_MAX, Option, Picker, picker_of
from tests.support.small_shop import THEME

PLAIN = Product("coat", "Coat", "A coat.", "<p>A coat.</p>", "outerwear", (), ())


def variant(*options: str, names: tuple[str, ...] = ("Colour", "Size", "Length")) -> Variant:
    return Variant("-".join(options), 900, tuple(zip(names, options, strict=False)))


def product(*variants: Variant, pictures: tuple[Picture, ...] = ()) -> Product:
    return replace(PLAIN, variants=variants, pictures=pictures)


def picture(blur: str = "", **options: str) -> Picture:
    return Picture("/p.jpg", 4, 5, "", options=tuple(options.items()), blur=blur)


def held(*skus: str) -> Mapping[str, Stock]:
    return {sku: Stock(Availability.IN_STOCK, None, 1, "e") for sku in skus}


def picker(item: Product, *in_stock: str) -> Picker:
    return picker_of(item, choices_of(item, held(*in_stock)), option_kinds(item))


def option(item: Product, *in_stock: str) -> Option:
    found = picker(item, *in_stock).option
    assert found is not None
    return found


def leaves(found: Option) -> list[str]:
    return [
        sku
        for value in found.values
        for sku in (
            leaves(value.below) if value.below else [value.choice.variant.sku] if value.choice else []
        )
    ]


def test_a_product_of_one_variant_has_nothing_to_pick() -> None:
    assert picker(product(variant("Moss"), pictures=(picture(Colour="Moss"),))) == Picker(None, (None,))


def test_each_option_stands_below_the_values_before_it() -> None:
    colour = option(product(variant("Moss", "S"), variant("Moss", "M"), variant("Ink", "M")))

    assert (colour.name, [value.value for value in colour.values]) == ("Colour", ["Moss", "Ink"])
    sizes = [value.below for value in colour.values]
    assert [(size.name, [value.value for value in size.values]) for size in sizes if size] == [
        ("Size", ["S", "M"]),
        ("Size", ["S", "M"]),
    ]


def test_a_combination_that_does_not_exist_is_named_and_leads_nowhere() -> None:
    colour = option(product(variant("Moss", "S"), variant("Moss", "M"), variant("Ink", "M")))

    ink = colour.values[1].below
    assert ink is not None
    assert [(value.value, value.exists) for value in ink.values] == [("S", False), ("M", True)]


def test_more_that_is_missing_than_there_is_stays_unsaid() -> None:
    sizes = tuple(variant("Moss", size) for size in "ABCDEFGH")
    ink = option(product(*sizes, variant("Ink", "A"))).values[1].below

    assert ink is not None
    assert [value.value for value in ink.values] == ["A"]


def test_the_first_colour_that_can_be_bought_is_picked_and_no_size() -> None:
    item = product(variant("Moss", "S"), variant("Moss", "M"), variant("Ink", "S"), variant("Ink", "M"))
    colour = option(item, "Ink-M")

    assert [value.is_picked for value in colour.values] == [False, True]
    assert [value.can_buy for value in colour.values] == [False, True]
    assert colour.values[1].below is not None
    assert [value.is_picked for value in colour.values[1].below.values] == [False, False]


def test_the_only_size_of_a_colour_is_picked_with_it() -> None:
    colour = option(product(variant("Moss", "One size"), variant("Ink", "One size")), "Moss-One size")

    assert colour.values[0].below is not None
    assert colour.values[0].below.values[0].is_picked
    assert colour.values[1].below is not None
    assert not colour.values[1].below.values[0].is_picked, "one variant at most is picked"


def test_pictures_are_grouped_by_the_option_that_they_name() -> None:
    shots = (
        picture(),
        picture("data:moss", Colour="Moss"),
        picture(Colour="Ink"),
        picture("data:small", Colour="Moss", Size="S"),
    )
    found = picker(product(variant("Moss", "S"), variant("Ink", "S"), pictures=shots))

    assert found.picture_groups == (None, 1, 2, 1)
    assert found.option is not None
    assert [(value.picture_group, value.swatch) for value in found.option.values] == [
        (1, "data:moss"),
        (2, None),
    ]


def test_an_option_between_two_others_hides_no_picture() -> None:
    """Its radio buttons are as many groups as there are values before it: two could be picked at once."""
    item = product(
        variant("S", "Moss", "Long", names=("Size", "Colour", "Length")),
        variant("M", "Moss", "Long", names=("Size", "Colour", "Length")),
        pictures=(picture(Colour="Moss"),),
    )

    assert picker(item).picture_groups == (None,)


def test_more_colours_than_the_style_sheet_knows_hide_no_picture() -> None:
    colours = [f"C{number}" for number in range(PICTURE_GROUPS_MAX + 1)]
    shots = tuple(picture(Colour=colour) for colour in colours)
    most = product(*map(variant, colours[:-1]), pictures=shots[:-1])

    assert picker(most).picture_groups == tuple(range(1, PICTURE_GROUPS_MAX + 1))
    assert set(picker(product(*map(variant, colours), pictures=shots)).picture_groups) == {None}
    style = (THEME / "static" / "product.css").read_text()
    assert f'[data-g="{PICTURE_GROUPS_MAX}"]' in style
    assert f'[data-g="{PICTURE_GROUPS_MAX + 1}"]' not in style


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=2, max_size=20, unique=True),
    depth=st.integers(1, 3),
)
def test_each_variant_is_reached_once_and_keys_are_unique(rows: list[tuple[str, ...]], depth: int) -> None:
    paths = list(dict.fromkeys(row[:depth] for row in rows))
    item = product(*(variant(*path) for path in paths))
    found = picker(item).option
    if found is None:
        assert len(paths) == 1
        return
    assert sorted(leaves(found)) == sorted(choice.sku for choice in item.variants)
    keys = _keys(found)
    assert len(keys) == len(set(keys))


def _keys(found: Option) -> list[str]:
    return [
        key for value in found.values for key in (value.key, *(_keys(value.below) if value.below else ()))
    ]
