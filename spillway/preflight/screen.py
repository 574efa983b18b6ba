"""The forecast and the founding story at the terminal."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from spillway.preflight.bill import Bill
from spillway.preflight.forecast import Forecast
from spillway.preflight.refresh import PageRefresh
from spillway.preflight.story import story, then_bytes_per_visitor, usd_per_10_kb, usd_per_request
from spillway.preflight.weight import PageWeight
from spillway.preflight.wording import (
    bill_rows,
    headline,
    outcome,
    plan_rows,
    refresh_sentence,
    resource_rows,
)

PIPE_COLUMNS = 160


def _console() -> Console:
    # A table that goes to a file is not folded to the width of a terminal that is not there.
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def show(made: Forecast) -> None:
    """The whole answer."""
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
    """The founding story's bill, then and now."""
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
    for each in sorted(weight.fetched, key=lambda each: -each.body_bytes):
        console.print(f"  {each.body_bytes:>9,} bytes  {each.path}")
    console.print(
        f"\nNow, line by line, at list prices ({now.usd_after_free:,.2f} with what is always free):\n"
    )
    console.print(_bill_table(bill_rows(now)))
