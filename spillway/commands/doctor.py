"""`spillway doctor`: what is wrong with a stage, and the way out."""

import sys

import click
from rich.console import Console

from spillway.build.loading import load_catalogue
from spillway.commands.options import stage_option
from spillway.deploy.stage import stage_named
from spillway.operate.diagnosis import Result, diagnose
from spillway.project import Project

MARKS = {Result.GOOD: "[green]✓[/green]", Result.BAD: "[red]✗[/red]", Result.UNKNOWN: "[yellow]?[/yellow]"}


@click.command("doctor")
@stage_option
@click.pass_obj
def doctor_command(project: Project, stage_name: str) -> None:
    """Check a stage from its stack to its sender's records. Exit status 1 if something is wrong."""
    stage = stage_named(project, stage_name)
    sender = load_catalogue(project).storefront.shop.sender
    console = Console(highlight=False, soft_wrap=True)
    bad = 0
    for finding in diagnose(stage, sender):
        bad += finding.result is Result.BAD
        console.print(f"{MARKS[finding.result]} {finding.check}: {finding.what}")
        if finding.way_out:
            console.print(f"    {finding.way_out}", markup=False)
    sys.exit(1 if bad else 0)
