"""Domain events on their way: emitted by services, then recorded, passed on and tried on rules.

An event comes at least once and in any order. Each step can be repeated: the record is the same row, the bus
and webhooks carry the event's id, and a rule fires at most once.

A shop's own work never waits for its events: where the queue refuses them, a stream's function keeps them as
rows, and the next hour emits them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.connections import code_of
from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.log import log, where
from chalicelib.queues import DomainEventsQueue
from chalicelib.rules.rule import Rule
from chalicelib.services.rules import RuleRunner
from chalicelib.tables.rules import RulesTable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

RULES_KEY = "rules.json"
RULES_MAX_AGE_MS = 2_000
NOT_THERE = frozenset({"AccessDenied", "NoSuchKey", "404", "403"})
NOT_MODIFIED = "304"
SOURCE = "spillway"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
BUS_ENTRIES_MAX = 10
# The limit of a call; some regions take more by now.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
BUS_BYTES_MAX = 256 * 1024
KEPT_AT_ONCE = 50


class WebhookEndpoints(Protocol):
    """The endpoints of other systems, as events reach them."""

    def has_endpoint_for(self, event_type: EventType) -> bool:
        """Return whether an endpoint gets events of a type."""

    def queue(self, event: DomainEvent) -> int:
        """Queue an event for the endpoints that get it, and return their number."""


class LiveRules:
    """The rules of the live release, as of some seconds ago. A publish and a rollback replace them."""

    def __init__(self, client: "S3Client", bucket: str, clock_ms: Callable[[], int]) -> None:
        self._client = client
        self._bucket = bucket
        self._clock_ms = clock_ms
        self._read_at_ms: int | None = None
        self._etag = ""
        self._rules: tuple[Rule, ...] = ()

    def all(self) -> tuple[Rule, ...]:
        """Return the rules in the order of the merchant's file; none where none were published."""
        now_ms = self._clock_ms()
        if self._read_at_ms is None or not 0 <= now_ms - self._read_at_ms < RULES_MAX_AGE_MS:
            self._ask()
            self._read_at_ms = now_ms
        return self._rules

    def has_rule_for(self, event_type: EventType) -> bool:
        """Return whether a rule is about events of a type."""
        return any(rule.on is event_type for rule in self.all())

    def _ask(self) -> None:
        condition: Any = {"IfNoneMatch": self._etag} if self._etag else {}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=RULES_KEY, **condition)
        except Exception as error:
            code = code_of(error)
            if code in NOT_THERE:
                self._etag, self._rules = "", ()
            elif code != NOT_MODIFIED:
                raise
            return
        self._rules = rules_from_json(answer["Body"].read().decode())
        self._etag = answer["ETag"]


def rules_to_json(release: str, rules: Sequence[Mapping[str, Any]]) -> str:
    """Return the object of a release's rules, which are documents, as a publish writes it."""
    document = {"release": release, "rules": list(rules)}
    return json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1)


def rules_from_json(text: str) -> tuple[Rule, ...]:
    """Return the rules of a text made by `rules_to_json`."""
    return tuple(map(Rule.from_document, json.loads(text)["rules"]))


