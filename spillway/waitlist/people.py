"""Show, export and erase everything a stage stores about one person, and log each such access.

A row of the access log has the operator, the command, the time and the shopper's id, never an address. It is
written before anything is shown or changed: a command that cannot be logged does nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.address import Address
from chalicelib.domain.entry import EntryState, shards_of
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import EVERYONE
from chalicelib.tables.entries import COUNTER_PREFIX
from chalicelib.tables.expressions import Attr
from chalicelib.tables.sending import Row
from chalicelib.tables.suppressions import plain
from chalicelib.tables.table import Table
from spillway.merchant.waitlist_report import RESTOCKS_SHOWN_MAX
from spillway.waitlist.rows import PeopleTables
from spillway.waitlist.timeline import Facts

# Kinds of email that leave at anybody's asking, each with a cap of its own.
BUDGETS = ("confirm", "my-waitlists")


@dataclass(frozen=True, slots=True)
class Person:
    """Everything stored of one person.

    Args:
        shopper: the id.
        facts: one for each entry, in the order of SKUs.
        mailbox: the row of suppressions, by attribute: a suppression where it has a `reason`, else history.
        requested: times in ms of emails asked for within the last day or two, by kind.
    """

    shopper: str
    facts: tuple[Facts, ...]
    mailbox: Mapping[str, str | int]
    requested: Mapping[str, tuple[int, ...]]

    @property
    def is_known(self) -> bool:
        """Return whether anything is stored."""
        return bool(self.facts or self.mailbox or self.requested)

    @property
    def is_suppressed(self) -> bool:
        """Return whether the person must not be emailed."""
        return "reason" in self.mailbox

    def document(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "shopper": self.shopper,
            "suppressed": self.is_suppressed,
            "mailbox": dict(self.mailbox),
            "requested_emails": {kind: list(times) for kind, times in self.requested.items()},
            "entries": [
                {**plain(fact.known.item), "position": fact.position} for fact in self.facts if fact.known
            ],
        }


class People:
    """Looks people up."""

    def __init__(self, tables: PeopleTables) -> None:
        self._tables = tables

    def person(self, address: Address) -> Person:
        """Return everything that is stored of the person at `address`. Changes nothing."""
        shopper = address.shopper_id(self._tables.identity_key)
        kept = self._tables.shoppers.kept(shopper)
        return Person(
            shopper,
            tuple(self.facts(shopper, item.entry.sku) for item in kept),
            self._tables.mailbox(shopper),
            self._requested(address),
        )

    def facts(self, shopper: str, sku: str) -> Facts:
        """Return everything that is stored of a shopper and an SKU. Changes nothing."""
        tables, stage = self._tables, self._tables.stage
        known = tables.entries.get(shopper, sku)
        restocks = stage.restocks.newest(sku, most=RESTOCKS_SHOWN_MAX)
        stocked, sold = self._product(sku, restocks)
        waits = known is not None and known.entry.state is EntryState.CONFIRMED
        state, mailbox = stage.sending_rate.state(), tables.mailbox(shopper)
        return Facts(
            shopper=shopper,
            sku=sku,
            known=known,
            # The confirmation of a shopper who is being retried lifts the suppression: it is in nobody's way.
            suppression=mailbox if "reason" in mailbox and "retrying" not in mailbox else {},
            stocked=stocked,
            sold=sold,
            restocks=restocks,
            progress={restock.id: stage.progress.of(restock.id, shards_of(sku)) for restock in restocks},
            wave=stage.progress.wave(sku),
            policy=stage.policies.of(stocked.product.slug) if stocked else EVERYONE,
            paused=state.paused if state else None,
            position=stage.shards.count(sku, upto=known.entry.position or "") if waits and known else None,
            waiting=stage.shards.count(sku) if waits else 0,
        )

    def erase(self, shopper: str) -> int:
        """Delete every row of a shopper, and return their number; a suppression stays, as an id."""
        return self._tables.shoppers.erase(shopper)

    def _product(self, sku: str, restocks: tuple[Restock, ...]) -> tuple[StockedProduct | None, bool]:
        """Return the product of an SKU and true; the one it was of, as far as it is known, and false."""
        products = self._tables.stage.products
        slug = products.slug_of(sku)
        stocked = products.get(slug) if slug else None
        if stocked is not None and sku in stocked.product.skus:
            return stocked, True
        if restocks:
            return products.get(restocks[0].slug), False
        # A product's stock keeps SKUs that the catalogue has dropped.
        return next((item for item in products.scan() if sku in item.stock), None), False

    def _requested(self, address: Address) -> dict[str, tuple[int, ...]]:
        inbox = address.inbox_id(self._tables.identity_key)
        keys = [{"shopper": inbox, "sku": f"{COUNTER_PREFIX}asked#{budget}"} for budget in BUDGETS]
        items = Table(self._tables.client, self._tables.entries_name).batch_get(keys, ["sku", "times"])
        found = {item["sku"].rpartition("#")[2]: tuple(map(int, item["times"].split())) for item in items}
        return {kind: times for kind, times in found.items() if times}


KEPT_S = 400 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """One use of a command. `subject` is a shopper's id, or a digest of the file or the SKUs it was about."""

    at_ms: int
    operator: str
    command: str
    subject: str


class AccessLog:
    """Rows `access#TIME#ID` of the sending table."""

    def __init__(self, client: Any, name: str, operator: str, new_id: Callable[[], str]) -> None:
        self.table = Table(client, name)
        self._operator = operator
        self._new_id = new_id

    def note(self, command: str, subject: str, *, at_ms: int) -> None:
        """Write down that `command` is used about `subject` now."""
        self.table.put(
            {
                **Row.ACCESS.key(f"{at_ms:013d}#{self._new_id()}"),
                "at_ms": at_ms,
                "operator": self._operator,
                "command": command,
                "subject": subject,
                "expires_at_s": at_ms // 1000 + KEPT_S,
            }
        )


def read_access(client: Any, name: str) -> list[Access]:
    """Return every use that is kept, the oldest first: reads the whole sending table."""
    return sorted(_rows(client, name), key=lambda access: access.at_ms)


def _rows(client: Any, name: str) -> Iterator[Access]:
    for item in Table(client, name).scan(Attr("id").begins_with(Row.ACCESS)):
        yield Access(item["at_ms"], item["operator"], item["command"], item["subject"])
