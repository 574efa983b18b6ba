"""Events to other systems: `spillway webhooks`."""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from chalicelib.domain.domain_event import DomainEvent, EventType, event_id
from chalicelib.outbound.addresses import NameUnknown, TargetRefused, parse_target, resolve_public
from chalicelib.outbound.deliveries import ENDPOINTS_MAX, EVENT_NAMES, Attempt, Endpoint, State
from chalicelib.outbound.signing import (
    SECRET_BYTES,
    EndpointSecret,
    make_secret,
    rotated,
    secrets_by_endpoint,
    secrets_document,
)
from chalicelib.settings import clock_ms, new_id
from spillway.commands.options import ChoiceType, WholeNumber, json_option, on_stage, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import moment, pluralize

if TYPE_CHECKING:
    from chalicelib.container import Container

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
DAYS_KEPT = 30
HOURS_MAX = 24 * DAYS_KEPT
IN_FORCE = "in force within a minute"
# The way out for each kind of error.
HINTS = {
    "not_public": "the name leads to a private network; events go to addresses of the internet alone",
    "name_unknown": "no name server knows the host; check its spelling",
    "timeout": "it did not answer within 15 seconds; answer first, and work on the event after that",
    "certificate": "its certificate does not fit the name, has ended, or is of an unknown issuer",
    "tls": "it does not speak TLS 1.2 or later",
    "connection": "nothing listens at that address and port, or it hung up",
    "no_http": "it does not speak HTTP",
    "no_secret": "it has no secret: spillway webhooks rotate NAME makes one",
}
RETRIED = frozenset({State.FAILED, State.DISABLED, State.HELD})
name_argument = click.argument("name", metavar="NAME")


@click.group("webhooks")
def webhooks_command() -> None:
    """Send the shop's events to other systems."""


@webhooks_command.command("add")
@name_argument
@click.argument("url", metavar="URL")
@click.option(
    "--event",
    "events",
    type=ChoiceType(EVENT_NAMES),
    metavar="TYPE",
    multiple=True,
    required=True,
    help="Send events of this type; repeat it for more. NAME.address has the shopper's email address, too.",
)
@click.option(
    "--replace", is_flag=True, help="Change an endpoint that exists, and enable it again; its secret stays."
)
@stage_option
@click.pass_obj
def add_endpoint(
    project: Project, name: str, url: str, events: tuple[str, ...], stage_name: str, *, replace: bool
) -> None:
    """Send events to the https address URL of another system.

    NAME is yours: lower-case letters, digits and hyphens. The secret that signs the events is shown once:
    give it to the other system. docs/webhooks.md lists the types.

    \b
    Examples:
      spillway webhooks add crm https://crm.example.com/events --event restock.opened
      spillway webhooks add list https://list.example.com/in --event signup.confirmed.address
    """
    if not NAME.fullmatch(name):
        raise BadInput(f"NAME {name!r}: not a name", hint="use up to 40 letters a to z, digits and hyphens")
    without_address = _check_address(url)
    container = stage_named(project, stage_name).container()
    known = {endpoint.id: endpoint for endpoint in container.endpoints.all()}
    if replace:
        _named(known.values(), name)
    elif name in known:
        hint = f"choose another name, or change it with --replace; it sends to {known[name].url}"
        raise BadInput(f"NAME {name!r}: an endpoint has it already", hint=hint)
    elif len(known) >= ENDPOINTS_MAX:
        hint = f"spillway webhooks remove NAME{on_stage()} ends one"
        raise BadInput(f"there are {len(known)} endpoints, which is the most", hint=hint)
    endpoint = Endpoint(name, url, frozenset(events), clock_ms())
    if not replace:
        secret = make_secret(secrets.token_bytes(SECRET_BYTES))
        # First: an endpoint without a secret gets nothing.
        _change_secrets(container, name, lambda _: (EndpointSecret(secret),))
        container.endpoints.put(endpoint)
        click.echo(f"{name}: secret {secret}")
    else:
        container.endpoints.put(endpoint)
        container.webhook_retries.release(name)
    click.echo(f"{name}: gets {', '.join(sorted(endpoint.events))}; {IN_FORCE}")
    if without_address:
        click.echo(f"{name}: its host has no address now; check its spelling", err=True)


def _check_address(url: str) -> bool:
    """Check an address of a person, and return whether its host has no address now."""
    try:
        resolve_public(parse_target(url).host)
    except NameUnknown:
        return True
    except TargetRefused as refused:
        hint = "name an https address that the internet can reach"
        raise BadInput(f"URL {url!r}: {refused}", hint=hint) from None
    return False


