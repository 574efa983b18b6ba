"""Accounting: compare the signups that were answered as accepted with the stored entries."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.retry import TRANSIENT


class Wish(NamedTuple):
    """One address waiting for one variant: what an entry is made of."""

    mailbox: str
    sku: str


class Outcome(StrEnum):
    """How sending a form ended for the shopper."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    GAVE_UP = "gave up"

    @classmethod
    def of(cls, status: int) -> "Outcome":
        """Return the outcome for the status of the last answer."""
        return {202: cls.ACCEPTED, 400: cls.REFUSED}.get(status, cls.GAVE_UP)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the ledger: a form, and the status of the answer to each time it was sent (0: none).

    `at_s` is when it was sent first, by a clock of the run's own.
    """

    mailbox: str
    sku: str
    statuses: tuple[int, ...]
    at_s: float = 0.0

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Line":
        """Return the line of a document made by `dataclasses.asdict` and JSON."""
        return cls(**{**document, "statuses": tuple(document["statuses"])})

    @property
    def wish(self) -> Wish:
        """Return the address and the variant of the form."""
        return Wish(self.mailbox, self.sku)

    @property
    def outcome(self) -> Outcome:
        """Return the outcome; a form without any answer counts as given up."""
        return Outcome.of(self.statuses[-1] if self.statuses else 0)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A file of lines. Each is on disk before the shopper goes on."""

    file: Path

    def write(self, line: Line) -> None:
        """Add a line."""
        with self.file.open("a") as book:
            book.write(json.dumps(asdict(line)) + "\n")

    def lines(self) -> Iterator[Line]:
        """Yield the lines, oldest first; none if nothing was written."""
        if not self.file.exists():
            return
        for text in self.file.read_text().splitlines():
            yield Line.of(json.loads(text))


@dataclass(frozen=True, slots=True)
class Account:
    """The result of the comparison. An entry whose acceptance did not reach its shopper is no error.

    Some `forms` were `refused` for their contents and some `gave_up`; the others were accepted.
    `turned_away` counts answers that ask for another try, by status (0: no answer came); `retried` forms
    were sent more than once, `retried_in_vain` of them until their shopper gave up.
    """

    forms: int
    accepted: int
    missing: tuple[Wish, ...]
    repeated: tuple[Wish, ...]
    stored_unanswered: int
    refused: int
    gave_up: int
    retried: int
    retried_in_vain: int
    turned_away: Counter[int]

    @property
    def accepted_forms(self) -> int:
        """Return the number of accepted forms; two of the same shopper make one entry."""
        return self.forms - self.refused - self.gave_up

    @property
    def right(self) -> bool:
        """Return whether each accepted signup is stored exactly once, and at least one was accepted."""
        return self.accepted > 0 and not self.missing and not self.repeated


def account(lines: Iterable[Line], stored: Iterable[Wish]) -> Account:
    """Compare the ledger with the stored entries."""
    book = list(lines)
    accepted = {line.wish for line in book if line.outcome is Outcome.ACCEPTED}
    entries = Counter(stored)
    retried = [line for line in book if len(line.statuses) > 1]
    return Account(
        forms=len(book),
        accepted=len(accepted),
        missing=tuple(sorted(accepted - entries.keys())),
        repeated=tuple(sorted(wish for wish, times in entries.items() if times > 1)),
        stored_unanswered=len(entries.keys() - accepted),
        refused=sum(line.outcome is Outcome.REFUSED for line in book),
        gave_up=sum(line.outcome is Outcome.GAVE_UP for line in book),
        retried=len(retried),
        retried_in_vain=sum(line.outcome is Outcome.GAVE_UP for line in retried),
        turned_away=Counter(status for line in book for status in line.statuses if status in TRANSIENT),
    )
