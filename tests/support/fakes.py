"""Hand-written stand-ins for what lies beyond the edge."""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from chalicelib.domain.email import (
    DeliveryOutcome,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.wave import WaveMessage
from chalicelib.queues import WavesQueue
from chalicelib.storage import ThemeStore
from chalicelib.storefront.renderer import Renderer


class FakeSender:
    """Keeps what it is sent.

    `refuses` turns so many whole calls away, `times_out` takes so many and does not say so;
    `deliveries` answers single emails, by mailbox, once. `refusal` is what all of these wait for.
    """

    def __init__(self) -> None:
        self.sent: list[OutgoingEmail] = []
        self.calls = 0
        self.refuses = 0
        self.refusal = SendRefusal.RETRY
        self.times_out = 0
        self.dies_after_sending = False
        self.deliveries: dict[str, DeliveryOutcome] = {}
        self.before_sending: Callable[[], None] = lambda: None
        self.on_emails: Callable[[int], None] = lambda _: None

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        """See `EmailSender.send`."""
        self.before_sending()
        self.calls += 1
        if self.refuses:
            self.refuses -= 1
            raise SendRefused("TooManyRequestsException", self.refusal)
        self.on_emails(len(emails))
        results = tuple(self._result(outgoing) for outgoing in emails)
        if self.times_out:
            self.times_out -= 1
            raise OutcomeUnknown("ReadTimeoutError")
        if self.dies_after_sending:
            self.dies_after_sending = False
            raise WorkerDied
        return results

    def mailboxes(self) -> list[str]:
        """Every mailbox that was sent an email, in order, once for each email."""
        return [outgoing.mailbox for outgoing in self.sent]

    def _result(self, outgoing: OutgoingEmail) -> SendResult:
        delivery = self.deliveries.pop(outgoing.mailbox, DeliveryOutcome.ACCEPTED)
        if delivery is DeliveryOutcome.ACCEPTED:
            self.sent.append(outgoing)
            return SendResult(delivery, message_id=f"m-{len(self.sent)}")
        return SendResult(delivery, reason=delivery.upper(), refusal=self.refusal)


class WorkerDied(BaseException):
    """The process ended here; nothing after it ran."""


class FakeWavesQueue(WavesQueue):
    """Keeps its messages until they are due, first due first."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._due: list[tuple[int, int, WaveMessage]] = []
        self._numbers = count()
        self.delays_s: list[int] = []

    @property
    def messages(self) -> list[WaveMessage]:
        """The queued messages, first due first."""
        return [message for _, _, message in sorted(self._due)]

    def put(self, message: WaveMessage, *, delay_s: int = 0) -> None:
        """See `WavesQueue.put`."""
        if not 0 <= delay_s <= 900:
            raise ValueError(f"SQS takes a delay of 0 to 900 s, not {delay_s}")
        heappush(self._due, (self._clock() + delay_s * 1000, next(self._numbers), message))
        self.delays_s.append(delay_s)

    def messages_waiting(self) -> int:
        """How many are queued."""
        return len(self._due)

    def due_ms(self) -> int:
        """When the next message can be taken."""
        return self._due[0][0]

    def take(self) -> WaveMessage:
        """The message that is due first."""
        return heappop(self._due)[2]

    def clear(self) -> None:
        """Lose everything."""
        self._due.clear()


class FakeAccount:
    """An account with limits of one's choice."""

    def __init__(self, limits: SendingLimits = SendingLimits(1000.0, UNLIMITED)) -> None:  # noqa: B008 - a frozen value
        self.now = limits
        self.reads = 0

    def limits(self) -> SendingLimits:
        """See `SendingAccount.limits`."""
        self.reads += 1
        return self.now


class FixedTheme(ThemeStore):
    """A theme that stays."""

    def __init__(self, renderer: Renderer) -> None:
        self._fixed = renderer

    def live(self) -> Renderer:
        """See `ThemeStore.live`."""
        return self._fixed
