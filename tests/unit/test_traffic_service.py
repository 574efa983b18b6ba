"""Delivered access logs: parts and hours in the bucket, under repeats, deaths and races; salts; reports."""

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.traffic_log import lines
from chalicelib.domain.traffic.counting import week_of
from chalicelib.domain.traffic.report import TrafficReport
from chalicelib.events import on_logs_delivered
from chalicelib.services.domain_events import EventEmitter
from chalicelib.services.traffic import (
    RecentTraffic,
    TrafficCounter,
    TrafficReports,
    WeeklySalts,
    delivered_keys,
    hour_at,
)
from chalicelib.storage import TrafficBucket
from tests.support.access_log import HOUR, HOW, WEEK, counted_lines, gzipped, log_line, text_of
from tests.support.memory_s3 import MemoryS3, refused

if TYPE_CHECKING:
    from chalicelib.container import Container

FLOOD = [line.rstrip("\n") for line in lines(240, seed=5)]
AT_MS = 1_795_773_600_000  # 2026-11-27T10:00 UTC


class Died(BaseException):
    """The function was killed."""


class DyingS3(MemoryS3):
    """Dies before or after a write, when it is the turn of that write."""

    dies_at = 0
    after = False

    def put_object(self, **asked: Any) -> dict[str, Any]:
        if asked["Key"].endswith(".gz"):
            return super().put_object(**asked)
        self.dies_at -= 1
        if self.dies_at == 0 and not self.after:
            raise Died
        answer = super().put_object(**asked)
        if self.dies_at == 0:
            raise Died
        return answer


class MemorySecrets:
    """One secret, whose versions cannot be written twice with different content."""

    def __init__(self) -> None:
        self.text, self.versions = '{"unused": "x"}', dict[str, str]()

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803
        assert SecretId == "salts"
        return {"SecretString": self.text}

    def put_secret_value(self, **asked: str) -> None:
        token = asked["ClientRequestToken"]
        assert 32 <= len(token) <= 64
        if self.versions.setdefault(token, asked["SecretString"]) != asked["SecretString"]:
            raise refused("ResourceExistsException", "PutSecretValue")
        self.text = asked["SecretString"]


class FixedSalts(WeeklySalts):
    """The salts of the tests."""

    def __init__(self) -> None:
        pass

    def current(self) -> dict[str, bytes]:
        return dict(HOW.salts)


class PlayedContainer:
    """The objects that the function uses."""

    def __init__(self, s3: MemoryS3) -> None:
        self.s3 = s3
        client: Any = s3
        nothing: Any = None
        self.bucket = TrafficBucket(client, "traffic")
        self.traffic_counter = TrafficCounter(self.bucket, FixedSalts(), lambda: HOW.own_hosts)
        self.event_emitter = EventEmitter(None, nothing, lambda: None, nothing)

    def deliver(self, key: str, *log_lines: str) -> None:
        self.s3.put_object(Bucket="traffic", Key=key, Body=gzipped(text_of(log_lines)))

    def run(self, *keys: str) -> list[str]:
        """Run the function for the notifications of some keys; return the ones that failed."""
        records = [{"messageId": key, "body": notification(key)} for key in keys]
        answer = on_logs_delivered(cast("Container", self), records)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def report(self) -> bytes:
        return (
            TrafficReports(self.bucket, lambda *_: None).report("2026-11-20T00", "2026-12-01T00").to_bytes()
        )


def notification(*keys: str) -> str:
    """As S3 sends it: keys are encoded as in a form."""
    return json.dumps({"Records": [{"s3": {"object": {"key": key.replace("=", "%3D")}}} for key in keys]})


def key_of(number: int, hour: str = "2026-11-27-10") -> str:
    return f"logs/AWSLogs/1/CloudFront/E1/E1.{hour}.{number:08x}.gz"


def shop() -> PlayedContainer:
    return PlayedContainer(MemoryS3())


