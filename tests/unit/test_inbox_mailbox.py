"""The mailbox keeps emails as numbered files."""

from datetime import UTC, datetime
from pathlib import Path

from spillway.local_cloud.inbox_emails import InboxEmail, InboxFolder

SENT_AT = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)
LONG_LINK = "<https://shop.example/api/unsubscribe?token=" + "t" * 400 + ">"


def keep(mailbox: InboxFolder, subject: str, **changes: object) -> int:
    fields = {"text": "It is back", "html": "", "headers": ()} | changes
    email = InboxEmail("post@shop.example", "ada@example.com", subject, **fields)
    return mailbox.keep(email.to_bytes(message_id="1@ses", sent_at=SENT_AT))


def test_emails_are_numbered_in_order_and_listed_newest_first(tmp_path: Path) -> None:
    mailbox = InboxFolder(tmp_path / "inbox")
    assert [keep(mailbox, subject) for subject in ("first", "second")] == [1, 2]
    assert [(email.number, email.subject) for email in mailbox.emails()] == [(2, "second"), (1, "first")]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    keep(InboxFolder(tmp_path), "first")
    assert keep(InboxFolder(tmp_path), "second") == 2


def test_a_long_link_in_a_header_is_kept_email_by_email(tmp_path: Path) -> None:
    mailbox = InboxFolder(tmp_path)
    keep(mailbox, "first", headers=(("List-Unsubscribe", LONG_LINK),))
    assert f"List-Unsubscribe: {LONG_LINK}\r\n" in mailbox.file(1).read_bytes().decode()
    email = mailbox.email(1)
    assert email is not None
    assert dict(email.headers)["List-Unsubscribe"] == LONG_LINK


def test_an_email_comes_out_as_it_went_in(tmp_path: Path) -> None:
    mailbox = InboxFolder(tmp_path)
    keep(mailbox, "Zurück", text="Grüezi,\nes ist da\n", html="<p>Grüezi</p>\n")
    email = mailbox.email(1)
    assert email is not None
    assert (email.outgoing.subject, email.outgoing.sent_at) == ("Zurück", SENT_AT)
    assert email.text.splitlines() == ["Grüezi,", "es ist da"]
    assert email.html.strip() == "<p>Grüezi</p>"


def test_an_unfinished_email_is_not_listed(tmp_path: Path) -> None:
    mailbox = InboxFolder(tmp_path)
    (tmp_path / "draft").write_bytes(b"From: post")
    assert mailbox.emails() == ()
    assert mailbox.email(1) is None
