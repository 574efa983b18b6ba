"""Traffic as text at the terminal, with small charts, and as one self-contained HTML page with plots."""

from collections.abc import Iterator, Sequence
from html import escape

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chalicelib.domain.traffic.counting import time_of
from chalicelib.domain.traffic.report import Minute, TrafficReport
from spillway.preflight.bill import AS_OF
from spillway.preflight.reports import Chart, sheet, short, table
from spillway.terminal import pluralize
from spillway.traffic.gather import FunnelRow, Traffic

BLOCKS = " ▁▂▃▄▅▆▇█"
BAR = "█"
CHART_COLUMNS = 60
BAR_COLUMNS = 16
ROWS_SHOWN = 8
POINTS = 360
# The tables of a report with their titles, in the order in which they are shown.
TITLES = (
    ("landings", "Landing pages (campaigns)"),
    ("referrers", "Sites people come from"),
    ("pages", "Pages"),
    ("devices", "Devices"),
    ("countries", "Countries"),
    ("statuses", "Answers"),
    ("results", "What the cache did"),
    ("programs", "Programs (requests)"),
    ("missing", "Not found"),
    ("aside", "Log lines that cannot be read"),
)
NO_LOGS = (
    "no access log was counted in this time: CloudFront delivers them some minutes late;"
    " on AWS they are off until the stack has TrafficLogs=yes"
)


def nothing_words(report: TrafficReport) -> str:
    """Return in words why there is nothing to show: no log, or none that can be read."""
    unread = ", ".join(f"{count:,} {kind}" for kind, count in report.top("aside"))
    return f"no line of the access logs can be read: {unread}" if unread else NO_LOGS


def span_words(report: TrafficReport) -> str:
    """Return the time of a report in words."""
    since, until = (hour.replace("T", " ") for hour in (report.since, report.until))
    return f"{since}:00 to {until}:59 UTC"


def headline(traffic: Traffic) -> str:
    """Return the traffic in a sentence."""
    report = traffic.report
    peak = report.peak
    highest = f", at most {peak.requests:,} a minute ({peak.at[11:]} UTC)" if peak else ""
    people = pluralize(report.visitors, "person", "people")
    return (
        f"{pluralize(report.views, 'page view')} by about {people} in {pluralize(report.visits, 'visit')};"
        f" {pluralize(report.requests, 'request')}{highest}"
    )


def facts(traffic: Traffic) -> Iterator[tuple[str, str]]:
    """Yield the figures below the headline, by name."""
    report = traffic.report
    ratio = "none" if report.hit_ratio is None else f"{report.hit_ratio:.1%} of requests"
    yield "from the cache", ratio
    yield "sent", sent_words(report.bytes_sent)
    yield "bill so far", f"${traffic.bill.usd:,.4f} at list prices of {AS_OF}"
    yield "coverage", coverage_words(traffic)
    if report.unsalted:
        yield "without visitors", f"{report.unsalted:,} views of weeks whose salt is forgotten"


def sent_words(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 2**10:,.1f} KiB"


def coverage_words(traffic: Traffic) -> str:
    """Return in words how complete the logs are."""
    covered = traffic.coverage
    if covered.counted is None:
        logged = pluralize(covered.logged, "signup is", "signups are")
        return f"unknown: {logged} logged, and the API's own count is not there yet"
    if covered.share is None:
        return f"unknown: the API counted no signup ({covered.logged:,} logged)"
    late = "" if covered.share >= 1 else "; CloudFront delivers logs late, and not each of them"
    return f"{covered.share:.1%}: {covered.logged:,} of {pluralize(covered.counted, 'signup')} logged{late}"


