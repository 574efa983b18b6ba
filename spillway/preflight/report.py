"""The forecast as one HTML file that needs nothing else: tables, plots, and where each number is from."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate

from spillway.preflight.charts import Chart
from spillway.preflight.forecast import Forecast
from spillway.preflight.prices import AS_OF
from spillway.preflight.simulation import Run
from spillway.preflight.wording import bill_rows, headline, outcome, plan_rows, resource_rows

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

RESOURCE_HEADS = ("resource", "need", "limit", "headroom", "verdict", "fix")


def report(forecast: Forecast) -> str:
    """The page."""
    verdict = headline(forecast)
    parts = [
        f"<h1>{escape(verdict)}</h1>",
        f"<p>Breaks first: {escape(forecast.breaks_first)}.</p>",
        _remarks(forecast.account.remarks),
        "<h2>Resources at the peak</h2>",
        _table(
            ("resource", "need", "limit", "headroom", "verdict", "fix"),
            resource_rows(forecast.rows),
            {1, 2, 3},
        ),
        "<h2>As it is</h2>",
        f"<p>{escape(outcome(forecast.run))}</p>",
        *_charts(forecast.run),
        "<h2>With the fixes</h2>",
        f"<p>{escape(outcome(forecast.after))}</p>",
        *_charts(forecast.after),
        "<h2>The bill</h2>",
        f'<p class="soft">List prices of {AS_OF.isoformat()}, us-east-1, dollars.</p>',
        _table(("item", "amount", "list", "after free", "from"), bill_rows(forecast.bill), {1, 2, 3}),
        "<h2>With a flat plan of CloudFront</h2>",
        _table(("plan", "requests", "bytes", "in all", ""), plan_rows(forecast.bill), {1, 2, 3}),
        "<h2>Where the limits are from</h2>",
        _table(("limit", "value", "unit", "known from", "page"), _sources(forecast), {1}),
        _measured(forecast),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>Preflight</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _charts(run: Run) -> list[str]:
    at_s = [second.at_s for second in run.seconds]
    of = run.seconds
    charts = (
        Chart("Visitors", "a second", at_s, [second.visitors / second.step_s for second in of]),
        Chart("API calls", "a second", at_s, [second.calls / second.step_s for second in of]),
        Chart("Environments at work", "at once", at_s, [second.busy for second in of]),
        Chart("Cold starts", "a second", at_s, [second.cold_starts / second.step_s for second in of]),
        Chart("Turned away", "a second", at_s, [second.throttled / second.step_s for second in of]),
        Chart("Confirmation letters waiting", "letters", at_s, [second.letters_waiting for second in of]),
        Chart("Letters sent", "letters", at_s, list(accumulate(second.letters_sent for second in of))),
    )
    return [chart.svg() for chart in charts]


def _sources(forecast: Forecast) -> Iterable[Sequence[str]]:
    for name, limit in forecast.account.limits.to_document().items():
        yield (
            name.replace("_", " "),
            f"{limit['value']:,.0f}",
            limit["unit"],
            limit["origin"],
            limit["source"],
        )


def _measured(forecast: Forecast) -> str:
    by = forecast.measured
    where = escape(f"{by.command}, {by.machine}, {by.measured_on}")
    return f'<p class="soft">CPU and calls: {where}. Seed {forecast.asked.seed}.</p>'


def _remarks(remarks: Sequence[str]) -> str:
    return "".join(f"<p>Note: {escape(remark)}.</p>" for remark in remarks)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    def cell(tag: str, place: int, text: str) -> str:
        style = ' class="number"' if place in numbers else ' class="breaks"' if text == "breaks" else ""
        body = f"<code>{escape(text)}</code>" if text.startswith(("aws ", "spillway ")) else escape(text)
        return f"<{tag}{style}>{body}</{tag}>"

    head = "".join(cell("th", place, text) for place, text in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(cell('td', place, text) for place, text in enumerate(row))}</tr>\n" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
