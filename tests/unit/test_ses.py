"""The SES adapter at its request and its answer: held to botocore's own model of the service."""

import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from chalicelib.container import Container
from chalicelib.domain.email import (
    Delivery,
    Email,
    OutcomeUnknown,
    OutgoingEmail,
    Refusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.entry import EntryState, shard_of, shards_of
from chalicelib.domain.sending_limits import UNLIMITED, Limits
from chalicelib.domain.stock import Availability
from chalicelib.mail.headers import SES_DISALLOWED, HeaderRefused, check_headers
from chalicelib.mail.ses import BULK_EMAILS_MAX, CALLS_MAX, STATUSES, SesAccount, SesSender
from chalicelib.queues import Alarm
from chalicelib.stores import boto3_client
from tests.support.clock import Clock
from tests.support.memory_shop import SKU, MemoryShop
from tests.support.shop_base import VISIBILITY_TIMEOUT_S

SENDER = "Heron & Daughters <hello@heron.example>"
LINK = f"<https://www.heron.example/api/unsubscribe?token={'t' * 300}>"
Answer = Callable[[list[dict[str, Any]]], list[str]]


def emails(count: int, **facts: Any) -> list[OutgoingEmail]:
    headers = {"Auto-Submitted": "auto-generated", "List-Unsubscribe": LINK}
    return [
        OutgoingEmail(
            f"s{number}@example.com", Email("It is back ☔", "Text.", "<p>Text.</p>"), headers, **facts
        )
        for number in range(count)
    ]


def held_to(shape: Any, value: Any) -> None:
    """Check the limits of a model that botocore's own validation leaves to the service."""
    if shape.type_name == "structure":
        for name, member in value.items():
            held_to(shape.members[name], member)
    elif shape.type_name == "list":
        assert len(value) <= shape.metadata.get("max", len(value)), shape.name
        for item in value:
            held_to(shape.member, item)
    elif shape.type_name == "string":
        assert not shape.enum or value in shape.enum, shape.name
        assert shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", len(value)), shape.name
        assert re.fullmatch(shape.metadata.get("pattern", ".*"), value, re.DOTALL), (shape.name, value)


class Service:
    """SES, as far as its model goes: `answer` gives a status for each entry, or raises."""

    def __init__(self) -> None:
        self.client: Any = boto3.client(
            "sesv2", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.requests: list[dict[str, Any]] = []
        self.answer: Answer = lambda entries: ["SUCCESS"] * len(entries)
        # Validated and serialised by botocore; answered before anything is sent.
        self.client.meta.events.register("before-parameter-build.sesv2.SendBulkEmail", self._build)
        self.client.meta.events.register("before-call.sesv2.SendBulkEmail", self._call)

    def _build(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        held_to(model.input_shape, params)
        self.requests.append(params)

    def _call(self, **_: Any) -> Any:
        entries = self.requests[-1]["BulkEmailEntries"]
        results = [
            ({"Status": status} if status else {})
            | ({"MessageId": f"m{number}"} if status == "SUCCESS" else {})
            for number, status in enumerate(self.answer(entries))
        ]
        return _Http(200), {"BulkEmailEntryResults": results}


class _Http:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


@pytest.fixture(scope="module")
def only_service() -> Service:
    """Making a client takes a quarter of a second."""
    return Service()


@pytest.fixture
def ses(only_service: Service) -> Iterator[Service]:
    yield only_service
    only_service.requests.clear()
    only_service.answer = lambda entries: ["SUCCESS"] * len(entries)


def sender(ses: Service) -> SesSender:
    return SesSender(ses.client, "emails")


def refuse(code: str, status: int = 400) -> Answer:
    def answer(_: list[dict[str, Any]]) -> list[str]:
        raise ClientError(
            {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
            "SendBulkEmail",
        )

    return answer


def address(entry: dict[str, Any]) -> str:
    return str(entry["Destination"]["ToAddresses"][0])


def test_a_batch_is_one_valid_request(ses: Service) -> None:
    results = sender(ses).send(SENDER, emails(50, tags={"email": "available", "sku": "FJ-M"}))
    assert results == tuple(SendResult(Delivery.ACCEPTED, message_id=f"m{number}") for number in range(50))
    (request,) = ses.requests
    assert request["FromEmailAddress"] == "Heron & Daughters <hello@heron.example>"
    default = json.loads(request["DefaultContent"]["Template"]["TemplateData"])
    assert default == {"subject": "", "text": "", "html": ""}
    entry = request["BulkEmailEntries"][7]
    assert address(entry) == "s7@example.com"
    data = json.loads(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
    assert data == {"subject": "It is back ☔", "text": "Text.", "html": "<p>Text.</p>"}
    assert entry["ReplacementHeaders"][1] == {"Name": "List-Unsubscribe", "Value": LINK}
    assert entry["ReplacementTags"] == [
        {"Name": "email", "Value": "available"},
        {"Name": "sku", "Value": "FJ-M"},
    ]


def test_an_entry_without_a_status_is_deferred_as_failed(ses: Service) -> None:
    ses.answer = lambda entries: [""] * len(entries)
    assert sender(ses).send(SENDER, emails(1)) == (SendResult(Delivery.DEFERRED, reason="FAILED"),)


def test_reply_to_is_a_parameter_of_the_call_and_never_a_header(ses: Service) -> None:
    sender(ses).send(SENDER, emails(2, reply_to="Café Müller <help@café.example>"))
    (request,) = ses.requests
    assert request["ReplyToAddresses"] == ["=?utf-8?b?Q2Fmw6kgTcO8bGxlcg==?= <help@xn--caf-dma.example>"]
    names = {header["Name"].lower() for header in request["BulkEmailEntries"][0]["ReplacementHeaders"]}
    assert not names & SES_DISALLOWED


def test_without_a_reply_to_the_call_has_none(ses: Service) -> None:
    sender(ses).send(SENDER, emails(1))
    assert "ReplyToAddresses" not in ses.requests[0]


def test_a_sender_is_encoded(ses: Service) -> None:
    sender(ses).send("Bücher & Café <hallo@bücher.example>", emails(1))
    assert (
        ses.requests[0]["FromEmailAddress"]
        == "=?utf-8?b?QsO8Y2hlciAmIENhZsOp?= <hallo@xn--bcher-kva.example>"
    )


MEANINGS = {
    "SUCCESS": ("accepted", Refusal.RETRY),
    "MESSAGE_REJECTED": ("rejected", Refusal.RETRY),
    "INVALID_PARAMETER": ("rejected", Refusal.RETRY),
    "TRANSIENT_FAILURE": ("deferred", Refusal.RETRY),
    "FAILED": ("deferred", Refusal.RETRY),
    "ACCOUNT_THROTTLED": ("postponed", Refusal.RETRY),
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": ("postponed", Refusal.RETRY),
    "ACCOUNT_SUSPENDED": ("postponed", Refusal.PAUSED),
    "ACCOUNT_SENDING_PAUSED": ("postponed", Refusal.PAUSED),
    "CONFIGURATION_SET_SENDING_PAUSED": ("postponed", Refusal.PAUSED),
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": ("postponed", Refusal.INVALID),
    "CONFIGURATION_SET_NOT_FOUND": ("postponed", Refusal.INVALID),
    "TEMPLATE_NOT_FOUND": ("postponed", Refusal.INVALID),
    "INVALID_SENDING_POOL_NAME": ("postponed", Refusal.INVALID),
}


def test_every_status_that_ses_knows_is_mapped(ses: Service) -> None:
    known = set(ses.client.meta.service_model.shape_for("BulkEmailStatus").enum)
    assert known == set(STATUSES) == set(MEANINGS)


@pytest.mark.parametrize("status", sorted(MEANINGS))
def test_a_status_means_what_it_says_for_its_own_email(ses: Service, status: str) -> None:
    ses.answer = lambda _: ["SUCCESS", status, "SUCCESS"]
    first, second, third = sender(ses).send(SENDER, emails(3))
    assert first.delivery is third.delivery is Delivery.ACCEPTED
    assert (second.delivery, second.refusal) == MEANINGS[status]
    assert second.reason == ("" if status == "SUCCESS" else status)


@pytest.mark.parametrize("status", ["INVALID_PARAMETER", "MESSAGE_REJECTED"])
def test_a_whole_batch_refused_for_what_it_holds_is_our_mistake(ses: Service, status: str) -> None:
    ses.answer = lambda entries: [status] * len(entries)
    with pytest.raises(SendRefused) as refused:
        sender(ses).send(SENDER, emails(3))
    assert (refused.value.refusal, refused.value.about_emails) == (Refusal.INVALID, True)


def test_an_invalid_email_by_itself_is_our_mistake_and_a_virus_is_not(ses: Service) -> None:
    ses.answer = lambda _: ["INVALID_PARAMETER"]
    with pytest.raises(SendRefused):
        sender(ses).send(SENDER, emails(1))
    ses.answer = lambda _: ["MESSAGE_REJECTED"]
    assert sender(ses).send(SENDER, emails(1))[0].delivery is Delivery.REJECTED


def test_nobody_is_refused_for_good_by_a_call_that_took_nobody(ses: Service) -> None:
    ses.answer = lambda _: ["INVALID_PARAMETER", "ACCOUNT_THROTTLED"]
    results = sender(ses).send(SENDER, emails(2))
    assert [result.delivery for result in results] == ["postponed", "postponed"]


ERRORS = {
    "TooManyRequestsException": Refusal.RETRY,
    "LimitExceededException": Refusal.RETRY,
    "AccountSuspendedException": Refusal.PAUSED,
    "SendingPausedException": Refusal.PAUSED,
    "MailFromDomainNotVerifiedException": Refusal.INVALID,
    "NotFoundException": Refusal.INVALID,
    "BadRequestException": Refusal.INVALID,
    "MessageRejected": Refusal.INVALID,
}


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_documented_error_of_the_call_is_mapped(ses: Service, code: str) -> None:
    operation = ses.client.meta.service_model.operation_model("SendBulkEmail")
    assert {shape.name for shape in operation.error_shapes} == set(ERRORS)
    ses.answer = refuse(code)
    with pytest.raises(SendRefused) as refused:
        sender(ses).send(SENDER, emails(2))
    assert refused.value.refusal is ERRORS[code]
    assert refused.value.reason == code


def test_an_outage_leaves_the_outcome_unknown(ses: Service) -> None:
    ses.answer = refuse("InternalFailure", 500)
    with pytest.raises(OutcomeUnknown):
        sender(ses).send(SENDER, emails(2))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConnectTimeoutError(endpoint_url="https://ses"), SendRefused),
        (ReadTimeoutError(endpoint_url="https://ses"), OutcomeUnknown),
    ],
)
def test_a_call_that_was_never_made_is_known_not_to_be_taken(
    ses: Service, error: Exception, raised: type[Exception]
) -> None:
    def fail(_: list[dict[str, Any]]) -> list[str]:
        raise error

    ses.answer = fail
    with pytest.raises(raised):
        sender(ses).send(SENDER, emails(2))


def test_a_send_is_one_attempt_of_the_sdk_for_ses_knows_no_repeated_one() -> None:
    made: list[Any] = []

    def client(service: str, *, attempts_max: int = 4) -> Any:
        made.append(boto3_client(service, attempts_max=attempts_max))
        return made[-1]

    settings: Any = SimpleNamespace(configuration_set="emails", smtp_secret="")
    _ = Container(lambda: settings, client).sender
    (sesv2,) = made
    assert sesv2.meta.service_model.service_name == "sesv2"
    assert sesv2.meta.config.retries == {"mode": "standard", "total_max_attempts": 1}


# ---- A whole fan-out through the adapter ----

WAITERS = [
    name for name in (f"s{number:04}" for number in range(1_000)) if shard_of(SKU, name) == shards_of(SKU)[0]
][:BULK_EMAILS_MAX]
MAILBOXES = [f"{name}@example.com" for name in WAITERS]


@pytest.fixture
def fifty(ses: Service, clock: Clock) -> MemoryShop:
    """A shop whose line of fifty makes one call."""
    shop = MemoryShop(clock)
    for name in WAITERS:
        shop.join(name)
        clock.pass_s(1)
    shop.sender.send = sender(ses).send  # type: ignore[method-assign]
    return shop


def notify_all(shop: MemoryShop, *expected: type[Exception]) -> None:
    """Open a restock and let workers work until nothing is left; those that fail as `expected` come again."""

    def failed(message: Any, error: BaseException) -> None:
        assert isinstance(error, expected), repr(error)
        shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    shop.observe(Availability.IN_STOCK)
    while shop.work(failed):
        if shop.paused:
            return


def calls(ses: Service) -> list[list[str]]:
    """The addresses of each call."""
    return [list(map(address, request["BulkEmailEntries"])) for request in ses.requests]


def pluralize(shop: MemoryShop) -> tuple[int, int, int]:
    """The entries of the restock that were notified, rejected and unclear."""
    progress = shop.progress.of(shop.opened()[0].id, shards_of(SKU))
    return progress.notified, progress.rejected, progress.unclear


def states(shop: MemoryShop) -> set[EntryState]:
    return {entry.state for entry in shop.all_entries()}


def answers(*each: list[str]) -> Answer:
    """SES answers calls one after the other, and takes all after the last of these."""
    left = list(each)
    return lambda entries: left.pop(0) if left else ["SUCCESS"] * len(entries)


def one_of_fifty(status: str) -> list[str]:
    return [*["SUCCESS"] * 7, status, *["SUCCESS"] * 42]


@pytest.mark.parametrize(
    "status", ["ACCOUNT_THROTTLED", "ACCOUNT_DAILY_QUOTA_EXCEEDED", "TRANSIENT_FAILURE", "FAILED"]
)
def test_of_fifty_only_the_one_that_ses_puts_off_is_sent_again(
    ses: Service, fifty: MemoryShop, status: str
) -> None:
    ses.answer = answers(one_of_fifty(status))
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES, [MAILBOXES[7]]]
    assert pluralize(fifty) == (50, 0, 0)
    assert states(fifty) == {EntryState.NOTIFIED}


@pytest.mark.parametrize("status", ["MESSAGE_REJECTED", "INVALID_PARAMETER"])
def test_of_fifty_the_one_that_ses_rejects_is_settled_and_never_sent_again(
    ses: Service, fifty: MemoryShop, status: str
) -> None:
    ses.answer = answers(one_of_fifty(status))
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES]
    assert pluralize(fifty) == (50, 1, 0)
    assert states(fifty) == {EntryState.NOTIFIED}


