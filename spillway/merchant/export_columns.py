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
from pathlib import Path

from spillway.errors import BadInput


class Column(StrEnum):
    """A kind of column."""

    EMAIL = "email"
    SKU = "sku"
    TIME = "time"
    STATUS = "status"
    CONSENT = "consent"
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
NAMES: Mapping[Tool, Mapping[Column, Sequence[str]]] = {
    Tool.KLAVIYO: {
        Column.EMAIL: ("Email", "$email", "Profile Email"),
        Column.SKU: ("SKU", "Variant SKU", "$variant_sku", "Variant ID", "$variant_id", "Catalog Variant ID"),
        Column.TIME: ("Event Timestamp", "Timestamp", "Date Added", "Email Marketing Consent Timestamp"),
    },
    Tool.SWYM: {
        Column.EMAIL: ("Email", "Customer Email", "User Email", "Medium Value"),
        Column.SKU: ("SKU", "Variant SKU", "Product SKU", "Variant ID", "epi"),
        Column.TIME: (
            "Created At",
            "Subscribed At",
            "Subscribed On",
            "Subscription Date",
            "Date",
            "Timestamp",
        ),
    },
    Tool.WOOCOMMERCE: {
        Column.EMAIL: (
            "Email",
            "Email Address",
            "User Email",
            "Subscriber Email",
            "cwginstock_subscriber_email",
        ),
        Column.SKU: ("SKU", "Product SKU", "Variation SKU"),
        Column.TIME: ("Subscribed Date", "Date Added", "Date", "Created At", "create_date", "post_date"),
    },
    Tool.CSV: {
        Column.EMAIL: ("Email", "Email Address", "Address"),
        Column.SKU: ("SKU",),
        Column.TIME: ("Asked At", "Time", "Date", "Created At", "Timestamp"),
        Column.TEXT: ("Consent Text",),
    },
}
# Names of a time that any tool may write, after the tool's own.
TIMES = (
    *("Signup Date", "Signup Time", "Sign Up Date", "Signed Up", "Signed Up At", "Signed Up On", "Signup"),
    *(
        "Date Signed Up",
        "Asked At",
        "Asked On",
        "Requested At",
        "Requested On",
        "Request Date",
        "Date Requested",
    ),
    *("Subscribed At", "Subscribed On", "Subscribed Date", "Subscription Date", "Date Subscribed"),
    *("Joined", "Joined At", "Joined On", "Join Date", "Date Joined", "Waitlisted At", "Waitlist Date"),
    *(
        "Registered At",
        "Registered On",
        "Registration Date",
        "Submitted At",
        "Submitted On",
        "Submission Date",
    ),
    *("Opt In Time", "Opt In Date", "Opted In At", "Consent Date", "Consent Timestamp", "Consented At"),
    *("Added", "Added At", "Added On", "Date Added", "Created", "Created At", "Created On", "Created Date"),
    *("Date Created", "Creation Date", "Creation Time", "Entry Date", "Timestamp", "Datetime", "Date Time"),
    *("Date", "Time"),
)
# Every one that the file has is read, whatever tool wrote it: one "no" outweighs every "yes".
SAYING: Mapping[Column, Sequence[str]] = {
    Column.STATUS: (
        "Status",
        "Alert Status",
        "Alert State",
        "Subscription Status",
        "Subscription State",
        "Subscriber Status",
        "Waitlist Status",
        "Email Status",
        "post_status",
    ),
    Column.CONSENT: ("Consent", "Email Consent", "Email Marketing Consent", "Opted In", "Opt In"),
}
# A column of these names says that the wait has ended: a date, a number or "yes" in it means so.
_ENDED = {
    Column.SUPPRESSED: """suppressed suppression suppressions bounced bounce hardbounced hardbounce complained
        complaint spam spamcomplaint markedasspam blocked blacklisted""",
    Column.UNSUBSCRIBED: """unsubscribed unsubscribe optedout optout cancelled canceled removed deleted
        withdrawn consentwithdrawn revoked consentrevoked deactivated""",
    Column.NOTIFIED: """notified sent emailsent mailsent alertsent notificationsent messagesent emailed
        alerted delivered converted purchased""",
}
ENDED = {
    column: re.compile(
        rf"(?:is|has|was|date|time|email|alert)?(?:{'|'.join(words.split())})(?:at|on|date|time|timestamp)?"
    )
    for column, words in _ENDED.items()
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file by their kind, and those that are not read.

    A kind of `SAYING` or `ENDED` may have several columns, each other kind has one.
    """

    found: Mapping[Column, Sequence[str]]
    unread: Sequence[str]

    def __contains__(self, column: Column) -> bool:
        return bool(self.found.get(column))

    def __getitem__(self, column: Column) -> Sequence[str]:
        return self.found.get(column, ())


def find_columns(
    file: Path, names: Sequence[str], tool: Tool, named: Mapping[Column, str], ignored: Collection[Column]
) -> Columns:
    """Return the columns of a file by the names that are known.

    Args:
        file: the file, for errors.
        names: the names of all its columns.
        tool: the tool that wrote it.
        named: the columns named on the command line; such a column is the only one of its kind.
        ignored: the kinds that are not read.

    Raises:
        BadInput: a column named on the command line is missing.
    """
    by_rough = {_rough(name): name for name in reversed(names)}
    found: dict[Column, Sequence[str]] = {}
    for column, name in named.items():
        if _rough(name) not in by_rough:
            raise BadInput(
                f"--{column}-column {name!r}: {file} has no such column",
                hint=f"its columns: {', '.join(names)}",
            )
        found[column] = (by_rough[_rough(name)],)
    for column, known in NAMES[tool].items():
        every = (*known, *TIMES) if column is Column.TIME else known
        first = [by_rough[_rough(name)] for name in every if _rough(name) in by_rough][:1]
        found.setdefault(column, first)
    for column, known in SAYING.items():
        found.setdefault(column, [name for name in names if _base(name, names) in map(_rough, known)])
    used = {name for columns in found.values() for name in columns}
    for column, pattern in ENDED.items():
        ends = [name for name in names if name not in used and pattern.fullmatch(_base(name, names))]
        found.setdefault(column, ends)
    for column in ignored:
        found.pop(column, None)
    used = {name for columns in found.values() for name in columns}
    return Columns(found, [name for name in names if name not in used])


def _rough(name: str) -> str:
    return re.sub(r"[_\W]+", "", name.casefold())


def _base(name: str, names: Sequence[str]) -> str:
    """Return a name for comparison, without the number of a name that comes again: "Consent 2"."""
    first, _, number = name.rpartition(" ")
    return _rough(first if number.isdecimal() and first in names else name)
