"""Accounting: what shoppers were told was accepted, held against what the shop wrote down."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


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
    """A line of the ledger: a form that was sent, as often as it took."""

    mailbox: str
    sku: str
    outcome: Outcome
    tries: int

    @property
    def wish(self) -> Wish:
        """What the form asked for."""
        return Wish(self.mailbox, self.sku)


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
            kept = json.loads(text)
            yield Line(**kept | {"outcome": Outcome(kept["outcome"])})


@dataclass(frozen=True, slots=True)
class Account:
    """What the comparison says. An entry whose acceptance never reached its shopper is no mistake."""

    accepted: int
    missing: tuple[Wish, ...]
    repeated: tuple[Wish, ...]
    stored_unanswered: int
    retried: int
    gave_up: int

    @property
    def right(self) -> bool:
        """Whether every accepted signup is there exactly once. Nothing accepted proves nothing."""
        return self.accepted > 0 and not self.missing and not self.repeated


def account(lines: Iterable[Line], stored: Iterable[Wish]) -> Account:
    """Hold the ledger against the stored entries."""
    book = list(lines)
    accepted = {line.wish for line in book if line.outcome is Outcome.ACCEPTED}
    entries = Counter(stored)
    return Account(
        accepted=len(accepted),
        missing=tuple(sorted(accepted - entries.keys())),
        repeated=tuple(sorted(wish for wish, times in entries.items() if times > 1)),
        stored_unanswered=len(entries.keys() - accepted),
        retried=sum(line.tries > 1 for line in book),
        gave_up=sum(line.outcome is Outcome.GAVE_UP for line in book),
    )
