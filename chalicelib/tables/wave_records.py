"""What a batch of emails leaves in the tables: marks on entries, counters of the restock, the wave's budget.

Marks and counters of a limited wave are one transaction. Marks of a shard are separate writes at half the
price, since its counters only report progress.
"""

from collections.abc import Mapping, Sequence

from chalicelib.domain.entry import Entry
from chalicelib.domain.stock import Restock
from chalicelib.tables.progress import ALL_SHARDS, ProgressTable
from chalicelib.tables.shards import Notified, ShardsTable


class WaveRecords:
    """Writes marks and counters together."""

    def __init__(self, shards: ShardsTable, progress: ProgressTable) -> None:
        self._shards = shards
        self._progress = progress

    def mark_batch(
        self, restock: Restock, notified: Sequence[Notified], *, emails: Mapping[str, int], at_ms: int
    ) -> int:
        """Mark a batch of a limited wave and count its emails, in one transaction.

        Args:
            restock: the restock that the emails are about.
            notified: entries whose email was handed over, at most 50.
            emails: numbers of emails by counter (see `Progress`): "notified", "rejected" and so on.
            at_ms: the time of now.

        Returns:
            The number of entries that were marked; an entry that was unsubscribed meanwhile stays so.

        Raises:
            MarksNotWritten: others wrote to these entries on every attempt.
        """
        writes = [self._progress.count(restock.id, ALL_SHARDS, at_ms=at_ms, **emails)]
        # A rejected email does not count against a limited wave.
        accepted = emails["notified"] - emails["rejected"]
        if accepted > 0:
            writes.append(self._progress.take_from_wave(restock.sku, accepted, at_ms=at_ms))
        return self._shards.mark_batch(notified, restock_id=restock.id, at_ms=at_ms, counting=writes)

    def mark_each(
        self,
        restock: Restock,
        shard: str,
        notified: Sequence[Notified],
        *,
        emails: Mapping[str, int],
        at_ms: int,
    ) -> None:
        """Mark entries by separate writes, then count their emails for `shard`.

        Raises:
            MarksNotWritten: some marks are missing; nothing is counted.
        """
        self._shards.mark_each(notified, restock_id=restock.id, at_ms=at_ms)
        self._progress.add(restock.id, shard, at_ms=at_ms, **emails)

    def defer(self, restock: Restock, shard: str, entry: Entry, *, at_ms: int) -> bool:
        """Mark an entry as deferred for a restock, and reserve its email in the budget of a limited wave.

        Returns:
            False when the entry was deferred for this restock before, or does not wait any more.
        """
        # A reserved email that is sent later does not make the wave larger.
        reserving = self._progress.take_from_wave(restock.sku, 1, at_ms=at_ms)
        writes = [reserving] if shard == ALL_SHARDS else []
        return self._shards.defer(entry, restock_id=restock.id, counting=writes)
