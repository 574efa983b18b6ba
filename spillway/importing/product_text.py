"""The text of a product file, as a person would write it."""

import json
import re
from collections.abc import Iterable, Sequence

from chalicelib.domain.ids import Sku
from spillway.importing.names import Options
from spillway.importing.normalize import NormalizedProduct, NormalizedVariant


def product_text(product: NormalizedProduct, *, category: str, categories: Sequence[str] = ()) -> str:
    """Return the file of `product`; `category` and `categories` are the slugs of its categories."""
    price = base_price(product)
    shared = _shared(product.variants)
    lines = [f"title = {_text(product.title)}", f"category = {_text(category)}"]
    if further := [slug for slug in categories if slug != category]:
        lines.append(f"categories = {_texts(further)}")
    lines.append(f"price = {_text(price)}")
    lines += _given("compare_at_price", shared.compare_at_price)
    lines += [f"sale_ends_on = {shared.sale_ends_on}"] if shared.sale_ends_on else []
    lines += _given("brand", product.brand) + _given("condition", product.condition)
    lines += _given("seo_title", product.seo_title) + _given("seo_description", product.seo_description)
    lines += [
        f"summary = {_text(product.summary)}",
        f'description = """\n{_lines(product.description)}\n"""',
    ]
    lines += [f"tags = {_texts(product.tags)}"] if product.tags else []
    lines += [f"released_on = {product.released_on}"] if product.released_on else []
    lines += [f"weight_g = {shared.weight_g}"] if shared.weight_g is not None else []
    lines += _given("checkout_url", product.checkout_url)
    if product.details:
        rows = "".join(f"    [{_text(name)}, {_text(value)}],\n" for name, value in product.details)
        lines.append(f"details = [\n{rows}]")
    for picture in product.pictures:
        lines += ["", "[[pictures]]", f"file = {_text(picture.file)}", f"alt = {_text(picture.alt)}"]
        lines += [_options(picture.options)] if picture.options else []
    for variant in product.variants:
        lines += ["", "[[variants]]", *_variant(variant, price, shared)]
    return "\n".join(lines) + "\n"


def base_price(product: NormalizedProduct) -> str:
    """Return the price that most variants have; of several such, the last in order."""
    prices = [variant.price for variant in product.variants]
    return max(set(prices), key=lambda price: (prices.count(price), price))


def _variant(variant: NormalizedVariant, price: str, shared: NormalizedVariant) -> list[str]:
    lines = [f"sku = {_text(variant.sku)}"]
    lines += [_options(variant.options)] if variant.options else []
    lines += _given("price", variant.price if variant.price != price else "")
    if not shared.compare_at_price:
        lines += _given("compare_at_price", variant.compare_at_price)
        lines += [f"sale_ends_on = {variant.sale_ends_on}"] if variant.sale_ends_on else []
    lines.append("counted = false" if variant.units is None else f"stock = {variant.units}")
    lines += _given("availability", variant.availability) + _given("when_sold_out", variant.when_sold_out)
    lines += [f"available_on = {variant.available_on}"] if variant.available_on else []
    lines += _given("gtin", variant.gtin) + _given("mpn", variant.mpn)
    if variant.weight_g is not None and shared.weight_g is None:
        lines.append(f"weight_g = {variant.weight_g}")
    return [
        *lines,
        *_given("variant_id", variant.variant_id),
        *_given("checkout_url", variant.checkout_url),
    ]


def _shared(variants: Sequence[NormalizedVariant]) -> NormalizedVariant:
    """Return the values that all variants share: they stand once, at the top."""
    first = variants[0]
    offers = {(variant.price, variant.compare_at_price, variant.sale_ends_on) for variant in variants}
    weights = {variant.weight_g for variant in variants}
    return NormalizedVariant(
        place="",
        sku=Sku(""),
        price="",
        options=(),
        units=None,
        compare_at_price=first.compare_at_price if len(offers) == 1 else "",
        sale_ends_on=first.sale_ends_on if len(offers) == 1 and first.compare_at_price else "",
        weight_g=first.weight_g if len(weights) == 1 else None,
    )


def _given(name: str, value: str) -> list[str]:
    return [f"{name} = {_text(value)}"] if value else []


def _options(options: Options) -> str:
    pairs = ", ".join(f"{_key(name)} = {_text(value)}" for name, value in options)
    return f"options = {{ {pairs} }}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _texts(texts: Iterable[str]) -> str:
    return f"[{', '.join(_text(text) for text in texts)}]"


def _text(text: str) -> str:
    # JSON's texts are TOML's, but for the sign that JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', '""\\"')
