"""The settings of the theme with the files they name: what templates read, and the rules of style.

Everything a setting changes in a style is a custom property that the end of shop.css sets; an own font is a
rule beside them. Templates stay as they are.
"""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path

from chalicelib.storefront.theme import Logo, ThemeSettings
from spillway.sitegen.reading.did_you_mean import did_you_mean_file
from spillway.sitegen.reading.theme_section import ThemeSection

FONTS = "fonts"
FONT_TYPES = (".woff2", ".woff", ".ttf", ".otf")
STYLE_SHEET = "static/shop.css"
ICON = "icon.svg"

# As the style sheet has them without a setting.
_CARDS_PER_ROW, _CARDS_PER_ROW_ON_TABLET = 4, 3

# A font of all Chinese, Japanese and Korean characters has less.
_FONT_BYTES_MAX = 40_000_000
_LOGO_BYTES_MAX = 100_000
_LOGO_HEIGHT_PIXELS, _LOGO_WIDTH_PIXELS_MAX = 40, 240
_VECTOR = ".svg"
# Mail programs show these two everywhere.
_IN_EMAILS = frozenset({".png", ".jpg", ".jpeg"})
_LOGO_TYPES = (_VECTOR, ".png", ".jpg", ".jpeg", ".webp")
_SVG_HEAD = re.compile(r"<svg\b[^>]*>", re.DOTALL)
_LENGTH = re.compile(r"\b(width|height)\s*=\s*[\"']\s*([0-9.]+)(?:px)?\s*[\"']")
_VIEW_BOX = re.compile(
    r"\bviewBox\s*=\s*[\"']\s*[-0-9.]+[\s,]+[-0-9.]+[\s,]+([0-9.]+)[\s,]+([0-9.]+)\s*[\"']"
)


