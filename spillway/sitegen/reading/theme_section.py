"""Read the settings of the theme, [theme] in site/site.toml: they replace edits of templates and styles.

The accent is held to its contrast with the pages of the default theme, and the accent of dark pages is
derived from it: WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import NamedTuple

from chalicelib.storefront.theme import HOME_SECTIONS
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.toml_input import TomlTable

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


SECTIONS = (*HOME_SECTIONS, "newest")
RADIUS_PIXELS_MAX = 24
CARDS_PER_ROW = (2, 3, 4, 5)
FONTS_MAX = 4
_ASPECT_MAX = 3
_ASPECT_EXPECTED = 'a width and a height: "4/5", "1/1", "3/2", or others from "1/3" to "3/1"'
_ANNOUNCEMENT_LENGTH_MAX = 120
_STACK_LENGTH_MAX = 200
_NAME_LENGTH_MAX = 255
_URL_LENGTH_MAX = 300

_ASPECT = re.compile(r"([1-9][0-9]?)/([1-9][0-9]?)")
_FAMILY = re.compile(r"\w[\w .+-]{0,60}")
_WEIGHT = re.compile(r"[1-9][0-9]{2}(?: [1-9][0-9]{2})?")
# Names that CSS and browsers give a meaning of their own: in quotes they would be names of fonts.
_GENERIC = frozenset(
    {
        *("serif", "sans-serif", "monospace", "cursive", "fantasy", "system-ui", "-apple-system"),
        *("ui-serif", "ui-sans-serif", "ui-monospace", "ui-rounded"),
    }
)
_LOGOS = ("logo", "logo_dark", "email_logo", "email_logo_dark")


@dataclass(frozen=True, slots=True)
class FontFile:
    """A file of site/fonts: the family it belongs to, and its weight and style as CSS has them."""

    file: str
    family: str
    weight: str
    style: str


@dataclass(frozen=True, slots=True)
class ThemeSection:
    """The settings of a theme; None leaves a setting to the style sheet of the theme.

    `font` and `heading_font` are the values of CSS's font-family. `logos` are names of files in site/static
    by field. `announcement_link` is a path of this shop or an address elsewhere.
    """

    accent: Accent | None = None
    radius_pixels: int | None = None
    font: str | None = None
    heading_font: str | None = None
    fonts: tuple[FontFile, ...] = ()
    sections: tuple[str, ...] = HOME_SECTIONS
    card_aspect: str | None = None
    cards_per_row: int = 4
    announcement: str | None = None
    announcement_link: str | None = None
    logos: tuple[tuple[str, str], ...] = ()
    related: bool = True


def read_theme(table: TomlTable, paths: Set[str], *, has_text: bool) -> ThemeSection:
    """Read the table [theme], and note its errors.

    Args:
        table: the table, empty where the file has none.
        paths: the paths of pages and categories, which an announcement may link to.
        has_text: whether the home page has a text of its own.
    """
    font = _stack(table, "font")
    heading_font = _stack(table, "heading_font")
    section = ThemeSection(
        accent=_accent(table),
        radius_pixels=table.whole_number("radius", at_most=RADIUS_PIXELS_MAX)
        if table.has("radius")
        else None,
        font=font,
        heading_font=heading_font or font,
        fonts=tuple(_fonts(table, f"{font},{heading_font}")),
        sections=_sections(table, has_text=has_text),
        card_aspect=_card_aspect(table),
        cards_per_row=_cards_per_row(table),
        announcement=table.text("announcement", length_max=_ANNOUNCEMENT_LENGTH_MAX, optional=True) or None,
        announcement_link=_announcement_link(table, paths),
        logos=tuple(_logos(table)),
        related=table.flag("related", default=True),
    )
    if section.announcement_link and not section.announcement:
        table.error("announcement_link", section.announcement_link, "an announcement that it belongs to")
    table.done()
    return section


def translated_theme(first: ThemeSection, translation: TomlTable) -> ThemeSection:
    """Return the settings in another locale, whose table [theme] has an announcement of its own."""
    text = translation.text("announcement", length_max=_ANNOUNCEMENT_LENGTH_MAX, optional=True)
    if text and not first.announcement:
        translation.error("announcement", text, "an announcement in the first locale, too")
    translation.done()
    return replace(first, announcement=text or first.announcement)


def _accent(table: TomlTable) -> Accent | None:
    light = _colour(table, "accent")
    dark = _colour(table, "accent_dark", is_dark=True)
    if light is None:
        if dark:
            table.error("accent_dark", dark, "an accent that it belongs to")
        return None
    return accent_of(light, dark)


def _colour(table: TomlTable, name: str, *, is_dark: bool = False) -> str | None:
    if not table.has(name):
        return None
    value = table.value(name)
    colour = parse_colour(value) if isinstance(value, str) else None
    problem = accent_problem(colour, is_dark=is_dark) if colour else 'a colour: "#8c3a1c"'
    if problem:
        table.error(name, value, problem)
        return None
    return colour


def _stack(table: TomlTable, name: str) -> str | None:
    """Read a list of fonts, "Avenir Next, sans-serif", into a value of font-family."""
    text = table.text(name, length_max=_STACK_LENGTH_MAX, optional=True)
    if not text:
        return None
    families = [family.strip().strip("\"'") for family in text.split(",")]
    if not all(family.lower() in _GENERIC or _FAMILY.fullmatch(family) for family in families):
        table.error(name, text, "names of fonts with commas between them: Avenir Next, Helvetica, sans-serif")
        return None
    return ",".join(family if family.lower() in _GENERIC else f'"{family}"' for family in families)


def _fonts(table: TomlTable, stacks: str) -> Iterator[FontFile]:
    for row in table.tables("fonts", count_max=FONTS_MAX, optional=True):
        file = row.text("file", length_max=_NAME_LENGTH_MAX)
        family = row.text("family", length_max=_STACK_LENGTH_MAX)
        if family and f'"{family}"' not in stacks:
            row.error("family", family, "a family that font or heading_font names")
        weight = str(row.value("weight")) if row.has("weight") else "400"
        if not _WEIGHT.fullmatch(weight):
            row.error("weight", weight, 'a weight, or the range of a variable font: 400, "100 900"')
        style = str(row.value("style")) if row.has("style") else "normal"
        if style not in {"normal", "italic"}:
            row.error("style", style, "normal or italic")
        row.done()
        yield FontFile(file, family, weight, style)


def _sections(table: TomlTable, *, has_text: bool) -> tuple[str, ...]:
    if not table.has("sections"):
        return HOME_SECTIONS
    sections = table.texts("sections", length_max=_NAME_LENGTH_MAX, count_max=len(SECTIONS))
    for name in dict.fromkeys(sections):
        if name not in SECTIONS:
            table.error("sections", name, f"one of {', '.join(SECTIONS)}{did_you_mean(name, SECTIONS)}")
        elif sections.count(name) > 1:
            table.error("sections", name, "each section once")
    if "text" in sections and not has_text:
        table.error("sections", "text", "a text of the home page: home.text")
    return sections


def _card_aspect(table: TomlTable) -> str | None:
    if not table.has("card_aspect"):
        return None
    value = table.value("card_aspect")
    found = _ASPECT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 / _ASPECT_MAX <= int(found[1]) / int(found[2]) <= _ASPECT_MAX:
        table.error("card_aspect", value, _ASPECT_EXPECTED)
        return None
    return found[0]


def _cards_per_row(table: TomlTable) -> int:
    if not table.has("cards_per_row"):
        return 4
    value = table.value("cards_per_row")
    if isinstance(value, bool) or value not in CARDS_PER_ROW:
        table.error("cards_per_row", value, f"one of {', '.join(map(str, CARDS_PER_ROW))}")
        return 4
    return int(value)


def _announcement_link(table: TomlTable, paths: Set[str]) -> str | None:
    link = table.text("announcement_link", length_max=_URL_LENGTH_MAX, optional=True)
    if not link:
        return None
    is_elsewhere = re.fullmatch(r"https://[^\s\"<>\\]+", link)
    if not is_elsewhere and link not in paths and not link.startswith("/products/"):
        expected = "the path of a page, a category or a product, or an https:// address"
        table.error("announcement_link", link, f"{expected}{did_you_mean(link, paths)}")
    return link


def _logos(table: TomlTable) -> Iterator[tuple[str, str]]:
    for name in _LOGOS:
        file = table.text(name, length_max=_NAME_LENGTH_MAX, optional=True)
        if file and Path(file).name != file:
            table.error(name, file, "the name of a file in site/static")
        elif file:
            yield name, file
    for name in ("logo", "email_logo"):
        if table.has(f"{name}_dark") and not table.has(name):
            table.error(f"{name}_dark", table.value(f"{name}_dark"), f"a {name} that it belongs to")
