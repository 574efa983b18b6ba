"""A stage's stack: `spillway deploy`, `package` and `destroy`."""

import json
import os
from collections.abc import Iterable

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from chalicelib.domain.address import Address, AddressRefused
from spillway.commands.options import ChoiceType, refuse_ignored
from spillway.deploy.checks import SesIdentity
from spillway.deploy.operator_policy import PolicyPart, operator_policy
from spillway.deploy.package import contents, package, packaged
from spillway.deploy.runtimes import described
from spillway.deploy.stack import DeployOutcome, adopt, deploy
from spillway.deploy.template import ChangeSet
from spillway.errors import BadInput
from spillway.operate.teardown import Teardown, destroy, plan_destruction
from spillway.project import Project
from spillway.stage import LOCAL, Stage, region_in, require_stage_name, stage_named
from spillway.terminal import pluralize, print_table

DEFAULT_STAGE = "production"
EXAMPLES = {
    "--param": "--param SenderAddress=shop@example.com",
    "--adopt": "--adopt EntriesTable=spillway-production-EntriesTable-1A2B3C",
}
SAID = {
    DeployOutcome.UNCHANGED: "Up to date: there is nothing to change.",
    DeployOutcome.CHANGED: "Done.",
    DeployOutcome.DECLINED: "Nothing was changed.",
}


