"""A sheet: one HTML file that needs nothing else, light or dark, made of headings, tables and plots."""

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root{color-scheme:light dark;--ink:#1c2421;--soft:#5c6763;--line:#d5dbd8;--paper:#fbfcfb;
--curve:#0b6e4f;--bad:#a3261b}
@media(prefers-color-scheme:dark){:root{--ink:#e8eeeb;--soft:#9aa7a1;--line:#36413c;--paper:#141917;
--curve:#5fc9a1;--bad:#ff8a7a}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
margin:0 auto;padding:2rem 1rem;max-width:60rem}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.1rem;margin-top:2.5rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}.breaks{color:var(--bad);font-weight:600}
code{font-size:.85em;overflow-wrap:anywhere}small,.soft{color:var(--soft)}
figure{margin:1.2rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}
svg line{stroke:var(--line)}svg text{fill:var(--soft);font-size:12px}
svg polyline{fill:none;stroke:var(--curve);stroke-width:1.8;stroke-linejoin:round}
"""


def sheet(title: str, parts: Iterable[str]) -> str:
    """The whole file. The parts are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    """A table. `numbers` are the columns, from 0, that are set to the right; commands are set as such."""

    def cell(tag: str, place: int, text: str) -> str:
        style = ' class="number"' if place in numbers else ' class="breaks"' if text == "breaks" else ""
        body = f"<code>{escape(text)}</code>" if text.startswith(("aws ", "spillway ")) else escape(text)
        return f"<{tag}{style}>{body}</{tag}>"

    head = "".join(cell("th", place, text) for place, text in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(cell('td', place, text) for place, text in enumerate(row))}</tr>\n" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
