"""The tables of a fan-out in memory: the same promises, fast enough for a million and for Hypothesis.

Every method says where it is (`reach`), so that a worker can be made to die at any point.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import Any

from chalicelib.domain.entry import Entry, EntryState, position_of, shard_of, shards_of
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.rate_limits import HOUR_MS, Limits, SendingRate
from chalicelib.domain.stock import Restock, Stock, StockedProduct
from chalicelib.domain.wave import WaveBudget
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.sending.once import LeasesTable
from chalicelib.tables.sending.rate import US_PER_MS, SendingRateTable
from chalicelib.tables.sending.waves import Progress, ProgressTable
from chalicelib.tables.shards import Notified, ShardsTable, StillWaiting, WaitingPage
from chalicelib.tables.table import STATEMENTS_MAX

SKU = "A"
SLUG = "jacket"
PRODUCT = Product(SLUG, "Jacket", "A jacket.", "", "outerwear", (), (Variant(SKU, 100),))

Reach = Callable[[str], None]


class MemoryEntries(EntriesTable):
    """Entries for one variant, by shopper."""

    def __init__(self) -> None:
        self.rows: dict[str, Entry] = {}
        self.suppressed: set[str] = set()
        self.positions: dict[str, list[str]] = defaultdict(list)

    def join(self, shopper: str, *, at_ms: int) -> None:
        """A shopper signed up and confirmed at once."""
        position = position_of(at_ms, shopper)
        self.rows[shopper] = Entry(
            shopper, SKU, f"{shopper}@example.com", EntryState.CONFIRMED, at_ms, position
        )
        insort(self.positions[shard_of(SKU, shopper)], position)

    def get(self, shopper: str, sku: str) -> Entry | None:
        return self.rows.get(shopper)

    def leave(self, shopper: str, sku: str, *, at_ms: int) -> bool:
        if shopper not in self.rows:
            return False
        self.rows[shopper] = replace(self.rows[shopper], state=EntryState.UNSUBSCRIBED, position=None)
        return True

    def waits(self, position: str) -> Entry | None:
        """The entry that stands in a position, if it still does."""
        entry = self.rows[position.partition("#")[2]]
        stands = entry.state is EntryState.CONFIRMED and entry.position == position
        return entry if stands else None


class MemoryShards(ShardsTable):
    """The shard of that variant."""

    def __init__(self, entries: MemoryEntries, reach: Reach) -> None:
        self._entries = entries
        self._reach = reach
        self.deferred_for: dict[str, tuple[str, str | None]] = {}

    def waiting(self, shard: str, *, after: str, upto: str, limit: int) -> WaitingPage:
        self._reach("page")
        positions = self._entries.positions[shard]
        at, end = bisect_right(positions, after), bisect_right(positions, upto)
        found: list[Entry] = []
        while at < end and len(found) < limit:
            entry = self._entries.waits(positions[at])
            if entry:
                found.append(entry)
            at += 1
        return WaitingPage(tuple(found), at < end)

    def first_waiting(self, sku: str, *, upto: str, limit: int, after: str = "") -> tuple[Entry, ...]:
        shards = [
            self.waiting(shard, after=after, upto=upto, limit=limit).entries for shard in shards_of(sku)
        ]
        return tuple(islice(merge(*shards, key=lambda entry: entry.position or ""), limit))

    def defer(self, entry: Entry, *, restock_id: str, counting: Sequence[Any] = ()) -> bool:
        self._reach("defer")
        first = self.deferred_for.get(entry.shopper) != (restock_id, entry.position)
        if not first or not self._entries.waits(entry.position or ""):
            return False
        self.deferred_for[entry.shopper] = (restock_id, entry.position)
        for write in counting:
            write["apply"]()
        return True

    def still_waiting(self, entries: Sequence[Entry], *, not_deferred_for: str = "") -> StillWaiting:
        self._reach("look")
        waiting = [
            entry
            for entry in entries
            if self._entries.waits(entry.position or "")
            and self.deferred_for.get(entry.shopper) != (not_deferred_for, entry.position)
        ]
        return StillWaiting(
            tuple(entry for entry in waiting if entry.shopper not in self._entries.suppressed),
            tuple(entry for entry in waiting if entry.shopper in self._entries.suppressed),
        )

    def mark_batch(
        self,
        notified: Sequence[Notified],
        *,
        restock_id: str,
        at_ms: int,
        counting: Sequence[Any] = (),
    ) -> int:
        self._reach("mark")
        marked = [each for each in notified if self._entries.waits(each.entry.position or "")]
        self._told(marked)
        for write in counting:
            write["apply"]()
        self._reach("marked")
        return len(marked)

    def mark_each(self, notified: Sequence[Notified], *, restock_id: str, at_ms: int) -> None:
        self._reach("mark")
        for start in range(0, len(notified), STATEMENTS_MAX):
            part = notified[start : start + STATEMENTS_MAX]
            self._told([each for each in part if self._entries.waits(each.entry.position or "")])
            self._reach("half marked")
        self._reach("marked")

    def _told(self, notified: Sequence[Notified]) -> None:
        for each in notified:
            changed = replace(each.entry, state=EntryState.NOTIFIED, position=None)
            self._entries.rows[each.entry.shopper] = changed


class MemoryLeases(LeasesTable):
    """Who holds which shard."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.held: dict[str, tuple[str, int]] = {}

    def take(self, shards: Sequence[str], *, holder: str, at_ms: int, lease_ms: int) -> bool:
        self._reach("lease")
        if any(shard in self.held and self.held[shard][1] >= at_ms for shard in shards):
            return False
        self.held.update(dict.fromkeys(shards, (holder, at_ms + lease_ms)))
        self._reach("leased")
        return True

    def release(self, shards: Sequence[str], *, holder: str) -> None:
        for shard in shards:
            if self.held.get(shard, ("", 0))[0] == holder:
                del self.held[shard]


