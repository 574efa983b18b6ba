"""Letters by SMTP, to a real server on this machine, with TLS and signing in."""

import ssl
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from chalicelib.domain.letter import Letter
from chalicelib.domain.pace import UNLIMITED, Limits
from chalicelib.domain.stock import Availability
from chalicelib.mail.postbox import Delivery, Envelope, PostboxRefused, Refusal
from chalicelib.mail.smtp import SEND_MS_MAX, Security, SmtpPostbox, SmtpServer
from tests.certificate import write_certificate
from tests.clock import Clock
from tests.conftest import free_port
from tests.memory_shop import MemoryShop

# The server thinks a connection that is TLS from its first byte is none.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
SENDER = "Heron & Daughters <hello@heron.example>"


class Mailroom:
    """Takes letters in. `answers` says what to answer for a mailbox; `hangs_up_at` ends the connection."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}
        self.hangs_up_at: str | None = None
        self.answer_to_sender = ""
        self.takes: Callable[[], None] = lambda: None

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.answer_to_sender:
            return self.answer_to_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address == self.hangs_up_at:
            self.hangs_up_at = None
            assert server.transport is not None
            server.transport.close()
        if address in self.answers:
            return self.answers.pop(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.takes()
        self.letters.append(envelope.content)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


class Server(Controller):
    """A server that wants TLS and a password."""

    def __init__(self, mailroom: Mailroom, port: int, tls: ssl.SSLContext, security: Security) -> None:
        self.tls, self.security = tls, security
        context = tls if security is Security.TLS else None
        super().__init__(mailroom, hostname="127.0.0.1", port=port, ssl_context=context)

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
        server.stop()


def postbox(server: SmtpServer, certificate: Path) -> SmtpPostbox:
    ids = count(1)
    tls = ssl.create_default_context(cafile=str(certificate))
    return SmtpPostbox(server, Clock(), lambda: f"id-{next(ids)}", tls)


def envelope(name: str) -> Envelope:
    letter = Letter(f"It is back, {name} ☔", f"Hello {name}.\n", f"<p>Hello {name}.</p>")
    link = f"<https://www.heron.example/api/unsubscribe?token={'t' * 200}>"
    headers = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return Envelope(f"{name}@example.com", letter, headers)


def test_letters_arrive_whole(smtp: tuple[Mailroom, SmtpServer], certificate: Path) -> None:
    mailroom, server = smtp
    receipts = postbox(server, certificate).send(SENDER, [envelope("ada"), envelope("bob")])
    assert [receipt.delivery for receipt in receipts] == [Delivery.ACCEPTED] * 2
    assert receipts[0].message_id == "id-1@heron.example"
    assert mailroom.recipients == ["ada@example.com", "bob@example.com"]
    read = message_from_bytes(mailroom.letters[0], policy=policy.default)
    assert read["Subject"] == "It is back, ada ☔"
    assert read["Message-ID"] == "<id-1@heron.example>"
    assert b"token=" + b"t" * 200 + b">" in mailroom.letters[0]
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]


def test_each_letter_has_its_own_answer(smtp: tuple[Mailroom, SmtpServer], certificate: Path) -> None:
    mailroom, server = smtp
    mailroom.answers = {"bob@example.com": "550 no such user", "cyd@example.com": "450 try later"}
    names = ("ada", "bob", "cyd", "dan")
    receipts = postbox(server, certificate).send(SENDER, [envelope(name) for name in names])
    assert [receipt.delivery for receipt in receipts] == ["accepted", "rejected", "deferred", "accepted"]
    assert mailroom.recipients == ["ada@example.com", "dan@example.com"]


def test_a_broken_connection_defers_the_letter_under_way_and_the_others_go_on(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    mailroom.hangs_up_at = "bob@example.com"
    receipts = postbox(server, certificate).send(SENDER, [envelope(name) for name in ("ada", "bob", "cyd")])
    assert [receipt.delivery for receipt in receipts] == ["accepted", "deferred", "accepted"]
    assert mailroom.recipients == ["ada@example.com", "cyd@example.com"]


def test_a_wrong_password_is_for_a_person_to_see(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    _, server = smtp
    wrong = SmtpServer(server.host, server.port, "shop", "guess", server.security)
    with pytest.raises(PostboxRefused) as refused:
        postbox(wrong, certificate).send(SENDER, [envelope("ada")])
    assert refused.value.refusal is Refusal.WRONG


# smtplib leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_certificate_nobody_vouches_for_is_not_trusted(smtp: tuple[Mailroom, SmtpServer]) -> None:
    mailroom, server = smtp
    with pytest.raises(PostboxRefused) as refused:
        SmtpPostbox(server, Clock(), lambda: "id").send(SENDER, [envelope("ada")])
    assert refused.value.refusal is Refusal.WRONG
    assert mailroom.letters == []


def test_a_server_that_is_not_there_is_tried_later(certificate: Path) -> None:
    nowhere = SmtpServer("127.0.0.1", free_port(), "shop", "secret")
    with pytest.raises(PostboxRefused) as refused:
        postbox(nowhere, certificate).send(SENDER, [envelope("ada")])
    assert refused.value.refusal is Refusal.BUSY


def test_a_fan_out_by_smtp_tells_everyone_once(smtp: tuple[Mailroom, SmtpServer], certificate: Path) -> None:
    mailroom, server = smtp
    clock = Clock()
    shop = MemoryShop(clock)
    names = [f"s{number:03}" for number in range(60)]
    for name in names:
        shop.entries.join(name, at_ms=clock())
        clock.pass_s(1)
    shop.postbox.send = postbox(server, certificate).send  # type: ignore[method-assign]
    mailroom.hangs_up_at = "s017@example.com"
    mailroom.answers = {"s030@example.com": "451 greylisted"}
    shop.observe(Availability.IN_STOCK)
    while shop.work(lambda message, error: pytest.fail(f"{message}: {error}")):
        pass
    assert sorted(mailroom.recipients) == [f"{name}@example.com" for name in names]


def test_a_secret_says_how_to_speak_to_the_server() -> None:
    text = '{"host": "h", "port": 587, "username": "u", "password": "p", "security": "starttls"}'
    assert SmtpServer.from_json(text) == SmtpServer("h", 587, "u", "p", Security.STARTTLS)
    assert SmtpServer.from_json(text).limits() == Limits(5.0, UNLIMITED)
    limited = SmtpServer.from_json(text.replace("}", ', "rate_per_s": 2, "letters_per_day": 500}'))
    assert limited.limits() == Limits(2, 500, letters_per_day=500)


def test_a_days_quota_that_nobody_counts_for_us_is_kept_and_goes_on_the_next_day() -> None:
    clock = Clock()
    shop = MemoryShop(clock)
    shop.account.now = SmtpServer("h", 465, "u", "p", rate_per_s=100.0, letters_per_day=120).limits()
    for number in range(300):
        shop.entries.join(f"s{number:03}", at_ms=clock())
    sent_ms: list[int] = []
    shop.postbox.on_letters = lambda letters: sent_ms.extend([clock()] * letters)
    shop.observe(Availability.IN_STOCK)
    while shop.work(lambda message, error: pytest.fail(f"{message}: {error}")):
        pass
    assert len(set(shop.postbox.mailboxes())) == len(sent_ms) == 300
    day_ms = 24 * 3600 * 1000
    for start_ms in sent_ms:
        assert sum(start_ms <= at_ms < start_ms + day_ms for at_ms in sent_ms) <= 120
    assert sent_ms[-1] - sent_ms[0] < 3 * day_ms


def test_a_server_whose_quota_is_used_up_refuses_nobody_for_good(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    mailroom.answers = {"ada@example.com": "550 5.4.5 Daily user sending limit exceeded"}
    receipts = postbox(server, certificate).send(SENDER, [envelope("ada"), envelope("bob")])
    assert [receipt.delivery for receipt in receipts] == ["deferred", "accepted"]


@pytest.mark.parametrize(
    ("answer", "refusal"), [("553 not yours", Refusal.WRONG), ("451 later", Refusal.BUSY)]
)
def test_a_sender_that_is_refused_is_no_letters_fault(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path, answer: str, refusal: Refusal
) -> None:
    mailroom, server = smtp
    mailroom.answer_to_sender = answer
    with pytest.raises(PostboxRefused) as refused:
        postbox(server, certificate).send(SENDER, [envelope("ada"), envelope("bob")])
    assert refused.value.refusal is refusal


def test_a_slow_server_gets_the_rest_of_a_batch_later(
    smtp: tuple[Mailroom, SmtpServer], certificate: Path
) -> None:
    mailroom, server = smtp
    clock = Clock()
    slow = SmtpPostbox(server, clock, lambda: "id", ssl.create_default_context(cafile=str(certificate)))
    mailroom.takes = lambda: clock.pass_s(SEND_MS_MAX / 2000)
    receipts = slow.send(SENDER, [envelope(name) for name in ("ada", "bob", "cyd")])
    assert [receipt.delivery for receipt in receipts] == ["accepted", "accepted", "postponed"]
