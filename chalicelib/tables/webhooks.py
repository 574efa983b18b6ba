"""Endpoints of outgoing events and the log of deliveries, rows of the events table.

An endpoint is `endpoint` / ID. A delivery is `delivery#ENDPOINT` / TIME#EVENT with the time of the event, so
a repeat of a delivery finds its row. The secrets of endpoints are in no row.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.outbound.deliveries import Attempt, Endpoint, State
from chalicelib.tables.expressions import Attr
from chalicelib.tables.inbound import EVENT_KEPT_S, Kind
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ENDPOINTS_MAX_AGE_MS = 30_000


class EndpointsTable:
    """The endpoints of outgoing events."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def all(self) -> tuple[Endpoint, ...]:
        """Return every endpoint in the order of their ids (a strongly consistent read)."""
        return tuple(map(_endpoint, self.table.query_all(Attr("kind").eq(Kind.ENDPOINT))))

    def put(self, endpoint: Endpoint) -> None:
        """Write an endpoint in place of the one with its id."""
        self.table.put(
            {
                **_endpoint_key(endpoint.id),
                "url": endpoint.url,
                "events": set(endpoint.events),
                "created_at_ms": endpoint.created_at_ms,
                **({} if endpoint.disabled_at_ms is None else {"disabled_at_ms": endpoint.disabled_at_ms}),
            }
        )

    def disable(self, endpoint_id: str, *, at_ms: int) -> bool:
        """Disable an endpoint; false where it was removed."""
        exists = Attr("url").exists()
        return self.table.update_if(_endpoint_key(endpoint_id), exists, {"disabled_at_ms": at_ms})

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

    def reset(self, attempt: Attempt) -> None:
        """Write a delivery as one that was never tried."""
        self.table.put(_delivery_item(attempt))

    def recent(self, endpoint_id: str, *, from_ms: int, until_ms: int) -> list[Attempt]:
        """Return the deliveries of events of a time, the oldest first (a strongly consistent read)."""
        in_time = Attr("key").between(f"{from_ms:013d}", f"{until_ms:013d}~")
        kind = _delivery_kind(endpoint_id)
        return list(map(_attempt, self.table.query_all(Attr("kind").eq(kind) & in_time)))


def _endpoint_key(endpoint_id: str) -> dict[str, str]:
    return {"kind": Kind.ENDPOINT.value, "key": endpoint_id}


def _endpoint(item: Mapping[str, Any]) -> Endpoint:
    disabled_at_ms = item.get("disabled_at_ms")
    return Endpoint(
        item["key"],
        item["url"],
        frozenset(item["events"]),
        int(item["created_at_ms"]),
        None if disabled_at_ms is None else int(disabled_at_ms),
    )


def _delivery_kind(endpoint_id: str) -> str:
    return f"{Kind.DELIVERY}#{endpoint_id}"


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
    due_at_ms = item.get("due_at_ms")
    return Attempt(
        item["kind"].partition("#")[2],
        DomainEvent.from_json(item["event"]),
        State(item["state"]),
        int(item["tries"]),
        int(item["at_ms"]),
        item["answer"],
        None if due_at_ms is None else int(due_at_ms),
    )
