"""A rule: an event of this type that matches this pattern causes this action.

Three bounds hold for every rule. An event fires a rule at most once. A chain of rules ends after `DEPTH_MAX`
of them. A rule fires at most `budget` times in an hour, by the times of its events, so that a replay of
recorded events decides what was decided then.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chalicelib.domain.domain_event import DomainEvent, EventType, event_id
from chalicelib.domain.entry import HOUR_MS
from chalicelib.domain.ids import Sku
from chalicelib.rules.pattern import matches

# A rule's own event causes no more than this many further rules in a row.
DEPTH_MAX = 3
BUDGET_DEFAULT = 10
BUDGET_MAX = 1_000
RULES_MAX = 50
VERSION_CHARS = 12


class RuleAction(StrEnum):
    """The actions of rules: a closed list, each of them also a command."""

    PAUSE = "pause"
    RESUME = "resume"
    WAVE_POLICY = "wave-policy"
    AVAILABILITY = "availability"
    EMAIL = "email"
    EVENT = "event"
    AUTOPILOT_BOUNDS = "autopilot-bounds"

    @property
    def can_be_repeated(self) -> bool:
        """True when the same action a second time changes nothing."""
        return self is not RuleAction.EMAIL


class FiringOutcome(StrEnum):
    """The decision about an event that matches a rule."""

    FIRED = "fired"
    TOO_DEEP = "too_deep"
    OVER_BUDGET = "over_budget"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Args:
        name: unique in a shop.
        on: the type of events that it is about.
        when: a pattern of the event's CloudEvents document; empty for every event of the type.
        action: what it does.
        options: the action's options, by name.
        budget: the number of firings in an hour.
    """

    name: str
    on: EventType
    when: Mapping[str, Any]
    action: RuleAction
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: int = BUDGET_DEFAULT

    @property
    def version(self) -> str:
        """A digest of the rule: a changed rule has another."""
        text = json.dumps(self.to_document(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:VERSION_CHARS]

    def to_document(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return {
            "name": self.name,
            "on": self.on.value,
            "when": dict(self.when),
            "do": self.action.value,
            "with": dict(self.options),
            "budget": self.budget,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Rule":
        """Return the rule of a document made by `to_document`."""
        return cls(
            document["name"],
            EventType(document["on"]),
            document["when"],
            RuleAction(document["do"]),
            document["with"],
            document["budget"],
        )


@dataclass(frozen=True, slots=True)
class Firing:
    """The audit of one decision: an event matched a rule.

    Args:
        rule: the rule's name.
        version: the rule's version.
        event_id: the event.
        event_type: its type.
        subject: its subject.
        values: its data, as the rule saw it.
        cause: the event whose rule emitted this one; None where no rule did.
        depth: the number of rules before this one in the chain.
        at_ms: the event's time.
        decided_at_ms: the time of the decision.
        outcome: the decision.
        action: what the rule does.
        result: what came of the action; None while that is not known.
    """

    rule: str
    version: str
    event_id: str
    event_type: EventType
    subject: str | None
    values: Mapping[str, Any]
    cause: str | None
    depth: int
    at_ms: int
    decided_at_ms: int
    outcome: FiringOutcome
    action: RuleAction
    result: str | None = None

    @classmethod
    def of(cls, rule: Rule, event: DomainEvent, outcome: FiringOutcome, *, at_ms: int) -> "Firing":
        """Return the decision about an event that matches a rule, made at `at_ms`."""
        return cls(
            rule.name,
            rule.version,
            event.id,
            event.type,
            event.subject,
            event.data,
            event.cause,
            event.depth,
            event.at_ms,
            at_ms,
            outcome,
            rule.action,
        )


def hour_of(event: DomainEvent) -> int:
    """Return the hour since the epoch whose budget an event counts against."""
    return event.at_ms // HOUR_MS


def matching(rules: Iterable[Rule], event: DomainEvent) -> list[Rule]:
    """Return the rules that an event matches, by its type and by their patterns, in their order."""
    document = event.to_cloudevent()
    return [rule for rule in rules if rule.on is event.type and matches(rule.when, document)]


def replay(rules: Iterable[Rule], events: Iterable[DomainEvent]) -> Iterator[Firing]:
    """Yield what rules would have decided about recorded events, in the order of their times.

    A repeat of an event decides nothing again. Effects are not played: an event that a fired rule would have
    caused is in the record or it is not.
    """
    known: set[tuple[str, str]] = set()
    spent: dict[tuple[str, int], int] = {}
    listed = tuple(rules)
    for event in sorted(events, key=lambda event: (event.at_ms, event.id)):
        for rule in matching(listed, event):
            if (rule.name, event.id) in known:
                continue
            known.add((rule.name, event.id))
            hour = rule.name, hour_of(event)
            outcome = decide(rule, event, spent=spent.get(hour, 0))
            if outcome is FiringOutcome.FIRED:
                spent[hour] = spent.get(hour, 0) + 1
            yield Firing.of(rule, event, outcome, at_ms=event.at_ms)


def decide(rule: Rule, event: DomainEvent, *, spent: int) -> FiringOutcome:
    """Return the decision about a matching event when `spent` firings of its hour are used up."""
    if event.depth >= DEPTH_MAX:
        return FiringOutcome.TOO_DEEP
    return FiringOutcome.FIRED if spent < rule.budget else FiringOutcome.OVER_BUDGET


def caused_event(
    rule: Rule,
    event: DomainEvent,
    event_type: EventType,
    *,
    at_ms: int,
    subject: str | None = None,
    data: Mapping[str, Any],
) -> DomainEvent:
    """Return the event that a rule's action causes: the next one of the chain."""
    identity = event_id(event_type, rule.name, event.id)
    return DomainEvent(identity, event_type, at_ms, subject, data, cause=event.id, depth=event.depth + 1)


def sku_for(rule: Rule, event: DomainEvent) -> Sku | None:
    """Return the SKU that an action is about: the rule's own, or the one that the event is about."""
    named = rule.options.get("sku") or event.data.get("sku")
    return Sku(named) if isinstance(named, str) else None
