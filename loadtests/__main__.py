"""`make load`: sends the flood to the running demo, or to one of its own, and holds the shop to account."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from loadtests.figures import read_figures, table
from loadtests.ledger import Account, Ledger, Wish, account
from loadtests.shapes import Shape, duration_s
from spillway.cloud import ports
from spillway.cloud.record import CloudRecord
from spillway.demo.demo import DemoSettings, running_demo
from spillway.demo.interruption import Interrupted, interruptible
from spillway.demo.steps import Steps
from spillway.demo.stock import sold_out
from spillway.deploy.stage import Stage, local_stage
from spillway.errors import BadInput, SpillwayError, WorkFailed
from spillway.project import Project

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Who is in the shop at the end may finish what they began: their answers count.
LAST_VISITS_S = 20
MISSING_SHOWN_MAX = 10


@click.command()
@click.option("--port", type=int, default=8000, show_default=True, help="Of the demo, if none is running.")
@click.option(
    "--shape", type=click.Choice([shape.value for shape in Shape]), default="spike", show_default=True
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="What shoppers choose is thrown with it."
)
def load(port: int, shape: str, seed: int) -> None:
    """Send a flood of shoppers to the demo, and check that no accepted signup was lost."""
    project, console = Project.find(Path.cwd()), Console(highlight=False, soft_wrap=True)
    steps, run = Steps(console), secrets.token_hex(4)
    folder = project.output / "load" / run
    folder.mkdir(parents=True)
    ledger = Ledger(folder / "ledger.jsonl")
    with _shop(project, port, steps) as stage:
        landing = _landing(stage)
        flood = Flood(stage.shop_url or "", landing, run, Shape(shape), seed)
        with steps.step(f"Shoppers come to {landing}: {shape}, {duration_s(flood.shape):.0f} s, seed {seed}"):
            _send(flood, ledger)
        with steps.step("Hold what was accepted against what was written down"):
            result = account(ledger.lines(), _stored(stage, run))
    console.print()
    console.print(table(read_figures(folder / "figures_stats.csv")))
    console.print(f"\n{_said(result)}")
    console.print(f"With plots: {(folder / 'report.html').relative_to(project.root)}")
    if not result.right:
        raise WorkFailed("the account is not right", way_out=f"what shoppers were told is in {ledger.file}")


def main() -> None:
    """Run it. Exit status: 0 all is right, 1 it is not, 2 it could not be begun."""
    try:
        with interruptible():
            load()
    except SpillwayError as error:
        click.echo(f"load: {error.message}\n  {error.way_out}", err=True)
        sys.exit(error.exit_code)
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)


@contextmanager
def _shop(project: Project, port: int, steps: Steps) -> Iterator[Stage]:
    record = CloudRecord.read(project.state / "local")
    if record is not None and ports.answers(record.port):
        yield local_stage(record.endpoint_url, record.region, record.shop_url)
        return
    with running_demo(project, DemoSettings(port), steps) as demo:
        yield demo.stage


def _landing(stage: Stage) -> str:
    """The page with the most to wait for."""
    paths = [variant.path for variant in sold_out(stage)]
    if not paths:
        raise BadInput(
            "nothing in the shop is sold out", way_out="say so of a variant: spillway sold-out SKU"
        )
    return max(sorted(set(paths)), key=paths.count)


@dataclass(frozen=True, slots=True)
class Flood:
    """Where shoppers are sent, as what, and how they come."""

    shop_url: str
    landing: str
    run: str
    shape: Shape
    seed: int


def _send(flood: Flood, ledger: Ledger) -> None:
    folder = ledger.file.parent
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    words += ["--host", flood.shop_url, "--landing", flood.landing]
    words += ["--ledger", str(ledger.file), "--run", flood.run]
    words += ["--shape", flood.shape, "--seed", str(flood.seed), "--html", str(folder / "report.html")]
    words += ["--csv", str(folder / "figures"), "--stop-timeout", str(LAST_VISITS_S)]
    # Failed requests are figures here, no reason to fail: the account is.
    words += ["--exit-code-on-error", "0"]
    with (folder / "locust.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        status = process.wait(duration_s(flood.shape) + 2 * LAST_VISITS_S)
    except subprocess.TimeoutExpired as late:
        raise WorkFailed("the shoppers did not come to an end", way_out=f"see {log.name}") from late
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if status != 0:
        raise WorkFailed(f"the shoppers ended with status {status}", way_out=f"see {log.name}")


def _stored(stage: Stage, run: str) -> Iterator[Wish]:
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=stage.outputs()["EntriesTable"],
        ConsistentRead=True,
        FilterExpression="begins_with(mailbox, :run)",
        ExpressionAttributeValues={":run": {"S": f"{run}."}},
    )
    for page in pages:
        yield from (Wish(item["mailbox"]["S"], item["sku"]["S"]) for item in page["Items"])


def _said(result: Account) -> str:
    if not result.accepted:
        return "No signup was accepted: nothing is proven."
    there = result.accepted - len(result.missing)
    lines = [f"{there:,} of {result.accepted:,} accepted signups are in the Entries table."]
    lines += [f"  missing: {wish.mailbox} for {wish.sku}" for wish in result.missing[:MISSING_SHOWN_MAX]]
    lines += [f"  more than once: {wish.mailbox} for {wish.sku}" for wish in result.repeated]
    if result.retried or result.gave_up:
        lines.append(f"{result.retried:,} forms were sent more than once, {result.gave_up:,} in vain.")
    if result.stored_unanswered:
        lines.append(f"{result.stored_unanswered:,} entries were written whose shoppers got no answer.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
