"""The tables of a stage, as its stack names them."""

from dataclasses import dataclass

from chalicelib.tables.health import HealthTable
from chalicelib.tables.line import LineTable
from chalicelib.tables.pace import PaceTable
from chalicelib.tables.policies import PoliciesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.progress import ProgressTable
from chalicelib.tables.restocks import RestocksTable
from spillway.deploy.stage import Stage


@dataclass(frozen=True, slots=True)
class StageTables:
    """What an operator's commands read and write."""

    products: ProductsTable
    line: LineTable
    restocks: RestocksTable
    progress: ProgressTable
    policies: PoliciesTable
    pace: PaceTable
    health: HealthTable

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
            LineTable(client, entries, names["SuppressionsTable"]),
            RestocksTable(client, names["RestocksTable"]),
            ProgressTable(client, sending),
            PoliciesTable(client, sending),
            PaceTable(client, sending),
            HealthTable(client, entries, sending),
        )
