"""`spillway stock`: what is in stock, for many variants at once."""

import json
import tomllib
import uuid
from pathlib import Path

import click
from babel import Locale, UnknownLocaleError

from chalicelib.clock import clock_ms
from chalicelib.services.availability import Availabilities
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.stock_file import LineMistake, read_stock_file
from spillway.merchant.stock_import import Change, StockImport, apply, apply_all_or_nothing, plan
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables


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
    stage = stage_named(project, stage_name)
    read = read_stock_file(file, locale=first_locale(project))
    tables = StageTables.of(stage)
    taking = plan(read, tables.products, tables.shards, at_ms=clock_ms(), new_id=lambda: uuid.uuid4().hex)
    if dry_run:
        _show(taking, as_json=as_json, verb="would change")
        _require_none(file, taking.mistakes, written=False)
        return
    if atomic:
        _require_none(file, taking.mistakes, written=False)
        if not apply_all_or_nothing(taking.changes, Availabilities(tables.products)):
            raise WorkFailed(f"{file}: newer events came in between; nothing was changed", hint="try again")
        _show(taking, as_json=as_json, verb="changed")
        return
    overtaken = apply(taking.changes, Availabilities(tables.products))
    _show(taking, as_json=as_json, verb="changed")
    _require_none(file, (*taking.mistakes, *overtaken), written=True)


def first_locale(project: Project) -> str:
    """The first of the shop's locales, in which its spreadsheets write numbers; else English."""
    try:
        locales = tomllib.loads((project.site / "site.toml").read_text("utf-8")).get("locales", ["en"])
        locale = str(locales[0] if isinstance(locales, list) else locales)
        Locale.parse(locale, sep="-")
    except (OSError, ValueError, IndexError, TypeError, UnknownLocaleError):
        return "en"
    return locale


def _show(taking: StockImport, *, as_json: bool, verb: str) -> None:
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


def _document(change: Change) -> dict[str, object]:
    return {
        "sku": change.event.sku,
        "before": {"availability": change.before.availability, "units": change.before.units},
        "after": {"availability": change.event.availability, "units": change.event.units},
        "mailed": change.mailed,
    }


def _units(units: int | None) -> str:
    return "(not counted)" if units is None else f"({units})"


def _require_none(file: Path, mistakes: tuple[LineMistake, ...], *, written: bool) -> None:
    if not mistakes:
        return
    listed = "\n".join(f"  {file}: {mistake}" for mistake in mistakes)
    if written:
        raise WorkFailed(f"{pluralize(len(mistakes), 'line was', 'lines were')} not taken in:\n{listed}")
    raise BadInput(
        f"{pluralize(len(mistakes), 'line is', 'lines are')} wrong, nothing was changed:\n{listed}"
    )
