"""Deliver domain events to the endpoints of other systems: queue, sign, post, and try again or give up.

A delivery is made at least once: an endpoint knows a repeat by its `webhook-id`, the event's id. An event has
one message for an endpoint, however often it is emitted; while the endpoint fails, it has a row alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from chalicelib.domain.domain_event import SHOPPER, DomainEvent, EventType
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.log import log
from chalicelib.outbound.deliveries import (
    Attempt,
    Delivery,
    Endpoint,
    EndpointResponse,
    Probe,
    State,
    document_of,
    outcome_of,
)
from chalicelib.outbound.signing import EndpointSecret, in_force, secrets_by_endpoint, signed_headers
from chalicelib.queues import DeliveriesQueue
from chalicelib.services.webhook_circuit import Circuit
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.webhooks import DeliveriesTable, RecentEndpoints

SECRETS_MAX_AGE_MS = 60_000
NEVER_TRIED = "not tried yet"


class WebhookFanout:
    """Queues a domain event for each endpoint that wants it."""

    def __init__(self, endpoints: RecentEndpoints, queue: DeliveriesQueue, circuit: Circuit) -> None:
        self._endpoints = endpoints
        self._queue = queue
        self._circuit = circuit

    def has_endpoint_for(self, event_type: EventType) -> bool:
        """Return whether an endpoint gets events of a type, as of half a minute ago."""
        return self._endpoints.wants(event_type)

    def queue(self, event: DomainEvent) -> int:
        """Queue an event, and return for how many endpoints. A repeat is known when it is delivered.

        For an endpoint that fails, keep it.

        Raises:
            EventsNotQueued: some are not queued; a repeat is harmless.
        """
        wanting = [
            endpoint
            for endpoint in self._endpoints.all()
            if endpoint.disabled_at_ms is None and endpoint.wants(event.type)
        ]
        for endpoint in wanting:
            if endpoint.failing_at_ms is not None:
                self._circuit.keep(endpoint, event)
        self._queue.put_all(
            [Delivery(endpoint.id, event) for endpoint in wanting if endpoint.failing_at_ms is None]
        )
        return len(wanting)


class WebhookSecrets:
    """The secrets of each endpoint, read again when they are a minute old."""

    def __init__(self, read: Callable[[], str], clock_ms: Callable[[], int]) -> None:
        self._read = read
        self._clock_ms = clock_ms
        self._known: dict[str, tuple[EndpointSecret, ...]] = {}
        self._read_at_ms: int | None = None

    def of(self, endpoint_id: str) -> tuple[str, ...]:
        """Return the secrets that sign now, the newest first; none for an endpoint that has none."""
        now_ms = self._clock_ms()
        is_old = self._read_at_ms is None or now_ms - self._read_at_ms > SECRETS_MAX_AGE_MS
        if is_old or endpoint_id not in self._known:
            self._known, self._read_at_ms = secrets_by_endpoint(self._read()), now_ms
        return in_force(self._known.get(endpoint_id, ()), at_ms=now_ms)


class Poster(Protocol):
    """Posts to another system, as `HttpsPoster` does."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        """Post a body with headers, and return the answer; a failure is an answer, too."""


@dataclass(frozen=True, slots=True)
class DeliveryStore:
    """The rows that a delivery reads and writes."""

    recent_endpoints: RecentEndpoints
    deliveries: DeliveriesTable
    entries: EntriesTable


class WebhookDelivery:
    """Makes one attempt of a delivery.

    Args:
        store: the tables.
        queue: takes the next attempt, or the dead letter.
        circuit: keeps events while an endpoint fails.
        secrets_of: returns the secrets of an endpoint that sign now.
        poster: posts.
        shop_url: returns the shop's address, the source of its events.
        clock_ms: the time.
        random: from 0 to 1.
    """

    def __init__(
        self,
        store: DeliveryStore,
        queue: DeliveriesQueue,
        circuit: Circuit,
        secrets_of: Callable[[str], Sequence[str]],
        poster: Poster,
        shop_url: Callable[[], str],
        clock_ms: Callable[[], int],
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._queue = queue
        self._circuit = circuit
        self._secrets_of = secrets_of
        self._poster = poster
        self._shop_url = shop_url
        self._clock_ms = clock_ms
        self._random = random

    def deliver(self, delivery: Delivery, *, is_repeat: bool) -> None:
        """Make the attempt of a message, if it is due and was not made before.

        An attempt that is in the row was made by this message, whose worker died then, or by another message
        about the same event. The first queues the next step; the other one ends here, so that an event which
        is emitted again and again has one message.

        Args:
            delivery: the message.
            is_repeat: whether the queue hands it over again.
        """
        endpoint = self._store.recent_endpoints.get(delivery.endpoint)
        if endpoint is None:
            log("webhook_without_endpoint", endpoint=delivery.endpoint, event_id=delivery.event.id)
            return
        if endpoint.failing_at_ms is not None and endpoint.disabled_at_ms is None:
            self._circuit.keep(endpoint, delivery.event, tries=delivery.tries)
            return
        hop_s = delivery.hop_s(at_ms=self._clock_ms())
        if hop_s:
            self._queue.put(delivery, delay_s=hop_s)
            return
        before = self._store.deliveries.get(delivery.endpoint, delivery.event)
        if before is not None and before.state is State.DELIVERED:
            return
        is_redriven = before is not None and before.state is State.FAILED and delivery.tries == 0
        if before is not None and before.tries > delivery.tries and not is_redriven:
            if is_repeat:
                self._queue_next(before)
            return
        attempt = self._attempt(endpoint, delivery)
        if self._store.deliveries.record(attempt, after=before):
            if endpoint.disabled_at_ms is None:
                self._circuit.count(endpoint, attempt)
            self._queue_next(attempt)

    def probe(self, probe: Probe) -> None:
        """Try an endpoint that fails with one of the events that are kept for it."""
        due = self._circuit.due(probe)
        if due is not None:
            endpoint, kept = due
            self._circuit.tried(endpoint, probe, kept, self._post(endpoint, kept.event))

    def send_test(self, endpoint: Endpoint, event: DomainEvent) -> EndpointResponse:
        """Post an event to an endpoint now, once, and return the answer. Nothing is stored."""
        return self._post(endpoint, event)

    def _attempt(self, endpoint: Endpoint, delivery: Delivery) -> Attempt:
        if endpoint.disabled_at_ms is not None:
            answer = "the endpoint is disabled"
            now_ms = self._clock_ms()
            return Attempt(endpoint.id, delivery.event, State.DISABLED, delivery.tries, now_ms, answer)
        answered = self._post(endpoint, delivery.event)
        attempt = outcome_of(delivery, answered, at_ms=self._clock_ms(), random=self._random())
        log(
            "webhook",
            endpoint=endpoint.id,
            event_id=delivery.event.id,
            state=attempt.state,
            tries=attempt.tries,
            answer=attempt.answer,
        )
        return attempt

    def _post(self, endpoint: Endpoint, event: DomainEvent) -> EndpointResponse:
        secrets = self._secrets_of(endpoint.id)
        if not secrets:
            return EndpointResponse(error="no_secret")
        address = self._address(event) if endpoint.wants_address(event.type) else None
        document = document_of(event, self._shop_url(), address=address)
        body = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        headers = signed_headers(event.id, body, secrets, at_ms=self._clock_ms())
        return self._poster.post(endpoint.url, headers, body)

    def _address(self, event: DomainEvent) -> str | None:
        """Return the address of an event's shopper; None where the shopper was erased or is not known."""
        shopper, sku = event.data.get(SHOPPER), event.data.get("sku") or event.subject
        if not shopper or not sku:
            return None
        entry = self._store.entries.get(ShopperId(shopper), Sku(sku))
        return entry.mailbox if entry else None

    def _queue_next(self, attempt: Attempt) -> None:
        if attempt.state is State.WAITING and attempt.due_at_ms is not None:
            following = Delivery(attempt.endpoint, attempt.event, attempt.tries, attempt.due_at_ms)
            self._queue.put(following, delay_s=following.hop_s(at_ms=self._clock_ms()))
        elif attempt.state is State.FAILED:
            self._queue.put_dead_letter(Delivery(attempt.endpoint, attempt.event, attempt.tries))


class WebhookRetries:
    """Puts deliveries back into the queue, as a merchant asks."""

    def __init__(
        self, deliveries: DeliveriesTable, queue: DeliveriesQueue, clock_ms: Callable[[], int]
    ) -> None:
        self._deliveries = deliveries
        self._queue = queue
        self._clock_ms = clock_ms

    def retry(self, attempt: Attempt) -> None:
        """Deliver an event from the first attempt on, also one that was delivered before, or is kept."""
        now_ms = self._clock_ms()
        self._deliveries.reset(
            replace(attempt, state=State.WAITING, tries=0, at_ms=now_ms, answer=NEVER_TRIED, due_at_ms=now_ms)
        )
        self._queue.put(Delivery(attempt.endpoint, attempt.event))
        self._deliveries.release(attempt)

    def release(self, endpoint_id: str) -> None:
        """Queue the events that are kept for an endpoint which a merchant enables, by its own message."""
        self._queue.put(Probe(endpoint_id, self._clock_ms()))