def test_a_call_that_is_rejected_for_one_email_alone_is_not_made_again(
    ses: Service, fifty: MemoryShop
) -> None:
    for name in WAITERS[1:]:
        fifty.leave(name)
    ses.answer = refuse("MessageRejected")
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES[:1]]
    assert pluralize(fifty) == (1, 1, 0)
    assert fifty.state(WAITERS[0]) is EntryState.NOTIFIED


def test_a_day_quota_that_ends_in_mid_call_leaves_the_rest_waiting_in_their_order(
    ses: Service, fifty: MemoryShop
) -> None:
    full = ["ACCOUNT_DAILY_QUOTA_EXCEEDED"]
    ses.answer = answers(["SUCCESS"] * 20 + full * 30, full * 30, ["SUCCESS"] * 10 + full * 20)
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES, MAILBOXES[20:], MAILBOXES[20:], MAILBOXES[30:]]
    assert pluralize(fifty) == (50, 0, 0)


@pytest.mark.parametrize(
    "status", ["ACCOUNT_SENDING_PAUSED", "ACCOUNT_SUSPENDED", "CONFIGURATION_SET_SENDING_PAUSED"]
)
def test_a_pause_of_ses_in_mid_call_pauses_the_shop_and_only_the_rest_is_sent_when_it_is_resumed(
    ses: Service, fifty: MemoryShop, status: str
) -> None:
    ses.answer = answers(["SUCCESS"] * 20 + [status] * 30)
    notify_all(fifty)
    assert fifty.paused == status
    for _ in range(20):
        assert fifty.work(lambda message, error: pytest.fail(f"{message}: {error!r}"))
    assert calls(ses) == [MAILBOXES]
    assert fifty.rate_table.resume()
    while fifty.work(lambda message, error: pytest.fail(f"{message}: {error!r}")):
        pass
    assert calls(ses) == [MAILBOXES, MAILBOXES[20:]]
    assert states(fifty) == {EntryState.NOTIFIED}


