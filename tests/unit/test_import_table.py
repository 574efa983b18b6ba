"""A table is read as the program that wrote it means it; where that is not plain, the line is named."""

import base64
import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from spillway.errors import BadInput
from spillway.importing.table import read_table
from tests.support.spreadsheets import SHEET, SHEET_END, spreadsheet, workbook

ODS = """\
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:spreadsheet>
<table:table table:name="Products">
<table:table-row><table:table-cell office:value-type="string"><text:p>sku</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>price</text:p></table:table-cell></table:table-row>
<table:table-row><table:table-cell office:value-type="string"><text:p>007</text:p></table:table-cell>
<table:table-cell office:value-type="float" office:value="12.5"/></table:table-row>
<table:table-row><table:table-cell/></table:table-row>
<table:table-row><table:table-cell office:value-type="float" office:value="12"/>
<table:table-cell office:value-type="float" office:value="1290"/></table:table-row>
</table:table></office:spreadsheet></office:body></office:document-content>"""
MANIFEST = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
# Written by xlwt 1.3.0: the same table as Excel 97 has it.
XLS = (
    "c-rk)Jxmlq6#i!Smiq}DdvKV5hFnNQIVnI3ZD7?zsU&ElF(!Jz739c4RxPkl1g|nCCRQ375*i!S#-E6Zb`~ZWElf;I?zE&bk;DRS"
    "ee-rU97w?>iel#5%r|e}yqS5o^XA>ozFSBXXCAkdunxU2QTC#!sn7{3(cs1gwR@fvgE~UR)7VysMra{xEWD_D8<uM**SiD*k3z4B"
    "fiG0fVI2Kq`D|(nag=??2<bx)vA})O#L>)NH82k`H!?qD%X#L*thvS9L$*b677I>)`jCp^Ge#S?#UaOi%6&eurW;LoBcu4*ZQ<Km"
    "IO2|EM*q!*)=({GLF?9+&1c=rXc0+Tz*#JLDd2msQ(vXDerxptr2ny2AKpNJ#|QzF@GfwG7bv;ToBjf4maz*`R^?*uvIUI0BSTrb"
    ">*_iflew7puDxdO)^SYN5)Y%E<pf8zP1$+*!MFD(1_zw;teNC|?PvAf(h+#LE_+btIJbnDrEQvdAM+HCx|8J=<|M@<)$IdKN;p2v"
    "HaEDno#r{f_~7iRkoS^YSUmZxweZ#HAbGB@bR{|W(V0OTJ&0lIFRy8IicWFwuEcXEsD;V^pP8F~$p#U_R=#`cud5y_h_RSp_V47="
    "5z1a{U@zESj(F9Gu|EmiZ1nBTb@ngGCzI{>GpCbs{9dC0PviiUl~xghhK7cQhK7cQhQ{B3P;dCAdf&IyIU=mS>#R^I>(3<rEly#K"
    "u1j<<J%&8hE+(pqpB=D7FqYV4pWu6;#A%w{MGk}PN3QDlrE{RD{5_lQX#c(~RPFrbYW)1e^Zx|UOTg#"
)


def with_cells(*cells: str) -> bytes:
    """Return a workbook whose row 4 has these cells."""
    row = SHEET.index('<row r="4">')
    return spreadsheet(f'{SHEET[:row]}<row r="4">{"".join(cells)}</row>{SHEET_END}')


def open_document(ods: str = ODS) -> bytes:
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", ods.replace(">\n<", "><"))
    return content.getvalue()


def excel_97() -> bytes:
    return zlib.decompress(base64.b85decode(XLS))


def rows(tmp_path: Path, content: bytes | str, encoding: str = "") -> list[tuple[int, dict[str, str]]]:
    file = tmp_path / "export"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(row.line, dict(row.cells)) for row in read_table(file, encoding=encoding).rows]


