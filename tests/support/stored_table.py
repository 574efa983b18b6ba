"""Items of one DynamoDB table in memory, and the orders that its queries read them in.

An order (of the table's own sort key, or of an index) is made for its first query and kept up to date by
every write after it. Items are never changed, only replaced, so answers may share them.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.expressions import EMPTY_KEY, Item, Place, sort_value

Key = tuple[str, ...]
CHUNK_MAX = 1024


class KeyMismatch(ValueError):
    """A key has other attributes than the table's, or an attribute of a key is of another type."""


@dataclass(frozen=True, slots=True)
class Index:
    """An order to query a table in: its own, or that of an index.

    `attributes` are a partition key, and a sort key if there is one; `keys` are those and the table's own.
    An index has only the `projected` attributes of an item; None is all of them.
    """

    attributes: tuple[str, ...]
    keys: tuple[str, ...]
    projected: tuple[str, ...] | None = None


@dataclass(slots=True)
class StoredTable:
    """Items by key. `indexes` has each index by its name, `types` the type of each attribute of a key."""

    keys: tuple[str, ...]
    indexes: Mapping[str, Index]
    types: Mapping[str, str]
    items: dict[Key, Item] = field(default_factory=dict)
    own: Index = field(init=False)
    key_types: tuple[tuple[str, str], ...] = field(init=False)
    _orders: dict[tuple[str, ...], "_Order"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the order of the table itself."""
        self.own = Index(self.keys, self.keys)
        self.key_types = tuple([(name, self.types[name]) for name in self.keys])

    def key_of(self, item: Mapping[str, Mapping[str, str]]) -> Key:
        """Return the key that an item is stored under."""
        return tuple([next(iter(item[name].values())) for name in self.keys])

    def check_key(self, key: Item) -> Key:
        """Return a key as items are stored under.

        Raises:
            KeyMismatch: It has other attributes than the table's key, one of another type, or an empty one.
        """
        try:
            found = tuple([key[name][kind] for name, kind in self.key_types])
        except KeyError:
            found = ()
        if len(found) != len(key):
            raise KeyMismatch("The provided key element does not match the schema, or its types")
        if "" in found:
            raise KeyMismatch(EMPTY_KEY)
        return found

    def check_types(self, item: Item) -> None:
        """Hold an item to the types of the keys of the table and its indexes.

        Raises:
            KeyMismatch: An attribute is of another type, or empty, or one of the table's key is missing.
        """
        for name, kind in self.types.items():
            if name in item and kind not in item[name]:
                raise KeyMismatch(f"Type mismatch for key {name} expected: {kind} actual: {[*item[name]]}")
            if name in item and not item[name][kind]:
                raise KeyMismatch(EMPTY_KEY)
        missing = [name for name in self.keys if name not in item]
        if missing:
            raise KeyMismatch(f"Missing the key {missing[0]} in the item")

    def put(self, key: Key, item: Item) -> None:
        """Store an item in place of the one under its key."""
        if self._orders:
            before = self.items.get(key)
            for order in self._orders.values():
                order.move(key, before, item)
        self.items[key] = item

    def drop(self, key: Key) -> None:
        """Delete the item under a key; without one, nothing changes."""
        before = self.items.pop(key, None)
        for order in self._orders.values():
            order.move(key, before, None)

    def clear(self) -> None:
        """Delete every item."""
        self.items.clear()
        self._orders.clear()

    def partition(self, attributes: tuple[str, ...], value: str) -> "SortedPlaces":
        """Return the places of one partition, ordered by the second of `attributes` and then by key."""
        order = self._orders.get(attributes)
        if order is None:
            order = self._orders[attributes] = _Order(attributes, self.items)
        return order.partitions.get(value, EMPTY)

    def place_of(self, attributes: tuple[str, ...], item: Mapping[str, Mapping[str, str]]) -> Place:
        """Return where an item stands in the order of `attributes`."""
        return sort_value(item[attributes[1]]) if len(attributes) > 1 else "", self.key_of(item)


class SortedPlaces:
    """Places in order, kept in chunks: adding and removing cost the same in a short order and a long one."""

    def __init__(self, places: Sequence[Place] = ()) -> None:
        self._chunks = [list(places[at : at + CHUNK_MAX]) for at in range(0, len(places), CHUNK_MAX)]
        self._lasts = [chunk[-1] for chunk in self._chunks]

    def add(self, place: Place) -> None:
        """Add a place that is not there yet."""
        if not self._chunks:
            self._chunks, self._lasts = [[place]], [place]
            return
        at = min(bisect_left(self._lasts, place), len(self._chunks) - 1)
        chunk = self._chunks[at]
        insort(chunk, place)
        if len(chunk) > 2 * CHUNK_MAX:
            self._chunks.insert(at + 1, chunk[CHUNK_MAX:])
            del chunk[CHUNK_MAX:]
            self._lasts.insert(at + 1, self._chunks[at + 1][-1])
        self._lasts[at] = chunk[-1]

    def remove(self, place: Place) -> None:
        """Remove a place that is there."""
        at = bisect_left(self._lasts, place)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, place)]
        if chunk:
            self._lasts[at] = chunk[-1]
        else:
            del self._chunks[at], self._lasts[at]

    def between(self, first: Place | None, end: Place | None) -> Iterator[Place]:
        """Iterate from `first` to before `end`, in order; None is the beginning or the end."""
        at = 0 if first is None else bisect_left(self._lasts, first)
        start = 0 if first is None or at == len(self._chunks) else bisect_left(self._chunks[at], first)
        for number in range(at, len(self._chunks)):
            for place in self._chunks[number][start:]:
                if end is not None and place >= end:
                    return
                yield place
            start = 0


EMPTY = SortedPlaces()


class _Order:
    """Every item that has these attributes, by the first of them and in order of the second."""

    def __init__(self, attributes: tuple[str, ...], items: Mapping[Key, Item]) -> None:
        self._attributes = attributes
        places: dict[str, list[Place]] = defaultdict(list)
        for key, item in items.items():
            found = self._place(key, item)
            if found:
                places[found[0]].append(found[1])
        self.partitions = {value: SortedPlaces(sorted(found)) for value, found in places.items()}

    def move(self, key: Key, before: Item | None, after: Item | None) -> None:
        """Follow a write."""
        if before and after:
            for name in self._attributes:
                if before.get(name) is not after.get(name):
                    break
            else:
                return
        old, new = self._place(key, before), self._place(key, after)
        if old == new:
            return
        if old:
            self.partitions[old[0]].remove(old[1])
        if new:
            self.partitions.setdefault(new[0], SortedPlaces()).add(new[1])

    def _place(self, key: Key, item: Item | None) -> tuple[str, Place] | None:
        if item is None:
            return None
        for name in self._attributes:
            if name not in item:
                return None
        partition, *sort = self._attributes
        return sort_value(item[partition]), (sort_value(item[sort[0]]) if sort else "", key)
