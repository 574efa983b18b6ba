"""From the link of an email and a reported order to the report, over the API."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from io import StringIO
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse
from click.testing import CliRunner

import app as cloud
import spillway.stage as stages
from chalicelib.domain.entry import DAY_MS, Entry, EntryState, shards_of
from chalicelib.domain.reports import CLICKS_COUNTED_MS, Click, RestockRef
from chalicelib.domain.stock import Availability, Restock, Stock
from chalicelib.domain.traffic.report import TrafficReport
from chalicelib.inbound.authenticity import own_signature
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.reports import Reports
from chalicelib.storefront.renderer import Renderer
from chalicelib.tables.demand import part_name
from chalicelib.tables.reports import ReportsTable
from chalicelib.tables.table import Table
from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.release import Release
from spillway.traffic.gather import funnel
from tests.integration import test_app as playing_aws
from tests.support.log_lines import logged
from tests.support.merchants import signed_in_headers
from tests.support.small_shop import make_small_shop

deployed = playing_aws.deployed
api = playing_aws.api
SKU = "FJ-MOSS-M"
PAGE = "/products/field-jacket?sku=FJ-MOSS-M#v-FJ-MOSS-M"
CLICKED = re.compile(r"https://www\.heron\.example(/api/click\?token=[^\s\"]+)")


@pytest.fixture
def restock(api: Client) -> Iterator[Restock]:
    """A restock that emailed 40 people an hour ago; the tables have nothing else."""
    container = cloud.container
    table = container.merchants.table
    for row in table.scan():
        table.delete({"kind": row["kind"], "key": row["key"]})
    now_ms = container.clock_ms()
    restock = Restock(f"{SKU}:1:e{now_ms}", "field-jacket", SKU, 5, now_ms, now_ms - 3_600_000, version=1)
    container.restocks.open(restock)
    container.report_rows.note(RestockRef.of(restock))
    shard = shards_of(SKU)[0]
    container.progress.add(restock.id, shard, at_ms=now_ms, notified=40, bounced=1)
    yield restock
    _ = api


def click_link(release: Release, restock: Restock, shopper: str = "ada", page: str = "/") -> tuple[str, str]:
    """The path of the product's link in an email of a shop that counts clicks, in its HTML and its text."""
    theme = replace(
        release.theme,
        editions=tuple(
            replace(edition, shop=replace(edition.shop, count_clicks=True))
            for edition in release.theme.editions
        ),
    )
    stocked = cloud.container.products.get("field-jacket")
    assert stocked is not None
    stocked = replace(stocked, stock={SKU: Stock(Availability.IN_STOCK, 5, 1, "e")})
    entry = Entry(shopper, SKU, f"{shopper}@example.com", EntryState.CONFIRMED, 1, page=page)
    composer = EmailComposer(Renderer(theme), cloud.container.links)
    first, second = composer.available(
        [replace(entry, shopper="bob"), entry], stocked, restock_tag=restock.tag
    )
    assert first.email.html != second.email.html
    assert "/api/unsubscribe?token=" in second.headers["List-Unsubscribe"]
    in_html = set(CLICKED.findall(unescape(second.email.html)))
    in_text = set(CLICKED.findall(second.email.text))
    assert in_html == in_text
    assert not in_html & set(CLICKED.findall(unescape(first.email.html)))
    (link,) = in_html
    return link.removeprefix("/api"), second.email.html


def follow(api: Client, link: str, method: str = "GET", **headers: str) -> HTTPResponse:
    return api.http.request(method, link, headers=headers)


def clicks(restock: Restock) -> int:
    counted, _ = cloud.container.report_rows.counted([restock.tag])
    return counted[restock.tag]


def order(api: Client, *, key: str = "merchants-own", **fields: Any) -> HTTPResponse:
    document = {"order_id": "1001", "sku": SKU, "quantity": 2, "amount_minor": 29_600, "currency": "GBP"}
    body = json.dumps({**document, **fields}).encode()
    at_s = cloud.container.clock_ms() // 1000
    headers = {
        "content-type": "application/json",
        "spillway-signature": f"t={at_s},v1={own_signature(key, at_s, body)}",
    }
    return api.http.post("/orders", headers=headers, body=body)


def test_the_link_of_an_email_leads_to_its_variant_and_is_counted_once(
    api: Client, restock: Restock, german_release: Release
) -> None:
    link, _ = click_link(german_release, restock)
    for _ in range(3):
        answer = follow(api, link)
        assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
    assert clicks(restock) == 1
    german, _ = click_link(german_release, restock, "cyd", "/de/products/field-jacket")
    assert follow(api, german).headers["Location"] == f"/de{PAGE}"
    assert clicks(restock) == 2


