"""Show, export and erase everything a stage stores about one person, and log each such access.

Each stored fact about a person and one SKU is a line of a timeline, which names the row it is read from by
table and key. A key has the shopper's id, never the address.

A row of the access log has the operator, the command, the time and the shopper's id, never an address. It is
written before anything is shown or changed: a command that cannot be logged does nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.entry import Arrival, EntryState, shards_of
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.stock import Restock, Stock, StockedProduct
from chalicelib.domain.wave import EVERYONE, WaveBudget, WavePolicy
from chalicelib.services.fan_out.report import RESTOCKS_SHOWN_MAX
from chalicelib.tables.entries import COUNTER_PREFIX
from chalicelib.tables.sending.waves import Progress
from chalicelib.tables.suppressions import plain
from spillway.merchant.rows import EntryRows, KnownEntry
from spillway.terminal import pluralize

# Kinds of email that leave at anybody's asking, each with a cap of its own.
BUDGETS = ("confirm", "my-waitlists")


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One fact: when it came about (None: so it is now), and the row it stands in."""

    at_ms: int | None
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is stored about one shopper and one SKU.

    Args:
        shopper: the shopper's id.
        sku: the SKU.
        known: the entry; None when there is none.
        suppression: the row of a suppression by attribute; empty where the shopper is not suppressed.
        stocked: the product of the SKU, or the one it was of; None where none is known.
        sold: whether the shop still sells it.
        restocks: its restocks, newest first.
        progress: how far the emails about each restock are, by its id.
        wave: the budget of its limited waves.
        policy: the wave policy that counts for the next restock.
        paused: why sending is paused; None when it is not.
        position: how many stand in line up to this entry, itself included; None when it does not wait.
        waiting: how many wait for it.
    """

    shopper: ShopperId
    sku: Sku
    known: KnownEntry | None
    suppression: Mapping[str, str | int]
    stocked: StockedProduct | None
    sold: bool
    restocks: tuple[Restock, ...]
    progress: Mapping[str, Progress]
    wave: WaveBudget
    policy: WavePolicy
    paused: str | None
    position: int | None
    waiting: int

    @property
    def stock(self) -> Stock | None:
        """The stock of the SKU as last observed; None where none is known."""
        return self.stocked.stock.get(self.sku) if self.stocked else None

    @property
    def live(self) -> Restock | None:
        """The newest restock; None when there was none."""
        return self.restocks[0] if self.restocks else None

    @property
    def entry_row(self) -> str:
        """The row of the entry."""
        return f"entries shopper={self.shopper} sku={self.sku}"


def timeline(facts: Facts) -> tuple[HistoryLine, ...]:
    """Return all lines about a person and a SKU by time; those without a time come last."""
    lines = [*entry_lines(facts), *_restock_lines(facts), *_suppression_lines(facts), *_lines_of_now(facts)]
    lines.sort(key=lambda line: (line.at_ms is None, line.at_ms or 0))
    return tuple(lines)


def entry_lines(facts: Facts) -> Iterator[HistoryLine]:
    """Yield what the entry's own row says, in no order."""
    known = facts.known
    if known is None:
        return
    yield HistoryLine(known.entry.signed_up_at_ms, _signup_words(known), facts.entry_row)
    confirmed_at_ms, expires_at_s = known.number("confirmed_at_ms"), known.entry.expires_at_s
    if confirmed_at_ms is not None and not known.text("consent_file_sha256"):
        yield HistoryLine(confirmed_at_ms, "confirmed the address", facts.entry_row)
    if expires_at_s is not None and known.entry.state is EntryState.PENDING:
        yield HistoryLine(expires_at_s * 1000, "the confirmation link ends", facts.entry_row)
    arrived_at_ms = known.entry.arrived_at_ms
    if arrived_at_ms is not None:
        came = f"moved here from {known.text('moved_from')}" if known.text("moved_from") else "imported"
        waits = ", to wait for the next restock" if known.entry.arrival is Arrival.NEXT_RESTOCK else ""
        yield HistoryLine(arrived_at_ms, f"{came}{waits}", facts.entry_row)
    notified_at_ms, unsubscribed_at_ms = known.number("notified_at_ms"), known.number("unsubscribed_at_ms")
    if notified_at_ms is not None:
        said = f"email about restock {known.text('restock_id')}: {known.text('delivery')}"
        message_id = known.text("message_id")
        yield HistoryLine(
            notified_at_ms, f"{said}, message {message_id}" if message_id else said, facts.entry_row
        )
    feedback_at_ms = known.number("feedback_sent_at_ms")
    if feedback_at_ms is not None:
        said = f"its mail server's answer to the email sent then: {known.text('feedback')}"
        yield HistoryLine(feedback_at_ms, said.replace("_", " "), facts.entry_row)
    if unsubscribed_at_ms is not None:
        moved_to = known.text("moved_to")
        yield HistoryLine(
            unsubscribed_at_ms, f"moved to {moved_to}" if moved_to else "off the waitlist", facts.entry_row
        )
    put_off, _, deferred_position = known.text("deferred_for").rpartition("@")
    if put_off and deferred_position == known.entry.position:
        yield HistoryLine(None, f"email about restock {put_off} put off by its mailbox", facts.entry_row)


