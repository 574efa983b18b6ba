"""Import a file: read, take, plan, carry out, and report: some lines on the screen, every case in a file."""

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spillway.errors import BadInput
from spillway.importing.imported import Export, NotTaken, Share, alone
from spillway.importing.normalize import TakeOptions, take
from spillway.importing.picture_finder import PictureFinder, PictureSource
from spillway.importing.planning import Changed, Plan, ShopBefore, plan_import
from spillway.importing.reading import ReadOptions
from spillway.importing.shop_files import Moved, Record, read_shop_files
from spillway.importing.writing import carry_out
from spillway.project import Project
from spillway.sitegen.feeds import read_root_files
from spillway.sitegen.reading.locales import money_format, root_of_locale
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.redirects import written_redirects
from spillway.terminal import pluralize

_NAMES_SHOWN_MAX = 5
_KINDS_SHOWN_MAX = 30
_CASE_LENGTH_MAX = 160
_REASONS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one kind, with a line each for the report; `one` is the title of a single case."""

    title: str
    lines: tuple[str, ...]
    one: str = ""

    @property
    def counted(self) -> str:
        """The number of cases and what they are."""
        title = self.one if self.one and len(self.lines) == 1 else self.title
        return f"{len(self.lines):,} {title}"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """A report: its first line, what happens to product files, and what was not taken as it was.

    `names` are groups whose first few cases stand on the screen, too; of `findings` the number does. `files`
    are only in the report: of a first import, every file is new.
    """

    summary: str
    names: tuple[Group, ...]
    findings: tuple[Group, ...]
    files: tuple[Group, ...] = ()
    taken: str = ""
    """The last line on the screen: how many products were taken, how many were not, and why."""
    left_out: int = 0

    def screen(self, *, report_path: str) -> list[str]:
        """Return the lines for a terminal: one for each kind, however many cases it has."""
        lines = [self.summary]
        for group in self.names:
            shown = "; ".join(group.lines[:_NAMES_SHOWN_MAX])
            more = len(group.lines) - _NAMES_SHOWN_MAX
            lines.append(f"  {group.counted}: {shown}{f'; and {more:,} more' if more > 0 else ''}")
        for group in self.findings[:_KINDS_SHOWN_MAX]:
            # The names of kinds are plurals.
            only_one = len(group.lines) == 1
            counted = f"1 case of {group.title}:" if only_one else f"{group.counted}, for example"
            lines.append(f"  {counted} {_cut(group.lines[0])}")
        if (more := len(self.findings) - _KINDS_SHOWN_MAX) > 0:
            lines.append(f"  and {pluralize(more, 'kind')} more")
        lines.append(f"Every case, with its place: {report_path}")
        if self.taken:
            lines.append(self.taken)
        return lines

    def text(self) -> str:
        """Return the whole report, a section for each kind."""
        sections = [self.summary]
        for group in (*self.names, *self.findings, *self.files):
            body = "".join(f"  {line}\n" for line in group.lines)
            sections.append(f"{group.title} ({len(group.lines):,})\n{body}".rstrip("\n"))
        return "\n\n".join(sections) + "\n"


def report_of(
    plan: Plan, pictures: Sequence[NotTaken], *, dry_run: bool, copies: int, replaced: Sequence[str]
) -> ImportReport:
    """Describe a plan that was carried out, or with `dry_run` one that was not.

    Args:
        plan: what is done.
        pictures: findings about pictures of the shop.
        dry_run: nothing was done.
        copies: the number of pictures that are copied into the shop.
        replaced: pictures of the shop that an imported one takes the place of.
    """
    total = plan.products + len(plan.left_out)
    summary = (
        f"{pluralize(plan.products, 'product')} with {pluralize(plan.variants, 'variant')}: "
        f"{len(plan.new):,} new, "
        f"{len(plan.changed):,} changed, {plan.unchanged:,} unchanged, {len(plan.moved):,} renamed, "
        f"{len(plan.kept):,} edited by hand and kept, {len(plan.gone):,} gone from the export"
    )
    if copies:
        summary += f"; {pluralize(copies, 'picture')} copied"
    if plan.left_out:
        summary += f"\nLeft out: {len(plan.left_out):,} of {pluralize(total, 'product')}"
    if dry_run:
        summary += "\nA dry run: nothing was written but this report"
    new = Group("new", plan.new)
    names = [
        *([new] if dry_run else []),
        Group("changed", tuple(_changed(item) for item in plan.changed)),
        Group("renamed, with a redirect from the old address", tuple(_moved(item) for item in plan.moved)),
        Group("edited by hand and kept", tuple(f"{item.place}: {item.outcome}" for item in plan.kept)),
        Group("no longer in the export, kept", plan.gone),
        Group("added to the categories in site/site.toml", plan.new_categories),
        Group(
            "redirects in site/redirects.toml",
            tuple(f"{old} to {new}" for old, new in sorted(plan.redirects.items())),
            "redirect in site/redirects.toml",
        ),
        Group(
            "redirects taken out of site/redirects.toml: their page is gone",
            tuple(f"{old} to {page}" for old, page in sorted(plan.stale_redirects.items())),
            "redirect taken out of site/redirects.toml: its page is gone",
        ),
        Group(
            "pictures of the shop replaced",
            tuple(f"site/pictures/{name}" for name in sorted(set(replaced))),
            "picture of the shop replaced",
        ),
    ]
    findings = (*_grouped(plan.left_out, "left out: "), *_grouped((*plan.not_taken, *pictures)))
    files = (new,) if plan.new and not dry_run else ()
    return ImportReport(
        summary,
        tuple(group for group in names if group.lines),
        findings,
        files,
        _taken(plan, dry_run=dry_run),
        len(plan.left_out),
    )


def _taken(plan: Plan, *, dry_run: bool) -> str:
    """Return how many products were taken; if some were not, how many, and the most frequent reasons."""
    total = plan.products + len(plan.left_out)
    did = "Would import" if dry_run else "Imported"
    words = f"{did} {plan.products:,} of {pluralize(total, 'product')}"
    if not plan.left_out:
        return words
    # A product is left out for what was found about its variants.
    found = [finding for finding in plan.not_taken if finding.outcome.endswith("left out")]
    kinds = _grouped(found or plan.left_out)[:_REASONS_SHOWN_MAX]
    reasons = ", ".join(f"{kind.title} ({len(kind.lines):,})" for kind in kinds)
    return f"{words}; {len(plan.left_out):,} left out: {reasons}"


def _cut(line: str) -> str:
    return line if len(line) <= _CASE_LENGTH_MAX else f"{line[: _CASE_LENGTH_MAX - 1]}…"


def failed_report(reason: str, findings: Iterable[NotTaken] = ()) -> ImportReport:
    """Describe an import that took nothing, and why."""
    return ImportReport(f"Nothing was imported: {reason}", (), tuple(_grouped(findings)))


def _grouped(findings: Iterable[NotTaken], prefix: str = "") -> list[Group]:
    """Return the findings by kind, those with most cases first."""
    kinds: dict[str, list[NotTaken]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind or finding.outcome, []).append(finding)
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Group(f"{prefix}{kind}", tuple(_line(element) for element in sorted(found, key=_place)))
        for kind, found in ordered
    ]


def _line(finding: NotTaken) -> str:
    named = not finding.product or finding.what.startswith(finding.product)
    product = "" if named else f"{finding.product}: "
    return f"{finding.place}: {product}{finding.what}: {finding.outcome}"


def _place(finding: NotTaken) -> tuple[str, int, str]:
    """Return places in the order of the file: "line 9" before "line 10"."""
    word, _, number = finding.place.rpartition(" ")
    return (word, int(number), finding.what) if number.isdecimal() else (finding.place, 0, finding.what)


def _changed(changed: Changed) -> str:
    return f"{changed.path} ({', '.join(changed.fields)})"


def _moved(moved: Moved) -> str:
    return f"{moved.file.path} is now site/products/{moved.slug}.toml"


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


def run_import(project: Project, request: ImportRequest, *, share: Share = alone) -> ImportReport:
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
        options = replace(
            request.read_options, currency=settings.currency, locale=settings.locales[0], share=share
        )
        export = request.read(request.file, options)
    except BadInput as error:
        raise NothingImported(error.message, hint=error.hint, report=failed_report(str(error))) from error
    record = Record.read(project.site / "products")
    finder = _pictures(project, request, export, record)
    taken = take(
        export,
        TakeOptions(settings.fraction_digits, request.fallback_category),
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
        taken,
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


def _done(
    project: Project, request: ImportRequest, plan: Plan, record: Record, finder: PictureFinder
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


def _pictures(project: Project, request: ImportRequest, export: Export, record: Record) -> PictureFinder:
    source = PictureSource(
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
