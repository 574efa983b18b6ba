"""`spillway import`: another shop's products, as files that a merchant can edit."""

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from spillway.build.money_format import money_format
from spillway.counted import counted
from spillway.errors import BadInput
from spillway.importing.imported import Export
from spillway.importing.importer import Imported, PictureFolder, write_import
from spillway.importing.merchant_feed import read_merchant_feed
from spillway.importing.plain import read_plain
from spillway.importing.shopify import read_shopify
from spillway.importing.taking import take
from spillway.project import Project

FORMATS: dict[str, Callable[[Path], Export]] = {
    "shopify": read_shopify,
    "csv": read_plain,
    "google": read_merchant_feed,
}
REPORT = "import-report.txt"
_LINES_SHOWN_MAX = 20


@click.command("import")
@click.argument("format_name", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--images", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where the pictures are."
)
@click.option("--no-images", is_flag=True, help="Take no pictures.")
@click.option("--category", default="Everything else", show_default=True, help="For products without one.")
@click.option("--overwrite", is_flag=True, help="Also replace files that were edited by hand.")
@click.pass_obj
def import_command(
    project: Project,
    format_name: str,
    file: Path,
    images: Path | None,
    category: str,
    *,
    no_images: bool,
    overwrite: bool,
) -> None:
    """Make product files of FILE: a Shopify export, a plain CSV (sku,title,price,stock) or a Google feed.

    Files that were edited since the last import are kept. What could not be taken over is listed, and
    all of it is written to build/import-report.txt.
    """
    if images and no_images:
        raise BadInput("--images and --no-images: which of the two?")
    site = _site(project)
    export = FORMATS[format_name](file)
    pictures = PictureFolder(images, project.site / "pictures")
    taken = take(
        export,
        fraction_digits=_fraction_digits(site),
        picture=(lambda url: None) if no_images else pictures.find,
        fallback_category=category,
    )
    if not taken.products:
        raise BadInput(f"{file}: not one product to take", way_out="look at what the file holds")
    known = {
        str(each.get("title", "")).lower(): str(each.get("slug", "")) for each in site.get("categories", ())
    }
    done = write_import(project, taken, categories=known, pictures=pictures, overwrite=overwrite)
    _tell(project, done)


def _tell(project: Project, done: Imported) -> None:
    total = done.written + done.unchanged + len(done.kept)
    click.echo(
        f"{counted(total, 'product')} with {counted(done.variants, 'variant')}: "
        f"{counted(done.written, 'file')} written, {done.unchanged:,} unchanged, "
        f"{len(done.kept):,} edited by hand and kept"
    )
    if done.left_out:
        click.echo(f"  left out: {len(done.left_out):,} of {total + len(done.left_out):,} products")
    for title in done.new_categories:
        click.echo(f"  new category in site/site.toml: {title}")
    lines = [str(each) for each in done.left_out]
    lines += [f"{name}: edited by hand, kept as it is" for name in done.kept]
    lines += [f"{name}: no longer in the export, kept" for name in done.gone]
    lines += [str(each) for each in done.not_taken]
    project.output.mkdir(exist_ok=True)
    (project.output / REPORT).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for line in lines[:_LINES_SHOWN_MAX]:
        click.echo(f"  {line}")
    if len(lines) > _LINES_SHOWN_MAX:
        click.echo(f"  and {len(lines) - _LINES_SHOWN_MAX} more: build/{REPORT}")


def _site(project: Project) -> dict[str, list[dict[str, object]]]:
    try:
        return tomllib.loads((project.site / "site.toml").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInput(f"site/site.toml: {error}", way_out="correct it, then import") from error


def _fraction_digits(site: dict[str, list[dict[str, object]]]) -> int:
    locales: Sequence[object] = site.get("locales") or ["en"]
    try:
        return money_format(str(site.get("currency")), str(locales[0])).fraction_digits
    except ValueError as error:
        raise BadInput(
            f"site/site.toml: currency or locales: {error} is not known",
            way_out='currency = "GBP", locales = ["en-GB"]',
        ) from error