def _signup_words(known: KnownEntry) -> str:
    sha256 = known.text("consent_file_sha256")
    if not sha256:
        return f"signed up on {known.entry.page}"
    tool = known.text("consent").partition(":")[2]
    there = "elsewhere" if tool in {"", "csv"} else f"in {tool}"
    return f"asked {there}: row {known.number('consent_row')} of the file {sha256[:12]}"


def _restock_lines(facts: Facts) -> Iterator[HistoryLine]:
    # A restock before somebody asked is none of theirs, but for the one that is live.
    since_ms = waits_since_ms(facts.known) if facts.known else 0
    for place, restock in enumerate(facts.restocks):
        if place and restock.opened_at_ms < since_ms:
            continue
        done = facts.progress.get(restock.id, Progress())
        words = [f"restock {restock.id}", f"{counted_units(restock.units)}", _policy(restock.policy)]
        words.append(f"{done.notified:,} notified")
        words += [f"{done.deferred_now:,} deferred"] if done.deferred_now > 0 else []
        words += [f"{done.given_up:,} given up"] if done.given_up > 0 else []
        opened = f"{restock.observed_at_ms:013d}#{restock.version:012d}#{restock.id}"
        yield HistoryLine(
            restock.opened_at_ms, ", ".join(words), f"restocks sku={restock.sku} opened={opened}"
        )


def _suppression_lines(facts: Facts) -> Iterator[HistoryLine]:
    if facts.suppression:
        since = facts.suppression.get("since_ms")
        at_ms = since if isinstance(since, int) else None
        said = f"suppressed: {in_words(facts.suppression.get('reason', ''))}"
        yield HistoryLine(at_ms, said, f"suppressions shopper={facts.shopper}")


def _lines_of_now(facts: Facts) -> Iterator[HistoryLine]:
    stock, stocked = facts.stock, facts.stocked
    if stock is not None and stocked is not None:
        sold = "" if facts.sold else "no longer sold, was last "
        said = f"{sold}{stock.availability}, {counted_units(stock.units)}"
        # At 0 no event was observed: the catalogue's own.
        yield HistoryLine(stock.observed_at_ms or None, said, f"products id=product#{stocked.product.slug}")
    if facts.known is None or facts.known.entry.state is not EntryState.CONFIRMED:
        return
    if facts.position is not None:
        place = f"position {facts.position:,} of {facts.waiting:,} on the waitlist"
        yield HistoryLine(None, place, f"{facts.entry_row} (index shard)")
    if stocked is not None:
        policy_row = f"sending id=policy#{stocked.product.slug}, else policy#"
        yield HistoryLine(None, f"wave policy for the next restock: {_policy(facts.policy)}", policy_row)
    if facts.wave.number:
        said = (
            f"wave {facts.wave.number}: {facts.wave.left:,} of {pluralize(facts.wave.granted, 'email')} left"
        )
        yield HistoryLine(None, said, f"sending id=wave#{facts.sku}")
    if facts.paused is not None:
        yield HistoryLine(None, f"sending is paused: {facts.paused}", "sending id=pace")


def waits_since_ms(known: KnownEntry) -> int:
    """Return since when an entry stands in line here."""
    confirmed = known.number("confirmed_at_ms") or known.entry.signed_up_at_ms
    return max(confirmed, known.entry.arrived_at_ms or 0)


