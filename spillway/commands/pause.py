"""`spillway pause`: no email leaves until somebody resumes."""

import json

import click

from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables

REASON_CHARS_MAX = 200


@click.command("pause")
@click.option("--because", "reason", metavar="TEXT", default="by hand", show_default=True)
@stage_option
@json_option
@click.pass_obj
def pause_command(project: Project, reason: str, stage_name: str, *, as_json: bool) -> None:
    """Stop all sending until `spillway resume`. Signups are still taken; emails wait in their queues."""
    if not 0 < len(reason.strip()) <= REASON_CHARS_MAX:
        raise BadInput(f"--because: expected 1 to {REASON_CHARS_MAX} characters")
    stage = stage_named(project, stage_name)
    pace = StageTables.of(stage).pace
    state = pace.state()
    earlier = state.paused if state else None
    pace.pause(reason)
    if as_json:
        click.echo(json.dumps({"was_paused": earlier}))
        return
    click.echo(f"sending was paused already: {earlier}" if earlier else f"sending is paused: {reason}")
    click.echo(f"  emails wait until: spillway resume --stage {stage.name}")