def test_a_call_that_never_answers_is_made_twice_and_then_counted_as_unclear(
    ses: Service, fifty: MemoryShop
) -> None:
    def never(_: list[dict[str, Any]]) -> list[str]:
        raise ReadTimeoutError(endpoint_url="https://ses")

    ses.answer = never
    notify_all(fifty, OutcomeUnknown)
    assert calls(ses) == [MAILBOXES, MAILBOXES]
    assert pluralize(fifty) == (50, 0, 50)
    assert states(fifty) == {EntryState.NOTIFIED}


@pytest.mark.parametrize("bad", [{0}, {49}, {3, 30}, {0, 1, 2}, {10, 20, 30, 40}])
def test_a_call_refused_for_some_emails_is_made_for_the_others(ses: Service, bad: set[int]) -> None:
    addresses = {f"s{number}@example.com" for number in bad}
    accepted: list[str] = []

    def answer(entries: list[dict[str, Any]]) -> list[str]:
        if addresses & set(map(address, entries)):
            refuse("BadRequestException")(entries)
        accepted.extend(map(address, entries))
        return ["SUCCESS"] * len(entries)

    ses.answer = answer
    results = sender(ses).send(SENDER, emails(50))
    assert len(ses.requests) <= CALLS_MAX
    refused = {number for number, result in enumerate(results) if result.delivery is Delivery.REJECTED}
    taken = [number for number, result in enumerate(results) if result.delivery is Delivery.ACCEPTED]
    assert sorted(accepted) == sorted(f"s{number}@example.com" for number in taken)
    assert refused <= bad
    # Emails beyond the calls are not lost: they come later.
    assert len(taken) + len(refused) == 50 or results[-1].delivery is Delivery.POSTPONED
    if len(bad) < 3:
        assert (refused, len(taken)) == (bad, 50 - len(bad))


