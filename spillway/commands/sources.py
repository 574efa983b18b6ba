"""Stock events of other systems: `spillway events`, `sources` and `links`."""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.inbound.authenticity import STANDARD_SECRET, standard_keys
from chalicelib.inbound.sources import ADAPTERS, secrets_of_sources
from chalicelib.settings import clock_ms
from spillway.commands.options import (
    ChoiceType,
    WholeNumber,
    json_option,
    on_stage,
    refuse_ignored,
    stage_option,
)
from spillway.commands.reconcile import known_accounts, list_of, store_account
from spillway.errors import BadInput
from spillway.importing.table import read_columns
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import moment, pluralize

if TYPE_CHECKING:
    from chalicelib.container import Container
    from chalicelib.inbound.readings import ReceivedEvent

SOURCE = ChoiceType(tuple(ADAPTERS))
# The others report the stock of all places together.
SOURCE_WITH_LOCATIONS = ChoiceType(("shopify", "square"))
KINDS_OF_IDS = {
    "shopify": ("variant", "item"),
    "woocommerce": ("product",),
    "square": ("variation",),
    "bigcommerce": ("variant",),
    "generic": (),
}
SECRETS_MAX = 2
SECRET_CHARS_MIN = 16
FOLLOWED_EACH_S = 2.0
HOURS_MAX = 24 * 30
NUMBER_ID = re.compile(r"[0-9]{1,20}")
SQUARE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
LINK_COLUMNS = ("source", "foreign_id", "sku")


@click.command("events")
@click.option(
    "--hours",
    type=WholeNumber(1, HOURS_MAX),
    default=24,
    show_default=True,
    help="Show the events of so many hours.",
)
@click.option("--follow", is_flag=True, help="Go on and print each event as it comes, until Ctrl-C.")
@json_option
@stage_option
@click.pass_obj
def events_command(project: Project, stage_name: str, hours: int, *, follow: bool, as_json: bool) -> None:
    """Show the stock events of other systems and what they changed.

    A request that is refused for its signature (401) is no event: look for it at the source.

    \b
    Examples:
      spillway events --stage production
      spillway events --follow --stage production
    """
    if follow and as_json:
        refuse_ignored("with --follow", ignored={"as_json"})
    events = stage_named(project, stage_name).container().events
    from_ms = clock_ms() - int(timedelta(hours=hours).total_seconds() * 1000)
    found = events.recent(from_ms=from_ms, until_ms=clock_ms())
    if as_json:
        click.echo(json.dumps([asdict(event) for event in found], indent=1, default=int))
        return
    for event in found:
        click.echo(_line(event))
    if not found:
        click.echo(
            f"no event in {pluralize(hours, 'hour')}; docs/inventory.md says how another system sends them"
        )
    seen = {event.id for event in found}
    while follow:
        time.sleep(FOLLOWED_EACH_S)
        # A request is stored some moments after its time.
        for event in events.recent(from_ms=clock_ms() - 60_000, until_ms=clock_ms()):
            if event.id not in seen:
                seen.add(event.id)
                click.echo(_line(event))


def _line(event: "ReceivedEvent") -> str:
    parts = [
        " ".join(
            str(result[name]) for name in ("sku", "id", "subject", "outcome", "reason") if name in result
        )
        for result in event.results
    ]
    return f"{moment(event.at_ms)}  {event.source}  {event.outcome}  {'; '.join(parts)}".rstrip()


@click.group("sources")
def sources_command() -> None:
    """Let other systems send stock events."""


