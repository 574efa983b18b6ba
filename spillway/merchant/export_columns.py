"""The columns of other tools' exports, by the names that the tools give them.

Sources of the names: Klaviyo's export of a list (Email Marketing Consent with SUBSCRIBED, UNSUBSCRIBED and
NEVER_SUBSCRIBED; Email Suppressions) <https://help.klaviyo.com/hc/en-us/articles/115005078687>; the
post states of Back In Stock Notifier for WooCommerce (cwg_subscribed, cwg_mailsent, cwg_converted,
cwg_unsubscribed); Swym's API <https://developers.swym.it/docs/request-a-back-in-stock-alert>.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from spillway.errors import BadInput
from spillway.importing.table import TableFile


class Column(StrEnum):
    """A kind of column."""

    EMAIL = "email"
    SKU = "sku"
    TIME = "time"
    STATUS = "status"
    CONSENT = "consent"
    ACTIVE = "active"
    SUPPRESSED = "suppressed"
    UNSUBSCRIBED = "unsubscribed"
    NOTIFIED = "notified"
    TEXT = "text"


class Tool(StrEnum):
    """The tools whose exports are known."""

    KLAVIYO = "klaviyo"
    SWYM = "swym"
    WOOCOMMERCE = "woocommerce"
    CSV = "csv"


# Names are compared without case, signs and spaces. The first that the file has counts.
NAMES: Mapping[Column, str] = {
    Column.EMAIL: """Email, Email Address, Customer Email, User Email, Subscriber Email, Profile Email,
        Contact Email, Recipient Email, cwginstock_subscriber_email, Medium Value, Address""",
    Column.SKU: "SKU, Variant SKU, Product SKU, Variation SKU, Item SKU",
    Column.TEXT: "Consent Text",
}
# Names that a tool gives them come before those.
OWN_NAMES: Mapping[Tool, Mapping[Column, str]] = {
    Tool.KLAVIYO: {
        Column.SKU: "SKU, Variant SKU, Variant ID, Catalog Variant ID",
        Column.TIME: "Event Timestamp, Timestamp, Date Added, Email Marketing Consent Timestamp",
    },
    Tool.SWYM: {
        Column.SKU: "SKU, Variant SKU, Product SKU, Variant ID, epi",
        Column.TIME: "Created At, Subscribed At, Subscribed On, Subscription Date, Date, Timestamp",
    },
    Tool.WOOCOMMERCE: {
        Column.TIME: "Subscribed Date, Date Added, Date, Created At, create_date, post_date",
    },
    Tool.CSV: {Column.TIME: "Asked At, Time, Date, Created At, Timestamp"},
}
# Names of a time that any tool may write, the best first: of a signup, of a consent, of a row.
TIMES = [
    re.compile(rf"date(?:of)?(?:{words})|(?:{words})(?:at|on|date|time|timestamp)|{alone}")
    for words, alone in (
        (
            "sign(?:ed)?up|ask(?:ed)?|request(?:ed)?|subscri(?:bed?|ption)|join(?:ed)?|waitlist(?:ed)?"
            "|regist(?:ered|ration)|submi(?:tted|ssion)",
            "signedup|signup|joined",
        ),
        ("opt(?:ed)?in|consent(?:ed)?", "datetime|timestamp"),
        ("add(?:ed)?|creat(?:ed?|ion)|entry", "added|created|date|time"),
    )
]
# Every column that matches is read, whatever tool wrote it: one "no" outweighs every "yes".
_ABOUT = (
    "(?:is|has|was)?(?:user|customer|subscriber|contact|profile|member|list|waitlist|alert|email|marketing)*"
)
_REQUEST = "(?:notification|reminder|request|signup|subscription|consent|optin|backinstock|current|post)"
ANSWERS = {
    column: re.compile(pattern, re.VERBOSE)
    for column, pattern in {
        # A bare "State" may be a part of an address.
        Column.STATUS: rf"""{_ABOUT}{_REQUEST}*status
            | (?:{_REQUEST}|alert|email|subscriber|waitlist)+state""",
        Column.CONSENT: rf"""{_ABOUT}(?:(?:gdpr|privacy)?consent(?:ed|given|granted|gdpr|toemail|tomarketing)?
            | (?:double)?opt(?:ed)?in | subscribed | confirmed | agreed | accepts(?:email)?marketing)""",
        Column.ACTIVE: rf"{_ABOUT}(?:active|enabled|verified(?:email)?|canreceive(?:email)?marketing)",
    }.items()
}
# A column of these names says that the wait has ended: a date, a number or "yes" in it means so.
ENDED = {
    column: re.compile(
        rf"(?:last|date(?:of)?|times?)?{_ABOUT}(?:{'|'.join(words.split())})"
        "(?:(?:from|of)(?:all)?(?:emails?|marketing|lists?)?)?(?:at|on|date|time|timestamp|count)?"
    )
    for column, words in {
        Column.SUPPRESSED: """(?:suppress(?:ed|ions?)|(?:hard)?bounced?)(?:reason|type)? complained complaint
            spam(?:complaint)? markedasspam blocked bla?o?cklisted clean(?:ed)?""",
        Column.UNSUBSCRIBED: """unsub(?:scribed?|scription)? opt(?:ed)?out cancell?ed removed deleted
            erased (?:consent)?withdrawn (?:consent)?revoked deactivated donot(?:email|mail|contact) dnc""",
        Column.NOTIFIED: """notified notification(?:date|count) sent (?:mail|message|notification)s?sent
            (?:email|alert)ssent emailed alerted delivered converted purchased""",
    }.items()
}
# A column with one of these words in a cell is one of a status, unless its name is one of another channel.
STATUS_WORDS = frozenset(
    {
        *("subscribed", "confirmed", "opted in", "unsubscribed", "unconfirmed", "opted out", "bounced"),
        *("hard bounce", "complained", "suppressed", "never subscribed", "not subscribed", "waiting"),
        *("notified", "not notified", "email sent", "mail sent"),
    }
)
_OTHER_CHANNEL = re.compile("sms|phone|mobile|whatsapp|push|text|newsletter")
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("✓✔☑✅", " yes "),
        **dict.fromkeys("✗✘☒❌☐", " no "),
        "\ufe0f": None,
        "\N{NO-BREAK SPACE}": " ",
    }
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file by their kind, and those that are not read.

    A kind of `ANSWERS` or `ENDED` may have several columns, each other kind has one.
    """

    found: Mapping[Column, Sequence[str]]
    unread: Sequence[str]

    def __contains__(self, column: Column) -> bool:
        return bool(self.found.get(column))

    def __getitem__(self, column: Column) -> Sequence[str]:
        return self.found.get(column, ())