@pytest.mark.parametrize(
    "content",
    [
        "sku,price\n007,5\n",
        "\ufeffsku,price\r\n007,5\r\n",
        "sku;price\n007;5\n",
        "sku\tprice\n007\t5\n",
        "sku,price,\n007,5,\n",
        "sku,price\n007,5,,\n",
        '" sku ","pri\nce"\n007,5\n'.replace("pri\nce", "price\n"),
        "sku,price\n007,5\n".encode("utf-16"),
        b"\xfe\xff" + "sku,price\n007,5\n".encode("utf-16-be"),
    ],
)
def test_one_table_is_the_same_however_it_is_written(tmp_path: Path, content: bytes | str) -> None:
    assert [cells for _, cells in rows(tmp_path, content)] == [{"sku": "007", "price": "5"}]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("sku;price;notes (a, b, c)\n1;5,00;x\n", {"sku": "1", "price": "5,00", "notes (a, b, c)": "x"}),
        ('"sku, own",title\n1,"a;b;c;d"\n', {"sku, own": "1", "title": "a;b;c;d"}),
        ("sku;price\n1\n", {"sku": "1"}),
        ('sku\ttitle\n1\t5" mug, big, red\n2\t6" mug\n', {"sku": "1", "title": '5" mug, big, red'}),
    ],
)
def test_the_separator_is_the_sign_that_both_of_the_first_two_lines_have(
    tmp_path: Path, text: str, cells: dict[str, str]
) -> None:
    assert rows(tmp_path, text)[0] == (2, cells)


def test_a_first_line_may_name_the_separator(tmp_path: Path) -> None:
    for end in ("\r\n", "\n", "\r"):
        content = end.join(("sep=;", "sku;price", "007;5,00", ""))
        assert rows(tmp_path, content.encode()) == [(3, {"sku": "007", "price": "5,00"})]


def test_a_name_of_a_column_may_go_over_two_lines(tmp_path: Path) -> None:
    assert rows(tmp_path, 'sku,"Regular\nprice"\n1,5\n') == [(3, {"sku": "1", "Regular price": "5"})]


def test_a_name_that_comes_again_and_one_that_is_missing_keep_their_cells(tmp_path: Path) -> None:
    assert rows(tmp_path, "sku,tag,tag,\n1,a,b,c\n") == [
        (2, {"sku": "1", "tag": "a", "tag 2": "b", "(column 4)": "c"})
    ]


@pytest.mark.parametrize("sheet", [workbook, open_document, excel_97], ids=["xlsx", "ods", "xls"])
def test_a_spreadsheet_is_read_with_its_leading_zeros_and_lines(
    tmp_path: Path, sheet: Callable[[], bytes]
) -> None:
    assert rows(tmp_path, sheet()) == [
        (2, {"sku": "007", "price": "12.5"}),
        (4, {"sku": "12", "price": "1290"}),
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((*('<c r="A4" t="e"><f>VLOOKUP(A1,B1:C9,2)</f><v>#N/A</v></c>',),), "row 4, column A: #N/A"),
        (("<c><v>1</v></c>", "<c><f>1+1</f></c>"), "row 4, column B: a formula without a value"),
        (("<c><f>1</f><v></v></c>",), "row 4, column A: a formula without a value"),
        (
            ('<c t="e"><v>#REF!</v></c>', '<c r="AB4" t="e"><v>#DIV/0!</v></c>'),
            "row 4, column A: #REF!; row 4, column AB: #DIV/0!",
        ),
        (('<c t="e"><v>#N/A</v></c>' * 7,), "row 4, column E: #N/A; and 2 more"),
    ],
)
def test_a_cell_of_a_workbook_without_a_value_is_named_and_not_taken_for_empty(
    tmp_path: Path, cells: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadInput) as refused:
        rows(tmp_path, with_cells(*cells))
    assert refused.value.message.endswith(message)
    assert "export: sheet Products: row 4, column " in refused.value.message


def test_a_formula_with_an_empty_text_is_an_empty_cell(tmp_path: Path) -> None:
    found = rows(tmp_path, with_cells("<c><v>7</v></c>", '<c t="str"><f>""</f><v></v></c>'))
    assert found[1] == (4, {"sku": "7"})


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('table:formula="of:=1" calcext:value-type="error" office:value-type="string"><text:p>#N/A', "#N/A"),
        ('table:formula="of:=1" office:value-type="float" office:value="0"><text:p>Err:502', "Err:502"),
        ('table:formula="of:=1"><text:p>', "a formula without a value"),
    ],
)
def test_a_cell_of_an_open_document_without_a_value_is_named(tmp_path: Path, cell: str, message: str) -> None:
    ods = ODS.replace("<office:document-content", '<office:document-content xmlns:calcext="urn:calcext"')
    last = '<table:table-cell office:value-type="float" office:value="1290"/>'
    content = ods.replace(last, f"<table:table-cell {cell}</text:p></table:table-cell>")
    with pytest.raises(BadInput, match=f"sheet Products: row 4, column B: {message}"):
        rows(tmp_path, open_document(content))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c s="1"><v>42</v></c>', "00042"),
        ('<c s="2"><v>42</v></c>', "42"),
        ("<c><v>29.990000000000002</v></c>", "29.99"),
        ("<c><v>1.299</v></c>", "1.299"),
        ("<c><v>0.00001</v></c>", "0.00001"),
        ("<c><v>1234567890123456</v></c>", "1234567890123456"),
        ('<c t="b"><v>1</v></c>', "TRUE"),
    ],
)
def test_a_number_is_read_as_the_sheet_shows_it(tmp_path: Path, cell: str, text: str) -> None:
    assert rows(tmp_path, with_cells(cell))[1] == (4, {"sku": text})


