"""The forecast in words and table cells, and its output at the terminal."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from spillway.pluralize import pluralize
from spillway.preflight.bill import (
    Bill,
    refresh_usd,
    story,
    then_bytes_per_visitor,
    usd_per_10_kb,
    usd_per_request,
)
from spillway.preflight.built_pages import PageRefresh, PageWeight
from spillway.preflight.forecast import Forecast, Row
from spillway.preflight.prices import PRICES, Item
from spillway.preflight.simulation import Run

PIPE_COLUMNS = 160


def headline(forecast: Forecast) -> str:
    """Return the answer in a sentence."""
    campaign = forecast.asked.campaign
    verdict = "It holds" if forecast.holds else "It would not hold"
    return (
        f"{verdict}: {campaign.visitors:,} visitors in {span(campaign.over_s)}, "
        f"{campaign.signups:,} sign up, ${forecast.bill.usd:,.2f}"
    )


def resource_rows(rows: Iterable[Row]) -> Iterator[Sequence[str]]:
    """Yield a row of cells for each resource."""
    for row in rows:
        headroom = f"{row.headroom:,.1f} x" if row.headroom < 1e6 else "-"
        limit = f"{short(row.limit.value)} {row.limit.unit}"
        yield row.resource, short(row.need), limit, headroom, str(row.verdict), row.fix


def outcome(run: Run) -> str:
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


def _lost(run: Run) -> str:
    late = run.emails_late + run.emails_unsent
    reasons = [
        f"{pluralize(run.gave_up, 'shopper is', 'shoppers are')} not on the list" if run.gave_up else "",
        f"{pluralize(late, 'email comes', 'emails come')} too late to confirm, or never" if late else "",
    ]
    return f"Lost: {' and '.join(reason for reason in reasons if reason)}."


def refresh_sentence(refresh: PageRefresh) -> str:
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
    for unit_s, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}".replace(".0 ", " ")
    return "1 hour" if seconds == 3600 else pluralize(round(seconds), "second")


def _console() -> Console:
    # Without a terminal, tables are not folded.
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def show(made: Forecast) -> None:
    """Print the whole forecast."""
    console = _console()
    console.print(f"\n[bold]{headline(made)}[/bold]")
    console.print(f"Breaks first: {made.breaks_first}\n")
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
    for remark in made.account.remarks:
        console.print(f"Note: {remark}")


def _bill_table(rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("Item", "Amount", "List $", "After free $", "From"):
        table.add_column(head, justify="right" if "$" in head else "left")
    for row in rows:
        table.add_row(*row)
    return table


def tell_story(weight: PageWeight, now: Bill, refresh: PageRefresh) -> None:
    """Print the founding story's bill, then and now."""
    console = _console()
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
