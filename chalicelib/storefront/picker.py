"""The picker of a product page: one control for each option, and the pictures that a value shows.

Each option stands below the values of the options before it, so that no page needs a script, or a rule of
style for each combination, to show which sizes of a colour there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.product import Product
from chalicelib.storefront.choices import VariantChoice, VariantChoices

# The style sheet has a rule for each group of pictures up to this one; beyond, every picture is shown.
PICTURE_GROUPS_MAX = 16


@dataclass(frozen=True, slots=True)
class OptionValue:
    """One value of an option, "Moss", where the values of the options before it are picked already.

    `choice` is the variant that it completes; before the last option, `below` is the next one. Without
    either, no such combination is sold. `is_coming`: none of it can be bought, and all that can be waited for
    was never on sale. `key` is unique on the page; `picture_group` is the group of pictures
    that it shows, and `swatch` a few pixels of the first of them, in a data address.
    """

    key: str
    value: str
    choice: VariantChoice | None = None
    below: "Option | None" = None
    can_buy: bool = False
    is_coming: bool = False
    is_picked: bool = False
    picture_group: int | None = None
    swatch: str | None = None

    @property
    def exists(self) -> bool:
        return self.choice is not None or self.below is not None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the picker with its values in catalogue order.

    `key` is unique on the page; `kind` is the property that it is, as `option_kind` returns it.
    """

    name: str
    key: str
    values: tuple[OptionValue, ...]
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Picker:
    """The first option of a product, and the group of each of its pictures.

    Groups are numbered from 1; None is a picture that is shown whatever is picked.
    """

    option: Option | None
    picture_groups: tuple[int | None, ...]


def picker_of(product: Product, choices: VariantChoices, kinds: Sequence[str | None]) -> Picker:
    """Return the picker of a product; without an option for a product of one variant.

    `kinds` are the properties that its options are, as `option_kinds` returns them. No size is picked for a
    shopper: a wrong one comes back by post.
    """
    if len(choices.all) == 1:
        return Picker(None, (None,) * len(product.pictures))
    pictures = _PictureGroups(product)
    option = _Options(choices.all, kinds, pictures).option("", choices.all, 0, is_path_picked=True)
    return Picker(option, pictures.of_pictures)


class _PictureGroups:
    """Groups of pictures by the value of the first option that any picture names.

    The page hides the pictures of every value but the picked one. Only a group of radio buttons in which one
    at most can be picked on the whole page may do that: the first option, and the last.
    """

    def __init__(self, product: Product) -> None:
        names = [name for name, _ in product.variants[0].options]
        shown = [dict(picture.options) for picture in product.pictures]
        found = [depth for depth, name in enumerate(names) if any(name in options for options in shown)]
        usable = bool(found) and found[0] in {0, len(names) - 1}
        self.depth = found[0] if usable else None
        values = [options.get(names[found[0]]) if usable else None for options in shown]
        groups: dict[str, int] = {}
        for value in values:
            if value is not None:
                groups.setdefault(value, len(groups) + 1)
        if len(groups) > PICTURE_GROUPS_MAX:
            groups = {}
        self._groups = groups
        self._swatches: dict[str | None, str] = {}
        for value, picture in zip(values, product.pictures, strict=True):
            self._swatches.setdefault(value, picture.blur)
        self.of_pictures = tuple(groups.get(value) if value else None for value in values)

    def group(self, depth: int, value: str) -> int | None:
        """Return the group of a value of the option at `depth`."""
        return self._groups.get(value) if depth == self.depth else None

    def swatch(self, depth: int, value: str) -> str | None:
        """Return the swatch of a value of the option at `depth`, where there are several values."""
        if self.group(depth, value) is None or len(self._groups) == 1:
            return None
        return self._swatches[value] or None


class _Options:
    """Builds the options of a product's picker, each below the values of the options before it."""

    def __init__(
        self, choices: Sequence[VariantChoice], kinds: Sequence[str | None], pictures: _PictureGroups
    ) -> None:
        self._names = [name for name, _ in choices[0].variant.options]
        self._values = [
            tuple(dict.fromkeys(choice.variant.options[depth][1] for choice in choices))
            for depth in range(len(self._names))
        ]
        self._kinds = (*kinds, *(None for _ in self._names))
        self._pictures = pictures

    def option(
        self, key: str, choices: Sequence[VariantChoice], depth: int, *, is_path_picked: bool
    ) -> Option:
        """Return the option at `depth` over `choices`, which have the values before it in common."""
        by_value: dict[str, list[VariantChoice]] = {}
        for choice in choices:
            by_value.setdefault(choice.variant.options[depth][1], []).append(choice)
        picked = self._picked(by_value, depth) if is_path_picked else None
        # A long list of what does not exist helps nobody.
        missing = len(self._values[depth]) - len(by_value)
        listed = self._values[depth] if missing <= len(by_value) else tuple(by_value)
        values = [
            self._value(f"{key}-{number}", value, by_value.get(value, []), depth, is_picked=value == picked)
            for number, value in enumerate(listed, 1)
        ]
        return Option(self._names[depth], key, tuple(values), self._kinds[depth])

    def _value(
        self, key: str, value: str, choices: Sequence[VariantChoice], depth: int, *, is_picked: bool
    ) -> OptionValue:
        if not choices:
            return OptionValue(key, value)
        is_last = depth == len(self._names) - 1
        return OptionValue(
            key,
            value,
            choice=choices[0] if is_last else None,
            below=None if is_last else self.option(key, choices, depth + 1, is_path_picked=is_picked),
            can_buy=(can_buy := any(choice.can_buy for choice in choices)),
            is_coming=not can_buy and _is_coming(choices),
            is_picked=is_picked,
            picture_group=self._pictures.group(depth, value),
            swatch=self._pictures.swatch(depth, value),
        )

    def _picked(self, by_value: Mapping[str, Sequence[VariantChoice]], depth: int) -> str | None:
        """Return the value that is picked at first: the first that can be bought; of several sizes, none."""
        if self._kinds[depth] == "size" and len(by_value) > 1:
            return None
        can_buy = (value for value, below in by_value.items() if any(choice.can_buy for choice in below))
        return next(can_buy, next(iter(by_value)))


def _is_coming(choices: Sequence[VariantChoice]) -> bool:
    awaited = [choice for choice in choices if choice.can_wait]
    return bool(awaited) and all(choice.is_coming for choice in awaited)
