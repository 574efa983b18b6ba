"""An export's texts as a product file has them: single lines, no longer than they may be."""

import re
import unicodedata

from spillway.sitegen.reading.product_fields import SUMMARY_LENGTH_MAX


def summary_of(summary: str, description: str, title: str) -> str:
    """The export's own, or else the first sentence of the description."""
    if not summary:
        plain = re.sub(r"[#*\\]|\[([^\]]*)\]\([^)]*\)", r"\1", description.partition("\n\n")[0])
        summary = one_line(plain.lstrip("- "))
        if len(summary) > SUMMARY_LENGTH_MAX:
            sentence = re.match(rf".{{20,{SUMMARY_LENGTH_MAX - 1}}}?[.!?](?= )", summary)
            summary = sentence[0] if sentence else summary
    return cut(summary, SUMMARY_LENGTH_MAX) or cut(title, SUMMARY_LENGTH_MAX)


def cut(text: str, length_max: int) -> str:
    """No more of the text than may be, cut between two words where there are some."""
    if len(text) <= length_max:
        return text
    short = text[: length_max - 1]
    return f"{short.rpartition(' ')[0] or short}…"


def one_line(text: str) -> str:
    """The text on a single line, with single spaces."""
    return " ".join(clean(text, lines=False).split())


def clean(text: str, *, lines: bool) -> str:
    """Without control signs and marks that turn the direction of a text."""
    kept = "\n" if lines else ""
    # Nearly all texts: nothing to look for sign by sign.
    if (text.replace("\n", "") if lines else text).isprintable():
        return text
    return "".join(
        sign if sign in kept or unicodedata.category(sign) not in {"Cc", "Zl", "Zp"} else " "
        for sign in text
        if not "\u202a" <= sign <= "\u202e" and not "\u2066" <= sign <= "\u2069"
    )
