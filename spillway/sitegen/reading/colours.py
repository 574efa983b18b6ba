"""The accent of a shop: its contrast with the pages of the default theme, and the colours derived from it.

Contrast is that of WCAG 2.2: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from math import floor
from typing import NamedTuple

# Criterion 1.4.3, level AA, for text of normal size.
CONTRAST_MIN = 4.5
# Level AAA: a derived colour can be lighter than a merchant's own would be, and a dark page glares.
_DERIVED_CONTRAST = 7.0

# The page and the panels on it, in spillway/theme/static/shop.css.
LIGHT_PAGE = ("#f8f5ef", "#fffdf9")
DARK_PAGE = ("#161412", "#201d1a")

_BLACK, _WHITE = "#000000", "#ffffff"
_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_MIX_STEPS = 255


class Accent(NamedTuple):
    """The accent on a light page and on a dark one, each with the colour of a text on it."""

    light: str
    on_light: str
    dark: str
    on_dark: str


def parse_colour(text: str) -> str | None:
    """Return a colour such as "#0bf" or "#00BBFF" as "#00bbff", None for any other text."""
    if not _COLOUR.fullmatch(text):
        return None
    digits = text[1:].lower()
    return f"#{digits}" if len(digits) == 6 else "#" + "".join(digit * 2 for digit in digits)


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def accent_of(light: str, dark: str | None = None) -> Accent:
    """Return the accent with the colours derived from it; `dark` is derived too where it is None.

    Both are colours that `accent_problem` accepts.
    """
    dark = dark or _mixed_until(light, _WHITE, DARK_PAGE, _DERIVED_CONTRAST)
    return Accent(light, LIGHT_PAGE[1], dark, _mixed_until(dark, _BLACK, (dark,), _DERIVED_CONTRAST))


def accent_problem(colour: str, *, is_dark: bool = False) -> str | None:
    """Return what was expected instead of a colour without enough contrast, None for one with enough."""
    backgrounds = DARK_PAGE if is_dark else LIGHT_PAGE
    ratio = _contrast_min(colour, backgrounds)
    if ratio >= CONTRAST_MIN:
        return None
    nearest = _mixed_until(colour, _WHITE if is_dark else _BLACK, backgrounds, CONTRAST_MIN)
    page = f"a {'dark' if is_dark else 'light'} page ({backgrounds[1 if is_dark else 0]})"
    # Rounded down: 4.499 is not 4.5.
    shown = f"{floor(ratio * 100) / 100:.2f}:1"
    return f"a contrast of {CONTRAST_MIN}:1 with {page}; it has {shown}, the nearest that passes is {nearest}"


def _mixed_until(colour: str, other: str, backgrounds: Sequence[str], contrast_min: float) -> str:
    """Return `colour` mixed with as little of `other` as gives the contrast; `other` where nothing does."""

    def has_contrast(step: int) -> bool:
        return _contrast_min(_mixed(colour, other, step / _MIX_STEPS), backgrounds) >= contrast_min

    step = bisect_left(range(_MIX_STEPS), True, key=has_contrast)
    return _mixed(colour, other, step / _MIX_STEPS)


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)


def _contrast_min(colour: str, backgrounds: Sequence[str]) -> float:
    return min(contrast(colour, background) for background in backgrounds)


def _luminance(colour: str) -> float:
    """Return the relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in _channels(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
