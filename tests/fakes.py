"""Hand-written stand-ins for what lies beyond the edge."""

from collections.abc import Callable, Sequence

from chalicelib.domain.wave import WaveMessage
from chalicelib.mail.postbox import Delivery, Envelope, PostboxRefused, Receipt
from chalicelib.queues import WavesQueue
from chalicelib.storage.themes import ThemeStore
from chalicelib.storefront.renderer import Renderer


class FakePostbox:
    """Keeps what it is sent.

    `refuses` turns so many whole calls away; `deliveries` answers single letters, by mailbox, once.
    """

    def __init__(self) -> None:
        self.sent: list[Envelope] = []
        self.calls = 0
        self.refuses = 0
        self.dies_after_sending = False
        self.deliveries: dict[str, Delivery] = {}
        self.before_sending: Callable[[], None] = lambda: None

    def send(self, sender: str, envelopes: Sequence[Envelope]) -> tuple[Receipt, ...]:
        """See `Postbox.send`."""
        self.before_sending()
        self.calls += 1
        if self.refuses:
            self.refuses -= 1
            raise PostboxRefused("TooManyRequestsException")
        receipts = tuple(self._receipt(envelope) for envelope in envelopes)
        if self.dies_after_sending:
            self.dies_after_sending = False
            raise WorkerDied
        return receipts

    def mailboxes(self) -> list[str]:
        """Who was sent a letter, in order, once for each letter."""
        return [envelope.mailbox for envelope in self.sent]

    def _receipt(self, envelope: Envelope) -> Receipt:
        delivery = self.deliveries.pop(envelope.mailbox, Delivery.ACCEPTED)
        if delivery is Delivery.ACCEPTED:
            self.sent.append(envelope)
            return Receipt(delivery, message_id=f"m-{len(self.sent)}")
        return Receipt(delivery, reason=delivery.upper())


class WorkerDied(BaseException):
    """The process ended here; nothing after it ran."""


class FakeWavesQueue(WavesQueue):
    """Keeps its messages in order."""

    def __init__(self) -> None:
        self.messages: list[WaveMessage] = []
        self.delays_s: list[int] = []

    def put(self, message: WaveMessage, *, delay_s: int = 0) -> None:
        """See `WavesQueue.put`."""
        self.messages.append(message)
        self.delays_s.append(delay_s)


class FixedTheme(ThemeStore):
    """A theme that stays."""

    def __init__(self, renderer: Renderer) -> None:
        self._fixed = renderer

    def live(self) -> Renderer:
        """See `ThemeStore.live`."""
        return self._fixed
