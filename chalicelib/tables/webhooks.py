"""Endpoints of outgoing events and the log of deliveries, rows of the events table.

An endpoint is `endpoint` / ID. A delivery is `delivery#ENDPOINT` / TIME#EVENT with the time of the event, so
a repeat of a delivery finds its row. An event that is kept while its endpoint fails is `held#ENDPOINT` /
TIME#EVENT. The secrets of endpoints are in no row.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.outbound.deliveries import PROBE_EVERY_S, Attempt, Endpoint, State
from chalicelib.tables.expressions import Attr, if_not_exists
from chalicelib.tables.inbound import EVENT_KEPT_S, EventsRowKind
from chalicelib.tables.table import Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ENDPOINTS_MAX_AGE_MS = 30_000
# The attributes of failures since the last success.
_FAILING = ("failures", "failed_from_ms", "failing_at_ms")


class EndpointsTable:
    """The endpoints of outgoing events."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def all(self) -> tuple[Endpoint, ...]:
        """Return every endpoint in the order of their ids (a strongly consistent read)."""
        return tuple(map(_endpoint, self.table.query_all(Attr("kind").eq(EventsRowKind.ENDPOINT))))

    def put(self, endpoint: Endpoint) -> None:
        """Write an endpoint in place of the one with its id."""
        self.table.put(
            {
                **_endpoint_key(endpoint.id),
                "url": endpoint.url,
                "events": set(endpoint.events),
                "created_at_ms": endpoint.created_at_ms,
                **{
                    name: value
                    for name in ("disabled_at_ms", "disabled_reason", *_FAILING)
                    if (value := getattr(endpoint, name))
                },
            }
        )

    def get(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint; None where it was removed (a strongly consistent read)."""
        item = self.table.get(_endpoint_key(endpoint_id))
        return None if item is None else _endpoint(item)

    def disable(self, endpoint_id: str, *, at_ms: int, reason: str) -> bool:
        """Disable an endpoint; false where it was removed."""
        disabled = {"disabled_at_ms": at_ms, "disabled_reason": reason}
        return self.table.update_if(_endpoint_key(endpoint_id), Attr("url").exists(), disabled)

    def count_failure(self, endpoint_id: str, *, at_ms: int) -> Endpoint | None:
        """Count a failure of an endpoint, and return the endpoint after that; None where it was removed."""
        update = Update(
            self.table,
            _endpoint_key(endpoint_id),
            {"failed_from_ms": if_not_exists(("failed_from_ms",), at_ms)},
            add={"failures": 1},
            condition=Attr("url").exists(),
        )
        item = self.table.update_and_get(update)
        return None if item is None else _endpoint(item)

    def open_circuit(self, endpoint_id: str, *, at_ms: int) -> bool:
        """Store that the events of an endpoint are kept; false where they are, or the endpoint is removed."""
        is_open = Attr("url").exists() & Attr("failing_at_ms").not_exists()
        return self.table.update_if(_endpoint_key(endpoint_id), is_open, {"failing_at_ms": at_ms})

    def begin_probe(self, endpoint: Endpoint, opened_at_ms: int, *, at_ms: int) -> bool:
        """Store that an endpoint is tried now; false where another probe does so."""
        before_ms = at_ms - PROBE_EVERY_S * 1000 // 2
        is_turn = Attr("probed_at_ms").not_exists() | Attr("probed_at_ms").lt(before_ms)
        is_ours = Attr("failing_at_ms").eq(opened_at_ms)
        return self.table.update_if(_endpoint_key(endpoint.id), is_ours & is_turn, {"probed_at_ms": at_ms})

    def close_circuit(self, endpoint_id: str) -> bool:
        """Store that an endpoint answers; false where it was removed."""
        key, exists = _endpoint_key(endpoint_id), Attr("url").exists()
        return self.table.update_if(key, exists, remove=(*_FAILING, "probed_at_ms"))

    def remove(self, endpoint_id: str) -> None:
        """Delete an endpoint, if there is one. The log of its deliveries ends by itself."""
        self.table.delete(_endpoint_key(endpoint_id))


class RecentEndpoints:
    """The endpoints as of half a minute ago: an event costs no read of its own."""

    def __init__(self, table: EndpointsTable, clock_ms: Callable[[], int]) -> None:
        self._table = table
        self._clock_ms = clock_ms
        self._known: tuple[Endpoint, ...] = ()
        self._read_at_ms: int | None = None

    def all(self) -> tuple[Endpoint, ...]:
        """Return every endpoint."""
        now_ms = self._clock_ms()
        if self._read_at_ms is None or now_ms - self._read_at_ms > ENDPOINTS_MAX_AGE_MS:
            self._known, self._read_at_ms = self._table.all(), now_ms
        return self._known

    def get(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint; one that is not known is looked for in the table."""
        for _ in range(2):
            for endpoint in self.all():
                if endpoint.id == endpoint_id:
                    return endpoint
            self.forget()
        return None

    def wants(self, event_type: EventType) -> bool:
        """Return whether an endpoint gets events of a type."""
        return any(endpoint.wants(event_type) and endpoint.disabled_at_ms is None for endpoint in self.all())

    def forget(self) -> None:
        """Read them again the next time."""
        self._read_at_ms = None


class DeliveriesTable:
    """The last attempt of each delivery, kept for 30 days."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def get(self, endpoint_id: str, event: DomainEvent) -> Attempt | None:
        """Return the last attempt of a delivery; None before the first (a strongly consistent read)."""
        item = self.table.get(_delivery_key(endpoint_id, event))
        return None if item is None else _attempt(item)

    def record(self, attempt: Attempt, *, after: Attempt | None) -> bool:
        """Write the outcome of an attempt.

        A success is always written. Another outcome is written while the row is still as it was read: of two
        workers with the same message one queues the next attempt.

        Args:
            attempt: the outcome.
            after: the attempt before it, as it was read; None for the first.

        Returns:
            Whether it is written.
        """
        item = _delivery_item(attempt)
        if attempt.state is State.DELIVERED:
            self.table.put(item)
            return True
        if after is None:
            return self.table.put_if(item, Attr("state").not_exists())
        unchanged = Attr("state").eq(after.state) & Attr("tries").eq(after.tries)
        return self.table.put_if(item, unchanged & Attr("at_ms").eq(after.at_ms))

    def hold(self, attempt: Attempt) -> bool:
        """Keep an event while its endpoint fails; false where it is kept already, after as many tries."""
        is_news = Attr("tries").not_exists() | Attr("tries").lt(attempt.tries)
        return self.table.put_if(_held_item(attempt), is_news)

    def put_held_answer(self, attempt: Attempt) -> None:
        """Write the answer to another try of an event that is kept."""
        self.table.put(_held_item(attempt))

    def held(self, endpoint_id: str, *, limit: int, after: str | None = None) -> list[Attempt]:
        """Return the first events kept for an endpoint, behind a key (a strongly consistent read)."""
        # Each key begins with digits, so "!" comes before any other key that begins with this one, or with
        # none: DynamoDB refuses an empty text as a key.
        place = Attr("key").between(f"{after or ''}!", "~")
        items, _ = self.table.query(Attr("kind").eq(_held_kind(endpoint_id)) & place, limit=limit)
        return list(map(_attempt, items))

    def all_held(self, endpoint_id: str) -> Iterator[Attempt]:
        """Yield every event that is kept for an endpoint, the oldest first (strongly consistent reads)."""
        yield from map(_attempt, self.table.query_all(Attr("kind").eq(_held_kind(endpoint_id))))

    def release(self, attempt: Attempt) -> None:
        """Keep an event no longer."""
        self.table.delete({"kind": _held_kind(attempt.endpoint), "key": attempt.key})

    def reset(self, attempt: Attempt) -> None:
        """Write a delivery as one that was never tried."""
        self.table.put(_delivery_item(attempt))

    def recent(self, endpoint_id: str, *, from_ms: int, until_ms: int) -> list[Attempt]:
        """Return the deliveries of events of a time, the oldest first (a strongly consistent read)."""
        in_time = Attr("key").between(f"{from_ms:013d}", f"{until_ms:013d}~")
        kind = _delivery_kind(endpoint_id)
        return list(map(_attempt, self.table.query_all(Attr("kind").eq(kind) & in_time)))


def _endpoint_key(endpoint_id: str) -> dict[str, str]:
    return {"kind": EventsRowKind.ENDPOINT.value, "key": endpoint_id}


def _endpoint(item: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        item["key"],
        item["url"],
        frozenset(item["events"]),
        int(item["created_at_ms"]),
        _number_of(item, "disabled_at_ms"),
        item.get("disabled_reason"),
        _number_of(item, "failures") or 0,
        _number_of(item, "failed_from_ms"),
        _number_of(item, "failing_at_ms"),
    )


def _number_of(item: Mapping[str, Any], name: str) -> int | None:
    return int(item[name]) if name in item else None


def _delivery_kind(endpoint_id: str) -> str:
    return f"{EventsRowKind.DELIVERY}#{endpoint_id}"


def _held_kind(endpoint_id: str) -> str:
    return f"{EventsRowKind.HELD}#{endpoint_id}"


def _held_item(attempt: Attempt) -> dict[str, Any]:
    return {**_delivery_item(attempt), "kind": _held_kind(attempt.endpoint)}


def _delivery_key(endpoint_id: str, event: DomainEvent) -> dict[str, str]:
    return {"kind": _delivery_kind(endpoint_id), "key": f"{event.at_ms:013d}#{event.id}"}


def _delivery_item(attempt: Attempt) -> dict[str, Any]:
    return {
        **_delivery_key(attempt.endpoint, attempt.event),
        "event": attempt.event.to_json(),
        "state": attempt.state.value,
        "tries": attempt.tries,
        "at_ms": attempt.at_ms,
        "answer": attempt.answer,
        **({} if attempt.due_at_ms is None else {"due_at_ms": attempt.due_at_ms}),
        "expires_at_s": attempt.at_ms // 1000 + EVENT_KEPT_S,
    }


def _attempt(item: Mapping[str, Any]) -> Attempt:
    return Attempt(
        item["kind"].partition("#")[2],
        DomainEvent.from_json(item["event"]),
        State(item["state"]),
        int(item["tries"]),
        int(item["at_ms"]),
        item["answer"],
        _number_of(item, "due_at_ms"),
    )
