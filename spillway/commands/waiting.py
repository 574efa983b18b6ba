"""`spillway waiting`: who waits for what."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chalicelib.clock import clock_ms
from spillway.commands.options import json_option, stage_option
from spillway.commands.progress import progress_bar
from spillway.merchant.skus import typed_move
from spillway.merchant.waitlist_report import Demand, demand
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables


@click.command("waiting")
@stage_option
@json_option
@click.pass_obj
def waiting_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """How many wait for each variant, the most wanted first."""
    tables = StageTables.of(stage_named(project, stage_name))
    with progress_bar() as bar:
        task = bar.add_task("counting", total=None)
        found = demand(
            tables.products,
            tables.shards,
            at_ms=clock_ms(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=1))
    elif found:
        Console(highlight=False).print(_table(found))
        for each in found:
            if each.withdrawn:
                move = typed_move(each.sku, stage_name)
                click.echo(f"{each.sku}: no longer sold; move people to another SKU: {move}", err=True)
    else:
        click.echo("nobody waits for anything; who signs up waits from when the address is confirmed")


def _table(found: list[Demand]) -> Table:
    table = Table("SKU", "product", "", box=None, pad_edge=False)
    table.add_column("waiting", justify="right")
    table.add_column("last 24 h", justify="right")
    for each in found:
        now = "" if each.availability == "OutOfStock" else each.availability
        now = "no longer sold" if each.withdrawn else now
        title = f"{each.title}, {each.label}" if each.label else each.title
        table.add_row(Text(each.sku), Text(title), now, f"{each.waiting:,}", f"+{each.last_day:,}")
    table.add_row("", "", "", f"{sum(each.waiting for each in found):,}", "")
    return table