def test_a_log_becomes_a_part_of_each_hour_and_each_hour_takes_it_once() -> None:
    played = shop()
    played.deliver(key_of(1), log_line(), log_line(time="09:59:00"))
    assert played.run(key_of(1)) == []
    first = dict(played.s3.objects)
    assert {key for key in first if key.startswith("stats/")} == {
        "stats/2026-11-27T09.json",
        "stats/2026-11-27T10.json",
        "stats/parts/2026-11-27T09/E1.2026-11-27-10.00000001.json",
        "stats/parts/2026-11-27T10/E1.2026-11-27-10.00000001.json",
    }
    assert played.run(key_of(1), key_of(1)) == []
    assert {key: item["Body"] for key, item in played.s3.objects.items()} == {
        key: item["Body"] for key, item in first.items()
    }
    assert json.loads(played.report())["requests"] == 2


class Watching:
    """A merchant's page at noon, over statistics in memory; `read` are the keys that it read."""

    def __init__(self, *, is_delivered: bool = True, counted: int | None = 4) -> None:
        self.played, self.read, self.now_ms = shop(), list[str](), AT_MS + 2 * 3_600_000
        get = self.played.s3.get_object

        def get_object(**asked: Any) -> dict[str, Any]:
            self.read.append(asked["Key"])
            return get(**asked)

        self.played.s3.get_object = get_object  # type: ignore[method-assign]
        self.traffic = RecentTraffic(
            self.played.bucket, lambda *_: counted, lambda: self.now_ms, is_delivered=is_delivered
        )

    def deliver(self, number: int, *log_lines: str, hour: str = "2026-11-27-10") -> None:
        self.played.deliver(key_of(number, hour), *log_lines)
        assert self.played.run(key_of(number, hour)) == []
        self.read.clear()

    def polls(self, *, after_s: int = 0) -> dict[str, Any]:
        self.now_ms += 1_000 * after_s
        return self.traffic.document()


def test_the_merchants_page_shows_a_day_of_traffic_whose_highest_bar_is_the_peak() -> None:
    page = Watching()
    page.deliver(
        1, *[log_line(bytes="700")] * 3, log_line(time="10:07:00", referrer="https://news.example/x")
    )
    page.deliver(
        2, log_line(time="10:09:59", method="POST", stem="/api/waitlist", status="202", result="Miss")
    )
    page.deliver(3, log_line(date="2026-11-26", time="13:00:00", ip="203.0.113.8"), hour="2026-11-26-13")
    page.deliver(4, log_line(date="2026-11-26", time="12:59:59"), hour="2026-11-26-12")
    seen = page.polls()
    assert (seen["since"], seen["until"], seen["is_on"]) == ("2026-11-26T13", "2026-11-27T12", True)
    assert [seen[name] for name in ("requests", "views", "visits", "visitors", "uncached")] == [6, 5, 2, 2, 1]
    assert seen["bytes_sent"] == 3 * 700 + 3 * 5_000
    assert len(seen["timeline"]) == 144
    assert {step: count for step, count in enumerate(seen["timeline"]) if count} == {0: 1, 21 * 6: 3}
    assert seen["peak"] == {"at": "2026-11-27T10:05", "requests": 3}
    assert seen["coverage"] == {"logged": 1, "counted": 4, "share": 0.25}
    assert seen["tables"] == {
        "pages": [["/products/mug", 5]],
        "referrers": [["news.example", 1]],
        "devices": [["phone", 5]],
        "programs": [],
    }


