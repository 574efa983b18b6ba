"""Accounting: what shoppers were notified was accepted, held against what the shop wrote down."""

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
        """What the last answer's status means to the shopper."""
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
        """The line of a document made by `dataclasses.asdict`, after a round through JSON."""
        return cls(**{**document, "statuses": tuple(document["statuses"])})

    @property
    def wish(self) -> Wish:
        """What the form asked for."""
        return Wish(self.mailbox, self.sku)

    @property
    def outcome(self) -> Outcome:
        """How it ended. Who was called away before any answer has given up."""
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
        """Every line, oldest first; none when nothing was ever written."""
        if not self.file.exists():
            return
        for text in self.file.read_text().splitlines():
            yield Line.of(json.loads(text))


@dataclass(frozen=True, slots=True)
class Account:
    """What the comparison says. An entry whose acceptance never reached its shopper is no mistake.

    Of the `forms`, some were `refused` for what was in them and some `gave_up`; the others were accepted.
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
        """Forms that ended well. Those sent twice by the same shopper make one entry."""
        return self.forms - self.refused - self.gave_up

    @property
    def right(self) -> bool:
        """Whether every accepted signup is there exactly once. Nothing accepted proves nothing."""
        return self.accepted > 0 and not self.missing and not self.repeated


def account(lines: Iterable[Line], stored: Iterable[Wish]) -> Account:
    """Hold the ledger against the stored entries."""
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
