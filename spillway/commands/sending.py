"""Commands about sending: pause, resume, failed jobs and their redrive, previews and test emails."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.email import DeliveryOutcome, SendRefused
from chalicelib.domain.ids import Sku
from chalicelib.domain.sending_limits import PAUSE_REASON_CHARS_MAX
from chalicelib.services.dead_letters import DeadLetter, DeadLetters, Redriven
from chalicelib.settings import clock_ms
from chalicelib.tables.sending.deliverability import resume_sending
from spillway.commands.options import SKU, ChoiceType, json_option, on_stage, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.email_previews import SAMPLE_MAILBOX, SampleEmail, samples, with_pictures
from spillway.operate.state import QUEUES, queue_urls
from spillway.project import Project
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from spillway.stage import Stage, stage_named
from spillway.terminal import pluralize

SHOWN_MAX = 20
WORDS = {
    Redriven.PUT_BACK: "put back",
    Redriven.FAILED: "failed again",
    Redriven.GONE: "older than the 24 h that DynamoDB keeps stream records",
}


@click.command("pause")
@click.option("--because", "reason", metavar="TEXT", default="by hand", show_default=True, help="The reason.")
@stage_option
@json_option
@click.pass_obj
def pause_command(project: Project, reason: str, stage_name: str, *, as_json: bool) -> None:
    """Stop all sending until `spillway resume`.

    Signups are still accepted; emails wait in their queues.

    \b
    Example:
      spillway pause --because "bounces of a bad import" --stage production
    """
    if not 0 < len(reason.strip()) <= PAUSE_REASON_CHARS_MAX:
        raise BadInput(f"--because: expected 1 to {PAUSE_REASON_CHARS_MAX} characters")
    stage = stage_named(project, stage_name)
    pace = stage.container().sending_rate
    state = pace.state()
    earlier = state.paused if state else None
    pace.pause(reason)
    if as_json:
        click.echo(json.dumps({"was_paused": earlier}))
        return
    click.echo(f"sending was paused already: {earlier}" if earlier else f"sending is paused: {reason}")
    click.echo(f"  emails wait until: spillway resume --stage {stage.name}")


@click.command("resume")
@stage_option
@json_option
@click.pass_obj
def resume_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """Start sending again after a pause.

    The counts of bounces and complaints start at zero again.

    \b
    Example:
      spillway resume --stage production
    """
    tables = stage_named(project, stage_name).container()
    reason = resume_sending(tables.sending_rate, tables.deliverability, at_ms=clock_ms())
    if as_json:
        click.echo(json.dumps({"was_paused": reason}))
    else:
        click.echo(f"sending is on again; it was paused: {reason}" if reason else "sending was not paused")


@click.command("failed")
@stage_option
@json_option
@click.pass_obj
def failed_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """List failed jobs: the messages in the dead letter queues.

    For each queue it shows their number and, without addresses, what they are about.

    \b
    Example:
      spillway failed --stage production
    """
    dead = _dead_letters(stage_named(project, stage_name))
    counts = {queue: dead.count(queue) for queue in QUEUES}
    some = {queue: list(dead.look(queue, most=SHOWN_MAX)) for queue, number in counts.items() if number}
    if as_json:
        document = {
            queue: {"count": number, "some": [dict(letter.facts) for letter in some.get(queue, ())]}
            for queue, number in counts.items()
        }
        click.echo(json.dumps(document, indent=1))
    else:
        _show_dead_letters(counts, some)


@click.command("redrive")
@click.argument("queue", type=ChoiceType([*QUEUES, "all"]))
@click.option("--dry-run", is_flag=True, help="Show how many there are; put nothing back.")
@click.option(
    "--forget-gone", is_flag=True, help="Delete dead letters of stream records that are no longer kept."
)
@stage_option
@json_option
@click.pass_obj
def redrive_command(
    project: Project, queue: str, stage_name: str, *, dry_run: bool, forget_gone: bool, as_json: bool
) -> None:
    """Process the failed jobs of a queue again.

    A job that is out of date has no effect.

    \b
    Examples:
      spillway redrive all --dry-run --stage production
      spillway redrive waves --stage production
    """
    dead = _dead_letters(stage_named(project, stage_name))
    chosen = [name for name in QUEUES if queue in {name, "all"}]
    if dry_run:
        counts = {name: dead.count(name) for name in chosen}
        words = [f"{name}: {number} would be put back" for name, number in counts.items()]
        click.echo(json.dumps(counts) if as_json else "\n".join(words))
        return
    became = {name: dead.redrive(name, forget_gone=forget_gone) for name in chosen}
    if as_json:
        document = {name: {what: done[what] for what in Redriven} for name, done in became.items()}
        click.echo(json.dumps(document))
    else:
        click.echo("\n".join(f"{name}: {_redriven_words(done)}" for name, done in became.items()))
    failed = sum(done[Redriven.FAILED] for done in became.values())
    gone = 0 if forget_gone else sum(done[Redriven.GONE] for done in became.values())
    if failed or gone:
        hint = _when_gone() if gone else "read the function's log, fix the cause, and try again"
        stay = pluralize(failed + gone, "stays where it is", "stay where they are")
        raise WorkFailed(stay, hint=hint)


def _when_gone() -> str:
    return (
        f"spillway publish{on_stage()} refreshes each page, spillway available SKU{on_stage()} notifies its"
        f" waitlist; then delete them: spillway redrive streams --forget-gone{on_stage()}"
    )


def _dead_letters(stage: Stage) -> DeadLetters:
    return DeadLetters(
        stage.client("sqs"),
        queue_urls(stage.outputs()),
        streams=stage.client("dynamodbstreams"),
        functions=stage.client("lambda"),
    )


def _redriven_words(done: Counter[Redriven]) -> str:
    return ", ".join(f"{done[what]} {WORDS[what]}" for what in Redriven if done[what]) or "nothing"


def _show_dead_letters(counts: Mapping[str, int], some: Mapping[str, list[DeadLetter]]) -> None:
    if not any(counts.values()):
        click.echo("nothing failed: no job waits for a person")
        return
    for queue, number in counts.items():
        if number:
            click.echo(f"{queue}: {number:,} failed ({QUEUES[queue].words})")
        for letter in some.get(queue, ()):
            facts = [
                name if value is True else f"{name} {_value_words(value)}"
                for name, value in letter.facts.items()
            ]
            click.echo(f"  {', '.join(facts) or 'cannot be read'}")
    click.echo(f"When the cause is fixed: spillway redrive QUEUE{on_stage()}")


def _value_words(value: object) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)


# Gmail clips longer emails, and the unsubscribe link with them.
EMAIL_BYTES_MAX = 100_000


@click.group("emails")
def emails_command() -> None:
    """Preview the shop's emails."""


