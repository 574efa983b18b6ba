"""The SES adapter at its request and its answer: held to botocore's own model of the service."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
)

from chalicelib.container import Container
from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.mail.headers import SES_DISALLOWED, HeaderRefused, check_headers
from chalicelib.mail.ses import CALLS_MAX, STATUSES, SesAccount
from chalicelib.stores import boto3_client
from tests.support.ses_service import (
    LINK,
    SENDER,
    SesService,
    address,
    emails,
    refuse,
    sender,
)


def test_a_batch_is_one_valid_request(ses: SesService) -> None:
    results = sender(ses).send(SENDER, emails(50, tags={"email": "available", "sku": "FJ-M"}))
    assert results == tuple(
        SendResult(DeliveryOutcome.ACCEPTED, message_id=f"m{number}") for number in range(50)
    )
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


def test_an_entry_without_a_status_is_deferred_as_failed(ses: SesService) -> None:
    ses.answer = lambda entries: [""] * len(entries)
    assert sender(ses).send(SENDER, emails(1)) == (SendResult(DeliveryOutcome.DEFERRED, reason="FAILED"),)


def test_reply_to_is_a_parameter_of_the_call_and_never_a_header(ses: SesService) -> None:
    sender(ses).send(SENDER, emails(2, reply_to="Café Müller <help@café.example>"))
    (request,) = ses.requests
    assert request["ReplyToAddresses"] == ["=?utf-8?b?Q2Fmw6kgTcO8bGxlcg==?= <help@xn--caf-dma.example>"]
    names = {header["Name"].lower() for header in request["BulkEmailEntries"][0]["ReplacementHeaders"]}
    assert not names & SES_DISALLOWED


def test_without_a_reply_to_the_call_has_none(ses: SesService) -> None:
    sender(ses).send(SENDER, emails(1))
    assert "ReplyToAddresses" not in ses.requests[0]


def test_a_sender_is_encoded(ses: SesService) -> None:
    sender(ses).send("Bücher & Café <hallo@bücher.example>", emails(1))
    assert (
        ses.requests[0]["FromEmailAddress"]
        == "=?utf-8?b?QsO8Y2hlciAmIENhZsOp?= <hallo@xn--bcher-kva.example>"
    )


MEANINGS = {
    "SUCCESS": ("accepted", SendRefusal.RETRY),
    "MESSAGE_REJECTED": ("rejected", SendRefusal.RETRY),
    "INVALID_PARAMETER": ("rejected", SendRefusal.RETRY),
    "INVALID_PARAMETER_VALUE": ("rejected", SendRefusal.RETRY),
    "TRANSIENT_FAILURE": ("deferred", SendRefusal.RETRY),
    "FAILED": ("deferred", SendRefusal.RETRY),
    "ACCOUNT_THROTTLED": ("postponed", SendRefusal.RETRY),
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": ("postponed", SendRefusal.RETRY),
    "ACCOUNT_SUSPENDED": ("postponed", SendRefusal.PAUSED),
    "ACCOUNT_SENDING_PAUSED": ("postponed", SendRefusal.PAUSED),
    "CONFIGURATION_SET_SENDING_PAUSED": ("postponed", SendRefusal.PAUSED),
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": ("postponed", SendRefusal.INVALID),
    "CONFIGURATION_SET_NOT_FOUND": ("postponed", SendRefusal.INVALID),
    "CONFIGURATION_SET_DOES_NOT_EXIST": ("postponed", SendRefusal.INVALID),
    "TEMPLATE_NOT_FOUND": ("postponed", SendRefusal.INVALID),
    "TEMPLATE_DOES_NOT_EXIST": ("postponed", SendRefusal.INVALID),
    "INVALID_SENDING_POOL_NAME": ("postponed", SendRefusal.INVALID),
}


def test_every_status_that_ses_knows_is_mapped(ses: SesService) -> None:
    known = set(ses.client.meta.service_model.shape_for("BulkEmailStatus").enum)
    of_the_page = {"INVALID_PARAMETER_VALUE", "CONFIGURATION_SET_DOES_NOT_EXIST", "TEMPLATE_DOES_NOT_EXIST"}
    assert known | of_the_page == set(STATUSES) == set(MEANINGS)


@pytest.mark.parametrize("status", sorted(MEANINGS))
def test_a_status_means_what_it_says_for_its_own_email(ses: SesService, status: str) -> None:
    ses.answer = lambda _: ["SUCCESS", status, "SUCCESS"]
    first, second, third = sender(ses).send(SENDER, emails(3))
    assert first.delivery is third.delivery is DeliveryOutcome.ACCEPTED
    assert (second.delivery, second.refusal) == MEANINGS[status]
    assert second.reason == ("" if status == "SUCCESS" else status)


@pytest.mark.parametrize("status", ["INVALID_PARAMETER", "MESSAGE_REJECTED"])
def test_a_whole_batch_refused_for_what_it_holds_is_our_mistake(ses: SesService, status: str) -> None:
    ses.answer = lambda entries: [status] * len(entries)
    with pytest.raises(SendRefused) as refused:
        sender(ses).send(SENDER, emails(3))
    assert (refused.value.refusal, refused.value.about_emails) == (SendRefusal.INVALID, True)


def test_an_invalid_email_by_itself_is_our_mistake_and_a_virus_is_not(ses: SesService) -> None:
    ses.answer = lambda _: ["INVALID_PARAMETER"]
    with pytest.raises(SendRefused):
        sender(ses).send(SENDER, emails(1))
    ses.answer = lambda _: ["MESSAGE_REJECTED"]
    assert sender(ses).send(SENDER, emails(1))[0].delivery is DeliveryOutcome.REJECTED


def test_nobody_is_refused_for_good_by_a_call_that_took_nobody(ses: SesService) -> None:
    ses.answer = lambda _: ["INVALID_PARAMETER", "ACCOUNT_THROTTLED"]
    results = sender(ses).send(SENDER, emails(2))
    assert [result.delivery for result in results] == ["postponed", "postponed"]


ERRORS = {
    "TooManyRequestsException": SendRefusal.RETRY,
    "LimitExceededException": SendRefusal.RETRY,
    "AccountSuspendedException": SendRefusal.PAUSED,
    "SendingPausedException": SendRefusal.PAUSED,
    "MailFromDomainNotVerifiedException": SendRefusal.INVALID,
    "NotFoundException": SendRefusal.INVALID,
    "BadRequestException": SendRefusal.INVALID,
    "MessageRejected": SendRefusal.INVALID,
}


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_documented_error_of_the_call_is_mapped(ses: SesService, code: str) -> None:
    operation = ses.client.meta.service_model.operation_model("SendBulkEmail")
    assert {shape.name for shape in operation.error_shapes} == set(ERRORS)
    ses.answer = refuse(code)
    with pytest.raises(SendRefused) as refused:
        sender(ses).send(SENDER, emails(2))
    assert refused.value.refusal is ERRORS[code]
    assert refused.value.reason == code


def test_an_outage_leaves_the_outcome_unknown(ses: SesService) -> None:
    ses.answer = refuse("InternalFailure", 500)
    with pytest.raises(OutcomeUnknown):
        sender(ses).send(SENDER, emails(2))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConnectTimeoutError(endpoint_url="https://ses"), SendRefused),
        (EndpointConnectionError(endpoint_url="https://ses"), SendRefused),
        (ProxyConnectionError(proxy_url="https://proxy"), SendRefused),
        (NoCredentialsError(), SendRefused),
        (ConnectionClosedError(endpoint_url="https://ses"), OutcomeUnknown),
        (ReadTimeoutError(endpoint_url="https://ses"), OutcomeUnknown),
    ],
)
def test_a_call_that_was_never_made_is_known_not_to_be_taken(
    ses: SesService, error: Exception, raised: type[Exception]
) -> None:
    def fail(_: list[dict[str, Any]]) -> list[str]:
        raise error

    ses.answer = fail
    with pytest.raises(raised):
        sender(ses).send(SENDER, emails(2))


def test_an_email_that_the_sdk_itself_refuses_is_set_apart_from_the_others(ses: SesService) -> None:
    def fail(entries: list[dict[str, Any]]) -> list[str]:
        if any("s3@" in json.dumps(entry) for entry in entries):
            raise ParamValidationError(report="Unknown parameter")
        return ["SUCCESS"] * len(entries)

    ses.answer = fail
    results = sender(ses).send(SENDER, emails(5))
    accepted = [DeliveryOutcome.ACCEPTED if number != 3 else DeliveryOutcome.REJECTED for number in range(5)]
    assert [result.delivery for result in results] == accepted


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


@pytest.mark.parametrize("bad", [{0}, {49}, {3, 30}, {0, 1, 2}, {10, 20, 30, 40}])
def test_a_call_refused_for_some_emails_is_made_for_the_others(ses: SesService, bad: set[int]) -> None:
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
    refused = {number for number, result in enumerate(results) if result.delivery is DeliveryOutcome.REJECTED}
    taken = [number for number, result in enumerate(results) if result.delivery is DeliveryOutcome.ACCEPTED]
    assert sorted(accepted) == sorted(f"s{number}@example.com" for number in taken)
    assert refused <= bad
    # Emails beyond the calls are not lost: they come later.
    assert len(taken) + len(refused) == 50 or results[-1].delivery is DeliveryOutcome.POSTPONED
    if len(bad) < 3:
        assert (refused, len(taken)) == (bad, 50 - len(bad))


def test_a_throttle_among_the_halves_keeps_the_receipts_of_those_sent(ses: SesService) -> None:
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
def test_an_email_that_cannot_be_written_is_deferred_alone(ses: SesService, spoiled: dict[str, Any]) -> None:
    good, bad = emails(1)[0], {"mailbox": "bad@example.com", "email": Email("s", "t", "h"), **spoiled}
    results = sender(ses).send(SENDER, [good, OutgoingEmail(**bad), good])
    assert [result.delivery for result in results] == ["accepted", "deferred", "accepted"]
    assert len(ses.requests[0]["BulkEmailEntries"]) == 2
    with pytest.raises(SendRefused) as refused:
        sender(ses).send(SENDER, [OutgoingEmail(**bad)] * 2)
    assert refused.value.refusal is SendRefusal.INVALID


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


def test_headers_at_the_limits_of_ses_pass(ses: SesService) -> None:
    headers = {f"X-{number}": "x" for number in range(14)} | {"Y": "x" * 995}
    check_headers(headers)
    (email,) = emails(1)
    sender(ses).send(SENDER, [OutgoingEmail(email.mailbox, email.email, headers)])


def test_a_throttled_account_says_later_and_any_other_error_is_raised(ses: SesService) -> None:
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
