"""The words of another tool's export about one person, and the outcomes of a row."""

from collections.abc import Mapping
from enum import StrEnum

from spillway.merchant.export_columns import Tool


class Outcome(StrEnum):
    """The outcome of a row. The values are the words of the report."""

    ADD = "added"
    ASK = "asked to confirm"
    IMPORTED_BEFORE = "imported before"
    HERE = "on the waitlist already"
    NOTIFIED_HERE = "notified by this shop already"
    LEFT_HERE = "unsubscribed from this shop"
    SUPPRESSED_HERE = "suppressed by this shop"
    LEFT_THERE = "unsubscribed in the other tool"
    NOTIFIED_THERE = "notified by the other tool"
    SUPPRESSED_THERE = "suppressed by the other tool"
    NO_CONSENT = "without consent"
    REPEATED = "repeated in the file"
    WRONG = "wrong"


class Misread(ValueError):
    """A cell that is not understood; its text says which, and what was expected."""


# The word of a row that comes first here decides: one "no" outweighs every "yes".
WORDS: Mapping[Outcome, frozenset[str]] = {
    outcome: frozenset(" ".join(word.split()) for word in words.split(","))
    for outcome, words in {
        Outcome.SUPPRESSED_THERE: """suppressed, bounced, complained, hard bounce, spam complaint,
            user suppressed, invalid email""",
        Outcome.LEFT_THERE: """unsubscribed, unsubscribe, cancelled, canceled, opted out, opt out, left,
            removed, deleted, trash, inactive, disabled""",
        Outcome.NOTIFIED_THERE: """notified, sent, mailsent, mail sent, email sent, alert sent, delivered,
            converted, purchased, completed""",
        Outcome.NO_CONSENT: """, no, false, 0, none, never subscribed, not subscribed, pending, unconfirmed,
            unverified, not confirmed, awaiting confirmation""",
        Outcome.ADD: """subscribed, subscribe, active, waiting, queued, in queue, confirmed, opted in, opt in,
            yes, true, 1, on waitlist, not sent, unsent""",
    }.items()
}
# An alert that Swym has not sent yet is pending; elsewhere it is a person who has not confirmed.
OWN_WORDS: Mapping[Tool, Mapping[str, Outcome]] = {Tool.SWYM: {"pending": Outcome.ADD}}
