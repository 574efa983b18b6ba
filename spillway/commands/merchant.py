"""Commands about merchants: the people who may see the merchant's page, and act on it.

A change is written to the audit with the operator that AWS knows, before it is made.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict

import click

from chalicelib.container import Container
from chalicelib.domain.merchant import MerchantId, Role, Session, first_merchants, merchant_id
from chalicelib.settings import clock_ms
from chalicelib.tables.merchant import AuditRow, MerchantRow
from spillway.commands.options import ChoiceType, WholeNumber, json_option, on_stage, stage_option
from spillway.commands.people import read_address
from spillway.errors import BadInput
from spillway.merchant.people import when
from spillway.project import Project
from spillway.stage import Stage, stage_named
from spillway.terminal import pluralize

ROWS_SHOWN_MAX = 500
ROWS_SHOWN = 50
# Stands in the audit for the merchant, where an operator acts by a command.
OPERATOR = MerchantId("operator")
MAY = {Role.SEE: "may see the page", Role.ACT: "may see the page and act", None: "may not sign in"}


@click.group("merchant")
def merchant_command() -> None:
    """Add, list and remove the people who may sign in to /merchant/."""


@merchant_command.command("add")
@click.argument("address")
@click.option(
    "--role",
    type=ChoiceType([role.value for role in Role]),
    default=Role.ACT.value,
    show_default=True,
    help="see: the page alone; act: its actions too.",
)
@stage_option
@json_option
@click.pass_obj
def add_command(project: Project, address: str, role: str, stage_name: str, *, as_json: bool) -> None:
    """Let a person sign in, or change their role.

    The role counts at once, also for a session that is open. ADDRESS may be - to read it from standard input.

    \b
    Examples:
      spillway merchant add owner@shop.example --stage production
      spillway merchant add packer@shop.example --role see --stage production
    """
    stage = stage_named(project, stage_name)
    container, known = stage.container(), _known(stage)
    parsed = read_address(address)
    id_ = merchant_id(parsed, container.keys.identity)
    before = known[id_].role if id_ in known else None
    row = MerchantRow(id_, parsed.mailbox, Role(role), clock_ms())
    _change(stage, container, row, "merchant add", before)
    _say(row, as_json=as_json)


@merchant_command.command("remove")
@click.argument("address")
@stage_option
@json_option
@click.pass_obj
def remove_command(project: Project, address: str, stage_name: str, *, as_json: bool) -> None:
    """Remove a person; their sessions and links end at once.

    It counts also for an address that the stack's parameter MerchantAddresses names.

    \b
    Example:
      spillway merchant remove packer@shop.example --stage production
    """
    stage = stage_named(project, stage_name)
    container, known = stage.container(), _known(stage)
    parsed = read_address(address)
    id_ = merchant_id(parsed, container.keys.identity)
    if id_ not in known or known[id_].role is None:
        raise BadInput(
            f"address {parsed.mailbox!r}: no merchant has it",
            hint=f"spillway merchant list --stage {stage.name} shows who may sign in",
        )
    row = MerchantRow(id_, parsed.mailbox, None, clock_ms())
    _change(stage, container, row, "merchant remove", known[id_].role)
    _say(row, as_json=as_json)


@merchant_command.command("list")
@stage_option
@json_option
@click.pass_obj
def list_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """List the people who may sign in, with their roles.

    \b
    Example:
      spillway merchant list --stage production
    """
    found = sorted((row for row in _known(stage_named(project, stage_name)).values() if row.role), key=_email)
    if as_json:
        rows = [{"email": row.email, "role": row.role, "since": _since(row)} for row in found]
        click.echo(json.dumps(rows, indent=1))
        return
    width = max((len(row.email) for row in found), default=0)
    for row in found:
        since = f"since {_since(row)}" if row.changed_at_ms else "by the stack's parameter MerchantAddresses"
        click.echo(f"{row.email:<{width}}  {row.role:<3}  {since}")
    if not found:
        click.echo(f"nobody may sign in; add the first one: spillway merchant add ADDRESS{on_stage()}")


@merchant_command.command("sign-out")
@click.option("--all", "everybody", is_flag=True, help="Sign out everybody; needed.")
@stage_option
@json_option
@click.pass_obj
def sign_out_command(project: Project, stage_name: str, *, everybody: bool, as_json: bool) -> None:
    """End every session and every link that is on its way.

    People who may sign in can do so again. To shut one person out: `spillway merchant remove`.

    \b
    Example:
      spillway merchant sign-out --all --stage production
    """
    if not everybody:
        raise BadInput(
            "--all: needed, since everybody is signed out",
            hint=f"spillway merchant remove ADDRESS{on_stage()} shuts one person out",
        )
    stage = stage_named(project, stage_name)
    container = stage.container()
    container.audit.record(_operator(stage), "merchant sign-out", "everybody", None, None)
    container.merchants.end_all()
    click.echo(
        json.dumps({"signed_out": "everybody"}) if as_json else "every session and every link is ended"
    )


@merchant_command.command("log")
@click.option(
    "--rows",
    type=WholeNumber(1, ROWS_SHOWN_MAX),
    default=ROWS_SHOWN,
    show_default=True,
    help="The number of rows, the newest first.",
)
@stage_option
@json_option
@click.pass_obj
def log_command(project: Project, stage_name: str, rows: int, *, as_json: bool) -> None:
    """List the actions of merchants, the newest first.

    A row has the time, the person, the action, what it acts on, and the value before and after. It is kept
    for 400 days.

    \b
    Example:
      spillway merchant log --rows 200 --stage production
    """
    found = stage_named(project, stage_name).container().audit.recent(rows)
    if as_json:
        click.echo(json.dumps([asdict(row) | {"at": when(row.at_ms)} for row in found], indent=1))
        return
    for row in found:
        click.echo(f"{when(row.at_ms)}  {row.email}  {row.action}  {row.target}{_change_of(row)}")
    click.echo(pluralize(len(found), "row") if found else "no merchant did anything yet")


def _known(stage: Stage) -> Mapping[MerchantId, MerchantRow]:
    """Return each merchant of a stage: as a command wrote them, else as the stack's parameter names them."""
    container = stage.container()
    named = first_merchants(stage.parameters().get("MerchantAddresses"), container.keys.identity)
    first = {one.id: MerchantRow(one.id, one.email, one.role, 0) for one in named.values()}
    return first | {row.id: row for row in container.merchants.all()}


def _change(stage: Stage, container: Container, row: MerchantRow, action: str, before: Role | None) -> None:
    container.audit.record(_operator(stage), action, row.email, before, row.role)
    container.merchants.put(row)


def _operator(stage: Stage) -> Session:
    """Return the caller that AWS knows, as the person of an audit row.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html takes no permission.
    """
    return Session(OPERATOR, Role.ACT, stage.client("sts").get_caller_identity()["Arn"])


def _say(row: MerchantRow, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"email": row.email, "role": row.role}))
    else:
        click.echo(f"{row.email} {MAY[row.role]}")


def _email(row: MerchantRow) -> str:
    return row.email


def _since(row: MerchantRow) -> str | None:
    return when(row.changed_at_ms) if row.changed_at_ms else None


def _change_of(row: AuditRow) -> str:
    if row.before is None and row.after is None:
        return ""
    return f"  {'-' if row.before is None else row.before} -> {'-' if row.after is None else row.after}"
