"""The shop's own fonts as pages load them: WOFF2, with only the characters that the shop's texts can need.

A font file of a whole script is several times as heavy as a page. A page needs the characters of the shop's
texts, and those that come later without a build: digits of prices, addresses that shoppers type, texts of
the cloud. So a subset keeps `SAFE_CHARACTERS`, and each alphabet of which the shop uses one character.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from spillway.sitegen.cache import BuildCache, digest_of
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.loading import Finding
from spillway.sitegen.reading.shop_file import SITE_FILE

# A preloaded font takes the connection from the pictures of a page.
FONT_BYTES_MAX = 150_000

# ASCII, Latin-1, the punctuation and spaces of any Latin text, currencies, arrows, the minus sign, and the
# letters of French, Dutch and Turkish that Latin-1 lacks.
_SAFE_RANGES = (
    *((0x0020, 0x007E), (0x00A0, 0x00FF), (0x0131, 0x0131), (0x0152, 0x0153), (0x0178, 0x0178)),
    *((0x1E9E, 0x1E9E), (0x2000, 0x206F), (0x20A0, 0x20C0), (0x2122, 0x2122), (0x2190, 0x2193)),
    *((0x2212, 0x2212), (0xFFFD, 0xFFFD)),
)
# Unicode's blocks of whole alphabets: https://www.unicode.org/Public/UCD/latest/ucd/Blocks.txt
_ALPHABETS = (
    *((0x0100, 0x017F), (0x0370, 0x03FF), (0x0400, 0x0491), (0x0531, 0x058F)),
    *((0x05D0, 0x05F4), (0x0600, 0x06FF), (0x0900, 0x097F), (0x0E00, 0x0E7F), (0x10D0, 0x10FF)),
    *((0x1EA0, 0x1EF9), (0x3040, 0x30FF)),
)
SAFE_CHARACTERS = frozenset(chr(code) for first, last in _SAFE_RANGES for code in range(first, last + 1))
# fsType of the table OS/2: https://learn.microsoft.com/typography/opentype/spec/os2#fstype
_NO_SUBSETTING = 0x0100
# The usual names, and the licence with its address, which free licences want kept.
_NAME_IDS = [0, 1, 2, 3, 4, 5, 6, 13, 14]


class FontRefused(Exception):
    """A font cannot be served; the message says what was expected instead."""


class ServedFonts(NamedTuple):
    """The bodies of fonts by the names of their files, and what is wrong with the others."""

    bodies: Mapping[str, bytes]
    mistakes: Sequence[Finding]


def served_fonts(
    catalogue: Catalogue, folder: Path, templates: Mapping[str, str], cache: BuildCache
) -> ServedFonts:
    """Return the fonts that the settings of the theme name, as pages load them.

    Args:
        catalogue: the shop.
        folder: the folder of its fonts; the files have been looked for.
        templates: the texts of the theme.
        cache: the results of earlier builds: a font is made again when its file or the characters change.
    """
    named = catalogue.storefront.theme.fonts
    if not named:
        return ServedFonts({}, ())
    kept = "".join(sorted(characters_of(catalogue, templates)))
    bodies: dict[str, bytes] = {}
    mistakes: list[Finding] = []
    for number, font in enumerate(named):
        body = (folder / font.file).read_bytes()
        try:
            bodies[font.file] = cache.get_or_compute(
                f"font {digest_of(body, kept)}", partial(subset, body, frozenset(kept))
            )
        except FontRefused as refused:
            mistakes.append((SITE_FILE, f"theme.fonts[{number}].file", font.file, str(refused)))
    return ServedFonts(bodies, mistakes)


def characters_of(catalogue: Catalogue, templates: Mapping[str, str]) -> Set[str]:
    """Return the characters that the shop's pages can need; see the module."""
    texts = [
        *templates.values(),
        *(row.packed.decode() for row in catalogue.rows if not row.packed.isascii()),
    ]
    texts += [
        json.dumps(part, default=_plain, ensure_ascii=False)
        for part in (catalogue.storefronts, catalogue.pages)
    ]
    return with_alphabets(frozenset().union(*texts))


def with_alphabets(characters: Set[str]) -> Set[str]:
    """Return the safe characters, and `characters` in both cases with the alphabets that they belong to."""
    further = characters - SAFE_CHARACTERS
    cased = {case for character in further for case in character.upper() + character.lower()}
    used = {character for character in further | cased if character.isprintable()}
    alphabets = (
        range(first, last + 1)
        for first, last in _ALPHABETS
        if any(first <= ord(character) <= last for character in used)
    )
    return (SAFE_CHARACTERS | used).union(*(map(chr, alphabet) for alphabet in alphabets))


def subset(body: bytes, characters: Iterable[str]) -> bytes:
    """Return a font as WOFF2, with no more than `characters`; equal input gives equal bytes.

    A font whose maker forbids subsetting in its table OS/2 keeps all of its characters.

    Raises:
        FontRefused: it is damaged or no font, it has none of the characters, or it is too heavy even so.
    """
    try:
        made = _woff2(body, {ord(character) for character in characters})
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise FontRefused(f"a font that can be read: {reason}") from error
    if made is None:
        raise FontRefused("a font with letters or digits of the shop's texts; it has none of them")
    if len(made) > FONT_BYTES_MAX:
        raise FontRefused(
            f"a font of at most {FONT_BYTES_MAX} bytes as WOFF2, not {len(made)}: one weight instead of a "
            "variable font, or one with fewer characters"
        )
    return made


def _woff2(body: bytes, codes: Set[int]) -> bytes | None:
    """Return the font with those characters of `codes` that it has; None without any letter or digit."""
    # Imported here: most builds have no font to make.
    from fontTools import subset as fonttools
    from fontTools.ttLib import TTFont

    # It warns of each table that it leaves out.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    options = fonttools.Options(flavor="woff2", name_IDs=_NAME_IDS, notdef_outline=True)
    font = TTFont(BytesIO(body), lazy=True, recalcTimestamp=False)
    present = codes & font.getBestCmap().keys()
    if not any(chr(code).isalnum() for code in present):
        return None
    if not ("OS/2" in font and font["OS/2"].fsType & _NO_SUBSETTING):
        subsetter = fonttools.Subsetter(options)
        subsetter.populate(unicodes=present)
        subsetter.subset(font)
    made = BytesIO()
    fonttools.save_font(font, made, options)
    return made.getvalue()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value) if isinstance(value, Mapping) else str(value)
