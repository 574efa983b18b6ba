"""Stock: the availability of variants, events about it, and the restocks they open."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.domain.ids import Sku, Slug, sku_id
from chalicelib.domain.product import Product
from chalicelib.domain.wave import EVERYONE, WavePolicy


class Availability(StrEnum):
    """schema.org's ItemAvailability, the words a search engine reads too.

    COMING_SOON is the shop's own: a variant that was never on sale. The catalogue alone states it; the first
    event that puts the variant on sale ends it for good.
    """

    IN_STOCK = "InStock"
    OUT_OF_STOCK = "OutOfStock"
    PRE_ORDER = "PreOrder"
    BACK_ORDER = "BackOrder"
    DISCONTINUED = "Discontinued"
    COMING_SOON = "ComingSoon"

    can_buy: bool
    """True when the page says "buy"; any other state but Discontinued says "notify me"."""

    def __init__(self, word: str) -> None:
        # An attribute: a page asks some dozens of times.
        self.can_buy = word in {"InStock", "PreOrder", "BackOrder"}


# The words that an event may use, and a search engine reads.
SCHEMA_ORG_WORDS = tuple(word for word in Availability if word is not Availability.COMING_SOON)
_SCHEMA_ORG = re.compile(r"https?://schema\.org/")


@dataclass(frozen=True, slots=True)
class Stock:
    """The availability of one variant as last observed.

    `units` is None where the shop does not count. `observed_at_ms` orders events: an older one
    never changes a newer; `event_id` names the event of this state. `is_launch` is true from the moment a
    variant that was coming soon goes on sale until it cannot be bought. `version` counts the events
    stored for the variant, and `seen` are keys of the latest of them, by which a repeat is known.
    """

    availability: Availability
    units: int | None
    observed_at_ms: int
    event_id: str
    version: int = field(default=0, compare=False)
    seen: tuple[str, ...] = field(default=(), compare=False)
    is_launch: bool = False

    @property
    def units_on_offer(self) -> int | None:
        """The units that limit a wave's emails; None where orders have no limit.

        A pre-order or a back order without units has none.
        """
        takes_orders = self.availability in {Availability.PRE_ORDER, Availability.BACK_ORDER}
        return None if takes_orders and not self.units else self.units

    def is_shown_like(self, other: "Stock") -> bool:
        """Return whether a page says the same of both."""
        return (self.availability, self.units) == (other.availability, other.units)

    def restock(self, slug: Slug, sku: Sku, *, at_ms: int, policy: WavePolicy = EVERYONE) -> "Restock":
        """Return the restock that this stock is of a variant, written down by the cloud at `at_ms`.

        Its id is the shop's own: a merchant's event id may stand for several SKUs, or come again.
        """
        return Restock(
            id=f"{sku_id(sku)}:{self.version}:{self.event_id}",
            slug=slug,
            sku=sku,
            units=self.units_on_offer,
            observed_at_ms=self.observed_at_ms,
            opened_at_ms=max(self.observed_at_ms, at_ms),
            policy=policy,
            version=self.version,
        )


@dataclass(frozen=True, slots=True)
class StockedProduct:
    """A product and its stock, which may have variants that the catalogue dropped."""

    product: Product
    stock: Mapping[Sku, Stock]

    def can_buy(self, sku: Sku) -> bool:
        """Return whether the shop sells `sku` and has it in stock."""
        return sku in self.product.skus & self.stock.keys() and self.stock[sku].availability.can_buy

    def is_coming(self, sku: Sku) -> bool:
        """Return whether `sku` was never on sale."""
        return sku in self.stock and self.stock[sku].availability is Availability.COMING_SOON


@dataclass(frozen=True, slots=True)
class Restock:
    """An observed change to available, with an id of its own.

    `observed_at_ms` is the observer's clock and orders restocks; `opened_at_ms` is the cloud's own: shoppers
    that wait then are notified, in waves by the `policy` of that time, so a slow clock excludes none. If two
    have one time, the one with the later `version` of the stock is newer.
    """

    id: str
    slug: Slug
    sku: Sku
    units: int | None
    observed_at_ms: int
    opened_at_ms: int
    policy: WavePolicy = EVERYONE
    version: int = 0

    @property
    def tag(self) -> str:
        """The tag of its emails, by which SES's events name it."""
        return tag_of(self.id)

    @property
    def is_limited(self) -> bool:
        """True when its waves have a number of emails, and so one order over all shards."""
        return self.policy.emails_for(self.units) is not None


def tag_of(restock_id: str) -> str:
    """Return the tag of a restock's emails: its id may have characters that a tag of SES must not."""
    return hashlib.sha256(restock_id.encode()).hexdigest()[:32]


def restocks(
    slug: Slug,
    before: Mapping[Sku, Stock],
    after: Mapping[Sku, Stock],
    *,
    at_ms: int,
) -> tuple[Restock, ...]:
    """Return the restocks of product `slug` between two states of its stock, the later stored at `at_ms`.

    Units added to a variant that was still available are a restock too, for shoppers that an earlier, smaller
    delivery did not reach. A new variant is none: no shopper can wait for it.
    """
    return tuple(
        stock.restock(slug, sku, at_ms=at_ms)
        for sku, stock in sorted(after.items())
        if sku in before and is_restock(before[sku], stock)
    )


def is_restock(before: Stock, after: Stock) -> bool:
    """Return whether a variant that was `before` and is `after` became available, or there are more of it.

    From a pre-order or a back order to in stock is a restock as well, and so are counted units that turn to
    orders without a number: a limited policy kept silent about few units, everybody can order now. A variant
    that was for sale without a number and is counted from now on has not become more.
    """
    if not after.availability.can_buy:
        return False
    arrived = after.availability is Availability.IN_STOCK and before.availability is not Availability.IN_STOCK
    if arrived or not before.availability.can_buy:
        return True
    was, now = before.units_on_offer, after.units_on_offer
    if was is None:
        return False
    return now > was if now is not None else after.availability is not before.availability


