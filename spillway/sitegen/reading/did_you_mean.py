"""Suggest the known name that a merchant may have meant."""

import difflib
from collections.abc import Iterable
from pathlib import PurePath


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is nearest to `value`; an empty text when none is near."""
    by_folded = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(value.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""


def did_you_mean_file(value: str, known: Iterable[str]) -> str:
    """Return a hint at the known file name that is nearest to `value` without its extension.

    Files of a folder share their extensions, so with them each short name is near another.
    """
    by_stem: dict[str, str] = {}
    for name in sorted(known):
        by_stem.setdefault(PurePath(name).stem.casefold(), name)
    near = difflib.get_close_matches(PurePath(value).stem.casefold(), by_stem, n=1)
    return f"; did you mean {by_stem[near[0]]}?" if near else ""
