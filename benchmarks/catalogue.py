"""A catalogue of any size for the benchmarks: invented, without pictures, the same at every run."""

import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from spillway.project import DEFAULT_THEME

_SITE = Path(__file__).parents[1] / "site"
_WORDS = """
wool cotton linen canvas waxed heavy light warm dry soft dense brushed mended lined cut sewn knitted woven
collar pocket cuff hem seam button zip snap lining cord rib weight weather morning harbour hill lane coat
jumper shirt trouser jacket scarf sock hat glove belt for with under over against by the and
""".split()  # noqa: SIM905 - three lines instead of fifty
CATEGORIES = 100
# Products on the home page: the fewest that a shop of this catalogue has.
FEATURED = 8


@dataclass(frozen=True, slots=True)
class Item:
    """A product in plain words, for each generator that makes a page of it."""

    slug: str
    title: str
    category: str
    price: str
    summary: str
    paragraphs: tuple[str, ...]
    variants: tuple[tuple[str, str, str, int], ...]
    tags: tuple[str, ...]
    released_on: str


def items(count: int) -> list[Item]:
    """`count` products, the first of them the same whatever the count."""
    made = []
    for number in range(count):
        chance = random.Random(number)

        def words(length: int, chance: random.Random = chance) -> str:
            return " ".join(chance.choice(_WORDS) for _ in range(length)).capitalize()

        colours = chance.sample(["Moss", "Ink", "Sand", "Rust"], 2)
        made.append(
            Item(
                slug=f"thing-{number:06}",
                title=words(3),
                category=f"shelf-{number % CATEGORIES:03}",
                price=f"{chance.randint(8, 400)}.00",
                summary=words(14) + ".",
                paragraphs=tuple(words(45) + "." for _ in range(3)),
                variants=tuple(
                    (f"T{number:06}-{colour.upper()}-{size}", colour, size, chance.randint(0, 3))
                    for colour in colours
                    for size in ("S", "M", "L")
                ),
                tags=tuple(sorted(chance.sample(_WORDS[:20], 3))),
                released_on=f"2026-{chance.randint(1, 9):02}-{chance.randint(1, 28):02}",
            )
        )
    return made


def write_shop(folder: Path, things: list[Item]) -> None:
    """Write the shop as Spillway reads it: the sample shop's own theme, one TOML file a product."""
    shutil.rmtree(folder, ignore_errors=True)
    site = folder / "site"
    shutil.copytree(_SITE / "pages", site / "pages")
    for page in (site / "pages").glob("*.de.md"):
        page.unlink()
    (site / "pictures").mkdir()
    shutil.copy(_SITE / "pictures" / "hero.webp", site / "pictures" / "hero.webp")
    (site / "products").mkdir()
    # One locale, and not a word in another.
    settings = (_SITE / "site.toml").read_text().partition("\n# The shop in German.")[0] + "\n"
    settings = re.sub(r"locales = .*", 'locales = ["en-GB"]', settings)
    head, _, rest = settings.partition("[[categories]]")
    # In one language.
    navigation = rest[rest.index("[[navigation]]") :].partition("\n[de]")[0]
    head = head.replace('locales = ["en-GB", "de"]', 'locales = ["en-GB"]')
    featured = head[head.index("featured = [") : head.index("]\n", head.index("featured = [")) + 2]
    head = head.replace(
        featured, f"featured = {[thing.slug for thing in things[:FEATURED]]!r}\n".replace("'", '"')
    )
    shelves = "".join(
        f'[[categories]]\nslug = "shelf-{number:03}"\ntitle = "Shelf {number}"\ndescription = "A shelf."\n\n'
        for number in range(CATEGORIES)
    )
    (site / "site.toml").write_text(head + shelves + navigation)
    for thing in things:
        (site / "products" / f"{thing.slug}.toml").write_text(product_file(thing))


def copy_theme(theme: Path, folder: Path) -> None:
    """Write the theme of another generator, with the default theme's style and script."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(theme, folder)
    (folder / "assets").mkdir()
    for name in ("icon.svg", "listing.js", "product.css", "shop.css", "shop.js"):
        shutil.copy(DEFAULT_THEME / "static" / name, folder / "assets" / name)


def product_file(item: Item) -> str:
    """Return the text of one product's file."""
    description = "\n\n".join(item.paragraphs)
    variants = "".join(
        f'\n[[variants]]\nsku = "{sku}"\noptions = {{ Colour = "{colour}", Size = "{size}" }}\n'
        f"stock = {stock}\n"
        for sku, colour, size, stock in item.variants
    )
    return (
        f'title = "{item.title}"\ncategory = "{item.category}"\nprice = "{item.price}"\n'
        f'summary = "{item.summary}"\ndescription = """\n{description}\n"""\n'
        f"tags = {list(item.tags)!r}\nreleased_on = {item.released_on}\n{variants}"
    ).replace("'", '"')