def test_the_funnel_has_the_clicked_emails_of_each_product_by_all_its_restocks(
    api: Client, restock: Restock, german_release: Release
) -> None:
    container = cloud.container
    report = TrafficReport("2026-11-27T10", "2026-11-27T10")
    before = {row.slug: row.clicked for row in funnel(container, report)}
    assert set(before.values()) <= {None}
    other = replace(restock, id=f"FJ-SAND-M:2:e{restock.opened_at_ms}", sku="FJ-SAND-M")
    container.report_rows.note(RestockRef.of(other))
    for shopper in ("ada", "cyd", "ada"):
        follow(api, click_link(german_release, restock, shopper)[0])
    for tag, slug in ((other.tag, "field-jacket"), ("a restock that is kept no longer", "mug")):
        container.report_rows.count_click(
            Click("eve", SKU, tag, f"/products/{slug}"), at_ms=restock.opened_at_ms
        )
    rows = {row.slug: row.clicked for row in funnel(container, report)}
    assert rows.pop("field-jacket") == 3
    assert set(rows.values()) <= {0}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"purpose": "prefetch"}),
        ("GET", {"x-purpose": "preview"}),
    ],
)
def test_a_prefetch_of_a_click_is_redirected_and_not_counted(
    api: Client, restock: Restock, german_release: Release, method: str, headers: dict[str, str]
) -> None:
    link, _ = click_link(german_release, restock)
    answer = follow(api, link, method, **headers)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert clicks(restock) == 0


