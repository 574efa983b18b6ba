"""Rows of the events table about rules: domain events, firings, and the budgets of hours.

A domain event is recorded, or kept until the queue takes it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.domain.entry import DAY_MS, HOUR_MS
from chalicelib.rules.rule import Firing, FiringOutcome, RuleAction
from chalicelib.tables.expressions import Attr
from chalicelib.tables.inbound import EVENT_KEPT_S, PARTS, EventsRowKind
from chalicelib.tables.table import CONDITION_NOT_MET, Put, Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Two events of one rule at one moment disturb each other's transactions.
TRIES_MAX = 5


class RuleBusy(RuntimeError):
    """Other events fired the same rule at each attempt; the event's message comes again."""


class RulesTable:
    """Records events, and decides that each fires a rule at most once."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def record(self, event: DomainEvent) -> None:
        """Keep an event for 30 days; a repeat writes the same row again."""
        part = sum(event.id.encode()) % PARTS
        self.table.put(
            {
                "kind": f"{EventsRowKind.DOMAIN_EVENT}#{event.at_ms // DAY_MS}#{part}",
                "key": f"{event.at_ms:013d}#{event.id}",
                "event": event.to_json(),
                "expires_at_s": event.at_ms // 1000 + EVENT_KEPT_S,
            }
        )

    def keep(self, event: DomainEvent) -> None:
        """Store an event that the queue did not take; a repeat writes the same row again."""
        self.table.put(
            {
                **_unsent_key(event),
                "event": event.to_json(),
                "expires_at_s": event.at_ms // 1000 + EVENT_KEPT_S,
            }
        )

    def kept(self, *, limit: int) -> list[DomainEvent]:
        """Return at most `limit` of the kept events, the oldest first (a strongly consistent read)."""
        items, _ = self.table.query(Attr("kind").eq(EventsRowKind.UNSENT), limit=limit)
        return [DomainEvent.from_json(item["event"]) for item in items]

    def forget(self, event: DomainEvent) -> None:
        """Delete an event that was kept, if it is there."""
        self.table.delete(_unsent_key(event))

    def recorded(self, *, from_ms: int, until_ms: int) -> Iterator[DomainEvent]:
        """Yield the events of a time, day by day (strongly consistent reads of each day's parts)."""
        in_time = Attr("key").between(f"{from_ms:013d}", f"{until_ms:013d}~")
        for day in range(from_ms // DAY_MS, until_ms // DAY_MS + 1):
            for part in range(PARTS):
                kind = Attr("kind").eq(f"{EventsRowKind.DOMAIN_EVENT}#{day}#{part}")
                for item in self.table.query_all(kind & in_time):
                    yield DomainEvent.from_json(item["event"])

    def decide(self, firing: Firing, *, budget: int) -> tuple[Firing, bool]:
        """Decide that an event fires a rule, by one transaction: the firing, and the budget of its hour.

        Returns:
            The decision, and whether it is new: the one of before stays.

        Raises:
            RuleBusy: nothing is decided; the event has to come again.
        """
        if firing.outcome is FiringOutcome.TOO_DEEP:
            return self._put(firing)
        for _ in range(TRIES_MAX):
            hour = {"kind": EventsRowKind.BUDGET.value, "key": f"{firing.rule}#{firing.at_ms // HOUR_MS}"}
            reasons = self.table.transact(
                (
                    Put(self.table, _item(firing), Attr("kind").not_exists()),
                    Update(
                        self.table,
                        hour,
                        {"expires_at_s": firing.at_ms // 1000 + EVENT_KEPT_S},
                        add={"spent": 1},
                        condition=Attr("spent").not_exists() | Attr("spent").lt(budget),
                    ),
                )
            )
            if not reasons:
                return firing, True
            if reasons[0] == CONDITION_NOT_MET:
                return self._known(firing), False
            if reasons[1] == CONDITION_NOT_MET:
                return self._put(replace(firing, outcome=FiringOutcome.OVER_BUDGET))
        raise RuleBusy(firing.rule)

    def finish(self, firing: Firing, result: str) -> None:
        """Write what came of an action."""
        self.table.make(Update(self.table, _key(firing), {"result": result}))

    def firings(self) -> list[Firing]:
        """Return the firings of 30 days, the oldest decision first (strongly consistent reads)."""
        found = map(_firing, self.table.query_all(Attr("kind").eq(EventsRowKind.FIRED)))
        return sorted(found, key=lambda firing: (firing.decided_at_ms, firing.rule, firing.event_id))

    def _put(self, firing: Firing) -> tuple[Firing, bool]:
        if self.table.put_if(_item(firing), Attr("kind").not_exists()):
            return firing, True
        return self._known(firing), False

    def _known(self, firing: Firing) -> Firing:
        item = self.table.get(_key(firing))
        if item is None:
            raise RuleBusy(firing.rule)
        return _firing(item)


def _unsent_key(event: DomainEvent) -> dict[str, str]:
    return {"kind": EventsRowKind.UNSENT.value, "key": f"{event.at_ms:013d}#{event.id}"}


def _key(firing: Firing) -> dict[str, str]:
    return {"kind": EventsRowKind.FIRED.value, "key": f"{firing.rule}#{firing.event_id}"}


def _item(firing: Firing) -> dict[str, Any]:
    optional = {"subject": firing.subject, "cause": firing.cause, "result": firing.result}
    return {
        **_key(firing),
        "rule": firing.rule,
        "event_id": firing.event_id,
        "version": firing.version,
        "event_type": firing.event_type.value,
        "event_values": json.dumps(dict(firing.values), sort_keys=True),
        "depth": firing.depth,
        "at_ms": firing.at_ms,
        "decided_at_ms": firing.decided_at_ms,
        "outcome": firing.outcome.value,
        "action": firing.action.value,
        "expires_at_s": firing.at_ms // 1000 + EVENT_KEPT_S,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _firing(item: Mapping[str, Any]) -> Firing:
    return Firing(
        rule=item["rule"],
        version=item["version"],
        event_id=item["event_id"],
        event_type=EventType(item["event_type"]),
        subject=item.get("subject"),
        values=json.loads(item["event_values"]),
        cause=item.get("cause"),
        depth=int(item["depth"]),
        at_ms=int(item["at_ms"]),
        decided_at_ms=int(item["decided_at_ms"]),
        outcome=FiringOutcome(item["outcome"]),
        action=RuleAction(item["action"]),
        result=item.get("result"),
    )
