"""The merchant's overview over real tables in memory: snapshots, claims, stock, waves, reads of a poll."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from statistics import mean
from typing import Any, cast
from urllib.parse import quote

import pytest
from chalice.test import Client

import app as cloud
from chalicelib.domain.demand import Demand
from chalicelib.domain.entry import DAY_MS, HOUR_MS
from chalicelib.domain.ids import Sku
from chalicelib.domain.merchant import Role
from chalicelib.domain.overview import Filter, OverviewNotReady, OverviewQuery
from chalicelib.domain.product import Picture, PictureSource, Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.wave import WavePolicy
from chalicelib.services.overview import Overviews, Tables
from chalicelib.tables.demand import DemandTable, home_part
from chalicelib.tables.expressions import encode_item
from chalicelib.tables.overview import OverviewTable
from spillway.preflight.usage import WATCHED
from tests.integration import test_app as playing_aws
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb, Paginator
from tests.support.memory_shop import PRODUCT, SKU, MemoryShop
from tests.support.merchants import signed_in_headers
from tests.support.recorded_calls import RecordedDynamoDb

deployed = playing_aws.deployed
api = playing_aws.api
IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


class CountedDemand:
    """The counters of a test."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Sku, Demand] = {}

    def all(self) -> Mapping[Sku, Demand]:
        """Return what was set."""
        return self._known

    def set(self, sku: str, waiting: int, *, pending: int = 0, last_hour: int = 0, days_ago: int = 0) -> None:
        """Set the counters of one SKU."""
        hour, day = self._clock() // HOUR_MS, self._clock() // DAY_MS - days_ago
        by_day = {day: waiting} if waiting else {}
        self._known[Sku(sku)] = Demand(Sku(sku), waiting, pending, {hour: last_hour}, by_day)


class Watched:
    """A shop in memory and its overview."""

    def __init__(self, clock: Clock, *, checked: bool = True) -> None:
        self.clock = clock
        self.dynamodb = MemoryDynamoDb(checked=checked)
        self.shop = MemoryShop(clock, dynamodb=self.dynamodb)
        self.demand = CountedDemand(clock)
        self.low_stock: int | None = None
        self.recorded = RecordedDynamoDb()
        self.recorded._memory = self.dynamodb
        self.merchant_table = create_table(self.dynamodb, "MerchantTable")
        self.overviews = self.instance()

    def instance(self) -> Overviews:
        """Return the overview of one more Lambda instance, which has nothing in memory."""
        names, client = self.shop.table_names, self.recorded
        return Overviews(
            Tables(
                OverviewTable(client, self.merchant_table),
                self.demand,
                type(self.shop.products)(client, names["ProductsTable"]),
                type(self.shop.restocks)(client, names["RestocksTable"]),
                type(self.shop.progress)(client, names["SendingTable"]),
                type(self.shop.rate_table)(client, names["SendingTable"]),
            ),
            lambda: self.low_stock,
            self.clock,
        )

    def add(self, product: Product, **stock: tuple[Availability, int | None]) -> None:
        """Add a product with the stock of its variants."""
        known = {Sku(sku): Stock(*state, self.clock(), "catalogue") for sku, state in stock.items()}
        self.shop.products.put_catalogue(product, known, known=None)

    def poll(self, **ask: Any) -> dict[str, Any]:
        """Return the document of a poll after the last snapshot."""
        self.clock.pass_s(5)
        return self.overviews.answer(OverviewQuery(**ask)).document

    def calls(self) -> list[str]:
        """Return the calls since the last time, as "GetItem Table"."""
        made = [call.splitlines() for call in self.recorded.calls]
        self.recorded.calls.clear()
        return [lines[0] for lines in made]


@pytest.fixture
def watched(clock: Clock) -> Watched:
    return Watched(clock)


def row(document: Mapping[str, Any], sku: str) -> dict[str, Any]:
    (found,) = [row for row in document["rows"] if row["sku"] == sku]
    return dict(found)


def skus(document: Mapping[str, Any]) -> list[str]:
    return [row["sku"] for row in document["rows"]]


