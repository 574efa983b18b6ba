"""A first publish to an S3 on this machine: ours, and what a shop would take instead, in turns.

The S3 is a process of its own that only takes what comes, and the two share the machine's cores. With 30 ms
of latency injected, what counts is how many requests are on their way at once. After each run it is looked
at whether every file arrived as it is. Rates are of objects in a second; in brackets in a CPU second of the
publisher, where the S3's work and a busy machine show less.

Then a shop in which one product changed: a publish, its build included, beside that build alone. The build is
`spillway build`; the publish is all that `spillway publish` does once it knows its stage, from the start of
Python on.

    python -m benchmarks publish [--count 10000] [--changed 10000 50000]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

from benchmarks.bucket import Bucket, bucket
from benchmarks.catalogue import items, write_shop
from benchmarks.generators import Spillway as Generator
from benchmarks.processes import Run, run
from benchmarks.publishers import Publisher, publishers
from benchmarks.tables import write_table

ROUNDS = 5
# Rounds of programs that take ten times as long.
ROUNDS_OF_THE_SLOW = 2
COUNT = 10_000
LATENCIES_S = (0.0, 0.03)
# Ours by s5cmd's, at least.
WANTED = {0.0: "3", 0.03: "2"}
# A publish by its build alone, with one product changed.
WANTED_OF_CHANGE = "1.3"
_PAGE_BYTES = 7_000
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Publish:
    """One run, and the CPU that the S3 spent on it."""

    run: Run
    s3_cpu_s: float


def main() -> None:
    """Measure, and write the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks publish")
    options.add_argument("--count", type=int, default=COUNT, help=f"so many objects instead of {COUNT:,}")
    options.add_argument("--changed", type=int, nargs="*", default=[10_000, 50_000], metavar="PRODUCTS")
    asked = options.parse_args()
    count = asked.count
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        peers = publishers(_pages(Path(name), count))
        rows = []
        for latency_s in LATENCIES_S:
            with bucket(latency_s) as s3:
                rows.append(_row(peers, latency_s, s3))
    columns = [peer.name if peer.count == count else f"{peer.name}, {peer.count:,} files" for peer in peers]
    write_table(
        f"Publishing {count:,} objects",
        f"python -m benchmarks publish --count {count}",
        ("latency", *(f"{column} /s" for column in columns), "Spillway / s5cmd", "wanted", "the S3's CPU us"),
        rows,
    )
    if asked.changed:
        write_table(
            "Publishing one changed product",
            f"python -m benchmarks publish --changed {' '.join(map(str, asked.changed))}",
            ("products", "build alone", "publish", "publish / build", "wanted at most", "objects put"),
            [_row_of_change(count) for count in asked.changed],
        )


def _row_of_change(count: int) -> tuple[str, ...]:
    """Return how a publish of one changed product compares with its build, in turns."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name,
        bucket(0.0) as s3,
    ):
        ours, edited = Generator(Path(name)), items(8)[7]
        write_shop(ours.folder, items(count))
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        words = (sys.executable, "-m", "benchmarks.publish_change", str(ours.folder), s3.url)

        def build_and_publish() -> tuple[Run, Run]:
            return run(ours.command, ours.folder), run(words, ours.folder, environment=environment)

        build_and_publish()
        s3.taken()
        pairs, asked = [], []
        for number in range(ROUNDS):
            ours.edit(edited, number)
            pairs.append(build_and_publish())
            asked.append(len(s3.taken().digests))
    elapsed = median(published.elapsed_s / built.elapsed_s for built, published in pairs)
    cpu = median(published.cpu_s / built.cpu_s for built, published in pairs)
    cells = [
        f"{median(item.elapsed_s for item in runs):.2f} s ({median(item.cpu_s for item in runs):.2f})"
        for runs in zip(*pairs, strict=True)
    ]
    return f"{count:,}", *cells, f"{elapsed:.2f} ({cpu:.2f})", WANTED_OF_CHANGE, f"{median(asked):.0f}"


def _row(peers: tuple[Publisher, ...], latency_s: float, s3: Bucket) -> tuple[str, ...]:
    done: dict[str, list[Publish]] = {peer.name: [] for peer in peers}
    for number in range(ROUNDS):
        for peer in peers:
            if peer.is_there and (number < ROUNDS_OF_THE_SLOW or not peer.is_slow):
                done[peer.name].append(_published(peer, s3))
    pairs = list(zip(done["Spillway"], done["s5cmd"], strict=True))
    elapsed = median(theirs.run.elapsed_s / ours.run.elapsed_s for ours, theirs in pairs)
    cpu = median(theirs.run.cpu_s / ours.run.cpu_s for ours, theirs in pairs)
    cells = [_cell(peer.count, done[peer.name]) for peer in peers]
    taking = [
        f"{median(item.s3_cpu_s for item in done[peer.name]) / peer.count * 1e6:.0f}" for peer in peers[:2]
    ]
    return (
        f"{latency_s * 1000:.0f} ms",
        *cells,
        f"{elapsed:.2f} ({cpu:.2f})",
        WANTED[latency_s],
        f"{taking[0]} for Spillway, {taking[1]} for s5cmd",
    )


def _published(peer: Publisher, s3: Bucket) -> Publish:
    run = peer.publish(s3.url)
    taken = s3.taken()
    if taken.digests != {file.name: sha256(file.read_bytes()).hexdigest() for file in peer.files}:
        raise SystemExit(f"{peer.name}: of {peer.count} files, not every one arrived as it is")
    return Publish(run, taken.cpu_s)


def _cell(count: int, done: Sequence[Publish]) -> str:
    if not done:
        return "not installed"
    rate = count / median(item.run.elapsed_s for item in done)
    cpu_rate = count / median(item.run.cpu_s for item in done)
    return f"{rate:,.0f} ({cpu_rate:,.0f})"


def _pages(folder: Path, count: int) -> Path:
    pages = folder / "pages"
    pages.mkdir()
    for number in range(count):
        text = json.dumps(number).encode()
        (pages / f"thing-{number:06}").write_bytes(text * (_PAGE_BYTES // len(text)))
    return pages
