"""`spillway demo`"""

import sys

import click
from rich.console import Console

from spillway.demo.check import check_story
from spillway.demo.demo import DEFAULT_PORT, DemoSettings, RunningDemo, running_demo
from spillway.demo.interruption import Interrupted, interruptible
from spillway.demo.steps import Steps
from spillway.demo.stock import sold_out
from spillway.project import Project

PORT_MAX = 65_535 - 2


@click.command("demo")
@click.option(
    "--port",
    type=click.IntRange(1024, PORT_MAX),
    default=DEFAULT_PORT,
    show_default=True,
    help="The shop's port; the next two are the inbox's and the cloud's.",
)
@click.option("--fresh", is_flag=True, help="Forget what earlier demos left.")
@click.option("--check", is_flag=True, help="Play the whole story once, by itself, and end.")
@click.option("--auth", is_flag=True, help="Enforce the IAM policies of the deployed roles.")
@click.pass_obj
def demo_command(project: Project, port: int, *, fresh: bool, check: bool, auth: bool) -> None:
    """Run the whole shop on this machine: no AWS account, no Docker, no mail leaves it."""
    console = Console()
    steps = Steps(console)
    try:
        with interruptible(), running_demo(project, DemoSettings(port, fresh, auth), steps) as shop:
            if check:
                check_story(shop, project, steps)
                return
            _welcome(console, shop)
            shop.cloud.wait()
    except Interrupted as interrupted:
        console.print("\nStopped. The state is kept for the next start.")
        sys.exit(interrupted.exit_code)


def _welcome(console: Console, shop: RunningDemo) -> None:
    awaited = next(iter(sold_out(shop.stage)), None)
    console.print(f"\n  The shop   [link]{shop.settings.shop_url}/[/]", highlight=False)
    console.print(f"  The inbox  [link]{shop.settings.inbox_url}/[/]\n", highlight=False)
    if awaited:
        console.print(
            f"  Ask to be told at {shop.settings.shop_url}{awaited.path}, confirm in the inbox, then:\n\n"
            f"      .venv/bin/spillway available {awaited.sku} --stock 5\n",
            highlight=False,
            soft_wrap=True,
        )
    console.print("  Ctrl-C stops everything and keeps the state.", highlight=False)