def test_a_throttle_among_the_halves_keeps_the_receipts_of_those_sent(ses: Service) -> None:
    def answer(entries: list[dict[str, Any]]) -> list[str]:
        if len(entries) == 4:
            refuse("BadRequestException")(entries)
        if address(entries[0]) == "s2@example.com":
            refuse("TooManyRequestsException", 429)(entries)
        return ["SUCCESS"] * len(entries)

    ses.answer = answer
    results = sender(ses).send(SENDER, emails(4))
    assert [result.delivery for result in results] == ["accepted", "accepted", "postponed", "postponed"]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"mailbox": "=?utf-8?q?a=40b.example=3e?=@example.com"},
        {"mailbox": "ada@exämple.com"},
        {"headers": {"X-Long": "x" * 996}},
        {"headers": {"Reply-To": "a@b.example"}},
        {"email": Email("half \ud83d", "t", "h")},
    ],
)
def test_an_email_that_cannot_be_written_is_deferred_alone(ses: Service, spoiled: dict[str, Any]) -> None:
    good, bad = emails(1)[0], {"mailbox": "bad@example.com", "email": Email("s", "t", "h"), **spoiled}
    results = sender(ses).send(SENDER, [good, OutgoingEmail(**bad), good])
    assert [result.delivery for result in results] == ["accepted", "deferred", "accepted"]
    assert len(ses.requests[0]["BulkEmailEntries"]) == 2
    with pytest.raises(SendRefused) as refused:
        sender(ses).send(SENDER, [OutgoingEmail(**bad)] * 2)
    assert refused.value.refusal is Refusal.INVALID


