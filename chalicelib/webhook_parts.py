"""The part of the container that builds what delivers events to other systems.

As there, a property imports what it builds: a shopper's request pays for none of it.
"""

import random
from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.domain_event import DomainEvent
    from chalicelib.queues import DeliveriesQueue
    from chalicelib.services.webhook_circuit import Circuit
    from chalicelib.services.webhook_delivery import (
        WebhookDelivery,
        WebhookFanout,
        WebhookRetries,
        WebhookSecrets,
    )
    from chalicelib.tables.webhooks import DeliveriesTable, EndpointsTable, RecentEndpoints


class WebhookParts(Stores):
    """Builds what events go out with, over the tables and queues of `Stores`."""

    @cached_property
    def endpoints(self) -> "EndpointsTable":
        """The endpoints of other systems."""
        from chalicelib.tables.webhooks import EndpointsTable

        return EndpointsTable(self.client("dynamodb"), self.settings.events_table)

    @cached_property
    def recent_endpoints(self) -> "RecentEndpoints":
        """The endpoints as of half a minute ago."""
        from chalicelib.tables.webhooks import RecentEndpoints

        return RecentEndpoints(self.endpoints, self.clock_ms)

    @cached_property
    def deliveries(self) -> "DeliveriesTable":
        """The log of deliveries."""
        from chalicelib.tables.webhooks import DeliveriesTable

        return DeliveriesTable(self.client("dynamodb"), self.settings.events_table)

    @cached_property
    def deliveries_queue(self) -> "DeliveriesQueue":
        """The queue of deliveries; its dead letters are known to the function that delivers alone."""
        from chalicelib.queues import DeliveriesQueue

        names = self.settings
        url = names.known("webhook_deliveries_queue_url")
        return DeliveriesQueue(self.client("sqs"), url, names.webhook_dead_letters_queue_url)

    @cached_property
    def webhook_fanout(self) -> "WebhookFanout":
        """Queues an event for the endpoints that want it."""
        from chalicelib.services.webhook_delivery import WebhookFanout

        return WebhookFanout(self.recent_endpoints, self.deliveries_queue, self.webhook_circuit)

    @cached_property
    def webhook_circuit(self) -> "Circuit":
        """Keeps the events of endpoints that fail."""
        from chalicelib.services.webhook_circuit import Circuit

        return Circuit(
            self.endpoints,
            self.recent_endpoints,
            self.deliveries,
            self.deliveries_queue,
            self._emit,
            self.clock_ms,
        )

    def _emit(self, events: "Sequence[DomainEvent]") -> None:
        """Emit events; the part of the container that builds rules does."""
        raise NotImplementedError

    @cached_property
    def webhook_secrets(self) -> "WebhookSecrets":
        """The secrets that sign outgoing events."""
        from chalicelib.services.webhook_delivery import WebhookSecrets

        secret_id = self.settings.known("webhook_secrets")
        return WebhookSecrets(lambda: self.secret(secret_id), self.clock_ms)

    @cached_property
    def webhook_delivery(self) -> "WebhookDelivery":
        """Delivers events to endpoints."""
        from chalicelib.outbound.https_post import HttpsPoster
        from chalicelib.services.webhook_delivery import DeliveryStore, WebhookDelivery

        store = DeliveryStore(self.recent_endpoints, self.deliveries, self.entries)
        return WebhookDelivery(
            store,
            self.deliveries_queue,
            self.webhook_circuit,
            self.webhook_secrets.of,
            HttpsPoster(),
            lambda: self.settings.shop_origin or self.recent_themes.live().theme.shop.base_url,
            self.clock_ms,
            random.random,
        )

    @cached_property
    def webhook_retries(self) -> "WebhookRetries":
        """Puts deliveries back into the queue."""
        from chalicelib.services.webhook_delivery import WebhookRetries

        return WebhookRetries(self.deliveries, self.deliveries_queue, self.clock_ms)
