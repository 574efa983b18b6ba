"""The report of an import: some lines on the screen, every case in a file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spillway.importing.imported import (
    NOT_FOR_SALE,
    NOT_FOR_SALE_KINDS,
    VARIANT_LEFT_OUT,
    WITHOUT_VARIANTS,
    Omission,
)
from spillway.importing.planning import ChangedFile, ImportPlan
from spillway.importing.shop_files import MovedProduct
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
    """The number of products that are for sale in the other shop and were not taken."""

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
    plan: ImportPlan, pictures: Sequence[Omission], *, dry_run: bool, copies: int, replaced: Sequence[str]
) -> ImportReport:
    """Describe a plan that was carried out, or with `dry_run` one that was not.

    Args:
        plan: what is done.
        pictures: findings about pictures of the shop.
        dry_run: nothing was done.
        copies: the number of pictures that are copied into the shop.
        replaced: pictures of the shop that an imported one takes the place of.
    """
    left_out = len(plan.left_out) + sum(item.kind in NOT_FOR_SALE_KINDS for item in plan.not_taken)
    summary = (
        f"{pluralize(plan.products, 'product')} with {pluralize(plan.variants, 'variant')}: "
        f"{len(plan.new):,} new, "
        f"{len(plan.changed):,} changed, {plan.unchanged:,} unchanged, {len(plan.moved):,} renamed, "
        f"{len(plan.kept):,} edited by hand and kept, {len(plan.gone):,} gone from the export"
    )
    if copies:
        summary += f"; {pluralize(copies, 'picture')} copied"
    if left_out:
        summary += f"\nLeft out: {left_out:,} of {pluralize(plan.products + left_out, 'product')}"
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


def _taken(plan: ImportPlan, *, dry_run: bool) -> str:
    """Return how many products were taken; if some were not, how many, and the most frequent reasons.

    For a product without a variant to sell, the reasons are what was found about its variants.
    """
    without_variants: dict[str, set[str]] = {}
    for finding in plan.not_taken:
        if finding.outcome in {VARIANT_LEFT_OUT, NOT_FOR_SALE}:
            without_variants.setdefault(finding.product, set()).add(finding.kind)
    reasons = [
        (item.kind == WITHOUT_VARIANTS and without_variants.get(item.product or item.what)) or {item.kind}
        for item in plan.left_out
    ]
    reasons += [{finding.kind} for finding in plan.not_taken if finding.kind in NOT_FOR_SALE_KINDS]
    did = "Would import" if dry_run else "Imported"
    words = f"{did} {plan.products:,} of {pluralize(plan.products + len(reasons), 'product')}"
    if not reasons:
        return words
    counts = Counter(reason.removesuffix(", left out") for kinds in reasons for reason in kinds)
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_REASONS_SHOWN_MAX]
    listed = ", ".join(f"{kind} ({count:,})" for kind, count in frequent)
    return f"{words}; {len(reasons):,} left out: {listed}"


def _cut(line: str) -> str:
    return line if len(line) <= _CASE_LENGTH_MAX else f"{line[: _CASE_LENGTH_MAX - 1]}…"


def failed_report(reason: str, findings: Iterable[Omission] = ()) -> ImportReport:
    """Describe an import that took nothing, and why."""
    return ImportReport(f"Nothing was imported: {reason}", (), tuple(_grouped(findings)))


def _grouped(findings: Iterable[Omission], prefix: str = "") -> list[Group]:
    """Return the findings by kind, those with most cases first."""
    kinds: dict[str, list[Omission]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind or finding.outcome, []).append(finding)
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Group(f"{prefix}{kind}", tuple(_line(element) for element in sorted(found, key=_place)))
        for kind, found in ordered
    ]


def _line(finding: Omission) -> str:
    named = not finding.product or finding.what.startswith(finding.product)
    product = "" if named else f"{finding.product}: "
    return f"{finding.place}: {product}{finding.what}: {finding.outcome}"


def _place(finding: Omission) -> tuple[str, int, str]:
    """Return places in the order of the file: "line 9" before "line 10"."""
    word, _, number = finding.place.rpartition(" ")
    return (word, int(number), finding.what) if number.isdecimal() else (finding.place, 0, finding.what)


def _changed(changed: ChangedFile) -> str:
    return f"{changed.path} ({', '.join(changed.fields)})"


def _moved(moved: MovedProduct) -> str:
    return f"{moved.file.path} is now site/products/{moved.slug}.toml"
