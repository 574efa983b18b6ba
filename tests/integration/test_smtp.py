"""Emails by SMTP, to a real server on this machine, with TLS and signing in."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.stock import Availability
from chalicelib.mail.smtp import SEND_MS_MAX, Security, SmtpSender, SmtpServer
from tests.conftest import free_port
from tests.support.certificate import write_certificate
from tests.support.clock import Clock
from tests.support.memory_shop import MemoryShop

# The server thinks a connection that is TLS from its first byte is none.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
START_S_MAX = 60
IDLE_S_MAX = 60
SENDER = "Heron & Daughters <hello@heron.example>"


class Mailroom:
    """Takes emails in. `answers` says what to answer for a mailbox; `hangs_up_at` ends the connection."""

    def __init__(self) -> None:
        self.emails: list[bytes] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}
        self.hangs_up_at: str | None = None
        self.answer_to_sender = ""
        self.takes: Callable[[], None] = lambda: None

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self, _server: SMTP, _session: Any, outgoing: Any, address: str, _options: Any
    ) -> str:
        if self.answer_to_sender:
            return self.answer_to_sender
        outgoing.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, _session: Any, outgoing: Any, address: str, _options: Any
    ) -> str:
        if address == self.hangs_up_at:
            self.hangs_up_at = None
            assert server.transport is not None
            server.transport.close()
        if address in self.answers:
            return self.answers.pop(address)
        outgoing.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, outgoing: Any) -> str:  # noqa: N802
        self.takes()
        self.emails.append(outgoing.content)
        self.recipients += outgoing.rcpt_tos
        return "250 OK"


class Server(Controller):
    """A server that wants TLS and a password."""

    def __init__(self, mailroom: Mailroom, port: int, tls: ssl.SSLContext, security: Security) -> None:
        self.tls, self.security = tls, security
        context = tls if security is Security.TLS else None
        # A bound for a busy machine, far above the time that a start takes.
        super().__init__(
            mailroom, hostname="127.0.0.1", port=port, ssl_context=context, ready_timeout=START_S_MAX
        )

    def factory(self) -> SMTP:
        starts = self.security is Security.STARTTLS
        return SMTP(
            self.handler,
            hostname="localhost",
            tls_context=self.tls if starts else None,
            require_starttls=starts,
            auth_required=True,
            auth_require_tls=starts,
            authenticator=self._check,
        )

    def stop_when_idle(self) -> None:
        """Stop once every connection has ended: an open one is a ResourceWarning of some later test."""
        asyncio.run_coroutine_threadsafe(self._idle(), self.loop).result(timeout=IDLE_S_MAX)
        self.stop()

    async def _idle(self) -> None:
        assert self.server is not None
        # Wait before `close`: from a closed server `wait_closed` returns at once (Python 3.11).
        idle = asyncio.ensure_future(self.server.wait_closed())
        await asyncio.sleep(0)
        self.server.close()
        await idle

    def _check(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        fits = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shop", b"secret")
        return AuthResult(success=fits, handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, signed by itself."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=list(Security))
def smtp(request: pytest.FixtureRequest, certificate: Path) -> Iterator[tuple[Mailroom, SmtpServer]]:
    """A running server, and how to speak to it; once for each way of making it secret."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    mailroom, port = Mailroom(), free_port()
    server = Server(mailroom, port, tls, request.param)
    server.start()
    try:
        yield mailroom, SmtpServer("127.0.0.1", port, "shop", "secret", request.param)
    finally:
        server.stop_when_idle()


def sender(server: SmtpServer, certificate: Path) -> SmtpSender:
    ids = count(1)
    tls = ssl.create_default_context(cafile=str(certificate))
    return SmtpSender(server, Clock(), lambda: f"id-{next(ids)}", tls)


def outgoing(name: str) -> OutgoingEmail:
    email = Email(f"It is back, {name} ☔", f"Hello {name}.\n", f"<p>Hello {name}.</p>")
    link = f"<https://www.heron.example/api/unsubscribe?token={'t' * 200}>"
    headers = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return OutgoingEmail(f"{name}@example.com", email, headers)


