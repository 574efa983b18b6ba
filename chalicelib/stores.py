"""Settings, clients, and the tables, buckets and queues that they open: the container's first half."""

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

from chalicelib.aws.services import Aws
from chalicelib.settings import Keys, Settings, clock_ms, new_id, read_keys
from chalicelib.tables.entries import EntriesTable

if TYPE_CHECKING:
    from chalicelib.domain.tokens import FormTokens, LinkTokens
    from chalicelib.queues import ConfirmationsQueue, RetriesQueue, WavesQueue
    from chalicelib.storage import Cdn, ThemeStore
    from chalicelib.tables.demand import DemandTable
    from chalicelib.tables.inbound import EventsTable
    from chalicelib.tables.merchant import MerchantTable
    from chalicelib.tables.merchant_actions import ActionsTable
    from chalicelib.tables.products import DomainListsTable, ProductsTable, RecentProducts
    from chalicelib.tables.reports import ReportsTable
    from chalicelib.tables.sending import AccessLogTable
    from chalicelib.tables.sending.deliverability import DeliverabilityTable
    from chalicelib.tables.sending.rate import SendingRateTable
    from chalicelib.tables.sending.waves import PoliciesTable, ProgressTable
    from chalicelib.tables.shards import RestocksTable, ShardsTable
    from chalicelib.tables.suppressions import ShoppersTable, SuppressionsTable

    class ClientFactory(Protocol):
        """Makes a client of an AWS service by its boto3 name. `attempts_max` counts the first try."""

        def __call__(self, service: str, *, attempts_max: int = ...) -> Any: ...


CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 10
# A function that is called for its answer runs for up to 20 s.
READ_TIMEOUTS_S = {"lambda": 30}
ATTEMPTS_MAX = 4
THEME_MAX_AGE_MS = 10_000


