"""Identifiers of shoppers, networks, products and SKUs, and the safe forms derived from an SKU.

An SKU is any printable text of 1 to 64 characters, in Unicode's normal form NFC and without white space
around it. Upper and lower case, inner spaces, signs and leading zeros are part of it: `a b`, `A B`, `0042`
and `42` are four SKUs. Two derived forms stand where such a text cannot: both are one to one, both leave
SKUs of plain letters, digits and hyphens as they are, and no page shows them.

- `sku_id`: short, for HTML ids, form tokens and the keys of a waitlist's shards; it cannot be read back.
- `sku_tag`: at most 256 characters, for tags of SES and signed links; `sku_of_tag` reads it back.
"""

import hmac
import unicodedata
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NewType

ShopperId = NewType("ShopperId", str)
"""A keyed hash of an address: links, queues and logs never carry the address itself."""
Sku = NewType("Sku", str)
"""The merchant's own name of a variant, compared exactly; `parse_sku` makes one of a text."""
Slug = NewType("Slug", str)
"""A product's name in addresses of pages, and its key in tables and listings.

The slugs of categories, content pages and locales are plain texts: none of them names a product.
"""


SKU_CHARS_MAX = 64
# Bounds the work on a text that may have spaces around it, and letters and their accents apart.
SKU_TEXT_CHARS_MAX = 1024
SKU_ID_CHARS_MAX = 40
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html
SKU_TAG_CHARS_MAX = 256

# A derived form begins with "_": nothing that stays as it is does.
_DERIVED = "_"
_DIGEST_BYTES = 16
_CODE_POINTS = 0x110000
_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Invisible, though letters, marks and signs by category. Variation selectors are left out: they choose how an
# emoji or an ideograph looks. https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# Noncharacters, and code points reserved for invisible ones. Any other that this Unicode does not know yet
# may be a new emoji: Pythons of different versions must agree.
_NEVER_VISIBLE = ((0x2065, 0x2065), (0xFDD0, 0xFDEF), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF))
_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible mark",
    "Co": "a private-use character",
    "Cs": "half of a surrogate pair",
}


