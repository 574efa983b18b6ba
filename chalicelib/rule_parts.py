"""The part of the container that builds domain events and rules.

As there, a property imports what it builds: a shopper's request pays for none of it.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.merchant_parts import MerchantParts
from chalicelib.webhook_parts import WebhookParts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.domain_event import DomainEvent
    from chalicelib.queues import DomainEventsQueue
    from chalicelib.services.domain_events import DomainEvents, EventEmitter, LiveRules, WebhookEndpoints
    from chalicelib.services.rules import Effects, RuleRunner
    from chalicelib.tables.rules import RulesTable
    from chalicelib.tables.sending import RuleBoundsTable


class RuleParts(MerchantParts, WebhookParts):
    """Builds what emits events, and what follows from them."""

    @cached_property
    def rule_rows(self) -> "RulesTable":
        """Recorded events and firings."""
        from chalicelib.tables.rules import RulesTable

        return RulesTable(self.client("dynamodb"), self.settings.events_table)

    @cached_property
    def live_rules(self) -> "LiveRules":
        """The rules of the live release."""
        from chalicelib.services.domain_events import LiveRules

        return LiveRules(self.client("s3"), self.settings.release_bucket, self.clock_ms)

    @cached_property
    def event_emitter(self) -> "EventEmitter":
        """Emits domain events."""
        from chalicelib.services.domain_events import EventEmitter

        return EventEmitter(self._domain_events_queue, self.live_rules, self._webhooks, self.rule_rows)

    def _emit(self, events: "Sequence[DomainEvent]") -> None:
        self.event_emitter.emit_or_keep(events)

    @cached_property
    def domain_events(self) -> "DomainEvents":
        """Does what follows from domain events."""
        from chalicelib.services.domain_events import DomainEvents, EventBus

        bus_name = self.settings.domain_event_bus
        bus = EventBus(self.client("events"), bus_name) if bus_name else None
        return DomainEvents(self.rule_rows, self.rule_runner, self._webhooks, bus)

    @cached_property
    def rule_runner(self) -> "RuleRunner":
        """Fires rules."""
        from chalicelib.services.rules import RuleRunner

        return RuleRunner(self.live_rules.all, self.rule_rows, self._rule_effects, self.clock_ms)

    @cached_property
    def rule_bounds(self) -> "RuleBoundsTable":
        """The bounds that rules set for the autopilot."""
        from chalicelib.tables.sending import RuleBoundsTable

        return RuleBoundsTable(self.client("dynamodb"), self.settings.sending_table)

    @cached_property
    def _rule_effects(self) -> "Effects":
        from chalicelib.queues import Alarm
        from chalicelib.services.rules import Effects
        from chalicelib.tables.sending.deliverability import resume_sending

        return Effects(
            pause=self.sending_rate.pause,
            resume=lambda: resume_sending(self.sending_rate, self.deliverability, at_ms=self.clock_ms()),
            policies=self.policies,
            availabilities=self.availabilities,
            alert=Alarm(self.client("sns"), self.settings.alarms_topic).ring,
            emit=self.event_emitter.emit,
            bounds=self.rule_bounds,
        )

    @cached_property
    def _domain_events_queue(self) -> "DomainEventsQueue | None":
        from chalicelib.queues import DomainEventsQueue

        url = self.settings.domain_events_queue_url
        return DomainEventsQueue(self.client("sqs"), url) if url else None

    def _webhooks(self) -> "WebhookEndpoints | None":
        """Return the endpoints of other systems; None where a stage has no queue for them."""
        return self.webhook_fanout if self.settings.webhook_deliveries_queue_url else None