def spark(values: Sequence[float]) -> str:
    """Return a line of blocks, one for each value; the highest fills its block."""
    top = max(values, default=0)
    return "".join(
        BLOCKS[-(-int(value * (len(BLOCKS) - 1)) // int(top or 1))] if top else " " for value in values
    )


def bar(value: float, top: float) -> str:
    """Return a bar of at most `BAR_COLUMNS`; a value above 0 has one at least."""
    return BAR * max(int(value > 0), round(BAR_COLUMNS * value / top)) if top else ""


def show(traffic: Traffic, console: Console) -> None:
    """Print the traffic."""
    report = traffic.report
    console.print(Text(f"Traffic, {span_words(report)}", style="bold"))
    if not report.requests:
        console.print(f"{nothing_words(report)}.")
        return
    console.print(Text(headline(traffic)))
    steps = report.timeline(CHART_COLUMNS)
    console.print(Text(f"\n{spark([step.requests for step in steps])}", style="green"))
    console.print(
        Text(f"{steps[0].at[11:]} to {report.minutes[-1].at[11:]}, requests a minute\n", style="dim")
    )
    figures = Table(box=None, pad_edge=False, show_header=False)
    for name, words in facts(traffic):
        figures.add_row(Text(name, style="dim"), Text(words))
    console.print(figures)
    if traffic.funnel:
        console.print()
        console.print(_funnel(traffic))
    for name, title in TITLES:
        rows = report.top(name, ROWS_SHOWN)
        if rows:
            console.print()
            console.print(_bars(title, rows))


def _funnel(traffic: Traffic) -> Table:
    shown = Table(box=None, pad_edge=False)
    for head in ("Product", "Views", "Signed up", "Confirmed", "Notified", "Clicked", "Signed up of views"):
        shown.add_column(head, justify="left" if head == "Product" else "right")
    for row in traffic.funnel[:ROWS_SHOWN]:
        shown.add_row(Text(row.slug), *_steps(row), _share(row.signed_up, row.views))
    return shown


def _steps(row: FunnelRow) -> tuple[str, ...]:
    counts = (row.views, row.signed_up, row.confirmed, row.notified)
    clicked = "-" if row.clicked is None else f"{row.clicked:,}"
    return (*(f"{count:,}" for count in counts), clicked)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _bars(title: str, rows: Sequence[tuple[str, int]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    shown.add_column(title, max_width=44, overflow="fold")
    shown.add_column("", justify="right")
    shown.add_column("")
    for name, count in rows:
        shown.add_row(Text(name), f"{count:,}", Text(bar(count, rows[0][1]), style="green"))
    return shown


STYLE = """
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:1rem 0}
.facts dt{color:var(--soft)}.facts dd{margin:0}
.counts td:first-child{overflow-wrap:anywhere}td.plot{width:40%;vertical-align:middle}
td.plot svg{display:block;width:100%;height:.6rem}td.plot rect{fill:var(--curve)}
@media(max-width:40rem){td,th{padding:.35rem .3rem}td.plot{width:25%}figure svg text{font-size:22px}}
"""


def page(traffic: Traffic) -> str:
    """Return the traffic as an HTML file: no script, nothing loaded from elsewhere."""
    report = traffic.report
    title = f"Traffic, {span_words(report)}"
    parts = [f"<style>{STYLE}</style>", f"<h1>{escape(title)}</h1>"]
    if not report.requests:
        words = nothing_words(report)
        return sheet(title, [*parts, f"<p>{escape(words[0].upper() + words[1:])}.</p>"])
    parts += [f"<p>{escape(headline(traffic))}.</p>", _facts(traffic), *_charts(report)]
    if traffic.funnel:
        heads = ("product", "views", "signed up", "confirmed", "notified", "clicked", "of views")
        rows = [(row.slug, *_steps(row), _share(row.signed_up, row.views)) for row in traffic.funnel]
        parts += [
            "<h2>From a view to an email</h2>",
            '<p class="soft">Views are of this time, by the logs; people are of all time, by the tables.</p>',
            table(heads, rows, {1, 2, 3, 4, 5, 6}),
        ]
    for name, heading in TITLES:
        rows_of = report.top(name)
        if rows_of:
            parts += [f"<h2>{escape(heading)}</h2>", _plot(rows_of)]
    parts += ["<h2>The bill so far</h2>", f'<p class="soft">List prices of {AS_OF}, us-east-1, dollars.</p>']
    lines = [
        (
            str(line.used.item),
            f"{short(line.charged_units)} {line.price.unit}",
            f"{line.usd:,.4f}",
            line.used.why,
        )
        for line in traffic.bill.lines
    ]
    lines.append(("in all", "", f"{traffic.bill.usd:,.4f}", ""))
    return sheet(title, [*parts, table(("item", "amount", "list", "from"), lines, {1, 2})])


def _facts(traffic: Traffic) -> str:
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts(traffic))
    return f'<dl class="facts">{pairs}</dl>'


def _charts(report: TrafficReport) -> Iterator[str]:
    steps = report.timeline(POINTS)
    first = _seconds(steps[0])
    at_s = [_seconds(step) - first for step in steps]
    began = f"a minute, from {steps[0].at.replace('T', ' ')} UTC"
    yield Chart("Requests", began, at_s, [step.requests for step in steps]).svg()
    yield Chart("Page views", began, at_s, [step.views for step in steps]).svg()


def _seconds(step: Minute) -> float:
    return time_of(step.at[:-3]).timestamp() + 60 * int(step.at[-2:])


def _plot(rows: Sequence[tuple[str, int]]) -> str:
    top = rows[0][1]
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{count:,}</td>'
        f'<td class="plot"><svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * count / top:.1f}" height="6"/></svg></td></tr>\n'
        for name, count in rows
    )
    return f'<div class="scroll counts"><table><tbody>\n{body}</tbody></table></div>'
