"""The wheel, installed as the tutorial says, needs no checkout; the whole tutorial is typed with it."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from spillway.local_cloud.shopper import Shopper, until
from spillway.project import Project
from tests.end_to_end.demo import DemoProcess, free_ports
from tests.support.aws import ROOT
from tests.support.documents import SHELL, TUTORIAL, make_edits, tutorial_step, typed_in

pytestmark = pytest.mark.slow

UV = shutil.which("uv") or shutil.which(ROOT / ".tools" / "bin" / "uv")
# Nothing of this is part of a package.
LEFT_BEHIND = shutil.ignore_patterns(
    *(
        ".git",
        ".venv",
        ".tools",
        ".cache",
        ".*_cache",
        ".hypothesis",
        "__pycache__",
        "build",
        "dist",
        "mutants",
    )
)
MUG, CANDLE = "/products/stoneware-mug", "/products/beeswax-candle"


class Terminal:
    """A terminal: a folder, and an environment with nothing of this checkout in it."""

    def __init__(self, home: Path) -> None:
        assert UV is not None
        self.folder = home
        kept = {name: text for name, text in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        self.environment = kept | {
            "PATH": os.pathsep.join([str(home / "bin"), str(Path(UV).parent), os.environ["PATH"]]),
            "UV_TOOL_DIR": str(home / "tools"),
            "UV_TOOL_BIN_DIR": str(home / "bin"),
            "UV_PYTHON": sys.executable,
        }

    def types(self, line: str, *, answers: str = "") -> str:
        """Type a line that succeeds; return what it prints, warnings last."""
        first, *rest = shlex.split(line)
        if first == "cd":
            self.folder /= rest[0]
            return ""
        ran = subprocess.run(
            [self._program(first), *rest],
            cwd=self.folder,
            env=self.environment,
            input=answers,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    @contextmanager
    def keeps_open(self, line: str, port: int, *, until_it_prints: str) -> Iterator[DemoProcess]:
        """Type a line that goes on, at a port that is free; press Ctrl-C at the end of the block."""
        first, *rest = shlex.split(line)
        command = (self._program(first), *rest)
        process = DemoProcess.start(Project(self.folder), port, command=command, env=self.environment)
        try:
            process.prints(until_it_prints)
            yield process
            process.send_signal(signal.SIGINT)
        finally:
            process.stop()
        assert "Traceback" not in process.printed

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self.environment["PATH"])
        assert found, f"{name}: not installed"
        return found


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A terminal in a folder of its own, after step 1 of the tutorial."""
    if UV is None:
        pytest.skip("uv is not installed: run make setup")
    home = tmp_path_factory.mktemp("home")
    opened = Terminal(home)
    shutil.copytree(ROOT, home / "checkout", ignore=LEFT_BEHIND)
    opened.folder = home / "checkout"
    for line in typed_in(tutorial_step(1)):
        opened.types(line)
    shutil.rmtree(home / "checkout")
    (home / "work").mkdir()
    opened.folder = home / "work"
    (python,) = (home / "tools").glob("*/bin/python")
    assert str(ROOT) not in opened.types(f"{python} -c 'import spillway; print(spillway.__file__)'")
    return opened


def test_every_line_of_the_tutorial_does_what_the_page_says(terminal: Terminal) -> None:
    for line in typed_in(tutorial_step(2)):
        terminal.types(line, answers="\n\n\n")

    port = free_ports()
    (serve,) = typed_in(tutorial_step(3))
    with terminal.keeps_open(serve, port, until_it_prints=f"http://127.0.0.1:{port}/") as served:
        assert "Stoneware mug" in page(served.shop_url, MUG)
        make_edits(tutorial_step(4), terminal.folder)
        reloaded = until(
            lambda: text if "Breakfast mug" in (text := page(served.shop_url, MUG)) else None,
            "the page shows the new title",
            within_s=30,
        )
        assert "32.00" in reloaded

    (build,) = typed_in(tutorial_step(5))
    printed = terminal.types(build)
    assert "3 products" in printed
    assert "[FILL IN: your name or company, and street]" in printed
    assert "Breakfast mug" in (terminal.folder / "build" / "site" / MUG[1:]).read_text()

    demo, available, sold_out = typed_in(tutorial_step(6))
    port = free_ports()
    with (
        terminal.keeps_open(demo, port, until_it_prints="Ctrl-C stops everything") as shop,
        ExitStack() as open_,
    ):
        assert shop.shop_url in shop.printed
        assert shop.inbox_url in shop.printed
        front, inbox = (
            open_.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=30))
            for url in (shop.shop_url, shop.inbox_url)
        )
        ada = Shopper("Ada", "ada@example.com", front, inbox)
        ada.signs_up(MUG, "MUG-SLATE")
        (asked,) = ada.awaits_emails(1)
        ada.presses(ada.opens(asked.link("/api/confirm")))
        assert "Sold out" in ada.reads(MUG)
        terminal.types(available)
        until(lambda: True if "Sold out" not in ada.reads(MUG) else None, "the page changes", within_s=60)
        _, notified = ada.awaits_emails(2)
        assert "Breakfast mug" in notified.subject
        assert 'id="waitlist"' not in ada.reads(CANDLE)
        terminal.types(sold_out)
        until(
            lambda: True if 'id="waitlist"' in ada.reads(CANDLE) else None, "the form is there", within_s=60
        )

    (last,) = SHELL.findall(TUTORIAL)
    printed = terminal.types(f"{last.strip()} --port {port}")
    assert "comes back" in printed

    printed = terminal.types("spillway package")
    assert "build/package/deployment.zip" in printed
    assert (terminal.folder / "build" / "package" / "sam.json").is_file()


def page(url: str, path: str) -> str:
    """Return a page, empty while it cannot be served."""
    answer = httpx.get(f"{url}{path}", trust_env=False, timeout=30)
    return re.sub(r"\s+", " ", answer.text) if answer.status_code == httpx.codes.OK else ""
