"""The words of another tool's export about one person, and the outcomes of a row."""

import re
from collections.abc import Mapping
from enum import StrEnum

from spillway.merchant.export_columns import Column, Tool


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
    REPEATED = "repeated in the file"
    WRONG = "wrong"


class UnreadableCell(ValueError):
    """A cell that is not understood; its text says which, and what was expected."""


# The word of a row that comes first here decides: one "no" outweighs every "yes".
WORDS: Mapping[RowOutcome, frozenset[str]] = {
    outcome: frozenset(" ".join(word.split()) for word in words.split(","))
    for outcome, words in {
        RowOutcome.SUPPRESSED_THERE: """suppressed, bounced, complained, hard bounce, spam complaint,
            user suppressed, invalid email""",
        RowOutcome.LEFT_THERE: """unsubscribed, unsubscribe, cancelled, canceled, opted out, opt out, left,
            removed, deleted, trash, inactive, disabled""",
        RowOutcome.NOTIFIED_THERE: """notified, sent, mailsent, mail sent, email sent, alert sent, delivered,
            converted, purchased, completed""",
        RowOutcome.NO_CONSENT: """, no, n, false, f, 0, 0.0, none, null, never, never subscribed,
            not subscribed, pending, unconfirmed, unverified, not confirmed, awaiting confirmation""",
        RowOutcome.ADD: """subscribed, subscribe, active, waiting, queued, in queue, confirmed, opted in,
            opt in, yes, y, true, t, 1, 1.0, on waitlist, not sent, unsent""",
    }.items()
}
# An alert that Swym has not sent yet is pending; elsewhere it is a person who has not confirmed.
OWN_WORDS: Mapping[Tool, Mapping[str, RowOutcome]] = {Tool.SWYM: {"pending": RowOutcome.ADD}}
ENDED_BY: Mapping[Column, RowOutcome] = {
    Column.SUPPRESSED: RowOutcome.SUPPRESSED_THERE,
    Column.UNSUBSCRIBED: RowOutcome.LEFT_THERE,
    Column.NOTIFIED: RowOutcome.NOTIFIED_THERE,
}
_ENDS = frozenset(ENDED_BY.values())
_YES = frozenset({"yes", "y", "true", "t", "x"})
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("✓✔☑✅", " yes "),
        **dict.fromkeys("✗✘☒❌☐", " no "),
        "\ufe0f": None,
        "\N{NO-BREAK SPACE}": " ",
    }
)


def meaning(tool: Tool, written: str) -> RowOutcome | None:
    """Return the outcome that a status or a consent means; None for a text that is not known."""
    word = _plain(written)
    own = OWN_WORDS.get(tool, {}).get(word)
    return own or next((outcome for outcome, words in WORDS.items() if word in words), None)


def ended(column: Column, written: str) -> RowOutcome | None:
    """Return the outcome by a column of ends, as "Unsubscribed At"; None where its cell says "no".

    A date, a number above 0 or a "yes" is an end. A suppression may be any text, as the tool's name of it.

    Raises:
        UnreadableCell: the text is not known.
    """
    word = _plain(written)
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


def _plain(written: str) -> str:
    """Return a text for comparison; a sign that turns its meaning, as in -1 or !subscribed, stays."""
    text = (
        written.translate(_SIGNS).casefold().strip(" \t\r\n\"'[](){}").rstrip(".,;:! ").removeprefix("cwg_")
    )
    if re.fullmatch(r"[-\u2013\u2014]+", text):
        return ""
    return " ".join(re.sub(r"(?<=\w)[\s_/-]+(?=\w)", " ", text).split())