def test_emails_arrive_whole(smtp: tuple[Mailroom, SmtpServer], certificate: Path) -> None:
    mailroom, server = smtp
    results = sender(server, certificate).send(SENDER, [outgoing("ada"), outgoing("bob")])
    assert [result.delivery for result in results] == [DeliveryOutcome.ACCEPTED] * 2
    assert results[0].message_id == "id-1@heron.example"
    assert mailroom.recipients == ["ada@example.com", "bob@example.com"]
    read = message_from_bytes(mailroom.emails[0], policy=policy.default)
    assert read["Subject"] == "It is back, ada ☔"
    assert read["Message-ID"] == "<id-1@heron.example>"
    assert b"token=" + b"t" * 200 + b">" in mailroom.emails[0]
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]


def test_each_email_has_its_own_answer(smtp: tuple[Mailroom, SmtpServer], certificate: Path) -> None:
    mailroom, server = smtp
    mailroom.answers = {"bob@example.com": "550 no such user", "cyd@example.com": "450 try later"}
    names = ("ada", "bob", "cyd", "dan")
    results = sender(server, certificate).send(SENDER, [outgoing(name) for name in names])
    assert [result.delivery for result in results] == ["accepted", "rejected", "deferred", "accepted"]
    assert mailroom.recipients == ["ada@example.com", "dan@example.com"]


