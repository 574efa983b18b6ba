"""The forecast as one HTML file that needs nothing else: tables, plots, and where each number is from."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate

from spillway.preflight.charts import Chart
from spillway.preflight.forecast import Forecast
from spillway.preflight.played import Run
from spillway.preflight.prices import AS_OF
from spillway.preflight.sheet import sheet, table
from spillway.preflight.wording import (
    bill_rows,
    headline,
    outcome,
    plan_rows,
    refresh_sentence,
    resource_rows,
)


def report(forecast: Forecast) -> str:
    """The page."""
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
        Chart("Environments at work", "at once", at_s, [second.busy for second in of]),
        Chart("Cold starts", "a second", at_s, [second.cold_starts / second.step_s for second in of]),
        Chart("Turned away", "a second", at_s, [second.throttled / second.step_s for second in of]),
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
