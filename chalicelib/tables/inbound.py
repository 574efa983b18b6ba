"""The events table: requests of other systems, the SKUs of their ids, by kind (`kind`) and key (`key`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import DAY_MS
from chalicelib.domain.ids import Sku
from chalicelib.inbound.readings import ReceivedEvent
from chalicelib.tables.expressions import Attr
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

EVENT_KEPT_S = 30 * 24 * 3600
# A flood of events is spread over these, so that no partition meets its limit of 1,000 writes a second.
PARTS = 8


class EventsRowKind(StrEnum):
    """The partition keys of the events table, one for each kind of row."""

    EVENT = "event"
    """`event#DAY#PART` / TIME#ID: a request of a source, and what came of it."""
    LINK = "link"
    """`link` / SOURCE#FOREIGN_ID: the SKU of a source's own id."""
    LEVEL = "level"
    """`level#SOURCE#FOREIGN_ID` / LOCATION: the units at one location, as last observed."""
    SOURCE = "source"
    """`source` / SOURCE: the locations of a source whose units count, and the time of that choice."""
    DOMAIN_EVENT = "domain-event"
    """`domain-event#DAY#PART` / TIME#ID: an event of the shop, see `rules`."""
    UNSENT = "unsent"
    """`unsent` / TIME#ID: an event of the shop that the queue did not take, until it does."""
    FIRED = "fired"
    """`fired` / RULE#EVENT: an event that matched a rule, and what came of it."""
    BUDGET = "budget"
    """`budget` / RULE#HOUR: the firings of a rule in an hour."""
    ENDPOINT = "endpoint"
    """`endpoint` / ID: an address of another system, and the events that it gets."""
    DELIVERY = "delivery"
    """`delivery#ENDPOINT` / TIME#EVENT: the last attempt to deliver an event to an endpoint."""
    HELD = "held"
    """`held#ENDPOINT` / TIME#EVENT: an event that is kept while its endpoint fails."""


@dataclass(frozen=True, slots=True)
class LocationChoice:
    """The locations of a source whose units count (None: all of them), chosen at a time in milliseconds."""

    locations: frozenset[str] | None
    at_ms: int

    def counts(self, location: str) -> bool:
        """Return whether the units at a location count."""
        return self.locations is None or location in self.locations


class EventsTable:
    """Rows about the events of other systems."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def linked(self, source: str, foreign_ids: Sequence[str]) -> dict[str, Sku]:
        """Return the SKUs of foreign ids, those that are known (strongly consistent reads)."""
        keys = [_link_key(source, foreign_id) for foreign_id in dict.fromkeys(foreign_ids)]
        items = self.table.batch_get(keys, ("key", "sku"))
        return {item["key"].partition("#")[2]: Sku(item["sku"]) for item in items}

    def link(self, source: str, foreign_id: str, sku: Sku) -> None:
        """Store the SKU of a foreign id."""
        self.table.put({**_link_key(source, foreign_id), "sku": sku})

    def links(self) -> Iterator[tuple[str, str, Sku]]:
        """Yield each link as source, foreign id and SKU, in order (strongly consistent reads)."""
        for item in self.table.query_all(Attr("kind").eq(EventsRowKind.LINK)):
            source, _, foreign_id = item["key"].partition("#")
            yield source, foreign_id, Sku(item["sku"])

    def put_level(self, source: str, foreign_id: str, location: str, units: int, *, at_ms: int) -> bool:
        """Store the units at a location; false when a later observation is known."""
        is_newer = Attr("at_ms").not_exists() | Attr("at_ms").lte(at_ms)
        key = {"kind": _level_kind(source, foreign_id), "key": location}
        return self.table.update_if(key, is_newer, {"units": units, "at_ms": at_ms})

    def levels(self, source: str, foreign_id: str) -> dict[str, tuple[int, int]]:
        """Return units and time (ms) by location (a strongly consistent read)."""
        items = self.table.query_all(Attr("kind").eq(_level_kind(source, foreign_id)))
        return {item["key"]: (int(item["units"]), int(item["at_ms"])) for item in items}

    def location_choice(self, source: str) -> LocationChoice:
        """Return the locations of a source that count, and the time of that choice (0: never chosen)."""
        item = self.table.get({"kind": EventsRowKind.SOURCE, "key": source}) or {}
        locations = frozenset(item["locations"]) if "locations" in item else None
        return LocationChoice(locations, int(item.get("at_ms", 0)))

    def count_locations(self, source: str, locations: Sequence[str], *, at_ms: int) -> None:
        """Count the units of these locations of a source and of no other; of all where none is named."""
        key = {"kind": EventsRowKind.SOURCE, "key": source, "at_ms": at_ms}
        # A set has at least one member.
        self.table.put({**key, "locations": set(locations)} if locations else key)

    def record(self, event: ReceivedEvent) -> None:
        """Write what came of a request; a repeat writes the same row again."""
        self.table.put(
            {
                **_event_key(event.id, event.at_ms),
                "at_ms": event.at_ms,
                "source": event.source,
                "outcome": event.outcome,
                "results": [dict(result) for result in event.results],
                "expires_at_s": event.at_ms // 1000 + EVENT_KEPT_S,
            }
        )

    def recent(self, *, from_ms: int, until_ms: int) -> list[ReceivedEvent]:
        """Return the events of a time, the oldest first (strongly consistent reads of each day's parts)."""
        found: list[ReceivedEvent] = []
        for day in range(from_ms // DAY_MS, until_ms // DAY_MS + 1):
            for part in range(PARTS):
                in_time = Attr("key").between(f"{from_ms:013d}", f"{until_ms:013d}~")
                items = self.table.query_all(Attr("kind").eq(f"{EventsRowKind.EVENT}#{day}#{part}") & in_time)
                found += map(_event, items)
        return sorted(found, key=lambda event: (event.at_ms, event.id))


def _link_key(source: str, foreign_id: str) -> dict[str, str]:
    return {"kind": EventsRowKind.LINK.value, "key": f"{source}#{foreign_id}"}


def _level_kind(source: str, foreign_id: str) -> str:
    return f"{EventsRowKind.LEVEL}#{source}#{foreign_id}"


def _event_key(event_id: str, at_ms: int) -> dict[str, str]:
    part = sum(event_id.encode()) % PARTS
    return {"kind": f"{EventsRowKind.EVENT}#{at_ms // DAY_MS}#{part}", "key": f"{at_ms:013d}#{event_id}"}


def _event(item: Mapping[str, Any]) -> ReceivedEvent:
    return ReceivedEvent(
        item["key"].partition("#")[2],
        int(item["at_ms"]),
        item["source"],
        item["outcome"],
        tuple(item["results"]),
    )
