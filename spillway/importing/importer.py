"""Import a file: read, take, plan, carry out, and report."""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spillway.errors import BadInput
from spillway.importing.imported import Export, MapBatches, Omission, alone
from spillway.importing.names import cut
from spillway.importing.normalize import NormalizeOptions, normalize
from spillway.importing.picture_finder import PictureFinder, PictureFolders
from spillway.importing.planning import ImportPlan, ShopBefore, plan_import
from spillway.importing.reading import ReadOptions
from spillway.importing.report import ImportReport, failed_report, report_of
from spillway.importing.shop_files import ImportRecord, read_shop_files
from spillway.importing.writing import carry_out
from spillway.project import Project
from spillway.sitegen.feeds import read_root_files
from spillway.sitegen.reading.locales import money_format, root_of_locale
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.redirects import written_redirects

_DAMAGE = {
    "texts with a character that is lost in the export": re.compile("\ufffd"),
    # UTF-8 that a program read as Windows-1252: an accented letter is two characters.
    "texts that were saved in one encoding and opened in another": re.compile(
        "[\u00c2-\u00c5\u00d0\u00d1][\u00a1-\u00aa\u00ac-\u00ba\u00bc-\u00bf]|\u00c2\u00a0|\u00e2\u20ac|\u00f0\u0178"
    ),
}
_SHORTENED = re.compile(r"\d+(?:[.,]\d+)?E\+\d{1,3}", re.IGNORECASE)
_TEXTS = ("handle", "title", "description", "summary", "brand", "seo_title", "seo_description")
_CHARACTERS_BEFORE = 20
_CHARACTERS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The options of an import.

    Attributes:
        file: The export.
        read: Reads it.
        read_options: The command line's options for reading; its currency and locale are the shop's.
        images: The folder with the pictures; None without one.
        no_images: Take no pictures.
        fallback_category: The title of the category for products without one.
        overwrite: Replace files and pictures that were edited by hand, too.
        dry_run: Write nothing.
        today: The date of products that have none, such as "2026-09-01".
    """

    file: Path
    read: Callable[[Path, ReadOptions], Export]
    read_options: ReadOptions
    images: Path | None
    no_images: bool
    fallback_category: str
    overwrite: bool
    dry_run: bool
    today: str


class NothingImported(BadInput):
    """Nothing of an export could be taken. Carries the report that says why."""

    def __init__(self, message: str, *, hint: str, report: ImportReport) -> None:
        super().__init__(message, hint=hint)
        self.report = report


@dataclass(frozen=True, slots=True)
class _Settings:
    """The settings of site.toml that an import depends on."""

    text: str
    values: dict[str, Any]
    currency: str
    locales: tuple[str, ...]
    fraction_digits: int


def run_import(project: Project, request: ImportRequest, *, share: MapBatches = alone) -> ImportReport:
    """Import a file into the shop.

    Args:
        project: the shop's.
        request: what to import, and how.
        share: does the work for many products.

    Returns:
        The report of what was done, or with `dry_run` of what would be.

    Raises:
        NothingImported: there is nothing to take. Nothing was written.
    """
    try:
        settings = _settings(project)
        redirects = written_redirects(project)
        record = ImportRecord.read(project.site / "products")
        options = replace(
            request.read_options, currency=settings.currency, locale=settings.locales[0], share=share
        )
        export = request.read(request.file, options)
    except BadInput as error:
        raise NothingImported(error.message, hint=error.hint, report=failed_report(str(error))) from error
    export = replace(export, not_taken=(*export.not_taken, *_damaged(export)))
    finder = _pictures(project, request, export, record)
    normalized = normalize(
        export,
        NormalizeOptions(settings.fraction_digits, request.fallback_category),
        picture=finder.find,
        share=share,
    )
    reader = ProductFile(
        pictures=project.site / "pictures",
        fraction_digits=settings.fraction_digits,
        locales=settings.locales[1:],
        judged_only=True,
    )
    files = read_shop_files(project, record, reader, overwrite=request.overwrite)
    plan = plan_import(
        normalized,
        ShopBefore(
            files,
            record,
            settings.text,
            _categories(settings.values),
            _pages(project),
            redirects,
            tuple(map(root_of_locale, settings.locales[1:])),
        ),
        reader,
        fallback_category=request.fallback_category,
        today=request.today,
        share=share,
    )
    if not plan.products:
        findings = (*plan.left_out, *plan.not_taken)
        reasons = failed_report(f"none of {request.file.name} can be taken", findings)
        first = reasons.findings[0].title if reasons.findings else "it has no products"
        raise NothingImported(
            f"{request.file}: not one product to take: {first}",
            hint="correct the export, or name the format it has",
            report=reasons,
        )
    return _done(project, request, plan, record, finder)


def _damaged(export: Export) -> Iterator[Omission]:
    """Yield a line for each text that an earlier program seems to have damaged. It is taken as it is."""
    for product in export.products:
        owner = product.handle or product.title
        for variant in product.variants:
            for name, text in (("SKU", variant.sku), ("variant id", variant.variant_id)):
                if _SHORTENED.fullmatch(text):
                    kind = "numbers that a spreadsheet program has shortened"
                    yield Omission(variant.place, f"{name} {text!r}", "taken as it is", kind, owner)
        options = [text for variant in product.variants for pair in variant.options for text in pair]
        lists = {
            "tag": product.tags,
            "category": (product.category, *product.categories),
            "detail": [text for pair in product.details for text in pair],
            "option": dict.fromkeys(options),
        }
        named = [(name, getattr(product, name)) for name in _TEXTS]
        named += [(name, text) for name, texts in lists.items() for text in texts]
        for name, text in named:
            for kind, damage in _DAMAGE.items():
                if not text.isascii() and (found := damage.search(text)):
                    shown = text[max(0, found.start() - _CHARACTERS_BEFORE) :]
                    what = f"{name.replace('_', ' ')} {cut(shown, _CHARACTERS_SHOWN)!r}"
                    yield Omission(product.place, what, "taken as it is", kind, owner)


def _done(
    project: Project, request: ImportRequest, plan: ImportPlan, record: ImportRecord, finder: PictureFinder
) -> ImportReport:
    used = plan.pictures
    copies = {name: file for name, file in finder.copies.items() if name in used}
    if not request.dry_run:
        noted = {
            name: item for name, item in finder.record.items() if name in record.pictures or name in used
        }
        carry_out(project, plan, record, copies=copies, pictures=noted)
    replaced = [name for name in finder.replaced if name in used]
    return report_of(plan, finder.kept, dry_run=request.dry_run, copies=len(copies), replaced=replaced)


def _settings(project: Project) -> _Settings:
    try:
        text = (project.site / "site.toml").read_text(encoding="utf-8-sig")
        values = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise BadInput(f"site/site.toml: {error}", hint="correct it, then import") from error
    locales = tuple(str(locale) for locale in values.get("locales") or ["en"])
    currency = str(values.get("currency"))
    try:
        digits = money_format(currency, locales[0]).fraction_digits
    except ValueError as error:
        raise BadInput(
            f"site/site.toml: currency or locales: {error} is not known",
            hint='currency = "GBP", locales = ["en-GB"]',
        ) from error
    return _Settings(text, values, currency, locales, digits)


def _categories(values: dict[str, Any]) -> dict[str, str]:
    rows = values.get("categories")
    return {
        str(row.get("title", "")).lower(): str(row.get("slug", ""))
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
    }


def _pages(project: Project) -> frozenset[str]:
    """Return the paths of the shop's pages of words and of its root files."""
    files = {f"/{file.stem}" for file in (project.site / "pages").glob("*.md")}
    return frozenset(files | {f"/{file.key}" for file in read_root_files(project, [])})


def _pictures(
    project: Project, request: ImportRequest, export: Export, record: ImportRecord
) -> PictureFinder:
    source = PictureFolders(
        folder=request.images,
        shop=project.site / "pictures",
        record=record.pictures,
        overwrite=request.overwrite,
        none_wanted=request.no_images,
    )
    urls = [picture.url for product in export.products for picture in product.pictures]
    return PictureFinder(urls, source, problem=_picture_problem)


def _picture_problem(file: Path) -> str | None:
    # A large library, needed only where there are pictures.
    from spillway.sitegen.pictures import problem_with_picture

    return problem_with_picture(file)