class MemoryProgress(ProgressTable):
    """Counters."""

    def __init__(self, reach: Reach = lambda _: None) -> None:
        self._reach = reach
        self.counters: dict[tuple[str, str], Mapping[str, int]] = {}
        self.waves: dict[str, WaveBudget] = {}
        self.unclear_places: set[tuple[str, str, str]] = set()

    def count(self, restock_id: str, shard: str, *, at_ms: int, **emails: int) -> Any:
        def apply() -> None:
            before = self.counters.get((restock_id, shard), {})
            self.counters[restock_id, shard] = {
                name: before.get(name, 0) + emails.get(name, 0) for name in {*before, *emails}
            }

        return {"apply": apply}

    def add(self, restock_id: str, shard: str, *, at_ms: int, **emails: int) -> None:
        self.count(restock_id, shard, at_ms=at_ms, **emails)["apply"]()

    def take_from_wave(self, sku: str, emails: int, *, at_ms: int) -> Any:
        def apply() -> None:
            wave = self.waves[sku]
            self.waves[sku] = replace(wave, left=wave.left - emails, last_email_at_ms=at_ms)

        return {"apply": apply}

    def give_back(self, sku: str, emails: int, *, number: int) -> bool:
        wave = self.wave(sku)
        if wave.number != number:
            return False
        self.waves[sku] = replace(wave, left=wave.left + emails)
        return True

    def put_wave(self, sku: str, wave: WaveBudget, *, known: WaveBudget, at_ms: int) -> bool:
        self._reach("budget")
        now = self.wave(sku)
        if (now.number, now.granted, now.left) != (known.number, known.granted, known.left):
            return False
        self.waves[sku] = replace(wave, announced=now.announced, announced_for=now.announced_for)
        self._reach("budgeted")
        return True

    def wave(self, sku: str) -> WaveBudget:
        return self.waves.get(sku, WaveBudget())

    def announce(self, sku: str, restock_id: str, number: int) -> None:
        self._reach("announce")
        wave = self.wave(sku)
        if wave.announced < number or wave.announced_for != restock_id:
            self.waves[sku] = replace(wave, announced=number, announced_for=restock_id)

    def first_unclear(self, restock_id: str, shard: str, position: str) -> bool:
        known = (restock_id, shard, position) in self.unclear_places
        self.unclear_places.add((restock_id, shard, position))
        return not known

    def of(self, restock_id: str, shards: Iterable[str]) -> Progress:
        mine = [counters for (restock, _), counters in self.counters.items() if restock == restock_id]
        return Progress(
            **{
                name: sum(each.get(name, 0) for each in mine)
                for name in ("notified", "rejected", "unclear", "deferred_now", "given_up")
            }
        )


class MemorySendingRate(SendingRateTable):
    """One row."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.row: SendingRate | None = None
        self.asking_until_ms = 0

    def state(self) -> SendingRate | None:
        return self.row

    def elect(self, *, at_ms: int, for_ms: int, known: SendingRate | None) -> bool:
        read_at_ms = self.row.read_at_ms if self.row else 0
        if read_at_ms != (known.read_at_ms if known else 0) or self.asking_until_ms >= at_ms:
            return False
        self.asking_until_ms = at_ms + for_ms
        return True

    def put_limits(self, limits: Limits, *, at_ms: int, known: SendingRate | None) -> None:
        if self.row is None or (known and self.row.read_at_ms == known.read_at_ms):
            ready_us = self.row.ready_at_us if self.row else at_ms * US_PER_MS
            emails = {} if self.row is None else dict(self.row.emails_by_hour)
            self.row = SendingRate(
                limits.rate_per_s, limits.emails_left, ready_us, at_ms, emails_by_hour=emails
            )

    def take(self, emails: int, *, cost_us: int, at_ms: int, wait_ms_max: int) -> int | None:
        self._reach("turn")
        row, now_us = self.row, at_ms * US_PER_MS
        if row is None or row.paused or row.emails_left < emails:
            return None
        begins_us = max(now_us, row.ready_at_us)
        if begins_us > now_us + wait_ms_max * US_PER_MS:
            return None
        hour = at_ms // HOUR_MS
        self.row = replace(
            row,
            emails_left=row.emails_left - emails,
            ready_at_us=begins_us + cost_us,
            emails_by_hour={**row.emails_by_hour, hour: row.emails_by_hour.get(hour, 0) + emails},
        )
        return -(-begins_us // US_PER_MS)

    def pause(self, reason: str) -> bool:
        assert self.row is not None
        if self.row.paused:
            return False
        self.row = replace(self.row, paused=reason)
        return True

    def resume(self) -> bool:
        assert self.row is not None
        paused = self.row.paused is not None
        self.row = replace(self.row, paused=None, read_at_ms=0)
        return paused


class MemoryProducts(ProductsTable):
    """One product of one variant."""

    def __init__(self, stock: Stock) -> None:
        self.stock = stock

    def slug_of(self, sku: str) -> str | None:
        return SLUG

    def get(self, slug: str) -> StockedProduct | None:
        return StockedProduct(PRODUCT, {SKU: self.stock})


class MemoryRestocks(RestocksTable):
    """Its restocks."""

    def __init__(self) -> None:
        self.opened: list[Restock] = []

    def open(self, restock: Restock) -> None:
        if restock not in self.opened:
            self.opened.append(restock)

    def live(self, sku: str) -> Restock | None:
        return max(self.opened, key=lambda restock: (restock.observed_at_ms, restock.version), default=None)