MUG = Product(
    "mug",
    "Größe Mug",
    "",
    "",
    "kitchen",
    (
        Picture(
            "/pictures/mug.jpg",
            800,
            1000,
            "",
            (PictureSource("image/avif", (("/pictures/mug-96.avif", 96), ("/pictures/mug-320.avif", 320))),),
        ),
    ),
    (Variant("M-1", 100, (("Colour", "Slate"),)), Variant("M-2", 100, (("Colour", "Moss"),))),
)


def test_rows_are_sorted_by_demand_and_show_the_product_its_stock_and_the_longest_wait(
    watched: Watched,
) -> None:
    watched.add(MUG, **{"M-1": (IN_STOCK, 3), "M-2": (SOLD_OUT, 0)})
    watched.demand.set("M-2", 40, pending=7, last_hour=12, days_ago=9)
    watched.demand.set("A", 41)
    shown = watched.poll()
    assert skus(shown) == ["A", "M-2", "M-1"]
    assert row(shown, "M-2") == {
        "sku": "M-2",
        "slug": "mug",
        "title": "Größe Mug",
        "label": "Moss",
        "picture": "/pictures/mug-320.avif",
        "waiting": 40,
        "pending": 7,
        "signups_24h": 12,
        "hours": [*[0] * 23, 12],
        "waiting_since_day": watched.clock() // DAY_MS - 9,
        "availability": "OutOfStock",
        "stock": 0,
        "low": False,
        "withdrawn": False,
        "last_wave": None,
    }
    assert (row(shown, "M-1")["stock"], row(shown, "M-1")["low"]) == (3, True)
    assert shown["totals"] == {
        "waiting": 81,
        "pending": 7,
        "signups_24h": 12,
        "signups_1h": 12,
        "hours": [*[0] * 23, 12],
        "variants": 3,
        "variants_waiting": 2,
        "sold_out": 2,
        "emails_today": 0,
    }


def test_a_search_finds_every_word_without_case_and_accents_and_a_filter_narrows_it(watched: Watched) -> None:
    watched.add(MUG, **{"M-1": (IN_STOCK, 3), "M-2": (SOLD_OUT, 0)})
    watched.demand.set("M-1", 2)
    assert skus(watched.poll(query="MUG grosse")) == ["M-1", "M-2"]
    assert skus(watched.poll(query="mug slate")) == ["M-1"]
    assert skus(watched.poll(query="mug nothing")) == []
    assert skus(watched.poll(query="m-2")) == ["M-2"]
    assert skus(watched.poll(filter=Filter.WAITING)) == ["M-1"]
    assert skus(watched.poll(filter=Filter.SOLD_OUT)) == ["M-2", "A"]
    assert skus(watched.poll(filter=Filter.LOW_STOCK)) == ["M-1"]
    assert skus(watched.poll(filter=Filter.WAVE)) == []
    assert watched.poll(rows=1)["matched"] == 3
    assert skus(watched.poll(rows=1)) == ["M-1"]


def test_few_units_are_as_few_as_the_shop_says(watched: Watched) -> None:
    watched.add(MUG, **{"M-1": (IN_STOCK, 3), "M-2": (IN_STOCK, 2)})
    watched.low_stock = 2
    assert skus(watched.poll(filter=Filter.LOW_STOCK)) == ["M-2"]


def test_people_who_wait_for_what_is_no_longer_sold_are_on_the_page(watched: Watched) -> None:
    watched.add(MUG, **{"M-1": (SOLD_OUT, 0), "M-2": (SOLD_OUT, 0)})
    known = watched.shop.products.get("mug")
    assert known
    watched.shop.products.put_catalogue(replace(MUG, variants=MUG.variants[:1]), {}, known=known)
    watched.demand.set("M-2", 3)
    watched.demand.set("NEVER-HEARD-OF", 2)
    shown = watched.poll()
    assert [(found["sku"], found["title"], found["withdrawn"]) for found in shown["rows"][:2]] == [
        ("M-2", "Größe Mug", True),
        ("NEVER-HEARD-OF", "NEVER-HEARD-OF", True),
    ]
    assert skus(watched.poll(filter=Filter.SOLD_OUT)) == ["M-1", "A"]