@sources_command.command("list")
@json_option
@stage_option
@click.pass_obj
def list_sources(project: Project, stage_name: str, *, as_json: bool) -> None:
    """List each source with its address, and whether it has a secret.

    \b
    Example:
      spillway sources list --stage production
    """
    container = stage_named(project, stage_name).container()
    known = _secrets(container)
    base_url = container.themes.live().theme.shop.base_url
    places = {source: sorted(container.events.location_choice(source).locations or ()) for source in ADAPTERS}
    urls = {source: f"{base_url}/api/events/{source}" for source in ADAPTERS}
    accounts = known_accounts(container)
    lists = {source: list_of(accounts.get(source)) for source in ADAPTERS}
    if as_json:
        rows = [
            {
                "source": source,
                "url": url,
                "secrets": len(known[source]),
                "locations": places[source],
                "stock_list": lists[source],
            }
            for source, url in urls.items()
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    width = max(map(len, urls.values()))
    for source, url in urls.items():
        number = len(known[source])
        secrets = pluralize(number, "secret") if number else "no secret: its events are refused"
        counted = f"; counts {', '.join(places[source])}" if places[source] else ""
        listed = f"; stock list {lists[source]}, each hour" if lists[source] else ""
        click.echo(f"{source:<12} {url:<{width}}  {secrets}{counted}{listed}")


@sources_command.command("secret")
@click.argument("source", type=SOURCE, metavar="SOURCE")
@click.option("--remove", is_flag=True, help="Remove every secret of the source: its events are refused.")
@stage_option
@click.pass_obj
def add_secret(project: Project, source: str, stage_name: str, *, remove: bool) -> None:
    """Add the secret that a source signs with.

    The one before it stays good. SOURCE is shopify, woocommerce, square, bigcommerce or generic.
    The secret is asked for, or read from the standard input. It is never an argument: other users of a
    machine see those.

    \b
    Examples:
      spillway sources secret shopify --stage production
      spillway sources secret shopify --stage production < secret.txt
    """
    container = stage_named(project, stage_name).container()
    secret = "" if remove else _asked_secret(source)
    known = {name: list(secrets) for name, secrets in _secrets(container).items() if secrets}
    before = known.pop(source, [])
    if not remove:
        known[source] = [secret, *(old for old in before if old != secret)][:SECRETS_MAX]
    container.client("secretsmanager").put_secret_value(
        SecretId=container.settings.source_secrets, SecretString=json.dumps(known)
    )
    kept = "no secret" if remove else pluralize(len(known[source]), "secret")
    click.echo(f"{source}: {kept} now; in force within a minute")


def _asked_secret(source: str) -> str:
    is_terminal = sys.stdin.isatty()
    secret = (click.prompt("Secret", hide_input=True, type=str) if is_terminal else sys.stdin.read()).strip()
    if len(secret) < SECRET_CHARS_MIN or not secret.isprintable():
        raise BadInput(
            f"the secret has {pluralize(len(secret), 'character')}",
            hint=f"copy it as the source shows it, one line of at least {SECRET_CHARS_MIN} characters; "
            "a shorter one is easily guessed: set a longer one at the source",
        )
    if source == "generic" and secret.startswith(STANDARD_SECRET) and not standard_keys([secret]):
        raise BadInput(
            f"the part after {STANDARD_SECRET} is no base64", hint="copy all of it, with = where it ends so"
        )
    return secret


def _secrets(container: "Container") -> dict[str, tuple[str, ...]]:
    answer = container.client("secretsmanager").get_secret_value(SecretId=container.settings.source_secrets)
    return secrets_of_sources(answer["SecretString"])


sources_command.add_command(store_account)


@sources_command.command("locations")
@click.argument("source", type=SOURCE_WITH_LOCATIONS, metavar="SOURCE")
@click.argument("location", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Count every location again.")
@stage_option
@click.pass_obj
def count_locations(
    project: Project, source: str, location: tuple[str, ...], stage_name: str, *, every: bool
) -> None:
    """Show or choose the locations whose units count.

    SOURCE is shopify or square: the others report the stock of all places together. Without LOCATION it
    shows the choice. A choice counts from the next event of each variant on.

    \b
    Examples:
      spillway sources locations square EF6D9SACKWBKZ --stage production
      spillway sources locations square --all --stage production
    """
    if every and location:
        raise BadInput("--all: has no effect with LOCATION", hint="leave one of the two out")
    if wrong := [written for written in location if not _is_id(source, written)]:
        raise BadInput(
            f"LOCATION {wrong[0]!r}: no id of a location of {source}",
            hint=f"an id has {_signs_of_ids(source)}; put a space between two",
        )
    events = stage_named(project, stage_name).container().events
    if every or location:
        events.count_locations(source, location, at_ms=clock_ms())
    counted = sorted(events.location_choice(source).locations or ())
    click.echo(f"{source}: counts {', '.join(counted) or 'every location'}")


@click.group("links")
def links_command() -> None:
    """Link the ids of other systems to SKUs."""


@links_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--encoding", metavar="NAME", default="", help="The file's encoding, if it is not UTF-8.")
@stage_option
@click.pass_obj
def import_links(project: Project, file: Path, encoding: str, stage_name: str) -> None:
    """Import links from a CSV file or a spreadsheet.

    Its columns are source, foreign_id and sku. A foreign id is the kind and the id of the source:
    variation:ID of Square, variant:ID of BigCommerce and Shopify, item:ID of Shopify's inventory items,
    product:ID of WooCommerce. Nothing is stored where one line is wrong.

    \b
    Example:
      spillway links import links.csv --stage production
    """
    container = stage_named(project, stage_name).container()
    links = list(_read_links(file, container, encoding))
    for source, foreign_id, sku in links:
        container.events.link(source, foreign_id, sku)
    click.echo(f"{pluralize(len(links), 'link')} stored")


def _read_links(file: Path, container: "Container", encoding: str) -> Iterator[tuple[str, str, Sku]]:
    known: dict[tuple[str, str], tuple[Sku, int]] = {}
    for row in read_columns(file, LINK_COLUMNS, encoding=encoding):
        place = f"{file}, line {row.line}"
        source, foreign_id, written = (row[name] for name in LINK_COLUMNS)
        if source not in ADAPTERS:
            raise BadInput(f"{place}: source is {source!r}", hint=f"it is one of {', '.join(ADAPTERS)}")
        kinds = KINDS_OF_IDS[source]
        kind, _, id_at_source = foreign_id.partition(":")
        if kind not in kinds or not _is_id(source, id_at_source):
            ways = " or ".join(f"{name}:ID" for name in kinds)
            hint = (
                f"an id of {source} is written as {ways}, its ID in {_signs_of_ids(source)}"
                if ways
                else f"{source} names SKUs and needs no link"
            )
            raise BadInput(f"{place}: foreign_id is {foreign_id!r}", hint=hint)
        try:
            sku = parse_sku(written)
        except SkuRefused as refused:
            raise BadInput(f"{place}: sku is {written!r}", hint=refused.reason) from None
        if container.products.slug_of(sku) is None:
            raise BadInput(
                f"{place}: the shop sells no SKU {sku!r}",
                hint=f"`spillway publish{on_stage()}` adds new products",
            )
        before, line = known.setdefault((source, foreign_id), (sku, row.line))
        if before != sku:
            raise BadInput(
                f"{place}: {foreign_id!r} is {sku!r}, and {before!r} in line {line}",
                hint="delete one of these lines",
            )
    yield from ((source, foreign_id, sku) for (source, foreign_id), (sku, _) in known.items())


def _is_id(source: str, written: str) -> bool:
    """Return whether webhooks of a source may write an id so: all but Square write numbers."""
    return bool((SQUARE_ID if source == "square" else NUMBER_ID).fullmatch(written))


def _signs_of_ids(source: str) -> str:
    return "letters and digits" if source == "square" else "digits alone: 1 of gid://shopify/.../1"


@links_command.command("list")
@json_option
@stage_option
@click.pass_obj
def list_links(project: Project, stage_name: str, *, as_json: bool) -> None:
    """List the ids of other systems that are linked to SKUs.

    \b
    Example:
      spillway links list --stage production
    """
    links = list(stage_named(project, stage_name).container().events.links())
    if as_json:
        click.echo(json.dumps([dict(zip(LINK_COLUMNS, link, strict=True)) for link in links], indent=1))
        return
    for source, foreign_id, sku in links:
        click.echo(f"{source:<12} {foreign_id:<30} {sku}")
    if not links:
        click.echo(
            "no link yet; they are learned from product events, or imported:"
            f" spillway links import FILE{on_stage()}"
        )
