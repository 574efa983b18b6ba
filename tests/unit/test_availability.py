"""Events about availability: who may send them, what is no event, and what repeats and old ones change."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import app as cloud
from chalicelib.domain.product import Product, Variant, WhenSoldOut
from chalicelib.domain.stock import (
    Availability,
    AvailabilityEvent,
    EventOutcome,
    EventResult,
    Restock,
    Stock,
    StockedProduct,
    restocks,
)
from chalicelib.http.merchant_requests import MerchantKeys
from chalicelib.inbound.authenticity import OWN_TOLERANCE_S, check_own_signature, own_signature
from chalicelib.inbound.readings import Unauthentic
from chalicelib.services.availability import Availabilities, AvailabilityWebhooks
from chalicelib.tables.products import TRANSACTION_PRODUCTS_MAX, ProductsTable
from chalicelib.tables.sending import WebhooksTable
from spillway.sitegen.release import Release
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.containers import container_with
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.recorder import Recorder

KEY = "merchants-own"
SKU = "FJ-MOSS-M"
IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


class MemoryWebhooks(WebhooksTable):
    """Remembers digests, and when each was noted first."""

    def __init__(self) -> None:
        self.digests: dict[str, int] = {}

    def is_known(self, digest: str) -> bool:
        return digest in self.digests

    def first_time(self, digest: str, *, at_ms: int) -> bool:
        known = digest in self.digests
        self.digests.setdefault(digest, at_ms)
        return not known


@pytest.fixture
def products(small_release: Release) -> ProductsTable:
    client: Any = MemoryDynamoDb()
    table = ProductsTable(client, create_table(client, "ProductsTable"))
    for entry in small_release.products:
        table.put_catalogue(entry.product, entry.stock, known=None)
    return table


@pytest.fixture
def noted() -> MemoryWebhooks:
    return MemoryWebhooks()


@pytest.fixture
def api(
    products: ProductsTable, noted: MemoryWebhooks, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[Client]:
    container = container_with(
        clock_ms=clock,
        merchant_keys=MerchantKeys((KEY, "older")),
        availabilities=Availabilities(products),
        webhooks=AvailabilityWebhooks(Availabilities(products), noted, clock),
    )
    monkeypatch.setattr(cloud, "container", container)
    with Client(cloud.app) as client:
        yield client


def stock(products: ProductsTable, sku: str = SKU) -> Stock:
    stocked = products.get("field-jacket")
    assert stocked is not None
    return stocked.stock[sku]


def post(api: Client, event: Any, *, key: str = KEY) -> HTTPResponse:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    return api.http.post("/availability", headers=headers, body=body)


def post_signed(api: Client, raw: bytes, at_s: int, *, signature: str | None = None) -> HTTPResponse:
    signature = signature or f"t={at_s},v1={own_signature(KEY, at_s, raw)}"
    headers = {"content-type": "application/json", "spillway-signature": signature}
    return api.http.post("/availability/webhook", headers=headers, body=raw)


def test_the_merchants_key_opens_the_door(api: Client, products: ProductsTable) -> None:
    answer = post(api, {"sku": SKU, "units": 7})
    assert (answer.status_code, answer.json_body["outcome"]) == (200, "changed")
    assert (stock(products).availability, stock(products).units) == (IN_STOCK, 7)
    assert post(api, {"sku": SKU, "availability": "PreOrder"}, key="older").status_code == 200


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", KEY[:-1], "ä"])
def test_everybody_else_is_answered_401(api: Client, products: ProductsTable, key: str) -> None:
    before = stock(products)
    answer = post(api, {"sku": SKU, "units": 7}, key=key)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert stock(products) == before


def test_a_request_without_a_key_is_answered_401(api: Client) -> None:
    body, headers = b"{}", {"content-type": "application/json"}
    for path in ("/availability", "/availability/webhook"):
        assert api.http.post(path, headers=headers, body=body).status_code == 401


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"units": 1}, "sku"),
        ({"sku": "lower", "units": 1}, "sku"),
        ({"sku": ["A"], "units": 1}, "sku"),
        ({"sku": "NOT-SOLD", "units": 1}, "sku"),
        ({"sku": SKU}, "availability"),
        ({"sku": SKU, "availability": "in stock"}, "availability"),
        ({"sku": SKU, "availability": "InStock", "units": 0}, "units"),
        ({"sku": SKU, "units": True}, "units"),
        ({"sku": SKU, "units": 1.5}, "units"),
        ({"sku": SKU, "units": 10**9}, "units"),
        ({"sku": SKU, "units": 1, "observed_at": "yesterday"}, "observed_at"),
        ({"sku": SKU, "units": 1, "observed_at": "2026-11-23T17:00:00"}, "observed_at"),
        ({"sku": SKU, "units": 1, "observed_at": "2100-01-01T00:00:00Z"}, "observed_at"),
        ({"sku": SKU, "units": 1, "event_id": "a b"}, "event_id"),
    ],
)
def test_an_event_that_is_none_names_its_field(
    api: Client, products: ProductsTable, event: dict[str, Any], field: str
) -> None:
    before = stock(products)
    answer = post(api, event)
    assert answer.status_code == 400
    (error,) = answer.json_body["errors"]
    assert error["field"] == field
    assert stock(products) == before


def test_an_event_of_wrong_values_says_what_each_field_takes_and_what_it_was_given(api: Client) -> None:
    wrong = {"sku": ["A"], "units": 1.5, "availability": "no", "event_id": "a b", "observed_at": "x" * 70}
    problem = post(api, wrong).json_body
    assert problem["detail"] == "The event is not complete."
    assert {error["field"]: error["detail"] for error in problem["errors"]} == {
        "sku": "Write the SKU as a text, in quotes.",
        "event_id": 'An id of 1 to 100 letters, digits and signs without spaces, not "a b".',
        "units": "A whole number up to 1000000, not 1.5.",
        "availability": 'One of InStock, OutOfStock, PreOrder, BackOrder, Discontinued, not "no".',
        "observed_at": 'A time with its offset as 2026-11-23T17:00:00Z, not "' + "x" * 59 + "....",
    }
    (late,) = post(api, {"sku": SKU, "units": 1, "observed_at": "2100-01-01T00:00:00Z"}).json_body["errors"]
    assert late["detail"] == 'This time is still to come, not "2100-01-01T00:00:00Z".'


def test_an_event_is_logged_with_what_came_of_it(api: Client, capsys: pytest.CaptureFixture[str]) -> None:
    post(api, {"sku": SKU, "units": 7, "event_id": "e7"})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = (line for line in lines if line["event"] == "availability_event")
    assert (line["sku"], line["id"], line["outcome"]) == (SKU, "e7", "changed")


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"null", b'{"units": NaN}', b'{"sku": "A", "sku": "B"}', b"\xff", b"[" * 9000]
)
def test_a_body_that_is_no_object_is_refused(api: Client, body: bytes) -> None:
    assert post(api, body).status_code in {400, 413}


def test_a_signed_webhook_is_taken_in_once(
    api: Client, products: ProductsTable, noted: MemoryWebhooks, clock: Clock
) -> None:
    raw, at_s = json.dumps({"sku": SKU, "units": 3}).encode(), clock() // 1000
    assert post_signed(api, raw, at_s).json_body["outcome"] == "changed"
    seen = stock(products)
    assert list(noted.digests.values()) == [clock()]
    clock.pass_s(60)
    replayed = post_signed(api, raw, at_s)
    assert replayed.status_code == 409
    assert replayed.headers["Content-Type"] == "application/problem+json"
    assert stock(products) == seen


def test_a_webhook_signed_again_repeats_its_event_and_is_no_replay(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    raw = json.dumps(
        {"sku": SKU, "units": 3, "event_id": "w1", "observed_at": "2026-09-01T00:00:00Z"}
    ).encode()
    assert post_signed(api, raw, clock() // 1000).json_body["outcome"] == "changed"
    seen = stock(products)
    clock.pass_s(60)
    assert post_signed(api, raw, clock() // 1000).json_body["outcome"] == "unchanged"
    assert stock(products) == seen


def test_a_webhook_that_was_not_taken_in_is_no_replay_when_it_comes_again(
    api: Client, products: ProductsTable, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, at_s = json.dumps({"sku": "NEW", "units": 3}).encode(), clock() // 1000
    assert post_signed(api, raw, at_s).status_code == 400
    stocked = products.get("scarf")
    assert stocked is not None
    variant = replace(stocked.product.variants[0], sku="NEW")
    product = replace(stocked.product, variants=(*stocked.product.variants, variant))
    products.put_catalogue(product, {"NEW": Stock(SOLD_OUT, 0, 1, "e")}, known=stocked)
    assert post_signed(api, raw, at_s).json_body["outcome"] == "changed"


def test_a_replay_after_a_newer_event_changes_nothing(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    raw, at_s = json.dumps({"sku": SKU, "units": 3}).encode(), clock() // 1000
    post_signed(api, raw, at_s)
    clock.pass_s(10)
    post(api, {"sku": SKU, "units": 0})
    assert post_signed(api, raw, at_s).status_code == 409
    assert stock(products).availability is SOLD_OUT


@pytest.mark.parametrize("late_s", [OWN_TOLERANCE_S + 1, -OWN_TOLERANCE_S - 1])
def test_a_signature_of_another_time_is_refused(
    api: Client, products: ProductsTable, clock: Clock, late_s: int
) -> None:
    before = stock(products)
    answer = post_signed(api, json.dumps({"sku": SKU, "units": 3}).encode(), clock() // 1000 - late_s)
    assert answer.status_code == 401
    assert stock(products) == before


def test_the_signature_covers_the_body_and_its_time(api: Client, clock: Clock) -> None:
    raw, at_s = b'{"sku": "%s", "units": 3}' % SKU.encode(), clock() // 1000
    good = own_signature(KEY, at_s, raw)
    for signature in (
        f"t={at_s + 1},v1={good}",
        f"t={at_s},v1={good[:-1]}",
        f"v1={good}",
        f"t={at_s}",
        f"t=x{at_s},v1={good}",
        "t=99999999999999999999,v1=",
        "nonsense",
    ):
        assert post_signed(api, raw, at_s, signature=signature).status_code == 401
    signature = f"t={at_s},v1={good}"
    assert post_signed(api, raw + b" ", at_s, signature=signature).status_code == 401
    assert post_signed(api, raw, at_s, signature=signature).status_code == 200


@given(raw=st.binary(max_size=200), other=st.binary(max_size=200), at_s=st.integers(0, 10**10))
def test_only_the_signed_bytes_pass(raw: bytes, other: bytes, at_s: int) -> None:
    signature = f"t={at_s},v1={own_signature(KEY, at_s, raw)}"
    assert check_own_signature(signature, raw, [KEY], now_ms=at_s * 1000) == at_s
    if other != raw:
        with pytest.raises(Unauthentic):
            check_own_signature(signature, other, [KEY], now_ms=at_s * 1000)


def test_a_key_is_rotated_without_a_gap() -> None:
    keys = MerchantKeys.from_json('{"key": "new", "older": ["old"]}')
    keys.check_bearer("Bearer old")
    keys.check_bearer("bearer new")
    with pytest.raises(Unauthentic):
        MerchantKeys.from_json('{"key": "new"}').check_bearer("Bearer old")


EVENTS = st.lists(
    st.builds(
        lambda at_ms, number, units: AvailabilityEvent(
            f"e{number}", SKU, SOLD_OUT if units == 0 else IN_STOCK, units, at_ms
        ),
        st.integers(1, 6),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda event: (event.observed_at_ms, event.id),
)


@given(events=EVENTS, data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_in_any_order_and_any_number_lead_to_the_newest(
    products: ProductsTable, events: list[AvailabilityEvent], data: st.DataObject
) -> None:
    base_ms = stock(products).observed_at_ms + 10
    shifted = [
        AvailabilityEvent(event.id, SKU, event.availability, event.units, base_ms + event.observed_at_ms)
        for event in events
    ]
    availabilities = Availabilities(products)
    for event in data.draw(st.permutations(shifted * 2)):
        availabilities.apply(event)
    newest_ms = max(event.observed_at_ms for event in shifted)
    last = stock(products)
    assert last.observed_at_ms == newest_ms
    # Several have that time: the last to arrive for the first time counts.
    assert (last.event_id, last.units) in {
        (event.id, event.units) for event in shifted if event.observed_at_ms == newest_ms
    }


def test_an_sku_that_the_shop_does_not_sell_is_unknown(products: ProductsTable) -> None:
    event = AvailabilityEvent("e", "NOWHERE", IN_STOCK, 1, 10**13)
    assert Availabilities(products).apply(event).outcome is EventOutcome.UNKNOWN_SKU


def test_one_event_about_a_removed_product_stops_all_of_its_batch(products: ProductsTable) -> None:
    events = [(slug, AvailabilityEvent("e", SKU, IN_STOCK, 9, 10**13)) for slug in ("field-jacket", "gone")]
    before = stock(products)
    assert not Availabilities(products).apply_all(events)
    assert stock(products) == before


def test_many_events_are_applied_together_or_not_at_all(products: ProductsTable) -> None:
    def event(sku: str, at_ms: int) -> AvailabilityEvent:
        return AvailabilityEvent(f"{sku}-{at_ms}", sku, IN_STOCK, 9, at_ms)

    availabilities = Availabilities(products)
    before = stock(products)
    pairs = [("field-jacket", event(SKU, 100)), ("scarf", event("SCARF", -1))]
    assert not availabilities.apply_all(pairs)
    assert stock(products) == before
    pairs = [
        ("field-jacket", event(SKU, 100)),
        ("field-jacket", event("FJ-MOSS-S", 100)),
        ("scarf", event("SCARF", 100)),
    ]
    assert availabilities.apply_all(pairs)
    assert (stock(products).units, stock(products, "FJ-MOSS-S").units) == (9, 9)


@pytest.mark.parametrize("over", [0, 1])
def test_as_many_products_are_taken_in_at_once_as_one_transaction_takes(over: int) -> None:
    count = TRANSACTION_PRODUCTS_MAX + over
    known = Stock(SOLD_OUT, 0, 1, "e0")
    recorder = Recorder()
    product = Product("p", "P", "P.", "", "all", (), (Variant("A", 100),))
    found = {f"p{number}": StockedProduct(product, {"A": known}) for number in range(count)}
    availabilities = Availabilities(recorder.part("products", get_many=found, observe_all=True))
    event = AvailabilityEvent("e1", "A", IN_STOCK, 9, 100)
    events = [(slug, event) for slug in found]
    if over:
        says = f"^{count} products, {TRANSACTION_PRODUCTS_MAX} is the most$"
        with pytest.raises(ValueError, match=says):
            availabilities.apply_all(events)
        assert recorder.taken() == []
        return
    assert availabilities.apply_all(events) is True
    stored = event.applied_to(known).stock
    assert recorder.taken() == [
        ("products.get_many", set(found)),
        ("products.observe_all", [(slug, "A", stored, known) for slug in found]),
    ]


def test_unchanged_events_write_nothing_and_an_older_one_stops_all_of_its_batch() -> None:
    recorder = Recorder()
    known = Stock(IN_STOCK, 9, 100, "e1")
    event = AvailabilityEvent("e2", "A", IN_STOCK, 9, 100)
    stored = event.applied_to(known).stock
    product = Product("p", "P", "P.", "", "all", (), (Variant("A", 100), Variant("B", 100)))
    found = {"p": StockedProduct(product, {"A": stored, "B": known})}
    availabilities = Availabilities(recorder.part("products", get_many=found, observe_all=False))
    news = AvailabilityEvent("e3", "B", SOLD_OUT, 0, 200)
    # A repeat is no news, and what comes after it counts.
    assert availabilities.apply_all([("p", event), ("p", news)]) is False
    assert recorder.taken()[1:] == [
        ("products.observe_all", [("p", "B", news.applied_to(known).stock, known)])
    ]
    for bad in (
        ("p", AvailabilityEvent("e4", "B", IN_STOCK, 1, 50)),
        ("p", AvailabilityEvent("e4", "C", IN_STOCK, 1, 500)),
        ("gone", news),
    ):
        assert availabilities.apply_all([("p", news), bad]) is False
        assert [call[0] for call in recorder.taken()] == ["products.get_many"]


def test_one_event_is_looked_up_written_as_known_and_tried_twenty_times() -> None:
    recorder = Recorder()
    known = Stock(SOLD_OUT, 0, 1, "e0")
    product = Product("p", "P", "P.", "", "all", (), (Variant("A", 100),))
    stocked = StockedProduct(product, {"A": known})
    event = AvailabilityEvent("e1", "A", IN_STOCK, 9, 100)
    stored = event.applied_to(known).stock
    products = recorder.part("products", slug_of="p", get=stocked, observe=False)
    assert Availabilities(products).apply(event) == EventResult(EventOutcome.BUSY)
    tried = [("products.get", "p"), ("products.observe", "p", "A", stored, {"known": known})]
    assert recorder.taken() == [("products.slug_of", "A"), *tried * 20]
    products.answers["observe"] = True
    assert Availabilities(products).apply(event) == EventResult(event.applied_to(known).outcome, stored)
    products.answers |= {"get": StockedProduct(product, {"A": stored})}
    recorder.taken()
    repeated = event.applied_to(stored)
    assert Availabilities(products).apply(event) == EventResult(repeated.outcome, repeated.stock)
    assert "products.observe" not in recorder.names()
    for answers in ({"slug_of": None}, {"get": None}, {"get": StockedProduct(product, {})}):
        unknown = recorder.part("products", **{"slug_of": "p", "get": stocked, **answers})
        assert Availabilities(unknown).apply(event) == EventResult(EventOutcome.UNKNOWN_SKU)


def let_back_order(products: ProductsTable, *skus: str) -> None:
    """Publish the jacket as one whose catalogue wants back orders of `skus` when none are counted."""
    stocked = products.get("field-jacket")
    assert stocked is not None
    variants = tuple(
        replace(variant, when_sold_out=WhenSoldOut.BACK_ORDER if variant.sku in skus else None)
        for variant in stocked.product.variants
    )
    products.put_catalogue(replace(stocked.product, variants=variants), {}, known=stocked)


def test_none_counted_is_a_back_order_where_the_catalogue_wants_that(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    let_back_order(products, SKU)
    second = clock() // 1000 - 60
    counted = {"sku": SKU, "units": 0, "event_id": "e1", "observed_at": at(second)}
    answer = post(api, counted).json_body
    assert (answer["outcome"], answer["stock"]["availability"]) == ("changed", "BackOrder")
    back = stock(products)
    assert (back.availability, back.units, back.event_id) == (Availability.BACK_ORDER, 0, "e1")
    assert post(api, counted).json_body["outcome"] == "unchanged"
    assert stock(products) == back

    post(api, {**counted, "sku": "FJ-MOSS-S"})
    assert (stock(products, "FJ-MOSS-S").availability, stock(products, "FJ-MOSS-S").units) == (SOLD_OUT, 0)

    let_back_order(products)  # the catalogue wants nothing of the kind any more
    assert stock(products) == back
    post(api, {**counted, "event_id": "e2", "observed_at": at(second + 1)})
    assert (stock(products).availability, stock(products).event_id) == (SOLD_OUT, "e2")


def test_a_named_availability_counts_whatever_the_catalogue_wants(
    api: Client, products: ProductsTable
) -> None:
    let_back_order(products, SKU)
    post(api, {"sku": SKU, "units": 0})
    assert stock(products).availability is Availability.BACK_ORDER
    for named in ({"sku": SKU, "units": 0, "availability": "OutOfStock"}, {"sku": SKU, "units": 7}):
        assert post(api, named).json_body["outcome"] == "changed"
        expected = IN_STOCK if named["units"] else SOLD_OUT
        assert (stock(products).availability, stock(products).units) == (expected, named["units"])


def test_many_counted_events_are_one_write_and_each_has_its_own_end(
    products: ProductsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_back_order(products, SKU)
    writes: list[list[tuple[str, str, Stock, Stock]]] = []
    observe_all = products.observe_all

    def watched(observed: Sequence[tuple[str, str, Stock, Stock]]) -> bool:
        writes.append(list(observed))
        return observe_all(observed)

    monkeypatch.setattr(products, "observe_all", watched)
    none, nine = (
        partial(AvailabilityEvent, f"count-{units}", units=units, observed_at_ms=10**12, by_units=True)
        for units in (0, 9)
    )
    assert Availabilities(products).apply_all(
        [
            ("field-jacket", none(sku=SKU, availability=SOLD_OUT)),
            ("field-jacket", nine(sku="FJ-MOSS-S", availability=IN_STOCK)),
            ("scarf", none(sku="SCARF", availability=SOLD_OUT)),
        ]
    )
    (written,) = writes
    assert [(slug, sku) for slug, sku, _, _ in written] == [
        ("field-jacket", SKU),
        ("field-jacket", "FJ-MOSS-S"),
        ("scarf", "SCARF"),
    ]
    assert (stock(products).availability, stock(products).units) == (Availability.BACK_ORDER, 0)
    assert (stock(products, "FJ-MOSS-S").availability, stock(products, "FJ-MOSS-S").units) == (IN_STOCK, 9)
    scarf = products.get("scarf")
    assert scarf is not None
    assert (scarf.stock["SCARF"].availability, scarf.stock["SCARF"].units) == (SOLD_OUT, 0)


def test_units_count_a_variant_that_nobody_counted(products: ProductsTable) -> None:
    availabilities = Availabilities(products)
    availabilities.apply(AvailabilityEvent("on", SKU, IN_STOCK, None, 10**12))
    uncounted = stock(products)
    assert (uncounted.availability, uncounted.units) == (IN_STOCK, None)
    availabilities.apply(AvailabilityEvent("n", SKU, IN_STOCK, 5, 10**12 + 1, by_units=True))
    counted = stock(products)
    assert (counted.availability, counted.units) == (IN_STOCK, 5)
    assert restocks("field-jacket", {SKU: uncounted}, {SKU: counted}, at_ms=1) == ()
    availabilities.apply(AvailabilityEvent("none", SKU, SOLD_OUT, 0, 10**12 + 2, by_units=True))
    assert (stock(products).availability, stock(products).units) == (SOLD_OUT, 0)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def stored(answer: HTTPResponse) -> tuple[str, int | None]:
    assert answer.status_code == 200
    return answer.json_body["outcome"], answer.json_body["stock"]["units"]


def test_webhooks_of_one_second_without_a_time_count_in_the_order_they_arrive(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    for units in (5, 4, 3, 2, 1, 0):
        raw = json.dumps({"sku": SKU, "units": units}).encode()
        assert stored(post_signed(api, raw, clock() // 1000)) == ("changed", units)
    assert (stock(products).availability, stock(products).units) == (SOLD_OUT, 0)


def test_events_of_one_whole_second_count_in_the_order_they_arrive_whatever_their_ids(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    second = at(clock() // 1000 - 2)
    events = [
        {"sku": SKU, "units": units, "event_id": event_id, "observed_at": second}
        for units, event_id in [(5, "wms-9"), (4, "wms-10"), (3, "wms-100"), (2, "a")]
    ]
    for event in events:
        assert stored(post(api, event)) == ("changed", event["units"])
    for event in events:
        assert stored(post(api, event)) == ("unchanged", 2)
    older = {**events[0], "units": 9, "observed_at": at(clock() // 1000 - 4)}
    assert stored(post(api, older)) == ("older", 2)
    assert (stock(products).units, stock(products).event_id) == (2, "a")


def test_a_clock_of_whole_seconds_is_not_older_than_an_event_of_the_same_second(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    clock.now_ms = clock() // 1000 * 1000 + 500
    post(api, {"sku": SKU, "units": 5})
    late = {"sku": SKU, "units": 0, "event_id": "w", "observed_at": at(clock() // 1000)}
    assert stored(post(api, late)) == ("changed", 0)
    assert stored(post(api, late)) == ("unchanged", 0)
    clock.pass_s(0.2)
    assert stored(post(api, {"sku": SKU, "units": 7})) == ("changed", 7)


def test_an_event_without_a_time_comes_after_all_before_it_whatever_clocks_say(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    ahead = {"sku": SKU, "units": 5, "observed_at": at(clock() / 1000 + 200)}
    assert stored(post(api, ahead)) == ("changed", 5)
    seen_ms = stock(products).observed_at_ms
    assert stored(post(api, {"sku": SKU, "units": 0})) == ("changed", 0)
    clock.pass_s(-3)
    assert stored(post(api, {"sku": SKU, "units": 1})) == ("changed", 1)
    assert stock(products).observed_at_ms == seen_ms + 2


def test_a_repeated_id_loses_no_last_word_and_an_exact_repeat_changes_nothing(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    def event(units: int, sku: str = SKU) -> dict[str, Any]:
        return {"sku": sku, "units": units, "event_id": "delivery-77"}

    assert stored(post(api, event(3))) == ("changed", 3)
    version = stock(products).version
    clock.pass_s(1)
    assert stored(post(api, event(3))) == ("unchanged", 3)
    assert stock(products).version == version
    assert stored(post(api, event(0))) == ("changed", 0)
    assert stored(post(api, event(5))) == ("changed", 5)
    assert stored(post(api, event(3))) == ("changed", 3)
    assert stored(post(api, event(3, "FJ-MOSS-S"))) == ("changed", 3)


def test_two_skus_and_two_times_of_one_event_id_are_restocks_of_their_own(products: ProductsTable) -> None:
    opened: list[Restock] = []
    for at_ms, (sku, units) in enumerate([(SKU, 5), ("FJ-MOSS-S", 0), ("FJ-MOSS-S", 5), (SKU, 0), (SKU, 5)]):
        before = products.get("field-jacket")
        availability = IN_STOCK if units else SOLD_OUT
        event = AvailabilityEvent("delivery-77", sku, availability, units, 10**12 + at_ms)
        Availabilities(products).apply(event)
        after = products.get("field-jacket")
        assert before is not None
        assert after is not None
        opened += restocks("field-jacket", before.stock, after.stock, at_ms=1)
    assert [restock.id for restock in opened] == [
        "FJ-MOSS-M:1:delivery-77",
        "FJ-MOSS-S:2:delivery-77",
        "FJ-MOSS-M:3:delivery-77",
    ]


def test_the_same_count_again_is_unchanged_and_still_makes_what_was_before_it_older(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    now_s = clock() / 1000
    for event_id, age_s, expected in [("e1", 30, "changed"), ("e2", 10, "unchanged"), ("e3", 20, "older")]:
        units = 9 if event_id == "e3" else 5
        event = {"sku": SKU, "units": units, "event_id": event_id, "observed_at": at(now_s - age_s)}
        assert stored(post(api, event)) == (expected, 5)


def test_the_answer_says_what_is_stored_and_what_was_left_out(api: Client, clock: Clock) -> None:
    observed = "2026-09-01T00:00:00Z"
    event = {"sku": SKU, "units": 3, "event_id": "w1", "observed_at": observed, "location_id": 7, "unit": 1}
    assert post(api, event).json_body == {
        "outcome": "changed",
        "sku": SKU,
        "stock": {
            "availability": "InStock",
            "units": 3,
            "observed_at": "2026-09-01T00:00:00.000Z",
            "event_id": "w1",
        },
        "ignored": ["location_id", "unit"],
    }


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (-1, 0),
        (-(10**9), 0),
        ("0", 0),
        (0.0, 0),
        (-0.0, 0),
        ("5", 5),
        (5.0, 5),
        ("5.00", 5),
        (" 7 ", 7),
        ("-2", 0),
    ],
)
def test_units_are_read_as_machines_write_them(
    api: Client, products: ProductsTable, units: Any, expected: int
) -> None:
    answer = post(api, {"sku": SKU, "units": units})
    assert stored(answer)[1] == expected
    assert stock(products).availability is (IN_STOCK if expected else SOLD_OUT)


@pytest.mark.parametrize(
    "units", [True, 1.5, "1,000", "1.5", "", "five", "٥", [5], {}, 10**9, "9" * 10, 1e300, "0x10"]
)
def test_units_that_are_not_plain_are_refused_with_their_value(
    api: Client, products: ProductsTable, units: Any
) -> None:
    before = stock(products)
    answer = post(api, {"sku": SKU, "units": units})
    assert answer.status_code == 400
    (error,) = answer.json_body["errors"]
    assert error["field"] == "units"
    assert f"not {json.dumps(units)[:60]}" in error["detail"]
    assert stock(products) == before


@pytest.mark.parametrize(
    "observed_at",
    [
        "2026-09-01T10:00:00Z",
        "2026-09-01t10:00:00z",
        "2026-09-01 10:00:00Z",
        "2026-09-01T12:00:00+02:00",
        "2026-09-01T12:00:00+0200",
        "2026-09-01T10:00:00.000000000Z",
        " 2026-09-01T10:00Z",
    ],
)
def test_times_are_read_as_machines_write_them(
    api: Client, products: ProductsTable, observed_at: str
) -> None:
    assert post(api, {"sku": SKU, "units": 4, "observed_at": observed_at}).status_code == 200
    assert stock(products).observed_at_ms == 1_788_256_800_000


@pytest.mark.parametrize("name", ["BackOrder", "https://schema.org/BackOrder", "http://schema.org/BackOrder"])
def test_an_availability_is_a_word_of_schema_org(api: Client, products: ProductsTable, name: str) -> None:
    assert post(api, {"sku": SKU, "availability": name}).status_code == 200
    assert stock(products).availability is Availability.BACK_ORDER


@pytest.mark.parametrize("event_id", ["gid://shopify/InventoryLevel/1?item=2", 10442, "x" * 100])
def test_an_event_id_is_any_text_without_spaces(api: Client, products: ProductsTable, event_id: Any) -> None:
    assert post(api, {"sku": SKU, "units": 4, "event_id": event_id}).status_code == 200
    assert stock(products).event_id == str(event_id)


def test_any_of_several_signatures_in_either_case_fits(api: Client, clock: Clock) -> None:
    at_s = clock() // 1000
    for number, pattern in enumerate(
        ["t={t},v1={good},v1={bad}", "t={t},v1={bad},v1={good}", "t={t},v1={GOOD}", "v1={good}, t={t}"]
    ):
        raw = json.dumps({"sku": SKU, "units": number}).encode()
        good = own_signature(KEY, at_s, raw)
        signature = pattern.format(t=at_s, good=good, bad="0" * 64, GOOD=good.upper())
        assert post_signed(api, raw, at_s, signature=signature).status_code == 200
    good = own_signature(KEY, at_s, b"{}")
    for signature in (
        f"t={at_s},v1={'0' * 64},v1={'1' * 64}",
        f"t={at_s},t={at_s + 1},v1={good}",
        f"t={at_s},v0={good}",
        f"t={at_s}," + f"v1={'0' * 64}," * 8 + f"v1={good}",
    ):
        assert post_signed(api, b"{}", at_s, signature=signature).status_code == 401


def test_events_at_once_are_each_stored_or_asked_to_come_again(
    products: ProductsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    availabilities = Availabilities(products)
    observe, rivals = (
        products.observe,
        [AvailabilityEvent(f"r{n}", SKU, IN_STOCK, n, 0, True) for n in (7, 8)],
    )

    def beaten(*args: Any, **known: Any) -> bool:
        if rivals:
            monkeypatch.setattr(products, "observe", observe)
            availabilities.apply(rivals.pop())
            monkeypatch.setattr(products, "observe", beaten)
        return observe(*args, **known)

    monkeypatch.setattr(products, "observe", beaten)
    taken = availabilities.apply(AvailabilityEvent("last", SKU, IN_STOCK, 3, 0, by_arrival=True))
    assert (taken.outcome, stock(products).units, stock(products).version) == (EventOutcome.CHANGED, 3, 3)
    monkeypatch.setattr(products, "observe", lambda *_, **__: False)
    assert (
        availabilities.apply(AvailabilityEvent("x", SKU, IN_STOCK, 4, 0, True)).outcome is EventOutcome.BUSY
    )


def test_a_variant_too_busy_is_answered_503_and_nothing_is_stored(
    api: Client, products: ProductsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stock(products)
    monkeypatch.setattr(products, "observe", lambda *_, **__: False)
    answer = post(api, {"sku": SKU, "units": 4})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert stock(products) == before


class OneAnswer(Availabilities):
    """Gives its answer, and keeps what it took in."""

    def __init__(self, answer: EventResult) -> None:
        self.answer = answer
        self.taken: list[AvailabilityEvent] = []

    def apply(self, event: AvailabilityEvent) -> EventResult:
        self.taken.append(event)
        return self.answer


@pytest.mark.parametrize("outcome", list(EventOutcome))
def test_a_webhook_is_noted_at_its_time_unless_its_event_has_to_be_repeated(
    noted: MemoryWebhooks, clock: Clock, outcome: EventOutcome
) -> None:
    answer, event = EventResult(outcome), AvailabilityEvent("e", SKU, IN_STOCK, 1, 5)
    availabilities = OneAnswer(answer)
    webhooks = AvailabilityWebhooks(availabilities, noted, clock)
    assert webhooks.apply(event, "d1") is answer
    comes_again = outcome in {EventOutcome.UNKNOWN_SKU, EventOutcome.BUSY}
    assert noted.digests == ({} if comes_again else {"d1": clock()})
    again = webhooks.apply(event, "d1")
    assert again == (answer if comes_again else EventResult(EventOutcome.REPLAYED))
    assert availabilities.taken == [event] * (2 if comes_again else 1)


def test_one_of_two_equal_webhooks_at_once_is_a_replay(clock: Clock) -> None:
    class Late(MemoryWebhooks):
        def is_known(self, digest: str) -> bool:
            return False

    late, answer = Late(), EventResult(EventOutcome.CHANGED)
    webhooks = AvailabilityWebhooks(OneAnswer(answer), late, clock)
    event = AvailabilityEvent("e", SKU, IN_STOCK, 1, 5)
    assert [webhooks.apply(event, "d1"), webhooks.apply(event, "d1")] == [
        answer,
        EventResult(EventOutcome.REPLAYED),
    ]
