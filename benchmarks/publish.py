"""A first publish to an S3 on this machine: ours, and what a shop would take instead, in turns.

The S3 is a process of its own that keeps nothing: what is measured is the publisher, and the two share the
machine's cores. With 30 ms of latency injected, what counts is how many requests are on their way at once.
Rates are of objects in a second; in brackets in a CPU second of the publisher, where the S3's work and a
busy machine do not show.

    python -m benchmarks publish [--count 10000]
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from benchmarks.processes import Run
from benchmarks.publishers import Publisher, publishers
from benchmarks.tables import write_table
from tests.s3_sink import S3Sink, running

ROUNDS = 5
# Of those that take ten times as long.
ROUNDS_OF_THE_SLOW = 2
COUNT = 2_000
LATENCIES_S = (0.0, 0.03)
# Ours by s5cmd's, at least.
WANTED = {0.0: "3", 0.03: "2"}
_PAGE_BYTES = 7_000
_NOTHING_THERE = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"
)


def main() -> None:
    """Measure, and write the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks publish")
    options.add_argument("--count", type=int, default=COUNT, help=f"so many objects instead of {COUNT:,}")
    count = options.parse_args().count
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = _pages(Path(name), count)
        peers = publishers(folder)
        rows = []
        for latency_s in LATENCIES_S:
            with _sink(latency_s) as url:
                rows.append(_row(peers, count, latency_s, url))
    write_table(
        f"Publishing {count:,} objects",
        f"python -m benchmarks publish --count {count}",
        ("latency", *(f"{peer.name} /s" for peer in peers), "Spillway / s5cmd", "wanted"),
        rows,
    )


def _row(peers: tuple[Publisher, ...], count: int, latency_s: float, url: str) -> tuple[str, ...]:
    runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    for number in range(ROUNDS):
        for peer in peers:
            if peer.is_there and (number < ROUNDS_OF_THE_SLOW or not peer.is_slow):
                runs[peer.name].append(peer.publish(url))
    pairs = list(zip(runs["Spillway"], runs["s5cmd"], strict=True))
    elapsed = median(theirs.elapsed_s / ours.elapsed_s for ours, theirs in pairs)
    cpu = median(theirs.cpu_s / ours.cpu_s for ours, theirs in pairs)
    cells = [_cell(peer.count, runs[peer.name]) for peer in peers]
    return (f"{latency_s * 1000:.0f} ms", *cells, f"{elapsed:.2f} ({cpu:.2f})", WANTED[latency_s])


def _cell(count: int, runs: Sequence[Run]) -> str:
    if not runs:
        return "not installed"
    rate, cpu_rate = (
        count / median(each.elapsed_s for each in runs),
        count / median(each.cpu_s for each in runs),
    )
    return f"{rate:,.0f} ({cpu_rate:,.0f})"


def _pages(folder: Path, count: int) -> Path:
    pages = folder / "pages"
    pages.mkdir()
    for number in range(count):
        text = json.dumps(number).encode()
        (pages / f"thing-{number:06}").write_bytes(text * (_PAGE_BYTES // len(text)))
    return pages


@dataclass
class _EmptySink(S3Sink):
    """A bucket that nothing was ever put in, for those who ask first."""

    def answer(self, method: str, name: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """An empty list where a bucket is asked for."""
        if method == "GET" and not name.partition("/")[2]:
            return 200, "", _NOTHING_THERE
        return super().answer(method, name, headers, body)


@contextmanager
def _sink(latency_s: float) -> Iterator[str]:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(latency_s, sender))
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def _serve(latency_s: float, sender: Connection) -> None:
    with running(_EmptySink(latency_s=latency_s, keep_bodies=False)) as sink:
        sender.send(sink.url)
        time.sleep(3600)
