"""The text of a product file, as a person would write it."""

import json
import re

from spillway.importing.taking import Options, TakenProduct


def product_text(product: TakenProduct, *, category: str) -> str:
    """The file of `product`; `category` is the slug of its shelf."""
    prices = [variant.price for variant in product.variants]
    price = max(set(prices), key=lambda each: (prices.count(each), each))
    lines = [
        f"title = {_text(product.title)}",
        f"category = {_text(category)}",
        f"price = {_text(price)}",
        f"summary = {_text(product.summary)}",
        f'description = """\n{_lines(product.description)}\n"""',
    ]
    if product.tags:
        lines.append(f"tags = [{', '.join(_text(tag) for tag in product.tags)}]")
    if product.details:
        rows = "".join(f"    [{_text(name)}, {_text(value)}],\n" for name, value in product.details)
        lines.append(f"details = [\n{rows}]")
    for picture in product.pictures:
        lines += ["", "[[pictures]]", f"file = {_text(picture.file)}", f"alt = {_text(picture.alt)}"]
        lines += [_options(picture.options)] if picture.options else []
    for variant in product.variants:
        lines += ["", "[[variants]]", f"sku = {_text(variant.sku)}"]
        lines += [_options(variant.options)] if variant.options else []
        lines += [f"price = {_text(variant.price)}"] if variant.price != price else []
        lines.append(f"stock = {variant.units}")
        lines += [f"availability = {_text(variant.availability)}"] if variant.availability else []
    return "\n".join(lines) + "\n"


def _options(options: Options) -> str:
    pairs = ", ".join(f"{_key(name)} = {_text(value)}" for name, value in options)
    return f"options = {{ {pairs} }}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    # JSON's texts are TOML's, but for the sign that JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', '""\\"')
