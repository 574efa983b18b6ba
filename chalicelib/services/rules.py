"""Fire rules: decide by one write, act, write what came of it.

A kill between the decision and the action loses nothing: the event's message comes again, finds a decision
without a result, and acts again, for a quarter of an hour and where a second time changes nothing. Anything
else is left as interrupted, for a person to see in `spillway rules log`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.autopilot import RuleBounds
from chalicelib.domain.domain_event import DomainEvent, EventType, chained_id
from chalicelib.domain.ids import Slug
from chalicelib.domain.stock import Availability, AvailabilityEvent, EventOutcome
from chalicelib.domain.wave import WavePolicy
from chalicelib.log import log
from chalicelib.rules.rule import (
    DEPTH_MAX,
    Firing,
    FiringOutcome,
    Rule,
    RuleAction,
    caused_event,
    decide,
    matching,
    sku_for,
)
from chalicelib.services.availability import Availabilities
from chalicelib.tables.rules import RulesTable
from chalicelib.tables.sending import RuleBoundsTable
from chalicelib.tables.sending.waves import PoliciesTable

RESUMED_FOR_MS = 15 * 60 * 1000
INTERRUPTED = "interrupted"
DONE = "done"


class ActionBusy(RuntimeError):
    """Others changed the same variant at each attempt; the event's message comes again."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The services that actions call.

    Args:
        pause: pauses sending for a reason; false when it was paused before.
        resume: resumes sending, and returns the reason of the pause; None when it was not paused.
        policies: the wave policies.
        availabilities: applies stock events.
        alert: sends an email to the merchant's alarm address, with a subject and a text.
        emit: emits events.
        bounds: the bounds of the autopilot.
    """

    pause: Callable[[str], bool]
    resume: Callable[[], str | None]
    policies: PoliciesTable
    availabilities: Availabilities
    alert: Callable[[str, str], None]
    emit: Callable[[Sequence[DomainEvent]], None]
    bounds: RuleBoundsTable


class RuleRunner:
    """Fires the rules that an event matches."""

    def __init__(
        self,
        rules: Callable[[], Sequence[Rule]],
        table: RulesTable,
        effects: Effects,
        clock_ms: Callable[[], int],
    ) -> None:
        self._rules = rules
        self._table = table
        self._effects = effects
        self._clock_ms = clock_ms

    def run(self, event: DomainEvent) -> None:
        """Fire each rule that an event matches, at most once for the event. A repeat changes nothing.

        Raises:
            Exception: a decision or an action failed; the event has to come again.
        """
        for rule in matching(self._rules(), event):
            self._fire(rule, event)

    def _fire(self, rule: Rule, event: DomainEvent) -> None:
        now_ms = self._clock_ms()
        wanted = Firing.of(rule, event, decide(rule, event, spent=0), at_ms=now_ms)
        firing, is_new = self._table.decide(wanted, budget=rule.budget)
        if firing.result is not None or firing.outcome is not FiringOutcome.FIRED:
            if firing.outcome is not FiringOutcome.FIRED:
                log(
                    "rule_stopped",
                    rule=rule.name,
                    event_id=event.id,
                    outcome=firing.outcome,
                    depth_max=DEPTH_MAX,
                )
            return
        if not is_new and not self._may_resume(rule, firing, now_ms):
            self._table.finish(firing, INTERRUPTED)
            return
        result = self._act(rule, event)
        self._table.finish(firing, result)
        log(
            "rule_fired",
            rule=rule.name,
            version=rule.version,
            event_id=event.id,
            action=rule.action,
            result=result,
        )

    def _may_resume(self, rule: Rule, firing: Firing, now_ms: int) -> bool:
        """Return whether a decision of before may be acted on now: soon, by the same rule, without harm."""
        return (
            rule.action.can_be_repeated
            and firing.version == rule.version
            and now_ms - firing.decided_at_ms <= RESUMED_FOR_MS
        )

    def _act(self, rule: Rule, event: DomainEvent) -> str:
        match rule.action:
            case RuleAction.PAUSE:
                result = self._pause(rule, event)
            case RuleAction.RESUME:
                result = self._resume()
            case RuleAction.WAVE_POLICY:
                result = self._set_policy(rule)
            case RuleAction.AVAILABILITY:
                result = self._set_availability(rule, event)
            case RuleAction.EMAIL:
                result = self._send_email(rule, event)
            case RuleAction.EVENT:
                result = self._emit_own(rule, event)
            case RuleAction.AUTOPILOT_BOUNDS:
                result = self._set_bounds(rule, event)
        return result

    def _resume(self) -> str:
        reason = self._effects.resume()
        return "sending was not paused" if reason is None else f"{DONE}: it was paused for: {reason}"

    def _emit_own(self, rule: Rule, event: DomainEvent) -> str:
        data = {"name": rule.options["name"], "rule": rule.name, "type": event.type.value}
        facts = {**data, "data": dict(event.data)}
        self._emit(rule, event, EventType.RULE_FIRED, event.subject, facts)
        return DONE

    def _pause(self, rule: Rule, event: DomainEvent) -> str:
        reason = f"{rule.options['reason']} (rule {rule.name})"
        if not self._effects.pause(reason):
            return "sending was paused before"
        self._emit(rule, event, EventType.SENDING_PAUSED, None, {"reason": reason, "rule": rule.name})
        return DONE

    def _set_policy(self, rule: Rule) -> str:
        options = dict(rule.options)
        slug = options.pop("product", None)
        self._effects.policies.put(Slug(slug) if slug else None, WavePolicy(**options))
        return DONE

    def _set_bounds(self, rule: Rule, event: DomainEvent) -> str:
        wanted, before = RuleBounds(**rule.options), self._effects.bounds.get()
        if not self._effects.bounds.put(wanted, rule=rule.name, at_ms=event.at_ms):
            return f"a later event set the bounds: {before.text}"
        return f"{DONE}: {wanted.text}; before: {before.text}"

    def _set_availability(self, rule: Rule, event: DomainEvent) -> str:
        sku = sku_for(rule, event)
        if sku is None:
            return "failed: the event names no SKU, and neither does the rule"
        stock_event = AvailabilityEvent(
            chained_id(event, rule.name),
            sku,
            Availability(rule.options["availability"]),
            rule.options.get("units"),
            # The decision counts as of its cause: a newer observation of the stock wins.
            event.at_ms,
        )
        outcome = self._effects.availabilities.apply(stock_event).outcome
        if outcome is EventOutcome.BUSY:
            raise ActionBusy(sku)
        if outcome is EventOutcome.UNKNOWN_SKU:
            return f"failed: the shop has no SKU {sku}"
        return f"{DONE}: {sku} {outcome.value}"

    def _send_email(self, rule: Rule, event: DomainEvent) -> str:
        text = f"{rule.options['message']}\n\n{facts_text(rule, event)}"
        self._effects.alert(rule.options["subject"], text)
        return DONE

    def _emit(
        self,
        rule: Rule,
        event: DomainEvent,
        event_type: EventType,
        subject: str | None,
        data: Mapping[str, Any],
    ) -> None:
        # The time of the cause, so that a repeat emits the same event.
        caused = caused_event(rule, event, event_type, at_ms=event.at_ms, subject=subject, data=data)
        self._effects.emit([caused])


def facts_text(rule: Rule, event: DomainEvent) -> str:
    """Return the facts of a firing, a line for each."""
    facts = {
        "rule": f"{rule.name} ({rule.version})",
        "event": event.type.value,
        "subject": event.subject or "-",
    }
    return "\n".join(f"{name}: {value}" for name, value in {**facts, **event.data}.items())
