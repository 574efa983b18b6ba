"""Options and output, common to commands that build, for pictures that cannot be shown."""

from collections.abc import Sequence

import click

from spillway.pluralize import pluralize

skip_broken_pictures_option = click.option(
    "--skip-broken-pictures",
    is_flag=True,
    help="Go on without pictures that cannot be shown, and list them at the end.",
)


def show_left_out(left_out: Sequence[str]) -> None:
    """Print every place that names a picture which was left out."""
    if left_out:
        click.echo(f"{pluralize(len(left_out), 'picture')} left out:", err=True)
    for line in left_out:
        click.echo(f"  {line}", err=True)
