"""The forecast as one self-contained HTML file: tables, line charts as inline SVG, and sources."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from spillway.preflight.forecast import Forecast
from spillway.preflight.prices import AS_OF
from spillway.preflight.simulation import Run
from spillway.preflight.text_report import (
    bill_rows,
    headline,
    outcome,
    plan_rows,
    refresh_sentence,
    resource_rows,
)

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
WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
POINTS_MAX = 360


def sheet(title: str, parts: Iterable[str]) -> str:
    """Return an HTML file. The parts are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    """Return a table; the columns in `numbers`, from 0, are aligned right, and commands are set as code."""

    def cell(tag: str, place: int, text: str) -> str:
        style = ' class="number"' if place in numbers else ' class="breaks"' if text == "breaks" else ""
        body = f"<code>{escape(text)}</code>" if text.startswith(("aws ", "spillway ")) else escape(text)
        return f"<{tag}{style}>{body}</{tag}>"

    head = "".join(cell("th", place, text) for place, text in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(cell('td', place, text) for place, text in enumerate(row))}</tr>\n" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


@dataclass(frozen=True, slots=True)
class Chart:
    """One curve over time. Long curves are thinned to the highest value of each interval."""

    title: str
    unit: str
    at_s: Sequence[float]
    values: Sequence[float]

    def svg(self) -> str:
        """Return the chart as SVG, with its figures in an aria-label."""
        points = _thinned(self.at_s, self.values)
        top = max((value for _, value in points), default=0) or 1
        end = max((at for at, _ in points), default=0) or 1
        path = " ".join(f"{_chart_x(at, end):.1f},{_chart_y(value, top):.1f}" for at, value in points)
        ticks = "".join(_value_tick(top * share, top) for share in (0, 0.5, 1))
        times = "".join(_time_tick(end * share, end) for share in (0, 0.25, 0.5, 0.75, 1))
        words = f"{self.title}: at most {top:,.0f} {self.unit}, over {_axis_span(end)}"
        return (
            f"<figure><figcaption>{escape(self.title)} <small>{escape(self.unit)}</small></figcaption>"
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">'
            f'{ticks}{times}<polyline points="{path}"/></svg></figure>'
        )


def _thinned(at_s: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    stretch = -(-len(values) // POINTS_MAX) or 1
    return [(at_s[start], max(values[start : start + stretch])) for start in range(0, len(values), stretch)]


def _chart_x(at: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * at / end


def _chart_y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _value_tick(value: float, top: float) -> str:
    y = _chart_y(value, top)
    shown = f"{value:,.0f}" if top >= 10 else f"{value:,.1f}"
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>'
    )


def _time_tick(at: float, end: float) -> str:
    anchor = "end" if at == end else "middle" if at else "start"
    return (
        f'<text x="{_chart_x(at, end):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{_axis_span(at)}</text>'
    )


def _axis_span(seconds: float) -> str:
    if seconds >= 2 * 24 * 3600:
        return f"{seconds / 86400:.1f} d"
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 2 * 60:
        return f"{seconds / 60:.1f}".removesuffix(".0") + " min"
    return f"{seconds:.0f} s"


def report(forecast: Forecast) -> str:
    """Return the forecast as an HTML file."""
    verdict = headline(forecast)
    parts = [
        f"<h1>{escape(verdict)}</h1>",
        f"<p>Breaks first: {escape(forecast.breaks_first)}.</p>",
        _remarks(forecast.account.remarks),
        "<h2>Resources at the peak</h2>",
        table(
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
        table(("item", "amount", "list", "after free", "from"), bill_rows(forecast.bill), {1, 2, 3}),
        f"<p>{escape(refresh_sentence(forecast.refresh))}</p>",
        "<h2>With a flat plan of CloudFront</h2>",
        table(("plan", "requests", "bytes", "in all", ""), plan_rows(forecast.bill), {1, 2, 3}),
        "<h2>Where the limits are from</h2>",
        table(("limit", "value", "unit", "known from", "page"), _sources(forecast), {1}),
        _measured(forecast),
    ]
    return sheet("Preflight", parts)


def _charts(run: Run) -> list[str]:
    at_s = [second.at_s for second in run.seconds]
    of = run.seconds
    charts = (
        Chart("Visitors", "a second", at_s, [second.visitors / second.step_s for second in of]),
        Chart(
            "Reads of the bucket", "a second", at_s, [second.origin_reads / second.step_s for second in of]
        ),
        Chart("API calls", "a second", at_s, [second.calls / second.step_s for second in of]),
        Chart("Busy Lambda instances", "at once", at_s, [second.busy for second in of]),
        Chart("Cold starts", "a second", at_s, [second.cold_starts / second.step_s for second in of]),
        Chart("Rejected", "a second", at_s, [second.throttled / second.step_s for second in of]),
        Chart("Confirmation emails waiting", "emails", at_s, [second.emails_waiting for second in of]),
        Chart("Emails sent", "emails", at_s, list(accumulate(second.emails_sent for second in of))),
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
