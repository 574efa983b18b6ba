"""A flood for a shop on AWS: its announced cost, the consent, how it is sent. Nothing is sent here."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtests.__main__ import Asked, load
from loadtests.consent import Estimate, estimate, require_consent
from loadtests.flood import Flood, words_of
from loadtests.shapes import PHASES, Shape, phase_at, shopper_seconds
from spillway.errors import BadInput, WorkFailed

SHOP = "https://www.shop.example"
COSTS = Estimate(SHOP, visits=1_200, forms=600, usd=0.42)


def never_asked(_: str) -> bool:
    raise AssertionError("nobody is to be asked")


def flood(folder: Path, *, on_aws: bool, workers: int = 1, scale: int = 1) -> Flood:
    return Flood(SHOP, "/products/hat", "abcd", Shape.SPIKE, 7, folder, scale, workers, on_aws)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    page = tmp_path / "products" / "hat"
    page.parent.mkdir()
    page.write_text("<p>A hat</p>" * 100)
    return tmp_path


def test_a_person_who_said_yes_beforehand_is_not_asked() -> None:
    require_consent(COSTS, yes=True, terminal=False, ask=never_asked)


def test_where_nobody_can_be_asked_nothing_is_agreed_to() -> None:
    with pytest.raises(BadInput, match=r"about \$0.42") as refused:
        require_consent(COSTS, yes=False, terminal=False, ask=never_asked)
    assert "--yes" in refused.value.hint


def test_at_a_terminal_the_cost_is_shown_and_the_answer_heeded() -> None:
    asked: list[str] = []

    def agree(question: str) -> bool:
        asked.append(question)
        return True

    require_consent(COSTS, yes=False, terminal=True, ask=agree)
    assert "1,200 visits and 600 forms go to https://www.shop.example" in asked[0]
    with pytest.raises(WorkFailed, match="nothing was sent"):
        require_consent(COSTS, yes=False, terminal=True, ask=lambda _: False)


def test_ten_times_the_shoppers_cost_ten_times_as_much(site: Path) -> None:
    once = estimate(flood(site, on_aws=True), site)
    more = estimate(flood(site, on_aws=True, scale=10), site)
    assert once.visits == round(shopper_seconds(Shape.SPIKE) / 5)
    assert more.visits == 10 * once.visits
    assert more.usd == pytest.approx(10 * once.usd, rel=0.02)


def test_a_page_that_is_not_published_has_no_estimate(site: Path) -> None:
    with pytest.raises(BadInput, match="no such page"):
        estimate(replace(flood(site, on_aws=True), landing="/products/scarf"), site)


def test_emails_of_a_flood_on_aws_go_to_the_mailbox_simulator(tmp_path: Path) -> None:
    words = words_of(flood(tmp_path, on_aws=True))
    assert words[words.index("--mailbox-domain") + 1] == "simulator.amazonses.com"
    assert words[words.index("--mailbox-prefix") + 1] == "success+abcd"
    local = words_of(flood(tmp_path, on_aws=False))
    assert local[local.index("--mailbox-domain") + 1] == "example.com"


def test_workers_are_processes_led_by_one(tmp_path: Path) -> None:
    words = words_of(flood(tmp_path, on_aws=True, workers=4, scale=20))
    assert words[words.index("--processes") + 1] == "4"
    assert words[words.index("--scale") + 1] == "20"
    assert "--processes" not in words_of(flood(tmp_path, on_aws=True))


def test_a_scaled_flood_has_the_same_phases_and_more_shoppers() -> None:
    phase, scaled = phase_at(Shape.SPIKE, 20), phase_at(Shape.SPIKE, 20, scale=5)
    assert phase is not None
    assert scaled is not None
    assert (scaled.shoppers, scaled.until_s) == (5 * phase.shoppers, phase.until_s)
    assert shopper_seconds(Shape.STEADY) == PHASES[Shape.STEADY][0].shoppers * 60


def asked(stage: str, shape: str = "spike", calls_per_s_max: float | None = None) -> Asked:
    return Asked(8000, shape, 1, calls_per_s_max, stage, 1, 1, yes=False)


def test_a_throttle_is_turned_down_on_this_machine_alone() -> None:
    assert asked("local").throttle == 3
    assert asked("local", "soak").throttle == 0
    assert asked("local", calls_per_s_max=1.5).throttle == 1.5
    assert asked("production").throttle == 0
    with pytest.raises(BadInput, match="production is left as it is deployed"):
        _ = asked("production", calls_per_s_max=1.5).throttle


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--scale", "abc"], "'abc': expected a whole number from 1 to 1,000"),
        (["--api-calls-per-s", "nan"], "'nan': expected a number from 0 to 10,000"),
        (["--shape", "spik"], "Did you mean 'spike'?"),
    ],
)
def test_a_wrong_option_is_explained_as_those_of_other_commands(words: list[str], expected: str) -> None:
    ended = CliRunner().invoke(load, words)
    assert (ended.exit_code, expected in ended.output) == (2, True)