def test_a_poll_is_one_read_and_a_snapshot_is_made_once_in_two_and_a_half_seconds(watched: Watched) -> None:
    watched.demand.set(SKU, 1)
    first = watched.overviews.answer(OverviewQuery())
    watched.calls()
    watched.demand.set(SKU, 2)
    watched.clock.pass_s(2.4)
    again = watched.overviews.answer(OverviewQuery())
    assert (again, watched.calls()) == (first, ["get_item"])
    watched.clock.pass_s(0.1)
    later = watched.overviews.answer(OverviewQuery())
    assert (later.document["totals"]["waiting"], later.etag == first.etag) == (2, False)
    # The snapshot, the claim, the stock, the rate limit, the snapshot.
    assert watched.calls() == ["get_item", "update_item", "batch_get_item", "get_item", "put_item"]
    watched.clock.pass_s(4)
    assert watched.overviews.answer(OverviewQuery()).etag == later.etag


def test_one_of_many_polls_at_once_makes_the_snapshot_and_the_others_read_the_last_one(
    watched: Watched,
) -> None:
    watched.demand.set(SKU, 1)
    first = watched.overviews.answer(OverviewQuery())
    watched.clock.pass_s(4)
    watched.demand.set(SKU, 2)
    second = watched.instance()
    made: list[Any] = []

    class AnotherPolls(CountedDemand):
        def all(self) -> Mapping[Sku, Demand]:
            made.append(second.answer(OverviewQuery()))
            return watched.demand.all()

    watched.overviews._tables = replace(watched.overviews._tables, demand=AnotherPolls(watched.clock))
    newer = watched.overviews.answer(OverviewQuery())
    assert made == [first]
    assert newer.document["totals"]["waiting"] == 2


def test_a_poll_during_the_first_snapshot_gets_a_time_to_retry(watched: Watched) -> None:
    assert watched.overviews._tables.snapshots.claim(at_ms=watched.clock(), known_ms=None)
    with pytest.raises(OverviewNotReady):
        watched.overviews.answer(OverviewQuery())
    # The one that claimed it has died.
    watched.clock.pass_s(15.1)
    assert watched.overviews.answer(OverviewQuery()).document["matched"] == 1


def test_nobody_is_shown_the_overview_of_yesterday(watched: Watched) -> None:
    first = watched.overviews.answer(OverviewQuery())
    watched.clock.pass_s(61)
    assert watched.overviews._tables.snapshots.claim(at_ms=watched.clock(), known_ms=first.made_at_ms)
    with pytest.raises(OverviewNotReady):
        watched.overviews.answer(OverviewQuery())


def test_stock_on_the_page_is_as_of_the_snapshot_and_names_are_read_once_a_minute(watched: Watched) -> None:
    watched.poll()
    watched.calls()
    watched.shop.observe(IN_STOCK, 7)
    shown = watched.poll()
    assert (row(shown, SKU)["availability"], row(shown, SKU)["stock"]) == ("InStock", 7)
    assert "scan" not in watched.calls()
    watched.add(MUG, **{"M-1": (SOLD_OUT, 0), "M-2": (SOLD_OUT, 0)})
    assert skus(watched.poll()) == [SKU]
    watched.clock.pass_s(60)
    assert skus(watched.poll()) == ["M-2", "M-1", SKU]


def test_an_instance_without_memory_reads_the_stored_catalogue_and_scans_nothing(watched: Watched) -> None:
    watched.poll()
    watched.calls()
    watched.overviews = watched.instance()
    assert skus(watched.poll()) == [SKU]
    assert "scan" not in watched.calls()
    watched.overviews = watched.instance()
    assert skus(watched.poll(query="jacket")) == [SKU]