def boto3_client(service: str, *, attempts_max: int = ATTEMPTS_MAX) -> Any:
    """Return a boto3 client that gives up before Lambda does."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUTS_S.get(service, READ_TIMEOUT_S),
        retries={"mode": "standard", "total_max_attempts": attempts_max},
        # A fifth of the SDK's time; tests run with it on.
        parameter_validation=False,
    )
    # The stubs know each service by a literal name of its own.
    return boto3.client(service, config=config)  # type: ignore[call-overload]


class Stores:
    """Opens each table, bucket and queue once, when it is first needed.

    `read_settings` is called when the first property needs a setting. `clients` makes each client once.
    `aws` is AWS without the SDK, for a signup's calls; None sends them through `clients` too.
    """

    def __init__(
        self,
        read_settings: Callable[[], Settings],
        clients: "ClientFactory" = boto3_client,
        *,
        aws: Aws | None = None,
        clock_ms: Callable[[], int] = clock_ms,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        self._read_settings = read_settings
        self._make_client = clients
        self._clients: dict[tuple[str, int], Any] = {}
        self.aws = aws
        self.clock_ms = clock_ms
        self.new_id = new_id

    @classmethod
    def of_lambda(cls, clients: "ClientFactory" = boto3_client) -> Self:
        """Return the container of a Lambda function: settings and credentials come from its environment."""
        return cls(lambda: Settings.from_environment(os.environ), clients, aws=Aws(os.environ))

    # ---- What everything is made from ----

    @cached_property
    def settings(self) -> Settings:
        """The names of what the stack made, read once."""
        return self._read_settings()

    def client(self, service: str, *, attempts_max: int = ATTEMPTS_MAX) -> Any:
        """Return the client of an AWS service, the same for every call. `attempts_max` counts the first."""
        key = (service, attempts_max)
        if key not in self._clients:
            self._clients[key] = self._make_client(service, attempts_max=attempts_max)
        return self._clients[key]

    def secret(self, secret_id: str) -> str:
        """Return the text of a secret as it is now."""
        return str(self.client("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"])

    @cached_property
    def _signup_dynamodb(self) -> Any:
        return self.aws.dynamodb() if self.aws else self.client("dynamodb")

    @cached_property
    def keys(self) -> Keys:
        """The shop's secrets, which a signup needs."""
        secrets = self.aws.secrets_manager() if self.aws else self.client("secretsmanager")
        return read_keys(secrets, self.settings.signing_keys_secret)

    @cached_property
    def links(self) -> "LinkTokens":
        """Signs and reads the links in emails."""
        from chalicelib.domain.tokens import LinkTokens

        return LinkTokens(self.keys.signing, self.clock_ms)

    def form_tokens(self) -> "FormTokens":
        """Return what signs and reads the tokens of forms, as of now."""
        from chalicelib.domain.tokens import FormTokens

        return FormTokens.of(self.keys.identity, at_ms=self.clock_ms())

    # ---- Tables, buckets and queues ----

    @cached_property
    def entries(self) -> EntriesTable:
        """The entries of shoppers."""
        return EntriesTable(self.client("dynamodb"), self.settings.entries_table)

    @cached_property
    def shoppers(self) -> "ShoppersTable":
        """Every row about one shopper."""
        from chalicelib.tables.suppressions import ShoppersTable

        return ShoppersTable(self.client("dynamodb"), self.settings.entries_table)

    @cached_property
    def shards(self) -> "ShardsTable":
        """The entries that wait for a variant, in order."""
        from chalicelib.tables.shards import ShardsTable

        names = self.settings
        return ShardsTable(self.client("dynamodb"), names.entries_table, names.suppressions_table)

    @cached_property
    def suppressions(self) -> "SuppressionsTable":
        """The shoppers that get no email."""
        from chalicelib.tables.suppressions import SuppressionsTable

        return SuppressionsTable(self.client("dynamodb"), self.settings.suppressions_table)

    @cached_property
    def events(self) -> "EventsTable":
        """Events of other systems, and the SKUs of their ids."""
        from chalicelib.tables.inbound import EventsTable

        return EventsTable(self.client("dynamodb"), self.settings.events_table)

    @cached_property
    def merchants(self) -> "MerchantTable":
        """The merchants, their sessions and their sign-in links."""
        from chalicelib.tables.merchant import MerchantTable

        return MerchantTable(self.client("dynamodb"), self.settings.merchant_table)

    @cached_property
    def report_rows(self) -> "ReportsTable":
        """The restocks that were opened, the clicks of their emails, and their orders."""
        from chalicelib.tables.reports import ReportsTable

        return ReportsTable(self.client("dynamodb"), self.settings.merchant_table)

    @cached_property
    def products(self) -> "ProductsTable":
        """The catalogue and its stock."""
        from chalicelib.tables.products import ProductsTable

        return ProductsTable(self.client("dynamodb"), self.settings.products_table)

    @cached_property
    def recent_products(self) -> "RecentProducts":
        """Products as of a few seconds ago, for emails and pages that only name them."""
        from chalicelib.tables.products import RecentProducts

        return RecentProducts(self.products, self.clock_ms)

    @cached_property
    def domain_lists(self) -> "DomainListsTable":
        """Lists of email domains that the shop refuses, read by signups."""
        from chalicelib.tables.products import DomainListsTable

        return DomainListsTable(self._signup_dynamodb, self.settings.products_table)

    @cached_property
    def restocks(self) -> "RestocksTable":
        """The restocks that were opened."""
        from chalicelib.tables.shards import RestocksTable

        return RestocksTable(self.client("dynamodb"), self.settings.restocks_table)

    @cached_property
    def progress(self) -> "ProgressTable":
        """The figures of each restock's fan-out."""
        from chalicelib.tables.sending.waves import ProgressTable

        return ProgressTable(self.client("dynamodb"), self.settings.sending_table)

    @cached_property
    def policies(self) -> "PoliciesTable":
        """The wave policies."""
        from chalicelib.tables.sending.waves import PoliciesTable

        return PoliciesTable(self.client("dynamodb"), self.settings.sending_table)

    @cached_property
    def sending_rate(self) -> "SendingRateTable":
        """The row that holds all workers together to what SES allows."""
        from chalicelib.tables.sending.rate import SendingRateTable

        return SendingRateTable(self.client("dynamodb"), self.settings.sending_table)

    @cached_property
    def deliverability(self) -> "DeliverabilityTable":
        """The outcomes of emails, by entry and by day."""
        from chalicelib.tables.sending.deliverability import DeliverabilityTable

        names = self.settings
        return DeliverabilityTable(self.client("dynamodb"), names.entries_table, names.sending_table)

    @cached_property
    def demand(self) -> "DemandTable":
        """The people who wait, counted by SKU."""
        from chalicelib.tables.demand import DemandTable

        return DemandTable(self.client("dynamodb"), self.settings.demand_table)

    @cached_property
    def themes(self) -> "ThemeStore":
        """The live theme."""
        from chalicelib.storage import ThemeStore

        return ThemeStore(self.client("s3"), self.settings.release_bucket)

    @cached_property
    def recent_themes(self) -> "ThemeStore":
        """The live theme as of a few seconds ago: for emails and answers, never to refresh pages with."""
        from chalicelib.storage import ThemeStore

        bucket = self.settings.release_bucket
        return ThemeStore(self.client("s3"), bucket, fresh_for_ms=THEME_MAX_AGE_MS, clock_ms=self.clock_ms)

    @cached_property
    def cdn(self) -> "Cdn":
        """The distribution, for invalidations."""
        from chalicelib.storage import Cdn

        return Cdn(self.client("cloudfront"), self.settings.known("distribution_id"))

    @cached_property
    def confirmations_queue(self) -> "ConfirmationsQueue":
        """The queue of emails that shoppers requested."""
        from chalicelib.queues import ConfirmationsQueue

        names = self.settings
        return ConfirmationsQueue(
            self.client("sqs"), names.confirmations_queue_url, visit_s=names.confirmation_delay_s
        )

    @cached_property
    def retries_queue(self) -> "RetriesQueue":
        """The queue of retries that merchants ask for."""
        from chalicelib.queues import RetriesQueue

        return RetriesQueue(self.client("sqs"), self.settings.known("retries_queue_url"))

    @cached_property
    def merchant_actions_table(self) -> "ActionsTable":
        """The answers of merchants' actions, and the last retries."""
        from chalicelib.tables.merchant_actions import ActionsTable

        return ActionsTable(self.client("dynamodb"), self.settings.merchant_table)

    @cached_property
    def access_log(self) -> "AccessLogTable":
        """The log of accesses to people's data."""
        from chalicelib.tables.sending import AccessLogTable

        return AccessLogTable(self.client("dynamodb"), self.settings.sending_table)

    @cached_property
    def waves_queue(self) -> "WavesQueue":
        """The queue of fan-out steps."""
        from chalicelib.queues import WavesQueue

        return WavesQueue(self.client("sqs"), self.settings.waves_queue_url)
