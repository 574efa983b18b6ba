"""A shopper's address: validated and normalised once, at the edge.

An address in lower-case ASCII, as nearly all are, passes one regular expression. Every other address goes
to email-validator (RFC 5321, 5322, 6531), which is imported then: its import would take a fifth of a cold
start, its validation a tenth of a signup.

The domain is kept as its A-label in lower case, the local part as typed. Two spellings that differ only in
ASCII case are one shopper. Dots and +tags are part of the identity; only the cap on emails ignores them.
"""

import hashlib
import hmac
import re
from base64 import b32encode
from collections.abc import Collection, Set
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.ids import ShopperId

ADDRESS_OCTETS_MAX = 254
SHOPPER_ID_BYTES = 16
# Domains that deliver into the inbox of another's, and the signs before the @ that a provider ignores.
INBOX_DOMAINS = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), ("gmail.com", ".")),
    **dict.fromkeys(("proton.me", "protonmail.com", "protonmail.ch", "pm.me"), ("proton.me", "._-")),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), ("icloud.com", "")),
    **dict.fromkeys(("yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "ya.ru"), ("yandex.ru", "")),
}
# Mail to anything@ada.fastmail.com arrives at ada@fastmail.com.
SUBDOMAIN_INBOXES = ("fastmail.com", "fastmail.fm")
# How an encoded word begins (RFC 2047): =?utf-8?q?
ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.ASCII | re.IGNORECASE)

# An address in lower case that email-validator returns as it is. Every other text is left to the library.
# A label with hyphens in its third and fourth place may be an A-label (RFC 5891, 4.2.3.1).
PLAIN = re.compile(
    r"""
    (?= [^@]{1,64} @ )                                          # RFC 5321, 4.5.3.1.1
    [a-z0-9_+-]+ (?: \. [a-z0-9_+-]+ )* @
    (?: (?! ..-- ) [a-z0-9] (?: [a-z0-9-]{0,61} [a-z0-9] )? \. )+
    (?! (?: arpa | invalid | local | localhost | onion | test ) \Z )   # reserved, RFC 6761
    [a-z]{2,63}
    """,
    re.VERBOSE,
)


class AddressFault(StrEnum):
    """The mistake in a text that is no address, as far as the person who typed it can see it."""

    NO_AT = "no @"
    SEVERAL_AT = "several @"
    NOTHING_BEFORE_AT = "nothing before @"
    NOTHING_AFTER_AT = "nothing after @"
    SPACE = "space"
    DOT_ASTRAY = "dot astray"
    NO_ENDING = "no ending"
    LETTERS_BEFORE_AT = "letters before @"
    TOO_LONG = "too long"
    OTHER = "other"

    @classmethod
    def of(cls, text: str) -> "AddressFault":
        """Return the first mistake that a person would see in `text`, which no address is."""
        before, _, after = text.rpartition("@")
        dotted = "." + text.replace("@", ".") + "."
        found = {
            cls.TOO_LONG: len(text) > ADDRESS_OCTETS_MAX,
            cls.NO_AT: "@" not in text,
            cls.SPACE: any(sign.isspace() for sign in text),
            cls.SEVERAL_AT: "@" in before,
            cls.NOTHING_BEFORE_AT: not before,
            cls.NOTHING_AFTER_AT: not after,
            cls.DOT_ASTRAY: ".." in dotted,
            cls.NO_ENDING: "." not in after,
            cls.LETTERS_BEFORE_AT: not before.isascii(),
        }
        return next((fault for fault, is_it in found.items() if is_it), cls.OTHER)