UNITS_MAX = 1_000_000
EVENT_ID_CHARS_MAX = 100
# Clocks differ; an event from the far future would shut out every later one.
AHEAD_MS_MAX = 5 * 60 * 1000
# A clock of whole seconds cannot say more; events of one second have the order in which they arrive.
CLOCK_STEP_MS = 1000
# Events of one moment that are known when they come again.
SEEN_MAX = 16
_KEY_CHARS = 12


class EventOutcome(StrEnum):
    """The outcome of an event."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OLDER = "older"
    BUSY = "busy"
    REPLAYED = "replayed"
    UNKNOWN_SKU = "unknown_sku"


@dataclass(frozen=True, slots=True)
class AvailabilityEvent:
    """An observation of a variant's stock. `id` identifies a repeat, `observed_at_ms` orders events.

    `by_arrival`: the event has no time of its own and counts as of its arrival, after every earlier one.
    `by_units`: the event names no availability, so with no unit left the catalogue decides.
    """

    id: str
    sku: Sku
    availability: Availability
    units: int | None
    observed_at_ms: int
    by_arrival: bool = False
    by_units: bool = False

    @property
    def is_counted_out(self) -> bool:
        """True when the event counts no unit and names no availability: the catalogue then decides."""
        return self.by_units and self.units == 0

    def applied_to(self, known: Stock, when_sold_out: Availability | None = None) -> "AppliedEvent":
        """Return what this event makes of the stock that is known of its variant.

        Decided by arrival, never by ids as text: of two events of one time the later to arrive counts. An
        exact repeat (id, availability, units, and the time where one was named) changes nothing.
        """
        if self._repeats(known):
            return AppliedEvent(EventOutcome.UNCHANGED, known, write=False)
        at_ms = max(self.observed_at_ms, known.observed_at_ms + self.by_arrival)
        if not self.by_arrival and self._latest_ms < known.observed_at_ms:
            return AppliedEvent(EventOutcome.OLDER, known, write=False)
        seen = known.seen if at_ms < known.observed_at_ms + CLOCK_STEP_MS else ()
        availability = self.availability_after(known.availability, when_sold_out)
        was_launching = known.is_launch or known.availability is Availability.COMING_SOON
        stock = Stock(
            availability,
            self.units,
            at_ms,
            self.id,
            known.version + 1,
            (*seen, self._key)[-SEEN_MAX:],
            is_launch=was_launching and availability.can_buy,
        )
        outcome = EventOutcome.UNCHANGED if stock.is_shown_like(known) else EventOutcome.CHANGED
        # Stored even if nothing changes: earlier observations are older from now on.
        return AppliedEvent(outcome, stock, write=True)

    def availability_after(
        self, known: Availability, when_sold_out: Availability | None = None
    ) -> Availability:
        """Return the availability that this event makes of a `known` one.

        A variant that was never on sale cannot sell out, and a count of it is goods that have arrived before
        their launch: it stays coming soon until an event names an availability to buy, or its end. A launch
        emails everybody who waits, so no count starts one by accident.
        """
        is_sold_out = self.availability is Availability.OUT_OF_STOCK
        if known is Availability.COMING_SOON and (self.by_units or is_sold_out):
            return known
        return when_sold_out if when_sold_out and self.is_counted_out else self.availability

    @property
    def _latest_ms(self) -> int:
        whole_seconds = self.observed_at_ms % CLOCK_STEP_MS == 0
        return self.observed_at_ms + (CLOCK_STEP_MS - 1 if whole_seconds else 0)

    @property
    def _key(self) -> str:
        time = "" if self.by_arrival else str(self.observed_at_ms)
        text = "\0".join((self.id, self.availability, str(self.units), time))
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARS]

    def _repeats(self, known: Stock) -> bool:
        if self.by_arrival:
            # Only the last one: without a time, the same id and units may be news again after others.
            return known.seen[-1:] == (self._key,)
        return self._key in known.seen


@dataclass(frozen=True, slots=True)
class AppliedEvent:
    """The stock of a variant after an event. `write` says that `stock` is not stored yet."""

    outcome: EventOutcome
    stock: Stock
    write: bool


@dataclass(frozen=True, slots=True)
class EventResult:
    """The outcome of an event, and the stock stored for its variant; None where it is not read."""

    outcome: EventOutcome
    stock: Stock | None = None


def availability_of_units(units: int | None) -> Availability:
    """Return the availability of a number of units: none is sold out, any other is in stock."""
    return Availability.OUT_OF_STOCK if units == 0 else Availability.IN_STOCK


def named_availability(value: object) -> Availability | None:
    """Return the availability that a system writes by schema.org's name or address; None for anything else.

    The shop's own COMING_SOON is none of them: no event may name it.
    """
    name = _SCHEMA_ORG.sub("", value.strip(), count=1) if isinstance(value, str) else ""
    return Availability(name) if name in SCHEMA_ORG_WORDS else None


def whole_number(value: object) -> int | None:
    """Return the whole number that a system writes as a number or a text; None for anything else.

    `-1`, `"0"` and `5.0` are whole numbers; `True`, `0.5` and `"1e3"` are not.
    """
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if _WHOLE.fullmatch(value.strip()):
            return int(float(value))
    return None


_WHOLE = re.compile(r"[+-]?[0-9]{1,9}(\.0{1,9})?", re.ASCII)
