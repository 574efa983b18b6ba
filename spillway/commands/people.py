"""Look up one person by address: `spillway shopper`, `why` and `access-log`.

Each use is written to the access log; other commands that read or change people's data share these helpers.
"""

import json
import secrets
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import click

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.entry import EntryState
from chalicelib.domain.ids import Sku
from chalicelib.settings import clock_ms
from chalicelib.tables.sending import Access, AccessLogTable
from spillway.commands.options import SKU, json_option, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.importing.table import read_bytes
from spillway.merchant.people import Facts, HistoryLine, People, Person, entry_lines, when
from spillway.merchant.reasons import explain
from spillway.project import Project, private_file
from spillway.stage import Stage, stage_named
from spillway.terminal import pluralize

WIDTH_MAX = 120
TIME_WIDTH = len("2026-05-17 09:30:00Z") + 2


def read_address(text: str) -> Address:
    """Return the typed address; `-` reads it from standard input, which keeps it out of the shell's history.

    Raises:
        BadInput: It is no address.
    """
    if text == "-":
        text = sys.stdin.readline()
    try:
        return Address.parse(text.strip())
    except AddressRefused as refused:
        raise BadInput(f"address {text.strip()!r}: {refused.reason}") from None


@dataclass(frozen=True, slots=True)
class OperatorLog:
    """Writes to the access log of a stage for one operator."""

    table: AccessLogTable
    operator: str

    def note(self, command: str, subject: str, *, at_ms: int) -> None:
        """Store that `command` is used about `subject` now."""
        self.table.note(Access(at_ms, self.operator, command, subject), access_id=secrets.token_hex(4))


def access_log(stage: Stage) -> OperatorLog:
    """Return the access log of a stage, for the caller that AWS knows.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html takes no permission.
    """
    operator = stage.client("sts").get_caller_identity()["Arn"]
    return OperatorLog(_access_log_table(stage), operator)


def _access_log_table(stage: Stage) -> AccessLogTable:
    return AccessLogTable(stage.client("dynamodb"), stage.outputs()["SendingTable"])


def digest_of(file: Path) -> str:
    """Return a file's digest, which identifies it in the log and in proofs of consent.

    Raises:
        BadInput: It cannot be read.
    """
    return sha256(read_bytes(file)).hexdigest()


def show_lines(lines: Iterable[HistoryLine], *, indent: str = "") -> None:
    """Print facts with their times and the rows they were read from, wrapped to the terminal."""
    width = min(WIDTH_MAX, shutil.get_terminal_size().columns) - len(indent) - TIME_WIDTH
    for line in lines:
        time = "now" if line.at_ms is None else when(line.at_ms)
        shown = textwrap.wrap(line.text, width) or [""]
        source = textwrap.wrap(line.source, width, break_on_hyphens=False)
        for number, part in enumerate(shown):
            click.echo(f"{indent}{'' if number else time:<{TIME_WIDTH}}{part}")
        for part in source:
            click.echo(f"{indent}{'':<{TIME_WIDTH}}{click.style(part, dim=True)}")


def show_sentence(sentence: str) -> None:
    """Print a sentence, wrapped to the terminal."""
    click.echo(textwrap.fill(sentence, min(WIDTH_MAX, shutil.get_terminal_size().columns)))


