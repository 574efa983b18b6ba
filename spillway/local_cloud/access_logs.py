"""The access logs of the demo: written by its front door as CloudFront writes a distribution's.

Names, format and percent-encoding are those of standard logging (v2); only the delay differs: it is seconds
and not minutes. Everything behind the bucket is the deployed stack.
"""

import gzip
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import quote

from chalicelib.domain.traffic.lines import FIELDS
from chalicelib.storage import LOGS_PREFIX

FLUSH_EVERY_S = 2.0
ACCOUNT = "000000000000"
# CloudFront encodes spaces, control characters, quotes and percent signs in headers.
KEPT = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
# The head of an answer, which a content-length leaves out.
HEAD_BYTES = 400


@dataclass(frozen=True, slots=True)
class Hit:
    """One answered request; `path` is without its query, as it was sent."""

    at: datetime
    bytes_sent: int
    ip: str
    method: str
    path: str
    status: int
    referrer: str | None
    agent: str | None
    result: str

    def line(self) -> str:
        """Return the line of a log."""
        values = (
            *(f"{self.at:%H:%M:%S}", str(self.bytes_sent), self.ip),
            *(quote(text, safe=KEPT) if text else "-" for text in (self.referrer, self.agent)),
            *(f"{self.at:%Y-%m-%d}", self.method, quote(self.path, safe=KEPT + "%"), str(self.status)),
            self.result,
        )
        return "\t".join(values) + "\n"


@dataclass(slots=True)
class AccessLog:
    """Collects hits, and writes those of each hour as a file of their own.

    Args:
        distribution: the id of the distribution.
        put: stores a file under a key.
        new_id: returns eight characters that were never returned before.
    """

    distribution: str
    put: Callable[[str, bytes], object]
    new_id: Callable[[], str] = lambda: secrets.token_hex(4)
    _hits: list[Hit] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, hit: Hit) -> None:
        """Keep a hit for the next file."""
        with self._lock:
            self._hits.append(hit)

    def flush(self) -> None:
        """Write the hits since the last file."""
        with self._lock:
            hits, self._hits = self._hits, []
        for hour, group in groupby(sorted(hits, key=_hour), key=_hour):
            name = f"{self.distribution}.{hour:%Y-%m-%d-%H}.{self.new_id()}.gz"
            folder = f"{LOGS_PREFIX}AWSLogs/{ACCOUNT}/CloudFront/{self.distribution}/{hour:%Y/%m/%d/%H}"
            text = f"#Version: 1.0\n#Fields: {' '.join(FIELDS)}\n" + "".join(hit.line() for hit in group)
            self.put(f"{folder}/{name}", gzip.compress(text.encode("utf-8", "replace")))

    @contextmanager
    def flushed(self, every_s: float = FLUSH_EVERY_S) -> Iterator[None]:
        """Write a file each few seconds for as long as the block lasts, and one at its end."""
        ended = threading.Event()
        thread = threading.Thread(target=self._flush_until, args=(ended, every_s), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _flush_until(self, ended: threading.Event, every_s: float) -> None:
        while not ended.wait(every_s):
            self.flush()
        self.flush()


def _hour(hit: Hit) -> datetime:
    return hit.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
