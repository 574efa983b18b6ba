"""`spillway build` beside Hugo and a bare Jinja2 loop: the same shop, the same pages, the same machine.

All in memory (/dev/shm) where there is one: creating files costs a disk more than any generator. Times are
from the start of a process to its end, and in brackets the CPU seconds of all its processes, which a busy
machine leaves alone.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.catalogue import Item, items, write_shop
from benchmarks.hugo_shop import write_hugo_shop
from benchmarks.peers import installed
from benchmarks.tables import write_table

ROUNDS = 5
SIZES = (1_000, 10_000)
_ROOT = Path(__file__).parents[1]
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Run:
    """One process, from its start to its end. `cpu_s` is of all its processes."""

    elapsed_s: float
    cpu_s: float


def main() -> None:
    """Measure every size, and write the table."""
    rows = []
    for count in SIZES:
        with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            rows += _rows(Path(folder), count)
    write_table(
        "Building",
        "python -m benchmarks build",
        ("products", "what", "Spillway", "Hugo", "Jinja2 loop", "Hugo / Spillway"),
        rows,
    )


def _rows(folder: Path, count: int) -> list[tuple[str, ...]]:
    things = items(count)
    write_shop(folder / "spillway", things)
    write_hugo_shop(folder / "hugo", things)
    ours, hugo = _Spillway(folder / "spillway"), _Hugo(folder / "hugo")
    ours.build()  # pictures are developed once, by content, and are no part of this

    def forget(number: int) -> None:
        ours.forget()
        hugo.forget()

    def edit(number: int) -> None:
        ours.edit(things[7], number)
        hugo.edit(things[7], number)

    return [
        (f"{count:,}", "cold", *_measured(forget, (ours, hugo, _JinjaLoop(folder / "spillway")))),
        (f"{count:,}", "unchanged", *_measured(lambda number: None, (ours, hugo))),
        (f"{count:,}", "one changed", *_measured(edit, (ours, hugo))),
    ]


def _measured(prepare: Callable[[int], None], peers: Sequence["_Peer"]) -> list[str]:
    runs: dict[_Peer, list[Run]] = {peer: [] for peer in peers}
    for number in range(ROUNDS):
        prepare(number)
        for peer in peers:
            runs[peer].append(peer.build())
    cells = []
    for peer in peers:
        elapsed, cpu = (
            median(each.elapsed_s for each in runs[peer]),
            median(each.cpu_s for each in runs[peer]),
        )
        cells.append(f"{elapsed:.2f} s ({cpu:.2f})")
    pairs = list(zip(runs[peers[0]], runs[peers[1]], strict=True))
    elapsed = median(hugo.elapsed_s / ours.elapsed_s for ours, hugo in pairs)
    cpu = median(hugo.cpu_s / ours.cpu_s for ours, hugo in pairs)
    return [*cells, *["-"] * (3 - len(cells)), f"{elapsed:.2f} ({cpu:.2f})"]


class _Peer:
    command: tuple[str, ...]
    folder: Path

    def build(self) -> Run:
        """Run it once, as a process of its own."""
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(self.command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        elapsed_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Run(elapsed_s, cpu_s)


class _Spillway(_Peer):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = (sys.executable, "-m", "spillway", "build")

    def forget(self) -> None:
        shutil.rmtree(self.folder / "build", ignore_errors=True)
        shutil.rmtree(self.folder / ".cache" / "shelves", ignore_errors=True)
        (self.folder / ".cache" / "catalogue.pickle").unlink(missing_ok=True)

    def edit(self, item: Item, number: int) -> None:
        _edit(self.folder / "site" / "products" / f"{item.slug}.toml", number)


class _Hugo(_Peer):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = (str(installed("hugo")), "--quiet")

    def forget(self) -> None:
        shutil.rmtree(self.folder / "public", ignore_errors=True)

    def edit(self, item: Item, number: int) -> None:
        _edit(self.folder / "content" / item.category / f"{item.slug}.md", number)


class _JinjaLoop(_Peer):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = (sys.executable, str(_ROOT / "benchmarks" / "jinja_loop.py"))


def _edit(file: Path, number: int) -> None:
    text = file.read_text()
    start = text.index('summary = "') + len('summary = "')
    file.write_text(f"{text[:start]}{number} {text[start:]}")
