"""Read what WordPress and its plugins make of texts: addresses, shortcodes, templates for search engines."""

import re
import unicodedata
from collections import Counter
from urllib.parse import quote, unquote

_SLUG_LENGTH_MAX = 200
# Letters that have no accent to drop, as WordPress's `remove_accents` writes them.
_LETTERS = str.maketrans(
    {"ß": "s", "þ": "th", "æ": "ae", "œ": "oe", "€": "e", "£": ""}
    | dict(zip("ð\u0131øđłħªº", "diodlhao", strict=True))
)
_LETTERS_OF = {
    "de": str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}),
    "da": str.maketrans({"æ": "ae", "ø": "oe", "å": "aa"}),
}
_MARKED_LATIN = re.compile("([a-z])[\u0300-\u036f]+")
_HYPHENS = re.compile("[\u00a0\u2013\u2014/.]|&(?:nbsp|#160|ndash|#8211|mdash|#8212);")
_ENTITIES = re.compile(r"&.+?;")
# WordPress removes these; other characters beyond ASCII stay, percent-encoded.
_REMOVED = re.compile(
    "[\u00a1\u00bf\u00ab\u00bb\u2039\u203a\u2018-\u201f\u2022\u00a9\u00ae\u00b0\u2026\u2122\u00b4\u02ca"
    "\u0300\u0301\u0304\u030c\u0341\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad]"
    "|[^a-z0-9 _\\-\u0080-\U0010ffff]"
)


def post_slug(title: str, *, locale: str) -> str:
    """Return the slug that WordPress derives from a title, percent-encoded: "Обувь" is "%d0%be%d0%b1...".

    Args:
        title: The title as it is stored, with tags and entities.
        locale: The shop's locale: German and Danish letters have spellings of their own.

    Returns:
        The slug, at most 200 bytes long; empty where nothing of the title is left.
    """
    text = re.sub(r"<[^>]*>", "", title).lower()
    text = text.translate(_LETTERS_OF.get(re.split("[-_]", locale)[0], {})).translate(_LETTERS)
    text = unicodedata.normalize("NFC", _MARKED_LATIN.sub(r"\1", unicodedata.normalize("NFD", text)))
    text = _ENTITIES.sub("", _HYPHENS.sub("-", text.replace("\u00d7", "x")))
    text = re.sub(r"[\s-]+", "-", _REMOVED.sub("", text)).strip("-")
    return encoded_slug(text)


def encoded_slug(slug: str) -> str:
    """Return a slug, encoded or not, as WordPress has it in an address."""
    encoded = ""
    for sign in unquote(slug):
        part = quote(sign, safe="").lower() if not sign.isascii() else sign
        if len(encoded) + len(part) > _SLUG_LENGTH_MAX:
            break
        encoded += part
    return encoded


_SHORTCODE = re.compile(
    r"\[(/?)([A-Za-z][A-Za-z0-9_-]{0,60})((?:\s(?:\"[^\"]*\"|'[^']*'|[^\]\[\"'])*)?)/?\]", re.ASCII
)
_CODE_ATTRIBUTE = re.compile(r"[A-Za-z_-]+\s*=")
# Codes without attributes that stand for something else than words.
_LONE_CODES = frozenset({"gallery", "playlist", "products", "embed", "audio", "video"})


def without_shortcodes(text: str) -> tuple[str, dict[str, int]]:
    """Return a text without shortcodes such as `[vc_row]`, and how often each was there.

    Words inside stay. A word in brackets is a shortcode where it has attributes, an end such as `[/name]`, or
    an underscore in its name, as those of page builders have: "[new]" stays.
    """
    if "[" not in text:
        return text, {}
    closed = {found[2] for found in _SHORTCODE.finditer(text) if found[1]}
    found_codes: Counter[str] = Counter()

    def replaced(found: re.Match[str]) -> str:
        name = found[2]
        attributes = _CODE_ATTRIBUTE.search(found[3])
        if not (attributes or name in closed or "_" in name or name in _LONE_CODES):
            return found[0]
        found_codes[name] += not found[1]
        # Codes of page builders make blocks: words before and after are apart.
        return "\n\n" if "_" in name else ""

    return _SHORTCODE.sub(replaced, text), dict(found_codes)


_TEMPLATE = re.compile(r"%%[a-z_]+%%|(?<![\w%])%[a-z_]+(?:\([^)%]*\))?%(?!\w)", re.IGNORECASE)


def is_seo_template(text: str) -> bool:
    """Return whether a plugin's text for search engines has variables in it, such as `%%sitename%%`."""
    return bool(_TEMPLATE.search(text))
