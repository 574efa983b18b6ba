"""Watch a stage: `spillway status`, `doctor` and `autopilot`."""

import json
import sys
import time
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chalicelib.domain.autopilot import CONCURRENCY_MOST, UNITS_MOST, Bounds, Control
from chalicelib.domain.sending_limits import Cohort
from chalicelib.settings import clock_ms
from spillway.commands.options import ChoiceType, WholeNumber, json_option, stage_option
from spillway.operate.doctor import ExaminedStage, Finding, Result, examine
from spillway.operate.state import QUEUES, FileActionLog, StageState, run_autopilot, state_of
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import print_table

MARKS = {Result.GOOD: "[green]✓[/green]", Result.BAD: "[red]✗[/red]", Result.UNKNOWN: "[yellow]?[/yellow]"}
EVERY_S = 30


@click.command("status")
@stage_option
@json_option
@click.pass_obj
def status_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """Show people waiting, emails, failed jobs and alarms.

    \b
    Example:
      spillway status --stage production

    Exit status: 0 when all is well, 1 when something needs a person.
    """
    state = state_of(stage_named(project, stage_name))
    if as_json:
        click.echo(json.dumps(state.to_document(), indent=1))
    else:
        _show_state(state)
    sys.exit(0 if state.well else 1)


def _received_words(received: Cohort) -> str:
    emails = max(received.emails, 1)
    bounced, complained = (
        f"{count:,} {word} ({100 * count / emails:.{digits}f} %)"
        for count, word, digits in ((received.bounced, "bounced", 1), (received.complained, "complained", 2))
    )
    return f"{received.days}: {received.emails:,} emails, {bounced}, {complained}"


def _show_state(state: StageState) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for rows in (_people_rows, _queue_rows, _sending_rows):
        for what, text, style in rows(state):
            table.add_row(what, Text(text), style=style)
    table.add_row("alarms", ", ".join(state.alarms) or "none", style=_bad_if(state.alarms))
    if state.entries_rows_about is not None:
        warm = f", {state.entries_write_units:,} writes a second at once" if state.entries_write_units else ""
        # Beside the entries, the table has a row of email counts for each shopper.
        table.add_row("entries table", f"about {state.entries_rows_about:,} rows{warm}")
    table.add_row("stage", f"{state.stage} in {state.region}, {state.stack}")
    for what in state.unknown:
        table.add_row("cannot be read", what)
    print_table(table)


def _bad_if(wrong: object) -> str:
    return "bold red" if wrong else ""


def _people_rows(state: StageState) -> Iterator[tuple[str, str, str]]:
    """Yield what a merchant asks first; each row has a label, a text and a style."""
    if state.waiting is not None:
        yield "people waiting", f"{'about ' if state.waiting_about else ''}{state.waiting:,}", "bold"
    if state.emails_today is not None:
        yield "emails today", f"{state.emails_today:,} since midnight UTC", "bold"
    hint = f"{state.dead_letters:,}; spillway failed --stage {state.stage}"
    yield "failed jobs", hint if state.dead_letters else "none", _bad_if(state.dead_letters) or "bold"
    yield "", "", ""


def _queue_rows(state: StageState) -> Iterator[tuple[str, str, str]]:
    for queue in QUEUES.values():
        if count := state.queues.get(queue.what):
            yield "in the queue", f"{count:,} {queue.words}", ""
        if count := state.queues.get(queue.dead):
            yield "failed", f"{count:,} {queue.words}", "bold red"
    if state.queues and not any(state.queues.values()):
        yield "in the queues", "nothing", ""


def _sending_rows(state: StageState) -> Iterator[tuple[str, str, str]]:
    if mail := state.mail:
        notes = ", in its sandbox" * mail.sandbox + ", PAUSED by SES" * mail.paused
        # -1 stands for no limit.
        limit = f" of {mail.per_day:,.0f}" if mail.per_day >= 0 else ""
        sent = f"{mail.sent_in_24_h:,.0f}{limit} emails in 24 h"
        yield "SES's limits", f"{sent}, {mail.per_s:g} a second{notes}", _bad_if(mail.paused)
    if state.received:
        yield "received", _received_words(state.received), ""
    if state.paused is not None:
        yield "sending", f"PAUSED: {state.paused}; spillway resume --stage {state.stage}", "bold red"


