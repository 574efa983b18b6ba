"""Email headers: encoded by RFC 2047, folded by RFC 5322, held to what Amazon SES takes.

SES sets some headers itself and refuses them as custom headers of SendBulkEmail:
https://docs.aws.amazon.com/ses/latest/dg/header-fields.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr, getaddresses
from functools import lru_cache

from chalicelib.domain.address import ENCODED_WORD, Address, AddressRefused

# RFC 5322, 2.1.1: a line has at most 998 characters, and should have at most 78.
LINE_CHARS_MAX = 998
LINE_CHARS_WANTED = 78
# RFC 2047, 2: an encoded word has at most 75 characters, a line that holds one at most 76.
ENCODED_LINE_CHARS_MAX = 76
# SES's MessageHeader and MessageHeaderList.
SES_HEADERS_MAX = 15
SES_NAME_CHARS_MAX = 126
SES_VALUE_CHARS_MAX = 995
SES_NAME_AND_VALUE_CHARS_MAX = 996
SES_DISALLOWED = frozenset(
    {
        "bcc",
        "cc",
        "content-disposition",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "reply-to",
        "return-path",
        "subject",
        "to",
    }
)
_NAME = re.compile(r"[!-9;-~]+", re.ASCII)
_VALUE = re.compile(r"[ -~]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class HeaderRefused(ValueError):
    """A header cannot be sent as it is; the message names the header and the limit, not its value."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name, as a person reads it, and an address in ASCII (its domain by IDNA)."""

    name: str
    address: str

    @property
    def encoded(self) -> str:
        """Return the mailbox on one line, the name encoded by RFC 2047 where it needs to be."""
        if not self.name:
            return self.address
        return " ".join(_phrase(self.name, "")) + f" <{self.address}>"


@lru_cache(maxsize=32)
def parse_mailbox(text: str) -> Mailbox:
    """Read one mailbox, `hello@shop.example` or `Shop Name <hello@shop.example>`.

    Raises:
        HeaderRefused: it is not exactly one mailbox, its name holds a control character, or its local
            part is not ASCII, which needs SMTPUTF8 and SES has none.
    """
    if _CONTROL.search(text):
        raise HeaderRefused("a mailbox holds no line breaks and no control characters")
    found = getaddresses([text])
    if len(found) != 1:
        raise HeaderRefused("expected one mailbox: Shop Name <hello@shop.example>")
    name, address = found[0]
    try:
        return Mailbox(name, Address.parse(address).mailbox)
    except AddressRefused as error:
        raise HeaderRefused(f"a mailbox's address: {error.reason}") from None


def check_headers(headers: Mapping[str, str]) -> None:
    """Check custom headers against SES's documented limits; other transports keep to the same.

    Raises:
        HeaderRefused: a name SES sets itself, more than 15 headers, or a name or value over its limits.
    """
    if len(headers) > SES_HEADERS_MAX or len({name.lower() for name in headers}) < len(headers):
        raise HeaderRefused(f"at most {SES_HEADERS_MAX} headers, each name once")
    for name, value in headers.items():
        if name.lower() in SES_DISALLOWED:
            raise HeaderRefused(f"{name}: set by the transport, never by hand")
        if not _NAME.fullmatch(name) or len(name) > SES_NAME_CHARS_MAX:
            raise HeaderRefused(f"a header's name is 1 to {SES_NAME_CHARS_MAX} printable ASCII characters")
        if not _VALUE.fullmatch(value) or len(value) > SES_VALUE_CHARS_MAX:
            raise HeaderRefused(f"{name}: 1 to {SES_VALUE_CHARS_MAX} printable ASCII characters")
        if len(name) + len(value) > SES_NAME_AND_VALUE_CHARS_MAX:
            raise HeaderRefused(f"{name}: name and value over {SES_NAME_AND_VALUE_CHARS_MAX} characters")


def check_recipient(address: str) -> None:
    """Check that an address travels as it is: one that a mail program would decode is somebody else's.

    Raises:
        HeaderRefused: it is not plain ASCII, or looks like an encoded word (RFC 2047).
    """
    if not address.isascii() or _CONTROL.search(address) or set(address) & set(" ,;<>"):
        raise HeaderRefused("a recipient's address is plain ASCII")
    if ENCODED_WORD.search(address):
        raise HeaderRefused("a recipient's address looks like an encoded word")


def text_line(name: str, text: str) -> str:
    """Return a header for people to read, such as Subject: encoded if need be, folded, its line break too."""
    if _CONTROL.search(text):
        raise HeaderRefused(f"{name}: no line breaks and no control characters")
    if _is_plain(text) and all(len(word) < LINE_CHARS_WANTED for word in text.split(" ")):
        return _folded(f"{name}:", text.split(" "))
    encoded = Header(text, "utf-8", maxlinelen=ENCODED_LINE_CHARS_MAX, header_name=name)
    return f"{name}: " + encoded.encode(linesep="\r\n") + "\r\n"


def mailbox_line(name: str, mailbox: Mailbox) -> str:
    """Return a header that holds one mailbox, folded, with its line break."""
    words = _phrase(mailbox.name, name) if mailbox.name else []
    address = f"<{mailbox.address}>" if words else mailbox.address
    return _folded(f"{name}:", [*words, address], chars_wanted=ENCODED_LINE_CHARS_MAX)


def machine_line(name: str, value: str) -> str:
    """Return a header for programs to read. Only a comma may end a line of it: links stay in one piece."""
    return _folded(f"{name}:", re.split(r"(?<=,) ", value))


def _phrase(name: str, header_name: str) -> list[str]:
    """Return the words of a display name: quoted where that suffices, else encoded (RFC 2047, 5)."""
    if _is_plain(name) and len(name) < LINE_CHARS_WANTED - 2:
        return [formataddr((name, "a@b.example")).removesuffix(" <a@b.example>")]
    words = Header(name, "utf-8", maxlinelen=ENCODED_LINE_CHARS_MAX, header_name=header_name or None)
    return words.encode(linesep="\n").split("\n ")


def _is_plain(text: str) -> bool:
    """Return whether text needs no encoding: ASCII, nothing to decode, spaces that survive."""
    spaced = text != text.strip() or "  " in text
    return bool(_VALUE.fullmatch(text)) and "=?" not in text and not spaced


def _folded(line: str, words: list[str], chars_wanted: int = LINE_CHARS_WANTED) -> str:
    lines = []
    for place, word in enumerate(words):
        if place and len(line) + 1 + len(word) > chars_wanted:
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    lines.append(line)
    if max(map(len, lines)) > LINE_CHARS_MAX:
        raise HeaderRefused(f"a line of a header has at most {LINE_CHARS_MAX} characters")
    return "\r\n".join(lines) + "\r\n"
