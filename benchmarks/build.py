"""`spillway build` beside Hugo, Eleventy and a bare Jinja2 loop: the same shop, the same machine, in turns.

In memory (/dev/shm) where there is one: creating files costs a disk more than any generator. Times are
from the start of a process to its end, and in brackets the CPU seconds of all its processes, which a busy
machine leaves alone.

    python -m benchmarks build [--sizes 1000 10000] [--profile]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.alike import difference
from benchmarks.catalogue import items
from benchmarks.generators import Eleventy, Generator, Hugo, JinjaLoop, Spillway
from benchmarks.processes import Run, run
from benchmarks.tables import write_table

# How often each size is built: the largest takes minutes a time.
ROUNDS = {1_000: 5, 10_000: 5, 50_000: 1}
# Up to which size the others are asked, and all processes of a build weighed at once.
ELEVENTY_SIZE_MAX, JINJA_SIZE_MAX, WEIGHED_SIZE_MAX = 1_000, 10_000, 10_000
ON_DISK_SIZE, ON_DISK_ROUNDS = 10_000, 3
# Products whose pages are held against each other.
ALIKE = range(0, 500, 50)
# Hugo's time by ours, at least; and our memory, at most.
WANTED = {"cold": "1.1", "unchanged": "40", "one changed": "20"}
MEMORY_WANTED = {10_000: "Spillway under 250 MB"}
_ROOT = Path(__file__).parents[1]
_MEMORY = Path("/dev/shm")

Row = tuple[str, ...]


def main() -> None:
    """Measure every size, and write the tables; or tell where the time goes."""
    options = argparse.ArgumentParser(prog="python -m benchmarks build")
    options.add_argument("--sizes", type=int, nargs="+", default=list(ROUNDS), metavar="PRODUCTS")
    options.add_argument("--profile", action="store_true", help="by part, a cold build on one core")
    asked = options.parse_args()
    memory = _MEMORY if _MEMORY.is_dir() else None
    if asked.profile:
        with _shops(ON_DISK_SIZE, memory) as folder:
            subprocess.run([sys.executable, "-m", "benchmarks.build_profile", str(folder)], check=True)
        return
    for count in asked.sizes:
        with _shops(count, memory) as folder:
            contest = _Contest(folder, count, ROUNDS.get(count, 1))
            rows = [*contest.times(), *contest.weights()]
        if count == ON_DISK_SIZE:
            with _shops(count, _ROOT / ".cache") as folder:
                rows.insert(1, _Contest(folder, count, ON_DISK_ROUNDS).cold("cold, on disk"))
        write_table(
            f"Building {count:,} products",
            f"python -m benchmarks build --sizes {count}",
            ("what", "rounds", "Spillway", "Hugo", "Hugo / Spillway", "wanted", "others"),
            rows,
        )


@contextmanager
def _shops(count: int, parent: Path | None) -> Iterator[Path]:
    """Yield a folder with the same shop for every generator."""
    if parent:
        parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        subprocess.run([sys.executable, "-m", "benchmarks.shops", folder, str(count)], check=True)
        yield Path(folder)


class _Contest:
    """The generators of one shop, `rounds` times in turns."""

    def __init__(self, folder: Path, count: int, rounds: int) -> None:
        self._count = count
        self._rounds = rounds
        self._cold: dict[str, list[Run]] = {}
        self._rivals: tuple[Generator, Generator] = (Spillway(folder / "spillway"), Hugo(folder / "hugo"))
        self._others: list[Generator] = []
        if count <= JINJA_SIZE_MAX:
            self._others.append(JinjaLoop(folder / "spillway"))
        if count <= ELEVENTY_SIZE_MAX:
            self._others.append(Eleventy(folder / "eleventy"))
        self._edited = items(8)[7]
        # Warm: pictures are developed once, by content, and are no part of this.
        shops = self._rivals[0].folder
        pictures = _ROOT / ".cache" / "pictures"
        if pictures.is_dir():
            (shops / ".cache").mkdir()
            (shops / ".cache" / "pictures").symlink_to(pictures)
        else:
            run(self._rivals[0].command, shops)

    def times(self) -> list[Row]:
        """Cold, with nothing changed, with one product changed."""
        return [
            self.cold("cold"),
            self._row("unchanged", lambda item, number: None, self._rivals),
            self._row("one changed", lambda item, number: item.edit(self._edited, number), self._rivals),
        ]

    def cold(self, what: str) -> Row:
        """From nothing, the others too. Hugo has to make the same pages."""
        row = self._row(what, lambda item, number: item.forget(), [*self._rivals, *self._others])
        for item in items(self._count)[ALIKE.start : ALIKE.stop : ALIKE.step]:
            if found := difference(*(peer.page(item) for peer in self._rivals)):
                sys.exit(f"the pages of {item.slug} are not the same: {found}")
        return row

    def weights(self) -> list[Row]:
        """Return the peak memory of cold builds."""
        wanted = MEMORY_WANTED.get(self._count, "-")
        largest = [max(item.largest_mb for item in self._cold[peer.name]) for peer in self._rivals]
        rows = [_weight("cold: memory of the largest process", largest, wanted)]
        if self._count <= WEIGHED_SIZE_MAX:
            for peer in self._rivals:
                peer.forget()
            weighed = [run(peer.command, peer.folder, weighed=True) for peer in self._rivals]
            together = [item.together_mb for item in weighed]
            rows.append(_weight("cold: memory of all processes", together, wanted))
        return rows

    def _row(
        self, what: str, prepare: Callable[[Generator, int], None], generators: Sequence[Generator]
    ) -> Row:
        runs: dict[str, list[Run]] = {generator.name: [] for generator in generators}
        if what == "cold":
            self._cold = runs
        for number in range(self._rounds):
            for generator in generators:
                prepare(generator, number)
                runs[generator.name].append(run(generator.command, generator.folder))
        ours, hugo = (runs[rival.name] for rival in self._rivals)
        pairs = list(zip(ours, hugo, strict=True))
        elapsed = median(theirs.elapsed_s / mine.elapsed_s for mine, theirs in pairs)
        cpu = median(theirs.cpu_s / mine.cpu_s for mine, theirs in pairs)
        return (
            *(what, str(self._rounds), _cell(ours), _cell(hugo)),
            *(f"{elapsed:.2f} ({cpu:.2f})", WANTED.get(what, "-")),
            ", ".join(f"{generator.name} {_cell(runs[generator.name])}" for generator in generators[2:])
            or "-",
        )


def _cell(runs: Sequence[Run]) -> str:
    return f"{median(item.elapsed_s for item in runs):.2f} s ({median(item.cpu_s for item in runs):.2f})"


def _weight(what: str, peaks_mb: Sequence[float], wanted: str) -> Row:
    ours_mb, hugo_mb = peaks_mb
    return (what, "-", f"{ours_mb:,.0f} MB", f"{hugo_mb:,.0f} MB", f"{hugo_mb / ours_mb:.2f}", wanted, "-")
