"""`spillway unsubscribe`: shoppers who unsubscribed by email."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from chalicelib.clock import clock_ms
from chalicelib.domain.links import Links
from chalicelib.keys import read_keys
from chalicelib.services.waitlist import Waitlist
from chalicelib.tables.entries import EntriesTable
from spillway.commands.options import stage_option
from spillway.commands.people import access_log, digest_of
from spillway.merchant.unsubscribing import unsubscribe_by
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables


@click.command("unsubscribe")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stage_option
@click.pass_obj
def unsubscribe_command(project: Project, file: Path, stage_name: str, *, as_json: bool) -> None:
    """Unsubscribe by the emails in FILE, an mbox export or one .eml file.

    They are what mail programs send to `unsubscribe_mailbox` of site.toml. Emails without a token in the
    subject are counted and left to a person.
    """
    stage = stage_named(project, stage_name)
    names = stage.outputs()
    keys = read_keys(stage.client("secretsmanager"), names["SigningKeysSecret"])
    waitlist = Waitlist(
        EntriesTable(stage.client("dynamodb"), names["EntriesTable"]),
        StageTables.of(stage).products,
        Links(keys.signing, clock_ms),
        clock_ms,
    )
    access_log(stage).note("unsubscribe", f"file {digest_of(file)[:16]}", at_ms=clock_ms())
    outcome = unsubscribe_by(file, waitlist)
    if as_json:
        click.echo(json.dumps(asdict(outcome)))
        return
    click.echo(f"unsubscribed by {pluralize(outcome.done, 'email')}")
    if outcome.refused:
        click.echo(f"{pluralize(outcome.refused, 'token')} not of this stage, or too old")
    if outcome.others:
        click.echo(f"{pluralize(outcome.others, 'email')} without a token: look at them yourself")
