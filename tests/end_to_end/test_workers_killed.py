"""The real functions, killed while they tell: nobody is lost, and repeats stay within a batch for each."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from chalicelib.domain.entry import Signup
from chalicelib.domain.stock import Availability, AvailabilityEvent
from chalicelib.domain.wave import BATCH_ENTRIES_MAX
from chalicelib.services.availability import Availabilities
from chalicelib.settings import clock_ms
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from spillway.local_cloud.shopper import until
from spillway.stage import Stage, stage_named
from tests.end_to_end.demo import MARK, DemoProcess, checkout, free_ports, open_demo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.local_cloud,
    pytest.mark.skipif(sys.platform != "linux", reason="what still runs is read from /proc"),
]

SKU = "FJ-INK-L"
WAITERS = 60
KILLED_AFTER = (8, 30)
# The queue shows a killed worker's message again after two minutes, a second kill's after two more.
NOTIFIED_IN_S = 360.0


def join(stage: Stage, count: int) -> set[str]:
    """Shoppers who have confirmed already."""
    entries = EntriesTable(stage.client("dynamodb"), stage.outputs()["EntriesTable"])
    for number in range(count):
        shopper = f"killed{number:03}"
        entries.sign_up(Signup(shopper, f"{shopper}@example.com", SKU, "/", "c"), at_ms=clock_ms())
        assert entries.confirm(shopper, SKU, at_ms=clock_ms())
    return {f"killed{number:03}@example.com" for number in range(count)}


def kill_functions(demo: DemoProcess) -> int:
    """Kill every process that runs a function: the children of the emulator."""
    mark = f"{MARK}={demo.run}".encode()
    started = {int(folder.name): folder for folder in Path("/proc").glob("[0-9]*") if _has(folder, mark)}
    cloud = {
        pid for pid, folder in started.items() if _says(folder, "cmdline", b"spillway.local_cloud.child")
    }
    killed = 0
    for folder in Path("/proc").glob("[0-9]*"):
        if _parent(folder) in cloud:
            os.kill(int(folder.name), signal.SIGKILL)
            killed += 1
    return killed


def _has(folder: Path, mark: bytes) -> bool:
    return _says(folder, "environ", mark)


def _says(folder: Path, file: str, words: bytes) -> bool:
    try:
        return words in (folder / file).read_bytes()
    except OSError:  # gone by now, or somebody else's
        return False


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def test_functions_killed_while_they_notify_lose_nobody(tmp_path: Path) -> None:
    project = checkout(tmp_path)
    with open_demo(project, free_ports()) as demo:
        stage = stage_named(project, "local")
        waiting = join(stage, WAITERS)
        products = ProductsTable(stage.client("dynamodb"), stage.outputs()["ProductsTable"])
        event = AvailabilityEvent("e2e", SKU, Availability.IN_STOCK, 5, clock_ms())
        Availabilities(products).apply(event)
        emailed: Counter[str] = Counter()
        killed = 0
        with httpx.Client(base_url=demo.inbox_url, trust_env=False, timeout=30) as inbox:

            def look() -> Counter[str]:
                listed = inbox.get("/emails.json").raise_for_status().json()
                emailed.clear()
                emailed.update(item["recipient"] for item in listed if item["recipient"] in waiting)
                return emailed

            def at_least(number: int) -> Callable[[], bool | None]:
                return lambda: True if sum(look().values()) >= number else None

            for number in KILLED_AFTER:
                until(at_least(number), f"{number} are emailed", within_s=NOTIFIED_IN_S)
                killed += kill_functions(demo)
            assert killed
            until(
                lambda: True if set(look()) == waiting else None,
                "all are notified",
                within_s=NOTIFIED_IN_S,
            )
            repeats = sum(look().values()) - WAITERS
        assert repeats <= BATCH_ENTRIES_MAX * killed
