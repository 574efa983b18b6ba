"""Access logs of a flood: the form posts that they have, beside the ones that were sent and answered."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from chalicelib.settings import clock_ms
from loadtests.figures import Figures
from loadtests.report import FORM_STEPS
from spillway.stage import Stage

# The front door writes a file each two seconds; then it is queued, counted and added up.
WAIT_S = 90.0
POLL_S = 2.0
SPAN_S = 3_600


@dataclass(frozen=True, slots=True)
class LoggedPosts:
    """Form posts that were sent, how many of them failed, and posts that the access logs have.

    A shopper whom the end of the flood stops within a post is one of `stopped_max`: the shop answers and logs
    the post, and Locust does not count it.
    """

    sent: int
    failed: int
    logged: int
    stopped_max: int = 0

    @property
    def agree(self) -> bool:
        """Return whether the logs have each answered post, and none that was not sent."""
        return self.sent - self.failed <= self.logged <= self.sent + self.stopped_max

    def sentence(self) -> str:
        """Return the comparison in words."""
        verdict = "they agree" if self.agree else "they differ"
        failed = f" ({self.failed:,} of them failed)" if self.failed else ""
        return f"Access logs: {self.logged:,} form posts; sent: {self.sent:,}{failed}: {verdict}"


def posts_in_logs(stage: Stage) -> int:
    """Return the logged form posts of this hour and the one before."""
    from chalicelib.services.traffic import hour_at

    now_ms = clock_ms()
    reports = stage.container().traffic_reports
    return reports.report(hour_at(now_ms - SPAN_S * 1_000), hour_at(now_ms)).posted


def logged_posts(
    figures: Iterable[Figures],
    before: int,
    posted: Callable[[], int],
    *,
    stopped_max: int = 0,
    sleep: Callable[[float], None] = time.sleep,
    wait_s: float = WAIT_S,
) -> LoggedPosts:
    """Return the comparison, as soon as the logs have every post, or after `wait_s` seconds.

    Args:
        figures: of the steps, by locust.
        before: posts that the logs had before the flood.
        posted: returns the posts that the logs have now.
        stopped_max: the shoppers in the shop when the flood ends.
        sleep: waits for some seconds.
        wait_s: how long to wait for logs.
    """
    steps = [step for step in figures if step.step in FORM_STEPS]
    sent, failed = sum(step.requests for step in steps), sum(step.failures for step in steps)
    found = LoggedPosts(sent, failed, posted() - before, stopped_max)
    waited = 0.0
    while found.logged < sent and waited < wait_s:
        sleep(POLL_S)
        waited += POLL_S
        found = LoggedPosts(sent, failed, posted() - before, stopped_max)
    return found


def write_page(stage: Stage, file: Path) -> None:
    """Write the traffic of the flood as a page."""
    from spillway.traffic.gather import gather
    from spillway.traffic.show import page

    file.write_text(page(gather(stage, since_s=SPAN_S, now_ms=clock_ms())), encoding="utf-8")
