"""A first publish of two thousand pages to an S3 on this machine: ours, s5cmd's and boto3's, in turns.

The S3 is a process of its own that keeps nothing: what is measured is the publisher, and the two share the
machine's cores. With 30 ms of latency injected, what counts is how many requests are on their way at once.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.peers import installed
from benchmarks.send import KEY, REGION, SECRET
from benchmarks.tables import write_table
from tests.s3_sink import S3Sink, running

ROUNDS = 5
COUNT = 2_000
LATENCIES_S = (0.0, 0.03)
_PAGE_BYTES = 7_000
_BOTO_COUNT = 100


def main() -> None:
    """Measure, and write the table."""
    rows = []
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        files = _pages(Path(name))
        for latency_s in LATENCIES_S:
            with _sink(latency_s) as url:
                rows.append(_row(Path(name), files, latency_s, url))
    write_table(
        "Publishing",
        "python -m benchmarks publish",
        ("objects", "latency", "Spillway /s", "s5cmd /s", "boto3, 32 threads /s", "Spillway / s5cmd"),
        rows,
    )


def _row(folder: Path, files: list[Path], latency_s: float, url: str) -> tuple[str, ...]:
    peers: tuple[Callable[[], float], ...] = (
        lambda: _ours(files, url),
        lambda: _s5cmd(folder, url),
        lambda: _boto(files[:_BOTO_COUNT], url),
    )
    rates: list[list[float]] = [[], [], []]
    for _ in range(ROUNDS):
        for rate, peer in zip(rates, peers, strict=True):
            rate.append(peer())
    ratio = median(ours / theirs for ours, theirs in zip(rates[0], rates[1], strict=True))
    cells = [f"{median(rate):,.0f}" for rate in rates]
    return (f"{len(files):,}", f"{latency_s * 1000:.0f} ms", *cells, f"{ratio:.2f}")


def _ours(files: list[Path], url: str) -> float:
    """In a process of its own, as the others are: its start counts."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.send", str(files[0].parent), url], check=True)
    return len(files) / (time.perf_counter() - started)


def _s5cmd(folder: Path, url: str) -> float:
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION}
    started = time.perf_counter()
    subprocess.run(
        [
            *(str(installed("s5cmd")), "--endpoint-url", url, "--numworkers", "256"),
            *("cp", f"{folder}/pages/*", "s3://pages/"),
        ],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return COUNT / (time.perf_counter() - started)


def _boto(files: list[Path], url: str) -> float:
    client: Any = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(max_pool_connections=32, s3={"addressing_style": "path"}),
    )
    started = time.perf_counter()
    with ThreadPoolExecutor(32) as pool:
        list(
            pool.map(
                lambda file: client.put_object(Bucket="pages", Key=file.name, Body=file.read_bytes()), files
            )
        )
    return len(files) / (time.perf_counter() - started)


def _pages(folder: Path) -> list[Path]:
    pages = folder / "pages"
    pages.mkdir()
    files = []
    for number in range(COUNT):
        file = pages / f"thing-{number:06}"
        file.write_bytes(json.dumps(number).encode() * (_PAGE_BYTES // len(str(number))))
        files.append(file)
    return files


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
    with running(S3Sink(latency_s=latency_s, keep_bodies=False)) as sink:
        sender.send(sink.url)
        time.sleep(3600)
