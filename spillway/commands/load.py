"""`spillway load`: a flood of shoppers, from a checkout that has the load tests."""

import subprocess
import sys
from importlib.util import find_spec

import click

from spillway.errors import BadInput
from spillway.project import Project

ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command("load", context_settings=ANYTHING, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def load_command(project: Project, words: tuple[str, ...]) -> None:
    """Send a flood of shoppers, and check that every accepted signup is stored once; --help tells more."""
    # Locust patches the process it is loaded into: it gets one of its own.
    if not (project.root / "loadtests").is_dir() or find_spec("locust") is None:
        raise BadInput("the load tests are not here", hint="they come with a checkout: make setup")
    command = [sys.executable, "-m", "loadtests", *words]
    process = subprocess.Popen(command, cwd=project.root)  # noqa: S603 - no shell
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            # It has heard Ctrl-C, too, and puts back what it changed of the shop: it is waited for.
            continue