@click.command("doctor")
@stage_option
@click.option(
    "--emails",
    type=WholeNumber(min=0),
    metavar="N",
    help="Emails of a campaign's day, compared with SES's quota; by default the rows of the entries table.",
)
@json_option
@click.pass_obj
def doctor_command(project: Project, stage_name: str, emails: int | None, *, as_json: bool) -> None:
    """Check a stage from its stack to its sender's DNS records.

    Each problem is shown with its fix.

    \b
    Example:
      spillway doctor --stage production

    Exit status: 0 when all is well, 1 when a check fails.
    """
    # Imported here: only the doctor reads the catalogue.
    from spillway.sitegen.reading.loading import load_catalogue

    stage = stage_named(project, stage_name)
    shop = load_catalogue(project).storefront.shop
    findings = examine(ExaminedStage(stage, shop, emails))
    if as_json:
        found = list(findings)
        well = not any(finding.result is Result.BAD for finding in found)
        document = {
            "stage": stage.name,
            "region": stage.region,
            "well": well,
            "checks": [finding.to_document() for finding in found],
        }
        click.echo(json.dumps(document, indent=1))
    else:
        # Print each finding at once: some checks call a slow service.
        bad = 0
        for finding in findings:
            bad += _show_finding(finding) is Result.BAD
        well = not bad
    sys.exit(0 if well else 1)


def _show_finding(finding: Finding) -> Result:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{MARKS[finding.result]} {finding.check}: ", end="")
    console.print(finding.what, markup=False)
    for line in finding.hint.splitlines():
        console.print(f"    {line}", markup=False)
    return finding.result


@click.command("autopilot")
@click.option("--stage", "stage_name", required=True, metavar="NAME", help="The stage's name on AWS.")
@click.option("--entries-write-units-max", type=WholeNumber(0, UNITS_MOST), default=0, show_default=True,
              help="Most write units a second to warm the entries table for; 0 leaves it alone.")  # fmt: skip
@click.option("--api-concurrency-max", type=WholeNumber(0, CONCURRENCY_MOST), default=0, show_default=True,
              help="Most Lambda instances to reserve for the API; 0 reserves none.")  # fmt: skip
@click.option("--minutes", type=WholeNumber(0, 24 * 60), default=0, show_default=True,
              help="Minutes to run, with a check each half minute; 0 checks once.")  # fmt: skip
@click.option("--control", "controls", multiple=True,
              type=ChoiceType([control.value for control in Control]),
              help="A control to run, instead of all; may be repeated.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the actions with their reasons; do nothing.")
@click.pass_obj
def autopilot_command(
    project: Project,
    stage_name: str,
    entries_write_units_max: int,
    api_concurrency_max: int,
    minutes: int,
    controls: tuple[str, ...],
    *,
    dry_run: bool,
) -> None:
    """React to floods, complaints and failed jobs, within bounds.

    Its actions are logged in .spillway/autopilot/.

    \b
    Examples:
      spillway autopilot --stage production --dry-run
      spillway autopilot --stage production --entries-write-units-max 20000 --minutes 120
    """
    stage = stage_named(project, stage_name)
    bounds = Bounds(entries_write_units_max, api_concurrency_max)
    wanted = frozenset(map(Control, controls)) or frozenset(Control)
    log = FileActionLog(project.state / "autopilot" / f"{stage_name}.jsonl")
    ends_at = time.monotonic() + minutes * 60
    while True:
        decisions = run_autopilot(stage, bounds, log, clock_ms, dry_run=dry_run, controls=wanted)
        for decision in decisions:
            click.echo(
                f"{'would ' if dry_run else ''}{decision.action.text}: {decision.value:,} ({decision.why})"
            )
        if not decisions and not minutes:
            click.echo("nothing to do")
        if time.monotonic() + EVERY_S > ends_at:
            return
        time.sleep(EVERY_S)
