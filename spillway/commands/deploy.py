"""`spillway deploy`: a stage's stack brought up to date, and the rights that takes."""

import json
import os

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from spillway.deploy.change_set import ChangeSet
from spillway.deploy.dns_records import SesIdentity
from spillway.deploy.operator_policy import Part, operator_policy
from spillway.deploy.package import packaged
from spillway.deploy.runtimes import described
from spillway.deploy.stack import Outcome, adopt, deploy
from spillway.errors import BadInput
from spillway.project import Project
from spillway.stage import LOCAL, Stage, region_in, require_stage_name, stage_named

DEFAULT_STAGE = "production"
EXAMPLES = {
    "--param": "--param SenderAddress=shop@example.com",
    "--adopt": "--adopt EntriesTable=spillway-production-EntriesTable-1A2B3C",
}
SAID = {
    Outcome.UNCHANGED: "Up to date: there is nothing to change.",
    Outcome.CHANGED: "Done.",
    Outcome.DECLINED: "Nothing was changed.",
}


@click.command("deploy")
@click.option("--stage", "stage_name", metavar="NAME", help="Where to: local, or a name of yours on AWS.")
@click.option("--yes", is_flag=True, help="Execute the changes without asking.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the template.")
@click.option(
    "--adopt",
    "adopted",
    multiple=True,
    metavar="RESOURCE=NAME",
    help="Begin a new stack with a table, bucket or secret that an earlier one left.",
)
@click.option(
    "--print-policy", is_flag=True, help="Print the IAM policy that an operator needs; deploy nothing."
)
@click.option(
    "--policy-part",
    type=click.Choice([part.value for part in Part]),
    default=Part.ALL.value,
    show_default=True,
    help="Print what running the shop takes, what deploying it takes, in two parts, or all.",
)
@click.option("--policy-account", metavar="ID", default="*", help="Scope the policy to this AWS account.")
@click.pass_obj
def deploy_command(
    project: Project,
    stage_name: str | None,
    *,
    yes: bool,
    params: tuple[str, ...],
    adopted: tuple[str, ...],
    print_policy: bool,
    policy_part: str,
    policy_account: str,
) -> None:
    """Bring a stage's stack up to date. Shows what would change, and asks before it does anything.

    --print-policy needs no account: it prints a policy for the stage (production, if none is given) and for
    the region of AWS_REGION, or for all regions.
    """
    if print_policy:
        require_stage_name(stage_name or DEFAULT_STAGE)
        policy = operator_policy(
            stage_name or DEFAULT_STAGE,
            Part(policy_part),
            region=region_in(os.environ) or "*",
            account=policy_account,
        )
        click.echo(json.dumps(policy, indent=1))
        return
    if stage_name is None:
        raise BadInput("--stage NAME: needed", hint=f"for example --stage {DEFAULT_STAGE}")
    given = dict(_pair("--param", param) for param in params)
    names = dict(_pair("--adopt", name) for name in adopted)
    _require_domain(given)
    stage = stage_named(project, stage_name)
    console = Console()

    def approve(change_set: ChangeSet) -> bool:
        console.print(change_set.table())
        return yes or click.confirm(f"Execute these changes on {change_set.stack_name}?")

    package = packaged(project, stage_name, region=stage.region)
    console.print(described(package.runtime), highlight=False, soft_wrap=True)
    if names and adopt(stage, package, names, approve) is Outcome.DECLINED:
        console.print(SAID[Outcome.DECLINED])
        return
    outcome = deploy(stage, package, given, approve, lambda said: console.print(said, soft_wrap=True))
    console.print(SAID[outcome])
    if outcome is not Outcome.DECLINED:
        for name, value in sorted(stage.outputs().items()):
            console.print(f"  {name}  {value}", soft_wrap=True, highlight=False)
        if stage.name != LOCAL:
            _show_records(stage, console)


def _show_records(stage: Stage, console: Console) -> None:
    """Say which DNS records the sender's domain needs, while SES has not found those of DKIM."""
    identity = stage.parameters().get("SenderIdentity", "")
    try:
        found = SesIdentity.asked(stage, identity)
    except (BotoCoreError, ClientError):
        console.print(f"  {identity}: SES has no such identity yet. spillway doctor says how to go on.")
        return
    if found.dkim_status != "SUCCESS" or found.mail_from_status not in {"", "SUCCESS"}:
        console.print(f"DNS records for {found.domain}:")
        for record in found.records(stage.region):
            console.print(f"  {record}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Check it all: spillway doctor --stage {stage.name}")


def _require_domain(given: dict[str, str]) -> None:
    identity = given.get("SenderIdentity", "")
    if given.get("CreateSenderIdentity") == "yes" and "@" in identity:
        raise BadInput(
            f"--param SenderIdentity={identity}: the stack creates the identity of a domain",
            hint=f"--param SenderIdentity={identity.rpartition('@')[2]}; SenderAddress stays as it is",
        )


def _pair(option: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise BadInput(f"{option} {text}: not NAME=VALUE", hint=f"for example {EXAMPLES[option]}")
    return name, value