def suppression_reason(facts: Facts) -> str:
    since, reason = (
        facts.suppression.get("since_ms"),
        in_words(facts.suppression.get("reason", "")) or "no reason",
    )
    return f"{reason}, since {when(since)}" if isinstance(since, int) else reason


def in_words(identifier: object) -> str:
    return str(identifier).replace("_", " ")


def counted_units(units: int | None) -> str:
    return "units not counted" if units is None else pluralize(units, "unit")


def _policy(policy: WavePolicy) -> str:
    if policy.emails_per_unit is None:
        everyone = "everyone at once"
        return f"{everyone}, from {policy.units_min} units" if policy.units_min > 1 else everyone
    said = f"{pluralize(policy.emails_per_unit, 'email')} a unit, every {policy.next_after_min} min"
    return f"{said}, from {policy.units_min} units" if policy.units_min > 1 else said


def when(at_ms: int) -> str:
    """Return a time as people and programs read it, to the second, in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Person:
    """Everything stored of one person.

    Args:
        shopper: the id.
        facts: one for each entry, in the order of SKUs.
        mailbox: the row of suppressions, by attribute: a suppression where it has a `reason`, else history.
        requested: times in ms of emails asked for within the last day or two, by kind.
    """

    shopper: ShopperId
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

    def __init__(self, tables: Container) -> None:
        self._tables = tables
        self._entries = EntryRows.of(tables)

    def person(self, address: Address) -> Person:
        """Return everything that is stored of the person at `address`. Changes nothing."""
        shopper = address.shopper_id(self._tables.keys.identity)
        kept = self._tables.shoppers.kept(shopper)
        return Person(
            shopper,
            tuple(self.facts(shopper, item.entry.sku) for item in kept),
            self._tables.suppressions.facts(shopper),
            self._requested(address),
        )

    def facts(self, shopper: ShopperId, sku: Sku) -> Facts:
        """Return everything that is stored of a shopper and an SKU. Changes nothing."""
        tables = self._tables
        known = self._entries.get(shopper, sku)
        restocks = tables.restocks.newest(sku, most=RESTOCKS_SHOWN_MAX)
        stocked, sold = self._product(sku, restocks)
        waits = known is not None and known.entry.state is EntryState.CONFIRMED
        state, mailbox = tables.sending_rate.state(), tables.suppressions.facts(shopper)
        return Facts(
            shopper=shopper,
            sku=sku,
            known=known,
            # The confirmation of a shopper who is being retried lifts the suppression: it is in nobody's way.
            suppression=mailbox if "reason" in mailbox and "retrying" not in mailbox else {},
            stocked=stocked,
            sold=sold,
            restocks=restocks,
            progress={restock.id: tables.progress.of(restock.id, shards_of(sku)) for restock in restocks},
            wave=tables.progress.wave(sku),
            policy=tables.policies.of(stocked.product.slug) if stocked else EVERYONE,
            paused=state.paused if state else None,
            position=tables.shards.count(sku, upto=known.entry.position or "") if waits and known else None,
            waiting=tables.shards.count(sku) if waits else 0,
        )

    def erase(self, shopper: ShopperId) -> int:
        """Delete every row of a shopper, and return their number; a suppression stays, as an id."""
        return self._tables.shoppers.erase(shopper)

    def _product(self, sku: Sku, restocks: tuple[Restock, ...]) -> tuple[StockedProduct | None, bool]:
        """Return the product of an SKU and true; the one it was of, as far as it is known, and false."""
        products = self._tables.products
        slug = products.slug_of(sku)
        stocked = products.get(slug) if slug else None
        if stocked is not None and sku in stocked.product.skus:
            return stocked, True
        if restocks:
            return products.get(restocks[0].slug), False
        # A product's stock keeps SKUs that the catalogue has dropped.
        return next((item for item in products.scan() if sku in item.stock), None), False

    def _requested(self, address: Address) -> dict[str, tuple[int, ...]]:
        inbox = address.inbox_id(self._tables.keys.identity)
        keys = [{"shopper": inbox, "sku": f"{COUNTER_PREFIX}requested#{budget}"} for budget in BUDGETS]
        items = self._entries.table.batch_get(keys, ["sku", "times"])
        found = {item["sku"].rpartition("#")[2]: tuple(map(int, item["times"].split())) for item in items}
        return {kind: times for kind, times in found.items() if times}
