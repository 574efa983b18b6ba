"""The circuit of an endpoint: while it fails, its events are kept as rows, and one message tries it.

A message of its own for each event of an endpoint that is down passes through the queue 300 times in three
days. So after ten failures in a row the circuit opens: each further event is one row. One message, the probe,
tries the endpoint with one kept event every five minutes. An answer closes the circuit, and the probe's
message then queues the kept events, some at a time. Without an answer for as long as retries last, the
endpoint is disabled.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from chalicelib.domain.domain_event import DomainEvent, EventType, event_id, time_text
from chalicelib.log import log
from chalicelib.outbound.deliveries import (
    FAILING_MS_MAX,
    PROBE_EVERY_S,
    Attempt,
    Delivery,
    Endpoint,
    EndpointResponse,
    Probe,
    State,
    is_failing,
)
from chalicelib.queues import DeliveriesQueue
from chalicelib.tables.webhooks import DeliveriesTable, EndpointsTable, RecentEndpoints

KEPT_BACK = "the endpoint fails"
GONE_REASON = "it answered 410"
FAILED_REASON = "it failed for three days"
RELEASED_AT_ONCE = 100
RELEASE_EVERY_S = 5
# A function that knows the endpoints as of half a minute ago may keep an event after the circuit is closed.
LAST_LOOK_AFTER_S = 120


class Circuit:
    """Opens and closes the circuits of endpoints, and keeps their events meanwhile.

    Args:
        endpoints: the endpoints.
        recent: the endpoints as of half a minute ago.
        deliveries: the log of deliveries, and the events that are kept.
        queue: takes probes and deliveries.
        emit: emits domain events.
        clock_ms: the time.
    """

    def __init__(
        self,
        endpoints: EndpointsTable,
        recent: RecentEndpoints,
        deliveries: DeliveriesTable,
        queue: DeliveriesQueue,
        emit: Callable[[Sequence[DomainEvent]], None],
        clock_ms: Callable[[], int],
    ) -> None:
        self._endpoints = endpoints
        self._recent = recent
        self._deliveries = deliveries
        self._queue = queue
        self._emit = emit
        self._clock_ms = clock_ms

    def keep(self, endpoint: Endpoint, event: DomainEvent, *, tries: int = 0) -> None:
        """Keep an event until the endpoint answers. A repeat keeps it once."""
        self._deliveries.hold(Attempt(endpoint.id, event, State.HELD, tries, self._clock_ms(), KEPT_BACK))

    def count(self, endpoint: Endpoint, attempt: Attempt) -> None:
        """Count an attempt: a success ends a row of failures, the tenth failure opens the circuit."""
        if attempt.state is State.DISABLED:
            self._disable(endpoint, attempt.answer, GONE_REASON)
        elif attempt.state is State.DELIVERED:
            if endpoint.failures:
                self._close(endpoint)
        else:
            known = self._endpoints.count_failure(endpoint.id, at_ms=attempt.at_ms)
            self._recent.forget()
            if known is not None and known.failing_at_ms is None and is_failing(known, at_ms=attempt.at_ms):
                self._open(known, attempt)

    def due(self, probe: Probe) -> tuple[Endpoint, Attempt] | None:
        """Return the endpoint and the kept event that a probe tries now.

        Returns None where the circuit is closed: then the kept events are queued. Also where another probe
        tries the endpoint.
        """
        endpoint = self._endpoints.get(probe.endpoint)
        if endpoint is None or endpoint.disabled_at_ms is not None:
            return None
        if endpoint.failing_at_ms is None:
            self._release(probe)
            return None
        if not self._endpoints.begin_probe(endpoint, probe.opened_at_ms, at_ms=self._clock_ms()):
            return None
        kept = self._deliveries.held(endpoint.id, after=probe.after, limit=1)
        # The next one each time, and from the first again: an endpoint may refuse one event and take others.
        kept = kept or self._deliveries.held(endpoint.id, limit=1)
        if not kept:
            self._close(endpoint)
            self._release(probe)
            return None
        return endpoint, kept[0]

    def tried(self, endpoint: Endpoint, probe: Probe, kept: Attempt, answer: EndpointResponse) -> None:
        """Go on after a probe: close the circuit, disable the endpoint, or queue the next probe."""
        now_ms = self._clock_ms()
        attempt = replace(kept, at_ms=now_ms, answer=answer.words)
        if answer.is_success:
            delivered = replace(attempt, state=State.DELIVERED, tries=kept.tries + 1)
            self._deliveries.record(delivered, after=None)
            self._deliveries.release(kept)
            self._close(endpoint)
            self._queue.put(replace(probe, after=None))
        elif answer.is_gone:
            self._disable(endpoint, answer.words, GONE_REASON)
        elif now_ms - (endpoint.failed_from_ms or probe.opened_at_ms) >= FAILING_MS_MAX:
            # One dead letter for all: it rings the alarm.
            self._queue.put_dead_letter(Delivery(endpoint.id, kept.event, kept.tries))
            self._disable(endpoint, answer.words, FAILED_REASON)
        else:
            self._deliveries.put_held_answer(attempt)
            self._queue.put(replace(probe, after=attempt.key), delay_s=PROBE_EVERY_S)

    def _open(self, endpoint: Endpoint, attempt: Attempt) -> None:
        # The probe first: a kill in between leaves a probe without a circuit, which ends by itself.
        opened = replace(endpoint, failing_at_ms=attempt.at_ms)
        self._queue.put(Probe(endpoint.id, attempt.at_ms), delay_s=PROBE_EVERY_S)
        if self._endpoints.open_circuit(endpoint.id, at_ms=attempt.at_ms):
            log("webhook_failing", endpoint=endpoint.id, answer=attempt.answer)
            self._emit([_news(EventType.WEBHOOK_FAILING, opened, attempt.answer, at_ms=attempt.at_ms)])

    def _close(self, endpoint: Endpoint) -> None:
        self._endpoints.close_circuit(endpoint.id)
        self._recent.forget()
        if endpoint.failing_at_ms is not None:
            log("webhook_answers_again", endpoint=endpoint.id)

    def _disable(self, endpoint: Endpoint, answer: str, reason: str) -> None:
        now_ms = self._clock_ms()
        self._emit([_news(EventType.WEBHOOK_DISABLED, endpoint, answer, at_ms=now_ms)])
        self._endpoints.disable(endpoint.id, at_ms=now_ms, reason=reason)
        self._recent.forget()
        log("webhook_disabled", endpoint=endpoint.id, reason=reason)

    def _release(self, probe: Probe) -> None:
        """Queue some of the kept events, and a message that queues the next ones."""
        kept = self._deliveries.held(probe.endpoint, limit=RELEASED_AT_ONCE)
        self._queue.put_all([self._following(attempt) for attempt in kept])
        for attempt in kept:
            self._deliveries.release(attempt)
        if kept:
            self._queue.put(replace(probe, is_last=False), delay_s=RELEASE_EVERY_S)
        elif not probe.is_last:
            self._queue.put(replace(probe, is_last=True), delay_s=LAST_LOOK_AFTER_S)

    def _following(self, kept: Attempt) -> Delivery:
        """Return the delivery that goes on from the last attempt in the log, whatever message made it."""
        last = self._deliveries.get(kept.endpoint, kept.event)
        tries = last.tries if last is not None and last.state is State.WAITING else 0
        return Delivery(kept.endpoint, kept.event, tries)


def _news(event_type: EventType, endpoint: Endpoint, answer: str, *, at_ms: int) -> DomainEvent:
    """Return the event about an endpoint: once for a row of failures."""
    began_ms = endpoint.failed_from_ms or at_ms
    data = {"endpoint": endpoint.id, "answer": answer, "since": time_text(began_ms)}
    identity = event_id(event_type, endpoint.id, str(endpoint.failed_from_ms or endpoint.created_at_ms))
    return DomainEvent(identity, event_type, at_ms, endpoint.id, data)