def findings(section: ThemeSection, site: Path, slugs: Set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (field, value, expected) for each file or product that the settings name and that is not there.

    `slugs` are those of all products; a file is also one that pages cannot show. A font is read later.
    """
    link = section.announcement_link or ""
    if link.startswith("/products/") and link.removeprefix("/products/") not in slugs:
        yield "theme.announcement_link", link, "the path of a product: /products/SLUG"
    for name, file in section.logos:
        if problem := _logo_problem(name, site / "static" / file):
            yield f"theme.{name}", file, problem
    for number, font in enumerate(section.fonts):
        if problem := _font_problem(site / FONTS, font.file):
            yield f"theme.fonts[{number}].file", font.file, problem


def font_name(file: str) -> str:
    """Return the name of a font's file among the assets of a theme."""
    return f"{FONTS}/{file}"


def settings_of(section: ThemeSection, site: Path, urls: Mapping[str, str]) -> ThemeSettings:
    """Return the settings that templates read.

    Args:
        section: The settings of the shop in one locale.
        site: The shop's folder.
        urls: The path of each file in static/ on the site, by name, and of each font, by `font_name`.
    """
    logos = dict(section.logos)
    settings = ThemeSettings(
        logo=_logo(logos.get("logo"), logos.get("logo_dark"), site, urls),
        email_logo=_email_logo(logos, site, urls),
        sections=section.sections,
        cards_per_row=section.cards_per_row,
        announcement=section.announcement,
        announcement_url=section.announcement_link,
        fonts=tuple(urls[font_name(font.file)] for font in section.fonts),
        related=section.related,
    )
    if section.accent is None:
        return settings
    light, on_light, dark, on_dark = section.accent
    return replace(settings, accent=light, on_accent=on_light, accent_dark=dark, on_accent_dark=on_dark)


def styles_of(section: ThemeSection, urls: Mapping[str, str]) -> str:
    """Return the rules of style that the settings add to the style sheet; empty for a shop without any.

    `urls` are the paths of font files on the site, by `font_name`.
    """
    light: dict[str, str | int] = {}
    rules: list[str] = []
    if section.accent:
        light |= {"accent": section.accent.light, "on-accent": section.accent.on_light}
    if section.radius_pixels is not None:
        light["radius"] = f"{section.radius_pixels}px"
    if section.font:
        light["sans"] = section.font
    if section.heading_font:
        light["serif"] = section.heading_font
    if section.card_aspect:
        light["card"] = section.card_aspect
    if section.cards_per_row != _CARDS_PER_ROW:
        light |= {"row": section.cards_per_row, "mid": min(section.cards_per_row, _CARDS_PER_ROW_ON_TABLET)}
    if light:
        rules.append(_properties(light))
    if section.accent:
        dark = {"accent": section.accent.dark, "on-accent": section.accent.on_dark}
        rules.append(f"@media (prefers-color-scheme:dark){{{_properties(dark)}}}")
    rules += [
        f'@font-face{{font-family:"{font.family}";src:url({urls[font_name(font.file)]}) format("woff2");'
        f"font-weight:{font.weight};font-style:{font.style};font-display:swap}}"
        for font in section.fonts
    ]
    return "".join(f"{rule}\n" for rule in rules)


def icon_with_accent(icon: bytes, accent: str) -> bytes:
    """Return the icon of the default theme in the colour of a shop."""
    return icon.replace(ThemeSettings().accent.encode(), accent.encode())


def logo_size(file: Path) -> tuple[float, float] | None:
    """Return the width and the height of a logo in pixels; None when the file does not state them."""
    if file.suffix.lower() == _VECTOR:
        return _vector_size(file.read_text(encoding="utf-8", errors="replace"))
    from PIL import Image, UnidentifiedImageError  # a large library that most builds do not need

    try:
        with Image.open(file, formats=("PNG", "JPEG", "WEBP")) as image:
            return float(image.width), float(image.height)
    except (UnidentifiedImageError, OSError):
        return None


def _vector_size(text: str) -> tuple[float, float] | None:
    head = _SVG_HEAD.search(text)
    if head is None:
        return None
    stated = {name: _number(value) for name, value in _LENGTH.findall(head[0])}
    width, height = stated.get("width", 0), stated.get("height", 0)
    if not (width and height) and (box := _VIEW_BOX.search(head[0])):
        width, height = _number(box[1]), _number(box[2])
    return (width, height) if width and height else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0


def _properties(values: Mapping[str, str | int]) -> str:
    return f":root{{{';'.join(f'--{name}:{value}' for name, value in values.items())}}}"


def _logo(name: str | None, dark: str | None, site: Path, urls: Mapping[str, str]) -> Logo | None:
    """Return a logo at its size on a page: as high as a header, and no wider than a phone's."""
    if name is None:
        return None
    size = logo_size(site / "static" / name)
    assert size, name  # noqa: S101 - `findings` refuses a file without one
    width, height = size
    scale = min(_LOGO_HEIGHT_PIXELS / height, _LOGO_WIDTH_PIXELS_MAX / width)
    return Logo(
        urls[name],
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        urls[dark] if dark else None,
    )


def _email_logo(logos: Mapping[str, str], site: Path, urls: Mapping[str, str]) -> Logo | None:
    """Return the logo of emails: its own, or else the pages' logo where mail programs show its kind."""
    own = "email_logo" if "email_logo" in logos else "logo"
    shown, dark = logos.get(own), logos.get(f"{own}_dark")
    if shown is None or Path(shown).suffix.lower() not in _IN_EMAILS:
        return None
    return _logo(shown, dark if dark and Path(dark).suffix.lower() in _IN_EMAILS else None, site, urls)


def _logo_problem(field: str, file: Path) -> str | None:
    """Return what was expected instead of the file of a logo, None for one that can be shown."""
    suffix = file.suffix.lower()
    if field.startswith("email_") and suffix not in _IN_EMAILS:
        return "a PNG or JPEG file, which every mail program shows"
    if suffix not in _LOGO_TYPES:
        return f"a file of one of the kinds {', '.join(_LOGO_TYPES)}"
    if not file.is_file():
        return f"the name of a file in site/static{_near(file)}"
    if (size_bytes := file.stat().st_size) > _LOGO_BYTES_MAX:
        return f"a file of at most {_LOGO_BYTES_MAX} bytes, not {size_bytes}"
    if logo_size(file) is None:
        return "a picture that states its size; an SVG file by width and height, or by a viewBox"
    return None


def _near(file: Path) -> str:
    """Return a hint at the file beside a missing one that is nearly called so."""
    return did_you_mean_file(file.name, [other.name for other in file.parent.glob("*")])


def _font_problem(folder: Path, name: str) -> str | None:
    """Return what was expected instead of the file of a font, None for one that fonts.py can try to read."""
    file = folder / name
    if not name or Path(name).name != name or not file.is_file():
        return f"the name of a file in site/{FONTS}{_near(file)}"
    if file.suffix.lower() not in FONT_TYPES:
        return f"a font of one of the kinds {', '.join(FONT_TYPES)}"
    if (size_bytes := file.stat().st_size) > _FONT_BYTES_MAX:
        return f"a file of at most {_FONT_BYTES_MAX} bytes, not {size_bytes}"
    return None