@pytest.mark.parametrize("query", ["", "?token=", "?token=forged", "?token=https://evil.example", "?lang=xx"])
def test_any_other_token_leads_to_the_shop(api: Client, query: str) -> None:
    answer = follow(api, f"/click{query}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    german = follow(api, "/click?token=forged&lang=de")
    assert german.headers["Location"] == "/de"


def test_a_table_that_is_throttled_holds_nobody_up(
    api: Client, restock: Restock, german_release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = cloud.container

    class Throttled:
        def transact_write_items(self, **_: Any) -> Any:
            raise ConnectionError("too busy")

    client: Any = Throttled()
    table = ReportsTable(client, "m")
    reports = Reports(table, container.restocks, container.progress, container.clock_ms)
    monkeypatch.setattr(container, "clicks", reports)
    link, _ = click_link(german_release, restock)
    answer = follow(api, link)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert clicks(restock) == 0


def test_a_click_of_long_ago_leads_on_and_is_not_counted(
    api: Client, restock: Restock, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = cloud.container
    token = container.links.sign_click(Click("ada", SKU, restock.tag, PAGE))
    later_ms = container.clock_ms() + CLICKS_COUNTED_MS + 60_000
    reports = Reports(container.report_rows, container.restocks, container.progress, lambda: later_ms)
    monkeypatch.setattr(container, "clicks", reports)
    assert follow(api, f"/click?token={token}").headers["Location"] == PAGE
    assert clicks(restock) == 0


def test_a_shop_that_counts_no_clicks_links_to_the_page(german_release: Release, restock: Restock) -> None:
    stocked = cloud.container.products.get("field-jacket")
    assert stocked is not None
    entry = Entry("ada", SKU, "ada@example.com", EntryState.CONFIRMED, 1, page="/")
    composer = EmailComposer(Renderer(german_release.theme), cloud.container.links)
    (outgoing,) = composer.available([entry], stocked, restock_tag=restock.tag)
    assert "/api/click" not in outgoing.email.html + outgoing.email.text
    assert f"https://www.heron.example{PAGE}" in outgoing.email.text


def test_an_order_counts_once_for_its_restock(api: Client, restock: Restock) -> None:
    first, repeat = order(api), order(api, amount_minor=1)
    assert (first.status_code, first.json_body) == (200, {"outcome": "counted", "restock": restock.id})
    assert repeat.json_body == {"outcome": "unchanged", "restock": restock.id}
    token = cloud.container.links.sign_click(Click("ada", SKU, restock.tag, PAGE))
    assert order(api, order_id="1002", click=token).json_body["outcome"] == "counted"
    unknown = order(api, order_id="1003", click="forged", colour="red")
    assert unknown.json_body["ignored"] == ["colour", "click"]
    old = order(api, order_id="1004", ordered_at="2020-01-01T00:00:00Z")
    assert old.json_body == {"outcome": "counted", "restock": None}

    (report,) = cloud.container.reports.of(SKU, restock.id)

    assert (report.sales.orders, report.sales.units, report.sales.by_click) == (3, 6, 1)
    assert report.sales.revenue_minor == {"GBP": 88_800}
    assert report.revenue_per_email_minor("GBP") == 2_220


def test_an_order_that_is_not_signed_by_the_shop_is_refused(api: Client, restock: Restock) -> None:
    assert order(api, key="another").status_code == 401
    assert (
        api.http.post("/orders", headers={"content-type": "application/json"}, body=b"{}").status_code == 401
    )
    assert cloud.container.reports.of(SKU, restock.id)[0].sales.orders == 0


def test_the_page_reads_the_reports(api: Client, restock: Restock) -> None:
    order(api)
    assert api.http.get("/merchant/reports").status_code == 401
    headers = signed_in_headers(cloud.container)
    answer = api.http.get("/merchant/reports", headers=headers)
    assert answer.status_code == 200
    (row,) = answer.json_body["restocks"]
    assert (row["restock"], row["title"], row["label"]) == (restock.id, "Field Jacket", "Moss, M")
    assert (row["notified"], row["bounced"], row["orders"], row["clicks"]) == (40, 1, 1, 0)
    assert row["revenue_per_email_minor"] == {"GBP": 740.0}
    assert answer.json_body["opened"] == "not measured"
    assert answer.json_body["counts_clicks"] is False
    assert api.http.get("/merchant/reports?sku=SCARF", headers=headers).json_body["restocks"] == []
    assert api.http.get("/merchant/reports?sku=%00", headers=headers).status_code == 400


class Here:
    """The stage whose tables the API has."""

    name = "local"

    def container(self) -> Any:
        return cloud.container


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_small_shop(tmp_path_factory.mktemp("small-shop"))


def test_the_command_reports_as_json_csv_and_a_table(
    api: Client, restock: Restock, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(api)

    monkeypatch.setattr(stages, "running_local_stage", lambda _: Here())

    def said(*words: str) -> str:
        ran = CliRunner().invoke(cli, ["report", *words], obj=project)
        assert ran.exit_code == 0, ran.output
        return ran.output

    assert json.loads(said("--json"))[0]["units"] == 2
    (row,) = csv.DictReader(StringIO(said(SKU, "--restock", restock.id, "--csv")))
    assert (row["revenue"], row["revenue_per_email"], row["currency"]) == ("296.00", "7.4000", "GBP")
    assert "opened emails are not measured" in said()
    assert "296.00 GBP" in said(SKU)
    assert "SCARF has had no restock yet" in said("SCARF")
    wrong = CliRunner().invoke(cli, ["report", SKU, "--restock", "none"], obj=project)
    assert isinstance(wrong.exception, BadInput)
    assert "has no such restock" in str(wrong.exception)
    without_sku = CliRunner().invoke(cli, ["report", "--restock", "none"], obj=project)
    assert isinstance(without_sku.exception, BadInput)


def test_an_order_is_advised_for_the_people_who_wait(
    api: Client, restock: Restock, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = cloud.container
    today = container.clock_ms() // DAY_MS
    rows = Table(container.client("dynamodb"), container.settings.demand_table)
    for sku, counters in (
        (SKU, {"waiting": 30, f"w{today}": 30}),
        ("GONE", {"waiting": 5, f"w{today - 37}": 5}),
    ):
        rows.put({"part": part_name(1), "sku": sku, **counters})
    rows.put({"part": part_name(2), "sku": SKU, "waiting": 10, f"w{today - 90}": 10})
    order(api)

    answer = api.http.get("/merchant/ordering", headers=signed_in_headers(container))

    assert api.http.get("/merchant/ordering").status_code == 401
    first, gone = answer.json_body["variants"]
    # Two units for 40 emails are 5%.
    assert (first["sku"], first["order_about"], first["waiting"], first["basis"]) == (SKU, 2, 40, "own")
    assert (first["title"], first["label"]) == ("Field Jacket", "Moss, M")
    assert first["reasons"][1] == "2 units were sold for 40 emails about it: 5.0%"
    assert (gone["sku"], gone["title"], gone["order_about"], gone["basis"]) == ("GONE", None, 1, "shop")
    monkeypatch.setattr(stages, "running_local_stage", lambda _: Here())

    def said(*words: str) -> str:
        ran = CliRunner().invoke(cli, ["order-about", *words], obj=project)
        assert ran.exit_code == 0, ran.output
        return ran.output

    assert json.loads(said("--json")) == answer.json_body["variants"]
    (line, _) = csv.DictReader(StringIO(said("--csv")))
    assert (line["sku"], line["variant"], line["order_about"]) == (SKU, "Moss, M", "2")
    assert line["reasons"].startswith("40 wait: 30 for up to 7 days, 10 for longer; 2 units were sold")
    assert "no longer sold" in said()
    for row in [*rows.scan()]:
        rows.delete({"part": row["part"], "sku": row["sku"]})
    assert "nobody is waiting" in said()


def test_no_log_line_of_a_click_names_the_shopper(
    api: Client, restock: Restock, german_release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    link, _ = click_link(german_release, restock)
    capsys.readouterr()
    follow(api, link)
    lines = logged(capsys)
    assert "ada" not in json.dumps(lines)
