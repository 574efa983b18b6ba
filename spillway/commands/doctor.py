"""`spillway doctor`: what is wrong with a stage, and the way out."""

import json
import sys

import click
from rich.console import Console

from spillway.commands.options import json_option, stage_option
from spillway.operate.doctor import Examined, Finding, Result, examine
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from spillway.stage import stage_named

MARKS = {Result.GOOD: "[green]✓[/green]", Result.BAD: "[red]✗[/red]", Result.UNKNOWN: "[yellow]?[/yellow]"}


@click.command("doctor")
@stage_option
@click.option(
    "--emails",
    type=click.IntRange(min=0),
    metavar="N",
    help="Emails of a day's campaign, to compare with SES's quota; left out: the rows of the entries table.",
)
@json_option
@click.pass_obj
def doctor_command(project: Project, stage_name: str, emails: int | None, *, as_json: bool) -> None:
    """Check a stage from its stack to its sender's records. Exit status 1 if something is wrong."""
    stage = stage_named(project, stage_name)
    shop = load_catalogue(project).storefront.shop
    findings = examine(Examined(stage, shop, emails))
    if as_json:
        found = list(findings)
        well = not any(each.result is Result.BAD for each in found)
        document = {
            "stage": stage.name,
            "region": stage.region,
            "well": well,
            "checks": [each.to_document() for each in found],
        }
        click.echo(json.dumps(document, indent=1))
    else:
        # Each is shown when it is found: some ask a slow service.
        bad = 0
        for each in findings:
            bad += _show(each) is Result.BAD
        well = not bad
    sys.exit(0 if well else 1)


def _show(finding: Finding) -> Result:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{MARKS[finding.result]} {finding.check}: ", end="")
    console.print(finding.what, markup=False)
    for line in finding.hint.splitlines():
        console.print(f"    {line}", markup=False)
    return finding.result
