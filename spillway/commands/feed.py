"""`spillway feed`: the catalogue as other services read it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spillway.errors import BadInput
from spillway.pluralize import pluralize
from spillway.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chalicelib.domain.product import Product
    from chalicelib.domain.stock import Stock
    from chalicelib.storefront.theme import Edition
    from spillway.sitegen.edition_rendering import StockBySlug
    from spillway.sitegen.reading.catalogue import CatalogueProduct


@click.group("feed")
def feed_command() -> None:
    """Write the catalogue as other services read it."""


@feed_command.command("google")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    metavar="FILE",
    help="Write to this file; standard output without it.",
)
@click.option(
    "--stage", "stage_name", metavar="NAME", help="With the stock of this stage, not that of the files."
)
@click.option("--base-url", metavar="URL", help="For this address instead of the one in site.toml.")
@click.option("--locale", metavar="LOCALE", help="In this locale of the shop; its first one without it.")
@click.pass_obj
def google_command(
    project: Project, output: Path, stage_name: str | None, base_url: str | None, locale: str | None
) -> None:
    """Write a product feed for Google Merchant Center: an item for each variant.

    \b
    spillway feed google -o products.xml
    spillway feed google --stage prod -o products.xml
    """
    # Loaded only now: the other commands do not wait for the picture library.
    from spillway.sitegen.merchant_feed import merchant_feed
    from spillway.sitegen.site import release_source_of

    stock: StockBySlug = {}
    if stage_name is not None:
        url, stock = _live(project, stage_name)
        base_url = base_url or url
    source = release_source_of(project, base_url=base_url).source
    edition = _edition_of(source.theme.editions, locale)
    today = datetime.now(UTC).date().isoformat()
    feed = merchant_feed(edition, _stocked(source.products, stock), today=today)
    if str(output) == "-":
        click.echo(feed.text, nl=False)
    else:
        _write(output, feed.text)
    for line in feed.warnings:
        click.echo(line, err=True)
    click.echo(f"{pluralize(feed.items, 'item')} for {edition.shop.base_url}", err=True)


def _live(project: Project, stage_name: str) -> tuple[str | None, "StockBySlug"]:
    """Where the shop of a stage is served, if not at its base_url; and its stock as it is now."""
    from spillway.stage import stage_named
    from spillway.stage_tables import StageTables

    stage = stage_named(project, stage_name)
    products = StageTables.of(stage).products
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
) -> "Iterator[tuple[Product, Mapping[str, Stock]]]":
    for entry in products:
        yield entry.product, {**entry.stock, **stock.get(entry.product.slug, {})}


def _write(file: Path, text: str) -> None:
    """Write all of the file or nothing of it."""
    beside = file.with_name(f".{file.name}.unfinished")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        raise BadInput(
            f"--output {file}: {error.strerror}", hint="name a file in a folder that is there"
        ) from error
