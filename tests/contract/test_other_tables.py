"""Promises of the other tables of the shop, in memory, over moto and over the local cloud alike."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.domain.ids import SKU_CHARS_MAX, ShopperId
from chalicelib.domain.product import Product, ProductCondition, Variant, WhenSoldOut
from chalicelib.domain.stock import Availability, Restock, Stock
from chalicelib.domain.suppression import MailboxHistory
from chalicelib.outbound.deliveries import Attempt, State
from chalicelib.tables.expressions import Attr
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.shards import RestocksTable
from chalicelib.tables.suppressions import SuppressionsTable
from chalicelib.tables.table import Table
from chalicelib.tables.webhooks import DeliveriesTable
from spillway.sitegen.reading.product_file import VARIANTS_MAX
from tests.contract.test_demand_table import is_moto
from tests.support.aws import create_table
from tests.support.skus import IN_EXPRESSIONS
from tests.support.stocking import observe

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

JACKET = Product(
    "field-jacket",
    "Field Jacket",
    "A jacket.",
    "<p>A jacket.</p>",
    "outerwear",
    (),
    (Variant("A", 14800, (("Size", "M"),)), Variant("B", 14800, (("Size", "L"),))),
)
SOLD_OUT = Stock(Availability.OUT_OF_STOCK, 0, 0, "catalogue")
INITIAL = {"A": SOLD_OUT, "B": SOLD_OUT}
BACK = Stock(Availability.IN_STOCK, 5, 1000, "e1")


@pytest.fixture
def products(dynamodb: "DynamoDBClient") -> ProductsTable:
    return ProductsTable(dynamodb, create_table(dynamodb, "ProductsTable"))


def put(products: ProductsTable, product: Product = JACKET) -> int:
    initial = {variant.sku: SOLD_OUT for variant in product.variants}
    return products.put_catalogue(product, initial, known=products.get(product.slug))


def test_a_product_comes_back_as_it_was_put(products: ProductsTable) -> None:
    put(products)
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert (stocked.product, stocked.stock) == (JACKET, INITIAL)
    assert products.slug_of("B") == "field-jacket"
    assert products.slug_of("C") is None
    assert products.get("other") is None


def test_a_document_is_parsed_once_and_a_changed_one_again(products: ProductsTable) -> None:
    put(products)
    first, again = products.get("field-jacket"), products.get("field-jacket")
    assert first is not None
    assert again is not None
    assert again.product is first.product
    put(products, replace(JACKET, title="Rain Jacket"))
    changed = products.get("field-jacket")
    assert changed is not None
    assert changed.product == replace(JACKET, title="Rain Jacket")


def test_every_sku_has_a_stock_of_its_own_whatever_it_is_made_of(products: ProductsTable) -> None:
    odd = replace(JACKET, variants=tuple(Variant(sku, 100, (("No", sku),)) for sku in IN_EXPRESSIONS[:-1]))
    put(products, odd)
    grown = replace(odd, variants=(*odd.variants, Variant(IN_EXPRESSIONS[-1], 100, (("No", "last"),))))
    put(products, grown)
    for number, sku in enumerate(IN_EXPRESSIONS):
        assert products.slug_of(sku) == "field-jacket"
        assert observe(products, "field-jacket", sku, replace(BACK, units=number))
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert {sku: stock.units for sku, stock in stocked.stock.items()} == {
        sku: number for number, sku in enumerate(IN_EXPRESSIONS)
    }
    newer = replace(BACK, units=1, observed_at_ms=2000, version=2)
    known = products.get("field-jacket")
    assert known is not None
    changes = [("field-jacket", sku, newer, known.stock[sku]) for sku in IN_EXPRESSIONS]
    assert products.observe_all(changes)
    assert not products.observe_all(changes)
    put(products, JACKET)
    assert [products.slug_of(sku) for sku in IN_EXPRESSIONS] == [None] * len(IN_EXPRESSIONS)


def test_putting_the_same_catalogue_again_writes_nothing(products: ProductsTable) -> None:
    assert put(products) > 0
    assert put(products) == 0


def test_every_field_of_a_product_comes_back_as_it_was_put(products: ProductsTable) -> None:
    full = Variant(
        "A",
        1000,
        compare_at_minor=1500,
        sale_ends_on="2026-12-31",
        available_on="2027-01-05",
        when_sold_out=WhenSoldOut.BACK_ORDER,
        gtin="4006381333931",
        mpn="M-1",
        weight_g=0,
        variant_id="gid://7",
    )
    product = replace(
        JACKET,
        variants=(full, replace(full, sku="B", when_sold_out=None)),
        categories=("gifts", "new"),
        brand="Lumo",
        condition=ProductCondition.USED,
        seo_title="Buy it",
        seo_description="Now",
    )
    put(products, product)
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert stocked.product == product
    assert put(products, product) == 0


def test_stock_is_stored_only_while_it_is_as_known(products: ProductsTable) -> None:
    put(products)
    first = replace(BACK, version=1, seen=("k1",))
    second = replace(BACK, units=4, version=2, seen=("k1", "k2"))
    assert products.observe("field-jacket", "A", first, known=SOLD_OUT)
    assert not products.observe("field-jacket", "A", second, known=SOLD_OUT)
    assert products.observe("field-jacket", "A", second, known=first)
    assert not products.observe("field-jacket", "A", first, known=first)
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert stocked.stock == {"A": second, "B": SOLD_OUT}
    assert (stocked.stock["A"].version, stocked.stock["A"].seen) == (2, ("k1", "k2"))


def test_the_largest_product_changes_each_variant_at_once_while_they_are_as_known(
    products: ProductsTable,
) -> None:
    skus = [f"{number:0{SKU_CHARS_MAX}d}" for number in range(VARIANTS_MAX)]
    put(products, replace(JACKET, variants=tuple(Variant(sku, 100, (("No", sku),)) for sku in skus)))
    again = replace(BACK, observed_at_ms=2000, event_id="e2", version=2)
    for known, stock in ((SOLD_OUT, replace(BACK, version=1)), (replace(BACK, version=1), again)):
        observed = [("field-jacket", sku, stock, known) for sku in skus]
        assert products.observe_all(observed)
        assert not products.observe_all(observed)
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert stocked.stock == dict.fromkeys(skus, again)


def test_an_event_about_what_is_not_sold_is_not_taken_in(products: ProductsTable) -> None:
    put(products)
    assert not products.observe("field-jacket", "C", replace(BACK, version=1), known=SOLD_OUT)
    assert not products.observe("nowhere", "A", replace(BACK, version=1), known=SOLD_OUT)
    assert products.get("nowhere") is None


def test_a_publish_never_overwrites_what_events_own(products: ProductsTable) -> None:
    put(products)
    observe(products, "field-jacket", "A", BACK)
    renamed = replace(JACKET, title="The Jacket", variants=(*JACKET.variants, Variant("C", 100)))
    put(products, renamed)
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert stocked.product == renamed
    assert stocked.stock == {"A": BACK, "B": SOLD_OUT, "C": SOLD_OUT}


def test_an_uncounted_stock_stays_uncounted(products: ProductsTable) -> None:
    put(products)
    observe(products, "field-jacket", "A", replace(BACK, units=None))
    stocked = products.get("field-jacket")
    assert stocked is not None
    assert stocked.stock["A"].units is None


def test_many_products_are_read_in_pages(products: ProductsTable) -> None:
    slugs = [f"p{number}" for number in range(130)]
    for number, slug in enumerate(slugs):
        put(products, replace(JACKET, slug=slug, variants=(Variant(f"S{number}", 100),)))
    assert set(products.get_many([*slugs, "missing", slugs[0]])) == set(slugs)
    assert {stocked.product.slug for stocked in products.scan()} == set(slugs)


def test_only_the_newest_restock_is_live(dynamodb: "DynamoDBClient") -> None:
    restocks = RestocksTable(dynamodb, create_table(dynamodb, "RestocksTable"))
    first = Restock("r1", "field-jacket", "A", 5, 1000, 1500)
    second = Restock("r2", "field-jacket", "A", None, 2000, 2500)
    assert restocks.live("A") is None
    restocks.open(second)
    restocks.open(first)
    restocks.open(second)
    assert restocks.live("A") == second
    assert restocks.live("B") is None


def test_a_suppressed_shopper_is_found_among_many(dynamodb: "DynamoDBClient") -> None:
    suppressions = SuppressionsTable(dynamodb, create_table(dynamodb, "SuppressionsTable"))
    suppressions.suppress("s7", reason="complaint", at_ms=1)
    suppressions.suppress("s7", reason="complaint", at_ms=2)
    assert suppressions.among(ShopperId(f"s{number}") for number in range(150)) == {"s7"}
    assert suppressions.among([]) == frozenset()


def test_a_mailboxs_history_comes_back_as_it_was_recorded(dynamodb: "DynamoDBClient") -> None:
    suppressions = SuppressionsTable(dynamodb, create_table(dynamodb, "SuppressionsTable"))
    assert suppressions.history("s") is None
    soft = MailboxHistory(bounced_soft=frozenset({3, 1}), delivered=frozenset({2}))
    assert suppressions.record("s", soft, at_ms=5) == soft
    assert suppressions.among(["s"]) == frozenset()
    both = suppressions.record("s", MailboxHistory(bounced=frozenset({7}), complained_at_ms=9), at_ms=10)
    assert both == replace(soft, bounced=frozenset({7}), complained_at_ms=9)
    assert suppressions.history("s") == both
    suppressions.suppress("t", reason="bounced", at_ms=4)
    suppressions.record("u", soft)
    found = {item.shopper: item.suppression.reason.value for item in suppressions.all()}
    assert found == {"s": "complained", "t": "bounced"}
    lifted = suppressions.change("s", lambda known: known.lifted_by_operator(at_ms=11), at_ms=11, because="b")
    assert lifted.suppression is None
    assert suppressions.among(["s", "t"]) == {"t"}


def test_a_variant_that_left_the_catalogue_is_sold_no_more_until_it_returns(products: ProductsTable) -> None:
    put(products)
    put(products, replace(JACKET, variants=JACKET.variants[:1]))
    assert products.slug_of("B") is None
    assert products.slug_of("A") == "field-jacket"
    put(products)
    assert products.slug_of("B") == "field-jacket"


def test_a_sku_that_moved_to_another_product_stays_there(products: ProductsTable) -> None:
    put(products)
    put(products, replace(JACKET, slug="other", variants=JACKET.variants[1:]))
    put(products, replace(JACKET, variants=JACKET.variants[:1]))
    assert products.slug_of("B") == "other"


def test_a_withdrawn_product_keeps_its_stock_and_can_come_back(products: ProductsTable) -> None:
    put(products)
    observe(products, "field-jacket", "A", BACK)
    products.withdraw(JACKET)
    withdrawn = products.get("field-jacket")
    assert withdrawn is not None
    assert not withdrawn.can_buy("A")
    assert products.slug_of("A") is None
    put(products)
    back = products.get("field-jacket")
    assert back is not None
    assert (back.product, back.stock["A"]) == (JACKET, BACK)
    assert products.slug_of("A") == "field-jacket"


def test_the_later_version_of_two_restocks_of_one_time_is_live(
    dynamodb: "DynamoDBClient",
) -> None:
    restocks = RestocksTable(dynamodb, create_table(dynamodb, "RestocksTable"))
    tenth, ninth = (replace(BACK, version=version, event_id=f"wms-{version}") for version in (10, 9))
    for stock in (tenth, ninth):
        restocks.open(stock.restock("field-jacket", "A", at_ms=1))
    assert [item.id for item in restocks.newest("A", most=5)] == ["A:10:wms-10", "A:9:wms-9"]
    live = restocks.live("A")
    assert live is not None
    assert (live.id, live.version) == ("A:10:wms-10", 10)


ADA = {"id": {"S": "ada"}}
NOT_SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "a missing key": ("get_item", {}),
    "a type that there is not": ("put_item", {"Item": {"id": {"XXSXX": "ada"}}}),
    "a number that is no text": ("put_item", {"Item": {**ADA, "count": {"N": 1}}}),
    "an unknown member": ("delete_item", {"Key": ADA, "ConditionExpresion": "attribute_exists(id)"}),
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a key of other attributes": ("get_item", {"Key": {"shopper": {"S": "ada"}}}),
    "a key with more attributes": ("delete_item", {"Key": {**ADA, "sku": {"S": "A"}}}),
    "a key of another type": ("put_item", {"Item": {"id": {"N": "1"}}}),
    "an item without its key": ("put_item", {"Item": {"sku": {"S": "A"}}}),
    "an empty key": ("put_item", {"Item": {"id": {"S": ""}}}),
}
KEY_RANGES = {
    "an empty key": ("", "~"),
    "an upper end below the lower": ("b", "a"),
}


@pytest.mark.parametrize("kind", NOT_SENT)
def test_a_request_that_boto3_does_not_send_fails_in_memory_too(
    dynamodb: "DynamoDBClient", kind: str
) -> None:
    method, request = NOT_SENT[kind]
    with pytest.raises(ParamValidationError):
        getattr(dynamodb, method)(TableName=create_table(dynamodb, "SendingTable"), **request)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_request_that_is_not_of_the_tables_schema_is_refused(dynamodb: "DynamoDBClient", kind: str) -> None:
    method, request = REFUSED[kind]
    with pytest.raises(ClientError) as raised:
        getattr(dynamodb, method)(TableName=create_table(dynamodb, "SendingTable"), **request)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("kind", KEY_RANGES)
def test_a_query_for_keys_that_there_cannot_be_is_refused(dynamodb: "DynamoDBClient", kind: str) -> None:
    low, high = KEY_RANGES[kind]
    if low > high and is_moto(dynamodb):
        pytest.skip("moto answers it with no item")
    table = Table(dynamodb, create_table(dynamodb, "EventsTable"))
    with pytest.raises(ClientError) as raised:
        table.query(Attr("kind").eq("k") & Attr("key").between(low, high), limit=1)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_events_that_are_kept_for_an_endpoint_are_read_in_order_from_the_first_or_behind_one(
    dynamodb: "DynamoDBClient",
) -> None:
    deliveries = DeliveriesTable(dynamodb, create_table(dynamodb, "EventsTable"))
    kept = [
        Attempt(
            "e1",
            DomainEvent(f"n{at_ms}", EventType.RESTOCK_OPENED, at_ms, "A", {}),
            State.WAITING,
            1,
            9,
            "503",
        )
        for at_ms in (1000, 2000, 3000)
    ]
    assert all(deliveries.hold(attempt) for attempt in reversed(kept))
    assert deliveries.held("e1", limit=2) == kept[:2]
    assert deliveries.held("e1", limit=2, after=kept[0].key) == kept[1:]
    assert deliveries.held("e2", limit=2) == []
