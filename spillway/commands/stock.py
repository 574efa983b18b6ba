"""Change stock: `spillway available`, `sold-out` and `stock`."""

import json
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chalicelib.domain.ids import Sku
from chalicelib.domain.sending_limits import Reach
from chalicelib.domain.stock import (
    UNITS_MAX,
    Availability,
    AvailabilityEvent,
    EventOutcome,
    Stock,
    is_restock,
)
from chalicelib.services.availability import Availabilities
from chalicelib.services.stock_import import apply_import
from chalicelib.settings import clock_ms
from chalicelib.tables.products import stocked_with
from spillway.commands.options import SKU, WholeNumber, json_option, on_stage, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.stock_import import SkuIndex, not_sold, typed
from spillway.merchant.waitlist_report import reach_of, reach_sentence
from spillway.project import Project
from spillway.stage import Stage, stage_named
from spillway.terminal import pluralize

if TYPE_CHECKING:
    from chalicelib.domain.stock_file import LineMistake
    from chalicelib.services.stock_import import StockFileChange, StockImport


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An availability event that was stored, and the stock before it."""

    event: AvailabilityEvent
    before: Stock

    @property
    def restock(self) -> bool:
        """Return whether the event notifies the waitlist."""
        return is_restock(self.before, self.event.applied_to(self.before).stock)

    def to_document(self) -> dict[str, object]:
        """Return the event as JSON values."""
        return {
            "sku": self.event.sku,
            "availability": self.event.availability,
            "units": self.event.units,
            "event_id": self.event.id,
            "restock": self.restock,
        }


@click.command("available")
@click.argument("sku", type=SKU)
@click.option(
    "--stock",
    "units",
    type=WholeNumber(0, UNITS_MAX),
    metavar="N",
    help="The number in stock; leave it out if the shop does not count.",
)
@click.option("--dry-run", is_flag=True, help="Show how many people would be emailed; change nothing.")
@json_option
@stage_option
@click.pass_obj
def available_command(
    project: Project, sku: Sku, units: int | None, stage_name: str, *, dry_run: bool, as_json: bool
) -> None:
    """Mark a variant as available and notify its waitlist.

    Its pages change to "buy", and the people waiting are emailed in order. SKUs are compared exactly. Quote
    one with spaces or signs; put one that begins with a hyphen last, after two hyphens.

    \b
    Examples:
      spillway available FJ-INK-L --stock 5 --dry-run --stage production
      spillway available FJ-INK-L --stock 5 --stage production
      spillway available --stock 5 -- -1042
    """
    if units == 0:
        raise BadInput("--stock 0: nothing is in stock", hint=f"spillway {_typed('sold-out', sku)}")
    stage = stage_named(project, stage_name)
    applied, reach = _observe(stage, sku, Availability.IN_STOCK, units, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(_with_reach(applied, reach, dry_run=dry_run)))
    elif not applied.restock and dry_run:
        click.echo(f"{sku} is available already{_units_suffix(applied)}; nobody would be notified")
    elif not applied.restock:
        click.echo(f"{sku} was available already{_units_suffix(applied)}; nobody is notified")
    elif dry_run:
        click.echo(f"{sku} would become available: its pages would be refreshed")
        click.echo(f"  {reach_sentence(reach, 'would be')}")
    else:
        click.echo(f"{sku} is available: its pages are refreshed")
        click.echo(f"  {reach_sentence(reach, 'will be')}")
        if reach.emails:
            click.echo(f"  progress of the emails: spillway {_typed('waves', sku)}")


def _typed(command: str, sku: Sku) -> str:
    return typed(command, sku, *on_stage().split())


def _units_suffix(applied: StoredEvent) -> str:
    now, before = applied.event.units, applied.before.units
    if now is None:
        return ""
    return f": {now:,} now" + (f", {before:,} before" if before is not None else "")


@click.command("sold-out")
@click.argument("sku", type=SKU)
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@json_option
@stage_option
@click.pass_obj
def sold_out_command(project: Project, sku: Sku, stage_name: str, *, dry_run: bool, as_json: bool) -> None:
    """Mark a variant as sold out.

    Its pages take signups for the waitlist, and emails about it that are not sent yet stop.

    \b
    Example:
      spillway sold-out FJ-INK-L --stage production
    """
    stage = stage_named(project, stage_name)
    applied, reach = _observe(stage, sku, Availability.OUT_OF_STOCK, 0, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(_with_reach(applied, reach, dry_run=dry_run)))
    elif applied.before.availability is Availability.COMING_SOON:
        click.echo(f"{sku} was never on sale, so it cannot be sold out: its page says coming soon, as before")
    elif applied.before.availability is Availability.OUT_OF_STOCK:
        click.echo(f"{sku} {'is' if dry_run else 'was'} sold out already")
    else:
        are = "would be" if dry_run else "are"
        click.echo(f"{sku} {'would be' if dry_run else 'is'} sold out: its pages {are} refreshed")
        waits = pluralize(reach.waiting, "person waits", "people wait")
        click.echo(f"  they take signups; {waits}, and nobody is emailed until it is available again")


def _with_reach(applied: StoredEvent, reach: Reach, *, dry_run: bool) -> dict[str, object]:
    """Return an event as JSON values, with the people that it reaches."""
    emails = reach.emails if applied.restock else 0
    return {**applied.to_document(), "waiting": reach.waiting, "emails": emails, "dry_run": dry_run}


def _observe(
    stage: Stage, sku: Sku, availability: Availability, units: int | None, *, dry_run: bool
) -> tuple[StoredEvent, Reach]:
    """Store an availability event, or in a dry run none; return it with the people that it reaches."""
    tables = stage.container()
    products = tables.products
    stocked = stocked_with(products, sku)
    if stocked is None or sku not in stocked.stock:
        raise not_sold(sku, stage.name, SkuIndex.of(products))
    # Counted before: once the variant is available, people leave the waitlist.
    reach = reach_of(tables, sku, stocked.product.slug, units)
    # A command counts as the newest event, even if this machine's clock is late.
    event = AvailabilityEvent(uuid.uuid4().hex, sku, availability, units, clock_ms(), by_arrival=True)
    if not dry_run:
        match Availabilities(products).apply(event).outcome:
            case EventOutcome.UNKNOWN_SKU:  # withdrawn since it was looked at
                raise not_sold(sku, stage.name, SkuIndex.of(products))
            case EventOutcome.BUSY:
                raise WorkFailed(f"{sku}: too many events about it at once", hint="try again")
    return StoredEvent(event, stocked.stock[sku]), reach


@click.command("stock")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--atomic", is_flag=True, help="Change all lines or nothing.")
@click.option(
    "--dry-run", is_flag=True, help="Show the changes and how many people would be emailed; change nothing."
)
@json_option
@stage_option
@click.pass_obj
def stock_command(
    project: Project, file: Path, stage_name: str, *, atomic: bool, dry_run: bool, as_json: bool
) -> None:
    """Import the stock of many variants from a CSV file.

    The columns are sku,stock, separated by commas, semicolons or tabs; 0 or less means sold out. Valid lines
    are imported, the others are listed. Numbers such as 1,000 are read as in the shop's first locale.

    \b
    Examples:
      spillway stock stock.csv --dry-run --stage production
      spillway stock stock.csv --atomic --stage production
    """
    # Only here: `spillway available` does not wait for the locales' number formats.
    from spillway.merchant.stock_import import apply_all_or_nothing, plan, read_stock_file

    stage = stage_named(project, stage_name)
    read = read_stock_file(file, locale=first_locale(project))
    tables = stage.container()
    planned = plan(read, tables.products, tables.shards, at_ms=clock_ms(), new_id=lambda: uuid.uuid4().hex)
    if dry_run:
        _show_import(planned, as_json=as_json, verb="would change")
        _require_none(file, planned.mistakes, written=False)
        return
    if atomic:
        _require_none(file, planned.mistakes, written=False)
        if not apply_all_or_nothing(planned.changes, Availabilities(tables.products)):
            raise WorkFailed(f"{file}: newer events came meanwhile; nothing was changed", hint="try again")
        _show_import(planned, as_json=as_json, verb="changed")
        return
    overtaken = apply_import(planned.changes, Availabilities(tables.products))
    _show_import(planned, as_json=as_json, verb="changed")
    _require_none(file, (*planned.mistakes, *overtaken), written=True)


def first_locale(project: Project) -> str:
    """Return the shop's first locale, which its spreadsheets write numbers in; without one, English."""
    from babel import Locale, UnknownLocaleError

    try:
        locales = tomllib.loads((project.site / "site.toml").read_text("utf-8")).get("locales", ["en"])
        locale = str(locales[0] if isinstance(locales, list) else locales)
        Locale.parse(locale, sep="-")
    except (OSError, ValueError, IndexError, TypeError, UnknownLocaleError):
        return "en"
    return locale