@pytest.mark.parametrize("name", sorted(SES_DISALLOWED))
def test_a_header_that_ses_sets_itself_is_refused(name: str) -> None:
    with pytest.raises(HeaderRefused, match="set by the transport"):
        check_headers({name.title(): "x"})


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-{number}": "x" for number in range(16)},
        {"X-A": "x", "x-a": "y"},
        {"X-A": ""},
        {"X-A": "x" * 996},
        {"X-" + "A" * 125: "x"},
        {"X-AB": "x" * 995},
        {"X-A": "é"},
        {"X-A": "a\r\nBcc: b@c.example"},
        {"X A": "x"},
        {"X:A": "x"},
    ],
)
def test_a_header_over_the_limits_of_ses_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HeaderRefused):
        check_headers(headers)


def test_headers_at_the_limits_of_ses_pass(ses: Service) -> None:
    headers = {f"X-{number}": "x" for number in range(14)} | {"Y": "x" * 995}
    check_headers(headers)
    (email,) = emails(1)
    sender(ses).send(SENDER, [OutgoingEmail(email.mailbox, email.email, headers)])


def test_a_throttled_account_says_later_and_any_other_error_is_raised(ses: Service) -> None:
    class Account:
        def __init__(self, code: str) -> None:
            self.code = code

        def get_account(self) -> None:
            raise ClientError({"Error": {"Code": self.code}}, "GetAccount")

    throttled: Any = Account("TooManyRequestsException")
    with pytest.raises(SendRefused):
        SesAccount(throttled).limits()
    forbidden: Any = Account("AccessDeniedException")
    with pytest.raises(ClientError):
        SesAccount(forbidden).limits()


# ---- Whole requests and whole results ----


