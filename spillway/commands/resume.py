"""`spillway resume`: emails may leave again."""

import json

import click

from chalicelib.clock import clock_ms
from spillway.commands.options import json_option, stage_option
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables


@click.command("resume")
@stage_option
@json_option
@click.pass_obj
def resume_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """Start sending again after it was paused; bounces and complaints are counted anew."""
    tables = StageTables.of(stage_named(project, stage_name))
    state = tables.pace.state()
    reason = state.paused if state else None
    if reason:
        tables.health.forget(at_ms=clock_ms())
        tables.pace.resume()
    if as_json:
        click.echo(json.dumps({"was_paused": reason}))
    else:
        click.echo(f"sending goes on; it was paused: {reason}" if reason else "sending was not paused")
