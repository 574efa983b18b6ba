"""Emails are taken out of calls to SES as the people they are for would receive them."""

import base64
import json
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from spillway.local_cloud.inbox_emails import InboxEmail, emails_of_bulk, emails_of_send

SENT_AT = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


def bulk_call(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "FromEmailAddress": "Fieldnotes <post@shop.example>",
        "DefaultContent": {
            "Template": {
                "TemplateContent": {
                    "Subject": "{{subject}}",
                    "Text": "{{ text }}",
                    "Html": "<p>{{text}}</p>",
                },
                "TemplateData": json.dumps({"subject": "default", "text": "default"}),
                "Headers": [{"Name": "X-Shop", "Value": "{{subject}}"}, {"Name": "X-Kind", "Value": "all"}],
            }
        },
        "BulkEmailEntries": list(entries),
    }


def bulk_entry(mailbox: str, **changes: Any) -> dict[str, Any]:
    data = {"subject": f"For {mailbox}", "text": "It is back"}
    return {
        "Destination": {"ToAddresses": [mailbox]},
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": json.dumps(data)}},
    } | changes


def test_a_simple_call_is_one_email_for_each_person_it_names() -> None:
    call = {
        "FromEmailAddress": "post@shop.example",
        "Destination": {"ToAddresses": ["ada@example.com"], "CcAddresses": ["ben@example.com"]},
        "Content": {
            "Simple": {
                "Subject": {"Data": "Back"},
                "Body": {"Text": {"Data": "It is back"}, "Html": {"Data": "<p>It is back</p>"}},
                "Headers": [{"Name": "X-Kind", "Value": "available"}],
            }
        },
    }
    headers = (("X-Kind", "available"),)
    assert emails_of_send(call) == tuple(
        InboxEmail("post@shop.example", mailbox, "Back", "It is back", "<p>It is back</p>", headers)
        for mailbox in ("ada@example.com", "ben@example.com")
    )


def test_each_entry_of_a_bulk_call_is_filled_with_its_own_data() -> None:
    entries = emails_of_bulk(bulk_call(bulk_entry("ada@example.com"), bulk_entry("ben@example.com")))
    (ada,), (ben,) = entries
    assert (ada.recipient, ada.subject, ada.html) == (
        "ada@example.com",
        "For ada@example.com",
        "<p>It is back</p>",
    )
    assert (ben.recipient, ben.subject) == ("ben@example.com", "For ben@example.com")


def test_an_entry_without_data_of_its_own_gets_the_default() -> None:
    ((email,),) = emails_of_bulk(bulk_call({"Destination": {"ToAddresses": ["ada@example.com"]}}))
    assert email.subject == "default"


def test_headers_of_an_entry_replace_those_of_the_template_whatever_their_case() -> None:
    entry = bulk_entry("ada@example.com", ReplacementHeaders=[{"Name": "x-kind", "Value": "one"}])
    ((email,),) = emails_of_bulk(bulk_call(entry))
    assert email.headers == (("X-Shop", "For ada@example.com"), ("x-kind", "one"))


def test_placeholders_inside_values_are_not_filled_in() -> None:
    data = json.dumps({"subject": "{{text}}", "text": "secret"})
    content = {"ReplacementTemplate": {"ReplacementTemplateData": data}}
    ((email,),) = emails_of_bulk(bulk_call(bulk_entry("ada@example.com", ReplacementEmailContent=content)))
    assert email.subject == "{{text}}"


def test_a_raw_email_is_read_with_the_headers_its_sender_chose() -> None:
    raw = EmailMessage()
    raw["From"], raw["To"], raw["Subject"], raw["X-Kind"] = (
        "post@shop.example",
        "ada@example.com",
        "Hi",
        "raw",
    )
    raw.set_content("Hello")
    call = {"Content": {"Raw": {"Data": base64.b64encode(raw.as_bytes()).decode()}}}
    (email,) = emails_of_send(call)
    assert (email.recipient, email.subject, email.text.strip()) == ("ada@example.com", "Hi", "Hello")
    assert email.headers == (("X-Kind", "raw"),)


def test_a_line_break_in_a_header_is_refused() -> None:
    email = InboxEmail("post@shop.example", "ada@example.com", "Hi\r\nBcc: eve@example.com", "text", "")
    with pytest.raises(ValueError, match="may not contain linefeed or carriage return"):
        email.to_bytes(message_id="1@ses", sent_at=SENT_AT)


def test_an_email_travels_with_both_parts_and_all_its_headers() -> None:
    email = InboxEmail("post@shop.example", "ada@example.com", "Zurück: Jäckli", "Grüezi", "<p>Grüezi</p>")
    content = email.to_bytes(message_id="1@ses", sent_at=SENT_AT)
    message = message_from_bytes(content, policy=policy.default)
    assert message.get_content_type() == "multipart/alternative"
    assert (message["Subject"], message["Message-ID"]) == ("Zurück: Jäckli", "<1@ses>")
    assert message["Date"].datetime == SENT_AT