class SkuRefused(ValueError):
    """The text is no SKU; `reason` is a sentence that says why, with the character that is wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normal_sku(text: str) -> str:
    """Return `text` as SKUs are compared: in NFC, without white space around it. Nothing is checked."""
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def parse_sku(text: str) -> Sku:
    """Return the SKU that `text` is.

    Raises:
        SkuRefused: it is empty or too long, or contains an invisible character.
    """
    if len(text) > SKU_TEXT_CHARS_MAX:
        raise _too_long(len(text))
    sku = normal_sku(text)
    if not sku:
        raise SkuRefused(f"An SKU has 1 to {SKU_CHARS_MAX} characters; this one is empty.")
    if not sku.isprintable():
        for sign in sku:
            _refuse_invisible(sign)
    elif not sku.isascii() and not _INVISIBLE.isdisjoint(sku):
        _refuse_invisible(next(sign for sign in sku if sign in _INVISIBLE))
    if len(sku) > SKU_CHARS_MAX:
        raise _too_long(len(sku))
    return Sku(sku)


# A fan-out asks for the same few twice a shopper.
@lru_cache(maxsize=1024)
def sku_id(sku: Sku) -> str:
    """Return a name for an SKU of at most 40 letters, digits, hyphens and underscores.

    A plain SKU is its own name; any other has 128 bits of its SHA-256.
    """
    if len(sku) <= SKU_ID_CHARS_MAX and _is_plain(sku):
        return sku
    return _DERIVED + _base64(sha256(sku.encode()).digest()[:_DIGEST_BYTES])


def sku_tag(sku: Sku) -> str:
    """Return the SKU in at most 256 letters, digits, hyphens and underscores; `sku_of_tag` reads it back.

    Base64 of UTF-8 or UTF-16 would be too long for 64 emoji, so code points are digits of one number.
    """
    if not sku or _is_plain(sku):
        return sku
    number = 0
    for sign in sku:
        number = number * _CODE_POINTS + ord(sign)
    return _DERIVED + _base64(number.to_bytes((number.bit_length() + 7) // 8))


def sku_of_tag(tag: str) -> Sku:
    """Return the SKU whose tag is `tag`.

    Raises:
        ValueError: `sku_tag` makes no such tag.
    """
    if not tag.startswith(_DERIVED):
        return Sku(tag)
    digits = tag.removeprefix(_DERIVED)
    if len(tag) > SKU_TAG_CHARS_MAX or not digits.isascii():
        raise ValueError(tag)
    try:
        number = int.from_bytes(urlsafe_b64decode(digits + "=" * (-len(digits) % 4)))
    except ValueError:
        raise ValueError(tag) from None
    signs = []
    while number:
        number, code_point = divmod(number, _CODE_POINTS)
        signs.append(chr(code_point))
    sku = Sku("".join(reversed(signs)))
    # Only one spelling of each: no padding bits, no foreign signs, nothing that needs no tag.
    if sku_tag(sku) != tag:
        raise ValueError(tag)
    return sku


def shown_sign(sign: str) -> str:
    """Return a character as a sentence can name it: "U+200B ZERO WIDTH SPACE"."""
    return f"U+{ord(sign):04X} {unicodedata.name(sign, '')}".rstrip()


def _is_plain(sku: str) -> bool:
    """Return whether an SKU is its own derived form. A regular expression would cost a cold start more."""
    return sku.isascii() and not sku.startswith(_DERIVED) and sku.replace("-", "").replace("_", "").isalnum()


def _is_never_visible(code_point: int) -> bool:
    return code_point & 0xFFFE == 0xFFFE or any(low <= code_point <= high for low, high in _NEVER_VISIBLE)


def _refuse_invisible(sign: str) -> None:
    """Refuse a character that leaves nothing on a page, and let any other pass."""
    category = unicodedata.category(sign)
    if sign in _BREAKS:
        kind = "a line break"
    elif sign in _TURNING:
        kind = "a mark that turns the text's direction"
    elif sign in _INVISIBLE:
        kind = _CATEGORIES["Cf"]
    elif category in _CATEGORIES:
        kind = _CATEGORIES[category]
    elif category == "Cn" and _is_never_visible(ord(sign)):
        kind = "a noncharacter"
    else:
        return
    raise SkuRefused(f"An SKU must not contain {kind}: {shown_sign(sign)}.")


def _too_long(length: int) -> SkuRefused:
    return SkuRefused(f"An SKU has at most {SKU_CHARS_MAX} characters; this one has {length}.")


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).decode("ascii").rstrip("=")


IPV4_PREFIX_BITS = 24
IPV6_PREFIX_BITS = 64
SOURCE_ID_BYTES = 10
# A shopper's id has no dash, so no id of a network is one.
MARK_IPV4, MARK_IPV6 = "net4-", "net6-"


def source_id(address: str, identity_key: bytes) -> str | None:
    """Return the id of the network that an IP address is of: "net4-" or "net6-" and a keyed hash.

    None for any other text and for addresses outside the public internet, which many viewers share.
    """
    try:
        parsed = ip_address(address.strip())
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if not parsed.is_global:
        return None
    is_v6 = isinstance(parsed, IPv6Address)
    prefix = IPV6_PREFIX_BITS if is_v6 else IPV4_PREFIX_BITS
    network = ip_network((parsed, prefix), strict=False)
    digest = hmac.digest(identity_key, f"network {network}".encode("ascii"), "sha256")[:SOURCE_ID_BYTES]
    return (MARK_IPV6 if is_v6 else MARK_IPV4) + b32encode(digest).decode("ascii").lower()


def is_ipv6(source: str) -> bool:
    """Return whether an id is that of an IPv6 network."""
    return source.startswith(MARK_IPV6)
