"""Work shared among processes gives what one would give."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from spillway.sitegen.cache import BuildCache
from spillway.sitegen.parallel import WorkerPool, chunks_of

NUMBERS = list(range(1000))
# Writes a byte for each of 300 chunks, which take three processes two seconds.
SLOW_WORK = """
import os, time
from spillway.sitegen.parallel import WorkerPool

def work(chunk):
    time.sleep(0.02)
    os.write(1, b".")

WorkerPool(3, items_per_worker_min=1).map_batches(work, [[number] for number in range(300)])
"""
# Saves sixty caches, of 300 kB each, to one file.
SAVES = """
import sys
from pathlib import Path
from spillway.sitegen.cache import BuildCache

for number in range(60):
    cache = BuildCache(Path(sys.argv[1]), context="")
    cache.set("page", (number, sys.argv[2] * 300_000))
    cache.save()
"""


def squares(chunk: Sequence[int]) -> list[int]:
    return [number**2 for number in chunk]


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_results_come_in_the_order_of_the_chunks(workers: int) -> None:
    chunks = [NUMBERS[:300], *chunks_of(NUMBERS[300:])]

    results = WorkerPool(workers).map_batches(squares, chunks)

    assert [number for result in results for number in result] == squares(NUMBERS)
    assert len(results) == len(chunks)
    assert not multiprocessing.active_children()


def test_nothing_is_shared_where_there_is_nothing() -> None:
    assert WorkerPool(2).map_batches(squares, []) == []


def test_so_many_chunks_as_a_pipe_has_numbers_for() -> None:
    chunks = chunks_of(range(10_000_000))

    assert len(chunks) == 1000
    assert sum(map(len, chunks)) == 10_000_000


def test_an_error_of_another_process_is_seen_whole() -> None:
    def work(chunk: Sequence[int]) -> list[int]:
        if 777 in chunk:
            raise ValueError("777")
        return squares(chunk)

    with pytest.raises(ValueError, match="777"):
        WorkerPool(3).map_batches(work, chunks_of(NUMBERS))
    assert not multiprocessing.active_children()


def test_work_that_fails_in_workers_only_is_done_in_this_process() -> None:
    here = os.getpid()

    def work(chunk: Sequence[int]) -> list[int]:
        if os.getpid() != here:
            raise ValueError(chunk)
        return squares(chunk)

    results = WorkerPool(3).map_batches(work, chunks_of(NUMBERS))

    assert [number for result in results for number in result] == squares(NUMBERS)


def test_work_of_a_killed_process_is_done_in_this_one() -> None:
    here = os.getpid()

    def work(chunk: Sequence[int]) -> list[int]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return squares(chunk)

    results = WorkerPool(3).map_batches(work, chunks_of(NUMBERS))

    assert [number for result in results for number in result] == squares(NUMBERS)


def test_no_process_works_on_when_the_first_one_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW_WORK], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        done = first.stdout.read(9)
        first.kill()
        # The pipe ends when the last process has ended.
        done += first.stdout.read()
    assert len(done) < 100


def test_two_builds_that_save_at_once_leave_what_one_of_them_saved(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.pickle"
    builds = [subprocess.Popen([sys.executable, "-c", SAVES, str(file), name]) for name in "ab"]
    assert [build.wait() for build in builds] == [0, 0]
    number, text = BuildCache(file, context="").get("page")
    assert (number, text) in [(59, "a" * 300_000), (59, "b" * 300_000)]
    assert list(tmp_path.iterdir()) == [file]
