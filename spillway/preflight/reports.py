"""The forecast as text at the terminal, and as one self-contained HTML file with charts as inline SVG."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from rich.table import Table

from spillway.preflight.amounts import Item
from spillway.preflight.bill import (
    AS_OF,
    PRICES,
    Bill,
    refresh_usd,
    story,
    then_bytes_per_visitor,
    usd_per_10_kb,
    usd_per_request,
)
from spillway.preflight.built_pages import PageWeight, RefreshWork
from spillway.preflight.forecast import Forecast, ForecastRow
from spillway.preflight.simulation import SimulationResult
from spillway.terminal import output_console, pluralize


def headline(forecast: Forecast) -> str:
    """Return the answer in a sentence."""
    campaign = forecast.request.campaign
    verdict = "It holds" if forecast.holds else "It would not hold"
    signups = pluralize(campaign.signups, "signs up", "sign up")
    return f"{verdict}: {pluralize(campaign.visitors, 'visitor')} in {span(campaign.over_s)}, {signups}"


def resource_rows(rows: Iterable[ForecastRow]) -> Iterator[Sequence[str]]:
    """Yield a row of cells for each resource."""
    for row in rows:
        headroom = f"{row.headroom:,.1f} x" if row.headroom < 1e6 else "-"
        limit = f"{short(row.limit.value)} {row.limit.unit}"
        yield row.resource, short(row.need), limit, headroom, str(row.verdict), row.fix


def outcome(run: SimulationResult) -> str:
    """Return the result of a run in sentences."""
    if run.throttled:
        turned = ", ".join(f"{count:,} by {resource}" for resource, count in run.throttled.most_common())
        away = f"Turned away {turned}; {run.gave_up:,} gave up."
    else:
        away = "Nothing is throttled."
    lost = "Nothing is lost." if run.nothing_lost else _lost(run)
    return (
        f"{away} {run.accepted:,} of {run.signups:,} signups stored, {run.confirmed:,} confirmed. {lost} "
        f"The bucket is read {run.origin_reads:,} times, all else comes from the CDN's caches. "
        f"A confirmation email waits {span(run.email_wait_s_max)} at most; "
        f"notifying all of them takes {span(run.fan_out_s)}."
    )


def _lost(run: SimulationResult) -> str:
    late = run.emails_late + run.emails_unsent
    reasons = [
        f"{pluralize(run.gave_up, 'shopper is', 'shoppers are')} not on the list" if run.gave_up else "",
        f"{pluralize(late, 'email comes', 'emails come')} too late to confirm, or never" if late else "",
    ]
    return f"Lost: {' and '.join(reason for reason in reasons if reason)}."


def refresh_sentence(refresh: RefreshWork) -> str:
    """Return the price of an availability change in sentences."""
    free, usd = PRICES[Item.INVALIDATIONS].free, refresh_usd(refresh)
    return (
        f"A change of availability writes up to {_mean(refresh.objects)} pages and invalidates up to "
        f"{_mean(refresh.paths)} paths: ${usd:.3f}, once the month's {free:,.0f} free paths are used up. "
        "A stock event that changes no page costs none of it."
    )


def _mean(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def bill_rows(bill: Bill) -> Iterator[Sequence[str]]:
    """Yield a row of cells for each line of the bill, and the sums."""
    for line in bill.lines:
        amount = f"{line.charged_units:,.2f} {line.price.unit}"
        yield str(line.used.item), amount, f"{line.usd:,.3f}", f"{line.usd_after_free:,.3f}", line.used.why
    yield "in all", "", f"{bill.usd:,.2f}", f"{bill.usd_after_free:,.2f}", "dollars"


def plan_rows(bill: Bill) -> Iterator[Sequence[str]]:
    """Yield a row of cells for each flat plan."""
    for fit in bill.plans():
        verdict = "fits" if fit.fits else "too small: past it, CloudFront may slow the shop down"
        of_requests, of_bytes = f"{fit.of_requests:.0%}", f"{fit.of_bytes:.0%}"
        yield fit.plan.name, of_requests, of_bytes, f"{bill.usd_with(fit.plan):,.2f}", verdict


def short(number: float) -> str:
    """Return a number in short form: 1.2 M."""
    for limit, suffix in ((1e9, "G"), (1e6, "M")):
        if number >= limit:
            return f"{number / limit:,.1f} {suffix}"
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:,.1f}"


def span(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds == 3600:
        return "1 hour"
    for unit_s, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}".replace(".0 ", " ")
    return pluralize(round(seconds), "second")


def show(made: Forecast) -> None:
    """Print the answer: the verdict, the cost, what breaks first, what is lost, and what is assumed."""
    console = output_console()
    verdict = "red" if not made.holds else "green"
    console.print(f"[bold {verdict}]{headline(made)}[/]")
    console.print(
        f"Cost: ${made.bill.usd:,.2f} at list prices, "
        f"${made.bill.usd_after_free:,.2f} with what AWS gives free each month"
    )
    # Shorter than in JSON, to fit a terminal of 80 columns.
    console.print(f"Breaks first: {made.breaks_first.replace('nearest, with', 'nearest:')}")
    fixes = sum(bool(row.fix) for row in made.rows)
    lost = "nothing is lost" if made.run.nothing_lost else _lost(made.run).removesuffix(".").lower()
    console.print(f"As it is: {lost}; {_waits(made.run)}")
    if fixes:
        lost = "nothing is lost" if made.after.nothing_lost else _lost(made.after).removesuffix(".").lower()
        console.print(f"With {pluralize(fixes, 'fix', 'fixes')}: {lost}; {_waits(made.after)}")
    for remark in made.account.remarks:
        console.print(f"Note: {remark}")


def _waits(run: SimulationResult) -> str:
    wait_s = run.email_wait_s_max
    if run.accepted == run.emails_unsent:
        return "no email leaves"
    return f"a confirmation email waits {span(wait_s)} at most" if wait_s >= 1 else "emails leave at once"


def show_details(made: Forecast) -> None:
    """Print every resource, the fixes, both runs and the bill."""
    console = output_console()
    console.print()
    table = Table("Resource", "Need", "Limit", "Headroom", "Verdict", box=None, pad_edge=False)
    for resource, need, limit, headroom, verdict, _ in resource_rows(made.rows):
        style = {"breaks": "bold red", "tight": "yellow"}.get(verdict, "")
        table.add_row(resource, need, limit, headroom, verdict, style=style)
    console.print(table)
    for row in made.rows:
        if row.fix:
            console.print(f"\n  {row.resource}:")
            console.print(f"    {row.fix}", soft_wrap=True)
    console.print(f"\n[bold]As it is.[/bold] {outcome(made.run)}")
    if made.after is not made.run:
        console.print(f"[bold]With the fixes.[/bold] {outcome(made.after)}")
    console.print()
    console.print(_bill_table(bill_rows(made.bill)))
    fits = [
        f"{name} ${usd} ({verdict.partition(':')[0]})" for name, _, _, usd, verdict in plan_rows(made.bill)
    ]
    console.print(f"\nIn all with a flat plan: {', '.join(fits)}")
    console.print(f"\n{refresh_sentence(made.refresh)}")


def _bill_table(rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("Item", "Amount", "List $", "After free $", "From"):
        table.add_column(head, justify="right" if "$" in head else "left")
    for row in rows:
        table.add_row(*row)
    return table


def tell_story(weight: PageWeight, now: Bill, refresh: RefreshWork) -> None:
    """Print the founding story's bill, then and now."""
    console = output_console()
    console.print(
        f"\n[bold]A million visitors, then and now.[/bold] Then a visit weighed about "
        f"{then_bytes_per_visitor() / 1e6:.1f} MB; now {weight.bytes_sent / 1000:,.0f} kB in "
        f"{weight.requests:.1f} requests ({weight.path}).\n"
    )
    table = Table(box=None, pad_edge=False)
    for head in ("", "Then $", "Now $"):
        table.add_column(head, justify="right" if "$" in head else "left")
    for row in story(now):
        then = "-" if row.then_usd is None else f"{row.then_usd:,.2f}"
        table.add_row(row.what, then, f"{row.now_usd:,.2f}", style="bold" if row.what == "in all" else "")
    console.print(table)
    console.print(
        f"\nA request less in each view saves ${usd_per_request():.2f}, 10 kB less ${usd_per_10_kb():.2f}."
    )
    console.print(refresh_sentence(refresh))
    for response in sorted(weight.fetched, key=lambda response: -response.body_bytes):
        console.print(f"  {response.body_bytes:>9,} bytes  {response.path}")
    console.print(
        f"\nNow, line by line, at list prices ({now.usd_after_free:,.2f} with what is always free):\n"
    )
    console.print(_bill_table(bill_rows(now)))


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
    verdict = f"{headline(forecast)}, ${forecast.bill.usd:,.2f}"
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


def _charts(run: SimulationResult) -> list[str]:
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
    return f'<p class="soft">CPU and calls: {where}. Seed {forecast.request.seed}.</p>'


def _remarks(remarks: Sequence[str]) -> str:
    return "".join(f"<p>Note: {escape(remark)}.</p>" for remark in remarks)