class EventEmitter:
    """Emits domain events to the queue, where the stage has one.

    Events of which each shopper may cause one are emitted only where a rule or an endpoint is about their
    type: a million signups cost a shop without rules nothing more.
    """

    def __init__(
        self,
        queue: DomainEventsQueue | None,
        rules: LiveRules,
        webhooks: Callable[[], WebhookEndpoints | None],
        rows: RulesTable,
    ) -> None:
        self._queue = queue
        self._rules = rules
        self._webhooks = webhooks
        self._rows = rows

    def has_consumers(self, event_type: EventType) -> bool:
        """Return whether a rule or an endpoint is about events of a type."""
        if self._queue is None:
            return False
        webhooks = self._webhooks()
        return self._rules.has_rule_for(event_type) or (
            webhooks is not None and webhooks.has_endpoint_for(event_type)
        )

    def emit(self, events: Iterable[DomainEvent]) -> None:
        """Queue events. A repeat of the step that emits them is harmless: their ids are the same.

        Raises:
            EventsNotQueued: some are not queued.
        """
        if self._queue is None:
            return
        wanted = [
            event for event in events if not event.type.is_per_shopper or self.has_consumers(event.type)
        ]
        if wanted:
            self._queue.put(wanted)

    def may_have_consumers(self, event_type: EventType) -> bool:
        """Return whether a rule or an endpoint is about events of a type; true where neither can be read."""
        try:
            return self.has_consumers(event_type)
        except Exception as error:  # noqa: BLE001 - an event more is better than the shop's work undone
            log("consumers_not_read", error=type(error).__name__, at=where(error))
            return True

    def emit_or_keep(self, events: Iterable[DomainEvent]) -> None:
        """Queue events; where that fails, keep them as rows, which `emit_kept` queues.

        Raises:
            Exception: they can be neither queued nor kept.
        """
        wanted = list(events)
        try:
            self.emit(wanted)
        except Exception as error:  # noqa: BLE001 - whatever the queue or the rules say, the shop goes on
            log("events_kept", count=len(wanted), error=type(error).__name__, at=where(error))
            for event in wanted:
                self._rows.keep(event)

    def emit_kept(self) -> None:
        """Queue every event that is kept, and delete its row then: a kill in between emits it again.

        Raises:
            EventsNotQueued: the queue does not take them yet.
        """
        while events := self._rows.kept(limit=KEPT_AT_ONCE):
            self.emit(events)
            for event in events:
                self._rows.forget(event)


class EventBus:
    """An event bus of EventBridge, to which any target in AWS can be attached."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def put_all(self, events: Sequence[DomainEvent]) -> list[str]:
        """Put events on the bus, and return the ids of those that it did not take.

        An event's type is the detail type, its CloudEvents document the detail. A call takes some entries and
        refuses others; a call that fails as a whole took none.
        """
        refused: list[str] = []
        for part in self._calls(events):
            try:
                answer = self._client.put_events(Entries=[entry for _, entry in part])
                codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
            except Exception as error:  # noqa: BLE001 - the events of this call come again, the others do not
                codes = [code_of(error) or type(error).__name__] * len(part)
            for (event, _), code in zip(part, codes, strict=True):
                if code:
                    log("bus_refused", event_id=event.id, code=code)
                    refused.append(event.id)
        return refused

    def _calls(self, events: Sequence[DomainEvent]) -> Iterator[list[tuple[DomainEvent, dict[str, str]]]]:
        """Yield the events and entries of each call, within what a call takes."""
        part: list[tuple[DomainEvent, dict[str, str]]] = []
        part_bytes = 0
        for event in events:
            entry = {"Source": SOURCE, "DetailType": event.type.value, "Detail": event.to_json()}
            entry_bytes = sum(len(text.encode()) for text in entry.values())
            if part and (len(part) == BUS_ENTRIES_MAX or part_bytes + entry_bytes > BUS_BYTES_MAX):
                yield part
                part, part_bytes = [], 0
            part.append((event, {**entry, "EventBusName": self._name}))
            part_bytes += entry_bytes
        if part:
            yield part


class DomainEvents:
    """Does what follows from each domain event."""

    def __init__(
        self,
        table: RulesTable,
        rules: RuleRunner,
        webhooks: Callable[[], WebhookEndpoints | None],
        bus: EventBus | None,
    ) -> None:
        self._table = table
        self._rules = rules
        self._webhooks = webhooks
        self._bus = bus

    def process(self, event: DomainEvent) -> None:
        """Record an event, fire its rules, queue it for webhooks.

        Raises:
            Exception: a step failed; the event has to come again, and steps that are done change nothing.
        """
        public = event.without_shopper()
        self._table.record(public)
        self._rules.run(public)
        webhooks = self._webhooks()
        if webhooks:
            webhooks.queue(event)
        log("domain_event", type=event.type, id=event.id, depth=event.depth)

    def put_on_bus(self, events: Sequence[DomainEvent]) -> list[str]:
        """Put events on the bus, if there is one, and return the ids of those that have to come again.

        It is the last step, for a batch at once: no rule waits for a bus that is not there.
        """
        return self._bus.put_all([event.without_shopper() for event in events]) if self._bus else []
