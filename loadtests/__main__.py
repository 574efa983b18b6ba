"""`make load`: send a flood to the running demo, or a new one, and compare accepted with stored signups."""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from loadtests.consent import estimate, require_consent
from loadtests.figures import Figures, read_figures, read_moments, table
from loadtests.flood import Flood, send
from loadtests.growth import all_flat
from loadtests.ledger import account
from loadtests.predictions import Prediction, predict
from loadtests.processes import Family, watched
from loadtests.report import FORM_STEPS, Findings, growth_rows, prediction_row, report, said, said_of_counters
from loadtests.shapes import CALLS_PER_S_MAX, PHASES, Shape, duration_s
from loadtests.shop import landing_of, open_shop, recounted, stored
from loadtests.throttle import burst_of, throttled
from loadtests.traffic import LoggedPosts, logged_posts, posts_in_logs, write_page
from spillway.commands.options import ChoiceType, Decimal, WholeNumber, stage_option
from spillway.errors import BadInput, SpillwayError, WorkFailed
from spillway.project import Project
from spillway.stage import LOCAL, Stage
from spillway.terminal import Steps, StopRequested, interruptible


@click.command("load", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--port", type=WholeNumber(1_024, 65_535), default=8000, show_default=True,
              help="The port of a new demo, if none is running.")  # fmt: skip
@click.option(
    "--shape",
    type=ChoiceType([shape.value for shape in Shape]),
    default="spike",
    show_default=True,
    help="The number of shoppers over time.",
)
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of the random numbers by which shoppers choose.")  # fmt: skip
@click.option("--api-calls-per-s", "calls_per_s_max", type=Decimal(0, 10_000),
              help="Throttle each method of the API to this rate; 0 leaves the stage as it is deployed."
              "  [default: 3 for the spikes, 0 for the others]")  # fmt: skip
@stage_option
@click.option("--scale", type=WholeNumber(1, 1_000), default=1, show_default=True,
              help="A factor for the number of shoppers.")  # fmt: skip
@click.option("--workers", type=WholeNumber(1, 64), default=1, show_default=True,
              help="Processes that send; one simulates some hundred shoppers.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Agree to the cost of a flood on AWS, without a question.")
