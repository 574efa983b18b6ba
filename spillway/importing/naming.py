"""Names that the shop can use: page names and SKUs, derived from what an export says and from nothing else,
so that the next import, in whatever order, derives the same ones."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from chalicelib.domain.sku import SKU_CHARS_MAX, normal_sku, parse_sku
from spillway.importing.imported import ImportedProduct
from spillway.sitegen.reading.slugs import base_slug, distinct_slugs, latin, slug_problem, with_digest

# A file system's names have at most 255 bytes: a product's file is its slug and ".toml".
SLUG_LENGTH_MAX = 250
_CATEGORY_LENGTH_MAX = 80


def page_slugs(products: Sequence[ImportedProduct]) -> list[str | None]:
    """Name the page of each product by its handle, or else by its page name or title.

    Returns:
        A slug of its own for each product, in the same order. Among products with one name, the one with that
        handle keeps it; the names of the others end with a digest of what tells them apart. None for a
        product that is in every way the same as another one.
    """
    identities = [_identity(product) for product in products]
    texts: dict[str, str] = {}
    for product, identity in zip(products, identities, strict=True):
        texts.setdefault(identity, _usable(product.handle or product.page_name or product.title))
    slugs = distinct_slugs(texts, length_max=SLUG_LENGTH_MAX)
    return [slugs.pop(identity, None) for identity in identities]


def _identity(product: ImportedProduct) -> str:
    """Return the identity of a product: its handle, or else its name and the SKUs sold under it."""
    if product.handle:
        return product.handle
    skus = sorted(normal_sku(variant.sku) for variant in product.variants)
    if any(skus):
        return repr((product.page_name or product.title, next(sku for sku in skus if sku)))
    variants = sorted(repr(replace(variant, place="")) for variant in product.variants)
    return repr((product.page_name or product.title, product.body_html, product.description, variants))


def category_slugs(titles: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Give each category its slug, by title in lower case.

    Args:
        titles: of all categories of an export.
        known: the slugs that the shop's categories have, by title in lower case.

    Returns:
        Those of `known` for its titles, and for a title that a shop's slug spells out; new ones for others.
    """
    taken = set(known.values())
    slugs = dict(known)
    wanted: dict[str, str] = {}
    for title in sorted({title.lower() for title in titles} - known.keys()):
        if title in taken:
            slugs[title] = title
        else:
            wanted[title] = _usable(title)
    for title, slug in distinct_slugs(wanted, length_max=_CATEGORY_LENGTH_MAX).items():
        spelled = slug == title.replace(" ", "-")
        free = slug not in taken or spelled
        slugs[title] = slug if free else with_digest(slug, title, length_max=_CATEGORY_LENGTH_MAX)
    return slugs


def _usable(name: str) -> str:
    """`name`, or one like it where the shop itself answers at that address."""
    slug = latin(name).lower()
    return f"{name}-1" if slug and slug_problem(slug) and slug_problem(f"{slug}-1") is None else name


def slug_of(text: str) -> str:
    """Derive the slug that a name alone has, in this shop or another."""
    return base_slug(text, length_max=SLUG_LENGTH_MAX)


def own_sku(text: str) -> str:
    """Return the merchant's SKU as it is; an empty text when there is none.

    Raises:
        SkuRefused: it cannot be an SKU; the reason is a sentence.
    """
    return parse_sku(text) if normal_sku(text) else ""


def derived_skus(variants: Sequence[tuple[str, Sequence[tuple[str, str]]]], *, own: Set[str]) -> list[str]:
    """Derive an SKU for each variant that has none of its own, from its page and its options.

    Args:
        variants: the slug and the options of each.
        own: the SKUs that merchants gave to others.

    Returns:
        The SKUs in the same order. Where two would be the same, each ends with a digest.
    """
    made = [latin(" ".join([slug, *(value for _, value in options)])).upper() for slug, options in variants]
    count = Counter(made)
    return [
        sku
        if count[sku] == 1 and len(sku) <= SKU_CHARS_MAX and sku not in own
        else with_digest(sku, repr((slug, tuple(options))), length_max=SKU_CHARS_MAX).upper()
        for sku, (slug, options) in zip(made, variants, strict=True)
    ]
