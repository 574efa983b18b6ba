"""Suggest the known name that a merchant may have meant."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import PurePath


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is nearest to `value`; an empty text when none is near."""
    return _hint(value.casefold(), {name.casefold(): name for name in sorted(known)})


def did_you_mean_file(value: str, known: Iterable[str]) -> str:
    """Return a hint at the known file name that is nearest to `value` without its extension.

    Files of a folder share their extensions, so with them each short name is near another.
    """
    by_stem = {PurePath(name).stem.casefold(): name for name in sorted(known, reverse=True)}
    return _hint(PurePath(value).stem.casefold(), by_stem)


def _hint(key: str, names: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {names[near[0]]}?" if near else ""
