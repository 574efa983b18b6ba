"""Events of traffic, from a delivered log or the clock to a rule that fires, by the real container."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.container import Container
from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.events import emit_hour, on_domain_events, on_logs_delivered
from chalicelib.rules.rule import Rule, RuleAction
from chalicelib.services.domain_events import RULES_KEY, rules_to_json
from chalicelib.services.traffic import TrafficCounter, WeeklySalts
from chalicelib.storage import TrafficBucket
from spillway.stage import settings_of
from tests.support.access_log import HOW, WEEK, gzipped, log_line, text_of
from tests.support.aws import create_table
from tests.support.aws_models import check_request
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.memory_s3 import MemoryS3

if TYPE_CHECKING:
    from datetime import datetime

SIGNUP = log_line(method="POST", stem="/api/waitlist", status="303")
EMAIL = {"subject": "Look", "message": "Look at the shop."}
SPIKE = Rule(
    "crowd",
    EventType.TRAFFIC_SPIKE,
    {"data": {"requests": [{"numeric": [">", 3]}]}},
    RuleAction.EMAIL,
    EMAIL,
)
FELL = Rule("lost-logs", EventType.TRAFFIC_COVERAGE_FELL, {}, RuleAction.EMAIL, EMAIL)
EACH_HOUR = Rule("hourly", EventType.SCHEDULE, {}, RuleAction.EMAIL, EMAIL)


class Aws:
    """The services beside S3 and DynamoDB, each by its calls."""

    def __init__(self) -> None:
        self.queued: list[str] = []
        self.emails: list[str] = []
        self.counted: list[float] = []
        self.asked: list[tuple[datetime, datetime]] = []
        self.search = ""
        self.refuses = False

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        check_request("sqs", "SendMessageBatch", asked)
        if self.refuses:
            return {"Failed": [{"Id": "0", "Code": "InternalError"}]}
        self.queued += [entry["MessageBody"] for entry in asked["Entries"]]
        return {}

    def publish(self, **asked: Any) -> None:
        check_request("sns", "Publish", asked)
        self.emails.append(asked["Message"])

    def get_metric_data(self, **asked: Any) -> dict[str, Any]:
        check_request("cloudwatch", "GetMetricData", asked)
        self.asked.append((asked["StartTime"], asked["EndTime"]))
        (query,) = asked["MetricDataQueries"]
        self.search = query["Expression"]
        return {"MetricDataResults": [{"Values": self.counted}]}

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803
        assert SecretId == "salts"
        return {"SecretString": json.dumps({"weeks": {WEEK: "aa"}})}

    def put_secret_value(self, **_: str) -> None:
        raise AssertionError("the salt of this week is there")


class Stage:
    """A stage with rules, at five past one of 2026-11-27."""

    def __init__(self, *rules: Rule, logs: str | None = "yes") -> None:
        self.aws, self.s3 = Aws(), MemoryS3()
        memory = MemoryDynamoDb(checked=False)
        outputs = {name: create_table(memory, name) for name in ("EventsTable", "SendingTable")}
        outputs |= {"DomainEventsQueue": "https://queue.example", "TrafficBucket": "traffic"}
        settings = replace(
            settings_of(outputs), traffic_logs=logs, metrics_namespace="Spillway/s", alarms_topic="t"
        )
        clients: dict[str, Any] = {"s3": self.s3, "dynamodb": memory}
        self.container = Container(
            lambda: settings,
            lambda service, attempts_max=0: clients.get(service, self.aws),
            clock_ms=lambda: 1_795_784_700_000,
        )
        client: Any = self.s3
        vars(self.container)["traffic_counter"] = TrafficCounter(
            TrafficBucket(client, "traffic"),
            WeeklySalts(self.aws, "salts", self.container.clock_ms),
            lambda: HOW.own_hosts,
        )
        text = rules_to_json("r1", [rule.to_document() for rule in rules])
        self.s3.put_object(Bucket="release", Key=RULES_KEY, Body=text.encode())

    def deliver(self, number: int, log_lines: Sequence[str]) -> list[dict[str, str]]:
        """Deliver a log, run the function, and return what failed."""
        key = f"logs/AWSLogs/1/CloudFront/E1/E1.2026-11-27-10.{number:08x}.gz"
        self.s3.put_object(Bucket="traffic", Key=key, Body=gzipped(text_of(log_lines)))
        body = json.dumps({"Records": [{"s3": {"object": {"key": key}}}]})
        failures = on_logs_delivered(self.container, [{"messageId": key, "body": body}])
        return failures["batchItemFailures"]

    def requests_counted(self) -> int:
        return self.container.traffic_reports.report("2026-11-27T10", "2026-11-27T10").requests

    def process(self) -> list[str]:
        """Process the queued events, and return the emails so far."""
        records = [{"messageId": str(n), "body": body} for n, body in enumerate(self.aws.queued)]
        assert on_domain_events(self.container, records) == {"batchItemFailures": []}
        return self.aws.emails

    def emitted(self) -> list[tuple[str, dict[str, Any]]]:
        events = map(DomainEvent.from_json, self.aws.queued)
        return [(event.type.value, dict(event.data)) for event in events]


def test_a_minute_whose_requests_grow_past_a_rules_number_fires_it_once() -> None:
    stage = Stage(SPIKE)
    assert stage.deliver(1, [log_line()] * 3) == []
    assert stage.process() == []
    assert stage.deliver(2, [log_line()] * 2) == []
    assert stage.deliver(3, [log_line()]) == []
    assert stage.emitted() == [
        ("traffic.spike", {"minute": "2026-11-27T10:05", "requests": requests}) for requests in (3, 5, 6)
    ]
    (email,) = stage.process()
    assert "minute: 2026-11-27T10:05\nrequests: 5" in email


def test_logs_are_counted_though_their_event_is_refused_and_the_next_log_emits_it() -> None:
    stage = Stage(SPIKE)
    stage.aws.refuses = True
    assert stage.deliver(1, [log_line()] * 4) == []
    assert (stage.requests_counted(), stage.emitted()) == (4, [])
    stage.aws.refuses = False
    assert stage.deliver(2, [log_line(time="10:06:00")]) == []
    assert stage.emitted() == [("traffic.spike", {"minute": "2026-11-27T10:05", "requests": 4})]


def test_an_hour_whose_logs_lack_signups_is_an_event_once_and_fires_a_rule() -> None:
    stage = Stage(FELL, EACH_HOUR)
    stage.deliver(1, [SIGNUP] * 94 + [log_line()] * 6)
    assert stage.emitted() == [], "no rule is about a spike"
    stage.aws.counted = [60.0, 40.0]
    emit_hour(stage.container)
    emit_hour(stage.container)

    (schedule, fell), again = stage.aws.queued[:2], stage.aws.queued[2:]
    assert [schedule, fell] == again
    assert stage.emitted()[1] == (
        "traffic.coverage_fell",
        {"hour": "2026-11-27T10", "logged": 94, "counted": 100, "share": 0.94},
    )
    # CloudWatch finds a namespace with a hyphen by its name in quotes alone.
    assert stage.aws.search.startswith("""SUM(SEARCH('{"Spillway/s",route,status} MetricName=""")
    start, end = stage.aws.asked[0]
    assert (start.isoformat(), end.isoformat()) == ("2026-11-27T10:00:00+00:00", "2026-11-27T11:00:00+00:00")
    assert len([email for email in stage.process() if "lost-logs" in email]) == 1


@pytest.mark.parametrize(
    ("rules", "logs", "counted", "asks"),
    [
        ((FELL,), "no", [100.0], False),
        ((FELL,), None, [100.0], False),
        ((SPIKE,), "yes", [100.0], False),
        ((FELL,), "yes", [98.0], True),
        ((FELL,), "yes", [], True),
    ],
    ids=["logs-off", "logs-unset", "no-rule", "complete", "count-unknown"],
)
def test_no_event_says_that_coverage_fell_where_it_did_not_or_nothing_listens(
    *, rules: tuple[Rule, ...], logs: str | None, counted: list[float], asks: bool
) -> None:
    stage = Stage(*rules, logs=logs)
    stage.deliver(1, [SIGNUP] * 95)
    stage.aws.queued.clear()
    stage.aws.counted = counted
    emit_hour(stage.container)
    assert (stage.emitted(), bool(stage.aws.asked)) == ([], asks)


def test_an_hour_without_any_log_covers_none_of_its_signups() -> None:
    stage = Stage(FELL)
    stage.aws.counted = [100.0]
    emit_hour(stage.container)
    assert stage.emitted() == [
        ("traffic.coverage_fell", {"hour": "2026-11-27T10", "logged": 0, "counted": 100, "share": 0.0})
    ]
