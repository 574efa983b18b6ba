"""Access logs for tests: lines with sensible values, gzipped files, and an exact count to compare with."""

import gzip
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chalicelib.domain.traffic.counting import Counting, LogName, count_log
from chalicelib.domain.traffic.hour import HourStats
from chalicelib.domain.traffic.lines import FIELDS

HOUR = "2026-11-27T10"
WEEK = "2026-W48"
NAME = LogName("E1.2026-11-27-10.aa", HOUR)
HOW = Counting({WEEK: b"salt"}, frozenset({"shop.example"}))
PHONE = "Mozilla/5.0%20(iPhone;%20CPU%20iPhone%20OS%2018_0)%20Mobile/15E148%20Safari/604.1"
DESK = "Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)%20Chrome/140.0.0.0%20Safari/537.36"
GOOGLE = "Mozilla/5.0%20(compatible;%20Googlebot/2.1;%20+http://www.google.com/bot.html)"


def log_line(**values: str) -> str:
    """A line whose values are those of an ordinary page view, but for the ones that are given."""
    usual = {
        "time": "10:05:30",
        "bytes": "5000",
        "ip": "203.0.113.7",
        "referrer": "-",
        "agent": PHONE,
        "date": "2026-11-27",
        "method": "GET",
        "stem": "/products/mug",
        "status": "200",
        "result": "Hit",
    }
    assert values.keys() <= usual.keys()
    return "\t".join((usual | values).values())


def text_of(lines: Iterable[str], fields: Iterable[str] = FIELDS) -> bytes:
    """The text of a log file."""
    header = f"#Version: 1.0\n#Fields: {' '.join(fields)}\n"
    return header.encode() + "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def gzipped(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


def counted(content: bytes, name: LogName = NAME) -> HourStats:
    """The statistics of the hour that a file is named for."""
    return count_log(io.BytesIO(content), name, HOW)[name.hour]


def counted_lines(*lines: str) -> HourStats:
    return counted(gzipped(text_of(lines)))


@dataclass
class Exact:
    """An exact count of valid lines, by a plain loop that shares no code with what it checks."""

    requests: int = 0
    bytes_sent: int = 0
    views: int = 0
    minutes: Counter[int] = field(default_factory=Counter)
    view_minutes: Counter[int] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    products: Counter[tuple[str, int]] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    signups: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    visitors: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, lines: Iterable[str]) -> "Exact":
        exact = cls()
        for line in lines:
            time, size, ip, _, agent, _, method, stem, status, result = line.rstrip("\n").split("\t")
            minute = int(time[3:5])
            exact.requests += 1
            exact.bytes_sent += int(size)
            exact.minutes[minute] += 1
            exact.statuses[status] += 1
            exact.results[result] += 1
            exact.missing[stem] += status == "404"
            if (method, stem) == ("POST", "/api/waitlist"):
                exact.signups[status] += 1
            is_page = "." not in stem.split("/")[-1] and not stem.startswith("/api/")
            person = not any(word in agent.lower() for word in ("bot", "python"))
            if is_page and person and method == "GET" and status in ("200", "304"):
                exact.views += 1
                exact.view_minutes[minute] += 1
                exact.pages[stem] += 1
                exact.visitors.add((ip, agent))
                if "/products/" in stem:
                    exact.products[stem.split("/products/")[1], minute] += 1
        exact.missing = +exact.missing
        return exact
