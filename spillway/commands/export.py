"""`spillway export`: who waits for a variant."""

import json
import sys
from itertools import chain

import click

from chalicelib.clock import clock_ms
from spillway.commands.options import stage_option
from spillway.commands.people import access_log
from spillway.merchant.export import document, in_line, write_csv
from spillway.merchant.skus import require_sku, require_sold
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables


@click.command("export")
@click.argument("sku")
@click.option("--csv", "_as_csv", is_flag=True, help="As CSV, which is the default.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object a line.")
@stage_option
@click.pass_obj
def export_command(project: Project, sku: str, stage_name: str, *, _as_csv: bool, as_json: bool) -> None:
    """Everybody who waits for a variant, first come first, on standard output. These are addresses.

    Each use is logged with the operator and the time (spillway access-log).
    """
    sku = require_sku(sku)
    stage = stage_named(project, stage_name)
    tables = StageTables.of(stage)
    waiting = in_line(tables.shards, sku)
    first = next(waiting, None)
    if first is None:
        # Who waits for what the shop no longer sells is kept, and can be exported.
        require_sold(tables.products, sku, stage.name)
    access_log(stage).note("export", f"SKU {sku}", at_ms=clock_ms())
    waiting = chain([first] if first else [], waiting)
    if as_json:
        for place, entry in enumerate(waiting, start=1):
            click.echo(json.dumps(document(entry, place)))
        return
    count = write_csv(waiting, sys.stdout)
    click.echo(f"{pluralize(count, 'waits', 'wait')} for {sku}", err=True)