def _show_import(planned: "StockImport", *, as_json: bool, verb: str) -> None:
    if as_json:
        document = {
            "changes": [_document(change) for change in planned.changes],
            "unchanged": planned.unchanged,
            "mailed": planned.mailed,
            "mistakes": [{"line": mistake.line, "what": mistake.what} for mistake in planned.mistakes],
        }
        click.echo(json.dumps(document, indent=1))
        return
    for change in planned.changes:
        before, event = change.before, change.event
        mailed = f", {pluralize(change.mailed, 'waits', 'wait')} for it" if change.mailed else ""
        click.echo(
            f"{event.sku}: {before.availability} {_units(before.units)} -> "
            f"{event.availability} {_units(event.units)}{mailed}"
        )
    coming = [change.event.sku for change in planned.changes if _is_coming(change)]
    if coming:
        counts = pluralize(len(coming), "count is of a variant that is", "counts are of variants that are")
        click.echo(f"{counts} coming soon; to put it on sale: spillway {_typed('available', coming[0])}")
    click.echo(
        f"{len(planned.changes):,} {verb}, "
        f"{pluralize(planned.unchanged, 'is as it was', 'are as they were')}, "
        f"{pluralize(planned.mailed, 'email')} to send"
    )


def _is_coming(change: "StockFileChange") -> bool:
    return change.before.availability is Availability.COMING_SOON


def _document(change: "StockFileChange") -> dict[str, object]:
    return {
        "sku": change.event.sku,
        "before": {"availability": change.before.availability, "units": change.before.units},
        "after": {"availability": change.event.availability, "units": change.event.units},
        "mailed": change.mailed,
    }


def _units(units: int | None) -> str:
    return "(not counted)" if units is None else f"({units})"


def _require_none(file: Path, mistakes: "tuple[LineMistake, ...]", *, written: bool) -> None:
    if not mistakes:
        return
    listed = "\n".join(f"  {file}: {mistake}" for mistake in mistakes)
    if written:
        raise WorkFailed(f"{pluralize(len(mistakes), 'line was', 'lines were')} not imported:\n{listed}")
    raise BadInput(
        f"{pluralize(len(mistakes), 'line is', 'lines are')} wrong, nothing was changed:\n{listed}"
    )