def test_a_poll_within_a_minute_reads_nothing_and_a_later_one_the_hours_that_changed() -> None:
    page = Watching()
    page.deliver(1, log_line())
    page.deliver(2, log_line(time="11:05:00"), hour="2026-11-27-11")
    assert page.polls()["requests"] == 2
    assert page.read == ["stats/2026-11-27T10.json", "stats/2026-11-27T11.json"]
    page.deliver(3, log_line(time="11:06:00"), hour="2026-11-27-11")
    assert page.polls(after_s=54)["requests"] == 2
    assert page.read == []
    assert page.polls(after_s=1)["requests"] == 3
    assert page.read == ["stats/2026-11-27T11.json"]
    assert page.polls(after_s=86_400)["requests"] == 0


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_day_without_statistics_says_whether_access_logs_are_on(*, is_delivered: bool) -> None:
    page = Watching(is_delivered=is_delivered)
    empty = page.polls()
    assert (empty["is_on"], empty["peak"], empty["coverage"]["counted"]) == (is_delivered, None, None)
    # The demo's front door writes logs though the parameter of the stack is "no".
    page.deliver(1, log_line())
    assert page.polls(after_s=60)["is_on"]


def test_a_log_that_is_replaced_by_another_of_its_name_is_counted_instead_of_it() -> None:
    played = shop()
    played.deliver(key_of(1), log_line())
    played.deliver(key_of(2), log_line())
    played.run(key_of(1), key_of(2))
    played.deliver(key_of(1), log_line(), log_line(), log_line())
    assert played.run(key_of(1)) == []
    assert json.loads(played.report())["requests"] == 4


def test_a_log_that_is_gone_fails_alone_and_a_key_of_something_else_is_left_alone() -> None:
    played = shop()
    played.deliver(key_of(1), log_line())
    played.s3.put_object(Bucket="traffic", Key="logs/x.gz", Body=b"")
    assert played.run(key_of(1), key_of(2), "logs/x.gz") == [key_of(2)]
    assert json.loads(played.report())["requests"] == 1


def test_an_hour_that_another_function_writes_meanwhile_keeps_what_both_add() -> None:
    played = shop()
    played.deliver(key_of(1), log_line())
    played.deliver(key_of(2), log_line())
    read, raced = played.bucket.hour, list[str]()

    def stored_hour(hour: str) -> tuple[bytes, str] | None:
        stored = read(hour)
        if not raced:
            raced.append(hour)
            played.run(key_of(2))
        return stored

    played.bucket.hour = stored_hour  # type: ignore[method-assign]
    assert played.run(key_of(1)) == []
    assert json.loads(played.report())["requests"] == 2


def test_an_hour_that_others_write_all_the_time_fails_and_comes_again() -> None:
    played = shop()
    played.deliver(key_of(1), log_line())
    played.bucket.put_hour = lambda *_, **__: False  # type: ignore[method-assign]
    assert played.run(key_of(1)) == [key_of(1)]


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 12), st.booleans())
def test_deaths_between_writes_and_repeats_leave_the_report_of_the_same_bytes(
    rng: random.Random, dies_at: int, after: bool
) -> None:
    whole = TrafficReport.of("2026-11-20T00", "2026-12-01T00", [counted_lines(*FLOOD)]).to_bytes()
    s3 = DyingS3()
    played = PlayedContainer(s3)
    cuts = sorted(rng.randrange(len(FLOOD)) for _ in range(2))
    parts = [FLOOD[: cuts[0]], FLOOD[cuts[0] : cuts[1]], FLOOD[cuts[1] :]]
    for number, part in enumerate(parts):
        played.deliver(key_of(number), *part)
    s3.dies_at, s3.after = dies_at, after
    waiting = [key_of(number) for number in range(3)]
    for _ in range(6):
        rng.shuffle(waiting)
        size = rng.randrange(1, 4)
        try:
            failed = set(played.run(*waiting[:size]))
        except Died:
            # Nothing was answered: the queue delivers the whole batch again.
            failed = set(waiting[:size])
        waiting = [key for key in waiting if key not in waiting[:size] or key in failed] or [
            key_of(rng.randrange(3))
        ]
    s3.dies_at = 0
    assert played.run(*(key_of(number) for number in range(3))) == []
    assert played.report() == whole


