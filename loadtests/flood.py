"""A flood, and the Locust process that sends it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.ledger import Ledger
from loadtests.shapes import Shape, duration_s
from spillway.errors import WorkFailed

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Shoppers who are in the shop at the end finish their visit: their answers count. They retry for up to
# 15 s, and twice that if they are asked to wait (retry.py).
LAST_VISITS_S = 40


@dataclass(frozen=True, slots=True)
class Flood:
    """The target of a flood, its shoppers and its shape. `folder` gets the figures and the ledger.

    On AWS, emails go to SES's mailbox simulator: an address that bounces costs the sender its name.
    https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html (2026-11)
    """

    shop_url: str
    landing: str
    run: str
    shape: Shape
    seed: int
    folder: Path
    scale: int = 1
    workers: int = 1
    on_aws: bool = False

    @property
    def mailbox_prefix(self) -> str:
        """Return the first part of each address of this run."""
        return f"success+{self.run}" if self.on_aws else self.run

    @property
    def mailbox_domain(self) -> str:
        """Return the domain of each address of this run."""
        return "simulator.amazonses.com" if self.on_aws else "example.com"

    @property
    def ledger(self) -> Ledger:
        """Return the ledger of the forms."""
        return Ledger(self.folder / "ledger.jsonl")

    @property
    def charts(self) -> Path:
        """Return the path of Locust's report."""
        return self.folder / "locust.html"

    @property
    def report(self) -> Path:
        """Return the path of the load test's report."""
        return self.folder / "report.html"

    @property
    def figures(self) -> Path:
        """Return the path of Locust's figures by step."""
        return self.folder / "figures_stats.csv"

    @property
    def history(self) -> Path:
        """Return the path of Locust's figures by second."""
        return self.folder / "figures_stats_history.csv"


def send(flood: Flood) -> None:
    """Send the flood, and wait for its last shopper.

    Raises:
        WorkFailed: Locust failed, or did not end in time.
    """
    with (flood.folder / "locust.log").open("wb") as log:
        process = subprocess.Popen(
            words_of(flood), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        status = process.wait(duration_s(flood.shape) + 2 * LAST_VISITS_S)
    except subprocess.TimeoutExpired as late:
        raise WorkFailed("the shoppers did not come to an end", hint=f"see {log.name}") from late
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if status != 0:
        raise WorkFailed(f"the shoppers ended with status {status}", hint=f"see {log.name}")


def words_of(flood: Flood) -> list[str]:
    """Return the command that sends a flood; workers are processes on this machine."""
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    words += ["--host", flood.shop_url, "--landing", flood.landing]
    words += ["--ledger", str(flood.ledger.file), "--scale", str(flood.scale)]
    words += ["--mailbox-prefix", flood.mailbox_prefix, "--mailbox-domain", flood.mailbox_domain]
    words += ["--shape", flood.shape, "--seed", str(flood.seed), "--html", str(flood.charts)]
    words += ["--csv", str(flood.folder / "figures"), "--stop-timeout", str(LAST_VISITS_S)]
    if flood.workers > 1:
        words += ["--processes", str(flood.workers)]
    # Failed requests are figures; only the comparison with the stored signups can fail.
    return [*words, "--exit-code-on-error", "0"]