def test_a_catalogue_whose_parts_are_gone_is_read_again(watched: Watched) -> None:
    watched.poll()
    known = watched.overviews._tables.snapshots.snapshot()
    assert known
    key = {"kind": "overview", "key": f"catalogue#{known.catalogue.version}#0"}
    for ask in (OverviewQuery(query="jacket"), OverviewQuery()):
        watched.overviews._tables.snapshots.table.delete(key)
        watched.overviews = watched.instance()
        found = row(watched.overviews.answer(ask).document, SKU)
        assert (found["title"], found["withdrawn"]) == ("Jacket", False)
        watched.clock.pass_s(5)


def test_a_shop_with_more_demand_than_an_item_holds_keeps_its_totals_and_the_variants_most_wanted(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.tables.overview.CHUNK_BYTES_MAX", 2_500)
    for number in range(400):
        watched.demand.set(f"S-{number * 7919 % 10_007}", 1_000 - number, days_ago=number % 90)
    shown = watched.poll()
    assert (shown["totals"]["waiting"], shown["rows"][0]["waiting"]) == (sum(range(601, 1_001)), 1_000)
    kept = watched.overviews.answer(OverviewQuery(filter=Filter.WAITING, rows=500)).document
    assert [found["waiting"] for found in kept["rows"]] == list(range(1_000, 1_000 - kept["matched"], -1))
    assert 50 <= kept["matched"] < 400


def wave(document: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = document["waves"]
    return dict(found)


def notify_some(watched: Watched, people: int, *, batches: int) -> None:
    for number in range(people):
        watched.shop.join(f"s{number:04}")
    watched.shop.observe(IN_STOCK, 500)
    for _ in range(batches):
        watched.shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))


def test_a_wave_under_way_shows_its_figures_and_its_measured_rate(watched: Watched) -> None:
    notify_some(watched, 200, batches=2)
    sent = watched.shop.sender.mailboxes()
    watched.demand.set(SKU, 200 - len(sent))
    shown = wave(watched.poll())
    assert 0 < len(sent) < 200
    assert (shown["state"], shown["notified"], shown["waiting"]) == ("sending", len(sent), 200 - len(sent))
    assert (shown["sku"], shown["title"]) == (SKU, PRODUCT.title)
    assert not {"restock_id", "samples", "last_at_ms"} & shown.keys()
    first_ms = watched.clock()
    watched.shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    more = len(watched.shop.sender.mailboxes())
    watched.demand.set(SKU, 200 - more)
    later = watched.poll()
    seconds = (watched.clock() - first_ms) / 1000
    assert wave(later)["rate_per_min"] == pytest.approx((more - len(sent)) * 60 / seconds, abs=0.1)
    assert wave(later)["left_s"] == round((200 - more) / watched.shop.account.now.rate_per_s)
    assert row(later, SKU)["last_wave"]["notified"] == more
    assert skus(watched.poll(filter=Filter.WAVE)) == [SKU]


def test_a_pause_is_on_the_page_with_its_reason_and_stops_the_estimate(watched: Watched) -> None:
    notify_some(watched, 200, batches=1)
    watched.demand.set(SKU, 150)
    watched.shop.rate_table.pause("wrong link in the email")
    shown = watched.poll()
    assert shown["paused"] == "wrong link in the email"
    assert (wave(shown)["state"], wave(shown)["left_s"], wave(shown)["rate_per_min"]) == (
        "paused",
        None,
        None,
    )


def test_a_wave_that_ended_stays_for_a_quarter_of_an_hour_and_then_is_the_last_wave_of_its_row(
    watched: Watched,
) -> None:
    notify_some(watched, 3, batches=1)
    watched.demand.set(SKU, 3)
    watched.poll()
    while watched.shop.queue.messages_waiting():
        watched.shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    watched.demand.set(SKU, 0)
    shown = watched.poll()
    assert (wave(shown)["state"], wave(shown)["notified"]) == ("done", 3)
    assert skus(watched.poll(filter=Filter.WAVE)) == []
    watched.clock.pass_s(15 * 60)
    later = watched.poll()
    assert later["waves"] == []
    assert row(later, SKU)["last_wave"] == {"opened_at_ms": shown["waves"][0]["opened_at_ms"], "notified": 3}


