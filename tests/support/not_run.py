"""After a run, how many tests were not run, and how to have them run."""

from collections import Counter
from collections.abc import Iterable

import pytest

SLOW = "slow: `make test-slow` runs them"
SLOW_LEFT_OUT = pytest.StashKey[int]()


def lines_of(skipped: Iterable[str], slow: int) -> list[str]:
    """Return the total and a line for each reason, the most frequent first; no line when every test ran.

    Args:
        skipped: the reason of each skipped test, which says how to have it run.
        slow: the number of slow tests that were left out.
    """
    reasons = Counter(skipped)
    reasons[SLOW] += slow
    total = reasons.total()
    if not total:
        return []
    counted = [f"  {count} {reason}" for reason, count in reasons.most_common() if count]
    return [f"{total} {'tests were' if total > 1 else 'test was'} not run:", *counted]


def reason_of(report: pytest.TestReport) -> str:
    """Return the reason of a skipped test."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


class NotRun:
    """A pytest plugin that writes these lines; workers of pytest-xdist send what they left out to it."""

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the slow tests; tests that a person's own -k leaves out are no news."""
        if items:
            stash = items[0].config.stash
            slow = sum(item.get_closest_marker("slow") is not None for item in items)
            stash[SLOW_LEFT_OUT] = stash.get(SLOW_LEFT_OUT, 0) + slow

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the number from a worker."""
        output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["slow_left_out"] = session.config.stash.get(SLOW_LEFT_OUT, 0)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take the number from a worker: it is the same in each."""
        config: pytest.Config = getattr(node, "config")  # noqa: B009 - pytest-xdist has no types
        output: dict[str, int] = getattr(node, "workeroutput", {})
        config.stash[SLOW_LEFT_OUT] = max(config.stash.get(SLOW_LEFT_OUT, 0), output.get("slow_left_out", 0))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> Iterable[None]:
        """Write the lines after pytest's own summary."""
        yield
        reasons = [reason_of(report) for report in terminalreporter.stats.get("skipped", [])]
        for line in lines_of(reasons, config.stash.get(SLOW_LEFT_OUT, 0)):
            terminalreporter.write_line(line)
