"""Names and texts that the shop can use: single lines, page names, SKUs, and the options of variants.

They derive from the export alone, in an order that no row decides, so the next import derives the same ones.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from chalicelib.domain.ids import SKU_CHARS_MAX, Sku, Slug, normal_sku, parse_sku
from spillway.importing.imported import ImportedProduct, ImportedVariant
from spillway.sitegen.reading.product_fields import SUMMARY_LENGTH_MAX
from spillway.sitegen.reading.slugs import base_slug, distinct_slugs, latin, slug_problem, with_digest
from spillway.sitegen.reading.toml_input import is_visible


def summary_of(opening: str) -> str:
    """Return the words that a description begins with; only their first sentence where they are too long."""
    summary = one_line(opening)
    if len(summary) > SUMMARY_LENGTH_MAX:
        sentence = re.match(rf".{{20,{SUMMARY_LENGTH_MAX - 1}}}?[.!?](?= )", summary)
        summary = sentence[0] if sentence else summary
    return cut(summary, SUMMARY_LENGTH_MAX)


def cut(text: str, length_max: int) -> str:
    """Return no more of the text than may be, cut between two words where there are some."""
    if len(text) <= length_max:
        return text
    short = text[: length_max - 1]
    return f"{short.rpartition(' ')[0] or short}…"


def one_line(text: str) -> str:
    """Return the text on a single line, with single spaces."""
    return " ".join(clean(text, lines=False).split())


def clean(text: str, *, lines: bool) -> str:
    """Without control signs and marks that turn the direction of a text; empty where nothing is visible."""
    kept = "\n" if lines else ""
    # Nearly all texts: nothing to look for sign by sign.
    if (text.replace("\n", "") if lines else text).isprintable():
        return text
    cleaned = "".join(
        sign if sign in kept or unicodedata.category(sign) not in {"Cc", "Zl", "Zp"} else " "
        for sign in text
        if not "\u202a" <= sign <= "\u202e" and not "\u2066" <= sign <= "\u2069"
    )
    return cleaned if is_visible(cleaned) else ""


# A file system's names have at most 255 bytes: a product's file is its slug and ".toml".
SLUG_LENGTH_MAX = 250
_CATEGORY_LENGTH_MAX = 80


def page_slugs(products: Sequence[ImportedProduct]) -> list[Slug | None]:
    """Name the page of each product by its handle, or else by its page name or title.

    Returns:
        A slug of its own for each product, in the same order. Among products with one name, the one with that
        handle keeps it; the names of the others end with a digest of what tells them apart. None for a
        product that another one stands for: both have one identity, and the order of rows does not choose.
    """
    identities = [_identity(product) for product in products]
    texts: dict[str, str] = {}
    for product, identity in zip(products, identities, strict=True):
        texts.setdefault(identity, _usable(product.handle or product.page_name or product.title))
    distinct = distinct_slugs(texts, length_max=SLUG_LENGTH_MAX)
    chosen: dict[str, int] = {}
    for index, identity in enumerate(identities):
        known = chosen.setdefault(identity, index)
        if known != index and _content(products[index]) < _content(products[known]):
            chosen[identity] = index
    return [
        Slug(distinct[identity]) if chosen[identity] == index else None
        for index, identity in enumerate(identities)
    ]


def _content(product: ImportedProduct) -> str:
    """Return all that an export says of a product, whatever the order and the lines of its rows."""
    return repr((replace(product, place="", variants=()), _variants(product)))


def _variants(product: ImportedProduct) -> list[str]:
    return sorted(repr(replace(variant, place="")) for variant in product.variants)


def _identity(product: ImportedProduct) -> str:
    """Return the identity of a product: its handle, or else its name and the SKUs sold under it."""
    if product.handle:
        return product.handle
    skus = sorted(normal_sku(variant.sku) for variant in product.variants)
    if any(skus):
        return repr((product.page_name or product.title, next(sku for sku in skus if sku)))
    name = product.page_name or product.title
    return repr((name, product.description, _variants(product)))


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


def own_sku(text: str) -> Sku:
    """Return the merchant's SKU as it is; an empty text when there is none.

    Raises:
        SkuRefused: it cannot be an SKU; the reason is a sentence.
    """
    return parse_sku(text) if normal_sku(text) else Sku("")


def derived_skus(variants: Sequence[tuple[Slug, Sequence[tuple[str, str]]]], *, own: Set[Sku]) -> list[Sku]:
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
        Sku(sku)
        if count[sku] == 1 and len(sku) <= SKU_CHARS_MAX and sku not in own
        else Sku(with_digest(sku, repr((slug, tuple(options))), length_max=SKU_CHARS_MAX).upper())
        for sku, (slug, options) in zip(made, variants, strict=True)
    ]


Options = tuple[tuple[str, str], ...]

# Stands for a value that a variant has not, where others have one.
NO_VALUE = "-"
_SIZES = {
    word: rank
    for rank, words in enumerate(
        (
            ("one size", "os", "uni"),
            ("xxxs", "3xs"),
            ("xxs", "2xs"),
            ("xs", "extra small"),
            ("s", "sm", "small", "klein", "petit", "pequeño", "piccolo"),
            ("m", "md", "med", "medium", "mittel", "moyen", "mediano", "medio"),
            ("l", "lg", "large", "groß", "gross", "grand", "grande"),
            ("xl", "1xl", "extra large", "x large"),
            ("xxl", "2xl", "xx large"),
            *((f"{'x' * number}l", f"{number}xl") for number in range(3, 9)),
        )
    )
    for word in words
}
_NUMBERS = re.compile(r"(\d+(?:[.,]\d+)?)")
_SPACES = re.compile(r"[\s_-]+")
_DIGEST_LENGTH = 6
_LAST = 1_000_000


class ChosenOptions:
    """The options a shopper chooses by. `shortened` maps values that are too long to their short forms."""

    def __init__(self, variants: Sequence[ImportedVariant], *, value_length_max: int) -> None:
        self._names = tuple(
            name
            for name in _names(variants)
            if any(
                one_line(dict(variant.options).get(name, "")) not in {"", NO_VALUE} for variant in variants
            )
        )
        texts = {
            one_line(text)
            for variant in variants
            for pair in variant.options
            for text in pair
            if len(one_line(text)) > value_length_max
        }
        self._short = {text: _short(text, texts, value_length_max) for text in texts}

    @property
    def shortened(self) -> tuple[tuple[str, str], ...]:
        """(long, short) of each value or name that is too long."""
        return tuple(sorted(self._short.items()))

    def of(self, variant: ImportedVariant) -> Options:
        """Return the options of a variant: the same names, in the same order, for every one."""
        stated = dict(variant.options)
        return tuple((self._text(name), self._text(stated.get(name, "")) or NO_VALUE) for name in self._names)

    def sorted(self, variants: Iterable[ImportedVariant]) -> list[ImportedVariant]:
        """Return the variants as the export numbers them, or else by their options.

        Sizes go from small to large, numbers as numbers, words by alphabet. Rows do not count: a spreadsheet
        sorts them by anything.
        """
        return sorted(
            variants,
            key=lambda variant: (
                _LAST if variant.position is None else variant.position,
                [value_order(value) for _, value in self.of(variant)],
                variant.sku,
                variant.price,
                repr(variant.options),
                variant.picture,
            ),
        )

    def _text(self, text: str) -> str:
        line = one_line(text)
        return self._short.get(line, line)


def value_order(value: str) -> tuple[int, float, list[tuple[int, float, str]], str]:
    """Return where a value stands among others: sizes, then numbers, then words."""
    word = _SPACES.sub(" ", value.casefold()).strip()
    first = re.split(r"[^\w ]", word)[0].strip()
    rank = _SIZES.get(word, _SIZES.get(first))
    if rank is not None:
        return 0, rank, [], value
    parts = [
        (0, float(part.replace(",", ".")), "") if number % 2 else (1, 0.0, part)
        for number, part in enumerate(_NUMBERS.split(word))
        if part
    ]
    return (1 if parts and parts[0][0] == 0 else 2), 0, parts, value


def shown_options(product: ImportedProduct, choices: ChosenOptions, url: str) -> Options:
    """Return the options that all variants with this picture share, and no other variant has."""
    shown = [set(choices.of(variant)) for variant in product.variants if variant.picture == url]
    others = [set(choices.of(variant)) for variant in product.variants if variant.picture != url]
    if not shown or not others:
        return ()
    common = set.intersection(*shown) - set[tuple[str, str]]().union(*others)
    order = [name for name, _ in choices.of(product.variants[0])]
    return tuple(sorted((pair for pair in common), key=lambda pair: order.index(pair[0]))[:1])


def _names(variants: Sequence[ImportedVariant]) -> tuple[str, ...]:
    """Return the names of all options: those of the variant that has most, then the others."""
    stated = {tuple(name for name, _ in variant.options) for variant in variants}
    most = min(stated, key=lambda names: (-len(names), names), default=())
    others = {name for names in stated for name in names} - set(most)
    return (*dict.fromkeys(most), *sorted(others))


def _short(text: str, texts: Iterable[str], length_max: int) -> str:
    """Return the beginning of a text that is too long.

    A digest sets it apart from another that begins alike.
    """
    short = cut(text, length_max)
    if all(cut(other, length_max) != short for other in texts if other != text):
        return short
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{cut(text, length_max - _DIGEST_LENGTH - 1)} {digest}"
