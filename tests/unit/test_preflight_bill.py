"""The bill and the page's weight: every amount traceable, the story's figures where they must be."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import app as application
from chalicelib.storefront.renderer import Renderer
from loadtests.throttle import API_STAGE
from spillway.errors import BadInput
from spillway.preflight.amounts import (
    MEMORY_MB,
    QUEUE_BATCH,
    BillPart,
    Item,
    Measured,
    Step,
    StepFigures,
    UsedAmount,
)
from spillway.preflight.bill import (
    AS_OF,
    FLAT_PLANS,
    GIB,
    PRICES,
    Bill,
    bill,
    refresh_usd,
    story,
    then_bytes_per_visitor,
    usd_per_10_kb,
    usd_per_request,
)
from spillway.preflight.built_pages import (
    HEAD_BYTES,
    NO_REFRESH,
    PageWeight,
    RefreshWork,
    chosen,
    mean_product_weight,
    page_refresh,
    page_weight,
)
from spillway.preflight.campaign import FOUNDING_STORY, Campaign, trace
from spillway.preflight.event_usage import STOCK_EVENT
from spillway.preflight.usage import (
    API_PAGE_BYTES,
    COUNTED_BATCH,
    FORM_ANSWER_BYTES,
    SMALL_PAGE_BYTES,
    STREAM_BATCH,
    WATCHED,
    usage,
)
from spillway.sitegen.release import Release
from tests.support.aws import ROOT
from tests.support.clock import Clock
from tests.support.inbound_shop import InboundShop
from tests.support.shop_weight import SAMPLE_BYTES_MAX, SAMPLE_REQUESTS_MAX, write_site

# No lighter than the sample shop's mean product: tests/integration/test_sample_shop.py holds it to that.
PAGE = PageWeight("/products/one", requests=SAMPLE_REQUESTS_MAX, bytes_sent=SAMPLE_BYTES_MAX)
# Figures of the sample shop's mean product, rounded up: see tests/integration/test_sample_shop.py.
REFRESH = RefreshWork(objects=11, paths=12)
SRCSET = "/p-320.avif 320w, /p-640.avif 640w, /p-960.avif 960w"


@pytest.fixture(scope="module")
def founding() -> Bill:
    return bill(usage(FOUNDING_STORY, PAGE, Measured.read(), site_bytes=12e6, refresh=REFRESH))


@pytest.fixture(scope="module")
def site(small_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_site(small_release, folder)
    return folder


def test_every_item_has_a_price_and_every_price_its_page() -> None:
    assert set(PRICES) == set(Item)
    assert all(price.source.startswith("https://aws.amazon.com/") for price in PRICES.values())
    assert date(2026, 1, 1) < AS_OF


def test_the_limits_of_the_forecast_are_those_of_the_template() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert (config["lambda_memory_size"], config["api_gateway_stage"]) == (MEMORY_MB, API_STAGE)
    batch = {source.name: getattr(source, "batch_size", None) for source in application.app.event_sources}
    assert batch["on_entry_written"] == STREAM_BATCH
    assert batch["count_demand"] == COUNTED_BATCH
    assert batch["send_confirmations"] == batch["on_feedback"] == QUEUE_BATCH


def test_every_line_is_its_amount_times_its_price(founding: Bill) -> None:
    for line in founding.lines:
        assert line.usd == pytest.approx(line.used.amount / line.price.per * line.price.usd)
        assert 0 <= line.usd_after_free <= line.usd
        assert line.used.why
    assert founding.usd == pytest.approx(sum(founding.part(part) for part in BillPart))


def test_the_story_reads_backwards_to_two_megabytes_a_visitor() -> None:
    assert then_bytes_per_visitor() == pytest.approx(2.22e6, rel=0.01)


def test_the_founding_story_costs_less_than_20_dollars_today_its_emails_included(founding: Bill) -> None:
    assert founding.part(BillPart.MAIL) == pytest.approx(10)
    assert founding.part(BillPart.BYTES) < 8
    assert founding.part(BillPart.BACKEND) < 1.1
    assert founding.part(BillPart.REFRESH) == pytest.approx(2 * 12 * 0.005, rel=0.01)
    assert founding.usd < 20
    rows = {row.what: row for row in story(founding)}
    emails = founding.part(BillPart.MAIL) + founding.part(BillPart.FEEDBACK)
    assert rows["without emails"].now_usd == pytest.approx(founding.usd - emails)
    assert rows["in all"].now_usd == pytest.approx(founding.usd)
    assert rows["in all"].then_usd == 200


def test_hearing_what_became_of_emails_is_shown_by_itself(founding: Bill) -> None:
    lines = [line for line in founding.lines if line.part is BillPart.FEEDBACK]
    assert {line.used.item for line in lines} >= {Item.NOTICES, Item.QUEUE_REQUESTS, Item.WRITE_UNITS}
    assert 0.1 < founding.part(BillPart.FEEDBACK) < 0.25


def test_a_million_signups_are_counted_for_less_than_five_dollars() -> None:
    """A signup is counted three times: pending, confirmed, notified; each marker and counter is two units."""
    campaign = Campaign(1_000_000, 3600, signup_rate=1.0)
    found = bill(usage(campaign, PAGE, Measured.read(), site_bytes=0))
    amounts = {line.used.item: line.used.amount for line in found.lines if line.part is BillPart.DEMAND}
    assert amounts[Item.LAMBDA_CALLS] == 60_000
    assert amounts[Item.WRITE_UNITS] == pytest.approx(3_000_000 * 2 * 51 / 50)
    assert amounts[Item.READ_UNITS] == pytest.approx(1_000_000 * 600 / 4096 * 30)
    assert 4 < found.part(BillPart.DEMAND) < 5


def test_counting_who_waits_is_a_line_of_the_story(founding: Bill) -> None:
    rows = {row.what: row for row in story(founding)}
    counting = rows["counting who waits, for the merchant's page"]
    assert counting.now_usd == pytest.approx(founding.part(BillPart.DEMAND))
    assert 0.15 < counting.now_usd < 0.3


def test_sizes_of_the_api_s_answers_are_those_it_sends(small_release: Release) -> None:
    stocked = next(iter(small_release.products))
    page = Renderer(small_release.theme).page(
        "confirm.html",
        product=stocked.product,
        variant=stocked.product.variants[0],
        coming=0,
        token="t" * 200,
    )
    assert API_PAGE_BYTES * 0.8 < len(page.encode()) <= API_PAGE_BYTES
    assert len(json.dumps({"status": "accepted"}, separators=(",", ":"))) == FORM_ANSWER_BYTES
    one, two = (
        {line.used.item: line.used.amount for line in bill(_used(visitors)).lines}[Item.CDN_BYTES]
        for visitors in (20, 40)
    )
    seen = 20 * PAGE.bytes_sent + 3 * HEAD_BYTES + FORM_ANSWER_BYTES
    assert two - one == seen + API_PAGE_BYTES + SMALL_PAGE_BYTES + HEAD_BYTES


def _used(visitors: int) -> tuple[UsedAmount, ...]:
    return usage(Campaign(visitors, 3600), PAGE, Measured.read(), site_bytes=0)


def test_invalidation_paths_are_charged_after_the_first_thousand_of_a_month() -> None:
    (line,) = bill([UsedAmount(Item.INVALIDATIONS, 1_640, "1,640 paths")]).lines
    assert [line.usd, line.usd_after_free] == pytest.approx([8.20, 3.20])


def test_each_change_of_availability_is_charged_and_an_event_without_one_is_not() -> None:
    def used(changes: int) -> dict[Item, float]:
        campaign = Campaign(1_000, 3600, availability_changes=changes)
        all_used = usage(campaign, PAGE, Measured.read(), site_bytes=0, refresh=REFRESH)
        return {item.item: item.amount for item in all_used if item.cause is BillPart.REFRESH}

    assert used(0) == {}
    assert used(1_000) == {Item.INVALIDATIONS: 12_000, Item.S3_WRITES: 11_000}
    assert refresh_usd(REFRESH) == pytest.approx(12 * 0.005 + 11 * 0.005 / 1_000)


def test_the_predicted_refresh_of_a_change_is_what_an_event_writes_and_invalidates(site: Path) -> None:
    # tests/integration/test_invalidation.py has what the event of the scarf really does.
    assert page_refresh(site, "/products/scarf") == RefreshWork(objects=5, paths=6)
    jacket = page_refresh(site, "/products/field-jacket")
    assert page_refresh(site) == RefreshWork((5 + jacket.objects) / 2, (6 + jacket.paths) / 2)
    assert page_refresh(site, "/privacy") == page_refresh(site)


def test_a_change_in_two_languages_refreshes_the_pages_of_both(
    german_release: Release, tmp_path: Path
) -> None:
    write_site(german_release, tmp_path)
    assert page_refresh(tmp_path, "/products/scarf") == RefreshWork(objects=9, paths=10)


def test_without_a_build_nothing_is_refreshed(tmp_path: Path) -> None:
    assert page_refresh(tmp_path) == NO_REFRESH


def test_the_pages_behind_an_emails_link_weigh_no_more_than_the_bill_says(site: Path) -> None:
    weight = page_weight(site, "/waitlist/confirmed")
    assert weight.requests == 1
    assert weight.fetched[0].body_bytes <= SMALL_PAGE_BYTES


def test_free_allowances_are_used_up_once_and_not_for_each_line() -> None:
    twice = bill([UsedAmount(Item.LAMBDA_CALLS, 800_000, "a"), UsedAmount(Item.LAMBDA_CALLS, 800_000, "b")])
    assert [line.usd_after_free for line in twice.lines] == [0, pytest.approx(0.12)]


def test_a_flat_plan_takes_the_place_of_the_cdns_lines(founding: Bill) -> None:
    free, pro, *_ = founding.plans()
    assert (free.fits, pro.fits) == (False, True)
    without_cdn = founding.usd - founding.part(BillPart.BYTES) - founding.part(BillPart.REQUESTS)
    assert founding.usd_with(pro.plan) == pytest.approx(15 + without_cdn)
    assert [plan.usd_per_month for plan in FLAT_PLANS] == [0, 15, 200, 1000]


def test_more_visitors_never_cost_less() -> None:
    sums = [
        bill(usage(Campaign(n, 3600), PAGE, Measured.read(), site_bytes=0)).usd for n in (1, 1_000, 10**6)
    ]
    assert sums == sorted(sums)


def test_a_view_weighs_its_page_its_assets_and_its_pictures_as_sent(site: Path) -> None:
    weight = page_weight(site, "/products/field-jacket")
    paths = [item.path for item in weight.fetched]
    assert paths[0] == "/products/field-jacket"
    assert not any(path.endswith((".css", ".svg")) for path in paths)  # they are in the page
    assert any(path.endswith(".avif") for path in paths)
    assert not any(path.endswith((".jpg", ".webp")) for path in paths)
    assert weight.requests == len(paths)
    assert weight.bytes_sent == sum(item.body_bytes + HEAD_BYTES for item in weight.fetched)
    page = weight.fetched[0]
    assert page.body_bytes < (site / "products/field-jacket").stat().st_size / 2


def test_the_mean_lies_between_the_lightest_and_the_heaviest_page(site: Path) -> None:
    names = [file.name for file in (site / "products").iterdir()]
    each = [page_weight(site, f"/products/{name}").bytes_sent for name in names]
    assert min(each) <= mean_product_weight(site).bytes_sent <= max(each)


@pytest.mark.parametrize(
    ("sizes", "url"),
    [
        ("(min-width:56rem) 34rem, 92vw", "/p-960.avif"),
        ("(min-width:56rem) 34rem, (min-resolution:2.5dppx) 54vw, 92vw", "/p-640.avif"),
        ("(min-resolution:4dppx) 20vw, (min-width:20rem) 46vw, 92vw", "/p-640.avif"),
        ("46vw", "/p-640.avif"),
        ("5rem", "/p-320.avif"),
        ("200vw", "/p-960.avif"),
        # As themes of shops write them.
        ("(min-width: 56rem) 34rem, 46vw", "/p-640.avif"),
        ("(max-width: 600px) 46vw, 92vw", "/p-640.avif"),
        ("(min-width: 20rem) and (max-width: 30em) 46vw, 92vw", "/p-640.avif"),
        ("(min-resolution: 192dpi) 46vw, 92vw", "/p-640.avif"),
        ("(orientation: landscape) 10vw, calc(100vw - 2rem)", "/p-960.avif"),
    ],
)
def test_a_telephone_takes_the_narrowest_picture_that_is_wide_enough(sizes: str, url: str) -> None:
    assert chosen(SRCSET, sizes) == url


def test_a_page_weighs_what_the_shop_sends_and_not_what_other_hosts_send(tmp_path: Path) -> None:
    (tmp_path / "own.js").write_bytes(b"x" * 900)
    (tmp_path / "page").write_text(
        '<script src="https://tags.example/tag.js"></script><script src="//tags.example/tag.js"></script>'
        '<script src="own.js?v=2"></script><link rel="stylesheet" href="/missing.css">'
        '<img src="https://pictures.example/p.jpg"><img src="data:image/gif;base64,R0lG"><img src="">'
    )
    found = {item.path: item.body_bytes for item in page_weight(tmp_path, "/page").fetched}
    assert {path: size for path, size in found.items() if path != "/page"} == {
        "/own.js": 900,
        "/missing.css": 0,
    }


def test_a_page_that_was_not_built_is_named(site: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="/products/none"):
        page_weight(site, "/products/none")
    with pytest.raises(BadInput, match="no page"):
        mean_product_weight(tmp_path)


def test_a_step_takes_its_cpu_at_the_share_of_a_core_it_gets_and_its_round_trips() -> None:
    step = StepFigures(cpu_ms=2.0, calls={"dynamodb.UpdateItem": 1, "sqs.SendMessage": 2})
    assert step.duration_ms(1769) == pytest.approx(2 + 6 + 20)
    assert step.duration_ms(512) == pytest.approx(2 * 1769 / 512 + 26)
    assert step.called("sqs") == 2


def test_every_step_was_measured_in_this_build() -> None:
    measured = Measured.read()
    assert set(measured.steps) == set(Step)
    assert all(figures.cpu_ms > 0 for figures in measured.steps.values())


def test_bytes_are_charged_by_the_gibibyte() -> None:
    (line,) = bill([UsedAmount(Item.CDN_BYTES, GIB, "one")]).lines
    assert line.usd == pytest.approx(0.085)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"second,people\n0,1\n", "csv:1: the columns are second, people"),
        (b"second,visitors\n0,many\n", "csv:2: visitors = 'many': expected a number from 0"),
        (b"second,visitors\n0,1\n-1,5\n", "csv:3: second = '-1': expected a whole number from 0"),
        (b"second,visitors\n0.5,1\n", "csv:2: second = '0.5'"),
        (b"second,visitors\n0,inf\n", "csv:2: visitors = 'inf'"),
        (b"second,visitors\n0,10,5\n", "csv:2: 3 cells under 2 columns"),
        (b"second,visitors\n0,1\n1,\xe9\n", "csv:3: byte 0xe9 is not UTF-8"),
        (b"second,visitors\n0,0\n", "no visitors"),
    ],
)
def test_a_trace_that_cannot_be_used_names_its_line(text: bytes, place: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(text)
    with pytest.raises(BadInput, match=place):
        trace(file)


def test_a_trace_may_have_gaps(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("second,visitors\n0,5\n3,7.5\n")
    assert trace(file) == [5, 0, 0, 7.5]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_trace_is_read_as_a_spreadsheet_program_saves_it(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("second;visitors\n0;5\n2;7.5\n", encoding=encoding)
    assert trace(file) == [5, 0, 7.5]


def test_a_request_or_ten_kilobytes_more_add_what_is_said() -> None:
    def usd(page: PageWeight) -> float:
        return bill(usage(FOUNDING_STORY, page, Measured.read(), site_bytes=0)).usd

    more_requests = PageWeight("/", PAGE.requests + 1, PAGE.bytes_sent + HEAD_BYTES)
    more_bytes = PageWeight("/", PAGE.requests, PAGE.bytes_sent + 10_000)
    assert usd(more_requests) - usd(PAGE) == pytest.approx(usd_per_request(), rel=0.01)
    assert usd(more_bytes) - usd(PAGE) == pytest.approx(usd_per_10_kb(), rel=0.01)


def test_a_million_stock_events_cost_twelve_dollars_and_none_costs_nothing() -> None:
    def events(number: int) -> float:
        used = usage(Campaign(1_000, 3600, stock_events=number), PAGE, Measured.read(), site_bytes=0)
        return bill(used).part(BillPart.STOCK_EVENTS)

    assert events(0) == 0
    assert events(1_000_000) == pytest.approx(11.9, abs=0.1)
    shop = InboundShop(Clock(), skus=1)
    calls = [recorded_calls(shop.dynamodb, name) for name in ("get_item", "update_item", "put_item", "query")]
    shop.receive("generic", b'{"sku": "S0", "units": 3, "observed_at": "2026-09-21T14:13:19Z"}')
    assert [len(made) for made in calls] == [2, 1, 1, 0]
    assert STOCK_EVENT.calls == {"dynamodb": sum(map(len, calls))}


def recorded_calls(client: Any, name: str) -> list[Any]:
    made: list[Any] = []
    original = getattr(client, name)

    def record(**request: Any) -> Any:
        made.append(request)
        return original(**request)

    setattr(client, name, record)
    return made


def test_an_hour_of_watching_the_merchants_page_costs_a_few_cents_and_is_a_part_of_the_bill() -> None:
    def watching(hours: int) -> float:
        used = usage(Campaign(1_000, hours * 3600), PAGE, Measured.read(), site_bytes=0)
        return bill(used).part(BillPart.WATCHING)

    assert watching(1) == pytest.approx(0.0197, abs=0.0002)
    assert watching(3) == pytest.approx(3 * watching(1))
    script = (ROOT / "spillway" / "theme" / "static" / "merchant.js").read_text()
    assert f"everyMs = {WATCHED.poll_s * 1000:.0f};" in script