def load(**given: Any) -> None:
    """Send a flood of shoppers to the shop, and check that no accepted signup was lost.

    On AWS it goes to the shop at the base_url of site.toml.

    Exit status: 0 when no signup is lost, 1 when one is, or the flood proved nothing.
    """
    asked = Asked(**given)
    project, console = Project.find(Path.cwd()), Console(highlight=False, soft_wrap=True)
    steps, limit = Steps(console), asked.throttle
    with open_shop(project, asked.stage_name, asked.port, steps) as stage:
        flood = asked.flood(project, stage)
        if flood.on_aws:
            costs = estimate(flood, project.output / "site")
            require_consent(costs, yes=asked.yes, terminal=sys.stdin.isatty(), ask=click.confirm)
        flood.folder.mkdir(parents=True)
        before = 0 if flood.on_aws else posts_in_logs(stage)
        found = _sent(flood, stage, limit, Family.of(project.state / LOCAL), steps)
        logged = None if flood.on_aws else _logged(found, before, stage, flood, steps)
    flood.report.write_text(report(found), encoding="utf-8")
    _show(found, console)
    console.print(f"With plots: {flood.report.relative_to(project.root)}")
    if logged:
        console.print(f"{logged.sentence()}; with plots: {traffic_page(flood).relative_to(project.root)}")
    _require_shown(found, flood, throttles=limit > 0)
    _require_logged(logged)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, by their names in click."""

    port: int
    shape: str
    seed: int
    calls_per_s_max: float | None
    stage_name: str
    scale: int
    workers: int
    yes: bool

    @property
    def throttle(self) -> float:
        """Return the calls a second that each API method accepts; 0 leaves the stage's throttle as it is.

        Raises:
            BadInput: The stage is on AWS, where a test must not lower the throttle.
        """
        if self.stage_name == LOCAL:
            as_shaped = CALLS_PER_S_MAX[Shape(self.shape)]
            return as_shaped if self.calls_per_s_max is None else self.calls_per_s_max
        if self.calls_per_s_max:
            raise BadInput(
                f"--api-calls-per-s: stage {self.stage_name} is left as it is deployed",
                hint="spillway deploy has the parameter ApiRequestsPerSecondMax",
            )
        return 0.0

    def flood(self, project: Project, stage: Stage) -> Flood:
        """Return the flood, with a new run id."""
        run = secrets.token_hex(4)
        return Flood(
            shop_url=stage.shop_url or "",
            landing=landing_of(stage),
            run=run,
            shape=Shape(self.shape),
            seed=self.seed,
            folder=project.output / "load" / run,
            scale=self.scale,
            workers=self.workers,
            on_aws=self.stage_name != LOCAL,
        )


def _sent(flood: Flood, stage: Stage, limit: float, family: Family | None, steps: Steps) -> Findings:
    announced = _announced(flood, limit)
    with steps.step(announced), throttled(stage, limit), watched(family) as held:
        send(flood)
    with steps.step("Compare the accepted signups with the entries table"):
        result = account(flood.ledger.lines(), stored(stage, flood.mailbox_prefix))
    with steps.step("Compare the merchant's counters with the entries"):
        counted = recounted(stage)
    figures = read_figures(flood.figures)
    predicted = _predicted(flood, figures, limit) if limit else []
    return Findings(announced, result, figures, read_moments(flood.history), held, predicted, counted)


def _predicted(flood: Flood, figures: list[Figures], limit: float) -> list[Prediction]:
    answer_s = next((step.p50_ms / 1000 for step in figures if step.step in FORM_STEPS), 0.0)
    return predict(flood.ledger.lines(), calls_per_s=limit, burst=burst_of(limit), answer_s=answer_s)


def traffic_page(flood: Flood) -> Path:
    """Return the file of the traffic report, beside the report of the flood."""
    return flood.folder / "traffic.html"


def _logged(found: Findings, before: int, stage: Stage, flood: Flood, steps: Steps) -> LoggedPosts:
    with steps.step("Compare the forms sent with the access logs"):
        logged = logged_posts(
            found.figures,
            before,
            lambda: posts_in_logs(stage),
            stopped_max=PHASES[flood.shape][-1].shoppers * flood.scale,
        )
        write_page(stage, traffic_page(flood))
    return logged


def _require_logged(logged: LoggedPosts | None) -> None:
    """Raise WorkFailed if the access logs and the flood differ; on AWS the logs come too late to say."""
    if logged and not logged.agree:
        raise WorkFailed(
            logged.sentence(), hint="spillway traffic --since 1h shows the logs, and lines aside"
        )


def _show(found: Findings, console: Console) -> None:
    console.print()
    console.print(table(found.figures))
    console.print(f"\n{said(found.account)}")
    if found.recounted:
        console.print(said_of_counters(found.recounted))
    for what, measured, mean, among in map(prediction_row, found.predictions):
        console.print(f"{what}: {measured}; the simulator, given the same forms, has {mean} ({among})")
    for group, warm, late, files_warm, files_late, verdict in growth_rows(found.growths):
        console.print(f"{group}: {warm} and {files_warm} files when warm, {late} and {files_late}: {verdict}")


def _announced(flood: Flood, limit: float) -> str:
    throttle = f", {limit:g} calls/s for each method of the API" if limit else ""
    return (
        f"Shoppers come to {flood.landing}: {flood.shape}, {duration_s(flood.shape):.0f} s,"
        f" seed {flood.seed}{throttle}"
    )


def _require_shown(found: Findings, flood: Flood, *, throttles: bool) -> None:
    """Raise WorkFailed if signups are lost or miscounted, if nothing was throttled, or if processes grew."""
    if not found.account.right:
        raise WorkFailed(
            "accepted signups and stored entries differ",
            hint=f"the answers to shoppers are in {flood.ledger.file}",
        )
    if found.recounted and found.recounted.drifts:
        raise WorkFailed(
            "the merchant's counters differ from the entries",
            hint="spillway waitlist recount names them; if they differed before the flood, add --repair",
        )
    if throttles and not found.account.turned_away:
        raise WorkFailed(
            "no call was throttled: the flood proves nothing",
            hint="lower --api-calls-per-s, or give 0 to leave the stage as it is",
        )
    if not all_flat(found.growths):
        raise WorkFailed("processes of ours grew", hint=f"their curves are in {flood.report}")


def main() -> None:
    """Run the load test. Exit status: 0 passed, 1 failed, 2 it could not start."""
    try:
        with interruptible():
            load(prog_name="spillway load")
    except SpillwayError as error:
        click.echo(f"spillway: {error.message}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        sys.exit(error.exit_code)
    except StopRequested as stop:
        sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
