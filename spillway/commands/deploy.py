"""`spillway deploy`"""

import click
from rich.console import Console

from spillway.deploy.change_set import ChangeSet
from spillway.deploy.package import packaged
from spillway.deploy.runtimes import described
from spillway.deploy.stack import Outcome, deploy
from spillway.deploy.stage import stage_named
from spillway.errors import BadInput
from spillway.project import Project

SAID = {
    Outcome.UNCHANGED: "Up to date: there is nothing to change.",
    Outcome.CHANGED: "Done.",
    Outcome.DECLINED: "Nothing was changed.",
}


@click.command("deploy")
@click.option("--stage", "stage_name", required=True, help="Where to: local, or a name of yours on AWS.")
@click.option("--yes", is_flag=True, help="Execute the changes without asking.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the template.")
@click.pass_obj
def deploy_command(project: Project, stage_name: str, *, yes: bool, params: tuple[str, ...]) -> None:
    """Bring a stage's stack up to date. Shows what would change, and asks before it does anything."""
    given = dict(_pair(param) for param in params)
    stage = stage_named(project, stage_name)
    console = Console()

    def approve(change_set: ChangeSet) -> bool:
        console.print(change_set.table())
        return yes or click.confirm(f"Execute these changes on {change_set.stack_name}?")

    package = packaged(project, stage_name, region=stage.region)
    console.print(described(package.runtime), highlight=False, soft_wrap=True)
    outcome = deploy(stage, package, given, approve, lambda said: console.print(said, soft_wrap=True))
    console.print(SAID[outcome])
    if outcome is not Outcome.DECLINED:
        for name, value in sorted(stage.outputs().items()):
            console.print(f"  {name}  {value}", soft_wrap=True, highlight=False)


def _pair(param: str) -> tuple[str, str]:
    name, separator, value = param.partition("=")
    if not name or not separator:
        raise BadInput(
            f"--param {param}: not NAME=VALUE", way_out="for example --param SenderAddress=shop@example.com"
        )
    return name, value