@click.command("deploy")
@click.option("--stage", "stage_name", metavar="NAME", help="The stage: local, or its name on AWS.")
@click.option("--yes", is_flag=True, help="Execute the changes without asking; refuse those that lose data.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template; may be repeated.",
)
@click.option(
    "--adopt",
    "adopted",
    multiple=True,
    metavar="RESOURCE=NAME",
    help="Start a new stack with a table, bucket or secret that an earlier one left.",
)
@click.option(
    "--print-policy", is_flag=True, help="Print the IAM policy that an operator needs; deploy nothing."
)
@click.option(
    "--policy-part",
    type=ChoiceType([part.value for part in PolicyPart]),
    default=PolicyPart.ALL.value,
    show_default=True,
    help="The part of the policy: for running the shop, for deploying it, or all.",
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
    """Create or update a stage's stack.

    It shows the changes, and asks before it executes them. --print-policy needs no account: it prints a
    policy for the stage (by default production) and the region of AWS_REGION (by default all regions).

    \b
    Examples:
      spillway deploy --stage production --param SenderAddress=hello@shop.example
      spillway deploy --print-policy --stage production
    """
    if print_policy:
        refuse_ignored("with --print-policy", heeded={"stage_name", "policy_part", "policy_account"})
        require_stage_name(stage_name or DEFAULT_STAGE)
        policy = operator_policy(
            stage_name or DEFAULT_STAGE,
            PolicyPart(policy_part),
            region=region_in(os.environ) or "*",
            account=policy_account,
        )
        click.echo(json.dumps(policy, indent=1))
        return
    refuse_ignored("without --print-policy", ignored={"policy_part", "policy_account"})
    if stage_name is None:
        raise BadInput("--stage NAME: needed", hint=f"for example --stage {DEFAULT_STAGE}")
    given, names = _pairs("--param", params), _pairs("--adopt", adopted)
    _require_domain(given)
    _require_addresses(given)
    stage = stage_named(project, stage_name)
    console = Console()

    def approve(change_set: ChangeSet) -> bool:
        return _is_approved(change_set, console, yes=yes)

    package = packaged(project, stage_name, region=stage.region)
    console.print(described(package.runtime), highlight=False, soft_wrap=True)
    if names and adopt(stage, package, names, approve) is DeployOutcome.DECLINED:
        console.print(SAID[DeployOutcome.DECLINED])
        return
    outcome = deploy(stage, package, given, approve, lambda said: console.print(said, soft_wrap=True))
    console.print(SAID[outcome])
    if outcome is not DeployOutcome.DECLINED:
        for name, value in sorted(stage.outputs().items()):
            console.print(f"  {name}  {value}", soft_wrap=True, highlight=False)
        if stage.name != LOCAL:
            _show_records(stage, console)


def _is_approved(change_set: ChangeSet, console: Console, *, yes: bool) -> bool:
    """Show the changes, and ask for a yes, which `yes` gives unless the stack would go on without data."""
    print_table(change_set.table())
    if left := ", ".join(change_set.leaves_data):
        if yes:
            raise BadInput(
                f"--yes: {left} would be replaced or removed, and the shop would go on without that data",
                hint="nothing was changed; deploy without --yes, look at the changes, and confirm them",
            )
        console.print(f"[bold red]The shop goes on without the data in {left}.[/bold red]")
    return yes or click.confirm(f"Execute these changes on {change_set.stack_name}?")


def _show_records(stage: Stage, console: Console) -> None:
    """Print the DNS records that the sender's domain needs, until SES has verified them."""
    identity = stage.parameters().get("SenderIdentity", "")
    try:
        found = SesIdentity.read(stage, identity)
    except (BotoCoreError, ClientError):
        console.print(f"  {identity}: SES has no such identity yet. spillway doctor shows what to do.")
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


def _require_addresses(given: dict[str, str]) -> None:
    texts = [text.strip() for text in given.get("MerchantAddresses", "").split(",") if text.strip()]
    for text in texts:
        try:
            Address.parse(text)
        except AddressRefused as refused:
            raise BadInput(
                f"--param MerchantAddresses: {text!r} is no address: {refused.reason}",
                hint="for example --param MerchantAddresses=owner@shop.example,packer@shop.example",
            ) from None


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise BadInput(f"{option} {text}: not NAME=VALUE", hint=f"for example {EXAMPLES[option]}")
        if pairs.setdefault(name, value) != value:
            raise BadInput(
                f"{option} {text}: {name} is {pairs[name]} already", hint="leave one of the two out"
            )
    return pairs


@click.command("package")
@click.option(
    "--stage",
    "stage_name",
    default="production",
    show_default=True,
    help="The stage whose settings are packaged.",
)
@click.pass_obj
def package_command(project: Project, stage_name: str) -> None:
    """Write the Lambda package and the stack's template.

    They go to build/package/.

    \b
    Example:
      spillway package --stage production
    """
    require_stage_name(stage_name)
    made = package(project, stage_name, region=region_in(os.environ) or "us-east-1")
    size_kb = made.archive.stat().st_size // 1000
    click.echo(f"{made.archive.relative_to(project.root)}  {size_kb} kB")
    for part in contents(made.archive):
        click.echo(f"  {part.packed_bytes // 1000:>4} kB  {part.name:<16} {part.why}")
    click.echo(f"{made.template.relative_to(project.root)}")
    click.echo(described(made.runtime))


@click.command("destroy")
@click.option("--stage", "stage_name", required=True, metavar="NAME", help="The stage's name on AWS.")
@click.option("--with-data", is_flag=True, help="Also delete the tables, the buckets and the keys.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; do nothing.")
@click.option("--yes-destroy", metavar="NAME", help="Confirm with the stage's name instead of at the prompt.")
@click.pass_obj
def destroy_command(
    project: Project, stage_name: str, yes_destroy: str | None, *, with_data: bool, dry_run: bool
) -> None:
    """Delete a stage's stack.

    Entries, products and pages stay, unless --with-data is given.

    \b
    Examples:
      spillway destroy --stage staging --dry-run
      spillway destroy --stage staging --with-data
    """
    if stage_name == LOCAL:
        raise BadInput(
            "--stage local: the local cloud ends with its demo",
            hint="spillway demo --fresh deletes its state",
        )
    stage = stage_named(project, stage_name)
    console = Console(highlight=False, soft_wrap=True)
    plan = plan_destruction(stage, with_data=with_data)
    _show_teardown(console, plan)
    if dry_run:
        return
    if (yes_destroy or click.prompt(f"Type {stage_name} to destroy it")) != stage_name:
        raise BadInput(f"{yes_destroy or 'that'} is not the stage's name", hint="nothing was done")
    destroy(stage, plan, console.print)
    if plan.kept and not with_data:
        console.print("To start a new stack with the resources that stay:")
        words = " ".join(f"--adopt {kept.logical_id}={kept.name}" for kept in plan.kept)
        console.print(f"  spillway deploy --stage {stage_name} {words}", markup=False)


def _show_teardown(console: Console, plan: Teardown) -> None:
    console.print(f"{plan.stack_name}: {pluralize(plan.goes, 'resource goes', 'resources go')}")
    verb = "[bold red]is deleted with all that is in it[/bold red]" if plan.with_data else "stays"
    for kept in plan.kept:
        console.print(f"  {kept.logical_id} ({kept.resource_type}, {kept.name}) {verb}")
