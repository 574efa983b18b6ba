"""The SES adapter: whole requests and whole results."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.mail.ses import CALLS_MAX, SesAccount, SesSender
from chalicelib.queues import Alarm
from tests.support.ses_service import (
    SENDER,
    address,
    emails,
)


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


UNVERIFIED = "Email address is not verified. The following identities failed the check in region EU-WEST-1"


def error(code: str, status: int | None = 400, message: str = "words") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}}
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
        SendResult(DeliveryOutcome.ACCEPTED, message_id="m-ada"),
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
        ({"Status": "SUCCESS", "MessageId": "m"}, SendResult(DeliveryOutcome.ACCEPTED, message_id="m")),
        ({"Status": "SUCCESS"}, SendResult(DeliveryOutcome.ACCEPTED)),
        ({}, SendResult(DeliveryOutcome.DEFERRED, reason="FAILED")),
        (
            {"Status": "ADDED_LATER", "MessageId": "m"},
            SendResult(DeliveryOutcome.DEFERRED, reason="ADDED_LATER"),
        ),
        (
            {"Status": "ACCOUNT_SENDING_PAUSED", "Error": "words"},
            SendResult(
                DeliveryOutcome.POSTPONED, reason="ACCOUNT_SENDING_PAUSED", refusal=SendRefusal.PAUSED
            ),
        ),
        ({"Status": "MESSAGE_REJECTED"}, SendResult(DeliveryOutcome.REJECTED, reason="MESSAGE_REJECTED")),
        (
            {"Status": "MESSAGE_REJECTED", "Error": f"{UNVERIFIED}: a@b.example"},
            SendResult(DeliveryOutcome.POSTPONED, reason="MESSAGE_REJECTED", refusal=SendRefusal.INVALID),
        ),
    ],
)
def test_each_result_is_one_whole_receipt(entry: dict[str, str], result: SendResult) -> None:
    client = Answering(lambda names: [*taken(names[:1]), entry])
    first = SendResult(DeliveryOutcome.ACCEPTED, message_id="m-s0")
    assert sent_by(client, 2) == (first, result)
    missing = SendResult(DeliveryOutcome.UNKNOWN, reason="no result")
    assert sent_by(client, 4) == (first, result, missing, missing)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ConnectTimeoutError(endpoint_url="x"), ("ConnectTimeoutError", SendRefusal.RETRY, False)),
        (EndpointConnectionError(endpoint_url="x"), ("EndpointConnectionError", SendRefusal.RETRY, False)),
        (ReadTimeoutError(endpoint_url="x"), ("ReadTimeoutError",)),
        (BotoCoreError(), ("BotoCoreError",)),
        (error("InternalFailure", 500), ("InternalFailure",)),
        (error("NotFoundException", 499), ("NotFoundException", SendRefusal.INVALID, False)),
        (error("AccessDeniedException", None), ("AccessDeniedException", SendRefusal.INVALID, False)),
        (error("SendingPausedException"), ("SendingPausedException", SendRefusal.PAUSED, False)),
        (error("ValidationException"), ("ValidationException", SendRefusal.INVALID, True)),
        (error("MessageRejected", message=UNVERIFIED), ("MessageRejected", SendRefusal.INVALID, False)),
        (error("AddedLater"), ("AddedLater", SendRefusal.RETRY, False)),
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


BAD = SendResult(DeliveryOutcome.REJECTED, reason="BadRequestException")


def good(number: int) -> SendResult:
    return SendResult(DeliveryOutcome.ACCEPTED, message_id=f"m-s{number}")


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
            SendResult(DeliveryOutcome.POSTPONED, reason="TooManyRequestsException"),
        ),
        (
            error("SendingPausedException"),
            SendResult(
                DeliveryOutcome.POSTPONED, reason="SendingPausedException", refusal=SendRefusal.PAUSED
            ),
        ),
        (ReadTimeoutError(endpoint_url="x"), SendResult(DeliveryOutcome.DEFERRED, reason="ReadTimeoutError")),
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
    assert (refused.value.reason, refused.value.refusal) == ("TooManyRequestsException", SendRefusal.RETRY)
    assert client.calls == [["s0", "s1"], ["s0"]]


def test_a_half_of_unknown_outcome_does_not_count_as_sent() -> None:
    def answer(names: list[str]) -> Any:
        if len(names) == 2:
            return error("BadRequestException")
        return ReadTimeoutError(endpoint_url="x") if names == ["s0"] else error("BadRequestException")

    assert sent_by(Answering(answer), 2) == (
        SendResult(DeliveryOutcome.DEFERRED, reason="ReadTimeoutError"),
        BAD,
    )


def test_a_batch_that_is_refused_to_the_end_takes_so_many_calls_and_is_our_mistake() -> None:
    client = Answering(lambda _: error("BadRequestException"))
    with pytest.raises(SendRefused) as refused:
        sent_by(client, 50)
    assert (refused.value.reason, refused.value.refusal, refused.value.about_emails) == (
        "BadRequestException",
        SendRefusal.INVALID,
        True,
    )
    assert len(client.calls) == CALLS_MAX == 24


def test_where_the_calls_end_the_rest_comes_later_once_something_was_sent() -> None:
    bad = {f"s{number}" for number in range(1, 50, 2)}
    client = Answering(lambda names: error("BadRequestException") if bad & set(names) else taken(names))
    results = sent_by(client, 50)
    assert len(client.calls) == CALLS_MAX
    later = SendResult(DeliveryOutcome.POSTPONED, reason="BadRequestException")
    reached = results.index(later)
    assert results[:reached] == tuple(BAD if f"s{n}" in bad else good(n) for n in range(reached))
    assert results[reached:] == (later,) * (50 - reached)
    assert reached > 5


def statuses(*each: str) -> Answering:
    return Answering(lambda _: [{"Status": status, "MessageId": "m"} for status in each])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("MESSAGE_REJECTED",), (SendResult(DeliveryOutcome.REJECTED, reason="MESSAGE_REJECTED"),)),
        (
            ("FAILED", "INVALID_PARAMETER"),
            (
                SendResult(DeliveryOutcome.DEFERRED, reason="FAILED"),
                SendResult(DeliveryOutcome.REJECTED, reason="INVALID_PARAMETER"),
            ),
        ),
        (
            ("FAILED", "INVALID_PARAMETER", "ACCOUNT_SUSPENDED"),
            (
                SendResult(DeliveryOutcome.DEFERRED, reason="FAILED"),
                *[
                    SendResult(
                        DeliveryOutcome.POSTPONED, reason="ACCOUNT_SUSPENDED", refusal=SendRefusal.PAUSED
                    )
                ]
                * 2,
            ),
        ),
        (
            ("SUCCESS", "INVALID_PARAMETER", "ACCOUNT_THROTTLED"),
            (
                SendResult(DeliveryOutcome.ACCEPTED, message_id="m"),
                SendResult(DeliveryOutcome.REJECTED, reason="INVALID_PARAMETER"),
                SendResult(DeliveryOutcome.POSTPONED, reason="ACCOUNT_THROTTLED"),
            ),
        ),
    ],
)
def test_the_cause_of_a_refused_batch_is_found(
    given: tuple[str, ...], expected: tuple[SendResult, ...]
) -> None:
    assert sent_by(statuses(*given), len(given)) == expected


@pytest.mark.parametrize("given", [("INVALID_PARAMETER",), ("MESSAGE_REJECTED", "INVALID_PARAMETER")])
def test_a_batch_of_which_nothing_was_right_is_refused_for_what_it_holds(given: tuple[str, ...]) -> None:
    with pytest.raises(SendRefused) as refused:
        sent_by(statuses(*given), len(given))
    assert (refused.value.reason, refused.value.refusal, refused.value.about_emails) == (
        given[0],
        SendRefusal.INVALID,
        True,
    )


def test_an_email_that_cannot_be_written_has_a_receipt_that_says_so_and_its_batch_goes() -> None:
    client: Any = Answering(taken)
    good_one = emails(1)[0]
    bad = OutgoingEmail("é@example.com", good_one.email)
    box = SesSender(client, "emails")
    unwritten = SendResult(DeliveryOutcome.DEFERRED, reason="not written: HeaderRefused")
    assert box.send(SENDER, [bad, good_one, bad]) == (unwritten, good(0), unwritten)
    assert client.calls == [["s0"]]
    with pytest.raises(SendRefused) as refused:
        box.send(SENDER, [bad])
    assert (refused.value.reason, refused.value.about_emails) == (unwritten.reason, True)
    assert client.calls == [["s0"]]


@pytest.mark.parametrize(
    ("quota", "more", "limits"),
    [
        ((200.0, 14.0, 50.5), {}, SendingLimits(14.0, 149, sending_enabled=True)),
        ((200.0, 14.0, 200.0), {"SendingEnabled": True}, SendingLimits(14.0, 0)),
        ((0.0, 1.0, 0.0), {}, SendingLimits(1.0, 0)),
        ((-1.0, 90.0, 1.0), {"SendingEnabled": False}, SendingLimits(90.0, UNLIMITED, sending_enabled=False)),
    ],
)
def test_an_accounts_limits_are_what_is_left_of_its_quota(
    quota: tuple[float, float, float], more: dict[str, bool], limits: SendingLimits
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