class Answering:
    """Stands for the client: answers each call by what `answer` says of its addresses."""

    def __init__(self, answer: Callable[[list[str]], Any]) -> None:
        self.answer = answer
        self.calls: list[list[str]] = []
        self.requests: list[dict[str, Any]] = []

    def send_bulk_email(self, **request: Any) -> Any:
        self.requests.append(request)
        self.calls.append([address(entry).partition("@")[0] for entry in request["BulkEmailEntries"]])
        answer = self.answer(self.calls[-1])
        if isinstance(answer, Exception):
            raise answer
        return {"BulkEmailEntryResults": answer}


def sent_by(client: Answering, count: int) -> tuple[SendResult, ...]:
    anything: Any = client
    return SesSender(anything, "emails").send(SENDER, emails(count))


def error(code: str, status: int | None = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code}}
    if status is not None:
        answer["ResponseMetadata"] = {"HTTPStatusCode": status}
    return ClientError(answer, "SendBulkEmail")


def taken(names: list[str]) -> list[dict[str, str]]:
    return [{"Status": "SUCCESS", "MessageId": f"m-{name}"} for name in names]


def test_a_request_is_as_it_is_documented_to_the_last_member() -> None:
    client: Any = Answering(taken)
    headers = {"Auto-Submitted": "auto-generated", "X-Two": "2"}
    outgoing = OutgoingEmail(
        "ada@example.com",
        Email("S ☔", "T", "<p>H</p>"),
        headers,
        {"email": "my-waitlists", "shopper": "a"},
        "r@b.example",
    )
    assert SesSender(client, "emails").send(SENDER, [outgoing]) == (
        SendResult(Delivery.ACCEPTED, message_id="m-ada"),
    )
    content = {"Subject": "{{subject}}", "Text": "{{text}}", "Html": "{{html}}"}
    empty = '{"subject": "", "text": "", "html": ""}'
    data = '{"subject": "S ☔", "text": "T", "html": "<p>H</p>"}'
    entry = {
        "Destination": {"ToAddresses": ["ada@example.com"]},
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": data}},
        "ReplacementHeaders": [
            {"Name": "Auto-Submitted", "Value": "auto-generated"},
            {"Name": "X-Two", "Value": "2"},
        ],
        "ReplacementTags": [{"Name": "email", "Value": "my-waitlists"}, {"Name": "shopper", "Value": "a"}],
    }
    assert client.requests == [
        {
            "FromEmailAddress": SENDER,
            "ConfigurationSetName": "emails",
            "DefaultContent": {"Template": {"TemplateContent": content, "TemplateData": empty}},
            "ReplyToAddresses": ["r@b.example"],
            "BulkEmailEntries": [entry],
        }
    ]


def test_nothing_to_send_is_no_call() -> None:
    client = Answering(taken)
    assert (sent_by(client, 0), client.calls) == ((), [])


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        ({"Status": "SUCCESS", "MessageId": "m"}, SendResult(Delivery.ACCEPTED, message_id="m")),
        ({"Status": "SUCCESS"}, SendResult(Delivery.ACCEPTED)),
        ({}, SendResult(Delivery.DEFERRED, reason="FAILED")),
        ({"Status": "ADDED_LATER", "MessageId": "m"}, SendResult(Delivery.DEFERRED, reason="ADDED_LATER")),
        (
            {"Status": "ACCOUNT_SENDING_PAUSED", "Error": "words"},
            SendResult(Delivery.POSTPONED, reason="ACCOUNT_SENDING_PAUSED", refusal=Refusal.PAUSED),
        ),
        ({"Status": "MESSAGE_REJECTED"}, SendResult(Delivery.REJECTED, reason="MESSAGE_REJECTED")),
    ],
)
def test_each_result_is_one_whole_receipt(entry: dict[str, str], result: SendResult) -> None:
    client = Answering(lambda names: [*taken(names[:1]), entry])
    first = SendResult(Delivery.ACCEPTED, message_id="m-s0")
    assert sent_by(client, 2) == (first, result)
    missing = SendResult(Delivery.UNKNOWN, reason="no result")
    assert sent_by(client, 4) == (first, result, missing, missing)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ConnectTimeoutError(endpoint_url="x"), ("ConnectTimeoutError", Refusal.RETRY, False)),
        (EndpointConnectionError(endpoint_url="x"), ("EndpointConnectionError", Refusal.RETRY, False)),
        (ReadTimeoutError(endpoint_url="x"), ("ReadTimeoutError",)),
        (BotoCoreError(), ("BotoCoreError",)),
        (error("InternalFailure", 500), ("InternalFailure",)),
        (error("NotFoundException", 499), ("NotFoundException", Refusal.INVALID, False)),
        (error("AccessDeniedException", None), ("AccessDeniedException", Refusal.INVALID, False)),
        (error("SendingPausedException"), ("SendingPausedException", Refusal.PAUSED, False)),
        (error("ValidationException"), ("ValidationException", Refusal.INVALID, True)),
        (error("AddedLater"), ("AddedLater", Refusal.RETRY, False)),
    ],
)
def test_each_failure_of_a_call_is_raised_with_its_name(
    failure: Exception, expected: tuple[Any, ...]
) -> None:
    client = Answering(lambda _: failure)
    with pytest.raises((SendRefused, OutcomeUnknown)) as raised:
        sent_by(client, 1)
    refused: Any = raised.value
    if isinstance(refused, SendRefused):
        assert (refused.reason, refused.refusal, refused.about_emails) == expected
    else:
        assert (refused.reason,) == expected
    assert client.calls == [["s0"]]


