"""Memory and files of processes while a flood lasts, and the report of it."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from chalicelib.services.recount import Drift, Recounted
from loadtests.figures import Figures, Moment, read_figures, read_moments
from loadtests.growth import all_flat, growths, over_time
from loadtests.ledger import Account
from loadtests.processes import Family, Group, Held, watched
from loadtests.report import Findings, report, said_of_counters

MB = 1_000_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def looks(group: Group, pid: int, *, memory_grows: float = 0.0, files_grow: float = 0.0) -> list[Held]:
    """A process looked at for ten minutes, growing by so much in all."""
    return [
        Held(
            at_s,
            group,
            pid,
            round(50 * MB * (1 + memory_grows * at_s / 600)),
            round(20 + files_grow * at_s / 600),
        )
        for at_s in range(0, 601, 5)
    ]


def process(proc: Path, pid: int, *, pages: int, files: int, children: str = "") -> None:
    """A process as /proc shows it."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    (folder / "statm").write_text(f"9999 {pages} 0 0 0 0 0\n")
    for number in range(files):
        (folder / "fd" / str(number)).touch()


def test_text_without_placeholders_is_flat() -> None:
    found = growths(looks(Group.FRONT, 1, memory_grows=0.03, files_grow=3) + looks(Group.FUNCTIONS, 2))
    assert [growth.group for growth in found] == [Group.FRONT, Group.FUNCTIONS]
    assert all_flat(found)


@pytest.mark.parametrize("grows", [{"memory_grows": 0.3}, {"files_grow": 40}])
def test_one_function_that_grows_among_others_that_do_not_is_found(grows: dict[str, float]) -> None:
    samples = looks(Group.FUNCTIONS, 1) + looks(Group.FUNCTIONS, 2, **grows) + looks(Group.FUNCTIONS, 3)
    (growth,) = growths(samples)
    assert growth.processes == 3
    assert not growth.flat
    assert not all_flat([growth])


def test_the_emulator_may_grow_it_keeps_everything_in_memory() -> None:
    found = growths(looks(Group.EMULATOR, 1, memory_grows=2))
    assert not found[0].flat
    assert all_flat(found)


def test_growth_at_the_start_or_of_a_short_process_is_no_finding() -> None:
    early = [Held(look.at_s, look.group, 1, look.memory_bytes, 20) for look in looks(Group.FRONT, 1)]
    early[0] = Held(0, Group.FRONT, 1, 5 * MB, 2)
    assert all_flat(growths(early))
    short_lived = [look for look in looks(Group.FUNCTIONS, 2, memory_grows=3) if look.at_s < 200]
    assert [growth.group for growth in growths(early + short_lived)] == [Group.FRONT]
    assert growths([item for item in early if item.at_s < 100]) == []


def test_a_group_is_added_up_over_time() -> None:
    samples = looks(Group.FUNCTIONS, 1) + looks(Group.FUNCTIONS, 2) + looks(Group.EMULATOR, 3)
    assert set(over_time(samples, Group.FUNCTIONS, lambda item: item.files).values()) == {40}


def test_the_front_the_emulator_and_the_functions_it_started_are_looked_at(tmp_path: Path) -> None:
    process(tmp_path, 10, pages=100, files=7)
    process(tmp_path, 11, pages=200, files=9, children="12 13 ")
    process(tmp_path, 12, pages=50, files=3)
    seen = list(Family(10, 11, tmp_path).look(at_s=1.0))  # 13 has ended
    assert [(item.group, item.pid, item.files) for item in seen] == [
        (Group.FRONT, 10, 7),
        (Group.EMULATOR, 11, 9),
        (Group.FUNCTIONS, 12, 3),
    ]
    assert seen[0].memory_bytes == 100 * PAGE_BYTES


def test_no_demo_of_this_folder_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert Family.of(tmp_path) is None
    with watched(None) as held:
        pass
    assert held == []


def test_watching_looks_at_least_once_and_ends_with_the_block(tmp_path: Path) -> None:
    process(tmp_path, 10, pages=100, files=7)
    with watched(Family(10, 11, tmp_path), every_s=60, clock=lambda: 3.0) as held:
        pass
    assert [(item.pid, item.at_s) for item in held] == [(10, 0.0)]


def test_the_report_has_the_account_the_budget_the_steps_and_the_curves() -> None:
    result = Account(10, 6, (), (), 0, 1, 2, 5, 2, Counter({429: 9}))
    figures = [
        Figures("product page", 1000, 1, 10, 20, 30, 40),
        Figures("Aggregated", 1000, 1, 10, 20, 30, 40),
    ]
    moments = [Moment(at_s, 8, 12.0, 1.0, 90.0) for at_s in range(60)]
    held = looks(Group.FRONT, 1) + looks(Group.FUNCTIONS, 2) + looks(Group.EMULATOR, 3, memory_grows=1)
    counted = Recounted(1_234, 5, 3, (Drift("A", "waiting", 7, 9, -2),))
    page = report(Findings("Shoppers come", result, figures, moments, held, recounted=counted))
    assert "6 of 6 accepted signups" in page
    assert "Throttled or failed 9 times with 429" in page
    assert page.count("<polyline") == 10
    assert page.count("<td>flat</td>") == 2
    assert page.count("<td>not ours</td>") == 1
    assert not re.findall(r"(?:src|href|url)\s*[=(]", page)
    assert ">30 s</text>" in page
    assert ">2.5 min</text>" in page
    row = page.partition("pages and files not answered")[2].partition("</tr>")[0]
    assert re.findall(r">([^<]+)</td>", row) == ["0.1%", "1", "1,000"]
    row = page.partition("counters that differ from the entries")[2].partition("</tr>")[0]
    assert re.findall(r">([^<]+)</td>", row) == ["0", "1", "1,234"]


def test_counters_are_said_to_be_right_or_are_named() -> None:
    drift = Drift("A", "waiting", 7, 9, -2)
    assert said_of_counters(Recounted(1_234, 5, 1, ())) == (
        "1,234 entries of 5 SKUs are in the Entries table: every counter of the merchant's page is right."
    )
    assert said_of_counters(Recounted(1_234, 5, 3, (drift,))).splitlines() == [
        "1,234 entries of 5 SKUs are in the Entries table: 1 counters differ, by 2 in all.",
        "  A waiting: -2",
    ]


def test_figures_are_read_as_locust_leaves_them(tmp_path: Path) -> None:
    heads = "Name,Request Count,Failure Count,50%,95%,99%,100%\n"
    file = tmp_path / "stats.csv"
    file.write_text(heads + "home,5,0,10,20,30,40\nnever,0,0,0,0,0,0\nAggregated,5,0,10,20,30,40\n")
    assert [figure.step for figure in read_figures(file)] == ["home", "Aggregated"]
    history = tmp_path / "history.csv"
    history.write_text(
        "Timestamp,User Count,Name,Requests/s,Failures/s,95%\n"
        "100,0,Aggregated,0.0,0.0,N/A\n101,4,home,1.0,0.0,9\n102,8,Aggregated,3.5,0.5,70\n"
    )
    assert read_moments(history) == [Moment(0, 0, 0.0, 0.0, 0.0), Moment(2, 8, 3.5, 0.5, 70.0)]
