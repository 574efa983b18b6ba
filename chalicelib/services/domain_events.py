"""Domain events on their way: emitted by services, then recorded, passed on and tried on rules.

An event comes at least once and in any order. Each step can be repeated: the record is the same row, the bus
and webhooks carry the event's id, and a rule fires at most once.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.connections import code_of
from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.log import log
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


class Webhooks(Protocol):
    """The endpoints of other systems, as events reach them."""

    def listens_to(self, event_type: EventType) -> bool:
        """Return whether an endpoint gets events of a type."""

    def queue(self, event: DomainEvent) -> int:
        """Queue an event for the endpoints that get it, and return their number."""


class LiveRules:
    """The rules of the live release, as of some seconds ago. A publish and a rollback replace them."""

    def __init__(self, client: "S3Client", bucket: str, clock_ms: Callable[[], int]) -> None:
        self._client = client
        self._bucket = bucket
        self._clock_ms = clock_ms
        self._asked_at_ms: int | None = None
        self._etag = ""
        self._rules: tuple[Rule, ...] = ()

    def all(self) -> tuple[Rule, ...]:
        """Return the rules in the order of the merchant's file; none where none were published."""
        now_ms = self._clock_ms()
        if self._asked_at_ms is None or not 0 <= now_ms - self._asked_at_ms < RULES_MAX_AGE_MS:
            self._ask()
            self._asked_at_ms = now_ms
        return self._rules

    def listen_to(self, event_type: EventType) -> bool:
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
        self, queue: DomainEventsQueue | None, rules: LiveRules, webhooks: Callable[[], Webhooks | None]
    ) -> None:
        self._queue = queue
        self._rules = rules
        self._webhooks = webhooks

    def is_heard(self, event_type: EventType) -> bool:
        """Return whether a rule or an endpoint is about events of a type."""
        if self._queue is None:
            return False
        webhooks = self._webhooks()
        return self._rules.listen_to(event_type) or (webhooks is not None and webhooks.listens_to(event_type))

    def emit(self, events: Iterable[DomainEvent]) -> None:
        """Queue events. A repeat of the step that emits them is harmless: their ids are the same.

        Raises:
            EventsNotQueued: some are not queued.
        """
        if self._queue is None:
            return
        wanted = [event for event in events if not event.type.is_per_shopper or self.is_heard(event.type)]
        if wanted:
            self._queue.put(wanted)


class EventBus:
    """An event bus of EventBridge, to which any target in AWS can be attached."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def put(self, event: DomainEvent) -> None:
        """Put an event on the bus: its type is the detail type, its CloudEvents document the detail.

        Raises:
            BusRefused: the bus did not take it.
        """
        entry = {
            "Source": "spillway",
            "DetailType": event.type.value,
            "Detail": event.to_json(),
            "EventBusName": self._name,
        }
        answer = self._client.put_events(Entries=[entry])
        if answer.get("FailedEntryCount"):
            raise BusRefused(answer["Entries"][0].get("ErrorCode", "unknown"))


class BusRefused(RuntimeError):
    """The event bus did not take an event; the event comes again."""


class DomainEvents:
    """Does what follows from each domain event."""

    def __init__(
        self,
        table: RulesTable,
        rules: RuleRunner,
        webhooks: Callable[[], Webhooks | None],
        bus: EventBus | None,
    ) -> None:
        self._table = table
        self._rules = rules
        self._webhooks = webhooks
        self._bus = bus

    def process(self, event: DomainEvent) -> None:
        """Record an event, put it on the bus, fire its rules, queue it for webhooks.

        Raises:
            Exception: a step failed; the event has to come again, and steps that are done change nothing.
        """
        public = event.without_shopper()
        self._table.record(public)
        if self._bus:
            self._bus.put(public)
        self._rules.run(public)
        webhooks = self._webhooks()
        if webhooks:
            webhooks.queue(event)
        log("domain_event", type=event.type, id=event.id, depth=event.depth)