def test_a_number_of_an_open_document_keeps_the_zeros_that_it_shows(tmp_path: Path) -> None:
    number = '<table:table-cell office:value-type="float" office:value="12"/>'
    shown = number.replace("/>", "><text:p>00012</text:p></table:table-cell>")
    assert rows(tmp_path, open_document(ODS.replace(number, shown)))[1] == (
        4,
        {"sku": "00012", "price": "1290"},
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('="0042"', "0042"),
        ('"=""0042"""', "0042"),
        ('"=""5"""" wide"""', '5" wide'),
        ("=A1", "=A1"),
        ('=""', ""),
    ],
)
def test_a_text_that_excel_guards_with_a_formula_is_the_text(tmp_path: Path, cell: str, text: str) -> None:
    assert rows(tmp_path, f"sku,price\n{cell},5\n") == [
        (2, {name: value for name, value in (("sku", text), ("price", "5")) if value})
    ]


def test_a_quote_in_a_table_with_tabs_is_a_sign_like_any_other(tmp_path: Path) -> None:
    assert rows(tmp_path, 'id\ttitle\n1\t"Best" mug 5"\n') == [(2, {"id": "1", "title": '"Best" mug 5"'})]


@pytest.mark.parametrize(
    ("text", "encoding"), [("Łódź", "cp1250"), ("北国", "shift_jis"), ("Größe", "cp1252"), ("é", "utf-16-le")]
)
def test_another_encoding_is_read_when_it_is_named_and_never_guessed(
    tmp_path: Path, text: str, encoding: str
) -> None:
    content = f"sku,title\n1,{text}\n".encode(encoding)
    assert rows(tmp_path, content, encoding) == [(2, {"sku": "1", "title": text})]
    with pytest.raises(BadInput) as refused:
        rows(tmp_path, content)
    assert "--encoding" in refused.value.hint


def test_one_bad_byte_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r":3: byte 0xa0 is not UTF-8") as refused:
        rows(tmp_path, "sku,title\n1,Café\n2,".encode() + b"\xa0\n")
    assert "--encoding cp1252" in refused.value.hint


@pytest.mark.parametrize("encoding", ["punycode", "undefined", "idna"])
def test_an_encoding_of_no_file_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(BadInput) as refused:
        rows(tmp_path, "sku,title\n1,ö\n".encode("cp1252"), encoding)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_called_so(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadInput, match="it is compressed") as refused:
        rows(tmp_path, compress(b"sku,title\n"))
    assert refused.value.hint == "decompress it first, with gunzip for a .gz file"


def test_an_encoding_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--encoding latin9x: there is no such encoding"):
        rows(tmp_path, "sku,title\n1,a\n", "latin9x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1: expected a line of column names"),
        (b"\nTable 1\n\nsku,price\n1,5\n", ":2: expected a line of column names, not 'Table 1'"),
        (b"<?xml version='1.0'?><rss/>", "XML, and no table"),
        (b"a,b\n1,2,3\n", ":2: 3 cells under 2 columns"),
        (b'a,b\n1,"2\n', ":2: unexpected end of data"),
        (b'a,b\n1,"2\n3,4\n5,6\n', ":2: unexpected end of data, in the record that begins on this line"),
        (b'sep=,\na,b\n1,"2\n2"\n3,"4\n5,6\n', ":5: unexpected end of data, in the record that begins"),
        (b'a,b\n1,"2\n3,"4"\n5,6\n', ":2: ',' expected after '\"', in the record that begins on this line"),
        (b"a,b\n1,2\n3,\0\n", ":3: a NUL character, which no text has"),
        (b"PK\x03\x04 no archive", "no spreadsheet that can be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 no workbook", "no spreadsheet that can be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rows(tmp_path, content)
