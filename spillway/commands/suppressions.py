"""Addresses that must not be emailed: `spillway suppressions` and `spillway unsubscribe`."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from chalicelib.domain.ids import ShopperId
from chalicelib.domain.suppression import Suppression, SuppressionReason
from chalicelib.domain.tokens import LinkTokens
from chalicelib.services.shopper_records import (
    LiftRefused,
    ReasonRefused,
    ShopperRecords,
    checked_reason,
    iso_time,
    suppression_document,
)
from chalicelib.services.waitlist import Waitlist
from chalicelib.settings import clock_ms, read_keys
from chalicelib.tables.suppressions import SuppressionsTable
from spillway.commands.options import ChoiceType, json_option, stage_option
from spillway.commands.people import access_log, digest_of, read_address
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.intake import WORKERS
from spillway.merchant.rows import chunks
from spillway.merchant.suppressions import SuppressedLine, read_suppressions, with_lines, write_suppressions
from spillway.merchant.unsubscribe_emails import unsubscribe_by
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import pluralize, progress_bar

STORED_AT_ONCE = 100


@click.group("suppressions")
def suppressions_command() -> None:
    """List, lift, import or export suppressed addresses.

    A suppressed address is not emailed: it bounced, complained, or was suppressed by another tool.
    """


@suppressions_command.command("list")
@click.option("--reason", type=ChoiceType([reason.value for reason in SuppressionReason]),
              help="List this reason only.")  # fmt: skip
@json_option
@stage_option
@click.pass_obj
def list_command(project: Project, reason: str | None, stage_name: str, *, as_json: bool) -> None:
    """List suppressions, the newest first.

    Shoppers are named by their ids, never by address.

    \b
    Example:
      spillway suppressions list --reason bounced --stage production
    """
    every = stage_named(project, stage_name).container().suppressions.all()
    found = [row for row in every if reason in {None, row.suppression.reason.value}]
    found.sort(key=lambda row: (-row.suppression.since_ms, row.shopper))
    if as_json:
        click.echo(
            json.dumps(
                [{"shopper": row.shopper, **(suppression_document(row.suppression) or {})} for row in found]
            )
        )
        return
    for row in found:
        click.echo(f"{row.shopper}  {_words(row.suppression)}")
    click.echo(pluralize(len(found), "suppression"), err=True)


@suppressions_command.command("lift")
@click.argument("address")
@click.option("--because", metavar="TEXT", required=True, help="The reason; it is stored with the row.")
@click.option("--complaint", is_flag=True, help="Also lift a complaint.")
@click.option(
    "--shopper-asked", is_flag=True, help="With --complaint: the shopper asked for emails in writing."
)
@json_option
@stage_option
@click.pass_obj
def lift_command(
    project: Project,
    address: str,
    because: str,
    stage_name: str,
    *,
    complaint: bool,
    shopper_asked: bool,
    as_json: bool,
) -> None:
    """Allow emails to ADDRESS again.

    It is also removed from SES's own suppression list.
    A complaint is lifted only with --complaint and --shopper-asked.

    \b
    Example:
      spillway suppressions lift ada@example.com --because "mailbox repaired, she called" --stage production
    """
    if shopper_asked and not complaint:
        raise BadInput("--shopper-asked: goes with --complaint", hint="add --complaint, or leave it out")
    parsed = read_address(address)
    try:
        because = checked_reason(because, parsed)
    except ReasonRefused as refused:
        raise BadInput(f"--because: {refused}") from None
    stage = stage_named(project, stage_name)
    container = stage.container()
    records = ShopperRecords(container.shoppers, container.suppressions, container.keys.identity, clock_ms)
    shopper = records.id_of(parsed)
    asked = complaint and shopper_asked
    try:
        records.require_liftable(shopper, shopper_asked=asked)
    except LiftRefused as refused:
        raise BadInput(
            f"this shopper complained on {iso_time(refused.since_ms)[:10]}: not lifted",
            hint="only where they asked for emails in writing: add --complaint --shopper-asked",
        ) from None
    access_log(stage).note("suppressions lift", shopper, at_ms=clock_ms())
    # The local cloud has no such list.
    ses = container.take_off_ses_list if not stage.endpoint_url else lambda _: "the local cloud has none"
    lifted = records.lift(parsed, because, ses, shopper_asked=asked)
    if as_json:
        before = suppression_document(lifted.before) if lifted.before else None
        document = {"shopper": shopper, "lifted": before, "ses": lifted.ses}
        click.echo(json.dumps(document))
    else:
        click.echo(f"lifted: {_words(lifted.before)}" if lifted.before else "not suppressed here")
        click.echo(f"  SES's own list: {lifted.ses}")
    if not lifted.is_complete:
        raise WorkFailed(
            f"SES's own list {lifted.ses}",
            hint="take the address off: aws sesv2 delete-suppressed-destination --email-address ADDRESS",
        )


@suppressions_command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--encoding", metavar="NAME", default="", help="The file's encoding, if it is not UTF-8.")
@click.option(
    "--reason",
    type=ChoiceType(
        [reason.value for reason in SuppressionReason if reason is not SuppressionReason.BOUNCED_SOFT]
    ),
    help="The reason of all rows.",
)
@click.option("--dry-run", is_flag=True, help="Read the file, and write nothing.")
@json_option
@stage_option
@click.pass_obj
def import_command(
    project: Project,
    file: Path,
    stage_name: str,
    *,
    encoding: str,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import suppressions from another tool: a table of address,reason,date.

    A reason is complaint, bounce, soft bounce, unsubscribed or blocked, in the words of common tools, or that
    of --reason. Nothing is written if a line has an error. Known suppressions stay; importing a file twice
    changes nothing.

    \b
    Examples:
      spillway suppressions import klaviyo-suppressed.csv --stage production
      spillway suppressions import mailchimp-cleaned.csv --reason bounced --stage production
    """
    stage = stage_named(project, stage_name)
    container, now_ms = stage.container(), clock_ms()
    lines = read_suppressions(
        file,
        shopper_id=container.shopper_records.id_of,
        now_ms=now_ms,
        encoding=encoding,
        reason=SuppressionReason(reason) if reason else None,
    )
    counts = Counter(line.reason.value for line in lines)
    if lines and all(line.since_ms is None for line in lines):
        click.echo(f"{file}: no row has a date; a suppression that is new counts from now", err=True)
    if not dry_run:
        access_log(stage).note("suppressions import", f"file {digest_of(file)[:16]}", at_ms=now_ms)
        _store(container.suppressions, lines, now_ms)
    if as_json:
        click.echo(json.dumps({"lines": len(lines), "reasons": dict(counts), "dry_run": dry_run}))
        return
    said = "would be imported" if dry_run else "imported"
    kinds = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
    click.echo(f"{pluralize(len(lines), 'suppression')} {said}" + (f": {kinds}" if kinds else ""))


