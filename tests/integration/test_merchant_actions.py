"""A merchant acts on the page, over AWS in memory: previews, actions that happen once, the audit."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from chalice.test import Client, HTTPResponse

import app as cloud
from chalicelib.domain.address import Address
from chalicelib.domain.entry import OptIn, Signup
from chalicelib.domain.merchant import Role
from chalicelib.domain.previews import PREVIEW_S
from chalicelib.domain.stock import Availability, AvailabilityEvent
from chalicelib.domain.tokens import CLOCK_SKEW_S
from chalicelib.domain.wave import WavePolicy
from chalicelib.http.merchant_actions import PREVIEW_CHANGED, PREVIEW_NEEDED
from chalicelib.http.merchant_session import MAY_NOT_ACT, NOT_SIGNED_IN
from chalicelib.services.dead_letters import QUEUES
from chalicelib.services.merchant_actions import FILE_BYTES_MAX, FILE_LINES_MAX
from tests.integration import test_app as playing_aws
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.merchants import OWNER, signed_in_headers

deployed = playing_aws.deployed
api = playing_aws.api
SKU, OTHER = "FJ-MOSS-M", "FJ-MOSS-S"
SLUG = "field-jacket"
KEY = "0123456789abcdef-{}"
PATHS = {
    "/merchant/stock/preview": {"sku": SKU, "action": "available", "units": 5},
    "/merchant/stock": {"sku": SKU, "action": "available", "units": 5},
    "/merchant/wave-policy": {"emails_per_unit": 3},
    "/merchant/pause": {"reason": "a bad import"},
    "/merchant/resume": {},
    "/merchant/test-email": {},
    "/merchant/shopper": {"email": "ada@example.com"},
    "/merchant/shopper/erase": {"email": "ada@example.com"},
    "/merchant/shopper/lift": {"email": "ada@example.com", "because": "she called"},
    "/merchant/failed/retry": {"queue": "waves"},
}
READ_PATHS = ("/merchant/session", "/merchant/audit", "/merchant/wave-policy", "/merchant/failed")
MADE_ONCE = ("merchant_sessions", "audit", "preview_tokens", "merchant_actions", "shopper_records")


@pytest.fixture(scope="module")
def queues(deployed: object) -> Iterator[Mapping[str, str]]:
    """The addresses of the dead letter queues by name, and of the retries' queue."""
    _ = deployed
    sqs = cloud.container.client("sqs")
    urls = {name: sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"] for name in QUEUES}
    retries = sqs.create_queue(QueueName="retries")["QueueUrl"]
    settings = cloud.container.settings
    vars(cloud.container)["settings"] = replace(
        settings,
        retries_queue_url=retries,
        dead_letter_queue_urls=tuple(urls.values()),
        feedback_queue_url=sqs.create_queue(QueueName="feedback")["QueueUrl"],
    )
    yield {**urls, "retries": retries}
    vars(cloud.container)["settings"] = settings


@pytest.fixture
def clock(queues: object, api: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock, over tables without a merchant, a policy, a pause or a suppression."""
    _ = queues, api
    clock = Clock(cloud.container.clock_ms())
    names = cloud.container.settings
    keys = {names.merchant_table: ("kind", "key"), names.sending_table: ("id",)}
    keys |= {names.suppressions_table: ("shopper",), names.demand_table: ("part", "sku")}
    client = cloud.container.client("dynamodb")
    for name, attributes in keys.items():
        for item in client.scan(TableName=name)["Items"]:
            client.delete_item(TableName=name, Key={key: item[key] for key in attributes})
    monkeypatch.setattr(cloud.container, "clock_ms", clock)
    for name in MADE_ONCE:
        vars(cloud.container).pop(name, None)
    yield clock
    for name in MADE_ONCE:
        vars(cloud.container).pop(name, None)


class Page:
    """The page of a merchant who is signed in; each dialog has a key of its own."""

    def __init__(self, api: Client, role: Role = Role.ACT, email: str = OWNER) -> None:
        self._http = api.http
        self.headers = signed_in_headers(cloud.container, email, role) | {"accept": "application/json"}
        self.keys = 0

    def get(self, path: str) -> HTTPResponse:
        return self._http.get(f"/merchant{path}", headers=self.headers)

    def post(
        self, path: str, body: Mapping[str, Any] | str, *, key: str | None = None, token: str | None = None
    ) -> HTTPResponse:
        # Two rows of one moment have no order.
        tick()
        self.keys += 1
        headers = {**self.headers, "idempotency-key": key or KEY.format(self.keys)}
        headers |= {"spillway-preview": token} if token else {}
        headers |= {"content-type": "application/json" if isinstance(body, Mapping) else "text/csv"}
        raw = json.dumps(body) if isinstance(body, Mapping) else body
        return self._http.post(f"/merchant{path}", headers=headers, body=raw.encode())

    def preview(self, **change: Any) -> Any:
        answer = self.post("/stock/preview", {"sku": SKU, "action": "available", **change})
        assert answer.status_code == 200, answer.json_body
        return answer.json_body

    def audit(self) -> list[tuple[str, str, str | None, str | None]]:
        rows = self.get("/audit").json_body["actions"]
        return [(row["action"], row["target"], row["before"], row["after"]) for row in rows]


@pytest.fixture
def page(api: Client, clock: Clock) -> Page:
    _ = clock
    sell_out()
    return Page(api)


def tick() -> None:
    clock = cloud.container.clock_ms
    assert isinstance(clock, Clock)
    clock.pass_s(0.001)


def sell_out() -> None:
    observe(SKU, Availability.OUT_OF_STOCK, 0)


def observe(sku: str, availability: Availability, units: int | None) -> None:
    now_ms = cloud.container.clock_ms()
    event = AvailabilityEvent(f"test-{now_ms}-{units}", sku, availability, units, now_ms, by_arrival=True)
    cloud.container.availabilities.apply(event)


def stock(sku: str = SKU) -> tuple[str, int | None]:
    stocked = cloud.container.products.get(SLUG)
    assert stocked is not None
    return stocked.stock[sku].availability.value, stocked.stock[sku].units


def wait_for(sku: str, people: int) -> None:
    """Count so many people as waiting."""
    row = {"part": "demand#00", "sku": sku, "waiting": people}
    cloud.container.demand.table.put(row)


def shopper(email: str = "ada@example.com") -> str:
    return Address.parse(email).shopper_id(cloud.container.keys.identity)


def join(email: str = "ada@example.com", sku: str = SKU) -> None:
    """Put a confirmed entry on the waitlist."""
    known = shopper(email)
    signup = Signup(known, email, sku, f"/products/{SLUG}", "c", opt_in=OptIn.SINGLE)
    cloud.container.entries.sign_up(signup, at_ms=cloud.container.clock_ms())


def accesses() -> list[tuple[str, str]]:
    return [(use.command, use.subject) for use in cloud.container.access_log.all()]


def test_available_takes_two_steps_and_emails_whom_the_preview_counted(page: Page) -> None:
    wait_for(SKU, 412)
    seen = page.preview(units=5)
    assert (seen["emails"], seen["waiting"], seen["minutes"]) == (412, 412, 7)
    assert (seen["before"], seen["after"]) == (
        {"availability": "OutOfStock", "units": 0},
        {"availability": "InStock", "units": 5},
    )
    assert (seen["title"], seen["label"]) == ("Field Jacket", "Moss, M")
    assert stock() == ("OutOfStock", 0)
    change = {"sku": SKU, "action": "available", "units": 5}
    done = page.post("/stock", change, token=seen["token"])
    assert (done.status_code, done.json_body) == (200, {"sku": SKU, "outcome": "changed", "emails": 412})
    assert stock() == ("InStock", 5)
    assert page.audit() == [("available", SKU, "OutOfStock 0", "InStock 5")]


def test_the_preview_says_what_the_dry_run_of_the_command_says(page: Page) -> None:
    wait_for(SKU, 40)
    cloud.container.policies.put(None, WavePolicy(emails_per_unit=2, next_after_min=45))
    seen = page.preview(units=5)
    assert (seen["emails"], seen["waiting"], seen["next_after_min"]) == (10, 40, 45)
    cloud.container.policies.put(None, WavePolicy(units_min=6))
    assert page.preview(units=5)["emails"] == 0
    cloud.container.sending_rate.pause("by hand")
    assert page.preview(units=6)["paused"] == "by hand"


def test_a_repeated_post_changes_nothing_and_is_answered_alike(page: Page) -> None:
    token = page.preview(units=5)["token"]
    change = {"sku": SKU, "action": "available", "units": 5}
    first = page.post("/stock", change, key=KEY.format("x"), token=token)
    observe(SKU, Availability.OUT_OF_STOCK, 0)
    again = page.post("/stock", change, key=KEY.format("x"), token=token)
    assert (again.status_code, again.json_body) == (200, first.json_body)
    assert stock() == ("OutOfStock", 0)
    assert len(page.audit()) == 1
    other = page.post("/stock", {**change, "units": 6}, key=KEY.format("x"), token=token)
    assert other.status_code == 409
    assert stock() == ("OutOfStock", 0)


def test_an_action_under_way_is_not_begun_again_before_its_function_is_dead(page: Page, clock: Clock) -> None:
    table = cloud.container.merchant_actions_table
    body = {"reason": "a bad import"}
    begun: list[int] = []
    original = cloud.container.audit.record

    def record(*arguments: Any) -> None:
        begun.append(page.post("/pause", body, key=KEY.format("p")).status_code)
        original(*arguments)

    vars(cloud.container.audit)["record"] = record
    assert page.post("/pause", body, key=KEY.format("p")).status_code == 200
    del vars(cloud.container.audit)["record"]
    assert begun == [409]
    merchant = cloud.container.merchants.all().__next__().id
    assert table.begin(merchant, KEY.format("dead"), "d", at_ms=clock()) is None
    clock.pass_s(31)
    assert table.begin(merchant, KEY.format("dead"), "d", at_ms=clock()) is None


@pytest.mark.parametrize("more", [10, 11])
def test_a_preview_holds_for_some_signups_and_not_for_many(page: Page, more: int) -> None:
    wait_for(SKU, 50)
    token = page.preview(units=5)["token"]
    wait_for(SKU, 50 + more)
    answer = page.post("/stock", {"sku": SKU, "action": "available", "units": 5}, token=token)
    if more == 10:
        assert (answer.status_code, answer.json_body["emails"]) == (200, 60)
        return
    assert (answer.status_code, answer.json_body["type"]) == (409, PREVIEW_CHANGED)
    fresh = answer.json_body["preview"]
    assert fresh["emails"] == 61
    assert stock() == ("OutOfStock", 0)
    assert page.audit() == []
    change = {"sku": SKU, "action": "available", "units": 5}
    assert page.post("/stock", change, token=fresh["token"]).status_code == 200


def test_a_preview_is_of_one_stock_one_merchant_one_change_and_ten_minutes(
    page: Page, api: Client, clock: Clock
) -> None:
    change = {"sku": SKU, "action": "available", "units": 5}

    def refused(token: str | None, body: Mapping[str, Any] = change, by: Page = page) -> str:
        answer = by.post("/stock", body, token=token)
        assert answer.status_code == 409
        assert answer.json_body["preview"]["token"]
        return str(answer.json_body["type"])

    assert refused(None) == PREVIEW_NEEDED
    token = page.preview(units=5)["token"]
    assert refused(token[:-2] + "xx") == PREVIEW_CHANGED
    assert refused(token, {**change, "units": 6}) == PREVIEW_CHANGED
    assert refused(token, {**change, "sku": OTHER}) == PREVIEW_CHANGED
    assert refused(token, change, Page(api, email="second@heron.example")) == PREVIEW_CHANGED
    observe(SKU, Availability.OUT_OF_STOCK, None)
    assert refused(token) == PREVIEW_CHANGED
    sell_out()
    token = page.preview(units=5)["token"]
    clock.pass_s(PREVIEW_S + CLOCK_SKEW_S + 1)
    assert refused(token) == PREVIEW_CHANGED
    assert stock() == ("OutOfStock", 0)
    assert page.audit() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"units": 0}, "units"),
        ({"units": -1}, "units"),
        ({"units": "5"}, "units"),
        ({"units": True}, "units"),
        ({"units": 1_000_001}, "units"),
        ({"action": "correct"}, "units"),
        ({"action": "sell"}, "action"),
        ({"sku": ""}, "sku"),
        ({"sku": "NO-SUCH"}, "sku"),
        ({"sku": 5}, "sku"),
        ({"stock": 5}, "stock"),
    ],
)
def test_a_wrong_field_is_named(page: Page, change: Mapping[str, Any], field: str) -> None:
    answer = page.post("/stock/preview", {"sku": SKU, "action": "available", **change})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json_body["errors"]] == [field]


def test_an_error_is_in_the_language_of_the_page(page: Page) -> None:
    page.headers["accept-language"] = "de"
    answer = page.post("/stock/preview", {"sku": SKU, "action": "available", "units": 0})
    (error,) = answer.json_body["errors"]
    assert error == {"field": "units", "detail": "Nichts ist vorrätig: als ausverkauft melden."}


def test_sold_out_and_a_corrected_number_email_nobody_unless_there_are_more(page: Page) -> None:
    wait_for(SKU, 7)
    observe(SKU, Availability.IN_STOCK, 5)
    for action, units, emails, after in (
        ("correct", 3, 0, ("InStock", 3)),
        ("correct", 4, 7, ("InStock", 4)),
        ("sold_out", None, 0, ("OutOfStock", 0)),
    ):
        change = {"sku": SKU, "action": action, "units": units}
        seen = page.preview(**change)
        assert seen["emails"] == emails
        assert page.post("/stock", change, token=seen["token"]).status_code == 200
        assert stock() == after
    assert [row[0] for row in page.audit()] == ["sold_out", "correct", "correct"]


def test_a_stock_file_shows_every_change_with_its_emails_and_is_applied_as_shown(page: Page) -> None:
    wait_for(SKU, 30)
    observe(OTHER, Availability.IN_STOCK, 4)
    text = f"sku;stock\n{SKU};1,200\n{OTHER};4\nNO-SUCH;3\nFJ-X;five\n"
    seen = page.post("/stock-file/preview", text)
    assert seen.status_code == 200
    document = seen.json_body
    assert document["changes"] == [
        {
            "line": 2,
            "sku": SKU,
            "before": {"availability": "OutOfStock", "units": 0},
            "after": {"availability": "InStock", "units": 1200},
            "emails": 30,
        }
    ]
    assert (document["unchanged"], document["emails"], document["minutes"]) == (1, 30, 1)
    assert [mistake["line"] for mistake in document["mistakes"]] == [4, 5]
    assert stock() == ("OutOfStock", 0)
    done = page.post("/stock-file", text, token=document["token"])
    assert (done.status_code, done.json_body) == (200, {"changed": 1, "emails": 30, "mistakes": []})
    assert stock() == ("InStock", 1200)
    ((action, target, _, after),) = page.audit()
    assert (action, after) == ("stock file", f"{SKU}: OutOfStock 0 to InStock 1200")
    assert target.startswith("file ")


def test_another_file_or_another_stock_needs_another_preview(page: Page) -> None:
    text = f"sku,stock\n{SKU},5\n"
    token = page.post("/stock-file/preview", text).json_body["token"]
    other = page.post("/stock-file", f"sku,stock\n{SKU},6\n", token=token)
    assert (other.status_code, other.json_body["type"]) == (409, PREVIEW_CHANGED)
    assert other.json_body["preview"]["changes"][0]["after"]["units"] == 6
    observe(SKU, Availability.OUT_OF_STOCK, None)
    changed = page.post("/stock-file", text, token=token)
    assert changed.json_body["type"] == PREVIEW_CHANGED
    assert stock() == ("OutOfStock", None)


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("sku,stock\n" + "A,1\n" * FILE_LINES_MAX, 413, "over 5001 lines"),
        ("sku,stock\n" + "A" * FILE_BYTES_MAX, 413, "over 500000 bytes"),
        ("name,number\nA,1\n", 400, "line 1: 'name,number'"),
    ],
)
def test_a_file_that_is_none_or_too_large_is_refused_with_a_way_out(
    page: Page, text: str, status: int, words: str
) -> None:
    answer = page.post("/stock-file/preview", text)
    assert answer.status_code == status
    (error,) = answer.json_body["errors"]
    assert error["field"] == "file"
    assert error["detail"].startswith(words)
    assert "spillway stock" in error["detail"]


def test_a_wave_policy_is_set_for_the_shop_or_a_product_and_undone_by_the_one_before(page: Page) -> None:
    everyone = {"emails_per_unit": None, "next_after_min": 30, "units_min": 1}
    assert page.get(f"/wave-policy?product={SLUG}").json_body == {"shop": everyone, "product": None}
    limited = {"emails_per_unit": 3, "next_after_min": 60, "units_min": 2}
    done = page.post("/wave-policy", {"product": SLUG, **limited}).json_body
    assert done == {"before": None, "after": limited}
    assert cloud.container.policies.of(SLUG) == WavePolicy(3, 60, 2)
    assert page.get(f"/wave-policy?product={SLUG}").json_body == {"shop": everyone, "product": limited}
    undone = page.post("/wave-policy", {"product": SLUG, "follow_shop": True}).json_body
    assert undone == {"before": limited, "after": None}
    assert cloud.container.policies.of(SLUG) == WavePolicy()
    assert page.audit() == [
        ("wave policy", SLUG, "3 a unit, next after 60 min, from 2 units", "as the shop"),
        ("wave policy", SLUG, "as the shop", "3 a unit, next after 60 min, from 2 units"),
    ]
    for body, field in (
        ({"emails_per_unit": 0}, "emails_per_unit"),
        ({"next_after_min": 2_000}, "next_after_min"),
        ({"product": "no-such", "emails_per_unit": 1}, "product"),
        ({"follow_shop": True}, "follow_shop"),
    ):
        answer = page.post("/wave-policy", body)
        assert [error["field"] for error in answer.json_body["errors"]] == [field]


@pytest.mark.parametrize(
    ("product", "words"),
    [
        ("x" * 101, "Use at most 100 characters."),
        ("x" * 3_000, "Use at most 100 characters."),
        ("a%00b", "Has a control character or half a character in it."),
        ("%20", "Name a product."),
    ],
)
def test_a_product_that_no_slug_names_is_refused_in_an_address_as_in_a_body(
    page: Page, product: str, words: str
) -> None:
    answer = page.get(f"/wave-policy?product={product}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json_body["errors"] == [{"field": "product", "detail": words}]
    body = {"product": unquote(product), "emails_per_unit": 1}
    assert page.post("/wave-policy", body).json_body["errors"] == answer.json_body["errors"]
    longest = page.get(f"/wave-policy?product={'x' * 100}")
    assert (longest.status_code, longest.json_body["product"]) == (200, None)


def test_sending_is_paused_with_a_reason_and_resumed(page: Page) -> None:
    assert page.post("/pause", {"reason": " "}).json_body["errors"] == [
        {"field": "reason", "detail": "Say why sending is paused."}
    ]
    assert page.post("/pause", {"reason": "a bad import"}).json_body == {
        "paused": "a bad import",
        "was_paused": False,
    }
    assert page.post("/pause", {"reason": "another"}).json_body == {
        "paused": "a bad import",
        "was_paused": True,
    }
    state = cloud.container.sending_rate.state()
    assert state is not None
    assert state.paused == "a bad import"
    assert page.post("/resume", {}).json_body == {"was_paused": "a bad import"}
    assert page.post("/resume", {}).json_body == {"was_paused": None}
    state = cloud.container.sending_rate.state()
    assert state is not None
    assert state.paused is None
    assert page.audit()[-1] == ("pause", "sending", None, "a bad import")


def test_a_shopper_is_masked_until_asked_to_show_and_both_are_logged(
    page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    join()
    masked = page.post("/shopper", {"email": "Ada@Example.com"}).json_body
    assert {name: masked[name] for name in ("address", "known", "entries", "waiting", "suppressed")} == {
        "address": "A…@e…",
        "known": True,
        "entries": 1,
        "waiting": 1,
        "suppressed": False,
    }
    assert "ada" not in json.dumps(masked).lower()
    assert SKU not in json.dumps(masked)
    shown = page.post("/shopper", {"email": "ada@example.com", "show": True}).json_body
    assert shown["address"] == "ada@example.com"
    ((line),) = shown["waitlists"]
    assert (line["sku"], line["title"], line["state"]) == (SKU, "Field Jacket", "confirmed")
    assert accesses() == [("shopper look-up", shopper()), ("shopper show", shopper())]
    assert not page.post("/shopper", {"email": "bob@example.com"}).json_body["known"]
    lines = json.dumps(logged(capsys))
    assert lines.count('"answered"') == 3
    assert "example.com" not in lines


def test_an_access_that_cannot_be_logged_shows_nothing(page: Page) -> None:
    join()

    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError

    vars(cloud.container.access_log)["note"] = broken
    answer = page.post("/shopper", {"email": "ada@example.com", "show": True})
    del vars(cloud.container.access_log)["note"]
    assert answer.status_code == 500
    assert "ada" not in json.dumps(answer.json_body)


def test_a_shopper_is_erased_in_two_steps(page: Page) -> None:
    join()
    body = {"email": "ada@example.com"}
    refused = page.post("/shopper/erase", body)
    assert (refused.status_code, refused.json_body["type"]) == (409, PREVIEW_NEEDED)
    assert "ada" not in json.dumps(refused.json_body).lower().replace("a…@e…", "")
    token = page.post("/shopper", body).json_body["token"]
    stolen = page.post("/shopper/erase", {"email": "bob@example.com"}, token=token)
    assert stolen.json_body["type"] == PREVIEW_CHANGED
    assert cloud.container.entries.get(shopper(), SKU) is not None
    done = page.post("/shopper/erase", body, token=token)
    assert done.json_body == {"rows": 1, "suppressed": False}
    assert cloud.container.entries.get(shopper(), SKU) is None
    assert page.audit() == [("erase", shopper(), "1 entries", None)]
    assert accesses()[-1] == ("shopper erase", shopper())


def test_a_suppression_is_lifted_and_a_complaint_only_when_the_shopper_asked(
    page: Page, clock: Clock
) -> None:
    now_ms = cloud.container.clock_ms()
    suppressions = cloud.container.suppressions
    body = {"email": "ada@example.com", "because": "mailbox repaired"}
    suppressions.suppress(shopper(), reason="bounced", at_ms=now_ms - 1_000)
    assert page.post("/shopper", {"email": "ada@example.com"}).json_body["suppressed"]
    done = page.post("/shopper/lift", body)
    assert (done.status_code, done.json_body["lifted"]) == (200, True)
    assert not suppressions.among([shopper()])
    suppressions.suppress(shopper(), reason="complained", at_ms=now_ms + 1_000)
    refused = page.post("/shopper/lift", body)
    assert [error["field"] for error in refused.json_body["errors"]] == ["shopper_asked"]
    assert suppressions.among([shopper()])
    clock.pass_s(2)
    assert page.post("/shopper/lift", {**body, "shopper_asked": True}).status_code == 200
    assert not suppressions.among([shopper()])
    names = page.post("/shopper/lift", {**body, "because": "write to ADA@example.com"})
    assert [error["field"] for error in names.json_body["errors"]] == ["because"]
    assert [row[:2] for row in page.audit()] == [("lift", shopper())] * 2
    assert page.audit()[-1][2:] == ("bounced", "mailbox repaired")


def test_failed_jobs_are_seen_without_addresses_and_retried(page: Page, queues: Mapping[str, str]) -> None:
    sqs = cloud.container.client("sqs")
    job = {"kind": "one", "sku": SKU, "shopper": "s1", "hops": 900, "mailbox": "ada@example.com"}
    sqs.send_message(QueueUrl=queues["waves"], MessageBody=json.dumps(job))
    seen = page.get("/failed").json_body["queues"]
    assert {queue["queue"]: queue["failed"] for queue in seen} == {
        name: int(name == "waves") for name in QUEUES
    }
    (waves,) = [queue for queue in seen if queue["queue"] == "waves"]
    assert waves["some"] == [{"kind": "one", "sku": SKU, "shopper": "s1", "hops": 900}]
    assert waves["retry"] is None
    assert page.post("/failed/retry", {"queue": "all"}).json_body["errors"][0]["field"] == "queue"
    assert page.post("/failed/retry", {"queue": "waves"}).json_body == {"queue": "waves", "failed": 1}
    assert page.audit() == [("retry", "waves", "1 failed jobs", "retried")]
    (message,) = sqs.receive_message(QueueUrl=queues["retries"])["Messages"]
    sqs.delete_message(QueueUrl=queues["retries"], ReceiptHandle=message["ReceiptHandle"])
    waves_url = cloud.container.settings.waves_queue_url
    record = {"messageId": "1", "receiptHandle": "1", "body": message["Body"]}
    cloud.retry_failed_jobs({"Records": [record]}, None)
    (back,) = sqs.receive_message(QueueUrl=waves_url)["Messages"]
    assert json.loads(back["Body"]) == {**job, "hops": 0}
    (waves,) = [queue for queue in page.get("/failed").json_body["queues"] if queue["queue"] == "waves"]
    assert (waves["failed"], waves["retry"]["put_back"], waves["retry"]["failed"]) == (0, 1, 0)
    assert waves["retry"]["ended_at_ms"] is not None


@pytest.mark.parametrize("path", PATHS)
def test_an_action_needs_a_session_the_right_to_act_and_the_shops_own_page(
    page: Page, api: Client, path: str
) -> None:
    body = json.dumps(PATHS[path]).encode()
    json_headers = {"content-type": "application/json", "accept": "application/json"}
    nobody = api.http.post(path, headers=json_headers, body=body)
    assert (nobody.status_code, nobody.json_body["type"]) == (401, NOT_SIGNED_IN)
    seeing = Page(api, Role.SEE, "looks@heron.example")
    looks = seeing.post(path.removeprefix("/merchant"), PATHS[path])
    assert (looks.status_code, looks.json_body["type"]) == (401, MAY_NOT_ACT)
    page.headers |= {"sec-fetch-site": "cross-site"}
    assert page.post(path.removeprefix("/merchant"), PATHS[path]).status_code == 400
    page.headers |= {"sec-fetch-site": "same-origin"}
    assert page.audit() == []
    assert accesses() == []


@pytest.mark.parametrize(
    "path", [path for path in PATHS if path not in {"/merchant/stock/preview", "/merchant/shopper"}]
)
def test_an_action_without_a_key_is_refused(page: Page, api: Client, path: str) -> None:
    headers = {**page.headers, "content-type": "application/json"}
    answer = api.http.post(path, headers=headers, body=json.dumps(PATHS[path]).encode())
    assert (answer.status_code, "Idempotency-Key" in answer.json_body["detail"]) == (400, True)
    assert page.audit() == []


def test_an_action_that_cannot_be_audited_does_nothing(page: Page) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionError

    token = page.preview(units=5)["token"]
    change = {"sku": SKU, "action": "available", "units": 5}
    vars(cloud.container.audit)["record"] = broken
    assert page.post("/stock", change, key=KEY.format("y"), token=token).status_code == 500
    assert page.post("/pause", {"reason": "x"}).status_code == 500
    del vars(cloud.container.audit)["record"]
    assert stock() == ("OutOfStock", 0)
    assert cloud.container.sending_rate.state() is None
    assert page.post("/stock", change, key=KEY.format("y"), token=token).status_code == 200


def test_no_answer_to_a_look_has_a_shoppers_address(page: Page, queues: Mapping[str, str]) -> None:
    join()
    sqs = cloud.container.client("sqs")
    job = {"kind": "one", "sku": SKU, "shopper": "s1", "mailbox": "ada@example.com"}
    sqs.send_message(QueueUrl=queues["feedback"], MessageBody=json.dumps(job))
    token = page.post("/shopper", {"email": "ada@example.com"}).json_body["token"]
    page.post("/shopper/erase", {"email": "ada@example.com"}, token=token)
    page.post("/shopper/lift", {"email": "ada@example.com", "because": "she called"})
    for path in READ_PATHS:
        answer = page.get(path.removeprefix("/merchant"))
        assert answer.status_code == 200
        assert "example.com" not in json.dumps(answer.json_body), path
