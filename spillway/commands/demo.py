"""`spillway demo`"""

import sys

import click

from spillway.demo.interruption import Interrupted, interruptible
from spillway.local_cloud.strict.settings import LAMBDA_INVOCATIONS_MAX
from spillway.project import Project

PORT_MAX = 65_535 - 2


@click.command("demo")
@click.option(
    "--port",
    type=click.IntRange(1024, PORT_MAX),
    default=8000,
    show_default=True,
    help="The shop's port; the next two are the inbox's and the cloud's.",
)
@click.option("--fresh", is_flag=True, help="Forget what earlier demos left.")
@click.option("--check", is_flag=True, help="Play the whole story once, by itself, and end.")
@click.option(
    "--invocations-max",
    type=click.IntRange(min=1),
    default=LAMBDA_INVOCATIONS_MAX,
    show_default=True,
    help="How often a function may run in one chain of requests before Lambda stops it.",
)
@click.option("--lenient", is_flag=True, help="Take what AWS would refuse: to measure, or to find out why.")
@click.pass_obj
def demo_command(
    project: Project, port: int, invocations_max: int, *, fresh: bool, check: bool, lenient: bool
) -> None:
    """Run the whole shop on this machine: no AWS account, no Docker, no mail leaves it."""
    try:
        with interruptible():
            # Loading all of it takes a moment, in which a person may change their mind, too.
            from spillway.demo.demo import DemoSettings
            from spillway.demo.run import perform

            perform(project, DemoSettings(port, fresh, not lenient, invocations_max), check=check)
    except Interrupted as interrupted:
        click.echo("\nStopped. The state is kept for the next start.")
        sys.exit(interrupted.exit_code)
