"""Stock events in any order, with repeats, end as they do in order: the real services over memory."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

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


@pytest.mark.slow
def test_ten_thousand_events_over_500_skus_with_a_fifth_repeated_end_as_in_order() -> None:
    check(10_000, 500, seed=3)
