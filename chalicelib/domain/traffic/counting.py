"""Count one log file into the statistics of its hours.

A page view is a GET of an address without a file extension and outside /api/, answered 200 or 304, by no
known program. A visitor is a pair of IP address and user agent under the salt of the week; only a keyed
digest of the pair reaches a sketch, which keeps at most a short number of it.

The work is done by columns, each in C: a loop in Python over the lines would read half as many in the time.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import compress
from typing import Any, Generic, TypeVar

from chalicelib.domain.traffic.agents import Agent, agent_of
from chalicelib.domain.traffic.hour import HourStats
from chalicelib.domain.traffic.lines import Bundle, LineReader, LogColumns, SkipReason, Source
from chalicelib.domain.traffic.request import OWN_SITE, LoggedRequest, referring_host
from chalicelib.domain.traffic.sketch import DIGEST_BYTES, NamedCounts

# CloudFront delivers some lines up to 24 hours late, and names the file by their hour.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
FAR = timedelta(hours=24)
HOUR_FORMAT = "%Y-%m-%dT%H"
MEMO_MAX = 4_096
VISITORS_MAX = 1_024
TALLY_MAX = 1_024
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3])", re.ASCII)
# `{distribution}.{date}-{hour}.{unique id}.gz`, under whatever prefix.
LOG_NAME = re.compile(r"(?:.*/)?([A-Za-z0-9]+\.(\d{4}-\d\d-\d\d)-([01]\d|2[0-3])\.[A-Za-z0-9]+)\.gz")


@dataclass(frozen=True, slots=True)
class LogName:
    """The name of a log file: `text` identifies it, `hour` is the hour of its requests in UTC."""

    text: str
    hour: str


def log_name(key: str) -> LogName | None:
    """Return the name of the log file with an object's key; None for the key of something else."""
    found = LOG_NAME.fullmatch(key)
    if not found or not _is_hour(f"{found[2]}T{found[3]}"):
        return None
    return LogName(found[1], f"{found[2]}T{found[3]}")


def week_of(hour: str) -> str:
    """Return the ISO week of an hour in UTC, as "2026-W48": it begins on Monday at 00:00 UTC."""
    return time_of(hour).strftime("%G-W%V")


def time_of(hour: str) -> datetime:
    """Return the beginning of an hour.

    Raises:
        ValueError: the text is no hour.
    """
    if not _HOUR.fullmatch(hour):
        raise ValueError(f"{hour!r} is no hour")
    return datetime.fromisoformat(hour).replace(tzinfo=UTC)


def salts_of_weeks(secret: str) -> dict[str, str]:
    """Return the salts, in hexadecimal, by week of a secret: {"weeks": {"2026-W48": TEXT}}."""
    weeks: dict[str, str] = json.loads(secret).get("weeks", {})
    return weeks


def _is_hour(text: str) -> bool:
    try:
        time_of(text)
    except ValueError:
        return False
    return True


Value = TypeVar("Value")
_Visitor = tuple[bytes, Agent]


class _Memo(dict[bytes, Value], Generic[Value]):
    """Remembers what a function returns for the values that were logged lately."""

    def __init__(self, function: Callable[[bytes], Value]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, logged: bytes) -> Value:
        if len(self) >= MEMO_MAX:
            self.clear()
        value = self[logged] = self._function(logged)
        return value


@dataclass(frozen=True, slots=True)
class Counting:
    """How lines are counted.

    Attributes:
        salts: the secret of each week that is not forgotten, by the week's name.
        own_hosts: the hosts of the shop itself, whose pages are no referrers.
    """

    salts: Mapping[str, bytes] = field(repr=False)
    own_hosts: frozenset[str]


def count_log(source: Source, name: LogName, how: Counting) -> dict[str, HourStats]:
    """Return the statistics of each hour that a log file has lines of.

    Args:
        source: the gzipped file.
        name: its name; its hour takes the lines that cannot be read.
        how: the salts, and the hosts of the shop.
    """
    counter = _LogCounter(name, how)
    reader = LineReader(source)
    for bundle in reader.bundles():
        counter.count(bundle)
    return counter.finish(reader.aside)


class _LogCounter:
    """Counts bundles of lines; its memory is bounded by what it remembers, not by the file."""

    def __init__(self, name: LogName, how: Counting) -> None:
        self._name, self._how = name, how
        self.hours: dict[str, HourStats] = {name.hour: HourStats(name.hour)}
        self._read = _Reading(how.own_hosts)
        self._tallies: dict[str, _Tally] = {}
        self._near = _Memo(self._near_hour)

    def count(self, bundle: Bundle) -> None:
        """Count some lines."""
        hour = self._near[bundle.stamp]
        if hour is None:
            self.hours[self._name.hour].aside[SkipReason.FAR] += len(bundle.lines.requests)
            return
        if hour not in self._tallies:
            stats = self.hours.setdefault(hour, HourStats(hour))
            week = week_of(hour)
            self._tallies[hour] = _Tally(stats, self._read, week, self._how.salts.get(week))
        self._tallies[hour].count(bundle)

    def finish(self, aside: NamedCounts) -> dict[str, HourStats]:
        """Return the statistics of each hour."""
        for tally in self._tallies.values():
            tally.flush()
        self.hours[self._name.hour].aside.add(aside)
        return self.hours

    def _near_hour(self, stamp: bytes) -> str | None:
        """Return the hour of a stamp, or None for one far from the file's own."""
        hour = stamp.decode("ascii")
        return hour if abs(time_of(hour) - time_of(self._name.hour)) <= FAR else None


