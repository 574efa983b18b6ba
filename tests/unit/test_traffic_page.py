"""The traffic of a stage as text and as a page; the demo's access log; SQL over both."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from chalicelib.domain.traffic.counting import count_log, log_name
from chalicelib.domain.traffic.report import Coverage, TrafficReport, recent_document
from spillway.errors import BadInput
from spillway.local_cloud.access_logs import AccessLog, Hit
from spillway.preflight.bill import bill, traffic_prices
from spillway.traffic.gather import FunnelRow, Traffic, steps_of, used
from spillway.traffic.query import query
from spillway.traffic.show import bar, coverage_words, headline, page, show, spark
from tests.support.access_log import HOUR, HOW, counted_lines, gzipped, log_line, text_of
from tests.support.memory_s3 import MemoryS3

HOSTILE = "/<script>alert(1)</script>"


def traffic(*log_lines: str, counted: int | None = 2) -> Traffic:
    report = TrafficReport.of(HOUR, HOUR, [counted_lines(*log_lines)] if log_lines else [])
    coverage = Coverage(report.posted, counted)
    rows = (FunnelRow("mug", 8, 4, 2, 1, 7), FunnelRow("hat", 3, 0, 0, 0)) if log_lines else ()
    return Traffic(report, coverage, rows, bill(used(report, coverage)))


POST = log_line(method="POST", stem="/api/waitlist", status="303", result="Miss")
BUSY = traffic(log_line(), log_line(time="10:07:00", stem=HOSTILE), POST)


def printed(shown: Traffic) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    show(shown, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_text_says_how_many_came_how_complete_it_is_and_where_they_stop() -> None:
    text = printed(BUSY)
    assert "2 page views by about 1 person in 1 visit; 3 requests, at most 2 a minute (10:05 UTC)" in text
    assert "50.0%: 1 of 2 signups logged" in text
    assert re.search(r"mug +8 +4 +2 +1 +7 +50.0%", text)
    assert re.search(r"hat +3 +0 +0 +0 +- +0.0%", text)
    assert HOSTILE in text


def test_the_page_escapes_names_and_loads_nothing() -> None:
    html = page(BUSY)
    assert "<script" not in html
    assert "/&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not re.search(r"(?:src|href)=", html)
    assert html.count("<svg") == 2 + sum(
        bool(BUSY.report.tables[name]) * len(BUSY.report.top(name))
        for name in (
            *("landings", "referrers", "pages", "devices", "countries", "statuses", "results", "programs"),
            *("missing", "aside"),
        )
    )


def test_an_idle_time_says_why_there_may_be_nothing() -> None:
    assert "until the stack has TrafficLogs=yes" in " ".join(printed(traffic()).split())
    assert "TrafficLogs=yes" in page(traffic())
    unread = traffic(*[log_line(status="x")] * 3, "a line")
    words = "o line of the access logs can be read: 3 status, 1 field_count."
    assert f"n{words}" in " ".join(printed(unread).split())
    assert f"<p>N{words}</p>" in page(unread)


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (None, "unknown: 1 signup is logged, and the API's own count is not there yet"),
        (0, "unknown: the API counted no signup (1 logged)"),
        (1, "100.0%: 1 of 1 signup logged"),
        (4, "25.0%: 1 of 4 signups logged; CloudFront delivers logs late, and not each of them"),
    ],
)
def test_the_coverage_is_said_in_words(counted: int | None, words: str) -> None:
    assert coverage_words(traffic(POST, counted=counted)) == words


def test_small_charts_have_a_block_for_each_value_and_none_for_nothing() -> None:
    assert spark([0, 1, 4, 8]) == " ▁▄█"
    assert spark([0, 0]) == "  "
    assert (bar(0, 10), bar(1, 1_000), bar(5, 10), bar(10, 10)) == ("", "█", "█" * 8, "█" * 16)


def test_the_bill_so_far_is_that_of_the_logged_requests_at_preflights_prices() -> None:
    sent = traffic(*[log_line(bytes=str(2**30))] * 3, POST, counted=1)
    by_item = {str(line.used.item): line.usd for line in sent.bill.lines}
    assert by_item["CloudFront bytes"] == pytest.approx(3 * 0.085, rel=1e-4)
    assert by_item["CloudFront requests"] == pytest.approx(4 * 0.01 / 10_000)
    assert by_item["API calls"] == pytest.approx(3.5e-6)
    document = json.loads(json.dumps(sent.to_document()))
    assert document["bill"]["usd"] == pytest.approx(sent.bill.usd, abs=1e-4)
    assert headline(sent).startswith("3 page views")


def test_the_merchants_page_adds_its_bill_up_from_the_price_of_one_unit_each() -> None:
    sent = traffic(*[log_line(bytes=str(2**30), result="Miss")] * 3, log_line(), POST, counted=7)
    report, prices = sent.report, traffic_prices()
    amounts = {"requests": 5, "bytes_sent": 3 * 2**30 + 10_000, "uncached": 3, "signups": 7}
    assert recent_document(report, sent.coverage, is_on=True)["uncached"] - report.posted == 3
    assert sum(prices[name] * amount for name, amount in amounts.items()) == pytest.approx(sent.bill.usd)


@pytest.mark.parametrize(
    ("entry", "steps"),
    [
        ({"state": {"S": "pending"}}, ["signed_up"]),
        ({"state": {"S": "confirmed"}}, ["signed_up", "confirmed"]),
        ({"state": {"S": "unsubscribed"}, "confirmed_at_ms": {"N": "1"}}, ["signed_up", "confirmed"]),
        ({"state": {"S": "notified"}}, ["signed_up", "confirmed", "notified"]),
        ({"state": {"S": "unsubscribed"}, "restock_id": {"S": "r"}}, ["signed_up", "confirmed", "notified"]),
    ],
)
def test_an_entry_has_the_steps_behind_it_that_its_state_says(
    entry: dict[str, Any], steps: list[str]
) -> None:
    assert steps_of(entry) == steps


def hit(at: str, path: str, agent: str | None = "A phone\twith 100% of \u00e9") -> Hit:
    return Hit(
        datetime.fromisoformat(at).astimezone(UTC), 700, "127.0.0.1", "GET", path, 200, None, agent, "Hit"
    )


def test_the_demo_writes_a_file_for_each_hour_that_the_counter_reads_back() -> None:
    files: dict[str, bytes] = {}
    log = AccessLog("E1", files.__setitem__, iter(("aa", "bb")).__next__)
    for at, path in (
        ("2026-11-27T10:59:59Z", "/a"),
        ("2026-11-27T11:00:00Z", "/b b"),
        ("2026-11-27T10:00:00Z", "/a"),
    ):
        log.add(hit(at, path))
    log.flush()
    log.flush()
    assert list(files) == [
        "logs/AWSLogs/000000000000/CloudFront/E1/2026/11/27/10/E1.2026-11-27-10.aa.gz",
        "logs/AWSLogs/000000000000/CloudFront/E1/2026/11/27/11/E1.2026-11-27-11.bb.gz",
    ]
    pages = []
    for key, content in files.items():
        name = log_name(key)
        assert name is not None
        hours = count_log(io.BytesIO(content), name, HOW)
        assert dict(hours[name.hour].aside) == {}
        pages.append(dict(hours[name.hour].pages))
    assert pages == [{"/a": 2}, {"/b b": 1}]


class StageContainer:
    """The objects that a query uses."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.s3 = MemoryS3()
        for key, body in files.items():
            self.s3.put_object(Bucket="traffic", Key=key, Body=body)
        self.settings = self

    def known(self, name: str) -> str:
        assert name == "traffic_bucket"
        return "traffic"

    def client(self, service: str) -> MemoryS3:
        assert service == "s3"
        return self.s3


