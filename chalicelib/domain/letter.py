"""A letter to one shopper, written but not yet sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """What a shopper reads: the same words as text and as HTML. `subject` is always a single line."""

    subject: str
    text: str
    html: str
