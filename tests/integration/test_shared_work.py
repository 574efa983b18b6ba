"""Work of a command on all cores, and the bar for somebody who waits."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.shopify_export import as_csv, export
from spillway.commands.catalogue import SharedWork
from spillway.importing.reading import ReadOptions
from spillway.importing.shopify import read_shopify
from spillway.sitegen.parallel import WorkerPool

PER_PART_S = 0.4


class Bars:
    """Records what bars show: (words, the fractions in their order)."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, list[float]]] = []

    @contextmanager
    def __call__(self, what: str) -> Iterator[Callable[[float], None]]:
        self.shown.append((what, []))
        yield self.shown[-1][1].append
        self.shown[-1][1].append(-1)  # gone


def test_a_bar_shows_from_one_second_on_and_goes_with_its_stage() -> None:
    seconds, bars = [100.0], Bars()
    work = SharedWork(clock_s=lambda: seconds[0], bar=bars, pool=WorkerPool(1))

    def slow(part: Sequence[int]) -> int:
        seconds[0] += PER_PART_S
        return sum(part)

    assert work(slow, range(250), "Reading products") == [sum(range(at, at + 50)) for at in range(0, 250, 50)]
    assert work(slow, range(100), "Taking products") == [sum(range(50)), sum(range(50, 100))]

    # The third part begins 0.8 s after the start, the fourth 1.2 s after it.
    assert bars.shown == [("Reading products", [0.6, 0.8, -1]), ("Taking products", [0.0, 0.5, -1])]


def test_a_short_command_shows_no_bar() -> None:
    bars = Bars()
    assert SharedWork(clock_s=lambda: 5.0, bar=bars, pool=WorkerPool(1))(len, range(100), "Reading") == [
        50,
        50,
    ]
    assert bars.shown == []


def test_reading_an_export_is_shown_too_and_its_lines_keep_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_bytes(as_csv(export(160)))
    bars = Bars()
    options = ReadOptions(currency="GBP")
    seconds = iter(range(100))
    shared = SharedWork(
        clock_s=lambda: float(next(seconds)), bar=bars, pool=WorkerPool(2, items_per_worker_min=10)
    )

    on_all = read_shopify(file, ReadOptions(currency="GBP", share=shared))

    assert on_all == read_shopify(file, options)
    (what, fractions) = bars.shown[0]
    assert what == "Reading products"
    assert fractions == [*sorted(fractions[:-1]), -1]
    lines = [
        int(finding.place.removeprefix("line ")) for finding in on_all.not_taken if "line" in finding.place
    ]
    assert len(lines) > 300


def test_an_import_does_not_wait_for_libraries_it_may_not_need() -> None:
    code = "import spillway.commands.catalogue, sys; print({'rich', 'markdown_it', 'PIL'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"
