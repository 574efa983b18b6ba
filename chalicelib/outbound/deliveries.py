"""Deliveries of events to endpoints: who wants which event, when an attempt is repeated, when it is given up.

Retries follow Standard Webhooks: ten attempts, the second after 5 seconds, the last after about 75 hours.
SQS delays a message by 15 minutes at most, so a message goes back into the queue until it is due. That needs
no schedule and no table of due times. A delivery that fails for three days passes about 300 times, so an
endpoint that fails again and again gets no message for each event, but one for all (`webhook_circuit`).
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from chalicelib.domain.domain_event import DomainEvent, EventType

DELAYS_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
TRIES_MAX = len(DELAYS_S) + 1
# A delay is up to a tenth longer or shorter: endpoints that come back are not called by everything at once.
JITTER = 0.1
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
QUEUE_DELAY_S_MAX = 900
# A receiver may ask for a later retry, within the longest delay.
RETRY_AFTER_S_MAX = DELAYS_S[-1]
ENDPOINTS_MAX = 20
# The name by which a merchant asks for the shopper's address in the event of a shopper.
ADDRESS_SUFFIX = ".address"
TYPES_WITH_ADDRESS = (EventType.SIGNUP_CONFIRMED, EventType.EMAIL_BOUNCED, EventType.EMAIL_COMPLAINED)
EVENT_NAMES = (*map(str, EventType), *(f"{of}{ADDRESS_SUFFIX}" for of in TYPES_WITH_ADDRESS))
GONE = 410
# An endpoint fails after so many failures in a row, over more time than its row is remembered elsewhere.
FAILURES_IN_A_ROW = 10
FAILURES_MS_MIN = 60_000
PROBE_EVERY_S = 300
# As long as the retries of one delivery.
FAILING_MS_MAX = sum(DELAYS_S) * 1000


class State(StrEnum):
    """The state of a delivery."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    """It failed and is tried again."""
    FAILED = "failed"
    """Every attempt failed: a dead letter."""
    DISABLED = "disabled"
    """The endpoint answered 410, or was disabled before."""
    HELD = "held"
    """The endpoint fails: it is kept until the endpoint answers."""


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """An endpoint's answer to one attempt; where there is none, `error` says why, as an identifier."""

    status: int | None = None
    error: str | None = None
    retry_after_s: int | None = None

    @property
    def is_success(self) -> bool:
        """True for 200 to 299; a redirect is none."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """True for 410: the endpoint wants nothing more."""
        return self.status == GONE

    @property
    def words(self) -> str:
        """The status or the error, for a log."""
        return self.error or str(self.status)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of another system, and the names of the events that it gets.

    Args:
        id: the merchant's name for it.
        url: where its events are posted.
        events: the names of its events.
        created_at_ms: when it was added or changed.
        disabled_at_ms: when it was disabled; None while it is not.
        disabled_reason: why, in words.
        failures: attempts that failed since the last success.
        failed_from_ms: the first of them.
        failing_at_ms: since when its events are kept and not sent; None while they are sent.
    """

    id: str
    url: str
    events: frozenset[str]
    created_at_ms: int
    disabled_at_ms: int | None = None
    disabled_reason: str | None = None
    failures: int = 0
    failed_from_ms: int | None = None
    failing_at_ms: int | None = None

    def wants(self, event_type: EventType) -> bool:
        """Return whether the endpoint gets events of a type."""
        return event_type in self.events or self.wants_address(event_type)

    def wants_address(self, event_type: EventType) -> bool:
        """Return whether the merchant asked for the address of the shopper by name."""
        return f"{event_type}{ADDRESS_SUFFIX}" in self.events


