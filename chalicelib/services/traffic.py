"""Count delivered access logs, and report the traffic of some hours.

A log file becomes one part for each hour that it has lines of; parts of an hour are added up to the hour's
statistics, under a condition, so that two functions at once lose nothing. Each step can be repeated: a part
replaces itself, and an hour takes each part once.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from chalicelib.domain.domain_event import EventType
from chalicelib.domain.emissions import coverage_event, spike_event
from chalicelib.domain.traffic.counting import (
    HOUR_FORMAT,
    Counting,
    count_log,
    log_name,
    salts_of_weeks,
    time_of,
    week_of,
)
from chalicelib.domain.traffic.hour import HourStats, RollUp
from chalicelib.domain.traffic.report import Coverage, TrafficReport, recent_document
from chalicelib.log import log, where
from chalicelib.storage import TrafficBucket

if TYPE_CHECKING:
    from chalicelib.services.domain_events import EventEmitter

ROLL_UP_TRIES_MAX = 30
HOUR_MS = 3_600_000
# Most logs of an hour are there two hours after its end.
COVERAGE_AFTER_MS = 3 * HOUR_MS
# A merchant's page asks once a minute.
RECENT_FRESH_MS = 55_000
RECENT_HOURS = 24
ANSWERS_METRIC = "answers"
SIGNUP_ROUTE = "POST /waitlist"
SALT_BYTES = 32
# A salt of the week before reads the logs that come late.
WEEKS_KEPT = 2


class HourContested(RuntimeError):
    """Others wrote an hour each time its parts were added; a later try succeeds."""


class SecretsClient(Protocol):
    """The calls to Secrets Manager."""

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]: ...  # noqa: N803 - AWS's names

    def put_secret_value(self, **request: str) -> Any: ...


class WeeklySalts:
    """The salts of this week and the one before, in one secret; older ones are forgotten.

    The salt of a week is made by the first function that reads a log of that week. The version's id is the
    week's, so Secrets Manager refuses a second one with other content.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
    """

    def __init__(
        self,
        client: SecretsClient,
        secret_id: str,
        clock_ms: Callable[[], int],
        new_salt: Callable[[], str] | None = None,
    ) -> None:
        self._client, self._secret_id, self._clock_ms = client, secret_id, clock_ms
        self._new_salt = new_salt or (lambda: secrets.token_hex(SALT_BYTES))
        self._known: dict[str, str] = {}

    def current(self) -> dict[str, bytes]:
        """Return the salts by week; make that of this week if it is the first time."""
        week = week_of(hour_at(self._clock_ms()))
        if week not in self._known:
            self._known = self._read()
        if week not in self._known:
            self._make(week)
            self._known = self._read()
        return {name: bytes.fromhex(salt) for name, salt in self._known.items()}

    def _read(self) -> dict[str, str]:
        return salts_of_weeks(self._client.get_secret_value(SecretId=self._secret_id)["SecretString"])

    def _make(self, week: str) -> None:
        kept = dict(sorted(self._known.items())[-(WEEKS_KEPT - 1) :]) | {week: self._new_salt()}
        try:
            self._client.put_secret_value(
                SecretId=self._secret_id,
                ClientRequestToken=f"traffic-salt-of-the-week-{week}".lower(),
                SecretString=json.dumps({"weeks": kept}),
            )
        except ClientError as error:
            # Another function made it at the same moment.
            if error.response["Error"]["Code"] != "ResourceExistsException":
                raise
        log("traffic_salt", week=week)


class TrafficCounter:
    """Counts access logs as they are delivered.

    Args:
        bucket: logs and statistics.
        salts: the salts of visitors.
        own_hosts: returns the hosts of the shop itself.
    """

    def __init__(
        self, bucket: TrafficBucket, salts: WeeklySalts, own_hosts: Callable[[], frozenset[str]]
    ) -> None:
        self._bucket, self._salts, self._own_hosts = bucket, salts, own_hosts

    def store_parts(self, key: str) -> dict[str, tuple[str, bytes]]:
        """Count a log file and store its parts; return name and content of each, by hour.

        An object that is no log file is logged, and left alone.
        """
        name = log_name(key)
        if name is None:
            log("not_an_access_log", key=key)
            return {}
        how = Counting(self._salts.current(), self._own_hosts())
        hours = count_log(self._bucket.open_log(key), name, how)
        parts = {hour: (name.text, stats.to_bytes()) for hour, stats in sorted(hours.items())}
        for hour, (text, part) in parts.items():
            self._bucket.put_part(hour, text, part)
        aside = sum(hours[name.hour].aside.values())
        log(
            "traffic_counted",
            lines=sum(stats.requests for stats in hours.values()),
            aside=aside,
            hours=len(hours),
        )
        return parts

    def roll_up(self, hour: str, parts: Mapping[str, bytes]) -> HourStats:
        """Add parts to the statistics of their hour, each once, and return the statistics with them.

        Args:
            hour: the hour.
            parts: the content of parts by the name of their file; they are stored.

        Raises:
            HourContested: others wrote the hour all the time.
        """
        for _ in range(ROLL_UP_TRIES_MAX):
            stored = self._bucket.hour(hour)
            before = RollUp.from_bytes(stored[0]) if stored else RollUp(HourStats(hour))
            if any(before.contradicts(name, part) for name, part in parts.items()):
                # A log file was replaced by another of its name: only the parts know the sum without it.
                before = RollUp(HourStats(hour))
                added = dict(self._bucket.parts(hour))
            else:
                added = {name: part for name, part in parts.items() if not before.knows(name, part)}
            if not added:
                return before.stats
            for name, part in sorted(added.items()):
                before.add(name, part)
            if self._bucket.put_hour(hour, before.to_bytes(), replaces=stored[1] if stored else None):
                return before.stats
        raise HourContested(hour)


class TrafficReports:
    """Reads the statistics of hours.

    Args:
        bucket: the statistics.
        count_signups: returns how many signups the API counted from one hour to another, where it is known.
    """

    def __init__(self, bucket: TrafficBucket, count_signups: Callable[[str, str], int | None]) -> None:
        self._bucket, self._count_signups = bucket, count_signups

    def report(self, since: str, until: str) -> TrafficReport:
        """Return the traffic from the hour `since` to the hour `until`, both included ("2026-11-27T10")."""
        return TrafficReport.of(since, until, self._hours(since, until))

    def coverage(self, hour: str) -> Coverage:
        """Return how many of the signups of an hour its access logs have."""
        return Coverage(self.report(hour, hour).posted, self._count_signups(hour, hour))

    def _hours(self, since: str, until: str) -> Iterable[HourStats]:
        for hour in self._bucket.hours(since, until):
            if stored := self._bucket.hour(hour):
                yield RollUp.from_bytes(stored[0]).stats


class RecentTraffic:
    """Answers the polls of the merchant's page: the traffic of the last 24 hours.

    A function's instance makes the answer at most once a minute. An hour that did not change since the
    instance read it is not read again: the listing of a day has its ETag.

    Args:
        bucket: the statistics.
        count_signups: returns how many signups the API counted from one hour to another, where it is known.
        is_delivered: access logs are turned on.
        clock_ms: the time in milliseconds since the epoch.
    """

    def __init__(
        self,
        bucket: TrafficBucket,
        count_signups: Callable[[str, str], int | None],
        clock_ms: Callable[[], int],
        *,
        is_delivered: bool,
    ) -> None:
        self._bucket, self._count_signups, self._clock_ms = bucket, count_signups, clock_ms
        self._is_delivered = is_delivered
        self._hours: dict[str, tuple[str, HourStats]] = {}
        self._made: tuple[int, dict[str, Any]] | None = None

    def document(self) -> dict[str, Any]:
        """Return the traffic as a JSON-ready document, at most a minute old."""
        now_ms = self._clock_ms()
        if self._made is None or not 0 <= now_ms - self._made[0] < RECENT_FRESH_MS:
            self._made = (now_ms, self._make(now_ms))
        return self._made[1]

    def _make(self, now_ms: int) -> dict[str, Any]:
        since, until = hour_at(now_ms - (RECENT_HOURS - 1) * HOUR_MS), hour_at(now_ms)
        known, self._hours = self._hours, {}
        for hour, etag in self._bucket.versions(since, until).items():
            if hour in known and known[hour][0] == etag:
                self._hours[hour] = known[hour]
            elif stored := self._bucket.hour(hour):
                stats = RollUp.from_bytes(stored[0]).stats
                # The page shows no product by the minute, which is most of an hour's size.
                stats.products = {}
                self._hours[hour] = (stored[1], stats)
        report = TrafficReport.of(since, until, [stats for _, stats in self._hours.values()])
        counted = self._count_signups(since, until) if report.requests else None
        return recent_document(
            report, Coverage(report.posted, counted), is_on=self._is_delivered or bool(self._hours)
        )


def emit_spikes(emitter: "EventEmitter", hours: Iterable[HourStats]) -> None:
    """Emit the busiest minute of each hour, where a rule or an endpoint is about such events.

    An error is logged and not raised: the logs are counted, and the next log of the hour emits its event.
    """
    try:
        if emitter.has_consumers(EventType.TRAFFIC_SPIKE):
            emitter.emit([event for event in map(spike_event, hours) if event])
    except Exception as error:  # noqa: BLE001 - no error of an event counts logs twice or not at all
        log("spikes_not_emitted", error=type(error).__name__, at=where(error))


def emit_low_coverage(emitter: "EventEmitter", reports: TrafficReports, *, at_ms: int) -> None:
    """Emit an event where the hour that ended two to three hours ago lacks signups in its access logs.

    Raises:
        EventsNotQueued: the event is not queued; a repeat emits the same one.
    """
    hour = hour_at(at_ms - COVERAGE_AFTER_MS)
    event = coverage_event(hour, reports.coverage(hour))
    emitter.emit([event] if event else [])


def signups_counted(cloudwatch: Any, namespace: str, since: str, until: str) -> int | None:
    """Return how many `POST /waitlist` the API answered from one hour to another; None where none is known.

    The API counts its answers by a metric in its log, which CloudWatch takes out.
    """
    search = (
        # The namespace has a hyphen, which a name without quotes may not have:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
        f'SUM(SEARCH(\'{{"{namespace}",route,status}} MetricName="{ANSWERS_METRIC}"'
        f" route=\"{SIGNUP_ROUTE}\"', 'Sum', {HOUR_MS // 1000}))"
    )
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "posted", "Expression": search}],
        StartTime=time_of(since),
        EndTime=time_of(until) + timedelta(hours=1),
    )
    values = [value for result in answer["MetricDataResults"] for value in result["Values"]]
    return round(sum(values)) if values else None


def delivered_keys(body: str) -> list[str]:
    """Return the keys of the objects that a notification of S3 names; none for S3's test event.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return [unquote_plus(record["s3"]["object"]["key"]) for record in json.loads(body).get("Records", ())]


def hosts_of(base_url: str) -> frozenset[str]:
    """Return the hosts of a shop: that of its address, which is the referrer of its own pages."""
    return frozenset({base_url.partition("://")[2].partition("/")[0].lower()})


def hour_at(at_ms: int) -> str:
    """Return the hour of a time in milliseconds since the epoch."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(HOUR_FORMAT)
