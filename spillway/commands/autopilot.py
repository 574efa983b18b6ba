"""`spillway autopilot`: the reactions that need nobody, within bounds that an operator set."""

import time

import click

from chalicelib.clock import clock_ms
from chalicelib.domain.autopilot import Bounds, Control
from spillway.operate.autopilot import Log, run
from spillway.project import Project
from spillway.stage import stage_named

UNITS_MAX = 200_000
ENVIRONMENTS_MAX = 50_000
EVERY_S = 30


@click.command("autopilot")
@click.option("--stage", "stage_name", required=True, metavar="NAME")
@click.option("--entries-write-units-max", type=click.IntRange(0, UNITS_MAX), default=0, show_default=True,
              help="How warm the entries table may be made; 0 leaves it alone.")  # fmt: skip
@click.option("--api-concurrency-max", type=click.IntRange(0, ENVIRONMENTS_MAX), default=0, show_default=True,
              help="How many environments may be set aside for the API; 0 leaves them shared.")  # fmt: skip
@click.option("--minutes", type=click.IntRange(0, 24 * 60), default=0, show_default=True,
              help="Go on for so long, looking every half minute; 0 looks once.")  # fmt: skip
@click.option("--control", "controls", multiple=True,
              type=click.Choice([control.value for control in Control]),
              help="Only this one; may be given several times. Left out: all.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be done, and why; do nothing.")
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
    """React to a flood, to complaints and to dead letters; what was done stands in .spillway/autopilot/."""
    stage = stage_named(project, stage_name)
    bounds = Bounds(entries_write_units_max, api_concurrency_max)
    wanted = frozenset(map(Control, controls)) or frozenset(Control)
    log = Log(project.state / "tend" / f"{stage_name}.jsonl")
    ends_at = time.monotonic() + minutes * 60
    while True:
        decisions = run(stage, bounds, log, clock_ms, dry_run=dry_run, controls=wanted)
        for decision in decisions:
            click.echo(f"{'would ' if dry_run else ''}{decision.action}: {decision.value:,} ({decision.why})")
        if not decisions and not minutes:
            click.echo("nothing to do")
        if time.monotonic() + EVERY_S > ends_at:
            return
        time.sleep(EVERY_S)
