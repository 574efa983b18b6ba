"""`spillway status`: how a stage is, in one screen."""

import json
import sys

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chalicelib.domain.deliverability import Cohort
from spillway.commands.options import json_option, stage_option
from spillway.operate.queues import QUEUES
from spillway.operate.state import StageState, state_of
from spillway.project import Project
from spillway.stage import stage_named


@click.command("status")
@stage_option
@json_option
@click.pass_obj
def status_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """How a stage is: what waits, what SES allows, which alarms are on. Exit status 1 if it needs you."""
    state = state_of(stage_named(project, stage_name))
    if as_json:
        click.echo(json.dumps(state.to_document(), indent=1))
    else:
        _show(state)
    sys.exit(0 if state.well else 1)


def _received(received: Cohort) -> str:
    emails = max(received.emails, 1)
    bounced, complained = (
        f"{count:,} {word} ({100 * count / emails:.{digits}f} %)"
        for count, word, digits in ((received.bounced, "bounced", 1), (received.complained, "complained", 2))
    )
    return f"{received.days}: {received.emails:,} emails, {bounced}, {complained}"


def _show(state: StageState) -> None:
    console = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("stage", f"{state.stage} in {state.region}, {state.stack}")
    if state.entries_rows_about is not None:
        warm = f", {state.entries_write_units:,} writes/s at once" if state.entries_write_units else ""
        # Beside the entries stand counts of emails, one for each shopper.
        table.add_row("entries table", f"about {state.entries_rows_about:,} rows{warm}")
    dead = {queue.dead for queue in QUEUES.values()}
    for name, count in state.queues.items():
        table.add_row(name, f"{count:,}", style="bold red" if count and name in dead else "")
    if state.mail:
        mail = state.mail
        notes = [note for note, on in (("sandbox", mail.sandbox), ("PAUSED", mail.paused)) if on]
        table.add_row(
            "mail",
            f"{mail.sent_in_24_h:,.0f} of {mail.per_day:,.0f} in 24 h, {mail.per_s:g}/s {' '.join(notes)}",
        )
    if state.received:
        table.add_row("received", _received(state.received))
    if state.paused is not None:
        hint = f"spillway resume --stage {state.stage}"
        table.add_row("sending", Text(f"PAUSED: {state.paused}; {hint}", style="bold red"))
    table.add_row("alarms", ", ".join(state.alarms) or "none")
    for what in state.unknown:
        table.add_row("cannot tell", what)
    console.print(table)
