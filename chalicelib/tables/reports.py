"""Rows of the merchant table about restocks: when each was opened, clicks of its emails, and its orders.

    restock / TIME#TAG          a restock, so that the newest of all SKUs are one query
    click   / by#TAG#DIGEST     an email whose link was clicked: a second click changes nothing
    click   / of#TAG#N          the number of clicked emails, in four rows
    order   / by#DIGEST         an order line: a repeat changes nothing
    order   / of#TAG            the sums of a restock's order lines

A marker of a click has no shopper in it, only a digest that a click of the same email makes again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from zlib import crc32

from chalicelib.domain.reports import CLICKS_COUNTED_MS, Click, OrderLine, RestockRef, Sales
from chalicelib.tables.expressions import Attr, Item
from chalicelib.tables.merchant import IS_NEW, MerchantRowKind
from chalicelib.tables.table import CONDITION_NOT_MET, Put, Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT_S = 400 * 24 * 3600
MARKER_KEPT_S = CLICKS_COUNTED_MS // 1000 + 7 * 24 * 3600
# Shoppers click as fast as emails leave: four rows take thousands a second.
CLICK_ROWS = 4
TRIES_MAX = 4
_REVENUE = "revenue_"
_DIGITS = 32


class RowBusy(RuntimeError):
    """Others wrote to the same counter at each attempt; nothing of this was stored."""


class ReportsTable:
    """Writes and reads the rows of reports."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def note(self, restock: RestockRef) -> None:
        """Store that a restock was opened. A repeat changes nothing."""
        facts = {"id": restock.id, "sku": restock.sku, "slug": restock.slug}
        key = MerchantRowKind.RESTOCK.key(f"{restock.opened_at_ms:013d}#{restock.tag}")
        expiry = restock.opened_at_ms // 1000 + KEPT_S
        self.table.put({**key, **facts, "opened_at_ms": restock.opened_at_ms, "expires_at_s": expiry})

    def newest(self, limit: int) -> tuple[RestockRef, ...]:
        """Return the newest restocks of all SKUs, newest first (a strongly consistent read)."""
        rows, _ = self.table.query(Attr("kind").eq(MerchantRowKind.RESTOCK), limit=limit, newest_first=True)
        return tuple(map(_restock, rows))

    def all_restocks(self) -> Iterator[RestockRef]:
        """Yield every restock that is kept, oldest first (strongly consistent reads)."""
        return map(_restock, self.table.query_all(Attr("kind").eq(MerchantRowKind.RESTOCK)))

    def count_click(self, click: Click, *, at_ms: int) -> bool:
        """Count the email of a click; false when it was counted before.

        Raises:
            RowBusy: nothing was counted.
        """
        digest = _digest(click.restock_tag, click.shopper, click.sku)
        marker = MerchantRowKind.CLICK.key(f"by#{click.restock_tag}#{digest}")
        row = crc32(digest.encode()) % CLICK_ROWS
        return self._once(
            Put(self.table, {**marker, "expires_at_s": at_ms // 1000 + MARKER_KEPT_S}, IS_NEW),
            Update(
                self.table,
                MerchantRowKind.CLICK.key(f"of#{click.restock_tag}#{row}"),
                {"expires_at_s": at_ms // 1000 + KEPT_S},
                add={"clicks": 1},
            ),
        )

    def add_order(self, line: OrderLine, restock_tag: str | None, *, by_click: bool, at_ms: int) -> bool:
        """Store an order line and add it to its restock; false when it was stored before.

        Raises:
            RowBusy: nothing was stored.
        """
        expiry = {"expires_at_s": at_ms // 1000 + KEPT_S}
        facts = {
            "order_id": line.order_id,
            "sku": line.sku,
            "quantity": line.quantity,
            "amount_minor": line.amount_minor,
            "currency": line.currency,
            "ordered_at_ms": line.ordered_at_ms,
        }
        key = MerchantRowKind.ORDER.key(f"by#{_digest(line.order_id, line.sku)}")
        put = Put(self.table, {**key, **facts, **expiry}, IS_NEW)
        if restock_tag is None:
            return self._once(put)
        sums = {"orders": 1, "units": line.quantity, f"{_REVENUE}{line.currency}": line.amount_minor}
        by_click_too = {"by_click": 1} if by_click else {}
        return self._once(
            put,
            Update(
                self.table,
                MerchantRowKind.ORDER.key(f"of#{restock_tag}"),
                expiry,
                add={**sums, **by_click_too},
            ),
        )

    def counted(self, tags: Iterable[str]) -> tuple[Mapping[str, int], Mapping[str, Sales]]:
        """Return the clicked emails and the sales of restocks, by their tags (strongly consistent reads)."""
        wanted = tuple(dict.fromkeys(tags))
        keys = [MerchantRowKind.CLICK.key(f"of#{tag}#{row}") for tag in wanted for row in range(CLICK_ROWS)]
        keys += [MerchantRowKind.ORDER.key(f"of#{tag}") for tag in wanted]
        clicks = dict.fromkeys(wanted, 0)
        sales = dict.fromkeys(wanted, Sales())
        for row in self.table.batch_get(keys, ()):
            tag = row["key"].split("#")[1]
            if row["kind"] == MerchantRowKind.CLICK:
                clicks[tag] += int(row["clicks"])
            else:
                sales[tag] = _sales(row)
        return clicks, sales

    def _once(self, marker: Put, *others: Update) -> bool:
        for _ in range(TRIES_MAX):
            reasons = self.table.transact([marker, *others])
            if not reasons:
                return True
            if reasons[0] == CONDITION_NOT_MET:
                return False
        raise RowBusy(marker.item["kind"])


def _restock(row: Item) -> RestockRef:
    return RestockRef(row["id"], row["sku"], row["slug"], int(row["opened_at_ms"]))


def _sales(row: Item) -> Sales:
    revenue = {
        name.removeprefix(_REVENUE): int(value) for name, value in row.items() if name.startswith(_REVENUE)
    }
    return Sales(int(row["orders"]), int(row["units"]), int(row.get("by_click", 0)), revenue)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]
