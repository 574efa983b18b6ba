"""Values of the options of `spillway waitlist import`, checked before the export is read."""

import re
import warnings
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.domain.ids import Sku
from spillway.errors import BadInput
from spillway.importing.table import read_records
from spillway.merchant.export_words import IS_SHORTENED, SHORTENED
from spillway.terminal import pluralize

EXAMPLE = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


def sku_map(file: Path, *, encoding: str = "") -> dict[str, Sku]:
    """Return the SKUs of a file of two columns by the values in its first column; see `read_table`.

    Raises:
        BadInput: it is no table, a row has another number of columns, or two rows have SKUs for one value.
    """
    found: dict[str, Sku] = {}
    lines: dict[str, int] = {}
    for line, row in read_records(file, encoding=encoding):
        cells = [cell.strip() for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if len(cells) != 2:
            raise BadInput(
                f"--sku-map {file}:{line}: {pluralize(len(cells), 'column')}, expected 2",
                hint="write the value in the file, a comma or a semicolon, and its SKU here",
            )
        value, sku = cells[0], Sku(cells[1])
        if SHORTENED.fullmatch(value):
            raise BadInput(f"--sku-map {file}:{line}: {value!r}: {IS_SHORTENED}")
        if found.setdefault(value, sku) != sku:
            raise BadInput(
                f"--sku-map {file}:{line}: {value!r} is {sku!r}, and {found[value]!r} in line {lines[value]}",
                hint="delete one of these lines",
            )
        lines.setdefault(value, line)
    return found


def date_format(written: str) -> str:
    """Return a format of times, as strptime takes it, after one time was written and read by it.

    Raises:
        BadInput: no time can be read by it, or it has no year.
    """
    hint = "for example %d/%m/%Y %H:%M"
    try:
        # Python warns of formats without a year.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            year = datetime.strptime(EXAMPLE.strftime(written), written).year  # noqa: DTZ007 - the year alone
    except (re.error, ValueError) as error:
        reason = "it names a part of the time twice" if isinstance(error, re.error) else error
        raise BadInput(f"--date-format {written!r}: {reason}", hint=hint) from None
    if year != EXAMPLE.year:
        raise BadInput(f"--date-format {written!r}: it has no year", hint=hint)
    return written


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        BadInput: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"--timezone {name!r}: no such time zone", hint="for example Europe/Berlin") from None
