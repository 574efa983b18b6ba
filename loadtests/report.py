"""The result of a flood as one self-contained HTML file: the account, the steps and the charts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from chalicelib.services.recount import Recounted
from loadtests.figures import TOTAL, Figures, Moment
from loadtests.growth import JUDGED, Growth, growths, over_time
from loadtests.ledger import Account
from loadtests.predictions import Prediction
from loadtests.processes import Group, Held
from loadtests.wording import said
from spillway.preflight.reports import Chart, sheet, table

MB = 1_000_000
# Limits of failures that a report accepts. An accepted signup is never lost.
PAGES_FAILED_SHARE_MAX = 0.001
FORMS_GIVEN_UP_SHARE_MAX = 0.01
STEP_HEADS = ("step", "requests", "failures", "p50 ms", "p95 ms", "p99 ms", "slowest ms")
PREDICTION_HEADS = ("what", "measured", "predicted", "range")
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