def test_a_wave_that_begins_and_ends_between_two_snapshots_is_on_the_page(watched: Watched) -> None:
    watched.demand.set(SKU, 3)
    assert watched.poll()["waves"] == []
    notify_some(watched, 3, batches=1)
    while watched.shop.queue.messages_waiting():
        watched.shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    watched.demand.set(SKU, 0)
    shown = wave(watched.poll())
    assert (shown["state"], shown["notified"], shown["waiting"]) == ("done", 3, 0)
    assert wave(watched.poll())["notified"] == 3


def test_people_who_leave_the_waitlist_are_no_wave(watched: Watched) -> None:
    watched.demand.set(SKU, 3)
    watched.poll()
    watched.demand.set(SKU, 1)
    assert watched.poll()["waves"] == []


def test_a_variant_that_sells_out_in_mid_wave_says_so(watched: Watched) -> None:
    notify_some(watched, 200, batches=1)
    watched.demand.set(SKU, 150)
    watched.poll()
    watched.shop.observe(SOLD_OUT, 0)
    assert (wave(watched.poll())["state"], wave(watched.poll())["waiting"]) == ("sold_out", 150)


def test_a_limited_wave_says_when_the_next_one_follows(watched: Watched) -> None:
    watched.shop.policy = WavePolicy(emails_per_unit=1, next_after_min=30)
    for number in range(20):
        watched.shop.join(f"s{number:04}")
    watched.shop.observe(IN_STOCK, 5)
    for _ in range(2):
        watched.shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    assert len(watched.shop.sender.mailboxes()) == 5
    watched.demand.set(SKU, 15)
    shown = wave(watched.poll())
    last_ms = watched.shop.progress.wave(SKU).last_email_at_ms
    assert (shown["state"], shown["notified"], shown["next_wave_at_ms"]) == (
        "between",
        5,
        last_ms + 30 * 60_000,
    )


def test_too_few_units_for_the_policy_hold_the_wave(watched: Watched) -> None:
    watched.shop.policy = WavePolicy(emails_per_unit=1, units_min=10)
    watched.shop.join("ada")
    watched.shop.observe(IN_STOCK, 20)
    watched.shop.observe(IN_STOCK, 9)
    watched.demand.set(SKU, 1)
    assert (wave(watched.poll())["state"], wave(watched.poll())["left_s"]) == ("held", None)


def test_people_who_wait_for_the_next_restock_are_no_wave(watched: Watched) -> None:
    watched.shop.observe(IN_STOCK, 5)
    watched.clock.pass_s(16 * 60)
    watched.demand.set(SKU, 4)
    assert watched.poll()["waves"] == []


def test_the_last_wave_is_looked_for_again_only_after_the_stock_changed(watched: Watched) -> None:
    notify_some(watched, 3, batches=8)
    for _ in range(16):
        watched.poll()
    watched.calls()
    assert row(watched.poll(), SKU)["last_wave"]["notified"] == 3
    assert "query" not in watched.calls()
    watched.shop.observe(SOLD_OUT, 0)
    watched.poll()
    assert "query" in watched.calls()


def polled(api: Client, query: str = "", **headers: str) -> Any:
    return api.http.get(f"/merchant/overview{query}", headers={"accept": "application/json", **headers})


@pytest.fixture
def cookie(deployed: object) -> Iterator[str]:
    """The cookie of a merchant who may only see, at a shop whose demand is not counted yet."""
    _ = deployed
    yield signed_in_headers(cloud.container, role=Role.SEE)["cookie"]
    vars(cloud.container).pop("overviews", None)


