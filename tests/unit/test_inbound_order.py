"""Stock events in any order, with repeats, end as they do in order: the real services over memory."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from chalicelib.domain.ids import Sku
from tests.support.clock import Clock
from tests.support.inbound_shop import InboundShop

START_S = 1_790_000_000
REPEATED = 0.2


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of a source, as it is sent, and repeated; it says that `sku` has `units`."""

    sku: str
    units: int
    source: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def at(step: int) -> str:
    return datetime.fromtimestamp(START_S + step, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def in_order(number: int, skus: int, chance: random.Random) -> list[Sent]:
    """Events of all five sources, one a second, so that each has a time of its own."""
    sent: list[Sent] = []
    for step in range(number):
        name, units = chance.randrange(skus), chance.randrange(12)
        sku = f"S{name}"
        document: dict[str, object]
        row: dict[str, object]
        match step % 5:
            case 0:
                variants = [{"id": name, "sku": sku, "inventory_quantity": units}]
                headers = {"x-shopify-topic": "products/update", "x-shopify-triggered-at": f"{at(step)}Z"}
                headers["x-shopify-event-id"] = f"event-{step}"
                request = Sent(
                    sku, units, "shopify", json.dumps({"variants": variants}).encode(), (*headers.items(),)
                )
            case 1:
                row = {"id": name, "sku": sku, "manage_stock": True, "stock_quantity": units}
                row["date_modified_gmt"] = at(step)
                headers = {"x-wc-webhook-topic": "product.updated"}
                request = Sent(sku, units, "woocommerce", json.dumps(row).encode(), (*headers.items(),))
            case 2:
                # One location: the total is that of its latest count.
                count = {
                    "catalog_object_id": sku,
                    "location_id": "here",
                    "quantity": str(units),
                    "state": "IN_STOCK",
                    "calculated_at": f"{at(step)}Z",
                }
                document = {
                    "type": "inventory.count.updated",
                    "event_id": f"event-{step}",
                    "data": {"object": {"inventory_counts": [count]}},
                }
                request = Sent(sku, units, "square", json.dumps(document).encode())
            case 3:
                data = {"inventory": {"variant_id": name, "method": "absolute", "value": units}}
                document = {
                    "scope": "store/sku/inventory/updated",
                    "hash": f"{step}",
                    "data": data,
                    "created_at": START_S + step,
                }
                request = Sent(sku, units, "bigcommerce", json.dumps(document).encode())
            case _:
                event = {"sku": sku, "units": units, "event_id": f"e{step}", "observed_at": f"{at(step)}Z"}
                request = Sent(sku, units, "generic", json.dumps(event).encode())
        sent.append(request)
    return sent


def end_state(sent: list[Sent], skus: int, steps: int) -> dict[str, tuple[str, int | None, int]]:
    shop = InboundShop(Clock((START_S + steps) * 1000), skus=skus, checked=False)
    for number in range(skus):
        shop.events.link("square", f"variation:S{number}", f"S{number}")
        shop.events.link("bigcommerce", f"variant:{number}", f"S{number}")
    for request in sent:
        outcomes = {
            result["outcome"]
            for result in shop.receive(request.source, request.body, **dict(request.headers)).results
        }
        assert outcomes <= {"changed", "unchanged", "older"}, outcomes
    return shop.stock()


def check(number: int, skus: int, seed: int) -> None:
    chance = random.Random(seed)
    sent = in_order(number, skus, chance)
    shuffled = [*sent, *chance.sample(sent, int(number * REPEATED))]
    chance.shuffle(shuffled)
    ended = end_state(shuffled, skus, number)
    assert ended == end_state(sent, skus, number)
    # As the latest event of each says.
    assert {sku: state[1] for sku, state in ended.items()} == {
        **dict.fromkeys(ended, 0),
        **{request.sku: request.units for request in sent},
    }


def test_events_of_all_sources_in_any_order_with_repeats_end_as_in_order() -> None:
    check(240, 12, seed=1)


LEVELS = ("square", "shopify")


@pytest.fixture
def shop() -> InboundShop:
    """Return a shop with one SKU, S0, which Square and Shopify count by location."""
    shop = InboundShop(Clock((START_S + 1000) * 1000), skus=1)
    shop.events.link("square", "variation:V", Sku("S0"))
    shop.events.link("shopify", "item:V", Sku("S0"))
    return shop


def level(shop: InboundShop, source: str, location: str, units: int, step: int) -> str:
    """Report the units at a location; return the outcome."""
    event = f"{location}-{units}-{step}"
    if source == "shopify":
        document: dict[str, object] = {"inventory_item_id": "V", "location_id": location, "available": units}
        headers = {
            "x-shopify-topic": "inventory_levels/update",
            "x-shopify-event-id": event,
            "x-shopify-triggered-at": f"{at(step)}Z",
        }
        received = shop.receive(source, json.dumps(document).encode(), **headers)
    else:
        count = {"catalog_object_id": "V", "location_id": location, "quantity": str(units)}
        count |= {"state": "IN_STOCK", "calculated_at": f"{at(step)}Z"}
        document = {"type": "inventory.count.updated", "event_id": event}
        document["data"] = {"object": {"inventory_counts": [count]}}
        received = shop.receive(source, json.dumps(document).encode())
    (result,) = received.results
    return str(result["outcome"])


def choose(shop: InboundShop, source: str, *locations: str, step: int) -> None:
    shop.events.count_locations(source, locations, at_ms=(START_S + step) * 1000)


def known(shop: InboundShop) -> tuple[str, int | None, int]:
    """Return availability, units and the step of the stock of S0."""
    availability, units, observed_at_ms = shop.stock()["S0"]
    return availability, units, observed_at_ms // 1000 - START_S


@pytest.mark.parametrize("source", LEVELS)
def test_a_location_that_does_not_count_changes_nothing_while_no_level_that_counts_is_known(
    shop: InboundShop, source: str
) -> None:
    plain = {"sku": "S0", "units": 5, "event_id": "e", "observed_at": f"{at(1)}Z"}
    shop.receive("generic", json.dumps(plain).encode())
    choose(shop, source, "L1", step=2)
    assert [level(shop, source, "L2", units, step) for units, step in ((9, 3), (0, 4), (7, 5))] == [
        "unchanged"
    ] * 3
    assert known(shop) == ("InStock", 5, 1)
    # The stock has no time of L2's, so an event of any system between them is not older.
    assert level(shop, source, "L1", 2, 3) == "changed"
    assert known(shop) == ("InStock", 2, 3)
    # Nor has L2 a say now that a level of L1 is known.
    manual = {"sku": "S0", "units": 8, "event_id": "f", "observed_at": f"{at(6)}Z"}
    shop.receive("generic", json.dumps(manual).encode())
    assert level(shop, source, "L2", 1, 7) == "unchanged"
    assert known(shop) == ("InStock", 8, 6)


@pytest.mark.parametrize("source", LEVELS)
def test_levels_that_did_not_count_are_added_once_every_location_counts_again(
    shop: InboundShop, source: str
) -> None:
    choose(shop, source, "L1", step=0)
    level(shop, source, "L2", 9, 1)
    level(shop, source, "L1", 3, 2)
    assert known(shop) == ("InStock", 3, 2)
    choose(shop, source, step=4)
    # A late event from before the choice is the next one: the sum is as of the choice.
    assert level(shop, source, "L1", 4, 3) == "changed"
    assert known(shop) == ("InStock", 13, 4)


@pytest.mark.parametrize("source", LEVELS)
def test_a_new_choice_of_locations_counts_from_the_next_event_on_whichever_location_was_counted_last(
    shop: InboundShop, source: str
) -> None:
    level(shop, source, "L1", 3, 1)
    level(shop, source, "L2", 4, 2)
    assert known(shop) == ("InStock", 7, 2)
    choose(shop, source, "L1", step=3)
    assert level(shop, source, "L2", 50, 4) == "changed"
    assert known(shop) == ("InStock", 3, 3)
    assert level(shop, source, "L1", 0, 5) == "changed"
    assert known(shop) == ("OutOfStock", 0, 5)
    # L2 restocks nothing, though its units are there.
    assert level(shop, source, "L2", 60, 6) == "unchanged"
    assert known(shop) == ("OutOfStock", 0, 5)


@pytest.mark.parametrize("source", LEVELS)
def test_the_stock_stays_where_the_only_location_with_a_known_level_counts_no_more(
    shop: InboundShop, source: str
) -> None:
    choose(shop, source, "L1", step=0)
    level(shop, source, "L1", 3, 1)
    choose(shop, source, "L3", step=2)
    assert level(shop, source, "L1", 0, 3) == "unchanged"
    assert known(shop) == ("InStock", 3, 1)
    assert level(shop, source, "L3", 6, 4) == "changed"
    assert known(shop) == ("InStock", 6, 4)


def test_a_choice_by_a_clock_that_is_ahead_dates_no_stock_into_the_future(shop: InboundShop) -> None:
    level(shop, "square", "L1", 3, 1)
    choose(shop, "square", "L1", step=5000)
    level(shop, "square", "L1", 2, 2)
    assert known(shop) == ("InStock", 2, 1000)


@pytest.mark.slow
def test_ten_thousand_events_over_500_skus_with_a_fifth_repeated_end_as_in_order() -> None:
    check(10_000, 500, seed=3)
