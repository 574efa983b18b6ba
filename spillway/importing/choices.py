"""The options of a product's variants: their names from all rows, and an order that no row decides."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from spillway.importing.imported import ImportedProduct, ImportedVariant
from spillway.importing.wording import cut, one_line

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


class Choices:
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
        """The options of a variant: the same names, in the same order, for every one."""
        stated = dict(variant.options)
        return tuple((self._text(name), self._text(stated.get(name, "")) or NO_VALUE) for name in self._names)

    def sorted(self, variants: Iterable[ImportedVariant]) -> list[ImportedVariant]:
        """The variants as the export numbers them, or else by their options: sizes from small to large,
        numbers as numbers, words by alphabet. Rows do not count: a spreadsheet sorts them by anything."""
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
    """Where a value stands among others: sizes, then numbers, then words."""
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


def shown_options(product: ImportedProduct, choices: Choices, url: str) -> Options:
    """Return the options that all variants with this picture share, and no other variant has."""
    shown = [set(choices.of(variant)) for variant in product.variants if variant.picture == url]
    others = [set(choices.of(variant)) for variant in product.variants if variant.picture != url]
    if not shown or not others:
        return ()
    common = set.intersection(*shown) - set[tuple[str, str]]().union(*others)
    order = [name for name, _ in choices.of(product.variants[0])]
    return tuple(sorted((pair for pair in common), key=lambda pair: order.index(pair[0]))[:1])


def _names(variants: Sequence[ImportedVariant]) -> tuple[str, ...]:
    """The names of all options: those of the variant that has most, then the others."""
    stated = {tuple(name for name, _ in variant.options) for variant in variants}
    most = min(stated, key=lambda names: (-len(names), names), default=())
    others = {name for names in stated for name in names} - set(most)
    return (*dict.fromkeys(most), *sorted(others))


def _short(text: str, texts: Iterable[str], length_max: int) -> str:
    """The beginning of a text that is too long; a digest sets it apart from another that begins alike."""
    short = cut(text, length_max)
    if all(cut(other, length_max) != short for other in texts if other != text):
        return short
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{cut(text, length_max - _DIGEST_LENGTH - 1)} {digest}"
