"""Emails as they travel: folded headers, whole links, nothing decoded that was typed."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.email import Email, OutgoingEmail
from chalicelib.mail.headers import (
    HeaderRefused,
    Mailbox,
    check_headers,
    check_recipient,
    machine_line,
    mailbox_line,
    parse_mailbox,
    text_line,
)
from chalicelib.mail.smtp import message_of

SENDER = "Heron & Daughters <hello@heron.example>"
SENT_AT = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
FRENCH = (
    "De nouveau disponible : l’écharpe en laine mérinos « Forêt d’été », édition limitée numérotée, "
    "tissée à la main près d’Évreux"
)
JAPANESE = (
    "入荷のお知らせ：メリノウールの大判スカーフ（深緑・限定版）が再入荷いたしました。お早めにご注文ください"
)
EMOJI = "👩‍👩‍👧‍👦🧥☔ " * 12 + "!"
LONG_NAME = "Bücherei und Café am Alten Fischmarkt – Müller, Großmann & Söhne (seit 1887), Abteilung Übersee"


def written(
    subject: str = "It is back", sender: str = SENDER, reply_to: str | None = None, **headers: str
) -> tuple[bytes, EmailMessage]:
    outgoing = OutgoingEmail(
        "ada@example.com",
        Email(subject, "Text.\n", "<p>Text.</p>\n"),
        {name.replace("_", "-"): value for name, value in headers.items()},
        reply_to=reply_to,
    )
    raw = message_of(sender, outgoing, message_id="m1@heron.example", sent_at=SENT_AT)
    return raw, message_from_bytes(raw, policy=policy.default)


def head_lines(raw: bytes) -> list[str]:
    return raw.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")


def unfolded(raw: bytes, name: str) -> str:
    """A header as RFC 5322 unfolds it, its encoded words decoded one by one."""
    text = raw.partition(b"\r\n\r\n")[0].decode("ascii").replace("\r\n ", " ")
    (value,) = re.findall(rf"^{name}: (.*?)\r?$", text, re.MULTILINE)
    return str(make_header(decode_header(value)))


def held_to_the_rules(raw: bytes) -> None:
    for line in head_lines(raw):
        words = re.findall(r"=\?[^?]+\?[bq]\?[^?]*\?=", line)
        assert all(len(word) <= 75 for word in words), line
        # RFC 2047, 2: a line with an encoded word has at most 76 characters.
        assert len(line) <= (76 if words else 78), line
        for word in words:
            # Each holds whole characters.
            assert "�" not in str(make_header(decode_header(word)))


@pytest.mark.parametrize("subject", [FRENCH, JAPANESE, EMOJI, "Short", "a " * 200 + "b", "x" * 2000])
def test_a_long_subject_is_folded_and_reads_as_it_was_written(subject: str) -> None:
    raw, read = written(subject)
    held_to_the_rules(raw)
    assert read["Subject"] == subject
    assert unfolded(raw, "Subject") == subject


@settings(max_examples=60)
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=120))
def test_any_subject_is_folded_and_reads_as_it_was_written(subject: str) -> None:
    raw, _ = written(subject)
    held_to_the_rules(raw)
    assert unfolded(raw, "Subject") == subject


@pytest.mark.parametrize("name", [LONG_NAME, 'Heron, Ada "Quay" & Co.', "Short", JAPANESE, "N" * 200])
@pytest.mark.parametrize("header", ["From", "Reply-To"])
def test_a_long_name_is_folded_and_the_address_stays_whole(name: str, header: str) -> None:
    escaped = name.replace('"', '\\"')
    mailbox = f'"{escaped}" <hello@heron.example>'
    raw, read = written(sender=mailbox) if header == "From" else written(reply_to=mailbox)
    held_to_the_rules(raw)
    (address,) = read[header].addresses
    assert address.addr_spec == "hello@heron.example"
    # Read with the functions that heed RFC 2047, 6.2: no space is left between encoded words.
    assert unfolded(raw, header).rpartition(" <")[0].strip('"').replace('\\"', '"') == name


@pytest.mark.parametrize("length", [20, 200, 900])
def test_a_link_to_leave_stays_on_one_line_whatever_its_length(length: int) -> None:
    link = f"<https://www.heron.example/api/unsubscribe?token={'t' * length}>"
    raw, read = written(List_Unsubscribe=link, List_Unsubscribe_Post="List-Unsubscribe=One-Click")
    assert f"List-Unsubscribe: {link}" in head_lines(raw)
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head_lines(raw)
    assert read["List-Unsubscribe"] == link


def test_two_ways_to_leave_are_folded_between_them() -> None:
    mail, link = "<mailto:leave@heron.example>", f"<https://www.heron.example/{'t' * 60}>"
    raw, _ = written(List_Unsubscribe=f"{mail}, {link}")
    at = head_lines(raw).index(f"List-Unsubscribe: {mail},")
    assert head_lines(raw)[at + 1] == f" {link}"


@pytest.mark.parametrize("subject", ["=?utf-8?q?not_decoded?=", " spaces  kept ", "=?"])
def test_a_subject_that_looks_encoded_reads_as_it_was_typed(subject: str) -> None:
    raw, _ = written(subject)
    assert unfolded(raw, "Subject") == subject


@pytest.mark.parametrize(
    "subject", ["two\nlines", "tab\there", "nul\0", "half \ud83d", "line\u2028separator"]
)
def test_a_subject_that_no_header_can_hold_is_refused(subject: str) -> None:
    with pytest.raises(HeaderRefused):
        written(subject)


def test_a_recipient_is_never_decoded() -> None:
    outgoing = OutgoingEmail("ada@example.com", Email("s", "t\n", "h\n"))
    message_of(SENDER, outgoing, message_id="m", sent_at=SENT_AT)
    for mailbox in (
        "=?utf-8?q?a=40b.example=3e?=@example.com",
        "=?utf-8?q?a=0ab?=@example.com",
        "é@x.example",
    ):
        with pytest.raises(HeaderRefused):
            message_of(SENDER, replace(outgoing, mailbox=mailbox), message_id="m", sent_at=SENT_AT)


def test_a_body_travels_in_seven_bits() -> None:
    outgoing = OutgoingEmail("ada@example.com", Email("s", "Écharpe ☔\n", "<p>Écharpe ☔</p>\n"))
    raw = message_of(SENDER, outgoing, message_id="m", sent_at=SENT_AT)
    assert raw.isascii()
    text, html = message_from_bytes(raw, policy=policy.default).iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert (text.get_content().strip(), html.get_content().strip()) == ("Écharpe ☔", "<p>Écharpe ☔</p>")


def test_an_international_domain_travels_in_ascii_and_the_local_part_as_typed() -> None:
    assert parse_mailbox("Café <Hallo@BÜCHER.example>").address == "Hallo@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no mailbox",
        "a@b.example, c@d.example",
        "é@b.example",
        "X <a@b.example>\nBcc: c@d.example",
        "X <a@b",
    ],
)
def test_a_text_that_is_not_one_mailbox_is_refused(text: str) -> None:
    with pytest.raises(HeaderRefused):
        parse_mailbox(text)


def test_an_email_is_written_to_the_last_byte() -> None:
    outgoing = OutgoingEmail(
        "ada@example.com",
        Email("It is back", "Text.\n", "<p>Text.</p>\n"),
        {"Auto-Submitted": "auto-generated", "X-Two": "two"},
        reply_to="Help <help@heron.example>",
    )
    raw = message_of(SENDER, outgoing, message_id="m1@heron.example", sent_at=SENT_AT)
    assert head_lines(raw) == [
        "From: Heron & Daughters <hello@heron.example>",
        "To: ada@example.com",
        "Subject: It is back",
        "Date: Fri, 27 Nov 2026 09:00:00 +0000",
        "Message-ID: <m1@heron.example>",
        "Reply-To: Help <help@heron.example>",
        "Auto-Submitted: auto-generated",
        "X-Two: two",
        *head_lines(raw)[8:],
    ]
    own = [line.partition(":")[0] for line in head_lines(raw)[8:] if not line.startswith(" ")]
    assert own == ["MIME-Version", "Content-Type"]
    text, html = message_from_bytes(raw, policy=policy.default).iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert b"Reply-To" not in written()[0]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({f"X-{number}": "x" for number in range(16)}, "at most 15 headers, each name once"),
        ({"X-A": "x", "x-a": "y"}, "at most 15 headers, each name once"),
        ({"Reply-TO": "x"}, "Reply-TO: set by the transport, never by hand"),
        ({"X-" + "A" * 125: "x"}, "a header's name is 1 to 126 printable ASCII characters"),
        ({"": "x"}, "a header's name is 1 to 126 printable ASCII characters"),
        ({"X A": "x"}, "a header's name is 1 to 126 printable ASCII characters"),
        ({"X-A": ""}, "X-A: 1 to 995 printable ASCII characters"),
        ({"X": "x" * 996}, "X: 1 to 995 printable ASCII characters"),
        ({"X-A": "é"}, "X-A: 1 to 995 printable ASCII characters"),
        ({"XY": "x" * 995}, "XY: name and value over 996 characters"),
    ],
)
def test_a_refused_header_is_named_with_its_limit(headers: dict[str, str], words: str) -> None:
    with pytest.raises(HeaderRefused) as refused:
        check_headers(headers)
    assert str(refused.value) == words


def test_headers_just_within_their_limits_pass() -> None:
    check_headers({f"X-{number}": "x" for number in range(15)})
    check_headers({"X-" + "A" * 124: "x" * 870})
    check_headers({"X": "x" * 995})
    # Every one that follows a good one is looked at.
    with pytest.raises(HeaderRefused, match="X-B"):
        check_headers({"X-A": "x", "X-B": "é"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a@b.example\n", "a mailbox holds no line breaks and no control characters"),
        ("a@b.example, c@d.example", "expected one mailbox: Shop Name <hello@shop.example>"),
        ("X <é@b.example>", "a mailbox's address: "),
    ],
)
def test_a_refused_mailbox_says_why(text: str, words: str) -> None:
    with pytest.raises(HeaderRefused) as refused:
        parse_mailbox(text)
    said = str(refused.value)
    assert said == words or (words.endswith(": ") and said.startswith(words) and len(said) > len(words) + 5)
    assert "None" not in said


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("é@x.example", "a recipient's address is plain ASCII"),
        ("a\x7f@x.example", "a recipient's address is plain ASCII"),
        *[(f"a{mark}b@x.example", "a recipient's address is plain ASCII") for mark in " ,;<>"],
        ("=?utf-8?q?a?=@x.example", "a recipient's address looks like an encoded word"),
    ],
)
def test_a_refused_recipient_says_why(address: str, words: str) -> None:
    with pytest.raises(HeaderRefused) as refused:
        check_recipient(address)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("mailbox", "encoded"),
    [
        (Mailbox("", "a@b.example"), "a@b.example"),
        (Mailbox("Heron", "a@b.example"), "Heron <a@b.example>"),
        (Mailbox("Heron, Ada", "a@b.example"), '"Heron, Ada" <a@b.example>'),
        (Mailbox("Café", "a@b.example"), "=?utf-8?b?Q2Fmw6k=?= <a@b.example>"),
        (Mailbox("two  spaces", "a@b.example"), "=?utf-8?q?two__spaces?= <a@b.example>"),
        (Mailbox("N" * 75, "a@b.example"), "N" * 75 + " <a@b.example>"),
        # Two encoded words of 76 characters, with one space.
        (Mailbox("N" * 76, "a@b.example"), f"=?utf-8?q?{'N' * 64}?= =?utf-8?q?{'N' * 12}?= <a@b.example>"),
    ],
)
def test_a_mailbox_is_encoded_on_one_line(mailbox: Mailbox, encoded: str) -> None:
    assert mailbox.encoded == encoded


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        (text_line("Subject", "Short one"), "Subject: Short one\r\n"),
        # 78 characters stay on a line; the word that makes 79 begins the next.
        (text_line("Subject", "a" * 60 + " " + "b" * 8), f"Subject: {'a' * 60} {'b' * 8}\r\n"),
        (text_line("Subject", "a" * 60 + " " + "b" * 9), f"Subject: {'a' * 60}\r\n {'b' * 9}\r\n"),
        (text_line("Subject", "a" * 77), f"Subject: {'a' * 77}\r\n"),
        (text_line("Subject", "Écharpe"), "Subject: =?utf-8?q?=C3=89charpe?=\r\n"),
        (mailbox_line("To", Mailbox("", "a@b.example")), "To: a@b.example\r\n"),
        (mailbox_line("To", Mailbox("A", "a@b.example")), "To: A <a@b.example>\r\n"),
        # 76 characters, for a line may hold an encoded word.
        (
            mailbox_line("To", Mailbox("N" * 58, "a@b.example")),
            f"To: {'N' * 58} <a@b.example>\r\n",
        ),
        (
            mailbox_line("To", Mailbox("N" * 59, "a@b.example")),
            f"To: {'N' * 59}\r\n <a@b.example>\r\n",
        ),
        (machine_line("X", "a, b c"), "X: a, b c\r\n"),
        (machine_line("X", "a" * 70 + ", " + "b" * 4 + ", c"), f"X: {'a' * 70},\r\n {'b' * 4}, c\r\n"),
        (machine_line("X", "a" * 995), f"X: {'a' * 995}\r\n"),
    ],
)
def test_a_header_is_folded_where_its_line_is_full(line: str, folded: str) -> None:
    assert line == folded


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda: text_line("Subject", "two\nlines"), "Subject: no line breaks and no control characters"),
        (lambda: machine_line("X", "a" * 996), "a line of a header has at most 998 characters"),
    ],
)
def test_a_header_that_cannot_be_written_says_why(write: Callable[[], str], words: str) -> None:
    with pytest.raises(HeaderRefused) as refused:
        write()
    assert str(refused.value) == words


def test_words_of_78_characters_are_encoded() -> None:
    line = text_line("Subject", "a" * 78)
    assert line.startswith("Subject: =?utf-8?q?aaa")
    assert all(len(part) <= 76 for part in line.split("\r\n"))
    # Room for the header's name is left on the first line of a name, too.
    first = mailbox_line("Reply-To", Mailbox("é" * 80, "a@b.example")).split("\r\n")[0]
    assert first.startswith("Reply-To: =?utf-8?b?")
    assert 70 <= len(first) <= 76