def test_a_test_event_of_s3_names_no_key_and_keys_are_decoded() -> None:
    assert delivered_keys('{"Service": "Amazon S3", "Event": "s3:TestEvent"}') == []
    assert delivered_keys(notification("logs/day=27/a.gz")) == ["logs/day=27/a.gz"]


def salts_at(secrets: MemorySecrets, at_ms: Callable[[], int], *made: str) -> WeeklySalts:
    return WeeklySalts(secrets, "salts", at_ms, iter(made).__next__)


def test_the_salt_of_a_week_is_made_once_and_kept_for_the_next_one() -> None:
    secrets, now = MemorySecrets(), [AT_MS]
    week_ms = 7 * 24 * 3_600_000
    salts = salts_at(secrets, lambda: now[0], "aa", "bb", "cc")
    assert salts.current() == salts.current() == {WEEK: b"\xaa"}
    now[0] += week_ms
    assert salts.current() == {WEEK: b"\xaa", "2026-W49": b"\xbb"}
    now[0] += week_ms
    assert salts.current() == {"2026-W49": b"\xbb", "2026-W50": b"\xcc"}
    assert week_of(hour_at(now[0])) == "2026-W50"


def test_two_functions_that_make_a_salt_at_once_use_the_same_one() -> None:
    secrets = MemorySecrets()
    first, second = salts_at(secrets, lambda: AT_MS, "aa"), salts_at(secrets, lambda: AT_MS, "bb")
    read, raced = secrets.get_secret_value, list[bool]()

    def get_secret_value(*, SecretId: str) -> dict[str, str]:  # noqa: N803
        answer = read(SecretId=SecretId)
        if not raced:
            raced.append(True)
            second.current()
        return answer

    secrets.get_secret_value = get_secret_value  # type: ignore[method-assign]
    assert first.current() == second.current() == {WEEK: b"\xbb"}


def report_of(*log_lines: str, until: str = HOUR) -> TrafficReport:
    return TrafficReport.of(HOUR, until, [counted_lines(*log_lines)])


def test_a_report_has_a_peak_a_hit_ratio_products_and_a_timeline_with_idle_minutes() -> None:
    report = report_of(
        *[log_line(time="10:07:01")] * 3,
        log_line(time="10:05:59", result="Miss"),
        log_line(time="10:10:00", stem="/de/products/mug"),
        log_line(time="10:10:30", stem="/x.css", result="RefreshHit"),
        log_line(time="10:10:31", method="POST", stem="/api/waitlist", status="303", result="Miss"),
    )
    assert report.peak is not None
    assert (report.peak.at, report.peak.requests, report.peak.views) == ("2026-11-27T10:07", 3, 3)
    assert report.hit_ratio == 5 / 7
    assert report.views_by_product == {"mug": 5}
    assert report.posted == 1
    assert [(step.at[-2:], step.requests, step.views) for step in report.timeline(60)] == [
        *(("05", 1, 1), ("06", 0, 0), ("07", 3, 3), ("08", 0, 0), ("09", 0, 0), ("10", 3, 1)),
    ]
    assert [step.requests for step in report.timeline(3)] == [0, 2, 2]
    assert (report.visitors, report.visits) == (1, 1)


def test_visitors_of_two_hours_are_one_person_and_two_visits() -> None:
    later = counted_lines(log_line())
    later.hour = "2026-11-27T11"
    report = TrafficReport.of(HOUR, "2026-11-27T11", [later, counted_lines(log_line())])
    assert (report.visitors, report.visits, report.views) == (1, 2, 2)


@pytest.mark.parametrize("rows", [1, 20])
def test_the_document_of_a_report_is_json_with_the_highest_counts(rows: int) -> None:
    document = json.loads(json.dumps(report_of(*FLOOD).to_document(rows)))
    assert len(document["tables"]["pages"]) == min(rows, len(report_of(*FLOOD).tables["pages"]))
    assert document["tables"]["pages"][0][1] == max(report_of(*FLOOD).tables["pages"].values())