def asked(sql: str, folder: Path, *hits: Hit) -> tuple[list[str], list[Any]]:
    files: dict[str, bytes] = {}
    log = AccessLog("E1", files.__setitem__, lambda: "aa")
    for one in hits:
        log.add(one)
    log.flush()
    container: Any = StageContainer(files)
    return query(container, BUSY.report, sql, folder)


def test_sql_reads_statistics_and_the_raw_logs_of_the_time(tmp_path: Path) -> None:
    names, rows = asked("SELECT sum(requests) AS n FROM minutes", tmp_path)
    assert (names, rows) == (["n"], [(3,)])
    hits = [
        hit("2026-11-27T10:00:00Z", "/a"),
        hit("2026-11-27T10:00:01Z", '/"b"'),
        hit("2026-11-27T12:00:01Z", "/c"),
    ]
    _, rows = asked('SELECT "cs-uri-stem", "sc-bytes"::INT FROM logs ORDER BY 1', tmp_path, *hits)
    assert rows == [("/%22b%22", 700), ("/a", 700)]


def test_sql_reads_logs_whose_fields_stand_in_another_order_beside_each_other(tmp_path: Path) -> None:
    before = ["date", "time", "cs-uri-stem", "sc-bytes"]
    new = text_of([log_line(stem="/new", bytes="1", agent="#Fields:x")])
    both = text_of(["2026-11-27\t10:00:00\t/old\t2"], before) + new
    container: Any = StageContainer({f"logs/E1.2026-11-27-10.{n}.gz": gzipped(both) for n in ("aa", "bb")})
    sql = 'SELECT "cs-uri-stem", "sc-bytes", "sc-status", count(*) FROM logs GROUP BY ALL ORDER BY 1'
    assert query(container, BUSY.report, sql, tmp_path)[1] == [
        ("/new", "1", "200", 2),
        ("/old", "2", None, 2),
    ]


@pytest.mark.parametrize("sql", ["SELEC", "SELECT * FROM nothing", "SELECT * FROM logs"])
def test_sql_that_cannot_be_answered_is_bad_input(sql: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--sql"):
        asked(sql, tmp_path)
    assert duckdb.__version__
