"""Exchange the catalogue with other services: `spillway import` and `spillway feed`."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spillway.commands.options import ChoiceType, quiet_option, refuse_ignored, write_whole
from spillway.errors import BadInput
from spillway.importing.generic_csv import own_name, read_plain
from spillway.importing.imported import Export
from spillway.importing.importer import ImportRequest, NothingImported, run_import
from spillway.importing.merchant_feed import read_merchant_feed
from spillway.importing.names import one_line
from spillway.importing.normalize import CATEGORY_LENGTH_MAX
from spillway.importing.reading import ReadOptions, origin_of
from spillway.importing.report import ImportReport
from spillway.importing.shopify import read_shopify
from spillway.importing.woocommerce import read_woocommerce
from spillway.project import Project
from spillway.sitegen.parallel import WorkerPool, chunks_of, collector_off
from spillway.terminal import Show, pluralize, terminal_bar

if TYPE_CHECKING:
    from chalicelib.domain.ids import Sku
    from chalicelib.domain.product import Product
    from chalicelib.domain.stock import Stock
    from chalicelib.storefront.theme import Edition
    from spillway.sitegen.pages import StockBySlug
    from spillway.sitegen.reading.catalogue import CatalogueProduct

FORMATS: Mapping[str, Callable[[Path, ReadOptions], Export]] = {
    "shopify": read_shopify,
    "woocommerce": read_woocommerce,
    "csv": read_plain,
    "google": read_merchant_feed,
}
REPORT = "import-report.txt"


@click.command("import")
@click.argument("format_name", metavar="FORMAT", type=ChoiceType(list(FORMATS)))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder with the pictures.",
)
@click.option("--no-images", is_flag=True, help="Import no pictures.")
@click.option("--category", default="Everything else", show_default=True, help="For products without one.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--overwrite", is_flag=True, help="Also replace files and pictures that were edited by hand.")
@click.option(
    "--encoding", default="", metavar="NAME", help="The file's encoding, for example cp1250 or shift_jis."
)
@click.option(
    "--column", "columns", multiple=True, metavar="NAME=HEADER", help='For a CSV: price="Regular price".'
)
@click.option("--currency-as-is", is_flag=True, help="Keep the number of a price in another currency.")
@click.option(
    "--old-shop", default="", metavar="URL", help="The other shop's address, to rewrite links to its pages."
)
@quiet_option
@click.pass_obj
def import_command(project: Project, /, format_name: str, file: Path, **options: Any) -> None:
    """Write product files from another shop's export.

    FORMAT is shopify, woocommerce, google (a Merchant Center feed) or csv (sku,title,price,stock). Files that
    were edited since the last import are kept. Cells that could not be imported unchanged are counted on the
    screen, and listed with their places in build/import-report.txt.

    \b
    Examples:
      spillway import shopify products_export.csv --images pictures
      spillway import csv stock.csv --column price="Regular price" --dry-run

    Exit status: 0 when every product was imported, 1 when some were left out and the others were imported, 2
    when none could be.
    """
    if options["dry_run"]:
        refuse_ignored("with --dry-run", ignored={"quiet"})
    if options["images"] and options["no_images"]:
        raise BadInput("--images and --no-images: choose one")
    if options["columns"] and format_name != "csv":
        raise BadInput(f"--column is for csv: {format_name} has its own columns", hint="leave it out")
    if not 0 < len(one_line(options["category"])) <= CATEGORY_LENGTH_MAX:
        raise BadInput(f"--category: expected a title of 1 to {CATEGORY_LENGTH_MAX} characters")
    if options["old_shop"] and not origin_of(options["old_shop"]):
        raise BadInput(f"--old-shop {options['old_shop']}: expected an address such as https://shop.example")
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
        fallback_category=one_line(options["category"]),
        overwrite=options["overwrite"],
        dry_run=options["dry_run"],
        today=today,
    )
    try:
        with collector_off():
            report = run_import(project, request, share=SharedWork())
    except NothingImported as error:
        _write_import_report(project, error.report)
        for line in error.report.screen(report_path=f"build/{REPORT}"):
            click.echo(line)
        raise
    _write_import_report(project, report)
    lines = report.screen(report_path=f"build/{REPORT}")
    if not options["quiet"] or report.left_out:
        for line in lines:
            click.echo(line)
    sys.exit(1 if report.left_out else 0)


def _write_import_report(project: Project, report: ImportReport) -> None:
    project.output.mkdir(exist_ok=True)
    (project.output / REPORT).write_text(report.text(), encoding="utf-8")


def _columns(stated: Iterable[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for text in stated:
        name, equals, header = text.partition("=")
        if not (name.strip() and equals and header.strip()):
            raise BadInput(f"--column {text}: expected NAME=HEADER", hint='--column price="Regular price"')
        if (name := own_name(name)) in columns:
            raise BadInput(
                f"--column {text}: {name} is given twice", hint="name one column of the file for it"
            )
        columns[name] = header.strip()
    return columns


@click.group("feed")
def feed_command() -> None:
    """Write a product feed for another service."""


@feed_command.command("google")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    metavar="FILE",
    help="Write to this file; - is standard output.",
)
@click.option("--stage", "stage_name", metavar="NAME", help="Use the stock of this stage, not of the files.")
@click.option("--base-url", metavar="URL", help="Use this address instead of base_url in site.toml.")
@click.option("--locale", metavar="LOCALE", help="One of the shop's locales; without it, the first.")
@click.pass_obj
def google_command(
    project: Project, output: Path, stage_name: str | None, base_url: str | None, locale: str | None
) -> None:
    """Write a product feed for Google Merchant Center: an item for each variant.

    \b
    Examples:
      spillway feed google -o products.xml
      spillway feed google --stage production -o products.xml
    """
    # Imported here: `spillway import` does not wait for the site's renderer.
    from spillway.sitegen.feeds import merchant_feed
    from spillway.sitegen.site import read_site

    stock: StockBySlug = {}
    if stage_name is not None:
        url, stock = _live(project, stage_name)
        base_url = base_url or url
    source = read_site(project, base_url=base_url).source
    edition = _edition_of(source.theme.editions, locale)
    today = datetime.now(UTC).date().isoformat()
    feed = merchant_feed(edition, _stocked(source.products, stock), today=today)
    if str(output) == "-":
        click.echo(feed.text, nl=False)
    else:
        write_whole(output, feed.text, option="--output")
    for line in feed.warnings:
        click.echo(line, err=True)
    click.echo(f"{pluralize(feed.items, 'item')} for {edition.shop.base_url}", err=True)


def _live(project: Project, stage_name: str) -> tuple[str | None, "StockBySlug"]:
    """Return the address of a stage's shop, if it is not its base_url, and its current stock."""
    from spillway.stage import stage_named

    stage = stage_named(project, stage_name)
    products = stage.container().products
    return stage.shop_url, {stocked.product.slug: stocked.stock for stocked in products.scan()}


