"""A lost webhook is repaired by the source's whole list, which servers answer as they document."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.domain.ids import Sku
from chalicelib.inbound.reconciliation import ChangeLimit
from chalicelib.outbound.fetching import ANSWER_BYTES_MAX, FetchFailed, HttpsFetcher
from chalicelib.services.reconciliation import (
    ListUnusable,
    ReconcileFailed,
    SourceAccount,
    accounts_of,
)
from tests.support.clock import Clock
from tests.support.inbound_shop import InboundShop
from tests.support.log_lines import logged
from tests.support.stock_api import Asked, Said, StockApi, stock_api
from tests.unit.test_stock_lists import cost, variant, woo

TOKEN = "shpat_0123"
PRODUCTS = "/wp-json/wc/v3/products"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockApi]:
    with stock_api(tmp_path_factory.mktemp("certificate")) as api:
        yield api


@pytest.fixture
def api(server: StockApi) -> StockApi:
    server.asked.clear()
    server.waited.clear()
    return server


@pytest.fixture
def shop() -> InboundShop:
    return InboundShop(Clock(), skus=30)


def shopify(pages: list[list[dict[str, Any]]], **others: Any) -> Callable[[Asked], Said]:
    """Answer with pages, whose cursors are their numbers."""

    def answer(asked: Asked) -> Said:
        number = int(json.loads(asked.body)["variables"]["after"] or 0)
        page = {"hasNextPage": number + 1 < len(pages), "endCursor": str(number + 1)}
        return Said({"data": {"productVariants": {"pageInfo": page, "nodes": pages[number]}}, **others})

    return answer


def reconciled(shop: InboundShop, api: StockApi, source: str, account: SourceAccount) -> dict[str, str]:
    reconciliation = shop.reconciliation(api.fetcher())
    listed = reconciliation.fetch(source, account)
    events = reconciliation.apply(source, listed, reconciliation.compare(source, listed))
    return {result["sku"]: result["outcome"] for event in events for result in event.results}


def test_a_lost_webhook_of_shopify_is_repaired_page_by_page(shop: InboundShop, api: StockApi) -> None:
    product = {"id": 1, "variants": [{"id": 1, "sku": "S1", "inventory_quantity": 4}]}
    headers = {
        "x_shopify_topic": "products/update",
        "x_shopify_triggered_at": "2026-09-21T14:13:19Z",
    }
    shop.receive("shopify", json.dumps(product).encode(), **headers)
    assert shop.units("S1") == 4
    # S1 sold out, S2 came, and neither webhook arrived.
    api.answer = shopify([[variant(1, "S1", 0)], [variant(2, "S2", 7), variant(3, "X", 1)]])
    shop.clock.pass_s(3600)
    assert reconciled(shop, api, "shopify", SourceAccount(api.url, TOKEN)) == {
        "S1": "changed",
        "S2": "changed",
    }
    assert (shop.units("S1"), shop.units("S2"), shop.units("S3")) == (0, 7, 0)
    assert [asked.headers["x-shopify-access-token"] for asked in api.asked] == [TOKEN, TOKEN]
    assert {asked.path for asked in api.asked} == {"/admin/api/2026-07/graphql.json"}
    # Ids of variants that changed are known from now on.
    assert shop.events.linked("shopify", ["item:1002", "item:1003"]) == {"item:1002": Sku("S2")}
    # Again, and nothing is left to do.
    assert reconciled(shop, api, "shopify", SourceAccount(api.url, TOKEN)) == {}


def test_a_later_event_stays(shop: InboundShop, api: StockApi) -> None:
    ahead = {"sku": "S1", "units": 9, "event_id": "e", "observed_at": "2026-09-21T14:14:00Z"}
    shop.clock.pass_s(10)
    shop.receive("generic", json.dumps(ahead).encode())
    api.answer = shopify([[variant(1, "S1", 2)]])
    assert reconciled(shop, api, "shopify", SourceAccount(api.url, TOKEN)) == {}
    assert shop.units("S1") == 9


def test_the_units_of_named_locations_are_repaired_each(shop: InboundShop, api: StockApi) -> None:
    shop.events.link("shopify", "item:1001", Sku("S1"))
    shop.events.count_locations("shopify", ["5", "6"], at_ms=shop.clock())

    def level(place: int, units: int) -> None:
        body = {"inventory_item_id": 1001, "location_id": place, "available": units}
        headers = {
            "x_shopify_topic": "inventory_levels/update",
            "x_shopify_event_id": f"{place}-{units}",
        }
        at_s = shop.clock() // 1000 % 60
        shop.receive(
            "shopify",
            json.dumps(body).encode(),
            **headers,
            x_shopify_triggered_at=f"2026-09-21T14:13:{at_s}Z",
        )
        shop.clock.pass_s(1)

    level(5, 3)
    level(6, 4)
    assert shop.units("S1") == 7
    # The webhook of location 5, sold out, is lost.
    api.answer = shopify([[variant(1, "S1", 99, levels={"5": 0, "6": 4, "7": 50})]])
    assert reconciled(shop, api, "shopify", SourceAccount(api.url, TOKEN)) == {"S1": "changed"}
    assert shop.units("S1") == 4
    level(6, 1)
    assert shop.units("S1") == 1


def test_shopifys_limit_is_waited_for(shop: InboundShop, api: StockApi) -> None:
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    throttled = Said({"errors": [error], "extensions": cost(500, 200)})
    good = shopify([[variant(1, "S1", 5)], [variant(2, "S2", 6)]], extensions=cost(500, 350, 50))
    answers = iter([throttled, None, throttled, None])

    def answer(asked: Asked) -> Said:
        return next(answers) or good(asked)

    api.answer = answer
    reconciled(shop, api, "shopify", SourceAccount(api.url, TOKEN))
    assert (shop.units("S1"), shop.units("S2")) == (5, 6)
    assert api.waited == [3.0, 3.0, 3.0]


def test_woocommerce_is_read_with_the_variations_of_its_products(shop: InboundShop, api: StockApi) -> None:
    full = [woo(100 + number, sku=f"X{number}") for number in range(99)]
    rows = {
        (PRODUCTS, "1"): [woo(1, type="variable"), *full],
        (PRODUCTS, "2"): [woo(2, sku="S2", stock_quantity=6)],
        (f"{PRODUCTS}/1/variations", "1"): [woo(11, sku="S1", type="variation", stock_quantity=4)],
    }

    def answer(asked: Asked) -> Said:
        pages = sum(path == asked.path for path, _ in rows)
        return Said(rows[asked.path, asked.query["page"]], headers={"X-WP-TotalPages": str(pages)})

    api.answer = answer
    account = SourceAccount(f"{api.url}/", "cs_0123", "ck_0123")
    assert reconciled(shop, api, "woocommerce", account) == {"S1": "changed", "S2": "changed"}
    assert (shop.units("S1"), shop.units("S2")) == (4, 6)
    assert [(asked.path, asked.query["page"]) for asked in api.asked] == [
        (PRODUCTS, "1"),
        (PRODUCTS, "2"),
        (f"{PRODUCTS}/1/variations", "1"),
    ]
    assert {asked.headers["authorization"] for asked in api.asked} == {"Basic Y2tfMDEyMzpjc18wMTIz"}


def test_a_csv_file_is_fetched_with_its_token_and_as_of_the_request(shop: InboundShop, api: StockApi) -> None:
    api.answer = lambda _: Said(b"sku,stock\nS1,4\nS2,0\n")
    assert reconciled(shop, api, "generic", SourceAccount(f"{api.url}/stock.csv?key=1", "token")) == {
        "S1": "changed"
    }
    assert (api.asked[0].path, api.asked[0].query) == ("/stock.csv", {"key": "1"})
    assert api.asked[0].headers["authorization"] == "Bearer token"
    assert shop.stock()["S1"] == ("InStock", 4, shop.clock())


def run(shop: InboundShop, api: StockApi, accounts: dict[str, SourceAccount]) -> None:
    shop.reconciliation(api.fetcher()).run(accounts, ChangeLimit())


def test_a_list_above_the_limit_changes_nothing_and_the_other_sources_are_reconciled(
    api: StockApi, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = InboundShop(Clock(), skus=30)
    everything = "".join(f"S{number},9\n" for number in range(30))

    def answer(asked: Asked) -> Said:
        if asked.path == "/stock.csv":
            return Said(f"sku,stock\n{everything}".encode())
        return Said([woo(1, sku="S1", stock_quantity=2)])

    api.answer = answer
    accounts = {
        "generic": SourceAccount(f"{api.url}/stock.csv"),
        "woocommerce": SourceAccount(api.url, "cs_0123", "ck_0123"),
    }
    with pytest.raises(ReconcileFailed, match=r"^generic$"):
        run(shop, api, accounts)
    assert (shop.units("S0"), shop.units("S1")) == (0, 2)
    found = {
        (event.source, event.outcome): event.results[0]
        for event in shop.events.recent(from_ms=shop.clock() - 1, until_ms=shop.clock())
    }
    assert found["generic", "not_reconciled"] == {
        "reason": "30 of 30 variants would change (100 %), more than the limit of 30 %; "
        "see spillway reconcile generic --dry-run"
    }
    assert found["woocommerce", "reconciled"] == {"sku": "S1", "outcome": "changed"}
    (line,) = logged(capsys, "reconciled")
    assert (line["source"], line["compared"], line["changed"]) == ("woocommerce", 1, 1)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said("", 401), "127.0.0.1: it refuses the credentials (status 401)"),
        (Said("", 404), "127.0.0.1: answered 404 for /stock.csv"),
        (
            Said("", 302, {"Location": "http://169.254.169.254/"}),
            "127.0.0.1: it redirects; name the address that it redirects to",
        ),
        (Said("", 503), "127.0.0.1: answered 503, 5 times"),
        (Said(b"<html>"), "line 1: the columns are <html>; expected sku and stock"),
        (Said(b"sku,stock\n"), "the list names no variant"),
    ],
)
def test_a_list_that_cannot_be_used_changes_nothing_and_says_why(
    shop: InboundShop, api: StockApi, said: Said, reason: str
) -> None:
    api.answer = lambda _: said
    before = shop.stock()
    reconciliation = shop.reconciliation(api.fetcher())
    account = SourceAccount(f"{api.url}/stock.csv?key=hush", "hush-hush")
    with pytest.raises(ListUnusable) as failed:
        reconciliation.compare("generic", reconciliation.fetch("generic", account))
    assert str(failed.value).startswith(f"generic: {reason}")
    assert "hush" not in str(failed.value)
    assert shop.stock() == before
    assert len(api.asked) == (5 if said.status == 503 else 1)


def test_a_busy_server_is_asked_later_each_time_and_as_it_says(api: StockApi) -> None:
    answers = iter([Said("", 500), Said("", 429, {"Retry-After": "7"}), Said("", 502), Said(b"sku,stock")])
    api.answer = lambda _: next(answers)
    assert api.fetcher().fetch(f"{api.url}/a", {}).body == b"sku,stock"
    assert api.waited == [1.0, 7.0, 4.0]


def test_an_answer_that_is_too_large_is_given_up(api: StockApi) -> None:
    api.answer = lambda _: Said(b" " * (ANSWER_BYTES_MAX + 1))
    with pytest.raises(FetchFailed, match="larger than 20,000,000 bytes"):
        api.fetcher().fetch(f"{api.url}/a", {})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1:1/a", "127.0.0.1: 127.0.0.1 leads to a private or local network"),
        ("https://169.254.169.254/latest", "169.254.169.254: 169.254.169.254 leads to a private"),
        ("http://shop.example/a?key=hush", "http://shop.example/a: it does not begin with https://"),
    ],
)
def test_an_address_that_is_not_public_or_not_https_is_never_called(url: str, reason: str) -> None:
    with pytest.raises(FetchFailed) as refused:
        HttpsFetcher(sleep=lambda _: None).fetch(url, {})
    assert str(refused.value).startswith(reason)


def test_a_certificate_of_another_name_is_refused(api: StockApi) -> None:
    strict = HttpsFetcher(addresses_of=lambda host: ["127.0.0.1"], context=api.context, sleep=lambda _: None)
    with pytest.raises(FetchFailed, match="its certificate: Hostname mismatch"):
        strict.fetch(api.url.replace("127.0.0.1", "shop.test"), {})
    assert api.asked == []


def test_the_next_address_of_a_name_is_used_where_the_first_takes_no_connection(api: StockApi) -> None:
    api.answer = lambda _: Said(b"sku,stock")
    fetcher = HttpsFetcher(addresses_of=lambda _: ["127.0.0.2", "127.0.0.1"], context=api.context)
    assert fetcher.fetch(f"{api.url}/a", {}).body == b"sku,stock"


def test_accounts_are_stored_and_read_without_what_they_lack() -> None:
    account = SourceAccount("https://shop.example", "cs", "ck")
    text = json.dumps({"woocommerce": account.to_document(), "square": {"url": "x"}})
    assert accounts_of(text) == {"woocommerce": account}
    assert SourceAccount("https://x").to_document() == {"url": "https://x"}
    assert repr(account) == "SourceAccount(url='https://shop.example')"
    assert accounts_of("{}") == {}
