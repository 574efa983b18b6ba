"""The inbox passes SES calls on unchanged, keeps what SES accepts, and shows it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from spillway.local_cloud.inbox_emails import InboxFolder
from spillway.local_cloud.web_apps import Relay, inbox

SENT_AT = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)
BULK = "/v2/email/outbound-bulk-emails"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=x", "Host": "127.0.0.1:8001"}
HTML = "<html><head></head><body><a href='https://shop.example/'>Shop</a></body></html>"


@dataclass
class FakeSes(httpx.AsyncBaseTransport):
    """Answers as a test sets, and keeps the requests."""

    status: int = 200
    answer: dict[str, Any] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        return httpx.Response(self.status, json=self.answer, headers={"x-amzn-requestid": "42"})


@dataclass
class Desk:
    """The inbox in front of a fake SES."""

    ses: FakeSes
    mailbox: InboxFolder

    async def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        app = inbox(self.mailbox, Relay("http://ses.test", self.ses), "http://shop.test", lambda: SENT_AT)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://inbox.test"
        ) as client:
            return await client.request(method, path, **request)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(FakeSes(), InboxFolder(tmp_path / "inbox"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


def bulk(*mailboxes: str, subject: str = "Back") -> str:
    data = json.dumps({"subject": subject, "text": "It is back", "html": HTML})
    content = {"ReplacementTemplate": {"ReplacementTemplateData": data}}
    template = {"TemplateContent": {"Subject": "{{subject}}", "Text": "{{text}}", "Html": "{{html}}"}}
    return json.dumps(
        {
            "FromEmailAddress": "post@shop.example",
            "DefaultContent": {"Template": template},
            "BulkEmailEntries": [
                {
                    "Destination": {"ToAddresses": [mailbox]},
                    "ReplacementEmailContent": content,
                    "ReplacementHeaders": [{"Name": "List-Unsubscribe", "Value": "<https://shop.example/u>"}],
                }
                for mailbox in mailboxes
            ],
        }
    )


def accepted(*message_ids: str | None) -> dict[str, Any]:
    return {
        "BulkEmailEntryResults": [
            {"Status": "SUCCESS", "MessageId": id_} if id_ else {"Status": "MESSAGE_REJECTED"}
            for id_ in message_ids
        ]
    }


async def test_a_call_reaches_ses_byte_for_byte_under_the_host_it_was_signed_for(desk: Desk) -> None:
    desk.ses.answer = accepted("1@ses")
    body = bulk("ada@example.com")
    await desk.ask("POST", BULK, content=body, headers=SIGNED)
    (sent,) = desk.ses.requests
    assert (sent.url.path, sent.content.decode()) == (BULK, body)
    assert (sent.headers["host"], sent.headers["authorization"]) == (SIGNED["Host"], SIGNED["Authorization"])


async def test_an_accepted_email_is_stored_with_its_headers(desk: Desk) -> None:
    desk.ses.answer = accepted("1@ses")
    answer = await desk.ask("POST", BULK, content=bulk("ada@example.com"))
    assert (answer.status_code, answer.json(), answer.headers["x-amzn-requestid"]) == (
        200,
        desk.ses.answer,
        "42",
    )
    email = (await desk.ask("GET", "/emails/1.json")).json()
    assert ["List-Unsubscribe", "<https://shop.example/u>"] in email["headers"]
    assert ["Message-ID", "<1@ses>"] in email["headers"]


async def test_an_entry_that_ses_rejects_is_not_kept_and_its_neighbours_are(desk: Desk) -> None:
    desk.ses.answer = accepted("1@ses", None, "3@ses")
    await desk.ask("POST", BULK, content=bulk("ada@example.com", "bad@example.com", "cleo@example.com"))
    listed = (await desk.ask("GET", "/emails.json")).json()
    assert [item["recipient"] for item in listed] == ["cleo@example.com", "ada@example.com"]


async def test_a_call_that_ses_refuses_keeps_nothing_and_the_refusal_comes_back(desk: Desk) -> None:
    desk.ses.status, desk.ses.answer = 400, {"message": "Email address is not verified."}
    answer = await desk.ask("POST", BULK, content=bulk("ada@example.com"))
    assert (answer.status_code, answer.json()) == (400, desk.ses.answer)
    assert desk.mailbox.emails() == ()


async def test_an_email_that_could_not_travel_never_reaches_ses(desk: Desk) -> None:
    answer = await desk.ask(
        "POST", BULK, content=bulk("ada@example.com", subject="Back\r\nBcc: eve@example.com")
    )
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "BadRequestException")
    assert desk.ses.requests == []


async def test_any_other_ses_call_is_passed_on(desk: Desk) -> None:
    desk.ses.answer = {"SendQuota": {}}
    answer = await desk.ask("GET", "/v2/email/account")
    assert answer.json() == desk.ses.answer


async def test_the_list_escapes_what_a_subject_says(desk: Desk) -> None:
    desk.ses.answer = accepted("1@ses")
    await desk.ask("POST", BULK, content=bulk("ada@example.com", subject="<script>alert(1)</script>"))
    page = (await desk.ask("GET", "/")).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


async def test_an_email_is_shown_in_a_sandbox_that_lets_its_links_open(desk: Desk) -> None:
    desk.ses.answer = accepted("1@ses")
    await desk.ask("POST", BULK, content=bulk("ada@example.com"))
    body = await desk.ask("GET", "/emails/1/body.html")
    policy = body.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox" in policy
    assert '<base target="_blank">' in body.text
    page = (await desk.ask("GET", "/emails/1")).text
    # The frame's origin lets the page measure it; without scripts it is of no other use.
    assert 'sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"' in page
    assert '<script src="/fit.js" defer>' in page
    assert "offsetHeight" in (await desk.ask("GET", "/fit.js")).text
    assert "allow-scripts" not in page + policy


async def test_an_email_can_be_taken_away_as_a_file(desk: Desk) -> None:
    desk.ses.answer = accepted("1@ses")
    await desk.ask("POST", BULK, content=bulk("ada@example.com"))
    answer = await desk.ask("GET", "/emails/1.eml")
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.content == desk.mailbox.file(1).read_bytes()


@pytest.mark.parametrize("path", ["/emails/7", "/emails/7.json", "/emails/7.eml", "/emails/7/body.html"])
async def test_an_email_that_never_came_is_not_found(desk: Desk, path: str) -> None:
    assert (await desk.ask("GET", path)).status_code == 404
