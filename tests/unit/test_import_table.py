"""A table is read as the program that wrote it means it; where that is not plain, the line is named."""

import base64
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from spillway.errors import BadInput
from spillway.importing.table import read_table

SHEET = """\
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
<row r="1"><c r="A1" t="inlineStr"><is><t>sku</t></is></c>
<c r="B1" t="inlineStr"><is><t>price</t></is></c></row>
<row r="2"><c r="A2" t="inlineStr"><is><t>007</t></is></c><c r="B2"><v>12.5</v></c></row>
<row r="4"><c r="A4"><v>12</v></c><c r="B4"><v>1290</v></c></row></sheetData></worksheet>"""
CONTENT_TYPES = """\
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="xml" ContentType="application/xml"/></Types>"""
WORKBOOK = """\
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="Products" sheetId="1" r:id="rId1"/></sheets></workbook>"""
RELATIONS = """\
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" \
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" \
Target="worksheets/sheet1.xml"/></Relationships>"""


def spreadsheet() -> bytes:
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr(
            "_rels/.rels",
            RELATIONS.replace('worksheet"', 'officeDocument"').replace("worksheets/sheet1", "xl/workbook"),
        )
        archive.writestr("xl/workbook.xml", WORKBOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", RELATIONS)
        archive.writestr("xl/worksheets/sheet1.xml", SHEET)
    return content.getvalue()


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


def open_document() -> bytes:
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", ODS.replace(">\n<", "><"))
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


def test_a_first_line_may_name_the_separator(tmp_path: Path) -> None:
    assert rows(tmp_path, "sep=;\r\nsku;price\r\n007;5,00\r\n") == [(3, {"sku": "007", "price": "5,00"})]


def test_a_name_of_a_column_may_go_over_two_lines(tmp_path: Path) -> None:
    assert rows(tmp_path, 'sku,"Regular\nprice"\n1,5\n') == [(3, {"sku": "1", "Regular price": "5"})]


def test_a_name_that_comes_again_and_one_that_is_missing_keep_their_cells(tmp_path: Path) -> None:
    assert rows(tmp_path, "sku,tag,tag,\n1,a,b,c\n") == [
        (2, {"sku": "1", "tag": "a", "tag 2": "b", "(column 4)": "c"})
    ]


@pytest.mark.parametrize("sheet", [spreadsheet, open_document, excel_97], ids=["xlsx", "ods", "xls"])
def test_a_spreadsheet_is_read_with_its_leading_zeros_and_lines(
    tmp_path: Path, sheet: Callable[[], bytes]
) -> None:
    assert rows(tmp_path, sheet()) == [
        (2, {"sku": "007", "price": "12.5"}),
        (4, {"sku": "12", "price": "1290"}),
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


def test_an_encoding_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--encoding latin9x: there is no such encoding"):
        rows(tmp_path, "sku,title\n1,a\n", "latin9x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a line of column names"),
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
