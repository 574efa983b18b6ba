"""Count one log file into the statistics of its hours.

A page view is a GET of an address without a file extension and outside /api/, answered 200 or 304, by no
known program. A visitor is a pair of IP address and user agent under the salt of the week; only a keyed
digest of the pair reaches a sketch, which keeps at most a short number of it.

The work is done by columns, each in C: a loop in Python over the lines would read half as many in the time.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import compress
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from chalicelib.domain.traffic.agents import OWN_SITE, agent_of, referring_host
from chalicelib.domain.traffic.hour import HourStats
from chalicelib.domain.traffic.lines import Aside, Columns, LineReader, Source
from chalicelib.domain.traffic.sketch import DIGEST_BYTES, NamedCounts

# CloudFront delivers some lines up to 24 hours late, and names the file by their hour.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
FAR = timedelta(hours=24)
HOUR_FORMAT = "%Y-%m-%dT%H"
SIGNUP_PATH = "/api/waitlist"
PATH_CHARS_MAX = 200
MEMO_MAX = 4_096
VISITORS_MAX = 4_096
TALLY_MAX = 4_096
# `{distribution}.{date}-{hour}.{unique id}.gz`, under whatever prefix.
LOG_NAME = re.compile(r"(?:.*/)?([A-Za-z0-9]+\.(\d{4}-\d\d-\d\d)-([01]\d|2[0-3])\.[A-Za-z0-9]+)\.gz")
_PRODUCT = re.compile(r"(?:/[a-z]{2,3}(?:-[a-z0-9]{2,8})*)?/products/([^/]+)", re.ASCII)
_KNOWN_RESULTS = frozenset(
    {
        *(
            "Hit",
            "RefreshHit",
            "OriginShieldHit",
            "Miss",
            "LimitExceeded",
            "CapacityExceeded",
            "Error",
            "Redirect",
        ),
        *(
            "LambdaGeneratedResponse",
            "FunctionGeneratedResponse",
            "LambdaExecutionError",
            "FunctionExecutionError",
        ),
    }
)
OTHER = "other"


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
    return datetime.strptime(hour, HOUR_FORMAT).replace(tzinfo=UTC)


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
_Column = list[bytes]


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
    for columns in reader.columns():
        counter.count(columns)
    return counter.finish(reader.aside)


class _LogCounter:
    """Counts columns; its memory is bounded by what it remembers, not by the file."""

    def __init__(self, name: LogName, how: Counting) -> None:
        self._name, self._how = name, how
        self.hours: dict[str, HourStats] = {name.hour: HourStats(name.hour)}
        self._read = _Reading(how.own_hosts)
        self._tallies: dict[str, _Tally] = {}
        self._near = _Memo(self._near_hour)

    def count(self, columns: Columns) -> None:
        """Count some lines."""
        dates, times = columns.values[:2]
        first, last = min(times)[:2], max(times)[:2]
        if first == last and dates.count(dates[0]) == len(dates):
            self._count_hour(dates[0] + b"T" + first, columns)
            return
        for date, hour in sorted({(date, time[:2]) for date, time in zip(dates, times, strict=True)}):
            self._count_hour(date + b"T" + hour, _of_hour(columns, date, hour))

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

    def _count_hour(self, stamp: bytes, columns: Columns) -> None:
        hour = self._near[stamp]
        if hour is None:
            self.hours[self._name.hour].aside[Aside.FAR] += len(columns.values[0])
            return
        if hour not in self._tallies:
            stats = self.hours.setdefault(hour, HourStats(hour))
            week = week_of(hour)
            self._tallies[hour] = _Tally(stats, self._read, week, self._how.salts.get(week))
        self._tallies[hour].count(columns)


class _Reading:
    """Reads the values of fields, and remembers what they mean."""

    def __init__(self, own_hosts: frozenset[str]) -> None:
        self.pages: _Memo[_Page | None] = _Memo(_page_of)
        self.agents = _Memo(agent_of)
        self.referrers = _Memo(lambda logged: referring_host(logged, own_hosts))


class _Tally:
    """Counts values of one hour as they are logged; `flush` reads each distinct one, and adds its count."""

    def __init__(self, stats: HourStats, read: _Reading, week: str, salt: bytes | None) -> None:
        self._stats, self._read, self._week = stats, read, week
        self._keyed = None if salt is None else blake2b(key=salt, digest_size=DIGEST_BYTES)
        self._minutes: Counter[bytes] = Counter()
        self._statuses: Counter[bytes] = Counter()
        self._results: Counter[bytes] = Counter()
        self._missing: Counter[bytes] = Counter()
        self._signups: Counter[bytes] = Counter()
        self._programs: Counter[bytes] = Counter()
        self._views: Counter[tuple[bytes, bytes]] = Counter()
        self._arrivals: Counter[tuple[bytes, bytes]] = Counter()
        self._agents: Counter[bytes] = Counter()
        self._countries: Counter[bytes] = Counter()
        # The visitors that the sketch has for sure: each is hashed once, not for each page.
        self._visitors: set[tuple[bytes, bytes]] = set()

    def count(self, columns: Columns) -> None:
        """Count some lines of the hour."""
        _, times, sizes, ips, methods, stems, statuses, referrers, agents, results = columns.values
        self._stats.requests += len(sizes)
        self._stats.bytes_sent += columns.bytes_sent
        minutes = _minutes_of(times)
        self._minutes.update(minutes)
        self._statuses.update(statuses)
        self._results.update(results)
        self._missing.update(_beside(b"404", statuses, stems))
        # Most lines are of assets: only those of pages are looked at further.
        pages = list(map(self._read.pages.__getitem__, stems))
        columns_of_pages = (methods, statuses, stems, agents, minutes, referrers, ips)
        self._count_pages(*(list(compress(column, pages)) for column in columns_of_pages))
        if columns.country:
            self._countries.update(compress(columns.country, pages))
        tallies: tuple[Sized, ...] = (self._views, self._arrivals, self._missing, self._agents)
        if max(map(len, tallies)) > TALLY_MAX:
            self.flush()

    def _count_pages(
        self, methods: _Column, statuses: _Column, stems: _Column, agents: _Column, *others: _Column
    ) -> None:
        """Count requests for pages, and signups: each argument is a column."""
        programs = {agent for agent in set(agents) if self._read.agents[agent].program}
        self._programs.update(agent for agent in agents if agent in programs)
        posts = compress(statuses, map(_SIGNUP.__eq__, zip(methods, stems, strict=True)))
        self._signups.update(posts)
        shown = [
            status in _SHOWN and method == b"GET" and agent not in programs
            for method, status, agent in zip(methods, statuses, agents, strict=True)
        ]
        if any(shown):
            self._count_views(*(list(compress(column, shown)) for column in (stems, agents, *others)))

    def _count_views(
        self, stems: _Column, agents: _Column, minutes: _Column, referrers: _Column, ips: _Column
    ) -> None:
        self._views.update(zip(stems, minutes, strict=True))
        self._arrivals.update(zip(stems, referrers, strict=True))
        self._agents.update(agents)
        if self._keyed is None:
            self._stats.unsalted += len(stems)
        else:
            self._add_visitors(set(zip(ips, agents, strict=True)), self._keyed)

    def _add_visitors(self, visitors: set[tuple[bytes, bytes]], keyed: "blake2b") -> None:
        if len(self._visitors) >= VISITORS_MAX:
            self._visitors.clear()
        fresh = visitors - self._visitors
        self._visitors |= fresh
        digests = []
        for visitor in fresh:
            digest = keyed.copy()
            # No address and no agent has a tab.
            digest.update(b"\t".join(visitor))
            digests.append(digest.digest())
        self._stats.visitors_of(self._week).add(digests)

    def flush(self) -> None:
        """Add what was counted to the statistics, and count from zero."""
        stats, read = self._stats, self._read
        for minute_text, count in self._minutes.items():
            stats.minutes[int(minute_text)] += count
        stats.statuses.add((status.decode("ascii"), count) for status, count in self._statuses.items())
        stats.results.add((_result_of(result), count) for result, count in self._results.items())
        stats.missing.add((_path_of(stem), count) for stem, count in self._missing.items())
        stats.signups.add((status.decode("ascii"), count) for status, count in self._signups.items())
        stats.programs.add(
            (read.agents[agent].program or OTHER, count) for agent, count in self._programs.items()
        )
        stats.devices.add((read.agents[agent].device.value, count) for agent, count in self._agents.items())
        stats.countries.add((name[:2].decode("latin-1"), count) for name, count in self._countries.items())
        for (stem, minute), count in self._views.items():
            if page := read.pages[stem]:
                stats.view(page.path, page.slug, int(minute), count)
        for (stem, referrer), count in self._arrivals.items():
            host = read.referrers[referrer]
            if (page := read.pages[stem]) and host != OWN_SITE:
                stats.arrive(page.path, host, count)
        counters: tuple[Counter[Any], ...] = (
            *(self._minutes, self._statuses, self._results, self._missing, self._signups),
            *(self._programs, self._views, self._arrivals, self._agents, self._countries),
        )
        for counter in counters:
            counter.clear()


@dataclass(frozen=True, slots=True)
class _Page:
    """An address without a file extension."""

    path: str
    slug: str | None = None


_SHOWN = frozenset({b"200", b"304"})
_SIGNUP = (b"POST", SIGNUP_PATH.encode())


def _minutes_of(times: _Column) -> _Column:
    """Return the minutes of some times. In a flood, all lines that are read at once have the same."""
    first, last = min(times)[3:5], max(times)[3:5]
    return [first] * len(times) if first == last else [time[3:5] for time in times]


def _path_of(stem: bytes) -> str:
    """Return the path that a logged one names; one way to write it, and of bounded length."""
    return unquote_to_bytes(stem[: 3 * PATH_CHARS_MAX]).decode("utf-8", "replace")[:PATH_CHARS_MAX]


def _page_of(stem: bytes) -> _Page | None:
    path = _path_of(stem)
    if path == SIGNUP_PATH:
        return _Page(path)
    if path.startswith("/api/") or not path.startswith("/") or "." in path.rpartition("/")[2]:
        return None
    product = _PRODUCT.fullmatch(path)
    return _Page(path, product[1] if product else None)


def _result_of(logged: bytes) -> str:
    text = logged.decode("latin-1")
    return text if text in _KNOWN_RESULTS else OTHER


def _beside(wanted: bytes, column: list[bytes], other: list[bytes]) -> Iterator[bytes]:
    """Return the values of another column beside each wanted one, which is rare."""
    place = -1
    for _ in range(column.count(wanted)):
        place = column.index(wanted, place + 1)
        yield other[place]


def _of_hour(columns: Columns, date: bytes, hour: bytes) -> Columns:
    """Return the lines of one hour."""
    dates, times = columns.values[:2]
    wanted = [day == date and time.startswith(hour) for day, time in zip(dates, times, strict=True)]
    country = columns.country and list(compress(columns.country, wanted))
    values = tuple(list(compress(column, wanted)) for column in columns.values)
    return Columns(values, country, sum(map(int, values[2])))
