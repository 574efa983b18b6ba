"""Change a waitlist: `spillway waitlist import` and `spillway waitlist move`, beside `waitlist recount`."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click

from chalicelib.container import Container
from chalicelib.domain.entry import Arrival
from chalicelib.domain.ids import Sku
from chalicelib.settings import clock_ms
from spillway.commands.import_result import ShownImport, require_no_mistakes, show_import
from spillway.commands.options import SKU, ChoiceType, json_option, on_stage, refuse_ignored, stage_option
from spillway.commands.people import access_log, digest_of
from spillway.commands.recount import recount_command
from spillway.errors import BadInput, WorkFailed
from spillway.importing.table import read_table
from spillway.merchant import import_options, intake
from spillway.merchant.export_columns import Column, Tool
from spillway.merchant.export_rows import ExportOptions, columns_of, read_rows, reading_note
from spillway.merchant.import_details import details_file, require_details_file, write_details
from spillway.merchant.import_rules import ImportContext
from spillway.merchant.intake import Move, MoveOutcome, waiting
from spillway.merchant.rows import EntriesBusy, EntryRows
from spillway.merchant.stock_import import SkuIndex, not_sold, require_sold, typed
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import pluralize, progress_bar

now_option = click.option("--notify-now", is_flag=True, help="Email people at once if the SKU is in stock.")
later_option = click.option("--next-restock", is_flag=True, help="Make people wait for the next restock.")


@click.group("waitlist")
def waitlist_command() -> None:
    """Import or move people, or check the counters of people waiting."""


waitlist_command.add_command(recount_command)


@waitlist_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--from",
    "tool",
    type=ChoiceType([tool.value for tool in Tool]),
    default="csv",
    show_default=True,
    help="The tool that wrote the file.",
)
@click.option("--sku", type=SKU, metavar="SKU", help="The SKU of all rows.")
@click.option("--email-column", metavar="NAME", help="The column of the address.")
@click.option("--sku-column", metavar="NAME", help="The column of the SKU.")
@click.option("--time-column", metavar="NAME", help="The time of the signup; it orders the waitlist.")
@click.option("--status-column", metavar="NAME", help="The column that says who unsubscribed.")
@click.option("--consent-column", metavar="NAME", help="The column of the consent.")
@click.option(
    "--consent-text",
    metavar="TEXT",
    help="The consent text that everybody in the file agreed to.",
)
@click.option(
    "--sku-map",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A table of two columns: the value in the file, and its SKU here.",
)
@click.option(
    "--timezone", metavar="ZONE", default="UTC", show_default=True, help="The time zone of times without one."
)
@click.option("--date-format", metavar="FORMAT", help="The format of times, for example %d/%m/%Y %H:%M.")
@click.option("--encoding", metavar="NAME", default="", help="The files' encoding, if it is not UTF-8.")
@click.option("--locale", metavar="LOCALE", help="The language of the emails, as in site.toml.")
@click.option("--ask", is_flag=True, help="Email each person a confirmation first, even without consent.")
@now_option
@later_option
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file for the details; it replaces only details of an import.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
@json_option
@stage_option
@click.pass_obj
def import_command(  # noqa: PLR0913 - one argument for each option
    project: Project,
    /,
    file: Path,
    *,
    tool: str,
    sku: Sku | None,
    sku_map: Path | None,
    consent_text: str | None,
    timezone: str,
    date_format: str | None,
    encoding: str,
    locale: str | None,
    report: Path | None,
    stage_name: str,
    ask: bool,
    notify_now: bool,
    next_restock: bool,
    dry_run: bool,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Import people from another tool's export.

    FILE is an export of Klaviyo, Swym or a WooCommerce plugin, or a CSV file of email, sku, time and consent.
    People join in the order of their signup times. Consent is imported with its proof: the tool, the file's
    digest, the row and the time. No confirmation is emailed without --ask. People are left out and counted if
    they unsubscribed, there or here, are suppressed, or never agreed. Importing a file twice changes nothing.

    \b
    Examples:
      spillway waitlist import klaviyo.csv --from klaviyo --sku FJ-INK-L --dry-run
      spillway waitlist import swym.csv --from swym --sku-map variants.csv --next-restock
      spillway waitlist import people.csv --consent-text "Email me when it is back"

    Exit status: 0 when each row was read, 1 when some have errors and the others were imported, 2 when
    nothing was imported.
    """
    if ask:
        refuse_ignored("with --ask", ignored={"notify_now", "next_restock"})
    options = ExportOptions(
        Tool(tool),
        sku,
        {Column(name.removesuffix("_column")): column for name, column in columns.items() if column},
        import_options.sku_map(sku_map, encoding=encoding) if sku_map else {},
        consent_text,
        import_options.zone(timezone),
        None if date_format is None else import_options.date_format(date_format),
    )
    at_ms = clock_ms()
    digest = digest_of(file)
    details = report or details_file(project, digest)
    require_details_file(details, file)
    table = read_table(file, encoding=encoding, columns_min=1)
    rows = read_rows(file, table, options, now_ms=at_ms)
    if note := reading_note(file, columns_of(file, table, options)):
        click.echo(note, err=True)
    arrival = _arrival(notify_now=notify_now, next_restock=next_restock)
    stage = stage_named(project, stage_name)
    tables = stage.container()
    here = _here(tables, locale)
    if options.sku:
        require_sold(tables.products, options.sku, stage.name)
    entries = EntryRows.of(tables)
    decisions = intake.decide(
        rows, here, entries, tables.suppressions, source=tool, file_sha256=digest, ask=ask, at_ms=at_ms
    )
    in_stock = intake.available(decisions, here.sold)
    if in_stock and arrival is None and not dry_run:
        raise _choose(in_stock)
    use = "waitlist import --dry-run" if dry_run else "waitlist import"
    # A dry run reveals which addresses of the file are known here.
    access_log(stage).note(use, f"file {digest[:16]}", at_ms=at_ms)
    if not dry_run:
        with progress_bar() as bar:
            task = bar.add_task(
                "importing", total=sum(decision.newcomer is not None for decision in decisions)
            )
            try:
                decisions = intake.write(
                    decisions,
                    entries,
                    arrival or Arrival.NEXT_RESTOCK,
                    lambda count: bar.advance(task, count),
                    at_ms=at_ms,
                )
            except EntriesBusy as busy:
                raise WorkFailed(
                    f"{file}: the import broke off: {busy}",
                    hint="import the same file again: it goes on with the others",
                ) from busy
    show_import(
        ShownImport(file, tool, digest, decisions, in_stock, arrival, details, dry_run=dry_run),
        as_json=as_json,
    )
    try:
        write_details(details, decisions)
    except (OSError, BadInput) as error:
        raise WorkFailed(
            f"the details were not written: {error}", hint="make room, and import the same file again"
        ) from error
    require_no_mistakes(file, decisions, dry_run=dry_run)


