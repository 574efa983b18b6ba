"""`spillway webhooks`: endpoints, secrets, the log and retries, over AWS in memory."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click
import pytest
from chalice.test import Client
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

import app as cloud
from chalicelib.domain.domain_event import DomainEvent, EventType, event_id
from chalicelib.outbound.addresses import NameUnknown, TargetRefused
from chalicelib.outbound.deliveries import Attempt, Delivery, EndpointResponse, State
from chalicelib.outbound.signing import secrets_by_endpoint
from chalicelib.services.webhook_delivery import DeliveryStore, WebhookDelivery
from chalicelib.settings import clock_ms
from spillway.commands import webhooks
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from tests.integration.test_app import api, deployed

__all__ = ["api", "deployed"]

URL = "https://crm.example.com/events"
NOW_MS = clock_ms()
EVENT = DomainEvent(
    event_id(EventType.RESTOCK_OPENED, "r-1"), EventType.RESTOCK_OPENED, NOW_MS - 60_000, "FJ-MOSS-M"
)
Run = Callable[..., Result]


class OneStage:
    """A stage whose container is the cloud's own."""

    name = "test"

    def container(self) -> object:
        return cloud.container


class FakePoster:
    """Keeps what is posted, and answers what it is given."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Mapping[str, str], bytes]] = []
        self.answer = EndpointResponse(204)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        self.posted.append((url, headers, body))
        return self.answer


@pytest.fixture
def run(api: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Run:
    monkeypatch.setattr(webhooks, "stage_named", lambda _project, _name: OneStage())
    monkeypatch.setattr(webhooks, "resolve_public", lambda _: ["8.8.8.8"])
    container = cloud.container
    for endpoint in container.endpoints.all():
        container.endpoints.remove(endpoint.id)
    container.client("secretsmanager").put_secret_value(
        SecretId=container.settings.known("webhook_secrets"), SecretString="{}"
    )

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(webhooks.webhooks_command, arguments, obj=Project(tmp_path))

    return invoke


@pytest.fixture
def poster(run: Run, monkeypatch: pytest.MonkeyPatch) -> FakePoster:
    fake, container = FakePoster(), cloud.container
    delivery = WebhookDelivery(
        DeliveryStore(container.recent_endpoints, container.deliveries, container.entries),
        container.deliveries_queue,
        container.webhook_circuit,
        container.webhook_secrets.of,
        fake,
        lambda: "https://shop.example",
        container.clock_ms,
        lambda: 0.5,
    )
    container.recent_endpoints.forget()
    monkeypatch.setitem(vars(container), "webhook_delivery", delivery)
    return fake


def added(run: Run, *more: str, name: str = "crm") -> str:
    """Add an endpoint and return its secret."""
    result = run("add", name, URL, "--event", "restock.opened", *more)
    assert result.exit_code == 0, result.output
    found = re.search(r"secret (whsec_\S+)", result.output)
    return found[1] if found else ""


def stored() -> dict[str, tuple[Any, ...]]:
    container = cloud.container
    answer = container.client("secretsmanager").get_secret_value(
        SecretId=container.settings.known("webhook_secrets")
    )
    return secrets_by_endpoint(answer["SecretString"])


def test_an_added_endpoint_is_listed_with_its_events_and_its_secret_is_in_no_row(run: Run) -> None:
    secret = added(run, "--event", "signup.confirmed.address")
    (row,) = json.loads(run("list", "--json").output)
    assert row["created_at_ms"] >= NOW_MS
    assert {**row, "created_at_ms": 0} == {
        "name": "crm",
        "url": URL,
        "events": ["restock.opened", "signup.confirmed.address"],
        "created_at_ms": 0,
        "disabled_at_ms": None,
        "failing_since_ms": None,
    }
    assert [known.text for known in stored()["crm"]] == [secret]
    rows = list(cloud.container.endpoints.table.scan())
    assert "whsec_" not in str(rows)
    assert run("list").output == f"crm  {URL}  restock.opened, signup.confirmed.address\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Not A Name", URL), "NAME 'Not A Name': not a name"),
        (
            ("crm", "http://crm.example.com/"),
            "URL 'http://crm.example.com/': it does not begin with https://",
        ),
        (("crm", "https://me@crm.example.com/"), "URL 'https://me@crm.example.com/': it has a user name"),
    ],
)
def test_a_wrong_name_or_address_is_refused_and_nothing_is_stored(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    result = run("add", *arguments, "--event", "restock.opened")
    assert isinstance(result.exception, BadInput)
    assert result.exception.message.startswith(message)
    assert result.exception.hint
    assert not cloud.container.endpoints.all()
    assert not stored()


def test_a_private_address_is_refused_and_an_unknown_name_is_pointed_out(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def private(_: str) -> list[str]:
        raise TargetRefused("crm.example.com leads to a private or local network")

    def unknown(_: str) -> list[str]:
        raise NameUnknown

    monkeypatch.setattr(webhooks, "resolve_public", private)
    result = run("add", "crm", URL, "--event", "restock.opened")
    assert isinstance(result.exception, BadInput)
    assert result.exception.message == f"URL '{URL}': crm.example.com leads to a private or local network"
    monkeypatch.setattr(webhooks, "resolve_public", unknown)
    result = run("add", "crm", URL, "--event", "restock.opened")
    assert result.exit_code == 0
    assert "crm: its host has no address now; check its spelling" in result.output


def test_an_unknown_type_suggests_the_nearest_one(run: Run) -> None:
    result = run("add", "crm", URL, "--event", "restock.open")
    assert result.exit_code == 2
    assert "restock.opened" in result.output


def test_a_taken_name_is_refused_and_replace_keeps_the_secret_and_enables(run: Run) -> None:
    secret = added(run)
    again = run("add", "crm", "https://other.example.com/", "--event", "wave.finished")
    assert isinstance(again.exception, BadInput)
    assert again.exception.message == "NAME 'crm': an endpoint has it already"
    cloud.container.endpoints.disable("crm", at_ms=NOW_MS, reason="it answered 410")
    assert run("list").output.endswith(": it answered 410\n")
    replaced = run("add", "crm", "https://other.example.com/", "--event", "wave.finished", "--replace")
    assert replaced.output == "crm: gets wave.finished; in force within a minute\n"
    (endpoint,) = cloud.container.endpoints.all()
    assert (endpoint.url, endpoint.disabled_at_ms) == ("https://other.example.com/", None)
    assert [known.text for known in stored()["crm"]] == [secret]
    missing = run("add", "erp", URL, "--event", "wave.finished", "--replace")
    assert isinstance(missing.exception, BadInput)
    assert missing.exception.message == "NAME 'erp': no endpoint has it"


def test_the_twenty_first_endpoint_is_refused(run: Run) -> None:
    for number in range(20):
        added(run, name=f"e{number}")
    result = run("add", "more", URL, "--event", "restock.opened")
    assert isinstance(result.exception, BadInput)
    assert result.exception.message == "there are 20 endpoints, which is the most"


def test_an_event_of_the_shop_is_queued_for_the_endpoint_that_wants_it(run: Run) -> None:
    added(run)
    container = cloud.container
    container.recent_endpoints.forget()
    sqs, url = container.client("sqs"), container.settings.known("webhook_deliveries_queue_url")
    sqs.purge_queue(QueueUrl=url)
    for event in (EVENT, replace(EVENT, id="w1", type=EventType.WAVE_FINISHED)):
        container.domain_events.process(event)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [Delivery.from_json(message["Body"]) for message in messages] == [Delivery("crm", EVENT)]
    assert container.event_emitter._webhooks() is container.webhook_fanout


def test_a_test_posts_a_signed_event_and_names_what_went_wrong(run: Run, poster: FakePoster) -> None:
    secret = added(run)
    result = run("test", "crm")
    assert re.fullmatch(r"crm: 204 after \d+ ms\n", result.output)
    ((url, headers, body),) = poster.posted
    assert url == URL
    document = Webhook(secret).verify(body, dict(headers))
    assert (document["type"], document["data"]) == ("schedule", {"test": True})
    poster.answer = EndpointResponse(error="timeout")
    failed = run("test", "crm")
    assert isinstance(failed.exception, WorkFailed)
    assert failed.exception.message.startswith("crm: timeout after ")
    assert failed.exception.hint == webhooks.HINTS["timeout"]
    poster.answer = EndpointResponse(302)
    assert run("test", "crm").exception.hint == "answer a status from 200 to 299"  # type: ignore[union-attr]


def test_a_rotation_signs_with_both_secrets(run: Run, poster: FakePoster) -> None:
    before = added(run)
    rotated = re.search(r"secret (whsec_\S+)", run("rotate", "crm").output)
    assert rotated
    assert [(known.text, known.until_ms is None) for known in stored()["crm"]] == [
        (rotated[1], True),
        (before, False),
    ]
    cloud.container.webhook_secrets._read_at_ms = None
    run("test", "crm")
    ((_, headers, body),) = poster.posted
    for secret in (before, rotated[1]):
        assert Webhook(secret).verify(body, dict(headers))["type"] == "schedule"


def attempt(state: State, **changes: Any) -> Attempt:
    return replace(Attempt("crm", EVENT, state, 10, NOW_MS, "503"), **changes)


def test_the_log_shows_each_delivery_and_a_retry_queues_it_again(run: Run, poster: FakePoster) -> None:
    added(run)
    deliveries = cloud.container.deliveries
    deliveries.reset(attempt(State.FAILED))
    delivered = replace(EVENT, id="other", at_ms=EVENT.at_ms + 1)
    deliveries.reset(attempt(State.DELIVERED, event=delivered, tries=1, answer="204"))
    lines = run("log").output.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(f"crm  restock.opened FJ-MOSS-M  failed after 10 attempts (503)  {EVENT.id}")
    assert lines[1].endswith("crm  restock.opened FJ-MOSS-M  delivered after 1 attempt (204)  other")
    rows = json.loads(run("log", "crm", "--json").output)
    assert [(row["event"], row["state"]) for row in rows] == [(EVENT.id, "failed"), ("other", "delivered")]
    assert run("retry", "crm").output == "crm: 1 event queued\n"
    assert run("retry", "crm", "other").output == "crm: 1 event queued\n"
    assert [row["state"] for row in json.loads(run("log", "--json").output)] == ["waiting", "waiting"]
    for event in (EVENT, delivered):
        cloud.container.webhook_delivery.deliver(Delivery("crm", event), is_repeat=False)
    assert len(poster.posted) == 2
    assert [row["state"] for row in json.loads(run("log", "--json").output)] == ["delivered", "delivered"]


def test_a_retry_of_an_unknown_event_or_to_a_disabled_endpoint_is_refused(run: Run) -> None:
    added(run)
    unknown = run("retry", "crm", "nothing")
    assert isinstance(unknown.exception, BadInput)
    assert unknown.exception.message == "EVENT 'nothing': no delivery of it to crm"
    cloud.container.endpoints.disable("crm", at_ms=NOW_MS, reason="it answered 410")
    disabled = run("retry", "crm")
    assert isinstance(disabled.exception, BadInput)
    assert disabled.exception.message == "NAME 'crm': the endpoint is disabled"
    assert "--replace" in disabled.exception.hint


def test_a_removed_endpoint_has_no_secret_left(run: Run) -> None:
    added(run)
    added(run, name="erp")
    assert run("remove", "crm").output == "crm: removed\n"
    assert set(stored()) == {"erp"}
    assert [endpoint.id for endpoint in cloud.container.endpoints.all()] == ["erp"]
    for command in (("remove", "crm"), ("rotate", "crm"), ("log", "crm"), ("test", "crm"), ("retry", "crm")):
        result = run(*command)
        assert isinstance(result.exception, BadInput)
        assert (result.exception.message, result.exception.hint) == (
            "NAME 'crm': no endpoint has it",
            "the endpoints are erp",
        )


def test_an_empty_list_and_log_say_what_to_do(run: Run) -> None:
    assert run("list").output == "no endpoint yet: spillway webhooks add NAME URL --event TYPE\n"
    assert run("log").output == "no delivery in 24 hours\n"


def test_the_group_has_the_commands_of_the_docs() -> None:
    assert isinstance(webhooks.webhooks_command, click.Group)
    assert set(webhooks.webhooks_command.commands) == {
        *("add", "list", "test", "rotate", "log", "retry", "remove"),
    }


def test_a_failing_endpoint_is_listed_and_a_retry_sends_what_was_kept(run: Run, poster: FakePoster) -> None:
    added(run)
    event = replace(EVENT, id="kept-back", at_ms=EVENT.at_ms + 2)
    container = cloud.container
    for _ in range(10):
        container.endpoints.count_failure("crm", at_ms=NOW_MS)
    container.endpoints.open_circuit("crm", at_ms=NOW_MS)
    container.recent_endpoints.forget()
    assert container.webhook_fanout.queue(event) == 1
    assert "FAILING since" in run("list").output
    (row,) = json.loads(run("list", "--json").output)
    assert row["failing_since_ms"] == NOW_MS
    line = run("log").output
    assert f"held after 0 attempts (the endpoint fails)  {event.id}\n" in line

    assert run("retry", "crm").exit_code == 0

    (endpoint,) = container.endpoints.all()
    assert (endpoint.failing_at_ms, endpoint.failures) == (None, 0)
    assert list(container.deliveries.all_held("crm")) == []
    container.recent_endpoints.forget()
    container.webhook_delivery.deliver(Delivery("crm", event), is_repeat=False)
    assert len(poster.posted) == 1
    rows = json.loads(run("log", "--json").output)
    assert [row["state"] for row in rows if row["event"] == event.id] == ["delivered"]