class _Reading:
    """Reads the values of fields, and remembers what they mean."""

    def __init__(self, own_hosts: frozenset[str]) -> None:
        self.agents = _Memo(agent_of)
        self.referrers = _Memo(lambda logged: referring_host(logged, own_hosts))


class _Tally:
    """Counts values of one hour as they are logged; `flush` reads each distinct one, and adds its count."""

    def __init__(self, stats: HourStats, read: _Reading, week: str, salt: bytes | None) -> None:
        self._stats, self._read, self._week = stats, read, week
        self._keyed = None if salt is None else blake2b(key=salt, digest_size=DIGEST_BYTES)
        self._minutes: Counter[int] = Counter()
        self._requests: Counter[LoggedRequest] = Counter()
        self._programs: Counter[str] = Counter()
        self._views: Counter[tuple[LoggedRequest, int]] = Counter()
        self._arrivals: Counter[tuple[LoggedRequest, bytes]] = Counter()
        self._agents: Counter[Agent] = Counter()
        self._countries: Counter[bytes] = Counter()
        # The visitors that the sketch has for sure: each is hashed once, not for each page.
        self._visitors: set[_Visitor] = set()

    def count(self, bundle: Bundle) -> None:
        """Count some lines of the hour."""
        lines = bundle.lines
        self._stats.requests += len(lines.requests)
        self._stats.bytes_sent += bundle.bytes_sent
        self._minutes.update(lines.minutes)
        self._requests.update(lines.requests)
        # Most lines are of assets: only those of pages are looked at further.
        self._count_pages(lines.where([request.is_page for request in lines.requests]))
        tallies: tuple[Sized, ...] = (
            *(self._requests, self._views, self._arrivals, self._agents, self._countries),
        )
        if max(map(len, tallies)) > TALLY_MAX:
            self.flush()

    def _count_pages(self, pages: LogColumns) -> None:
        """Count requests for pages, and signups."""
        if pages.countries:
            self._countries.update(pages.countries)
        agents = list(map(self._read.agents.__getitem__, pages.agents))
        self._programs.update([agent.program for agent in agents if agent.program])
        shown = [
            request.is_view and not agent.program
            for request, agent in zip(pages.requests, agents, strict=True)
        ]
        if any(shown):
            self._count_views(pages.where(shown), list(compress(agents, shown)))

    def _count_views(self, views: LogColumns, agents: list[Agent]) -> None:
        self._views.update(zip(views.requests, views.minutes, strict=True))
        self._arrivals.update(zip(views.requests, views.referrers, strict=True))
        self._agents.update(agents)
        if self._keyed is None:
            self._stats.unsalted += len(views.requests)
        else:
            self._add_visitors(set(zip(views.ips, agents, strict=True)), self._keyed)

    def _add_visitors(self, visitors: set[_Visitor], keyed: "blake2b") -> None:
        if len(self._visitors) >= VISITORS_MAX:
            self._visitors.clear()
        fresh = visitors - self._visitors
        self._visitors |= fresh
        digests = []
        for ip, agent in fresh:
            digest = keyed.copy()
            # No address and no agent has a tab.
            digest.update(b"%b\t%b" % (ip, agent.logged))
            digests.append(digest.digest())
        self._stats.visitors_of(self._week).add(digests)

    def flush(self) -> None:
        """Add what was counted to the statistics, and count from zero."""
        stats, read = self._stats, self._read
        for minute, count in self._minutes.items():
            stats.minutes[minute] += count
        for request, count in self._requests.items():
            stats.statuses[request.status] += count
            stats.results[request.result] += count
            if request.status == "404":
                stats.missing[request.path] += count
            if request.is_signup:
                stats.signups[request.status] += count
        stats.programs.add(self._programs)
        stats.devices.add((agent.device.value, count) for agent, count in self._agents.items())
        stats.countries.add((name[:2].decode("latin-1"), count) for name, count in self._countries.items())
        for (request, minute), count in self._views.items():
            stats.view(request.path, request.slug, minute, count)
        for (request, referrer), count in self._arrivals.items():
            host = read.referrers[referrer]
            if host != OWN_SITE:
                stats.arrive(request.path, host, count)
        counters: tuple[Counter[Any], ...] = (
            *(self._minutes, self._requests, self._programs),
            *(self._views, self._arrivals, self._agents, self._countries),
        )
        for counter in counters:
            counter.clear()
