"""`spillway preflight` from the outside."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spillway.commands.campaign import preflight_command
from spillway.errors import BadInput
from spillway.preflight.forecast import Forecast
from spillway.project import Project
from spillway.sitegen.release import Release
from tests.support.shop_weight import write_site

# The rate of a million visitors in an hour, for a quarter of it.
FLOOD = ["--visitors", "250000", "--over", "15m", "--peak-factor", "5"]
SMALL = ["--visitors", "5000", "--over", "5m"]


@pytest.fixture(scope="module")
def project(small_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("shop"))
    project.site.mkdir()
    (project.site / "site.toml").touch()
    write_site(small_release, project.output / "site")
    return project


def run(project: Project, *words: str) -> Result:
    result = CliRunner().invoke(preflight_command, list(words), obj=project)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_limits_that_hold_exit_with_0_and_the_tightest_one_is_named(project: Project) -> None:
    result = run(project, *SMALL, "--details")
    assert result.exit_code == 0, result.output
    assert "It holds" in result.output
    assert "Nothing is throttled." in result.output
    assert "Nothing is lost." in result.output


def test_a_limit_that_breaks_exits_with_1_and_its_named_fix_repairs_it(project: Project) -> None:
    result = run(project, *SMALL, "--details", "--limit", "emails_per_s=0.1", "--limit", "emails_per_day=200")
    assert result.exit_code == 1
    assert "It would not hold" in result.output
    assert "request-service-quota-increase --service-code ses" in result.output
    mended = result.output.partition("With the fixes.")[2]
    assert "Nothing is throttled." in mended
    assert "Nothing is lost." in mended.replace("\n", " ")


def test_the_answer_is_five_lines_with_the_verdict_and_the_cost_first(project: Project) -> None:
    lines = run(project, *SMALL).output.splitlines()
    assert lines[0] == "It holds: 5,000 visitors in 5 minutes, 250 sign up"
    assert re.fullmatch(
        r"Cost: \$0\.\d\d at list prices, \$0\.\d\d with what AWS gives free each month", lines[1]
    )
    assert lines[2].startswith("Breaks first: nothing; emails, pace comes nearest: ")
    assert max(map(len, lines)) <= 80
    assert lines[3] == "As it is: nothing is lost; emails leave at once"
    assert lines[4:] == [
        "Note: AWS's documented limits, no sandbox of SES; yours: --stage NAME",
        "Every resource, the fixes and the bill: spillway preflight --details",
    ]


def test_one_visitor_is_not_in_the_plural(project: Project) -> None:
    first = run(project, "--visitors", "1", "--signup-rate", "100%").output.splitlines()[0]
    assert first == "It holds: 1 visitor in 1 hour, 1 signs up"


def test_without_a_number_a_small_campaign_is_assumed_and_said_so(project: Project) -> None:
    result = run(project)
    assert result.exit_code == 0
    assert result.output.startswith("It holds: 20,000 visitors in 1 hour, 1,000 sign up\n")
    assert "\nNote: 20,000 visitors are an example; yours: --visitors N --over 1h\n" in result.output


@pytest.mark.parametrize(
    ("words", "ignored", "mode"),
    [
        (["--story", "--json"], "--json", "--story"),
        (["--story", "--visitors", "20000"], "--visitors", "--story"),
        (["--trace", "visitors.csv", "--over", "1h"], "--over", "--trace"),
        (["--json", "--details"], "--details", "--json"),
        (["--shape", "flat", "--peak-factor", "9"], "--peak-factor", "--shape flat"),
    ],
)
def test_an_option_that_has_no_effect_is_refused(
    project: Project, words: list[str], ignored: str, mode: str
) -> None:
    with pytest.raises(BadInput, match=rf"{ignored}: has no effect with {mode}") as refused:
        run(project, *words)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_dice_do_not_decide_whether_the_days_emails_suffice(project: Project, seed: int) -> None:
    enough, short = (
        run(project, *SMALL, "--seed", str(seed), "--limit", f"emails_per_day={emails}").exit_code
        for emails in (250, 249)
    )
    assert (enough, short) == (0, 1)


def test_json_has_every_figure_with_its_source(project: Project) -> None:
    document = json.loads(run(project, *SMALL, "--json").output)
    assert document["holds"] is True
    assert document["refresh"] == {
        "objects": 5,
        "paths": 6,
        "usd": pytest.approx(6 * 0.005 + 5 * 5e-6),
    }
    assert all(line["source"].startswith("https://") and line["why"] for line in document["bill"])
    assert document["usd"] == pytest.approx(sum(line["usd"] for line in document["bill"]))
    assert all(limit["source"] and limit["as_of"] for limit in document["limits"].values())
    assert {row["verdict"] for row in document["resources"]} <= {"holds", "tight", "breaks"}


def test_the_same_seed_says_the_same(project: Project) -> None:
    assert run(project, *SMALL, "--json").output == run(project, *SMALL, "--json").output


def test_the_report_needs_nothing_else(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    run(project, *SMALL, "--report", str(file))
    page = file.read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href|url)\s*[=(]", page)
    assert "<script" not in page
    seen = _Tags()
    seen.feed(page)
    assert seen.open == []
    assert seen.count["polyline"] == 16
    assert seen.count["table"] == 4


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_story_compares_then_and_now(project: Project) -> None:
    output = run(project, "--story").output
    assert "then and now" in output
    assert "200.00" in output
    assert "CloudFront bytes" in output
    assert "CloudFront invalidations" in output
    assert "A stock event that changes no page costs none of it." in " ".join(output.split())


def test_environments_kept_ready_save_cold_starts_and_cost(project: Project) -> None:
    cold, ready = (
        json.loads(run(project, *SMALL, "--provisioned", number, "--json").output) for number in ("0", "20")
    )
    assert ready["as_it_is"]["cold_starts"] < cold["as_it_is"]["cold_starts"]
    assert ready["usd"] - cold["usd"] == pytest.approx(20 * 0.5 * 300 * 0.0000033334)
    assert any(line["item"] == "Lambda kept ready" for line in ready["bill"])


def test_changes_of_availability_are_a_line_of_the_bill(project: Project) -> None:
    usd = {}
    for changes in ("0", "2", "1000"):
        document = json.loads(run(project, *SMALL, "--availability-changes", changes, "--json").output)
        usd[changes] = {line["item"]: line["usd"] for line in document["bill"]}.get(
            "CloudFront invalidations"
        )
    assert usd == {"0": None, "2": pytest.approx(0.06), "1000": pytest.approx(30)}


def test_the_price_of_a_stock_event_is_a_sentence(project: Project) -> None:
    words = " ".join(run(project, *SMALL, "--page", "/products/scarf", "--details").output.split())
    assert "writes up to 5 pages and invalidates up to 6 paths: $0.030, once the month's 1,000 free" in words


def test_a_trace_takes_the_place_of_a_shape(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("second,visitors\n" + "".join(f"{second},{second}\n" for second in range(60)))
    document = json.loads(run(project, "--trace", str(file), "--json").output)
    assert document["campaign"]["visitors"] == sum(range(60))
    assert document["campaign"]["over_s"] == 60


@pytest.mark.parametrize(
    "words",
    [
        ["--over", "0s"],
        ["--over", "soon"],
        ["--over", "25h"],
        ["--signup-rate", "120%"],
        ["--signup-rate", "few"],
        ["--visitors", "0"],
        ["--peak-factor", "0.5"],
    ],
)
def test_a_wrong_option_is_refused(project: Project, words: list[str]) -> None:
    assert run(project, *words).exit_code == 2


@pytest.mark.parametrize("limit", ["emails=5", "emails_per_s", "emails_per_s=many", "emails_per_s=-1"])
def test_a_limit_that_is_none_is_refused(project: Project, limit: str) -> None:
    with pytest.raises(BadInput, match="--limit"):
        run(project, *SMALL, "--limit", limit)


def test_a_limit_has_one_value(project: Project) -> None:
    for words in (["--limit", "provisioned=5", "--provisioned", "6"], ["--limit", "emails_per_s=5"]):
        with pytest.raises(BadInput, match="already"):
            run(project, *SMALL, *words, "--limit", "emails_per_s=6")


def test_a_limit_of_nothing_loses_every_signup(project: Project) -> None:
    for limit in ("partition_write_units_per_s", "calls_per_instance_s", "concurrency"):
        document = json.loads(run(project, *SMALL, "--limit", f"{limit}=0", "--json").output)
        assert (document["as_it_is"]["accepted"], document["as_it_is"]["gave_up"]) == (0, 250)
    lines = run(project, *SMALL, "--limit", "emails_per_s=0").output.splitlines()
    assert re.fullmatch(r"Breaks first: emails, pace: 0\.\d+ emails/s needed, 0 allowed", lines[2])
    assert lines[3].endswith("250 emails come too late to confirm, or never; no email leaves")


def test_a_peak_that_a_campaign_has_no_room_for_is_refused_or_said(project: Project) -> None:
    with pytest.raises(BadInput, match="the busiest of 10 seconds has 10") as refused:
        run(project, "--over", "10s", "--peak-factor", "100")
    assert "--peak-factor 10," in refused.value.hint
    for words, peak_factor in ((["--over", "2s"], 2), (["--shape", "flat"], 1), (["--over", "5m"], 5)):
        document = json.loads(run(project, "--visitors", "1000", *words, "--json").output)
        assert document["campaign"]["peak_factor"] == pytest.approx(peak_factor, rel=0.01)


def test_a_million_an_hour_breaks_a_new_account_and_with_the_fixes_nothing_is_lost(
    project: Project,
) -> None:
    # New accounts begin with few environments, and in SES's sandbox.
    words = ["--limit", "concurrency=2", "--limit", "emails_per_s=1", "--limit", "emails_per_day=200"]
    # A process of its own, where nobody counts the lines: that takes ten times as long as to play them.
    ended = subprocess.run(
        [sys.executable, "-m", "spillway", "preflight", *FLOOD, *words, "--json"],
        cwd=project.root,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stderr
    document = json.loads(ended.stdout)
    assert document["as_it_is"]["throttled"]["Lambda instances"] > 0
    assert not document["as_it_is"]["nothing_lost"]
    broken = {row["resource"] for row in document["resources"] if row["verdict"] == "breaks"}
    assert broken == {"Lambda, at once", "emails, pace", "emails in 24 hours"}
    assert document["with_the_fixes"]["throttled"] == {}
    assert document["with_the_fixes"]["nothing_lost"]
    assert document["with_the_fixes"]["accepted"] == document["with_the_fixes"]["signups"]


def test_more_signups_than_can_be_played_are_refused(project: Project) -> None:
    with pytest.raises(BadInput, match="signups"):
        run(project, "--visitors", "50000000", "--signup-rate", "100%")


def test_a_forecast_is_a_value() -> None:
    assert Forecast.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_events_of_the_shop_are_on_the_bill_and_are_named_where_they_are_missing(project: Project) -> None:
    events = ["--shop-events", "100000", "--rule-firings", "50", "--endpoints", "2"]
    shown = " ".join(run(project, *SMALL, "--details", *events).output.split())
    assert "100,000 events of the shop, 10 in a call" in shown
    assert "50 firings of rules, without their actions" in shown
    assert "100,000 events of the shop x 2 endpoints" in shown
    for option in ("--rule-firings", "--endpoints"):
        with pytest.raises(BadInput, match=f"{option}: has no effect without --shop-events"):
            run(project, *SMALL, option, "2")