@click.command("shopper")
@click.argument("address")
@click.option(
    "--export",
    "export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to a new file as JSON.",
)
@click.option("--erase", is_flag=True, help="Delete everything that is stored; a suppression stays.")
@click.option("--yes", is_flag=True, help="Erase without a question.")
@json_option
@stage_option
@click.pass_obj
def shopper_command(
    project: Project,
    address: str,
    stage_name: str,
    *,
    export: Path | None,
    erase: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show, export or erase everything that is stored about one person.

    It has the entries, the emails and a suppression. ADDRESS may be - to read the address from standard
    input, which keeps it out of the shell's history.

    \b
    Examples:
      spillway shopper ada@example.com --stage production
      spillway shopper - --export ada.json < address.txt
      spillway shopper ada@example.com --erase

    Each use is logged with the operator, the time and the shopper's id (spillway access-log).
    """
    person_address = read_address(address)
    if yes and not erase:
        raise BadInput("--yes: goes with --erase", hint="add --erase, or leave --yes out")
    if export is not None and export.exists():
        raise BadInput(f"--export {export}: it exists already", hint="name a new file")
    stage = stage_named(project, stage_name)
    tables = stage.container()
    shopper = person_address.shopper_id(tables.keys.identity)
    use = "erase" if erase else "export" if export is not None else "show"
    access_log(stage).note(f"shopper {use}", shopper, at_ms=clock_ms())
    people = People(tables)
    person = people.person(person_address)
    if export is not None:
        with private_file(export) as written:
            written.write(json.dumps(person.document(), indent=1, ensure_ascii=False) + "\n")
    if as_json and not erase:
        click.echo(json.dumps(person.document(), indent=1, ensure_ascii=False))
    elif not as_json:
        _show(person)
    if export is not None and not as_json:
        click.echo(f"written to {export}, for you alone to read")
    if erase:
        _erase(people, person, yes=yes, as_json=as_json)


@click.command("why")
@click.argument("address")
@click.argument("sku", type=SKU)
@json_option
@stage_option
@click.pass_obj
def why_command(project: Project, address: str, sku: Sku, stage_name: str, *, as_json: bool) -> None:
    """Explain why a person did or did not get an email about SKU.

    Each line has its time (UTC) and the row it was read from; the last sentence is the verdict. ADDRESS
    may be - to read the address from standard input.

    \b
    Example:
      spillway why ada@example.com FJ-INK-L --stage production
    """
    person_address = read_address(address)
    stage = stage_named(project, stage_name)
    tables = stage.container()
    shopper = person_address.shopper_id(tables.keys.identity)
    access_log(stage).note("why", shopper, at_ms=clock_ms())
    explanation = explain(People(tables).facts(shopper, sku), at_ms=clock_ms())
    if as_json:
        lines = [
            {"at": None if line.at_ms is None else when(line.at_ms), "text": line.text, "source": line.source}
            for line in explanation.lines
        ]
        document = {
            "shopper": shopper,
            "sku": sku,
            "verdict": explanation.verdict,
            "sentence": explanation.sentence,
            "lines": lines,
        }
        click.echo(json.dumps(document, indent=1, ensure_ascii=False))
        return
    show_lines(explanation.lines)
    if explanation.lines:
        click.echo()
    show_sentence(explanation.sentence)


@click.command("access-log")
@json_option
@stage_option
@click.pass_obj
def access_log_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """List each use of the commands that show or change people.

    An entry has the time, the command, the operator and the shopper's id, and is kept for 400 days.

    \b
    Example:
      spillway access-log --stage production
    """
    found = _access_log_table(stage_named(project, stage_name)).all()
    if as_json:
        rows = [
            {
                "at": when(use.at_ms),
                "operator": use.operator,
                "command": use.command,
                "subject": use.subject,
            }
            for use in found
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    for use in found:
        click.echo(f"{when(use.at_ms)}  {use.command}  {use.subject}  {use.operator}")
    if not found:
        click.echo("nobody used a command about people")


def _show(person: Person) -> None:
    click.echo(f"shopper {person.shopper}")
    if person.is_suppressed:
        since = person.mailbox.get("since_ms")
        at = f" since {when(since)}" if isinstance(since, int) else ""
        click.echo(f"suppressed{at}: {str(person.mailbox.get('reason', '')).replace('_', ' ')}")
    else:
        click.echo("not suppressed")
    for kind, times in person.requested.items():
        click.echo(
            f"{pluralize(len(times), 'email')} of the kind {kind} asked for, the last at {when(times[-1])}"
        )
    if not person.facts:
        click.echo("on no waitlist: nothing else is stored")
    for facts in person.facts:
        click.echo(f"\n{facts.sku}{_title(facts)}: {_state(facts)}")
        show_lines(
            sorted(entry_lines(facts), key=lambda line: (line.at_ms is None, line.at_ms or 0)), indent="  "
        )


def _title(facts: Facts) -> str:
    if facts.stocked is None:
        return ""
    product = facts.stocked.product
    label = product.variant(facts.sku).label if facts.sold else ""
    return f"  {product.title}, {label}" if label else f"  {product.title}"


def _state(facts: Facts) -> str:
    if facts.known is None:
        return "gone"
    entry = facts.known.entry
    if entry.state is EntryState.CONFIRMED and facts.position is not None:
        return f"waits, position {facts.position:,} of {facts.waiting:,}"
    if entry.expired(at_ms=clock_ms()):
        return "not confirmed in time"
    words = {
        EntryState.PENDING: "not confirmed",
        EntryState.NOTIFIED: "notified",
        EntryState.UNSUBSCRIBED: "moved" if facts.known.text("moved_to") else "unsubscribed",
    }
    return words.get(entry.state, entry.state)


def _erase(people: People, person: Person, *, yes: bool, as_json: bool) -> None:
    rows = len(person.facts)
    question = (
        f"Delete {pluralize(rows, 'entry', 'entries')} and all else of this person? It cannot be undone."
    )
    if not yes and not click.confirm(question, err=True):
        raise WorkFailed("nothing was erased")
    erased = people.erase(person.shopper)
    if as_json:
        click.echo(
            json.dumps({"shopper": person.shopper, "rows": erased, "suppressed": person.is_suppressed})
        )
        return
    kept = "; the suppression stays, as an id" if person.is_suppressed else ""
    at = datetime.now(UTC)
    click.echo(f"erased {pluralize(erased, 'row')} at {at:%Y-%m-%d %H:%M:%SZ}{kept}")
