"""`spillway import`: another shop's products, as files that a merchant can edit."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from spillway.commands.shared_work import SharedWork
from spillway.errors import BadInput
from spillway.importing.generic_csv import read_plain
from spillway.importing.imported import Export
from spillway.importing.importer import ImportReport, ImportRequest, NothingImported, run_import
from spillway.importing.merchant_feed import read_merchant_feed
from spillway.importing.reading import ReadOptions
from spillway.importing.shopify import read_shopify
from spillway.importing.woocommerce import read_woocommerce
from spillway.project import Project

FORMATS: Mapping[str, Callable[[Path, ReadOptions], Export]] = {
    "shopify": read_shopify,
    "woocommerce": read_woocommerce,
    "csv": read_plain,
    "google": read_merchant_feed,
}
REPORT = "import-report.txt"


@click.command("import")
@click.argument("format_name", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--images", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where the pictures are."
)
@click.option("--no-images", is_flag=True, help="Take no pictures.")
@click.option("--category", default="Everything else", show_default=True, help="For products without one.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--overwrite", is_flag=True, help="Also replace files and pictures that were edited by hand.")
@click.option("--encoding", default="", metavar="NAME", help="The file's encoding: cp1250, shift_jis.")
@click.option(
    "--column", "columns", multiple=True, metavar="NAME=HEADER", help='For a CSV: price="Regular price".'
)
@click.option("--currency-as-is", is_flag=True, help="Take prices in another currency by their number.")
@click.option("--old-shop", default="", metavar="URL", help="The other shop, for links within it.")
@click.pass_obj
def import_command(project: Project, /, format_name: str, file: Path, **options: Any) -> None:
    """Make product files of FILE: a Shopify or WooCommerce export, a Google feed, or a plain CSV
    (sku,title,price,stock).

    Files that were edited since the last import are kept. Cells that are not taken as they were are counted
    on the screen, and listed with their places in build/import-report.txt, which is written in every case.

    The exit status is 0 when products were taken, also when some were left out, and 2 when none could be.
    """
    if options["images"] and options["no_images"]:
        raise BadInput("--images and --no-images: which of the two?")
    today = datetime.now(UTC).date().isoformat()
    request = ImportRequest(
        file=file,
        read=FORMATS[format_name],
        read_options=ReadOptions(
            currency="",
            currency_as_is=options["currency_as_is"],
            encoding=options["encoding"],
            columns=_columns(options["columns"]),
            old_shop=options["old_shop"],
            today=today,
        ),
        images=options["images"],
        no_images=options["no_images"],
        fallback_category=options["category"],
        overwrite=options["overwrite"],
        dry_run=options["dry_run"],
        today=today,
    )
    try:
        with _no_collector():
            report = run_import(project, request, share=SharedWork())
    except NothingImported as error:
        _write(project, error.report)
        for line in error.report.screen(report_path=f"build/{REPORT}"):
            click.echo(line)
        raise
    _write(project, report)
    for line in report.screen(report_path=f"build/{REPORT}"):
        click.echo(line)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the collector of cycles from looking at values that have none, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _write(project: Project, report: ImportReport) -> None:
    project.output.mkdir(exist_ok=True)
    (project.output / REPORT).write_text(report.text(), encoding="utf-8")


def _columns(stated: Iterable[str]) -> dict[str, str]:
    columns = {}
    for text in stated:
        name, equals, header = text.partition("=")
        if not (name.strip() and equals and header.strip()):
            raise BadInput(f"--column {text}: expected NAME=HEADER", hint='--column price="Regular price"')
        columns[name.strip().lower()] = header.strip()
    return columns
