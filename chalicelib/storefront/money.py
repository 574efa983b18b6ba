"""Prices in words a shopper knows, from a few symbols that the build looked up once.

Knowing how every locale writes money takes a large library. The operator's build has it and bakes
what this one shop needs into the theme, so that the cloud carries a few strings instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MoneyFormat:
    """How one currency is written in one locale: "£1,480.00", "1.480,00 €", "¥1,480".

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
        """The format of a document made by `dataclasses.asdict`, after a round through JSON."""
        first, others = document["group_sizes"]
        return cls(**{**document, "group_sizes": (first, others)})

    def write(self, amount_minor: int) -> str:
        """The amount as a shopper of this locale reads it."""
        whole, fraction = self._split(amount_minor)
        tail = f"{self.decimal_sign}{fraction}" if fraction else ""
        return f"{self.prefix}{self._grouped(whole)}{tail}{self.suffix}"

    def number(self, count: int) -> str:
        """A whole number of things, its digits grouped as those of an amount."""
        return self._grouped(str(count))

    def plain(self, amount_minor: int) -> str:
        """The amount as a machine reads it, and as the catalogue has it: "1480.00"."""
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
