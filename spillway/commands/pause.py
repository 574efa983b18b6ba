"""`spillway pause`: no letter leaves until somebody resumes."""

import json

import click

from chalicelib.tables.pace import PaceTable
from spillway.deploy.stage import stage_named
from spillway.errors import BadInput
from spillway.project import Project

REASON_CHARS_MAX = 200


@click.command("pause")
@click.option("--because", "reason", metavar="TEXT", default="by hand", show_default=True)
@click.option("--stage", "stage_name", metavar="NAME", default="local", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@click.pass_obj
def pause_command(project: Project, reason: str, stage_name: str, *, as_json: bool) -> None:
    """Stop all sending until `spillway resume`. Signups are still taken; letters wait in their queues."""
    if not 0 < len(reason.strip()) <= REASON_CHARS_MAX:
        raise BadInput(f"--because: expected 1 to {REASON_CHARS_MAX} characters")
    stage = stage_named(project, stage_name)
    pace = PaceTable(stage.client("dynamodb"), stage.outputs()["SendingTable"])
    state = pace.state()
    earlier = state.paused if state else None
    pace.pause(reason)
    if as_json:
        click.echo(json.dumps({"was_paused": earlier}))
        return
    click.echo(f"sending was paused already: {earlier}" if earlier else f"sending is paused: {reason}")
    click.echo(f"  letters wait until: spillway resume --stage {stage.name}")
