"""A flood as a value, and Locust as the process that sends it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.ledger import Ledger
from loadtests.shapes import Shape, duration_s
from spillway.errors import WorkFailed

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Who is in the shop at the end may finish what they began: their answers count. The most patient
# try for 15 s, and twice that when they are asked to wait (patience.py).
LAST_VISITS_S = 40


@dataclass(frozen=True, slots=True)
class Flood:
    """Where shoppers are sent, as what, and how they come. `folder` is where figures and ledger go.

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
        """What every address of this run begins with."""
        return f"success+{self.run}" if self.on_aws else self.run

    @property
    def mailbox_domain(self) -> str:
        """What every address of this run ends with."""
        return "simulator.amazonses.com" if self.on_aws else "example.com"

    @property
    def ledger(self) -> Ledger:
        """What became of each form."""
        return Ledger(self.folder / "ledger.jsonl")

    @property
    def charts(self) -> Path:
        """Locust's own report."""
        return self.folder / "locust.html"

    @property
    def report(self) -> Path:
        """Ours."""
        return self.folder / "report.html"

    @property
    def figures(self) -> Path:
        """Locust's figures, by step."""
        return self.folder / "figures_stats.csv"

    @property
    def history(self) -> Path:
        """The same, by second."""
        return self.folder / "figures_stats_history.csv"


def send(flood: Flood) -> None:
    """Send all of it, and wait for its last shopper.

    Raises:
        WorkFailed: Locust failed, or did not come to an end.
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
    """The command that sends it. Workers are processes of this machine, led by a first one."""
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    words += ["--host", flood.shop_url, "--landing", flood.landing]
    words += ["--ledger", str(flood.ledger.file), "--scale", str(flood.scale)]
    words += ["--mailbox-prefix", flood.mailbox_prefix, "--mailbox-domain", flood.mailbox_domain]
    words += ["--shape", flood.shape, "--seed", str(flood.seed), "--html", str(flood.charts)]
    words += ["--csv", str(flood.folder / "figures"), "--stop-timeout", str(LAST_VISITS_S)]
    if flood.workers > 1:
        words += ["--processes", str(flood.workers)]
    # Failed requests are figures here, no reason to fail: the account is.
    return [*words, "--exit-code-on-error", "0"]
