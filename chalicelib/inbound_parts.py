"""The part of the container that builds what other systems' stock comes in by: keys, events and stock lists.

As there, a property imports what it builds: a shopper's request pays for none of it.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.merchant_parts import MerchantParts

if TYPE_CHECKING:
    from chalicelib.http.merchant_requests import MerchantKeys
    from chalicelib.inbound.sources import SourceSecrets
    from chalicelib.services.availability import AvailabilityWebhooks
    from chalicelib.services.inbound import InboundEvents
    from chalicelib.services.reconciliation import Reconciliation, SourceAccount


class InboundParts(MerchantParts):
    """Builds what applies the stock of other systems."""

    @cached_property
    def merchant_keys(self) -> "MerchantKeys":
        """The keys that the merchant's own systems show, or sign with."""
        from chalicelib.http.merchant_requests import MerchantKeys

        return MerchantKeys.from_json(self.secret(self.settings.merchant_keys_secret))

    @cached_property
    def webhooks(self) -> "AvailabilityWebhooks":
        """Applies availability events of signed webhooks, each once."""
        from chalicelib.services.availability import AvailabilityWebhooks
        from chalicelib.tables.sending import WebhooksTable

        table = WebhooksTable(self.client("dynamodb"), self.settings.sending_table)
        return AvailabilityWebhooks(self.availabilities, table, self.clock_ms)

    @cached_property
    def source_secrets(self) -> "SourceSecrets":
        """The secrets of other systems that send stock events."""
        from chalicelib.inbound.sources import SourceSecrets

        return SourceSecrets(lambda: self.secret(self.settings.source_secrets), self.clock_ms)

    @cached_property
    def inbound_events(self) -> "InboundEvents":
        """Applies the stock events of other systems."""
        from chalicelib.services.inbound import InboundEvents

        return InboundEvents(self.events, self.availabilities, self.webhooks, self.clock_ms, self.new_id)

    @cached_property
    def reconciliation(self) -> "Reconciliation":
        """Compares the stock lists of other systems with the shop's stock."""
        from chalicelib.outbound.fetching import HttpsFetcher
        from chalicelib.services.reconciliation import Reconciliation, StockLists

        lists = StockLists(HttpsFetcher(), self.clock_ms)
        return Reconciliation(self.events, self.products, self.inbound_events, lists, self.clock_ms)

    def stock_accounts(self) -> "dict[str, SourceAccount]":
        """Return the accounts by which stock lists are fetched, as they are stored now."""
        from chalicelib.services.reconciliation import accounts_of

        return accounts_of(self.secret(self.settings.known("stock_accounts_secret")))
