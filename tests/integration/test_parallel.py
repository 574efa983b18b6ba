"""Work shared among processes gives what one would give."""

import multiprocessing
import os
import signal
from collections.abc import Sequence

import pytest

from spillway.sitegen.parallel import WorkerPool, chunks_of

NUMBERS = list(range(1000))


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
