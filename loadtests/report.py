"""The result of a flood, in sentences and as one self-contained HTML file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from chalicelib.services.recount import Recounted
from loadtests.figures import TOTAL, Figures, Moment
from loadtests.growth import JUDGED, Growth, growths, over_time
from loadtests.ledger import Account
from loadtests.predictions import Prediction
from loadtests.processes import Group, Held
from spillway.preflight.reports import Chart, sheet, table

MB = 1_000_000
# Limits of failures that a report accepts. An accepted signup is never lost.
PAGES_FAILED_SHARE_MAX = 0.001
FORMS_GIVEN_UP_SHARE_MAX = 0.01
STEP_HEADS = ("step", "requests", "failures", "p50 ms", "p95 ms", "p99 ms", "slowest ms")
PREDICTION_HEADS = ("what", "measured", "predicted", "range")
MISSING_SHOWN_MAX = 10
NO_ANSWER = 0
FORM_STEPS = frozenset({"sign up", "sign up again", "mistyped address"})


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of a run."""

    title: str
    account: Account
    figures: Sequence[Figures]
    moments: Sequence[Moment]
    held: Sequence[Held]
    predictions: Sequence[Prediction] = ()
    recounted: Recounted | None = None

    @property
    def growths(self) -> list[Growth]:
        """Return the growth of processes; empty for a run that is too short."""
        return growths(self.held)


def report(found: Findings) -> str:
    """Return the HTML file."""
    return sheet(found.title, _parts(found))


def _parts(found: Findings) -> Iterator[str]:
    yield f"<h1>{escape(found.title)}</h1>"
    yield from (f"<p>{escape(sentence)}</p>" for sentence in said(found.account).splitlines())
    yield "<h2>Error budget</h2>"
    yield table(("what", "allowed", "happened", "of"), budget_rows(found), {1, 2, 3})
    yield "<h2>Steps</h2>"
    yield table(STEP_HEADS, (_step(figures) for figures in found.figures), set(range(1, 7)))
    if found.predictions:
        yield "<h2>The simulator, given the same forms</h2>"
        yield table(PREDICTION_HEADS, map(prediction_row, found.predictions), {1, 2, 3})
    yield "<h2>Over time</h2>"
    yield from (chart.svg() for chart in _charts(found))
    if found.held:
        yield "<h2>Memory and open files of the processes</h2>"
        if found.growths:
            heads = (
                "processes",
                "memory, warm",
                "memory, at the end",
                "files, warm",
                "files, at the end",
                "",
            )
            yield table(heads, growth_rows(found.growths), {1, 2, 3, 4})
        yield from (chart.svg() for chart in _holdings(found.held))


def budget_rows(found: Findings) -> Iterator[Sequence[str]]:
    """Return the allowed failures and the failures that occurred."""
    pages = [step for step in found.figures if step.step not in FORM_STEPS | {TOTAL}]
    asked, failed = sum(step.requests for step in pages), sum(step.failures for step in pages)
    result = found.account
    lost = len(result.missing) + len(result.repeated)
    yield "pages and files not answered", f"{PAGES_FAILED_SHARE_MAX:.1%}", f"{failed:,}", f"{asked:,}"
    yield "forms given up", f"{FORMS_GIVEN_UP_SHARE_MAX:.0%}", f"{result.gave_up:,}", f"{result.forms:,}"
    yield "accepted signups lost or doubled", "0", f"{lost:,}", f"{result.accepted:,}"
    if found.recounted:
        counted = found.recounted
        yield "counters that differ from the entries", "0", f"{len(counted.drifts):,}", f"{counted.entries:,}"


def growth_rows(found: Sequence[Growth]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Each group's process that grew most, and whether that is flat."""
    for growth in found:
        verdict = ("flat" if growth.flat else "grows") if growth.group in JUDGED else "not ours"
        yield (
            f"{growth.group} ({growth.processes})",
            f"{growth.memory_bytes_warm / MB:,.1f} MB",
            f"{growth.memory_bytes_late / MB:,.1f} MB",
            f"{growth.files_warm:,.0f}",
            f"{growth.files_late:,.0f}",
            verdict,
        )


def prediction_row(row: Prediction) -> tuple[str, str, str, str]:
    """Return the measured figure, the mean of its predictions, and their range."""
    return row.what, f"{row.measured:,}", f"{row.mean:,.0f}", f"{row.least:,} to {row.most:,}"


def _step(figures: Figures) -> Sequence[str]:
    numbers = (figures.requests, figures.failures, figures.p50_ms, figures.p95_ms)
    name = "all together" if figures.step == TOTAL else figures.step
    return name, *(f"{number:,}" for number in (*numbers, figures.p99_ms, figures.slowest_ms))


def _charts(found: Findings) -> Iterator[Chart]:
    at_s = [moment.at_s for moment in found.moments]
    yield Chart("Shoppers", "in the shop", at_s, [moment.shoppers for moment in found.moments])
    yield Chart("Answers", "a second", at_s, [moment.requests_per_s for moment in found.moments])
    yield Chart("Throttled or failed", "a second", at_s, [m.failures_per_s for m in found.moments])
    yield Chart("Time to an answer, p95", "ms", at_s, [moment.p95_ms for moment in found.moments])


def _holdings(held: Sequence[Held]) -> Iterator[Chart]:
    for group in Group:
        memory = over_time(held, group, lambda sample: sample.memory_bytes)
        files = over_time(held, group, lambda sample: sample.files)
        megabytes = [value / MB for value in memory.values()]
        yield Chart(f"Memory of the {group}", "MB", list(memory), megabytes)
        yield Chart(f"Open files of the {group}", "files", list(files), list(files.values()))


def said(result: Account) -> str:
    """Return the account for a person to read: every form in it, and every answer that was no answer."""
    if not result.accepted:
        return "No signup was accepted: nothing is proven."
    there = result.accepted - len(result.missing)
    lines = [f"{there:,} of {result.accepted:,} accepted signups are in the Entries table."]
    lines += [f"  missing: {wish.mailbox} for {wish.sku}" for wish in result.missing[:MISSING_SHOWN_MAX]]
    lines += [f"  more than once: {wish.mailbox} for {wish.sku}" for wish in result.repeated]
    lines.append(
        f"{result.forms:,} forms: {result.accepted_forms:,} accepted, some of them twice from one shopper,"
        f" {result.refused:,} refused for a mistake, {result.gave_up:,} given up."
    )
    if result.turned_away:
        lines.append(
            f"Throttled or failed {_by_status(result)}; {result.retried:,} forms were sent again,"
            f" later each time and never at once, {result.retried - result.retried_in_vain:,} with success."
        )
    if result.stored_unanswered:
        lines.append(f"{result.stored_unanswered:,} entries were written whose shoppers got no answer.")
    return "\n".join(lines)


def said_of_counters(found: Recounted) -> str:
    """Return how the merchant's counters compare with the entries."""
    entries = f"{found.entries:,} entries of {found.skus:,} SKUs are in the Entries table:"
    if not found.drifts:
        return f"{entries} every counter of the merchant's page is right."
    differ = [f"  {drift.sku} {drift.counter}: {drift.difference:+,}" for drift in found.drifts]
    counters = f"{entries} {len(differ):,} counters differ, by {found.drift:,} in all."
    return "\n".join([counters, *differ[:MISSING_SHOWN_MAX]])


def _by_status(result: Account) -> str:
    return ", ".join(
        f"{count:,} times without an answer" if status == NO_ANSWER else f"{count:,} times with {status}"
        for status, count in sorted(result.turned_away.items())
    )