def test_the_api_answers_a_merchant_with_an_etag_and_then_304_without_a_body(
    api: Client, cookie: str
) -> None:
    first = polled(api, cookie=cookie)
    assert (first.status_code, first.json_body["role"]) == (200, "see")
    assert first.json_body["matched"] == len(first.json_body["rows"]) > 0
    assert b"@" not in first.body
    # RFC 9110, section 13.1.2: a weak tag, one of several, any.
    for known in (f"W/{first.headers['ETag']}", f'"other", {first.headers["ETag"]}', "*"):
        again = polled(api, cookie=cookie, **{"if-none-match": known})
        assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    # A new role is in the next answer.
    acting = signed_in_headers(cloud.container, role=Role.ACT)["cookie"]
    other = polled(api, cookie=acting, **{"if-none-match": first.headers["ETag"]})
    assert (other.status_code, other.json_body["role"]) == (200, "act")


def test_the_api_answers_a_merchant_with_the_traffic_and_then_304(api: Client, cookie: str) -> None:
    container = cloud.container
    container.client("s3").create_bucket(Bucket="traffic")
    vars(container)["settings"] = replace(container.settings, traffic_bucket="traffic", traffic_logs="yes")
    try:
        first = api.http.get("/merchant/traffic", headers={"cookie": cookie})
        assert (first.status_code, first.json_body["is_on"], first.json_body["requests"]) == (200, True, 0)
        known = {"cookie": cookie, "if-none-match": first.headers["ETag"]}
        again = api.http.get("/merchant/traffic", headers=known)
        assert (again.status_code, again.body) == (304, b"")
        assert api.http.get("/merchant/traffic").status_code == 401
    finally:
        for name in ("settings", "recent_traffic", "_traffic_bucket"):
            vars(container).pop(name, None)


def test_the_api_shows_the_overview_to_nobody_else(api: Client, cookie: str) -> None:
    _ = cookie
    assert polled(api).status_code == 401


@pytest.mark.parametrize(
    ("query", "field", "detail"),
    [
        ("?filter=sold", "filter", "One of waiting, sold_out, low_stock, wave."),
        ("?rows=501", "rows", "A number from 1 to 500."),
        ("?rows=0", "rows", "A number from 1 to 500."),
        ("?rows=1e2", "rows", "A number from 1 to 500."),
        (f"?q={'x' * 101}", "q", "At most 100 characters."),
        ("?q=a%00b", "q", "At most 100 characters."),
        ("?page=2", "page", "Unknown field."),
    ],
)
def test_the_answer_to_a_wrong_address_names_the_field(
    api: Client, cookie: str, query: str, field: str, detail: str
) -> None:
    answer = polled(api, query, cookie=cookie)
    assert (answer.status_code, answer.json_body["errors"]) == (400, [{"field": field, "detail": detail}])


def test_a_search_by_the_api_shows_its_rows_alone(api: Client, cookie: str) -> None:
    every = polled(api, cookie=cookie).json_body
    sku = every["rows"][0]["sku"]
    found = polled(api, f"?q={quote(sku)}", cookie=cookie)
    assert skus(found.json_body) == [sku]
    assert found.json_body["totals"] == every["totals"]
    again = polled(api, f"?q={quote(sku)}", cookie=cookie, **{"if-none-match": found.headers["ETag"]})
    assert again.status_code == 304


def test_a_poll_in_the_middle_of_the_first_snapshot_is_asked_to_come_back_in_a_second(
    api: Client, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: object) -> None:
        raise OverviewNotReady

    monkeypatch.setattr(cloud.container.overviews, "answer", never)
    answer = polled(api, cookie=cookie)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


