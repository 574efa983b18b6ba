"""Workbooks for tests, from the XML of a sheet."""

import io
from zipfile import ZipFile

SHEET_START = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
SHEET_END = "</sheetData></worksheet>"
# A table of two columns: 007 at 12.5, an empty row, and 12 at 1290.
SHEET = f"""\
{SHEET_START}<row r="1"><c r="A1" t="inlineStr"><is><t>sku</t></is></c>
<c r="B1" t="inlineStr"><is><t>price</t></is></c></row>
<row r="2"><c r="A2" t="inlineStr"><is><t>007</t></is></c><c r="B2"><v>12.5</v></c></row>
<row r="4"><c r="A4"><v>12</v></c><c r="B4"><v>1290</v></c></row>{SHEET_END}"""
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


STYLES = """\
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">
<numFmts><numFmt numFmtId="164" formatCode="00000"/><numFmt numFmtId="165" formatCode="0.00"/></numFmts>
<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>"""


def spreadsheet(sheet: str) -> bytes:
    """Return a workbook whose first sheet, Products, is this worksheet of XML."""
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr(
            "_rels/.rels",
            RELATIONS.replace('worksheet"', 'officeDocument"').replace("worksheets/sheet1", "xl/workbook"),
        )
        archive.writestr("xl/workbook.xml", WORKBOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", RELATIONS)
        archive.writestr("xl/styles.xml", STYLES)
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return content.getvalue()


def workbook() -> bytes:
    """Return a workbook with the table `SHEET`."""
    return spreadsheet(SHEET)
