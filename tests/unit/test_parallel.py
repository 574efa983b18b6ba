"""Work shared among processes gives what one would give."""

import multiprocessing
import os
import signal
from collections.abc import Sequence

import pytest

from spillway.sitegen.parallel import WorkerPool, chunks_of

NUMBERS = list(range(1000))


def squares(bundle: Sequence[int]) -> list[int]:
    return [number**2 for number in bundle]


@pytest.mark.parametrize("hands", [1, 2, 3, 7])
def test_results_come_in_the_order_of_the_bundles(hands: int) -> None:
    bundles = [NUMBERS[:300], *chunks_of(NUMBERS[300:])]

    results = WorkerPool(hands).map_batches(squares, bundles)

    assert [number for each in results for number in each] == squares(NUMBERS)
    assert len(results) == len(bundles)
    assert not multiprocessing.active_children()


def test_nothing_is_shared_where_there_is_nothing() -> None:
    assert WorkerPool(2).map_batches(squares, []) == []


def test_so_many_bundles_as_a_pipe_has_numbers_for() -> None:
    bundles = chunks_of(range(10_000_000))

    assert len(bundles) == 1000
    assert sum(map(len, bundles)) == 10_000_000


def test_an_error_of_another_process_is_seen_whole() -> None:
    def work(bundle: Sequence[int]) -> list[int]:
        if 777 in bundle:
            raise ValueError("777")
        return squares(bundle)

    with pytest.raises(ValueError, match="777"):
        WorkerPool(3).map_batches(work, chunks_of(NUMBERS))
    assert not multiprocessing.active_children()


def test_what_only_others_fail_at_is_done_here() -> None:
    here = os.getpid()

    def work(bundle: Sequence[int]) -> list[int]:
        if os.getpid() != here:
            raise ValueError(bundle)
        return squares(bundle)

    results = WorkerPool(3).map_batches(work, chunks_of(NUMBERS))

    assert [number for each in results for number in each] == squares(NUMBERS)


def test_what_a_killed_process_took_is_done_here() -> None:
    here = os.getpid()

    def work(bundle: Sequence[int]) -> list[int]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return squares(bundle)

    results = WorkerPool(3).map_batches(work, chunks_of(NUMBERS))

    assert [number for each in results for number in each] == squares(NUMBERS)