@waitlist_command.command("move")
@click.argument("old", type=SKU, metavar="OLD_SKU")
@click.argument("new", type=SKU, metavar="NEW_SKU")
@now_option
@later_option
@click.option("--dry-run", is_flag=True, help="Count the people; change nothing.")
@json_option
@stage_option
@click.pass_obj
def move_command(
    project: Project,
    old: Sku,
    new: Sku,
    stage_name: str,
    *,
    notify_now: bool,
    next_restock: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move people from OLD_SKU to NEW_SKU.

    They keep their positions and their consent. Use it when an SKU was renamed or replaced. A person on both
    waitlists gets the earlier position. A person who was notified about NEW_SKU, or unsubscribed from it,
    after signing up for OLD_SKU stays so. A person who has not confirmed yet is emailed a confirmation for
    NEW_SKU. Unsubscribe links about OLD_SKU end the entry of NEW_SKU. Repeat the command if it was
    interrupted, or if more people signed up meanwhile.

    \b
    Example:
      spillway waitlist move FJ-INK-L FJ-INK-XL --stage production
    """
    if old == new:
        raise BadInput(f"SKU {old!r}: it is the same SKU twice", hint="name another SKU to move to")
    stage = stage_named(project, stage_name)
    tables = stage.container()
    entries = EntryRows.of(tables)
    require_sold(tables.products, new, stage.name)
    arrival = _arrival(notify_now=notify_now, next_restock=next_restock)
    at_ms = clock_ms()
    if _can_buy(tables, old):
        raise BadInput(
            f"SKU {old!r}: it is in stock, its waitlist is being emailed",
            hint=f"mark it sold out first: spillway {typed('sold-out', old, *on_stage().split())}",
        )
    count = sum(1 for _ in waiting(entries.of_sku(old), at_ms=at_ms))
    if _can_buy(tables, new) and arrival is None and count and not dry_run:
        raise _choose({new: count})
    if not count:
        _warn_of_unknown(tables, old, stage.name)
    if dry_run:
        _show_moved(old, new, Counter({MoveOutcome.MOVED: count}), dry_run=True, as_json=as_json)
        return
    access_log(stage).note("waitlist move", f"SKUs {old} {new}", at_ms=at_ms)
    with progress_bar() as bar:
        task = bar.add_task("moving", total=count)
        move = Move(entries, old, new, arrival or Arrival.NEXT_RESTOCK, at_ms)
        moved = move.carry_out(lambda done: bar.advance(task, done))
    _show_moved(old, new, moved, dry_run=False, as_json=as_json)
    if moved[MoveOutcome.CHANGED]:
        raise WorkFailed(
            f"{pluralize(moved[MoveOutcome.CHANGED], 'entry', 'entries')} changed meanwhile and stayed",
            hint="move again: it does what is left",
        )


def _choose(in_stock: Mapping[Sku, int]) -> BadInput:
    listed = ", ".join(f"{sku} ({pluralize(count, 'person', 'people')})" for sku, count in in_stock.items())
    return BadInput(
        f"in stock now: {listed}; nothing was changed",
        hint="--notify-now emails them at once, --next-restock has them wait for the next restock",
    )


def _show_moved(old: Sku, new: Sku, moved: Counter[MoveOutcome], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        counts = {outcome.name.lower(): moved[outcome] for outcome in MoveOutcome if moved[outcome]}
        click.echo(json.dumps({"from": old, "to": new, "counts": counts, "dry_run": dry_run}, indent=1))
        return
    if not moved.total():
        click.echo(f"nobody waits for {old}")
    for outcome in MoveOutcome:
        if moved[outcome]:
            word = f"would be {outcome}" if dry_run else outcome
            click.echo(f"{moved[outcome]:>9,}  {word}")


def _warn_of_unknown(tables: Container, sku: Sku, stage: str) -> None:
    """Print that a stage has never sold an SKU, with similar ones; a typo is likely where nobody waits."""
    every = tuple(tables.products.scan())
    known = {sku for stocked in every for sku in stocked.product.skus | stocked.stock.keys()}
    if sku not in known:
        error = not_sold(sku, stage, SkuIndex.of(tables.products))
        click.echo(f"{error.message}; {error.hint}", err=True)


def _arrival(*, notify_now: bool, next_restock: bool) -> Arrival | None:
    if notify_now and next_restock:
        raise BadInput("--notify-now and --next-restock exclude each other", hint="choose one")
    if notify_now:
        return Arrival.NOW
    return Arrival.NEXT_RESTOCK if next_restock else None


def _can_buy(tables: Container, sku: Sku) -> bool:
    products = tables.products
    slug = products.slug_of(sku)
    stocked = products.get(slug) if slug else None
    return stocked is not None and stocked.can_buy(sku)


def _here(tables: Container, locale: str | None) -> ImportContext:
    theme = tables.themes.live().theme
    editions = {edition.shop.locale: edition for edition in theme.editions}
    if locale is not None and locale not in editions:
        raise BadInput(
            f"--locale {locale!r}: not a language of this shop", hint=f"one of {', '.join(editions)}"
        )
    edition = editions[locale] if locale else theme.editions[0]
    listed = theme.shop.refused_domains
    sold = {
        sku: stocked
        for stocked in tables.products.scan()
        for sku in stocked.product.skus & stocked.stock.keys()
    }
    return ImportContext(
        sold,
        tables.keys.identity,
        tables.domain_lists.named(listed) if listed else frozenset(),
        lambda stocked: edition.localized_path(stocked.product.path),
    )
