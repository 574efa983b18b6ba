"""Change stock: `spillway available`, `sold-out` and `stock`."""

import json
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chalicelib.clock import clock_ms
from chalicelib.domain.availability import UNITS_MAX, AvailabilityEvent, Outcome
from chalicelib.domain.stock import Availability, Stock, is_restock
from chalicelib.services.availability import Availabilities
from chalicelib.tables.products import stocked_with
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.skus import SkuIndex, not_sold, require_sku, typed
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import Stage, stage_named
from spillway.stage_tables import StageTables

if TYPE_CHECKING:
    from spillway.merchant.stock_import import Change, LineMistake, StockImport


@dataclass(frozen=True, slots=True)
class TakenIn:
    """An event that was taken in, and the stock `before` it."""

    event: AvailabilityEvent
    before: Stock

    @property
    def restock(self) -> bool:
        """Whether who waits will hear of it."""
        return is_restock(self.before, self.event.applied_to(self.before).stock)

    def to_document(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "sku": self.event.sku,
            "availability": self.event.availability,
            "units": self.event.units,
            "event_id": self.event.id,
            "restock": self.restock,
        }


@click.command("available")
@click.argument("sku")
@click.option(
    "--stock",
    "units",
    type=click.IntRange(0, UNITS_MAX),
    metavar="N",
    help="How many units there are; left out where the shop does not count.",
)
@json_option
@stage_option
@click.pass_obj
def available_command(
    project: Project, sku: str, units: int | None, stage_name: str, *, as_json: bool
) -> None:
    """Mark a variant as available: its page says "buy", and who waits for it is told.

    An SKU is taken exactly as the shop spells it. Put it in quotes if it has spaces or signs; one that begins
    with a hyphen comes last, after two hyphens: spillway available --stock 5 -- -1042.
    """
    sku = require_sku(sku)
    if units == 0:
        raise BadInput("--stock 0: none can be had", hint=f"spillway {typed('sold-out', sku)} says so")
    taken = _observe(stage_named(project, stage_name), sku, Availability.IN_STOCK, units)
    if as_json:
        click.echo(json.dumps(taken.to_document()))
    elif taken.restock:
        click.echo(f"{sku} is available; its page turns and who waits for it is told, in the order they came")
        click.echo(f"  how far the emails are: spillway {typed('waves', sku)}")
    else:
        click.echo(f"{sku} was available already{_units_suffix(taken)}; nobody new is told")


def _units_suffix(taken: TakenIn) -> str:
    now, before = taken.event.units, taken.before.units
    if now is None:
        return ""
    return f": {now:,} now" + (f", {before:,} before" if before is not None else "")


@click.command("sold-out")
@click.argument("sku")
@json_option
@stage_option
@click.pass_obj
def sold_out_command(project: Project, sku: str, stage_name: str, *, as_json: bool) -> None:
    """Mark a variant as sold out: its page takes waitlist signups, and emails under way stop."""
    sku = require_sku(sku)
    taken = _observe(stage_named(project, stage_name), sku, Availability.OUT_OF_STOCK, 0)
    if as_json:
        click.echo(json.dumps(taken.to_document()))
    elif taken.before.availability is Availability.OUT_OF_STOCK:
        click.echo(f"{sku} was sold out already")
    else:
        click.echo(f"{sku} is sold out; its page turns, and emails about it stop")


def _observe(stage: Stage, sku: str, availability: Availability, units: int | None) -> TakenIn:
    """Take the event in."""
    products = StageTables.of(stage).products
    stocked = stocked_with(products, sku)
    if stocked is None or sku not in stocked.stock:
        raise not_sold(sku, stage.name, SkuIndex.of(products))
    # A command comes after every event before it, whatever this machine's clock says.
    event = AvailabilityEvent(uuid.uuid4().hex, sku, availability, units, clock_ms(), by_arrival=True)
    match Availabilities(products).take_in(event).outcome:
        case Outcome.UNKNOWN_SKU:  # withdrawn since it was looked at
            raise not_sold(sku, stage.name, SkuIndex.of(products))
        case Outcome.BUSY:
            raise WorkFailed(f"{sku}: too many events about it come at once", hint="try again")
    return TakenIn(event, stocked.stock[sku])


@click.command("stock")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--atomic", is_flag=True, help="All of the file or nothing of it.")
@click.option("--dry-run", is_flag=True, help="Show what would change and how many would be mailed.")
@json_option
@stage_option
@click.pass_obj
def stock_command(
    project: Project, file: Path, stage_name: str, *, atomic: bool, dry_run: bool, as_json: bool
) -> None:
    """Take in a CSV file of sku,stock: 0 or less is sold out. Good lines count, the others are listed.

    Columns are set apart by commas, semicolons or tabs; 1,000 is read as the shop's first locale writes it.
    """
    # Only here: `spillway available` does not wait for the locales' number formats.
    from spillway.merchant.stock_import import apply, apply_all_or_nothing, plan, read_stock_file

    stage = stage_named(project, stage_name)
    read = read_stock_file(file, locale=first_locale(project))
    tables = StageTables.of(stage)
    taking = plan(read, tables.products, tables.shards, at_ms=clock_ms(), new_id=lambda: uuid.uuid4().hex)
    if dry_run:
        _show_import(taking, as_json=as_json, verb="would change")
        _require_none(file, taking.mistakes, written=False)
        return
    if atomic:
        _require_none(file, taking.mistakes, written=False)
        if not apply_all_or_nothing(taking.changes, Availabilities(tables.products)):
            raise WorkFailed(f"{file}: newer events came in between; nothing was changed", hint="try again")
        _show_import(taking, as_json=as_json, verb="changed")
        return
    overtaken = apply(taking.changes, Availabilities(tables.products))
    _show_import(taking, as_json=as_json, verb="changed")
    _require_none(file, (*taking.mistakes, *overtaken), written=True)


def first_locale(project: Project) -> str:
    """The first of the shop's locales, in which its spreadsheets write numbers; else English."""
    from babel import Locale, UnknownLocaleError

    try:
        locales = tomllib.loads((project.site / "site.toml").read_text("utf-8")).get("locales", ["en"])
        locale = str(locales[0] if isinstance(locales, list) else locales)
        Locale.parse(locale, sep="-")
    except (OSError, ValueError, IndexError, TypeError, UnknownLocaleError):
        return "en"
    return locale


def _show_import(taking: "StockImport", *, as_json: bool, verb: str) -> None:
    if as_json:
        document = {
            "changes": [_document(change) for change in taking.changes],
            "unchanged": taking.unchanged,
            "mailed": taking.mailed,
            "mistakes": [{"line": each.line, "what": each.what} for each in taking.mistakes],
        }
        click.echo(json.dumps(document, indent=1))
        return
    for change in taking.changes:
        before, event = change.before, change.event
        mailed = f", {pluralize(change.mailed, 'waits', 'wait')} for it" if change.mailed else ""
        click.echo(
            f"{event.sku}: {before.availability} {_units(before.units)} -> "
            f"{event.availability} {_units(event.units)}{mailed}"
        )
    click.echo(
        f"{len(taking.changes):,} {verb}, {pluralize(taking.unchanged, 'is as it was', 'are as they were')}, "
        f"{pluralize(taking.mailed, 'email')} to send"
    )


def _document(change: "Change") -> dict[str, object]:
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
        raise WorkFailed(f"{pluralize(len(mistakes), 'line was', 'lines were')} not taken in:\n{listed}")
    raise BadInput(
        f"{pluralize(len(mistakes), 'line is', 'lines are')} wrong, nothing was changed:\n{listed}"
    )
