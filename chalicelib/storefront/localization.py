"""Texts, amounts of money and days in one language, from data that the build looked up once.

Reading gettext's catalogues and knowing how each locale writes money and days takes large libraries, which
the operator's build has. The theme carries what this one shop needs of them: every text, the rule for
plurals, a few symbols, a pattern and twelve names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from gettext import c2py
from hashlib import sha256
from typing import Any

ENGLISH_PLURALS = "n != 1"
# German and Luxembourgish write each noun with a capital.
_CAPITAL_NOUNS = frozenset({"de", "lb"})


def in_sentence(noun: str, locale: str) -> str:
    """Return a noun as a sentence of the locale has it: "size" for "Size" in English, "EU size" as it is."""
    first, rest = noun[:1], noun[1:]
    # One letter alone, or two capitals, are a name or an abbreviation.
    is_word = rest[:1].islower() and locale.partition("-")[0] not in _CAPITAL_NOUNS
    return f"{first.lower()}{rest}" if is_word else noun


@dataclass(frozen=True)
class Texts:
    """Translations by the template's English text, one for each plural form.

    A text without a translation stays English. `plurals` is gettext's expression: "n != 1".
    """

    messages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plurals: str = ENGLISH_PLURALS

    @cached_property
    def digest(self) -> str:
        """Equal for equal texts."""
        return sha256(repr((sorted(self.messages.items()), self.plurals)).encode()).hexdigest()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Texts":
        """Return the texts of a document made by `dataclasses.asdict`, after a round through JSON."""
        messages = {text: tuple(forms) for text, forms in document["messages"].items()}
        return cls(messages, document["plurals"])

    def one(self, text: str) -> str:
        """Return the text in this language."""
        forms = self.messages.get(text)
        return forms[0] if forms else text

    def of_number(self, singular: str, plural: str, number: int) -> str:
        """Return the text's plural form for a number."""
        forms = self.messages.get(singular)
        if not forms:
            return singular if number == 1 else plural
        return forms[min(c2py(self.plurals)(number), len(forms) - 1)]


@dataclass(frozen=True, slots=True)
class MoneyFormat:
    """The format of one currency in one locale: "£1,480.00", "1.480,00 €", "¥1,480".

    `group_sizes` are the digits of the group next to the decimal sign, and of every group left of it.
    """

    prefix: str
    suffix: str
    decimal_sign: str
    group_sign: str
    fraction_digits: int
    group_sizes: tuple[int, int] = (3, 3)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "MoneyFormat":
        """Return the format of a document made by `dataclasses.asdict`, after a round through JSON."""
        first, others = document["group_sizes"]
        return cls(**{**document, "group_sizes": (first, others)})

    def write(self, amount_minor: int) -> str:
        """Return the amount as a shopper of this locale reads it."""
        whole, fraction = self._split(amount_minor)
        tail = f"{self.decimal_sign}{fraction}" if fraction else ""
        return f"{self.prefix}{self._grouped(whole)}{tail}{self.suffix}"

    def number(self, count: int) -> str:
        """Return a whole number with its digits grouped as in an amount."""
        return self._grouped(str(count))

    def plain(self, amount_minor: int) -> str:
        """Return the amount as a machine reads it, and as the catalogue has it: "1480.00"."""
        whole, fraction = self._split(amount_minor)
        return f"{whole}.{fraction}" if fraction else whole

    def _split(self, amount_minor: int) -> tuple[str, str]:
        digits = str(amount_minor).rjust(self.fraction_digits + 1, "0")
        cut = len(digits) - self.fraction_digits
        return digits[:cut], digits[cut:]

    def _grouped(self, whole: str) -> str:
        first, others = self.group_sizes
        rest, groups = whole[:-first], [whole[-first:]]
        while rest:
            rest, group = rest[:-others], rest[-others:]
            groups.insert(0, group)
        return self.group_sign.join(groups)


@dataclass(frozen=True, slots=True)
class DayFormat:
    """The format of a day in one locale: "31 December 2026", "31. Dezember 2026".

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
