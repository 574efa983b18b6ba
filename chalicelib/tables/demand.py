"""The demand table: counters of entries by SKU, and a marker for each event that they count.

Partition key `part`, sort key `sku`. A row `demand#NN` has counters of one SKU as numbers (their names are
those of `chalicelib.domain.demand`); a SKU's demand is the sum of its rows in all parts. A row
`counted#EVENT` says that a record of the entries' stream is counted; DynamoDB's TTL deletes it. A row
`passed` has the highest number of people of a SKU whose passing is an event that was emitted.

A part takes 1,000 write units a second, as any partition does. A SKU with few records in a batch is counted
in the part of its own, so that most SKUs have one row; a flood is spread over all parts, a batch at a time.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

from chalicelib.aws.connections import code_of
from chalicelib.domain.demand import (
    CountedEntry,
    Demand,
    DemandEvent,
    change_of,
    is_kept,
    is_of_a_day,
    sums_of,
)
from chalicelib.domain.entry import EntryState
from chalicelib.domain.ids import Sku
from chalicelib.tables.entries import COUNTER_PREFIX
from chalicelib.tables.expressions import Attr, Condition, Item, decode_item
from chalicelib.tables.table import CONDITION_NOT_MET, Put, ReadByKey, Table, Update, batch_get

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PARTS = 16
PART_PREFIX = "demand#"
KEYS_AT_ONCE = 100
MARKER_PREFIX = "counted#"
PASSED_PART = "passed"
# Longer than DynamoDB keeps a stream record, and so longer than it can come again: 24 hours.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
MARKER_KEPT_S = 48 * 3600
# A transaction has 100 writes at most: a marker for each event, and a row for each SKU at worst.
EVENTS_MAX = 50
# A SKU has a counter for each day that somebody waits since; an expression has 4 KB at most.
COUNTERS_AT_ONCE = 100
# As many records of one SKU in a batch are a flood, whose counters are spread.
FLOOD_EVENTS_MIN = 5
# Pauses of 5 s in all at most: a function has 20 s.
TRIES_MAX = 8
FIRST_PAUSE_S = 0.02
TOKEN_CHARS = 36
TOKEN_TAKEN = "IdempotentParameterMismatchException"  # noqa: S105 - the name of an error
COUNTED_ATTRIBUTES = ("sku", "state", "signed_up_at_ms", "confirmed_at_ms", "arrived_at_ms")


class NotCounted(RuntimeError):
    """Others wrote the same counters on every attempt. Nothing of this batch is counted; it comes again."""


def part_name(number: int) -> str:
    """Return the partition key of a part."""
    return f"{PART_PREFIX}{number % PARTS:02d}"


def home_part(sku: Sku) -> str:
    """Return the part that counts a SKU, unless a flood spreads it over all."""
    return part_name(crc32(sku.encode()))


class DemandTable:
    """Reads the demand, and counts events.

    `sleep` waits for some seconds, `jitter` returns a number from 0 up to 1.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.table = Table(client, name)
        self._sleep = sleep
        self._jitter = jitter

    def all(self) -> dict[Sku, Demand]:
        """Return the demand for each SKU that has any counter, by SKU.

        One query for each of the 16 parts (strongly consistent). They are not one moment: a write between
        two of them may be counted by half.
        """
        return _demands(self.counters())

    def of(self, skus: Iterable[Sku]) -> dict[Sku, Demand]:
        """Return the demand for each of `skus`, also where nothing was ever counted.

        One call for each six SKUs (strongly consistent); above some dozens, `all` is cheaper.
        """
        wanted = tuple(dict.fromkeys(skus))
        sums: dict[Sku, Counter[str]] = {sku: Counter() for sku in wanted}
        keys = [{"part": part_name(number), "sku": sku} for sku in wanted for number in range(PARTS)]
        for start in range(0, len(keys), KEYS_AT_ONCE):
            (rows,) = batch_get(ReadByKey(self.table, keys[start : start + KEYS_AT_ONCE]))
            for row in rows:
                sums[row["sku"]].update(counters_of(row))
        return _demands(sums)

    def counters(self) -> dict[Sku, Counter[str]]:
        """Return each SKU's counters, summed over the parts as they are: see `all`."""
        sums: dict[Sku, Counter[str]] = {}
        for row in self.rows():
            sums.setdefault(row["sku"], Counter()).update(counters_of(row))
        return sums

    def rows(self) -> Iterator[Item]:
        """Yield the row of each SKU in each part, as stored."""
        for number in range(PARTS):
            yield from self.table.query_all(Attr("part").eq(part_name(number)))

    def count(self, events: Sequence[DemandEvent]) -> int:
        """Count events by one transaction, each once, and return how many were not counted before.

        An event that is counted already is named by its marker's condition, and left out of another try. The
        transaction has a token of the events' ids: the same batch again, within ten minutes, is no second
        transaction.

        Args:
            events: at most 50.

        Raises:
            ValueError: there are more.
            NotCounted: others wrote the same rows on every attempt.
        """
        if len(events) > EVENTS_MAX:
            raise ValueError(f"{len(events)} events at once, {EVENTS_MAX} is the most")
        remaining = list({event.id: event for event in events}.values())
        for attempt in range(TRIES_MAX):
            if not remaining:
                return 0
            reasons = self._transact(remaining, attempt)
            if not reasons:
                return len(remaining)
            known = {number for number, reason in enumerate(reasons) if reason == CONDITION_NOT_MET}
            if not known:
                self._sleep(FIRST_PAUSE_S * 2**attempt * self._jitter())
            remaining = [event for number, event in enumerate(remaining) if number not in known]
        if not remaining:
            return 0
        raise NotCounted(f"{len(remaining)} events")

    def passed(self, skus: Iterable[Sku]) -> dict[Sku, int]:
        """Return the number of people whose passing was emitted last, by SKU; 0 before the first."""
        wanted = tuple(dict.fromkeys(skus))
        keys = [{"part": PASSED_PART, "sku": sku} for sku in wanted]
        known = {row["sku"]: row["people"] for row in self.table.batch_get(keys, ("sku", "people"))}
        return {sku: known.get(sku, 0) for sku in wanted}

    def put_passed(self, sku: Sku, people: int, *, known: int) -> bool:
        """Store the number whose passing was emitted last; false when it is not `known` any more, as read.

        Others count the same SKU at the same time: the one that read an older number leaves the newer alone.
        """
        as_read = Attr("people").eq(known) if known else Attr("people").not_exists() | Attr("people").eq(0)
        return self.table.update_if({"part": PASSED_PART, "sku": sku}, as_read, {"people": people})

    def _transact(self, events: Sequence[DemandEvent], attempt: int) -> tuple[str, ...]:
        """Return nothing when the events are counted; else a reason for each write, the markers first."""
        try:
            # Another token for each attempt: what became of the one before is known.
            return self.table.transact(self._writes(events), token=_token(events, attempt))
        except Exception as error:
            # The same events in other words, by an earlier version of this code, say: markers decide.
            if code_of(error) != TOKEN_TAKEN:
                raise
            return ("None",)

    def _writes(self, events: Sequence[DemandEvent]) -> list[Put | Update]:
        is_new = Attr("part").not_exists()
        by_sku: dict[Sku, list[DemandEvent]] = {}
        for event in events:
            by_sku.setdefault(event.sku, []).append(event)
        markers = [
            Put(
                self.table,
                {
                    "part": MARKER_PREFIX + event.id,
                    "sku": event.sku,
                    "expires_at_s": event.at_ms // 1000 + MARKER_KEPT_S,
                },
                is_new,
            )
            for event in events
        ]
        counters = [
            self._addition(_part(sku, by_sku[sku]), sku, change)
            for sku, change in sums_of(events).items()
            if change
        ]
        return [*markers, *counters]

    def add(self, sku: Sku, change: Mapping[str, int]) -> None:
        """Add to the counters of a SKU what a count of the entries found missing; counting may go on.

        Transactions, though of one row: the SDK repeats one under its token after a lost answer.

        Raises:
            NotCounted: others wrote the same row on every attempt.
        """
        for names in _some_at_once(change):
            self._write_until_done(
                [self._addition(home_part(sku), sku, {name: change[name] for name in names})]
            )

    def tidy(self, *, at_ms: int) -> None:
        """Shrink the rows, without any change of a sum that is compared: counting may go on.

        Move a flood's counters from all parts to the SKU's own, and remove hours that are not kept any more
        and days of which nobody waits.
        """
        by_sku: dict[Sku, list[Item]] = {}
        for row in self.rows():
            by_sku.setdefault(row["sku"], []).append(row)
        for sku, rows in by_sku.items():
            home = home_part(sku)
            self._move_home(sku, [row for row in rows if row["part"] != home], at_ms=at_ms)
            for row in rows:
                self._shrink(row, at_ms=at_ms)

    def _move_home(self, sku: Sku, rows: Sequence[Item], *, at_ms: int) -> None:
        spread = {
            (row["part"], name): number
            for row in rows
            for name, number in counters_of(row).items()
            if number and is_kept(name, at_ms=at_ms)
        }
        for names in _some_at_once({name for _, name in spread}):
            changes: dict[str, Counter[str]] = defaultdict(Counter)
            for (part, name), number in spread.items():
                if name in names:
                    changes[part][name] -= number
                    changes[home_part(sku)][name] += number
            self._write_until_done([self._addition(part, sku, change) for part, change in changes.items()])

    def _shrink(self, row: Item, *, at_ms: int) -> None:
        counters = counters_of(row)
        key = {"part": row["part"], "sku": row["sku"]}
        for names in _some_at_once(name for name in counters if not is_kept(name, at_ms=at_ms)):
            self.table.make(Update(self.table, key, remove=names))
        for names in _some_at_once(
            name for name, number in counters.items() if is_of_a_day(name) and not number
        ):
            # Somebody counted there since: the next time.
            self.table.update_if(key, _all_are_zero(names), remove=names)

    def _addition(self, part: str, sku: Sku, change: Mapping[str, int]) -> Update:
        return Update(self.table, {"part": part, "sku": sku}, add=change)

    def _write_until_done(self, writes: Sequence[Update]) -> None:
        for attempt in range(TRIES_MAX):
            if not self.table.transact(writes):
                return
            self._sleep(FIRST_PAUSE_S * 2**attempt * self._jitter())
        raise NotCounted(f"{len(writes)} rows")