@emails_command.command("preview")
@click.option(
    "--sku", type=SKU, metavar="SKU", help="The variant to use; without it, the first of the catalogue."
)
@click.option("--open", "open_", is_flag=True, help="Open the emails in the browser.")
@json_option
@click.pass_obj
def preview_command(project: Project, sku: Sku | None, *, open_: bool, as_json: bool) -> None:
    """Write a sample of every email to build/emails/.

    Each is written as HTML with its pictures, as text, and as .eml for a mail program. `spillway serve
    --emails` shows them while you edit.

    \b
    Example:
      spillway emails preview --sku FJ-INK-L --open
    """
    folder = project.output / "emails"
    folder.mkdir(parents=True, exist_ok=True)
    release = build(project)
    written = [
        _write(folder, sample, release)
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
@click.option(
    "--sku", type=SKU, metavar="SKU", help="The variant to use; without it, the first of the catalogue."
)
@json_option
@stage_option
@click.pass_obj
def send_test_command(
    project: Project, address: str, sku: Sku | None, stage_name: str, *, as_json: bool
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
        if result.delivery is not DeliveryOutcome.ACCEPTED:
            raise WorkFailed(f"{sample.name}: the email was {result.delivery}: {result.reason}")
        sent.append({"email": sample.name, "message_id": result.message_id})
    if as_json:
        click.echo(json.dumps(sent, indent=1))
        return
    for email in sent:
        click.echo(f"{email['email']} sent to {mailbox}")


def _write(folder: Path, sample: SampleEmail, release: Release) -> dict[str, object]:
    email = sample.outgoing.email
    message = sample.message()
    if len(message) > EMAIL_BYTES_MAX:
        raise WorkFailed(f"email {sample.name}: {len(message):,} bytes, {EMAIL_BYTES_MAX:,} is the most")
    (folder / f"{sample.name}.txt").write_text(email.text, encoding="utf-8")
    (folder / f"{sample.name}.html").write_text(with_pictures(email.html, release), encoding="utf-8")
    (folder / f"{sample.name}.eml").write_bytes(message)
    shown = folder.parent.name + "/" + folder.name
    return {
        "email": sample.name,
        "subject": email.subject,
        "bytes": len(message),
        "html": f"{shown}/{sample.name}.html",
        "eml": f"{shown}/{sample.name}.eml",
    }
