"""The same shop for Hugo: the same pages with the same markup, in Hugo's own way of writing them.

The common part of pages and the card of a product are cached partials: the fastest that Hugo has.
"""

import json
from pathlib import Path

from benchmarks.catalogue import CATEGORIES, Item, copy_theme

_THEME = Path(__file__).with_name("hugo")


def write_hugo_shop(folder: Path, things: list[Item]) -> None:
    """Write the shop as Hugo reads it: one content file a product, a section a category."""
    copy_theme(_THEME, folder)
    for number in range(CATEGORIES):
        section = folder / "content" / f"shelf-{number:03}"
        section.mkdir(parents=True)
        (section / "_index.md").write_text(
            f'+++\ntitle = "Shelf {number}"\nweight = {number + 1}\nsummary = "A shelf."\n+++\n'
        )
    for thing in things:
        (folder / "content" / thing.category / f"{thing.slug}.md").write_text(_content(thing))


def _content(item: Item) -> str:
    variants = "".join(
        f"[[params.variants]]\nsku = {json.dumps(sku)}\ncolour = {json.dumps(colour)}\n"
        f"size = {json.dumps(size)}\nstock = {stock}\n"
        for sku, colour, size, stock in item.variants
    )
    words = "\n\n".join(item.paragraphs)
    return (
        f"+++\ntitle = {json.dumps(item.title)}\ndate = {item.released_on}\n"
        f"tags = {json.dumps(item.tags)}\n"
        f'[params]\nprice = "{item.price}"\n'
        f"summary = {json.dumps(item.summary)}\n{variants}+++\n{words}\n"
    )