def test_a_broken_connection_defers_the_email_under_way_and_the_others_go_on(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    mailroom.hangs_up_at = "bob@example.com"
    results = sender(server, certificate).send(SENDER, [outgoing(name) for name in ("ada", "bob", "cyd")])
    assert [result.delivery for result in results] == ["accepted", "deferred", "accepted"]
    assert mailroom.recipients == ["ada@example.com", "cyd@example.com"]


def test_a_wrong_password_is_for_a_person_to_see(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    _, server = smtp
    wrong = SmtpServer(server.host, server.port, "shop", "guess", server.security)
    with pytest.raises(SendRefused) as refused:
        sender(wrong, certificate).send(SENDER, [outgoing("ada")])
    assert refused.value.refusal is SendRefusal.INVALID


def test_a_certificate_nobody_vouches_for_is_not_trusted(smtp: tuple[Mailroom, SmtpServer]) -> None:
    mailroom, server = smtp
    with pytest.raises(SendRefused) as refused:
        SmtpSender(server, Clock(), lambda: "id").send(SENDER, [outgoing("ada")])
    assert refused.value.refusal is SendRefusal.INVALID
    assert mailroom.emails == []


def test_a_server_that_is_not_there_is_tried_later(certificate: Path) -> None:
    nowhere = SmtpServer("127.0.0.1", free_port(), "shop", "secret")
    with pytest.raises(SendRefused) as refused:
        sender(nowhere, certificate).send(SENDER, [outgoing("ada")])
    assert refused.value.refusal is SendRefusal.RETRY


def test_a_fan_out_by_smtp_notifies_everyone_once(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    clock = Clock()
    shop = MemoryShop(clock)
    names = [f"s{number:03}" for number in range(60)]
    for name in names:
        shop.join(name)
        clock.pass_s(1)
    shop.sender.send = sender(server, certificate).send  # type: ignore[method-assign]
    mailroom.hangs_up_at = "s017@example.com"
    mailroom.answers = {"s030@example.com": "451 greylisted"}
    shop.observe(Availability.IN_STOCK)
    while shop.work(lambda message, error: pytest.fail(f"{message}: {error}")):
        pass
    assert sorted(mailroom.recipients) == [f"{name}@example.com" for name in names]


def test_a_secret_says_how_to_speak_to_the_server() -> None:
    text = '{"host": "h", "port": 587, "username": "u", "password": "p", "security": "starttls"}'
    assert SmtpServer.from_json(text) == SmtpServer("h", 587, "u", "p", Security.STARTTLS)
    assert SmtpServer.from_json(text).limits() == SendingLimits(5.0, UNLIMITED)
    limited = SmtpServer.from_json(text.replace("}", ', "rate_per_s": 2, "emails_per_day": 500}'))
    assert limited.limits() == SendingLimits(2, 500, emails_per_day=500)


def test_a_days_quota_that_nobody_counts_for_us_is_kept_and_goes_on_the_next_day() -> None:
    clock = Clock()
    shop = MemoryShop(clock)
    shop.account.now = SmtpServer("h", 465, "u", "p", rate_per_s=100.0, emails_per_day=120).limits()
    for number in range(300):
        shop.join(f"s{number:03}")
    sent_ms: list[int] = []
    shop.sender.on_emails = lambda emails: sent_ms.extend([clock()] * emails)
    shop.observe(Availability.IN_STOCK)
    while shop.work(lambda message, error: pytest.fail(f"{message}: {error}")):
        pass
    assert len(set(shop.sender.mailboxes())) == len(sent_ms) == 300
    day_ms = 24 * 3600 * 1000
    for start_ms in sent_ms:
        assert sum(start_ms <= at_ms < start_ms + day_ms for at_ms in sent_ms) <= 120
    assert sent_ms[-1] - sent_ms[0] < 3 * day_ms


def test_a_server_whose_quota_is_used_up_refuses_nobody_for_good(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    mailroom.answers = {"ada@example.com": "550 5.4.5 Daily user sending limit exceeded"}
    results = sender(server, certificate).send(SENDER, [outgoing("ada"), outgoing("bob")])
    assert [result.delivery for result in results] == ["deferred", "accepted"]


def test_a_server_that_ends_the_connection_is_connected_to_again_for_the_others(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    mailroom.answers = {"ada@example.com": "421 4.7.0 Try again later, closing connection"}
    results = sender(server, certificate).send(SENDER, [outgoing("ada"), outgoing("bob"), outgoing("cyd")])
    assert [result.delivery for result in results] == ["deferred", "accepted", "accepted"]


@pytest.mark.parametrize(
    ("answer", "refusal"), [("553 not yours", SendRefusal.INVALID), ("451 later", SendRefusal.RETRY)]
)
def test_a_sender_that_is_refused_is_no_emails_fault(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path, answer: str, refusal: SendRefusal
) -> None:
    mailroom, server = smtp
    mailroom.answer_to_sender = answer
    with pytest.raises(SendRefused) as refused:
        sender(server, certificate).send(SENDER, [outgoing("ada"), outgoing("bob")])
    assert refused.value.refusal is refusal


def test_a_slow_server_gets_the_rest_of_a_batch_later(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    clock = Clock()
    slow = SmtpSender(server, clock, lambda: "id", ssl.create_default_context(cafile=str(certificate)))
    mailroom.takes = lambda: clock.pass_s(SEND_MS_MAX / 2000)
    results = slow.send(SENDER, [outgoing(name) for name in ("ada", "bob", "cyd")])
    assert [result.delivery for result in results] == ["accepted", "accepted", "postponed"]


# ---- Whole conversations, without a server ----


class Wire:
    """Stands for smtplib's connections: keeps what is said over each, and fails as a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[tuple[Any, ...]] = []
        # By the number of the connection, and by the mailbox; each once.
        self.at_login: dict[int, Exception] = {}
        self.at_mailbox: dict[str, Exception] = {}
        self.on_mailbox: Callable[[], None] = lambda: None
        self.connections = 0
        monkeypatch.setattr(smtplib, "SMTP_SSL", lambda *args, **how: self._connected("tls", args, how))
        monkeypatch.setattr(smtplib, "SMTP", lambda *args, **how: self._connected("plain", args, how))

    def _connected(self, kind: str, args: tuple[Any, ...], how: dict[str, Any]) -> Any:
        self.connections += 1
        number = self.connections
        self.said.append((kind, *args, how))

        def login(*args: str) -> None:
            if number in self.at_login:
                raise self.at_login[number]
            self.said.append(("login", *args))

        def sendmail(sender: str, mailboxes: list[str], message: bytes) -> None:
            self.said.append(("sendmail", sender, mailboxes, message))
            self.on_mailbox()
            if mailboxes[0] in self.at_mailbox:
                raise self.at_mailbox.pop(mailboxes[0])

        return SimpleNamespace(
            starttls=lambda **how: self.said.append(("starttls", how)),
            login=login,
            sendmail=sendmail,
            close=lambda: self.said.append(("close",)),
        )

    @property
    def verbs(self) -> list[str]:
        return [f"{item[0]} {item[2][0][:3]}" if item[0] == "sendmail" else item[0] for item in self.said]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


TRUST = ssl.create_default_context()


def wired(clock: Clock, security: Security = Security.TLS) -> SmtpSender:
    ids = count(1)
    server = SmtpServer("mail.example", 465, "shop", "secret", security)
    return SmtpSender(server, clock, lambda: f"id-{next(ids)}", TRUST)


def sent(clock: Clock, *names: str) -> tuple[SendResult, ...]:
    return wired(clock).send(SENDER, [outgoing(name) for name in names])


def accepted(number: int) -> SendResult:
    return SendResult(DeliveryOutcome.ACCEPTED, message_id=f"id-{number}@heron.example")


@pytest.mark.parametrize("security", list(Security))
def test_a_conversation_is_over_tls_signed_in_and_ended(wire: Wire, clock: Clock, security: Security) -> None:
    clock.now_ms += 999
    assert wired(clock, security).send(SENDER, [outgoing("ada")]) == (accepted(1),)
    first: dict[Security, list[tuple[Any, ...]]] = {
        Security.TLS: [("tls", "mail.example", 465, {"timeout": 5, "context": TRUST})],
        Security.STARTTLS: [
            ("plain", "mail.example", 465, {"timeout": 5}),
            ("starttls", {"context": TRUST}),
        ],
    }
    (_, sender, mailboxes, message) = wire.said[-2]
    assert (sender, mailboxes) == ("hello@heron.example", ["ada@example.com"])
    assert wire.said[:-2] == [*first[security], ("login", "shop", "secret")]
    assert wire.said[-1] == ("close",)
    read = message_from_bytes(message, policy=policy.default)
    assert (read["From"], read["To"]) == (SENDER, "ada@example.com")
    assert read["Message-ID"] == "<id-1@heron.example>"
    assert read["Date"].datetime == datetime.fromtimestamp(clock() // 1000, UTC)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (smtplib.SMTPAuthenticationError(535, b"no"), SendRefusal.INVALID),
        (smtplib.SMTPNotSupportedError(), SendRefusal.INVALID),
        (ssl.SSLError(), SendRefusal.INVALID),
        (smtplib.SMTPConnectError(421, b"busy"), SendRefusal.RETRY),
        (TimeoutError(), SendRefusal.RETRY),
    ],
)
def test_each_failure_to_connect_is_named(
    wire: Wire, clock: Clock, error: Exception, refusal: SendRefusal
) -> None:
    wire.at_login = {1: error}
    with pytest.raises(SendRefused) as refused:
        sent(clock, "ada")
    assert (refused.value.reason, refused.value.refusal) == (type(error).__name__, refusal)
    assert wire.verbs == ["tls", "close"]
    # Where a second connection fails, what is left waits for the same.
    wire.at_login = {3: error}
    wire.at_mailbox = {"bob@example.com": smtplib.SMTPServerDisconnected()}
    broken = SendResult(DeliveryOutcome.DEFERRED, reason="SMTPServerDisconnected")
    later = SendResult(DeliveryOutcome.POSTPONED, reason=type(error).__name__, refusal=refusal)
    assert sent(clock, "ada", "bob", "cyd", "dan") == (accepted(1), broken, later, later)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (smtplib.SMTPDataError(500, b"no"), SendResult(DeliveryOutcome.REJECTED, reason="500")),
        (smtplib.SMTPDataError(499, b"no"), SendResult(DeliveryOutcome.DEFERRED, reason="499")),
        (smtplib.SMTPDataError(550, "5.4.5 quota"), SendResult(DeliveryOutcome.DEFERRED, reason="550")),
        (smtplib.SMTPDataError(550, b"not 5.4.5"), SendResult(DeliveryOutcome.REJECTED, reason="550")),
        (
            smtplib.SMTPRecipientsRefused({"bob@example.com": (551, b"moved")}),
            SendResult(DeliveryOutcome.REJECTED, reason="551"),
        ),
        (
            smtplib.SMTPRecipientsRefused({"bob@example.com": (450, b"later")}),
            SendResult(DeliveryOutcome.DEFERRED, reason="450"),
        ),
    ],
)
def test_each_answer_is_one_whole_result_and_the_connection_goes_on(
    wire: Wire, clock: Clock, error: Exception, result: SendResult
) -> None:
    wire.at_mailbox = {"bob@example.com": error}
    assert sent(clock, "ada", "bob", "cyd") == (accepted(1), result, accepted(3))
    assert wire.verbs == ["tls", "login", "sendmail ada", "sendmail bob", "sendmail cyd", "close"]


@pytest.mark.parametrize(
    ("code", "words", "refusal"),
    [
        (553, b"no", SendRefusal.INVALID),
        (451, b"later", SendRefusal.RETRY),
        (550, b"5.4.5 quota", SendRefusal.RETRY),
    ],
)
def test_a_sender_refused_in_mid_batch_leaves_the_rest_for_later(
    wire: Wire, clock: Clock, code: int, words: bytes, refusal: SendRefusal
) -> None:
    error = smtplib.SMTPSenderRefused(code, words, "hello@heron.example")
    wire.at_mailbox = {"bob@example.com": error}
    later = SendResult(DeliveryOutcome.POSTPONED, reason=str(code), refusal=refusal)
    assert sent(clock, "ada", "bob", "cyd") == (accepted(1), later, later)
    assert wire.verbs == ["tls", "login", "sendmail ada", "sendmail bob", "close"]
    wire.at_mailbox = {"ada@example.com": error}
    with pytest.raises(SendRefused) as refused:
        sent(clock, "ada", "bob")
    assert (refused.value.reason, refused.value.refusal) == (str(code), refusal)
    assert wire.verbs[-1] == "close"


def test_a_connection_that_breaks_each_time_is_made_three_times(wire: Wire, clock: Clock) -> None:
    names = ("ada", "bob", "cyd", "dan", "eve")
    wire.at_mailbox = {f"{name}@example.com": OSError() for name in names}
    broken, later = (
        SendResult(DeliveryOutcome.DEFERRED, reason="OSError"),
        SendResult(DeliveryOutcome.POSTPONED, reason="OSError"),
    )
    assert sent(clock, *names) == (broken, broken, broken, later, later)
    assert wire.verbs == [
        *("tls", "login", "sendmail ada", "close"),
        *("tls", "login", "sendmail bob", "close"),
        *("tls", "login", "sendmail cyd", "close"),
    ]


@pytest.mark.parametrize(("each_ms", "count_sent"), [(SEND_MS_MAX, 1), (SEND_MS_MAX - 1, 2)])
def test_emails_without_time_left_are_postponed_as_slow(
    wire: Wire, clock: Clock, each_ms: int, count_sent: int
) -> None:
    def passes() -> None:
        clock.now_ms += each_ms

    wire.on_mailbox = passes
    slow = SendResult(DeliveryOutcome.POSTPONED, reason="slow")
    results = sent(clock, "ada", "bob", "cyd")
    assert results == (*map(accepted, range(1, count_sent + 1)), *[slow] * (3 - count_sent))
    assert SEND_MS_MAX == 8_000


def test_one_unwritable_email_is_deferred_alone_and_a_whole_batch_of_them_is_an_error(
    wire: Wire, clock: Clock
) -> None:
    bad = OutgoingEmail("é@example.com", Email("s", "t", "h"))
    unwritten = SendResult(DeliveryOutcome.DEFERRED, reason="not written: HeaderRefused")
    box = wired(clock)
    assert box.send(SENDER, [bad, outgoing("ada")]) == (unwritten, accepted(2))
    with pytest.raises(SendRefused) as refused:
        box.send(SENDER, [bad, bad])
    assert (refused.value.reason, refused.value.refusal, refused.value.about_emails) == (
        unwritten.reason,
        SendRefusal.INVALID,
        True,
    )
    assert box.send(SENDER, []) == ()


def test_a_secret_needs_no_more_than_the_server_and_the_account() -> None:
    text = '{"host": "h", "port": 465, "username": "u", "password": "p"}'
    assert SmtpServer.from_json(text) == SmtpServer("h", 465, "u", "p", Security.TLS, 5.0, None)
    assert SmtpServer.from_json(text).security is Security.TLS
    zero = SmtpServer.from_json(text.replace("}", ', "emails_per_day": 0}'))
    assert zero.limits() == SendingLimits(5.0, 0, emails_per_day=0)


@pytest.mark.parametrize(
    ("more", "server"),
    [
        ('"port": 465', SmtpServer("mx.example", 465, "shop", "7", Security.TLS, 5.0, None)),
        (
            '"port": "587", "security": "starttls", "rate_per_s": "2.5", "emails_per_day": "9000"',
            SmtpServer("mx.example", 587, "shop", "7", Security.STARTTLS, 2.5, 9000),
        ),
        (
            '"port": "465", "security": "", "rate_per_s": "", "emails_per_day": null',
            SmtpServer("mx.example", 465, "shop", "7", Security.TLS, 5.0, None),
        ),
    ],
)
def test_a_secret_is_read_as_a_person_writes_it_and_as_the_console_does(
    more: str, server: SmtpServer
) -> None:
    """The console of Secrets Manager writes numbers as texts."""
    text = f'{{"host": "mx.example", "username": "shop", "password": "7", {more}}}'
    read = SmtpServer.from_json(text)
    assert read == server
    assert (type(read.port), type(read.rate_per_s)) == (int, float)
