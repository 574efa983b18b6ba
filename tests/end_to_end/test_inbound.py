"""Stock events of other systems on the local cloud, from a signed request to a refreshed page."""

import base64
import hmac
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import httpx
import pytest
from click.testing import CliRunner

from chalicelib.domain.ids import Sku
from chalicelib.inbound.authenticity import own_signature
from chalicelib.inbound.sources import ADAPTERS
from spillway.commands.reconcile import reconcile_command
from spillway.local_cloud.shopper import until
from spillway.stage import stage_named
from tests.end_to_end.demo import DemoProcess, checkout, free_ports, open_demo

pytestmark = [
    pytest.mark.local_cloud,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="what still runs is read from /proc"),
]
SECRET = "a-secret-of-the-source"
SKU, PAGE = "FJ-MOSS-M", "/products/field-jacket"
ITEM = Sku(SKU)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """A demo whose sources all have one secret, and whose ids are linked to one SKU."""
    project = checkout(tmp_path_factory.mktemp("inbound"))
    with open_demo(project, free_ports()) as running:
        container = stage_named(project, "local").container()
        container.client("secretsmanager").put_secret_value(
            SecretId=container.settings.source_secrets,
            SecretString=json.dumps({source: [SECRET] for source in ADAPTERS}),
        )
        container.events.link("square", "variation:V1", ITEM)
        container.events.link("bigcommerce", "variant:7", ITEM)
        yield running


def hmac64(signed: bytes) -> str:
    return base64.b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode()


def signed(source: str, units: int, url: str) -> tuple[bytes, Mapping[str, str]]:
    """Return the body and the headers of a request of a source."""
    now = datetime.now(UTC)
    at = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    name = f"{source}-{units}-{at}"
    if source == "shopify":
        body = json.dumps({"variants": [{"id": 1, "sku": SKU, "inventory_quantity": units}]}).encode()
        return body, {
            "x-shopify-topic": "products/update",
            "x-shopify-event-id": name,
            "x-shopify-triggered-at": at,
            "x-shopify-hmac-sha256": hmac64(body),
        }
    if source == "woocommerce":
        row = {"id": 1, "type": "simple", "sku": SKU, "manage_stock": True, "stock_quantity": units}
        body = json.dumps({**row, "date_modified_gmt": at.removesuffix("Z")}).encode()
        return body, {"x-wc-webhook-topic": "product.updated", "x-wc-webhook-signature": hmac64(body)}
    if source == "square":
        count = {"catalog_object_id": "V1", "location_id": "L", "quantity": str(units), "state": "IN_STOCK"}
        data = {"object": {"inventory_counts": [{**count, "calculated_at": at}]}}
        document = {"type": "inventory.count.updated", "event_id": name, "data": data}
        body = json.dumps(document).encode()
        return body, {"x-square-hmacsha256-signature": hmac64(url.encode() + body)}
    if source == "bigcommerce":
        inventory = {"variant_id": 7, "method": "absolute", "value": units}
        document = {"scope": "store/sku/inventory/updated", "hash": name, "data": {"inventory": inventory}}
        at_s = int(now.timestamp())
        body = json.dumps({**document, "created_at": at_s}).encode()
        signature = f"v1,{hmac64(f'{name}.{at_s}.'.encode() + body)}"
        return body, {
            "webhook-id": name,
            "webhook-timestamp": f"{at_s}",
            "webhook-signature": signature,
        }
    body = json.dumps({"sku": SKU, "units": units, "event_id": name, "observed_at": at}).encode()
    at_s = int(now.timestamp())
    return body, {"spillway-signature": f"t={at_s},v1={own_signature(SECRET, at_s, body)}"}


def stocked(demo: DemoProcess) -> int | None:
    products = stage_named(demo.project, "local").container().products
    slug = products.slug_of(ITEM)
    assert slug is not None
    found = products.get(slug)
    assert found is not None
    return found.stock[ITEM].units


def page_after(shop: httpx.Client, before: str, what: str) -> tuple[str, float]:
    """Wait until the product's page is another one; return it and the seconds that took."""
    started = time.monotonic()
    page = until(lambda: text if (text := shop.get(PAGE).text) != before else None, what, within_s=60.0)
    return page, time.monotonic() - started


@pytest.mark.parametrize("source", ADAPTERS)
def test_a_signed_event_of_each_source_refreshes_the_page_and_a_flipped_byte_does_not(
    demo: DemoProcess, source: str
) -> None:
    with httpx.Client(base_url=demo.shop_url, trust_env=False, timeout=30) as shop:
        url = f"{demo.shop_url}/api/events/{source}"
        for units in (0, 3):
            before = shop.get(PAGE).text
            body, headers = signed(source, units, url)
            flipped = shop.post(f"/api/events/{source}", content=body[:-1] + b" ", headers=headers)
            assert flipped.status_code == 401
            answer = shop.post(f"/api/events/{source}", content=body, headers=headers)
            assert answer.status_code == 200, answer.text
            if stocked(demo) == units and answer.json()["results"][0]["outcome"] == "unchanged":
                continue
            _, seconds = page_after(shop, before, f"{source}: the page with {units} units")
            print(f"{source}: {units} units on the page after {seconds:.1f} s")
            assert stocked(demo) == units
            again = shop.post(f"/api/events/{source}", content=body, headers=headers).json()
            assert again["results"] == [{"sku": SKU, "outcome": "unchanged"}]


def test_a_message_of_the_queue_refreshes_the_page(demo: DemoProcess) -> None:
    stage = stage_named(demo.project, "local")
    queue = stage.outputs()["InboundEventsQueue"]
    with httpx.Client(base_url=demo.shop_url, trust_env=False, timeout=30) as shop:
        for units in (0, 9):
            before = shop.get(PAGE).text
            body = {"sku": SKU, "units": units, "event_id": f"queued-{units}"}
            text = json.dumps({"source": "generic", "body": body})
            stage.client("sqs").send_message(QueueUrl=queue, MessageBody=text)
            _, seconds = page_after(shop, before, f"the queue: the page with {units} units")
            print(f"queue: {units} units on the page after {seconds:.1f} s")
            assert stocked(demo) == units


def test_a_lost_event_is_repaired_by_a_list_and_the_page_follows(demo: DemoProcess) -> None:
    file = demo.project.root / "stock.csv"
    with httpx.Client(base_url=demo.shop_url, trust_env=False, timeout=30) as shop:
        for units in (0, 6):
            before = shop.get(PAGE).text
            file.write_text(f"sku,stock\n{SKU},{units}\n")
            result = CliRunner().invoke(reconcile_command, ["generic", "--file", str(file)], obj=demo.project)
            assert result.exit_code == 0, result.output
            assert f"-> {'InStock' if units else 'OutOfStock'} ({units})" in result.output
            page_after(shop, before, f"a list: the page with {units} units")
            assert stocked(demo) == units
