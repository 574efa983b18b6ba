"""Font files with just enough in them: a square for each character."""

from collections.abc import Iterable
from io import BytesIO

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont


def make_font(characters: Iterable[str], *, fs_type: int = 0, licence: str = "") -> bytes:
    """Return a TrueType font with `characters`; `fs_type` is what its maker permits (table OS/2)."""
    names = {ord(character): f"u{ord(character):04X}" for character in characters}
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 500), (500, 500), (500, 0)):
        pen.lineTo(corner)
    pen.closePath()
    glyphs = [".notdef", *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Heron", "styleName": "Regular", "licenseDescription": licence})
    builder.setupOS2(fsType=fs_type)
    builder.setupPost()
    builder.updateHead(created=0, modified=0)
    file = BytesIO()
    builder.save(file)
    return file.getvalue()


def characters_in(font: bytes) -> str:
    """Return the characters of a font, in order."""
    return "".join(map(chr, sorted(TTFont(BytesIO(font)).getBestCmap())))
