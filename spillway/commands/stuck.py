"""`spillway stuck` and `spillway redrive`: what could not be done."""

import json

import click

from spillway.deploy.stage import stage_named
from spillway.errors import BadInput
from spillway.merchant.dead_letters import QUEUES, count, look, redrive
from spillway.project import Project

SHOWN_MAX = 20


@click.command("stuck")
@click.option("--stage", "stage_name", metavar="NAME", default="local", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@click.pass_obj
def stuck_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """What failed too often and waits for somebody to look: how much, and what it is about."""
    stage = stage_named(project, stage_name)
    sqs, outputs = stage.client("sqs"), stage.outputs()
    counts = {queue: count(sqs, outputs, queue) for queue in QUEUES}
    letters = {
        queue: list(look(sqs, outputs, queue, most=SHOWN_MAX)) for queue, number in counts.items() if number
    }
    if as_json:
        document = {
            queue: {"count": number, "some": [dict(each.facts) for each in letters.get(queue, ())]}
            for queue, number in counts.items()
        }
        click.echo(json.dumps(document, indent=1))
        return
    for queue, number in counts.items():
        click.echo(f"{queue}: {number or 'nothing'}")
        for letter in letters.get(queue, ()):
            facts = ", ".join(f"{name} {value}" for name, value in letter.facts.items())
            click.echo(f"  {facts or 'cannot be read'}")
    if any(counts.values()):
        click.echo("When the cause is gone: spillway redrive QUEUE")


@click.command("redrive")
@click.argument("queue", type=click.Choice([*QUEUES, "all"]))
@click.option("--stage", "stage_name", metavar="NAME", default="local", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@click.pass_obj
def redrive_command(project: Project, queue: str, stage_name: str, *, as_json: bool) -> None:
    """Try once more what is stuck in a queue. What is out of date by now does nothing."""
    stage = stage_named(project, stage_name)
    sqs, outputs = stage.client("sqs"), stage.outputs()
    if queue == "streams":
        raise BadInput(
            "streams: what is left of a stream's records is their place, not their content",
            way_out="run spillway publish: it turns every page; say spillway available again where needed",
        )
    chosen = [name for name, (_, source) in QUEUES.items() if source and queue in {name, "all"}]
    moved = {name: sum(1 for _ in redrive(sqs, outputs, name)) for name in chosen}
    if as_json:
        click.echo(json.dumps(moved))
        return
    for name, number in moved.items():
        click.echo(f"{name}: {number} put back")
