"""The same shop for Eleventy: the same products and listings, on plainer pages."""

import json
from pathlib import Path

from benchmarks.catalogue import Item, copy_theme

_THEME = Path(__file__).with_name("eleventy")


def write_eleventy_shop(folder: Path, things: list[Item]) -> None:
    """Write the shop as Eleventy reads it: one content file a product."""
    copy_theme(_THEME, folder)
    content = folder / "content"
    content.mkdir()
    (folder / "lists.njk").rename(content / "lists.njk")
    for thing in things:
        (content / thing.category).mkdir(exist_ok=True)
        (content / thing.category / f"{thing.slug}.md").write_text(_content(thing))


def _content(item: Item) -> str:
    front = {
        "layout": "product.njk",
        "tags": ["product"],
        "permalink": f"/{item.category}/{item.slug}.html",
        "title": item.title,
        "date": item.released_on,
        "shelf": item.category,
        "price": item.price,
        "summary": item.summary,
        "variants": [
            {"sku": sku, "colour": colour, "size": size, "stock": stock}
            for sku, colour, size, stock in item.variants
        ],
    }
    words = "\n\n".join(item.paragraphs)
    return f"---json\n{json.dumps(front)}\n---\n{words}\n"