@webhooks_command.command("list")
@json_option
@stage_option
@click.pass_obj
def list_endpoints(project: Project, stage_name: str, *, as_json: bool) -> None:
    """List the endpoints with their events.

    \b
    Example:
      spillway webhooks list --stage production
    """
    endpoints = stage_named(project, stage_name).container().endpoints.all()
    if as_json:
        rows = [
            {
                "name": endpoint.id,
                "url": endpoint.url,
                "events": sorted(endpoint.events),
                "created_at_ms": endpoint.created_at_ms,
                "disabled_at_ms": endpoint.disabled_at_ms,
                "failing_since_ms": None if endpoint.failing_at_ms is None else endpoint.failed_from_ms,
            }
            for endpoint in endpoints
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    for endpoint in endpoints:
        state = ""
        if endpoint.disabled_at_ms is not None:
            state = f"  disabled on {moment(endpoint.disabled_at_ms)}: {endpoint.disabled_reason}"
        elif endpoint.failing_at_ms is not None:
            since = moment(endpoint.failed_from_ms or endpoint.failing_at_ms)
            state = f"  FAILING since {since}: events are kept until it answers"
        click.echo(f"{endpoint.id}  {endpoint.url}  {', '.join(sorted(endpoint.events))}{state}")
    if not endpoints:
        click.echo(f"no endpoint yet: spillway webhooks add NAME URL --event TYPE{on_stage()}")


@webhooks_command.command("test")
@name_argument
@stage_option
@click.pass_obj
def test_endpoint(project: Project, name: str, stage_name: str) -> None:
    """Post a signed event of the type `schedule` to an endpoint from this machine.

    Its data is {"test": true}.

    \b
    Example:
      spillway webhooks test crm --stage production
    """
    container = stage_named(project, stage_name).container()
    endpoint = _named(container.endpoints.all(), name)
    event = DomainEvent(
        event_id(EventType.SCHEDULE, "test", new_id()), EventType.SCHEDULE, clock_ms(), data={"test": True}
    )
    began = time.monotonic()
    answer = container.webhook_delivery.send_test(endpoint, event)
    took_ms = round((time.monotonic() - began) * 1000)
    if not answer.is_success:
        hint = HINTS.get(answer.error or "", "answer a status from 200 to 299")
        raise WorkFailed(f"{name}: {answer.words} after {took_ms} ms", hint=hint.replace("NAME", name))
    click.echo(f"{name}: {answer.words} after {took_ms} ms")


@webhooks_command.command("rotate")
@name_argument
@stage_option
@click.pass_obj
def rotate_secret(project: Project, name: str, stage_name: str) -> None:
    """Make a new secret for an endpoint.

    Events are signed with the new secret and the one before for a day: give the new one to the other system
    within that time.

    \b
    Example:
      spillway webhooks rotate crm --stage production
    """
    container = stage_named(project, stage_name).container()
    _named(container.endpoints.all(), name)
    secret = make_secret(secrets.token_bytes(SECRET_BYTES))
    _change_secrets(container, name, lambda before: rotated(before, secret, at_ms=clock_ms()))
    click.echo(f"{name}: secret {secret}")
    click.echo(f"{name}: the secret before it signs for a day, too; {IN_FORCE}")


@webhooks_command.command("log")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--hours",
    type=WholeNumber(1, HOURS_MAX),
    default=24,
    show_default=True,
    help="Show the events of so many hours.",
)
@json_option
@stage_option
@click.pass_obj
def show_log(project: Project, name: str | None, hours: int, stage_name: str, *, as_json: bool) -> None:
    """Show the deliveries of one endpoint, or of all: the last attempt of each, for 30 days.

    An event that is kept while its endpoint fails is shown as held.

    \b
    Examples:
      spillway webhooks log --stage production
      spillway webhooks log crm --hours 72 --stage production
    """
    container = stage_named(project, stage_name).container()
    found = sorted(
        _deliveries(container, name, hours=hours),
        key=lambda attempt: (attempt.event.at_ms, attempt.endpoint, attempt.event.id),
    )
    if as_json:
        click.echo(json.dumps([_row(attempt) for attempt in found], indent=1))
        return
    for attempt in found:
        click.echo(_line(attempt))
    if not found:
        click.echo(f"no delivery in {pluralize(hours, 'hour')}")


