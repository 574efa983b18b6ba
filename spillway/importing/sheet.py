"""Read the first sheet of a spreadsheet as records of texts.

python-calamine reads the values. It gives a failed formula as an empty cell, and a number without its format:
both are read from the XML of .xlsx and .ods.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from posixpath import join, normpath
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from zipfile import BadZipFile, ZipFile

from spillway.errors import BadInput

# Every whole number up to here is exact in a cell.
_WHOLE_MAX = 2**53
# Spreadsheet programs show no more digits of a number.
_DIGITS_SHOWN = 15
_FAULTS_SHOWN_MAX = 5
_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!)|Err:\d+")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_LEADING_ZEROS = re.compile(r"0{2,20}")
_WITHOUT_VALUE = "a formula without a value"

Place = tuple[int, int]


class NumberCell(str):
    """The text of a number with a fraction. Its point is the decimal sign, whatever the shop's locale."""

    __slots__ = ()


def unambiguous(text: str) -> str:
    """Return a text in which no locale takes the point of a number cell for a sign of thousands.

    1.299 of a number cell is "1.2990"; any other text stays.
    """
    return f"{text}0" if isinstance(text, NumberCell) and re.search(r"\.\d{3}\Z", text) else text


def sheet_records(file: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each row of the first sheet, and its cells.

    Raises:
        BadInput: it is no spreadsheet, or a formula failed or has no value; sheet, row and column are named.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheet = workbook.get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except (CalamineError, OSError, ValueError) as error:
        raise BadInput(
            f"{file}: no spreadsheet that can be read: {error}",
            hint="unzip an archive first; save a spreadsheet as CSV",
        ) from error
    seen = _seen_in(content)
    if seen.faults:
        _refuse(file, sheet.name, seen.faults)
    for number, row in enumerate(rows, 1):
        yield (
            number,
            [seen.shown.get((number, column)) or _cell_text(cell) for column, cell in enumerate(row, 1)],
        )


def _refuse(file: Path, sheet: str, faults: Mapping[Place, str]) -> None:
    named = [
        f"row {row}, column {_letters(column)}: {fault}"
        for (row, column), fault in sorted(faults.items())[:_FAULTS_SHOWN_MAX]
    ]
    more = f"; and {len(faults) - len(named)} more" if len(faults) > len(named) else ""
    unsaved = set(faults.values()) == {_WITHOUT_VALUE}
    raise BadInput(
        f"{file}: sheet {sheet}: {'; '.join(named)}{more}",
        hint="open the file in a spreadsheet program and save it again"
        if unsaved
        else "correct these formulas, or empty the cells",
    )


def _cell_text(cell: object) -> str:
    """Return a cell as a person reads it: 12.5 and 12, not 12.0; 29.99, not 29.990000000000002."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        if cell.is_integer() and abs(cell) <= _WHOLE_MAX:
            return str(int(cell))
        return NumberCell(f"{Decimal(f'{cell:.{_DIGITS_SHOWN}g}'):f}")
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return str(cell)


@dataclass(slots=True)
class _SheetCells:
    """Cells by (row, column), from 1: `faults` are those without a value, `shown` the texts of numbers."""

    faults: dict[Place, str] = field(default_factory=dict)
    shown: dict[Place, str] = field(default_factory=dict)


def _seen_in(content: bytes) -> _SheetCells:
    seen = _SheetCells()
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            names = {name.replace("\\", "/").casefold(): name for name in archive.namelist()}

            def opened(name: str) -> IO[bytes] | None:
                found = names.get(name.casefold())
                return archive.open(found) if found else None

            if "content.xml" in names:
                _see_open_document(opened, seen)
            elif sheet := _first_sheet(opened):
                _see_workbook(sheet, _zero_formats(opened), seen)
    except (BadZipFile, ElementTree.ParseError, OSError, ValueError):
        # calamine has read its values; an old .xls is no archive.
        return _SheetCells()
    return seen


Opened = Callable[[str], IO[bytes] | None]


def _elements(stream: IO[bytes] | None, *, of: str = "") -> Iterator[Element]:
    """Yield each element when it ends. One named `of` is emptied after it: its rows need not stay."""
    if stream is None:
        return
    for _, element in ElementTree.iterparse(stream):  # noqa: S314 - expat bounds what entities can make
        yield element
        if of and _name(element.tag) == of:
            element.clear()


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _attribute(element: Element, name: str) -> str:
    """Return an attribute, whatever its namespace."""
    return next((text for key, text in element.attrib.items() if _name(key) == name), "")


def _first_sheet(opened: Opened) -> IO[bytes] | None:
    sheets = (element for element in _elements(opened("xl/workbook.xml")) if _name(element.tag) == "sheet")
    first = next(sheets, None)
    if first is None:
        return None
    wanted = next((text for key, text in first.attrib.items() if key.endswith("}id")), "")
    for element in _elements(opened("xl/_rels/workbook.xml.rels")):
        if element.get("Id") == wanted:
            target = element.get("Target", "")
            return opened(target.lstrip("/") if target.startswith("/") else normpath(join("xl", target)))
    return None


def _zero_formats(opened: Opened) -> dict[str, int]:
    """Return the number of digits that each style of the form "00000" shows, by the style's number."""
    formats: dict[str, int] = {}
    styles: dict[str, int] = {}
    for element in _elements(opened("xl/styles.xml")):
        name = _name(element.tag)
        if name == "numFmt" and _LEADING_ZEROS.fullmatch(code := element.get("formatCode", "")):
            formats[element.get("numFmtId", "")] = len(code)
        elif name == "cellXfs":
            for number, style in enumerate(element):
                if digits := formats.get(style.get("numFmtId", "")):
                    styles[str(number)] = digits
    return styles


def _see_workbook(sheet: IO[bytes], zero_formats: Mapping[str, int], seen: _SheetCells) -> None:
    row = 0
    for element in _elements(sheet, of="row"):
        if _name(element.tag) != "row":
            continue
        row = int(element.get("r", row + 1))
        column = 0
        for cell in element:
            found = _REFERENCE.fullmatch(cell.get("r", ""))
            column = _number(found[1]) if found else column + 1
            parts = {_name(part.tag): part.text or "" for part in cell}
            kind, value = cell.get("t", "n"), parts.get("v", "")
            if kind == "e":
                seen.faults[row, column] = value or "an error"
            elif "f" in parts and ("v" not in parts or (kind == "n" and not value)):
                seen.faults[row, column] = _WITHOUT_VALUE
            elif kind == "n" and value.isdecimal() and (digits := zero_formats.get(cell.get("s", ""))):
                seen.shown[row, column] = value.zfill(digits)


def _see_open_document(opened: Opened, seen: _SheetCells) -> None:
    row = 0
    for element in _elements(opened("content.xml"), of="table-row"):
        name = _name(element.tag)
        if name == "table":
            return  # the first sheet is over
        if name != "table-row":
            continue
        column = 1
        for cell in element:
            _see_open_cell(cell, (row + 1, column), seen)
            column += int(_attribute(cell, "number-columns-repeated") or 1)
        row += int(_attribute(element, "number-rows-repeated") or 1)


def _see_open_cell(cell: Element, place: Place, seen: _SheetCells) -> None:
    text = "".join(part for child in cell if _name(child.tag) == "p" for part in child.itertext())
    kinds = [value for key, value in cell.attrib.items() if _name(key) == "value-type"]
    formula, value = _attribute(cell, "formula"), _attribute(cell, "value")
    if "error" in kinds or (formula and _ERROR.fullmatch(text)):
        seen.faults[place] = text or "an error"
    elif formula and not kinds:
        seen.faults[place] = _WITHOUT_VALUE
    elif "float" in kinds and text.startswith("0") and text.isdecimal() and value.isdecimal():
        seen.shown |= {place: text} if int(text) == int(value) else {}


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
