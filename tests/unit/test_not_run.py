"""After a run it is written how many tests were not run, and how to have them run."""

from tests.support.not_run import lines_of


def test_each_reason_is_counted_the_most_frequent_first() -> None:
    assert lines_of(["no browser", "no Java", "no browser"], slow=7) == [
        "10 tests were not run:",
        "  7 slow: `make test-slow` runs them",
        "  2 no browser",
        "  1 no Java",
    ]
    assert lines_of(["no Java"], slow=0) == ["1 test was not run:", "  1 no Java"]


def test_nothing_is_written_when_every_test_ran() -> None:
    assert lines_of([], slow=0) == []