class Metered:
    """A client that counts calls, and the units that DynamoDB charges for them, by the size of the items.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """

    def __init__(self, memory: MemoryDynamoDb) -> None:
        self._memory = memory
        self.calls: Counter[str] = Counter()
        self.read_units = self.write_units = 0.0
        self.exceptions = memory.exceptions

    def __getattr__(self, method: str) -> Any:
        def call(**request: Any) -> Any:
            self.calls[method] += 1
            answer = getattr(self._memory, method)(**request)
            self._charge(method, request, answer)
            return answer

        return call

    def get_paginator(self, operation: str) -> Paginator:
        """Return pages, each of which is a call."""
        return Paginator(getattr(self, operation))

    def _charge(self, method: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        half = 1 if request.get("ConsistentRead") else 2
        if method == "get_item":
            self.read_units += max(1, ceil(_bytes_of(answer.get("Item", {})) / 4096)) / half
        elif method in {"query", "scan"}:
            self.read_units += max(1, ceil(sum(map(_bytes_of, answer["Items"])) / 4096)) / half
        elif method == "batch_get_item":
            for table, wanted in request["RequestItems"].items():
                for key in wanted["Keys"]:
                    item = self._memory.get_item(TableName=table, Key=key).get("Item", {})
                    self.read_units += max(1, ceil(_bytes_of(item) / 4096))
        elif method in {"put_item", "update_item"}:
            self.write_units += max(1, ceil(_bytes_of(request.get("Item", {})) / 1024))


def _bytes_of(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(len(str(name)) + _bytes_of(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return sum(map(_bytes_of, value))
    return len(value if isinstance(value, bytes) else str(value).encode())


# Each request of a merchant reads the merchant, the session and the epoch by one call.
SESSION_CALLS, SESSION_READ_UNITS = 1, 3


def test_an_hour_of_watching_in_a_flood_costs_what_the_bill_says(clock: Clock) -> None:
    """A hundred sold-out variants in fifty products, and signups for each of them at every poll."""
    watched = Watched(clock, checked=False)
    metered = Metered(watched.dynamodb)
    watched.recorded = metered  # type: ignore[assignment]
    demand_table = create_table(watched.dynamodb, "DemandTable")
    for number in range(50):
        variants = tuple(Variant(Sku(f"P{number}-{size}"), 100) for size in "SL")
        product = replace(MUG, slug=f"p{number}", title=f"Product {number}", variants=variants)
        words = "".join(f"{number * at % 9973:x} " for at in range(500))
        watched.add(replace(product, description_html=words), **{v.sku: (SOLD_OUT, 0) for v in variants})
    counters = DemandTable(cast("Any", metered), demand_table)
    watched.overviews = watched.instance()
    watched.overviews._tables = replace(watched.overviews._tables, demand=counters)
    watched.overviews.answer(OverviewQuery())
    metered.read_units = 0.0
    assert len(list(watched.overviews._tables.products.documents())) == 51
    catalogue_units = metered.read_units
    metered.calls.clear()
    metered.read_units = metered.write_units = 0.0
    sizes, polls = [], 4
    for poll in range(polls):
        hour = f"h{watched.clock() // HOUR_MS}"
        for number in range(50):
            for size in "SL":
                sku = Sku(f"P{number}-{size}")
                counted = {"waiting": 10 * poll + number, "pending": poll, hour: 11 * poll}
                watched.dynamodb.put_item(
                    TableName=demand_table,
                    Item=encode_item({"part": home_part(sku), "sku": sku, **counted}),
                )
        watched.clock.pass_s(WATCHED.poll_s)
        sizes.append(
            len(json.dumps(watched.overviews.answer(OverviewQuery()).document, separators=(",", ":")))
        )
    per_hour = 3600 / WATCHED.poll_s / polls
    # For each: the last snapshot, its claim, the 16 parts of the demand, the stock, the rate limit, the new
    # snapshot.
    calls = {"get_item": 2, "update_item": 1, "query": 16, "batch_get_item": 1, "put_item": 1}
    expected = Counter({name: count * polls for name, count in calls.items()})
    assert metered.calls == expected
    assert sum(calls.values()) + SESSION_CALLS == WATCHED.calls
    read_units = (metered.read_units + SESSION_READ_UNITS * polls) * per_hour + 60 * catalogue_units
    print(read_units, metered.write_units * per_hour, mean(sizes))
    assert read_units == pytest.approx(WATCHED.read_units, rel=0.05)
    assert metered.write_units * per_hour == pytest.approx(WATCHED.write_units, rel=0.05)
    assert mean(sizes) == pytest.approx(WATCHED.answer_bytes, rel=0.05)