BAD = SendResult(Delivery.REJECTED, reason="BadRequestException")


def good(number: int) -> SendResult:
    return SendResult(Delivery.ACCEPTED, message_id=f"m-s{number}")


def test_a_refused_call_is_made_by_halves_from_the_front() -> None:
    client = Answering(lambda names: error("BadRequestException") if "s3" in names else taken(names))
    assert sent_by(client, 5) == (good(0), good(1), good(2), BAD, good(4))
    assert client.calls == [
        ["s0", "s1", "s2", "s3", "s4"],
        ["s0", "s1"],
        ["s2", "s3", "s4"],
        ["s2"],
        ["s3", "s4"],
        ["s3"],
        ["s4"],
    ]


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        (
            error("TooManyRequestsException"),
            SendResult(Delivery.POSTPONED, reason="TooManyRequestsException"),
        ),
        (
            error("SendingPausedException"),
            SendResult(Delivery.POSTPONED, reason="SendingPausedException", refusal=Refusal.PAUSED),
        ),
        (ReadTimeoutError(endpoint_url="x"), SendResult(Delivery.DEFERRED, reason="ReadTimeoutError")),
    ],
)
def test_a_failure_among_the_halves_is_of_that_half_alone(failure: Exception, result: SendResult) -> None:
    def answer(names: list[str]) -> Any:
        if len(names) == 4:
            return error("BadRequestException")
        return failure if "s2" in names else taken(names)

    client = Answering(answer)
    assert sent_by(client, 4) == (good(0), good(1), result, result)
    assert client.calls == [["s0", "s1", "s2", "s3"], ["s0", "s1"], ["s2", "s3"]]


def test_a_throttle_before_anything_was_sent_is_raised_from_a_half() -> None:
    client = Answering(
        lambda names: error("BadRequestException" if len(names) == 2 else "TooManyRequestsException")
    )
    with pytest.raises(SendRefused) as refused:
        sent_by(client, 2)
    assert (refused.value.reason, refused.value.refusal) == ("TooManyRequestsException", Refusal.RETRY)
    assert client.calls == [["s0", "s1"], ["s0"]]


def test_a_half_of_unknown_outcome_does_not_count_as_sent() -> None:
    def answer(names: list[str]) -> Any:
        if len(names) == 2:
            return error("BadRequestException")
        return ReadTimeoutError(endpoint_url="x") if names == ["s0"] else error("BadRequestException")

    assert sent_by(Answering(answer), 2) == (SendResult(Delivery.DEFERRED, reason="ReadTimeoutError"), BAD)


def test_a_batch_that_is_refused_to_the_end_takes_so_many_calls_and_is_our_mistake() -> None:
    client = Answering(lambda _: error("BadRequestException"))
    with pytest.raises(SendRefused) as refused:
        sent_by(client, 50)
    assert (refused.value.reason, refused.value.refusal, refused.value.about_emails) == (
        "BadRequestException",
        Refusal.INVALID,
        True,
    )
    assert len(client.calls) == CALLS_MAX == 24


def test_where_the_calls_end_the_rest_comes_later_once_something_was_sent() -> None:
    bad = {f"s{number}" for number in range(1, 50, 2)}
    client = Answering(lambda names: error("BadRequestException") if bad & set(names) else taken(names))
    results = sent_by(client, 50)
    assert len(client.calls) == CALLS_MAX
    later = SendResult(Delivery.POSTPONED, reason="BadRequestException")
    reached = results.index(later)
    assert results[:reached] == tuple(BAD if f"s{n}" in bad else good(n) for n in range(reached))
    assert results[reached:] == (later,) * (50 - reached)
    assert reached > 5


