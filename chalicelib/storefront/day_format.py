"""Days in words a shopper knows, from a pattern and twelve names that the build looked up once.

As for money (`chalicelib.storefront.money`), knowing how every locale writes a day takes a large library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class DayFormat:
    """How a day is written in one locale: "31 December 2026", "31. Dezember 2026".

    `pattern` has the places {day}, {month} and {year}; `months` are the names in it, January first. Without
    them a day is written as in ISO 8601.
    """

    pattern: str = ""
    months: tuple[str, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "DayFormat":
        """Return the format of a document of its fields, after a round through JSON."""
        return cls(document["pattern"], tuple(document["months"]))

    def write(self, day: str) -> str:
        """Return the ISO 8601 date `day` as a shopper of this locale reads it."""
        if not self.pattern:
            return day
        on = date.fromisoformat(day)
        return self.pattern.format(day=on.day, month=self.months[on.month - 1], year=on.year)