class EntriesCount:
    """Counts the entries table itself, to compare the counters with."""

    def __init__(self, client: "DynamoDBClient", entries: str) -> None:
        self._table = Table(client, entries)

    def counters(self) -> tuple[dict[Sku, Counter[str]], int]:
        """Return what the counters of each SKU should be, and the number of entries; reads the whole table.

        Addresses are not read. One read unit for each 4 KB of the table (strongly consistent reads).
        """
        sums: dict[Sku, Counter[str]] = {}
        number = 0
        for row in self._table.scan(consistent=True, attributes=COUNTED_ATTRIBUTES):
            entry = counted_entry(row)
            if entry:
                sums.setdefault(row["sku"], Counter()).update(entry.counters())
                number += 1
        return sums, number


def counted_entry(item: Item | None) -> CountedEntry | None:
    """Return the part of an entry that counts; None for no item, or a row that is no entry."""
    if (
        item is None
        or item["sku"].startswith(COUNTER_PREFIX)
        or not {"state", "signed_up_at_ms"} <= item.keys()
    ):
        return None
    return CountedEntry(
        EntryState(item["state"]),
        item["signed_up_at_ms"],
        item.get("confirmed_at_ms"),
        item.get("arrived_at_ms"),
    )


def event_of(record: Mapping[str, Any], *, at_ms: int) -> DemandEvent | None:
    """Return what a record of the entries' stream changes; None where no counter changes.

    Args:
        record: as Lambda passes it.
        at_ms: the time of a record that has none.
    """
    written = record["dynamodb"]
    written_at_s = written.get("ApproximateCreationDateTime")
    event_at_ms = at_ms if written_at_s is None else int(float(written_at_s) * 1000)
    before, after = (
        counted_entry(decode_item(written[image]) if image in written else None)
        for image in ("OldImage", "NewImage")
    )
    change = change_of(before, after, at_ms=event_at_ms)
    return (
        DemandEvent(record["eventID"], written["Keys"]["sku"]["S"], change, event_at_ms) if change else None
    )


def _part(sku: Sku, events: Sequence[DemandEvent]) -> str:
    """Return the part that counts a SKU's events of a batch, the same for the same events."""
    return part_name(crc32(events[0].id.encode())) if len(events) >= FLOOD_EVENTS_MIN else home_part(sku)


def _token(events: Sequence[DemandEvent], attempt: int) -> str:
    ids = " ".join([str(attempt), *(event.id for event in events)])
    return sha256(ids.encode()).hexdigest()[:TOKEN_CHARS]


def _all_are_zero(names: Sequence[str]) -> Condition:
    condition = Attr(names[0]).eq(0)
    for name in names[1:]:
        condition &= Attr(name).eq(0)
    return condition


def _some_at_once(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield the names of counters in parts that an expression has room for."""
    every = sorted(names)
    for start in range(0, len(every), COUNTERS_AT_ONCE):
        yield every[start : start + COUNTERS_AT_ONCE]


def counters_of(row: Item) -> dict[str, int]:
    """Return the counters of a row."""
    return {name: value for name, value in row.items() if name not in {"part", "sku"}}


def _demands(sums: Mapping[Sku, Mapping[str, int]]) -> dict[Sku, Demand]:
    return {sku: Demand.of(sku, counters) for sku, counters in sums.items()}
