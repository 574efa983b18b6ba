"""What a table on demand takes in: so much at once, spread over partitions, more after it grew."""

from collections import deque

# "Throttling can occur if you exceed double your previous peak within 30 minutes."
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html (2026-11)
GROWTH_FACTOR = 2
GROWTH_AFTER_S = 30 * 60


class TableCapacity:
    """Write units a second: `warm` for all of the table, `per_partition` for each of its partitions.

    What a partition leaves unused is not saved up here, though DynamoDB saves up to 300 s of it: the
    model throttles rather too early.
    """

    def __init__(self, *, warm: float, per_partition: float) -> None:
        self._warm = warm
        self._per_partition = per_partition
        self._second = -1
        self._taken: dict[int, float] = {}
        self._all = 0.0
        self._peaks: deque[tuple[int, float]] = deque()
        self._peak_before = 0.0
        self.capacity = warm
        """Units that this second can take in."""
        self._partitions = self._partitions_needed()

    def write(self, key_hash: int, *, at_s: float) -> bool:
        """One unit to the partition of a key; false when it, or the table, takes no more in this second."""
        self._advance(int(at_s))
        partition = key_hash % self._partitions
        taken = self._taken.get(partition, 0.0) + 1
        if self._all + 1 > self.capacity or taken > self._per_partition:
            return False
        self._taken[partition] = taken
        self._all += 1
        return True

    def _advance(self, second: int) -> None:
        if second == self._second:
            return
        if self._all:
            self._peaks.append((self._second, self._all))
        while self._peaks and second - self._peaks[0][0] >= GROWTH_AFTER_S:
            self._peak_before = max(self._peak_before, self._peaks.popleft()[1])
            self.capacity = max(self._warm, GROWTH_FACTOR * self._peak_before)
            self._partitions = self._partitions_needed()
        self._second, self._all = second, 0.0
        self._taken.clear()

    def _partitions_needed(self) -> int:
        return max(1, round(self.capacity / self._per_partition))