def find_columns(
    file: Path, table: TableFile, tool: Tool, named: Mapping[Column, str], ignored: Collection[Column]
) -> Columns:
    """Return the columns of a file by the names that are known, and by cells with words of a status.

    Args:
        file: the file, for errors.
        table: its table.
        tool: the tool that wrote it.
        named: the columns named on the command line; such a column is the only one of its kind.
        ignored: the kinds that are not read.

    Raises:
        BadInput: a column named on the command line is missing.
    """
    names = table.columns
    by_rough = {rough(name): name for name in reversed(names)}
    found: dict[Column, Sequence[str]] = {}
    for column, name in named.items():
        if rough(name) not in by_rough:
            raise BadInput(
                f"--{column}-column {name!r}: {file} has no such column",
                hint=f"its columns: {', '.join(names)}",
            )
        found[column] = (by_rough[rough(name)],)
    for column in (Column.EMAIL, Column.SKU, Column.TIME, Column.TEXT):
        known = f"{OWN_NAMES[tool].get(column, '')},{NAMES.get(column, '')}".split(",")
        first = [by_rough[name] for name in map(rough, known) if name and name in by_rough][:1]
        found.setdefault(column, first)
    if not found[Column.TIME]:
        times = (name for pattern in TIMES for name in names if pattern.fullmatch(rough(name)))
        found[Column.TIME] = list(islice(times, 1))
    for column, pattern in [*ANSWERS.items(), *ENDED.items()]:
        rest = _unread(names, found)
        found.setdefault(column, [name for name in rest if pattern.fullmatch(_base(name, names))])
    if Column.STATUS not in named:
        rest = [name for name in _unread(names, found) if not _OTHER_CHANNEL.search(rough(name))]
        with_words = [name for name in rest if _has_status_words(table, name)]
        found[Column.STATUS] = [*found[Column.STATUS], *with_words]
    for column in ignored:
        found.pop(column, None)
    return Columns(found, _unread(names, found))


def _unread(names: Sequence[str], found: Mapping[Column, Sequence[str]]) -> list[str]:
    used = {name for columns in found.values() for name in columns}
    return [name for name in names if name not in used]


def _has_status_words(table: TableFile, name: str) -> bool:
    return not STATUS_WORDS.isdisjoint(map(plain_word, {row[name] for row in table.rows}))


def plain_word(written: str) -> str:
    """Return a text for comparison; a sign that turns its meaning, as in -1 or !subscribed, stays."""
    text = (
        written.translate(_SIGNS).casefold().strip(" \t\r\n\"'[](){}").rstrip(".,;:! ").removeprefix("cwg_")
    )
    if re.fullmatch(r"[-\u2013\u2014]+", text):
        return ""
    return " ".join(re.sub(r"(?<=\w)[\s_/-]+(?=\w)", " ", text).split())


def rough(name: str) -> str:
    """Return a name for comparison: without case, signs and spaces."""
    return re.sub(r"[_\W]+", "", name.casefold())


def _base(name: str, names: Sequence[str]) -> str:
    """Return a name for comparison, without the number of a name that comes again: "Consent 2"."""
    first, _, number = name.rpartition(" ")
    return rough(first if number.isdecimal() and first in names else name)