def statuses(*each: str) -> Answering:
    return Answering(lambda _: [{"Status": status, "MessageId": "m"} for status in each])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("MESSAGE_REJECTED",), (SendResult(Delivery.REJECTED, reason="MESSAGE_REJECTED"),)),
        (
            ("FAILED", "INVALID_PARAMETER"),
            (
                SendResult(Delivery.DEFERRED, reason="FAILED"),
                SendResult(Delivery.REJECTED, reason="INVALID_PARAMETER"),
            ),
        ),
        (
            ("FAILED", "INVALID_PARAMETER", "ACCOUNT_SUSPENDED"),
            (
                SendResult(Delivery.DEFERRED, reason="FAILED"),
                *[SendResult(Delivery.POSTPONED, reason="ACCOUNT_SUSPENDED", refusal=Refusal.PAUSED)] * 2,
            ),
        ),
        (
            ("SUCCESS", "INVALID_PARAMETER", "ACCOUNT_THROTTLED"),
            (
                SendResult(Delivery.ACCEPTED, message_id="m"),
                SendResult(Delivery.REJECTED, reason="INVALID_PARAMETER"),
                SendResult(Delivery.POSTPONED, reason="ACCOUNT_THROTTLED"),
            ),
        ),
    ],
)
def test_who_is_to_blame_for_a_batch(given: tuple[str, ...], expected: tuple[SendResult, ...]) -> None:
    assert sent_by(statuses(*given), len(given)) == expected


@pytest.mark.parametrize("given", [("INVALID_PARAMETER",), ("MESSAGE_REJECTED", "INVALID_PARAMETER")])
def test_a_batch_of_which_nothing_was_right_is_refused_for_what_it_holds(given: tuple[str, ...]) -> None:
    with pytest.raises(SendRefused) as refused:
        sent_by(statuses(*given), len(given))
    assert (refused.value.reason, refused.value.refusal, refused.value.about_emails) == (
        given[0],
        Refusal.INVALID,
        True,
    )


def test_an_email_that_cannot_be_written_has_a_receipt_that_says_so_and_its_batch_goes() -> None:
    client: Any = Answering(taken)
    good_one = emails(1)[0]
    bad = OutgoingEmail("é@example.com", good_one.email)
    box = SesSender(client, "emails")
    unwritten = SendResult(Delivery.DEFERRED, reason="not written: HeaderRefused")
    assert box.send(SENDER, [bad, good_one, bad]) == (unwritten, good(0), unwritten)
    assert client.calls == [["s0"]]
    with pytest.raises(SendRefused) as refused:
        box.send(SENDER, [bad])
    assert (refused.value.reason, refused.value.about_emails) == (unwritten.reason, True)
    assert client.calls == [["s0"]]


@pytest.mark.parametrize(
    ("quota", "more", "limits"),
    [
        ((200.0, 14.0, 50.5), {}, Limits(14.0, 149, sending_enabled=True)),
        ((200.0, 14.0, 200.0), {"SendingEnabled": True}, Limits(14.0, 0)),
        ((0.0, 1.0, 0.0), {}, Limits(1.0, 0)),
        ((-1.0, 90.0, 1.0), {"SendingEnabled": False}, Limits(90.0, UNLIMITED, sending_enabled=False)),
    ],
)
def test_an_accounts_limits_are_what_is_left_of_its_quota(
    quota: tuple[float, float, float], more: dict[str, bool], limits: Limits
) -> None:
    names = ("Max24HourSend", "MaxSendRate", "SentLast24Hours")
    client: Any = SimpleNamespace(
        get_account=lambda: {"SendQuota": dict(zip(names, quota, strict=True)), **more}
    )
    assert SesAccount(client).limits() == limits


@pytest.mark.parametrize("chars", [99, 100, 101])
def test_an_alarm_has_its_topic_and_a_subject_that_sns_takes(chars: int) -> None:
    published: list[dict[str, str]] = []
    client = SimpleNamespace(publish=lambda **request: published.append(request))
    Alarm(client, "arn:topic").ring("s" * chars, "words " * 40)
    assert published == [
        {"TopicArn": "arn:topic", "Subject": "s" * min(chars, 100), "Message": "words " * 40}
    ]
