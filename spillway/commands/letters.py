"""`spillway letters preview` and `spillway send-test`: letters as shoppers get them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.mail.mime import message_of
from chalicelib.mail.postbox import Delivery, Postbox, PostboxRefused
from chalicelib.mail.ses import SesPostbox
from chalicelib.mail.smtp import SmtpPostbox, SmtpServer
from chalicelib.wiring import clock_ms, new_id
from spillway.build.site import build
from spillway.commands.options import json_option, stage_option
from spillway.deploy.stage import Stage, stage_named
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.samples import Sample, samples
from spillway.project import Project

SAMPLE_MAILBOX = "shopper@example.com"
# Gmail cuts a letter off here, and hides the link to leave with what it cuts.
LETTER_BYTES_MAX = 100_000


@click.group("letters")
def letters_command() -> None:
    """Letters as shoppers get them."""


@letters_command.command("preview")
@click.option("--sku", metavar="SKU", help="About this variant instead of the first there is.")
@click.option("--open", "open_", is_flag=True, help="Open them in the browser.")
@json_option
@click.pass_obj
def preview_command(project: Project, sku: str | None, *, open_: bool, as_json: bool) -> None:
    """Write every letter with real data under build/letters/, to read, and as .eml for a mail program."""
    folder = project.output / "letters"
    folder.mkdir(parents=True, exist_ok=True)
    release = build(project)
    written = [
        _write(folder, sample)
        for sample in samples(release, sku=sku, mailbox=SAMPLE_MAILBOX, at_ms=clock_ms())
    ]
    if as_json:
        click.echo(json.dumps(written, indent=1))
    for each in written if not as_json else ():
        click.echo(f"{each['html']}  {each['bytes']:,} bytes  {each['subject']}")
    if open_:
        for each in written:
            click.launch((project.root / str(each["html"])).as_uri())


@click.command("send-test")
@click.argument("address")
@click.option("--sku", metavar="SKU", help="About this variant instead of the first there is.")
@json_option
@stage_option
@click.pass_obj
def send_test_command(
    project: Project, address: str, sku: str | None, stage_name: str, *, as_json: bool
) -> None:
    """Send every letter to one address, by the stage's own way of sending. Their links act on nobody."""
    try:
        mailbox = Address.parse(address).mailbox
    except AddressRefused as refused:
        raise BadInput(f"{address}: {refused.reason}") from None
    stage = stage_named(project, stage_name)
    postbox = _postbox(stage)
    release = build(project, base_url=stage.shop_url)
    sent = []
    for sample in samples(release, sku=sku, mailbox=mailbox, at_ms=clock_ms()):
        try:
            (receipt,) = postbox.send(sample.sender, [sample.envelope])
        except PostboxRefused as refused:
            raise WorkFailed(f"{sample.name}: the letter was refused: {refused.reason}") from refused
        if receipt.delivery is not Delivery.ACCEPTED:
            raise WorkFailed(f"{sample.name}: the letter was {receipt.delivery}: {receipt.reason}")
        sent.append({"letter": sample.name, "message_id": receipt.message_id})
    if as_json:
        click.echo(json.dumps(sent, indent=1))
        return
    for each in sent:
        click.echo(f"{each['letter']} sent to {mailbox}")


def _postbox(stage: Stage) -> Postbox:
    """What the stage's own functions send by."""
    outputs = stage.outputs()
    if "SmtpSecret" not in outputs:
        return SesPostbox(stage.client("sesv2"), outputs["Letters"])
    secret = stage.client("secretsmanager").get_secret_value(SecretId=outputs["SmtpSecret"])
    return SmtpPostbox(SmtpServer.from_json(secret["SecretString"]), clock_ms, new_id)


def _write(folder: Path, sample: Sample) -> dict[str, object]:
    letter = sample.envelope.letter
    message = message_of(
        sample.sender, sample.envelope, message_id=f"{sample.name}@sample.invalid", sent_at=datetime.now(UTC)
    )
    if len(message) > LETTER_BYTES_MAX:
        raise WorkFailed(f"letter {sample.name}: {len(message):,} bytes, {LETTER_BYTES_MAX:,} is the most")
    (folder / f"{sample.name}.txt").write_text(letter.text, encoding="utf-8")
    (folder / f"{sample.name}.html").write_text(letter.html, encoding="utf-8")
    (folder / f"{sample.name}.eml").write_bytes(message)
    shown = folder.parent.name + "/" + folder.name
    return {
        "letter": sample.name,
        "subject": letter.subject,
        "bytes": len(message),
        "html": f"{shown}/{sample.name}.html",
        "eml": f"{shown}/{sample.name}.eml",
    }
