"""`spillway demo` as a person starts it: a process of its own, in a checkout of its own."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from spillway.errors import BadInput
from spillway.local_cloud import processes
from spillway.local_cloud.shopper import until
from spillway.project import Project
from spillway.stage import stage_named
from tests.support.uploaded import made_package

ROOT = Path(__file__).parents[2]
# The demo reads these. `spillway` itself is the installed one.
COPIED = (
    "app.py",
    "chalicelib",
    "requirements.txt",
    "site",
    ".chalice/config.json",
    ".chalice/resources",
)
DEMO = (sys.executable, "-m", "spillway", "demo")
# An error in a function's log or the emulator's, or the end of a function that took too long or broke down.
FAILURE = re.compile(r"_failed\"|Traceback|[Tt]imed out|errorMessage| ERROR ")
MARK = "SPILLWAY_TEST_RUN"
OPEN_WITHIN_S = 120.0
END_WITHIN_S = 30.0


def checkout(folder: Path) -> Project:
    """A checkout in `folder`, whose demo is nobody else's.

    Developed pictures and the package are made once for all checkouts: both are recognised as current by what
    they were made from.
    """
    for name in COPIED:
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # Compiled modules hold in the copy, which keeps the time of their sources. A module that another
            # process is writing just now has one more ending.
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copyfile(source, copy)
    # Pictures are developed once for all; whatever else is kept there belongs to one checkout alone.
    pictures = Path(".cache/pictures")
    (ROOT / pictures).mkdir(parents=True, exist_ok=True)
    (folder / pictures).parent.mkdir()
    (folder / pictures).symlink_to(ROOT / pictures)
    made_package()
    shutil.copytree(ROOT / "build/package", folder / "build/package")
    return Project(folder)


def free_ports() -> int:
    """The first of three ports in a row that nobody uses.

    Below those that systems hand out to clients, so that they stay free between two starts.
    """
    for _ in range(100):
        first = random.randrange(20_000, 30_000, 3)
        try:
            for port in range(first, first + 3):
                processes.require_free(port, "a test")
        except BadInput:
            continue
        return first
    raise AssertionError("no three ports in a row are free")


@dataclass(slots=True)
class DemoProcess:
    """A demo that was started, what it printed, and every process that came of it."""

    project: Project
    port: int
    process: subprocess.Popen[bytes]
    printed_to: Path
    run: str = field(repr=False)

    @classmethod
    def start(
        cls,
        project: Project,
        port: int,
        *words: str,
        command: Sequence[str] = DEMO,
        env: Mapping[str, str] = os.environ,
    ) -> Self:
        """Start `spillway demo`, or another command that goes on, with these words more."""
        run = uuid.uuid4().hex
        printed_to = project.root / f"printed-{run}.txt"
        with printed_to.open("wb") as printed:
            process = subprocess.Popen(
                [*command, "--port", str(port), *words],
                cwd=project.root,
                env={**env, MARK: run},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(project, port, process, printed_to, run)

    @property
    def shop_url(self) -> str:
        """The shop's origin."""
        return f"http://{processes.HOST}:{self.port}"

    @property
    def inbox_url(self) -> str:
        """The inbox's origin."""
        return f"http://{processes.HOST}:{self.port + 1}"

    @property
    def printed(self) -> str:
        """Everything it printed so far, on either stream."""
        return self.printed_to.read_text()

    def failures(self) -> list[str]:
        """Errors, as the logs of the functions and of the emulator have them."""
        logs = stage_named(self.project, "local").client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        pages = [
            page
            for group in groups
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        ]
        messages = [event["message"] for page in pages for event in page["events"]]
        messages += (self.project.root / ".spillway/local/cloud.log").read_text().splitlines()
        return [message for message in messages if FAILURE.search(message)]

    def prints(self, words: str) -> None:
        """Wait until it has printed `words`."""

        def look() -> bool | None:
            if words in self.printed:
                return True
            assert self.process.poll() is None, f"ended before it printed {words!r}:\n{self.printed}"
            return None

        until(look, f"the demo prints {words!r}", within_s=OPEN_WITHIN_S)

    def ends(self, *, within_s: float = END_WITHIN_S) -> int:
        """Wait until it and all that came of it have ended. Returns the exit status."""
        status = self.process.wait(within_s)
        until(lambda: True if not self.running() else None, f"{self.running()} end", within_s=END_WITHIN_S)
        return status

    def send_signal(self, signal_number: signal.Signals) -> int:
        """Send it a signal and wait for its end. Returns the exit status."""
        self.process.send_signal(signal_number)
        return self.ends()

    def running(self) -> list[str]:
        """Processes of this demo that still run: children inherit the mark of its environment."""
        mark = f"{MARK}={self.run}".encode()
        return [_words(folder) for folder in Path("/proc").glob("[0-9]*") if mark in _environment(folder)]

    def stop(self) -> None:
        """End it in any case."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def open_demo(project: Project, port: int, *words: str) -> Iterator[DemoProcess]:
    """A demo that is open for shoppers, for as long as the block lasts."""
    demo = DemoProcess.start(project, port, *words)
    try:
        demo.prints("Ctrl-C stops everything")
        yield demo
    finally:
        demo.stop()


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # gone by now, or somebody else's
        return b""


def _words(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return process.name
