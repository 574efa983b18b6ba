"""Imports for tests: exports made of values, and the shop they go into."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from spillway.importing.imported import Export, ImportedPicture, ImportedProduct, ImportedVariant
from spillway.importing.importer import ImportRequest, run_import
from spillway.importing.reading import ReadOptions
from spillway.importing.report import ImportReport
from spillway.project import Project

TODAY = "2026-09-01"


def variant(sku: str, *options: tuple[str, str], line: int = 2, **fields: object) -> ImportedVariant:
    values: dict[str, object] = {"price": "5.00", "units": 3, **fields}
    return ImportedVariant(place=f"line {line}", sku=sku, options=options, **values)


def product(
    handle: str, *variants: ImportedVariant, line: int = 2, pictures: Sequence[str] = (), **fields: object
) -> ImportedProduct:
    values: dict[str, object] = {
        "title": handle.title() or "A thing",
        "category": "Mugs",
        "summary": "",
        "details": (),
        "tags": (),
        **fields,
    }
    return ImportedProduct(
        place=f"line {line}",
        handle=handle,
        variants=variants,
        pictures=tuple(ImportedPicture(url, "A thing") for url in pictures),
        **values,
    )


def import_products(
    shop: Project,
    products: Iterable[ImportedProduct],
    *,
    images: Path | None = None,
    no_images: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    today: str = TODAY,
) -> ImportReport:
    export = Export(tuple(products), ())
    request = ImportRequest(
        file=Path("export.csv"),
        read=lambda file, options: export,
        read_options=ReadOptions(currency=""),
        images=images,
        no_images=no_images,
        fallback_category="Everything else",
        overwrite=overwrite,
        dry_run=dry_run,
        today=today,
    )
    return run_import(shop, request)


def files_of(shop: Project) -> dict[str, bytes]:
    """Everything a merchant edits that an import writes."""
    found = [*(shop.site / "products").iterdir(), shop.site / "site.toml", shop.site / "redirects.toml"]
    return {file.name: file.read_bytes() for file in found if file.is_file()}


def lines_of(report: ImportReport, kind: str) -> list[str]:
    """The lines of the report's group whose title has `kind` in it."""
    groups = (*report.names, *report.findings, *report.files)
    return [line for group in groups if kind in group.title for line in group.lines]
