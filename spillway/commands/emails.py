"""The shop's emails with sample data: `spillway emails preview` and `spillway send-test`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from chalicelib.clock import clock_ms
from chalicelib.domain.address import Address, AddressRefused
from chalicelib.mail.sender import Delivery, SendRefused
from chalicelib.mail.smtp import message_of
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.email_previews import Sample, samples
from spillway.project import Project
from spillway.sitegen.site import build
from spillway.stage import stage_named

SAMPLE_MAILBOX = "shopper@example.com"
# Gmail clips longer emails, and the unsubscribe link with them.
EMAIL_BYTES_MAX = 100_000


@click.group("emails")
def emails_command() -> None:
    """Preview the shop's emails."""


@emails_command.command("preview")
@click.option("--sku", metavar="SKU", help="The variant to use; without it, the first of the catalogue.")
@click.option("--open", "open_", is_flag=True, help="Open the emails in the browser.")
@json_option
@click.pass_obj
def preview_command(project: Project, sku: str | None, *, open_: bool, as_json: bool) -> None:
    """Write a sample of every email to build/emails/.

    Each is written as HTML, as text, and as .eml for a mail program.

    \b
    Example:
      spillway emails preview --sku FJ-INK-L --open
    """
    folder = project.output / "emails"
    folder.mkdir(parents=True, exist_ok=True)
    release = build(project)
    written = [
        _write(folder, sample)
        for sample in samples(release, sku=sku, mailbox=SAMPLE_MAILBOX, at_ms=clock_ms())
    ]
    if as_json:
        click.echo(json.dumps(written, indent=1))
    for email in written if not as_json else ():
        click.echo(f"{email['html']}  {email['bytes']:,} bytes  {email['subject']}")
    if open_:
        for email in written:
            click.launch((project.root / str(email["html"])).as_uri())


@click.command("send-test")
@click.argument("address")
@click.option("--sku", metavar="SKU", help="The variant to use; without it, the first of the catalogue.")
@json_option
@stage_option
@click.pass_obj
def send_test_command(
    project: Project, address: str, sku: str | None, stage_name: str, *, as_json: bool
) -> None:
    """Send a sample of every email to one address.

    The emails leave as the stage's own emails do. Their links have no effect.

    \b
    Example:
      spillway send-test you@shop.example --stage production
    """
    try:
        mailbox = Address.parse(address).mailbox
    except AddressRefused as refused:
        raise BadInput(f"{address}: {refused.reason}") from None
    stage = stage_named(project, stage_name)
    sender = stage.container().sender
    release = build(project, base_url=stage.shop_url)
    sent = []
    for sample in samples(release, sku=sku, mailbox=mailbox, at_ms=clock_ms()):
        try:
            (result,) = sender.send(sample.sender, [sample.outgoing])
        except SendRefused as refused:
            raise WorkFailed(f"{sample.name}: the email was refused: {refused.reason}") from refused
        if result.delivery is not Delivery.ACCEPTED:
            raise WorkFailed(f"{sample.name}: the email was {result.delivery}: {result.reason}")
        sent.append({"email": sample.name, "message_id": result.message_id})
    if as_json:
        click.echo(json.dumps(sent, indent=1))
        return
    for email in sent:
        click.echo(f"{email['email']} sent to {mailbox}")


def _write(folder: Path, sample: Sample) -> dict[str, object]:
    email = sample.outgoing.email
    message = message_of(
        sample.sender, sample.outgoing, message_id=f"{sample.name}@sample.invalid", sent_at=datetime.now(UTC)
    )
    if len(message) > EMAIL_BYTES_MAX:
        raise WorkFailed(f"email {sample.name}: {len(message):,} bytes, {EMAIL_BYTES_MAX:,} is the most")
    (folder / f"{sample.name}.txt").write_text(email.text, encoding="utf-8")
    (folder / f"{sample.name}.html").write_text(email.html, encoding="utf-8")
    (folder / f"{sample.name}.eml").write_bytes(message)
    shown = folder.parent.name + "/" + folder.name
    return {
        "email": sample.name,
        "subject": email.subject,
        "bytes": len(message),
        "html": f"{shown}/{sample.name}.html",
        "eml": f"{shown}/{sample.name}.eml",
    }