@suppressions_command.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@stage_option
@click.pass_obj
def export_command(project: Project, file: Path, stage_name: str, *, as_json: bool) -> None:
    """Write all suppressions to a new CSV FILE: shopper, reason, since, address.

    A row has an address only if the shopper still has an entry. The file is readable by you alone.

    \b
    Example:
      spillway suppressions export suppressions.csv --stage production
    """
    stage = stage_named(project, stage_name)
    container = stage.container()

    def address_of(shopper: ShopperId) -> str:
        kept = container.shoppers.kept(shopper)
        return max(kept, key=lambda row: row.entry.signed_up_at_ms).entry.mailbox if kept else ""

    access_log(stage).note("suppressions export", "all suppressions", at_ms=clock_ms())
    count = write_suppressions(file, container.suppressions.all(), address_of)
    if as_json:
        click.echo(json.dumps({"file": str(file), "lines": count}))
    else:
        click.echo(f"{pluralize(count, 'suppression')} in {file}")


def _store(table: SuppressionsTable, lines: list[SuppressedLine], now_ms: int) -> None:
    """Add lines to the histories of their mailboxes, each by one write."""
    by_shopper: dict[ShopperId, list[SuppressedLine]] = {}
    for line in lines:
        by_shopper.setdefault(line.shopper, []).append(line)

    def store(shopper: ShopperId) -> None:
        table.change(shopper, partial(with_lines, by_shopper[shopper], now_ms=now_ms), at_ms=now_ms)

    with progress_bar() as bar, ThreadPoolExecutor(WORKERS) as workers:
        task = bar.add_task("importing", total=len(by_shopper))
        # A few at a time: Ctrl-C ends an import within seconds.
        for some in chunks(by_shopper, STORED_AT_ONCE):
            for _ in workers.map(store, some):
                bar.advance(task)


def _words(suppression: Suppression) -> str:
    retry_at_ms = suppression.retry_at_ms
    until = "for good" if retry_at_ms is None else f"a new signup is asked from {iso_time(retry_at_ms)[:10]}"
    return f"{suppression.reason.value:<12}  since {iso_time(suppression.since_ms)[:10]}, {until}"


@click.command("unsubscribe")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@stage_option
@click.pass_obj
def unsubscribe_command(project: Project, file: Path, stage_name: str, *, as_json: bool) -> None:
    """Unsubscribe people by the emails in a mailbox file.

    FILE is an mbox export, or one .eml or .emlx file, of the emails that mail programs send to
    `unsubscribe_mailbox` of site.toml. Emails without a token in the subject, and emails that cannot be read,
    are counted and left to a person.

    \b
    Example:
      spillway unsubscribe unsubscribe.mbox --stage production
    """
    stage = stage_named(project, stage_name)
    container = stage.container()
    keys = read_keys(stage.client("secretsmanager"), stage.outputs()["SigningKeysSecret"])
    waitlist = Waitlist(container.entries, container.products, LinkTokens(keys.signing, clock_ms), clock_ms)
    access_log(stage).note("unsubscribe", f"file {digest_of(file)[:16]}", at_ms=clock_ms())
    outcome = unsubscribe_by(file, waitlist)
    if as_json:
        click.echo(json.dumps(asdict(outcome)))
        return
    click.echo(f"unsubscribed by {pluralize(outcome.done, 'email')}")
    if outcome.refused:
        click.echo(f"{pluralize(outcome.refused, 'token')} not of this stage, or too old")
    if outcome.others:
        click.echo(f"{pluralize(outcome.others, 'email')} without a token: read them yourself")
