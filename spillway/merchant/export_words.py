"""The words of another tool's export about one person, and the outcomes of a row."""

import re
from collections.abc import Mapping
from enum import StrEnum

from spillway.merchant.export_columns import Column, Tool, plain_word


class RowOutcome(StrEnum):
    """The outcome of a row. The values are the words of the report."""

    ADD = "added"
    ASK = "asked to confirm"
    IMPORTED_BEFORE = "imported before"
    HERE = "on the waitlist already"
    PENDING_HERE = "asked by this shop, not confirmed yet"
    NOTIFIED_HERE = "notified by this shop already"
    LEFT_HERE = "unsubscribed from this shop"
    SUPPRESSED_HERE = "suppressed by this shop"
    LEFT_THERE = "unsubscribed in the other tool"
    NOTIFIED_THERE = "notified by the other tool"
    SUPPRESSED_THERE = "suppressed by the other tool"
    NO_CONSENT = "without consent"
    PHONE_ALONE = "with a phone number and no address"
    REPEATED = "repeated in the file"
    WRONG = "wrong"


# A number of 12 digits or more that a spreadsheet showed as 4.12547E+13, and saved so.
SHORTENED = re.compile(r"[0-9][.,][0-9]+E[+][0-9]+", re.IGNORECASE)
IS_SHORTENED = (
    "a spreadsheet shortened the number, and its last digits are lost; format the column as a number without"
    " decimals, or take the export as the tool wrote it"
)


class UnreadableCell(ValueError):
    """A cell that is not understood; its text says which, and what was expected."""


# Also TRUE and FALSE as a spreadsheet program writes them in its own language.
_YES_WORDS = (
    "yes, y, true, t, ja, oui, sí, si, sim, wahr, vrai, vero, verdadero, waar, given, granted, enabled"
)
_NO_WORDS = (
    "no, n, false, f, nein, nee, nej, non, não, falsch, faux, falso, onwaar, none, null, nil, nan, n a"
)
# The word of a row that comes first here decides: one "no" outweighs every "yes".
WORDS: Mapping[RowOutcome, frozenset[str]] = {
    outcome: frozenset(" ".join(word.split()) for word in words.split(","))
    for outcome, words in {
        RowOutcome.SUPPRESSED_THERE: """suppressed, user suppressed, bounced, hard bounce, hard bounced,
            complained, complaint, spam complaint, spam, marked as spam, invalid, invalid email,
            undeliverable, cleaned, blocked, blacklisted, blocklisted""",
        RowOutcome.LEFT_THERE: """unsubscribed, unsubscribe, cancelled, canceled, opted out, opt out, left,
            removed, deleted, trash, inactive, disabled, archived, withdrawn, revoked, redacted""",
        RowOutcome.NOTIFIED_THERE: """notified, sent, mailsent, mail sent, email sent, alert sent, delivered,
            notification sent, converted, purchased, completed""",
        RowOutcome.NO_CONSENT: f""", {_NO_WORDS}, 0, 0.0, never, not yet, never subscribed, not subscribed,
            nonsubscribed, non subscribed, transactional, declined, pending, unconfirmed, unverified,
            not confirmed, not verified, awaiting confirmation""",
        RowOutcome.ADD: f"""{_YES_WORDS}, 1, 1.0, subscribed, subscribe, active, waiting, waitlisted, queued,
            in queue, confirmed, verified, opted in, opt in, on waitlist, not sent, unsent, not notified,
            mail not sent, email not sent""",
    }.items()
}
ENDED_BY: Mapping[Column, RowOutcome] = {
    Column.SUPPRESSED: RowOutcome.SUPPRESSED_THERE,
    Column.UNSUBSCRIBED: RowOutcome.LEFT_THERE,
    Column.NOTIFIED: RowOutcome.NOTIFIED_THERE,
}
_ENDS = frozenset(ENDED_BY.values())
_OF_ALERT = re.compile("alert|notif|remind", re.IGNORECASE)
_YES = frozenset({*_YES_WORDS.split(", "), "x"})


def meaning(tool: Tool, column: str, written: str) -> RowOutcome | None:
    """Return the outcome that a cell of a status or a consent means; None for a text that is not known.

    An alert that was not sent yet is pending, in Swym or by the column's name; elsewhere a person is, who has
    not confirmed.
    """
    word = plain_word(written)
    if word == "pending" and (tool is Tool.SWYM or _OF_ALERT.search(column)):
        return RowOutcome.ADD
    return next((outcome for outcome, words in WORDS.items() if word in words), None)


def ended(column: Column, written: str) -> RowOutcome | None:
    """Return the outcome by a column of ends, as "Unsubscribed At"; None where its cell says "no".

    A date, a number above 0 or a "yes" is an end. A suppression may be any text, as the tool's name of it.

    Raises:
        UnreadableCell: the text is not known.
    """
    word = plain_word(written)
    known = next((outcome for outcome, words in WORDS.items() if word in words), None)
    if known in _ENDS and column is not Column.SUPPRESSED:
        return known
    if word in _YES or re.search(r"[1-9]", word):
        return ENDED_BY[column]
    if known is not None:
        return known if known in _ENDS else None
    if not re.sub(r"[0\W]+", "", word):
        # No date, as in 0000-00-00 00:00:00.
        return None
    if column is Column.SUPPRESSED:
        return RowOutcome.SUPPRESSED_THERE
    raise UnreadableCell(f"{written!r}: expected yes, no or a date")
