"""The report of an import or of its plan: a few lines for the screen, and every case in a file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spillway.importing.imported import NotTaken
from spillway.importing.planning import Changed, Plan
from spillway.importing.shop_files import Moved
from spillway.pluralize import pluralize

_NAMES_SHOWN_MAX = 5
_KINDS_SHOWN_MAX = 30


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one kind, with a line each for the report."""

    title: str
    lines: tuple[str, ...]


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

    def screen(self, *, report_path: str) -> list[str]:
        """The lines for a terminal: one for each kind, however many cases it has."""
        lines = [self.summary]
        for group in self.names:
            shown = "; ".join(group.lines[:_NAMES_SHOWN_MAX])
            more = len(group.lines) - _NAMES_SHOWN_MAX
            lines.append(
                f"  {len(group.lines):,} {group.title}: {shown}{f'; and {more:,} more' if more > 0 else ''}"
            )
        lines += [f"  {len(group.lines):,} {group.title}" for group in self.findings[:_KINDS_SHOWN_MAX]]
        if (more := len(self.findings) - _KINDS_SHOWN_MAX) > 0:
            lines.append(f"  and {pluralize(more, 'kind')} more")
        lines.append(f"Every case, with its place: {report_path}")
        return lines

    def text(self) -> str:
        """The whole report, a section for each kind."""
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
        Group("changed", tuple(_changed(each) for each in plan.changed)),
        Group("renamed, with a redirect from the old address", tuple(_moved(each) for each in plan.moved)),
        Group("edited by hand and kept", tuple(f"{each.place}: {each.outcome}" for each in plan.kept)),
        Group("no longer in the export, kept", plan.gone),
        Group("new categories in site/site.toml", plan.new_categories),
        Group(
            "redirects in site/redirects.toml",
            tuple(f"{old} to {new}" for old, new in sorted(plan.redirects.items())),
        ),
        Group(
            "redirects taken out of site/redirects.toml: their page is gone",
            tuple(f"{old} to {page}" for old, page in sorted(plan.stale_redirects.items())),
        ),
        Group(
            "pictures of the shop replaced", tuple(f"site/pictures/{name}" for name in sorted(set(replaced)))
        ),
    ]
    findings = (*_grouped(plan.left_out, "left out: "), *_grouped((*plan.not_taken, *pictures)))
    files = (new,) if plan.new and not dry_run else ()
    return ImportReport(summary, tuple(group for group in names if group.lines), findings, files)


def failed_report(reason: str, findings: Iterable[NotTaken] = ()) -> ImportReport:
    """Describe an import that took nothing, and why."""
    return ImportReport(f"Nothing was imported: {reason}", (), tuple(_grouped(findings)))


def _grouped(findings: Iterable[NotTaken], prefix: str = "") -> list[Group]:
    """The findings by kind, those with most cases first."""
    kinds: dict[str, list[NotTaken]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind or finding.outcome, []).append(finding)
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Group(f"{prefix}{kind}", tuple(_line(each) for each in sorted(found, key=_place)))
        for kind, found in ordered
    ]


def _line(finding: NotTaken) -> str:
    named = not finding.product or finding.what.startswith(finding.product)
    product = "" if named else f"{finding.product}: "
    return f"{finding.place}: {product}{finding.what}: {finding.outcome}"


def _place(finding: NotTaken) -> tuple[str, int, str]:
    """Places in the order of the file: "line 9" before "line 10"."""
    word, _, number = finding.place.rpartition(" ")
    return (word, int(number), finding.what) if number.isdecimal() else (finding.place, 0, finding.what)


def _changed(changed: Changed) -> str:
    return f"{changed.path} ({', '.join(changed.fields)})"


def _moved(moved: Moved) -> str:
    return f"{moved.file.path} is now site/products/{moved.slug}.toml"
