"""Show the result of `spillway waitlist import`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from chalicelib.domain.entry import Arrival
from chalicelib.domain.ids import Sku
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.export_words import RowOutcome
from spillway.merchant.import_rules import SLIP
from spillway.merchant.intake import RowDecision
from spillway.terminal import pluralize

MISTAKES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class ShownImport:
    """The result of an import, or of its dry run."""

    file: Path
    tool: str
    digest: str
    decisions: Sequence[RowDecision]
    in_stock: Mapping[Sku, int]
    arrival: Arrival | None
    details: Path
    dry_run: bool

    @property
    def outcomes(self) -> dict[RowOutcome, int]:
        """Return the number of rows of each outcome."""
        counts = Counter(decision.outcome for decision in self.decisions)
        return {outcome: counts[outcome] for outcome in RowOutcome if counts[outcome]}


def show_import(done: ShownImport, *, as_json: bool) -> None:
    """Print the number of rows of each outcome, and where the details are."""
    if as_json:
        document = {
            "file": str(done.file),
            "sha256": done.digest,
            "rows": len(done.decisions),
            "outcomes": {outcome.name.lower(): count for outcome, count in done.outcomes.items()},
            "in_stock": dict(done.in_stock),
            "details": str(done.details),
            "dry_run": done.dry_run,
        }
        click.echo(json.dumps(document, indent=1))
        return
    would = "would be " if done.dry_run else ""
    click.echo(
        f"{done.file}: {pluralize(len(done.decisions), 'row')} from {done.tool}, sha256 {done.digest[:12]}"
    )
    for outcome, count in done.outcomes.items():
        word = f"{would}{outcome}" if outcome in {RowOutcome.ADD, RowOutcome.ASK} else outcome
        click.echo(f"{count:>9,}  {word}")
    if RowOutcome.PENDING_HERE in done.outcomes:
        click.echo("people not confirmed yet: import the same file again later; the details say when")
    slips = sum((decision.note or "").startswith(SLIP) for decision in done.decisions)
    if slips:
        look = pluralize(slips, "address looks", "addresses look")
        click.echo(f"{look} like a slip of a known domain: see the details")
    for sku, count in done.in_stock.items():
        click.echo(_in_stock_sentence(sku, count, done.arrival))
    click.echo(f"details, with addresses, for you alone to read: {done.details}")


def _in_stock_sentence(sku: Sku, count: int, arrival: Arrival | None) -> str:
    if arrival is Arrival.NOW:
        are = pluralize(count, "person is emailed", "people are emailed")
        return f"{sku} is in stock: {are} once on the waitlist, as the wave policy says"
    if arrival is Arrival.NEXT_RESTOCK:
        wait = pluralize(count, "person waits", "people wait")
        return f"{sku} is in stock: {wait} for the next restock, or for a wave that is still under way"
    need = pluralize(count, "person needs", "people need")
    return f"{sku} is in stock: {need} --notify-now or --next-restock"


def require_no_mistakes(file: Path, decisions: Sequence[RowDecision], *, dry_run: bool) -> None:
    """Check that every row was read.

    Raises:
        BadInput: some rows of a dry run have mistakes.
        WorkFailed: some rows have mistakes, and the others were imported.
    """
    wrong = [decision for decision in decisions if decision.outcome is RowOutcome.WRONG]
    if not wrong:
        return
    listed = [f"  {file}:{decision.row.line}: {decision.note}" for decision in wrong[:MISTAKES_SHOWN_MAX]]
    if len(wrong) > MISTAKES_SHOWN_MAX:
        listed.append(f"  and {len(wrong) - MISTAKES_SHOWN_MAX:,} more, in the details")
    rows = "\n".join(listed)
    if dry_run:
        raise BadInput(f"{pluralize(len(wrong), 'row is', 'rows are')} wrong:\n{rows}")
    raise WorkFailed(f"{pluralize(len(wrong), 'row was', 'rows were')} not imported:\n{rows}")
