"""The part of the container that builds the actions of the merchant's page.

As there, a property imports what it builds: a shopper's request pays for none of it.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.address import Address
    from chalicelib.domain.ids import ShopperId
    from chalicelib.domain.previews import PreviewTokens
    from chalicelib.services.availability import Availabilities
    from chalicelib.services.dead_letters import DeadLetters, QueueUrls
    from chalicelib.services.merchant_actions import MerchantActions
    from chalicelib.services.shopper_records import ShopperRecords


class MerchantParts(Stores):
    """Builds what a merchant acts with, over the tables and queues of `Stores`."""

    @cached_property
    def availabilities(self) -> "Availabilities":
        """Applies availability events."""
        from chalicelib.services.availability import Availabilities

        return Availabilities(self.products)

    @cached_property
    def preview_tokens(self) -> "PreviewTokens":
        """Signs the previews that merchants agree to."""
        from chalicelib.domain.previews import PreviewTokens

        return PreviewTokens(self.keys.signing, self.clock_ms)

    @cached_property
    def merchant_actions(self) -> "MerchantActions":
        """Previews and makes a merchant's changes of stock."""
        from chalicelib.services.merchant_actions import MerchantActions

        return MerchantActions(
            self.products, self.availabilities, self.policies, self.sending_rate, self.demand, self.clock_ms
        )

    @cached_property
    def shopper_records(self) -> "ShopperRecords":
        """Finds, erases and unblocks shoppers."""
        from chalicelib.services.shopper_records import ShopperRecords

        return ShopperRecords(self.shoppers, self.suppressions, self.keys.identity, self.clock_ms)

    def note_access(self, operator: str, command: str, shopper: "ShopperId") -> None:
        """Write down that a merchant (by id) is about to see or change a shopper's data."""
        from chalicelib.tables.sending import Access

        access = Access(self.clock_ms(), f"merchant {operator}", command, shopper)
        self.access_log.note(access, access_id=self.new_id()[:8])

    def take_off_ses_list(self, address: "Address") -> str:
        """Take an address off SES's own list, and return a sentence with the result."""
        from chalicelib.services.shopper_records import take_off_ses_list

        if self.settings.smtp_secret:
            return "not used by this stage"
        return take_off_ses_list(self.client("sesv2"), address)

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        """The failed jobs, to look at: the API's function may neither delete nor process one."""
        from chalicelib.services.dead_letters import DeadLetters

        return DeadLetters(self.client("sqs"), self._failed_queues())

    @cached_property
    def redriving(self) -> "DeadLetters":
        """The failed jobs, to process again."""
        from chalicelib.services.dead_letters import DeadLetters

        # A call that was cut off may have been carried out: no second attempt.
        functions = self.client("lambda", attempts_max=1)
        streams = self.client("dynamodbstreams")
        return DeadLetters(self.client("sqs"), self._failed_queues(), streams=streams, functions=functions)

    def _failed_queues(self) -> "Mapping[str, QueueUrls]":
        from chalicelib.services.dead_letters import QUEUES, QueueUrls

        names = self.settings
        sources = {
            "confirmations": names.confirmations_queue_url,
            "waves": names.waves_queue_url,
            "feedback": names.feedback_queue_url,
            "inbound": names.inbound_queue_url,
            "events": names.domain_events_queue_url,
            "webhooks": names.webhook_deliveries_queue_url,
            "traffic": names.traffic_queue_url,
        }
        dead = dict(zip(QUEUES, names.dead_letter_queue_urls, strict=True))
        return {queue: QueueUrls(url, sources.get(queue)) for queue, url in dead.items()}