def is_failing(endpoint: Endpoint, *, at_ms: int) -> bool:
    """Return whether an endpoint failed so often in a row that its events are kept and not sent."""
    began_ms = at_ms if endpoint.failed_from_ms is None else endpoint.failed_from_ms
    return endpoint.failures >= FAILURES_IN_A_ROW and at_ms - began_ms >= FAILURES_MS_MIN


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of the queue: an event for an endpoint, after so many attempts, due at a time."""

    endpoint: str
    event: DomainEvent
    tries: int = 0
    due_at_ms: int = 0

    def to_json(self) -> str:
        """Return the message's text. The event's id stands in it for a look at dead letters."""
        document = {
            "endpoint": self.endpoint,
            "event_id": self.event.id,
            "event": self.event.to_cloudevent(),
            "tries": self.tries,
            "due_at_ms": self.due_at_ms,
        }
        return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Delivery":
        """Return the delivery of a message.

        Raises:
            ValueError: it is no delivery.
        """
        document = json.loads(text)
        try:
            event = DomainEvent.from_cloudevent(document["event"])
            return cls(document["endpoint"], event, int(document["tries"]), int(document["due_at_ms"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no delivery: {error}") from None

    def hop_s(self, *, at_ms: int) -> int:
        """Return how long the message still has to wait in the queue, at most what SQS takes; 0 when due."""
        return min(max(0, -(-(self.due_at_ms - at_ms) // 1000)), QUEUE_DELAY_S_MAX)


@dataclass(frozen=True, slots=True)
class Probe:
    """A message of the queue: try an endpoint that failed since a time, or queue what was kept for it.

    Args:
        endpoint: the endpoint.
        opened_at_ms: since when its events are kept.
        after: the key of the kept event that was tried last; None for none.
        is_last: whether nothing was kept a while ago.
    """

    endpoint: str
    opened_at_ms: int
    after: str | None = None
    is_last: bool = False

    def to_json(self) -> str:
        """Return the message's text."""
        return json.dumps({"probe": asdict(self), "endpoint": self.endpoint}, sort_keys=True)


def message_from_json(text: str) -> Delivery | Probe:
    """Return the delivery or the probe of a message.

    Raises:
        ValueError: it is neither.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or "probe" not in document:
        return Delivery.from_json(text)
    try:
        return Probe(**document["probe"])
    except TypeError as error:
        raise ValueError(f"no probe: {error}") from None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of an attempt, as the log shows it: one row for each delivery, of its last attempt."""

    endpoint: str
    event: DomainEvent
    state: State
    tries: int
    at_ms: int
    answer: str
    due_at_ms: int | None = None

    @property
    def key(self) -> str:
        """The place of the delivery among those of its endpoint: by the time of the event."""
        return f"{self.event.at_ms:013d}#{self.event.id}"


def outcome_of(delivery: Delivery, answer: EndpointResponse, *, at_ms: int, random: float) -> Attempt:
    """Return what becomes of a delivery after an answer.

    Args:
        delivery: the delivery as it was before the attempt.
        answer: the endpoint's answer.
        at_ms: the time.
        random: from 0 to 1, for the jitter.
    """
    tries = delivery.tries + 1
    due_at_ms = None
    if answer.is_success:
        state = State.DELIVERED
    elif answer.is_gone:
        state = State.DISABLED
    elif tries >= TRIES_MAX:
        state = State.FAILED
    else:
        state = State.WAITING
        delay_s = DELAYS_S[tries - 1] * (1 - JITTER + 2 * JITTER * random)
        wanted_s = min(answer.retry_after_s or 0, RETRY_AFTER_S_MAX)
        due_at_ms = at_ms + round(max(delay_s, wanted_s) * 1000)
    return Attempt(delivery.endpoint, delivery.event, state, tries, at_ms, answer.words, due_at_ms)


def document_of(event: DomainEvent, source: str, *, address: str | None) -> Mapping[str, Any]:
    """Return the CloudEvent that leaves the shop: without the shopper's id, with an address that is given."""
    document = event.without_shopper().to_cloudevent(source)
    return document if address is None else document | {"data": document["data"] | {"address": address}}
