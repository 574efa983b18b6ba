"""The tables of a shop over one client, and the services of its fan-out: what shops in memory share."""

from collections.abc import Callable
from itertools import count
from typing import Any

from chalicelib.domain.entry import shards_of
from chalicelib.domain.stock import Restock
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.fan_out.notifier import Notifier
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.services.fan_out.restocking import FanOutStore, Restocking
from chalicelib.services.fan_out.walks import walks_by_message
from chalicelib.services.fan_out.worker import FanOutWorker
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.sending import LeasesTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import PoliciesTable, Progress, ProgressTable
from chalicelib.tables.shards import RestocksTable, ShardsTable
from chalicelib.tables.suppressions import SuppressionsTable
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.fakes import FakeAccount, FakeSender, FakeWavesQueue

TABLES = (
    "EntriesTable",
    "ProductsTable",
    "RestocksTable",
    "SuppressionsTable",
    "SendingTable",
    "DemandTable",
)
# As the stack sets it on the waves queue.
VISIBILITY_TIMEOUT_S = 120


class ShopTables:
    """The real tables over a client. `names` has the name of each by its logical id in the template."""

    def __init__(self, client: Any, names: dict[str, str], *, sleep: Callable[[float], None]) -> None:
        entries, sending = names["EntriesTable"], names["SendingTable"]
        suppressions = names["SuppressionsTable"]
        self.entries = EntriesTable(client, entries)
        self.products = ProductsTable(client, names["ProductsTable"])
        self.restocks = RestocksTable(client, names["RestocksTable"])
        self.suppressions = SuppressionsTable(client, suppressions)
        self.shards = ShardsTable(client, entries, suppressions, sleep=sleep)
        self.leases = LeasesTable(client, sending)
        self.progress = ProgressTable(client, sending)
        self.policies = PoliciesTable(client, sending)
        self.rate_table = SendingRateTable(client, sending)


class ShopBase(ShopTables):
    """Tables for a test to look at, and a fan-out with a clock, a sender, a queue and an account it controls.

    `client` is the test's own; workers use `worker_client`, which may fail.
    """

    def __init__(
        self,
        clock: Clock,
        composer: Callable[[], EmailComposer],
        *,
        client: Any,
        worker_client: Any = None,
    ) -> None:
        self.clock, self.dynamodb = clock, client
        self.table_names = {table: create_table(client, table) for table in TABLES}
        self.entries_name, self.sending_name = (
            self.table_names["EntriesTable"],
            self.table_names["SendingTable"],
        )
        super().__init__(client, self.table_names, sleep=clock.pass_s)
        at_work = ShopTables(worker_client or client, self.table_names, sleep=clock.pass_s)
        self.sender, self.queue, self.account = FakeSender(), FakeWavesQueue(clock), FakeAccount()
        self.alarms: list[str] = []
        self.alarm_subjects: list[str] = []
        self.rate_limiter = RateLimiter(at_work.rate_table, self.account, clock, clock.pass_s, self._ring)
        self.restocking = Restocking(
            at_work.products, at_work.restocks, at_work.progress, at_work.policies, self.queue
        )
        store = FanOutStore(
            at_work.entries,
            at_work.shards,
            at_work.products,
            at_work.restocks,
            at_work.progress,
            at_work.leases,
        )
        self.notifier = Notifier(store, composer, self.sender, self.rate_limiter, self.queue, clock)
        walks = walks_by_message(store, self.rate_limiter, self.notifier, clock)
        ids = count(1)
        self.fan_out = FanOutWorker(
            walks, store, self.queue, clock, lambda: f"worker-{next(ids)}", lambda: 0.5
        )

    def use_sender(self, sender: FakeSender) -> None:
        """Send by another sender from now on."""
        self.sender = self.notifier._sender = sender

    def progress_so_far(self, restock: Restock) -> Progress:
        """Return the counters of a restock."""
        return self.progress.of(restock.id, shards_of(restock.sku))

    def _ring(self, subject: str, text: str) -> None:
        self.alarm_subjects.append(subject)
        self.alarms.append(text)
