"""The `spillway` command."""

import sys
from importlib.metadata import version
from pathlib import Path

import click

from spillway.commands.build import build_command
from spillway.errors import SpillwayError
from spillway.project import Project


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("spillway"), message="%(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """A static storefront and a waitlist that survive a flood of visitors."""
    if context.obj is None:
        context.obj = Project.find(Path.cwd())


cli.add_command(build_command)


def main() -> None:
    """Run one command. Exit status: 0 done, 1 the work failed, 2 the input was wrong."""
    try:
        cli(standalone_mode=True)
    except SpillwayError as error:
        click.echo(f"spillway: {error.message}", err=True)
        if error.way_out:
            click.echo(f"  {error.way_out}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
