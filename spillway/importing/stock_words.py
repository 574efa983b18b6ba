"""Read stock as feeds and tables say it: a number of units, or a word for availability."""

import re

from chalicelib.domain.stock import Availability
from spillway.importing.reading import Notes

_WORDS = {
    **dict.fromkeys(
        ("instock", "limitedavailability", "onlineonly", "available", "instockavailable"), "InStock"
    ),
    **dict.fromkeys(("outofstock", "soldout", "unavailable", "notavailable"), "OutOfStock"),
    **dict.fromkeys(("preorder", "presale", "availableforpreorder"), "PreOrder"),
    **dict.fromkeys(("backorder", "onbackorder", "availableforbackorder", "availablefororder"), "BackOrder"),
    "madetoorder": "BackOrder",
    "discontinued": "Discontinued",
}


def availability_of(text: str, notes: Notes, *, place: str, product: str) -> Availability | None:
    """Return what a word says, in any of its spellings: "in stock", "InStock", "https://schema.org/InStock".

    None for no word and, with a line, for one that is not known.
    """
    word = re.sub(
        r"[\W_]+", "", re.sub(r"\A.*schema\.org[/:]", "", text.strip(), flags=re.IGNORECASE)
    ).casefold()
    if not word:
        return None
    if word not in _WORDS:
        kind = "availabilities that are not known, taken as in stock unless counted"
        notes.lost(place, f"availability {text!r}", "taken as in stock unless counted", kind, product)
        return None
    return Availability(_WORDS[word])


def units_of(text: str) -> int | None:
    """Return a whole number of units, which may be below zero: "3", "3.0", "1,200"; None for others."""
    found = re.fullmatch(r"\s*([+-]?[0-9]{1,12})(?:[.,]0{0,2})?\s*", text)
    grouped = re.fullmatch(r"\s*[0-9]{1,3}(?:([,. '\u00a0\u202f])[0-9]{3})(?:\1[0-9]{3})*\s*", text)
    if grouped and not re.fullmatch(r"\s*[0-9]{1,3}[.,]000\s*", text):
        return int(re.sub(r"[^0-9]", "", text))
    return int(found[1]) if found else None


def stated_units(text: str, notes: Notes, *, place: str, product: str) -> int | None:
    """Return the units that can be sold; None where the text says none.

    A text that is no number, and one below zero, is 0 and gets a line.
    """
    if not text:
        return None
    units = units_of(text)
    if units is None:
        notes.lost(place, f"stock {text!r}", "taken for none", "quantities that are no number", product)
    elif units < 0:
        notes.lost(place, f"stock {text}", "taken for none", "quantities below zero", product)
    return max(0, units or 0)
