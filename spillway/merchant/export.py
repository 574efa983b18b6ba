"""Who waits for a variant, as a table for a spreadsheet: in order, and with nothing a cell would run."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import merge
from typing import TextIO

from chalicelib.domain.entry import Entry, shards_of
from chalicelib.tables.shards import ShardsTable

PAGE_ENTRIES = 500
HEADER = ["position", "asked_at", "address", "state"]
# What spreadsheets take for the beginning of a formula.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(text: str) -> str:
    """The text as a cell that is only read, never calculated."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def in_line(shards: ShardsTable, sku: str) -> Iterator[Entry]:
    """Everybody who waits for a variant, first come first; no more than a page of each shard in memory."""

    return merge(*(_shard(shards, shard) for shard in shards_of(sku)), key=lambda entry: entry.position or "")


def write_csv(entries: Iterator[Entry], file: TextIO) -> int:
    """Write them, and count them."""
    rows = csv.writer(file)
    rows.writerow(HEADER)
    count = 0
    for count, entry in enumerate(entries, start=1):
        rows.writerow([count, _time(entry.asked_at_ms), safe_cell(entry.mailbox), entry.state.value])
    return count


def document(entry: Entry, place: int) -> dict[str, object]:
    """One of them, ready for JSON."""
    return {
        "position": place,
        "asked_at": _time(entry.asked_at_ms),
        "address": entry.mailbox,
        "state": entry.state.value,
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _shard(shards: ShardsTable, shard: str) -> Iterator[Entry]:
    after = ""
    while True:
        page = shards.waiting(shard, after=after, upto="~", limit=PAGE_ENTRIES)
        yield from page.entries
        if not page.more or not page.entries:
            return
        after = page.entries[-1].position or ""
