"""`spillway package`"""

import os

import click

from spillway.deploy.archive import contents
from spillway.deploy.package import package
from spillway.deploy.runtimes import described
from spillway.project import Project
from spillway.stage import region_in, require_stage_name


@click.command("package")
@click.option("--stage", "stage_name", default="production", show_default=True, help="Whose settings go in.")
@click.pass_obj
def package_command(project: Project, stage_name: str) -> None:
    """Make the package that Lambda runs, and the template of all that is around it."""
    require_stage_name(stage_name)
    made = package(project, stage_name, region=region_in(os.environ) or "us-east-1")
    size_kb = made.archive.stat().st_size // 1000
    click.echo(f"{made.archive.relative_to(project.root)}  {size_kb} kB")
    for part in contents(made.archive):
        click.echo(f"  {part.packed_bytes // 1000:>4} kB  {part.name:<16} {part.why}")
    click.echo(f"{made.template.relative_to(project.root)}")
    click.echo(described(made.runtime))