@webhooks_command.command("retry")
@name_argument
@click.argument("event", metavar="[EVENT]", required=False)
@stage_option
@click.pass_obj
def retry_deliveries(project: Project, name: str, event: str | None, stage_name: str) -> None:
    """Deliver events again.

    EVENT is an event's id from the log, delivered or not. Without it, every event that failed, or was kept
    back from an endpoint that failed or was disabled, is delivered again.

    \b
    Examples:
      spillway webhooks retry crm --stage production
      spillway webhooks retry crm 87c71d2f2be7493c21558eeb22837d17 --stage production
    """
    container = stage_named(project, stage_name).container()
    endpoint = _named(container.endpoints.all(), name)
    if endpoint.disabled_at_ms is not None:
        command = f"spillway webhooks add {name} {endpoint.url} --event TYPE --replace{on_stage()}"
        hint = f"enable it first: {command}"
        raise BadInput(f"NAME {name!r}: the endpoint is disabled", hint=hint)
    chosen = [
        attempt
        for attempt in _deliveries(container, name, hours=HOURS_MAX)
        if attempt.event.id == event or (event is None and attempt.state in RETRIED)
    ]
    if event is not None and not chosen:
        command = f"spillway webhooks log {name} --hours {HOURS_MAX}{on_stage()}"
        hint = f"{command} shows the ids of {DAYS_KEPT} days"
        raise BadInput(f"EVENT {event!r}: no delivery of it to {name}", hint=hint)
    if endpoint.failing_at_ms is not None and chosen:
        # The merchant knows better: what is queued now would be kept again.
        container.endpoints.close_circuit(name)
    for attempt in chosen:
        container.webhook_retries.retry(attempt)
    click.echo(f"{name}: {pluralize(len(chosen), 'event')} queued")


@webhooks_command.command("remove")
@name_argument
@stage_option
@click.pass_obj
def remove_endpoint(project: Project, name: str, stage_name: str) -> None:
    """Remove an endpoint and its secrets; what waits for it is not delivered.

    \b
    Example:
      spillway webhooks remove crm --stage production
    """
    container = stage_named(project, stage_name).container()
    _named(container.endpoints.all(), name)
    container.endpoints.remove(name)
    _change_secrets(container, name, lambda _: ())
    click.echo(f"{name}: removed")


def _named(endpoints: Iterable[Endpoint], name: str) -> Endpoint:
    known = {endpoint.id: endpoint for endpoint in endpoints}
    if name not in known:
        hint = (
            f"the endpoints are {', '.join(known)}"
            if known
            else f"spillway webhooks add{on_stage()} makes one"
        )
        raise BadInput(f"NAME {name!r}: no endpoint has it", hint=hint)
    return known[name]


def _change_secrets(
    container: "Container",
    name: str,
    change: Callable[[tuple[EndpointSecret, ...]], tuple[EndpointSecret, ...]],
) -> None:
    client, secret_id = container.client("secretsmanager"), container.settings.known("webhook_secrets")
    known = secrets_by_endpoint(client.get_secret_value(SecretId=secret_id)["SecretString"])
    known[name] = change(known.get(name, ()))
    kept = {endpoint: secrets_of for endpoint, secrets_of in known.items() if secrets_of}
    client.put_secret_value(SecretId=secret_id, SecretString=secrets_document(kept))


def _deliveries(container: "Container", name: str | None, *, hours: int) -> Iterator[Attempt]:
    """Yield the deliveries of an endpoint, each once; of all of them where none is named."""
    endpoints = container.endpoints.all()
    chosen = endpoints if name is None else (_named(endpoints, name),)
    from_ms = clock_ms() - int(timedelta(hours=hours).total_seconds() * 1000)
    for endpoint in chosen:
        held = {attempt.key: attempt for attempt in container.deliveries.all_held(endpoint.id)}
        for attempt in container.deliveries.recent(endpoint.id, from_ms=from_ms, until_ms=clock_ms()):
            if attempt.state is State.DELIVERED or attempt.key not in held:
                yield attempt
                held.pop(attempt.key, None)
        yield from (attempt for attempt in held.values() if attempt.event.at_ms >= from_ms)


def _row(attempt: Attempt) -> dict[str, object]:
    return {
        "name": attempt.endpoint,
        "event": attempt.event.id,
        "type": attempt.event.type.value,
        "subject": attempt.event.subject,
        "at_ms": attempt.event.at_ms,
        "state": attempt.state.value,
        "tries": attempt.tries,
        "answer": attempt.answer,
        "tried_at_ms": attempt.at_ms,
        "due_at_ms": attempt.due_at_ms,
    }


def _line(attempt: Attempt) -> str:
    about = f"{attempt.event.type} {attempt.event.subject or ''}".rstrip()
    due = "" if attempt.due_at_ms is None else f", next {moment(attempt.due_at_ms)}"
    tries = pluralize(attempt.tries, "attempt")
    return (
        f"{moment(attempt.event.at_ms)}  {attempt.endpoint}  {about}  {attempt.state} after {tries}"
        f" ({attempt.answer}{due})  {attempt.event.id}"
    )
