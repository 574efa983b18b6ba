"""Domain events: what happened in the shop, for rules, for other systems and for an event bus.

Each is one JSON document of CloudEvents 1.0, in every place where it is stored or sent:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
The attribute of its cause is that of the correlation extension; `chaindepth` is the shop's own.
https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/correlation.md

An event never holds the address of a shopper.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from chalicelib.domain.entry import HOUR_MS

SPEC_VERSION = "1.0"
ID_CHARS = 32
# The mark of ids of stock events whose cause is a rule: `rule.DEPTH.CAUSE.RULE`.
_CHAIN = "rule"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# CloudEvents' `source` of a shop that has no address yet.
DEFAULT_SOURCE = "spillway"
# The shopper's id in an event's data, by which a webhook finds an address that the merchant asked for.
SHOPPER = "shopper"


class EventType(StrEnum):
    """The types of domain events, as rules and other systems name them."""

    AVAILABILITY_CHANGED = "availability.changed"
    RESTOCK_OPENED = "restock.opened"
    WAVE_FINISHED = "wave.finished"
    SIGNUP_CONFIRMED = "signup.confirmed"
    DEMAND_PASSED = "demand.passed"
    EMAIL_BOUNCED = "email.bounced"
    EMAIL_COMPLAINED = "email.complained"
    TRAFFIC_SPIKE = "traffic.spike"
    TRAFFIC_COVERAGE_FELL = "traffic.coverage_fell"
    ORDER_REPORTED = "order.reported"
    SENDING_PAUSED = "sending.paused"
    WEBHOOK_FAILING = "webhook.failing"
    WEBHOOK_DISABLED = "webhook.disabled"
    SCHEDULE = "schedule"
    RULE_FIRED = "rule.fired"
    """A merchant's rule names this event as its action."""

    @property
    def is_per_shopper(self) -> bool:
        """True when each shopper may cause one: such events are emitted only where something listens."""
        return self in _PER_SHOPPER


_PER_SHOPPER = frozenset({EventType.SIGNUP_CONFIRMED, EventType.EMAIL_BOUNCED})


class EventUnreadable(ValueError):
    """A document is no domain event of this version; the message names the attribute."""


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something that happened in the shop.

    Args:
        id: derived from the cause by `event_id`, so that a repeat of a step emits the same event.
        type: the type.
        at_ms: the time in milliseconds since the epoch.
        subject: what it is about, such as a SKU; None for the whole shop.
        data: JSON values by name.
        cause: the id of the event whose rule emitted this one; None where no rule did.
        depth: the number of rules between this event and the first of its chain.
    """

    id: str
    type: EventType
    at_ms: int
    subject: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    cause: str | None = None
    depth: int = 0

    def without_shopper(self) -> "DomainEvent":
        """Return the event as rules, the event bus and the record see it: without the shopper's id."""
        data = {name: value for name, value in self.data.items() if name != SHOPPER}
        return replace(self, data=data)

    def to_cloudevent(self, source: str = DEFAULT_SOURCE) -> dict[str, Any]:
        """Return the event as a JSON object of CloudEvents 1.0.

        Args:
            source: the shop's address, or another URI reference that names the shop.
        """
        document: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": source,
            "type": self.type.value,
            "time": time_text(self.at_ms),
            "datacontenttype": "application/json",
            "data": dict(self.data),
        }
        if self.subject is not None:
            document["subject"] = self.subject
        if self.cause is not None:
            document["causationid"] = self.cause
        if self.depth:
            document["chaindepth"] = self.depth
        return document

    @classmethod
    def from_cloudevent(cls, document: Mapping[str, Any]) -> "DomainEvent":
        """Return the event of a document made by `to_cloudevent`.

        Raises:
            EventUnreadable: it is another document.
        """
        try:
            return cls(
                document["id"],
                EventType(document["type"]),
                _time_ms(document["time"]),
                document.get("subject"),
                document["data"],
                document.get("causationid"),
                document.get("chaindepth", 0),
            )
        except KeyError as missing:
            raise EventUnreadable(f"the event lacks {missing.args[0]}") from None
        except (ValueError, TypeError) as error:
            raise EventUnreadable(str(error)) from None

    def to_json(self) -> str:
        """Return the event as the text of a queue's message."""
        return json.dumps(self.to_cloudevent(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "DomainEvent":
        """Return the event of a text made by `to_json`.

        Raises:
            EventUnreadable: it is another text.
        """
        try:
            document = json.loads(text)
        except ValueError:
            raise EventUnreadable("the event is no JSON") from None
        if not isinstance(document, dict):
            raise EventUnreadable("the event is no JSON object")
        return cls.from_cloudevent(document)


def event_id(event_type: EventType, *causes: str) -> str:
    """Return the id of the event that these causes have: the same causes give the same id."""
    return hashlib.sha256("\0".join((event_type, *causes)).encode()).hexdigest()[:ID_CHARS]


def chained_id(event: DomainEvent, rule: str) -> str:
    """Return the id of the stock event that a rule causes; it names the chain, see `chain_of`."""
    digest = hashlib.sha256(rule.encode()).hexdigest()[:8]
    return f"{_CHAIN}.{event.depth + 1}.{event.id}.{digest}"


def chain_of(stock_event_id: str) -> tuple[str | None, int]:
    """Return the cause and the depth that a stock event's id names; None and 0 for an event of no rule."""
    parts = stock_event_id.split(".")
    if len(parts) == 4 and parts[0] == _CHAIN and parts[1].isdecimal():
        return parts[2], int(parts[1])
    return None, 0


def schedule_event(*, at_ms: int) -> DomainEvent:
    """Return the event of the hour (UTC) of a time; each time of the hour gives the same event."""
    moment = datetime.fromtimestamp(at_ms // HOUR_MS * HOUR_MS / 1000, UTC)
    data = {
        "hour": moment.hour,
        "weekday": WEEKDAYS[moment.weekday()],
        "day": moment.day,
        "month": moment.month,
        "date": moment.date().isoformat(),
    }
    started_ms = at_ms // HOUR_MS * HOUR_MS
    return DomainEvent(
        event_id(EventType.SCHEDULE, str(started_ms)), EventType.SCHEDULE, started_ms, data=data
    )


def time_text(at_ms: int) -> str:
    """Return a time (ms since the epoch) as CloudEvents writes it, such as 2026-11-27T10:00:00.123Z."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text} has no offset")
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000
