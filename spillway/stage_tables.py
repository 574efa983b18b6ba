"""The tables of a stage, as its stack names them."""

from dataclasses import dataclass

from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import PoliciesTable, ProgressTable
from chalicelib.tables.shards import ShardsTable
from spillway.stage import Stage


@dataclass(frozen=True, slots=True)
class StageTables:
    """What an operator's commands read and write."""

    products: ProductsTable
    shards: ShardsTable
    restocks: RestocksTable
    progress: ProgressTable
    policies: PoliciesTable
    pace: SendingRateTable
    health: DeliverabilityTable

    @classmethod
    def of(cls, stage: Stage) -> "StageTables":
        """The tables of `stage`.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        names, client = stage.outputs(), stage.client("dynamodb")
        entries, sending = names["EntriesTable"], names["SendingTable"]
        return cls(
            ProductsTable(client, names["ProductsTable"]),
            ShardsTable(client, entries, names["SuppressionsTable"]),
            RestocksTable(client, names["RestocksTable"]),
            ProgressTable(client, sending),
            PoliciesTable(client, sending),
            SendingRateTable(client, sending),
            DeliverabilityTable(client, entries, sending),
        )