class AddressRefused(ValueError):
    """The text is no address an email can be sent to.

    `fault` is the mistake in it for the person who typed it; `reason` is a sentence for an operator.
    """

    def __init__(self, reason: str, fault: AddressFault) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Address:
    """`mailbox` is what an email is sent to; `key` is what makes two spellings the same shopper."""

    mailbox: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address that a person typed.

        Raises:
            AddressRefused: no address, one over the limits of RFC 5321, one with a non-ASCII
                mailbox, which SES cannot carry (it has no SMTPUTF8), or one that looks like an
                encoded word of RFC 2047.
        """
        if len(text) > ADDRESS_OCTETS_MAX:
            raise AddressRefused("An address has at most 254 characters.", AddressFault.TOO_LONG)
        if PLAIN.fullmatch(text):
            return cls(mailbox=text, key=text)
        from email_validator import EmailNotValidError, validate_email

        try:
            valid = validate_email(
                text, allow_smtputf8=False, check_deliverability=False, strict=True, test_environment=False
            )
        except EmailNotValidError as error:
            raise AddressRefused(str(error), AddressFault.of(text)) from None
        if ENCODED_WORD.search(valid.local_part):
            # RFC 2047: mail programs and servers may decode it, and send to the address inside.
            raise AddressRefused(
                'An address does not contain "=?", a character set and "?q?" or "?b?".', AddressFault.OTHER
            )
        mailbox = f"{valid.local_part}@{valid.ascii_domain.lower()}"
        if len(mailbox) > ADDRESS_OCTETS_MAX:
            raise AddressRefused("An address has at most 254 characters.", AddressFault.TOO_LONG)
        return cls(mailbox=mailbox, key=mailbox.lower())

    @property
    def inbox(self) -> str:
        """The inbox that emails to this address most likely end up in: what a cap on emails counts.

        Anybody can write one inbox in many ways: with a tag after "+", at Gmail with dots and two names
        (https://support.google.com/mail/answer/7436150), at Proton with other signs too, at Fastmail with a
        subdomain. The identity of an address does not depend on it.
        """
        local, _, domain = self.key.rpartition("@")
        user, _, rest = domain.partition(".")
        if rest in SUBDOMAIN_INBOXES:
            return f"{user}@{rest}"
        local = local.partition("+")[0] or local
        domain, ignored = INBOX_DOMAINS.get(domain, (domain, ""))
        return f"{local.translate(dict.fromkeys(map(ord, ignored))) or local}@{domain}"

    def inbox_id(self, identity_key: bytes) -> str:
        """Return the inbox's id: the shopper's own where the address has no other spelling."""
        return _keyed_hash(self.inbox, identity_key)

    @property
    def domain(self) -> str:
        """The domain, as its A-label in lower case."""
        return self.mailbox.rpartition("@")[2]

    def shopper_id(self, identity_key: bytes) -> ShopperId:
        """Return the shopper's id: a keyed hash, so that links, queues and logs never carry an address."""
        return ShopperId(_keyed_hash(self.key, identity_key))


def _keyed_hash(text: str, identity_key: bytes) -> str:
    digest = hmac.digest(identity_key, text.encode("ascii"), "sha256")
    return b32encode(digest[:SHOPPER_ID_BYTES]).decode("ascii").rstrip("=").lower()


# A table and not a distance: comparing with every known domain would cost more than the signup.
DOMAINS_BY_TYPO = {
    typo: domain
    for domain, typos in {
        "gmail.com": "gmial.com gmai.com gmal.com gmil.com gamil.com gnail.com gmaill.com gmail.co gmail.con"
        " gmail.cm gmail.om gmail.cmo gmaul.com gmeil.com gemail.com gmailcom.com",
        "googlemail.com": "googlemial.com googelmail.com goglemail.com googlemail.con",
        "hotmail.com": "hotmial.com hotmal.com hotmai.com hotmil.com hotamil.com hotnail.com homail.com"
        " hotmaill.com hotmail.co hotmail.con hotmail.cm",
        "outlook.com": "outlok.com outloo.com outlool.com outllok.com oultook.com outlook.co outlook.con",
        "yahoo.com": "yaho.com yahooo.com yhaoo.com yaoo.com yahho.com yahoo.co yahoo.con yahoo.cm",
        "icloud.com": "iclod.com icoud.com iclould.com icloud.co icloud.con icluod.com",
    }.items()
    for typo in typos.split()
}


def suggest_domain(address: Address) -> str | None:
    """Return the address that a shopper may have meant; None when the domain is no known typing error."""
    local, _, domain = address.mailbox.rpartition("@")
    meant = DOMAINS_BY_TYPO.get(domain)
    return f"{local}@{meant}" if meant else None


NAME_CHARS = 12


def list_name(domains: Collection[str]) -> str | None:
    """Return the name of a list, which depends on its domains; None for an empty one."""
    if not domains:
        return None
    return hashlib.sha256("\n".join(sorted(domains)).encode("ascii")).hexdigest()[:NAME_CHARS]


def is_listed(domain: str, listed: Set[str]) -> bool:
    """Return whether `listed` has a domain or one that it is a part of (A-labels, lower case)."""
    while domain:
        if domain in listed:
            return True
        domain = domain.partition(".")[2]
    return False
