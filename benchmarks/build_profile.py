"""`python -m benchmarks.build_profile FOLDER`: where the time of a cold build goes, part by part.

On one core, so that the parts add up; CPU, so that a busy machine does not show. The parts are timed where
the build calls them, which costs it about a hundredth.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

from benchmarks.generators import Spillway
from benchmarks.tables import write_table


class Shares:
    """CPU seconds by part. A part's time is its own: what it calls and is a part itself is not in it."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self._stack: list[str] = []
        self._since_s = 0.0

    def part(self, name: str) -> None:
        """From here on, time is that of `name`."""
        now_s = time.process_time()
        if self._stack:
            before = self._stack[-1]
            self.cpu_s[before] = self.cpu_s.get(before, 0.0) + now_s - self._since_s
        self._since_s = now_s
        self._stack.append(name)

    def end(self) -> None:
        """Leave the part that was entered last."""
        now_s = time.process_time()
        name = self._stack.pop()
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + now_s - self._since_s
        self._since_s = now_s

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, as a part."""

        @wraps(work)
        def timed(*values: Any, **named: Any) -> Any:
            self.part(name)
            try:
                return work(*values, **named)
            finally:
                self.end()

        return timed


def main() -> None:
    """Build the shop in FOLDER from nothing, and write the table."""
    shares = Shares()
    shares.part("start: the interpreter, and what it imports")
    folder = Path(sys.argv[1]) / "spillway"
    Spillway(folder).forget()
    rows = _profiled(folder, shares)
    write_table(
        "Where the time of a cold build goes",
        "python -m benchmarks build --profile",
        ("part, on one core", "CPU s", "share", "for a page, us"),
        rows,
    )


def _profiled(folder: Path, shares: Shares) -> list[tuple[str, ...]]:
    from spillway.project import Project
    from spillway.sitegen import site
    from spillway.sitegen.cache import BuildCache
    from spillway.sitegen.pages import SitePages
    from spillway.sitegen.parallel import WorkerPool
    from spillway.sitegen.reading.loading import load_catalogue
    from spillway.sitegen.release import OutputDir

    class TimedPages(SitePages):
        def jobs(self) -> Any:
            made = shares.timed("planning: what each page is made from", super().jobs)()
            return [replace(item, make=shares.timed("rendering", item.make)) for item in made]

    parts: Any = site, OutputDir, BuildCache
    _site, _output_dir, _cache = parts
    _site.SitePages = TimedPages
    _site.load_catalogue = shares.timed("reading: files into products", load_catalogue)
    _output_dir.sync = shares.timed("writing: files, and their digests", OutputDir.sync)
    _cache.save = shares.timed("remembering: for the next build", BuildCache.save)
    shares.end()
    shares.cpu_s["start: the interpreter, and what it imports"] = time.process_time()
    shares.part("the rest: the theme, pictures looked up, the release's name")
    release = site.build(Project(folder), folder=folder / "build" / "site", pool=WorkerPool(1))
    shares.end()
    whole_s = sum(shares.cpu_s.values())
    count = len(release.objects)
    return [
        (part, f"{cpu_s:.2f}", f"{cpu_s / whole_s:.0%}", f"{cpu_s / count * 1e6:.0f}")
        for part, cpu_s in (*shares.cpu_s.items(), (f"all, {count:,} files", whole_s))
    ]


if __name__ == "__main__":
    main()