def _edition_of(editions: "Iterable[Edition]", locale: str | None) -> "Edition":
    by_locale = {edition.shop.locale: edition for edition in editions}
    if locale is None:
        return next(iter(by_locale.values()))
    if locale not in by_locale:
        raise BadInput(f"--locale {locale}: expected one of {', '.join(by_locale)}")
    return by_locale[locale]


def _stocked(
    products: "Iterable[CatalogueProduct]", stock: "StockBySlug"
) -> "Iterator[tuple[Product, Mapping[Sku, Stock]]]":
    for entry in products:
        yield entry.product, {**entry.stock, **stock.get(entry.product.slug, {})}


# A bar that disappears sooner only flickers.
PROGRESS_AFTER_S = 1.0
T = TypeVar("T")
R = TypeVar("R")


class SharedWork:
    """Do work on all cores; each phase shows a bar from one second after the command's start."""

    def __init__(
        self,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        bar: Callable[[str], AbstractContextManager[Show]] | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        """Start the clock.

        Args:
            clock_s: Returns the time, in seconds.
            bar: Opens a bar with the words beside it; the context yields what moves it.
            pool: The processes.
        """
        self._clock_s = clock_s
        self._bar = bar or terminal_bar
        self._pool = pool or WorkerPool()
        self._started_s = clock_s()

    def __call__(self, work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
        """Return the result of `work` for each part of `things`, in their order; `what` names the phase."""
        chunks = chunks_of(things)
        with ExitStack() as stack:
            show: Show | None = None

            def progress(begun: int) -> None:
                nonlocal show
                if show is None and self._clock_s() - self._started_s >= PROGRESS_AFTER_S:
                    show = stack.enter_context(self._bar(what))
                if show is not None:
                    show(begun / len(chunks))

            return self._pool.map_batches(work, chunks, progress=progress)
