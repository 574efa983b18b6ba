"""Every fault of a fan-out, in any order: nobody lost, nobody notified who must not be, repeats counted.

The rules are what happens in the world: shoppers come, go and are suppressed, the variant comes and
goes, workers take messages and die wherever they stand, the transport misbehaves, the queue repeats
itself. What must hold is checked at every email and at the end.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.entry import EntryState
from chalicelib.domain.rate_limits import UNLIMITED, Limits
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import EVERYONE, WaveMessage, WavePolicy
from chalicelib.mail.sender import Delivery, OutcomeUnknown, Refusal, SendRefused
from tests.support.clock import Clock
from tests.support.fakes import WorkerDied
from tests.support.memory import SKU
from tests.support.memory_shop import MemoryShop
from tests.support.shop import VISIBILITY_TIMEOUT_S

BATCH_MAX = 50
POINTS = ["lease", "leased", "page", "turn", "look", "mark", "half marked", "marked"]
IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


class FanOutUnderFaults(RuleBasedStateMachine):
    """The world, the workers, and a count of what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.dies_at: tuple[str, int] | None = None
        self.crashes = 0
        self.notified: dict[str, int] = {}
        self.wrong: list[str] = []
        self.joined = 0

    @initialize(policy=st.sampled_from([EVERYONE, WavePolicy(emails_per_unit=3, next_after_min=1)]))
    def open_shop(self, policy: WavePolicy) -> None:
        self.shop = MemoryShop(Clock(), reach=self.reach)
        self.shop.policy = policy
        self.shop.sender.on_emails = lambda _: None
        self._watch_emails()

    def _watch_emails(self) -> None:
        shop, send = self.shop, self.shop.sender.send

        def watched(sender: str, emails: Any) -> Any:
            before = len(shop.sender.sent)
            try:
                return send(sender, emails)
            finally:
                for outgoing in shop.sender.sent[before:]:
                    self._email_left(outgoing.mailbox.partition("@")[0])

        shop.sender.send = watched  # type: ignore[method-assign]

    def _email_left(self, shopper: str) -> None:
        shop = self.shop
        may = (
            shop.entries.rows[shopper].state is EntryState.CONFIRMED
            and shopper not in shop.entries.suppressed
            and shop.products.stock.availability.can_buy
        )
        if not may:
            self.wrong.append(shopper)
        self.notified[shopper] = self.notified.get(shopper, 0) + 1

    def reach(self, point: str) -> None:
        """A worker passes a point: here it may end."""
        if self.dies_at is None or self.dies_at[0] != point:
            return
        point, times = self.dies_at
        self.dies_at = (point, times - 1) if times else None
        if not times:
            raise WorkerDied

    @rule(count=st.integers(1, 70))
    def shoppers_join(self, count: int) -> None:
        for _ in range(count):
            self.joined += 1
            shopper = f"s{self.joined:05}"
            self.shop.entries.join(shopper, at_ms=self.shop.clock())
            self.shop.clock.pass_s(0.002)
            if self.shop.products.stock.availability.can_buy:
                self.shop.restocking.notify_if_available(shopper, SKU, at_ms=self.shop.clock())

    @rule(data=st.data())
    def one_leaves(self, data: st.DataObject) -> None:
        if self.joined:
            shopper = f"s{data.draw(st.integers(1, self.joined)):05}"
            self.shop.entries.leave(shopper, SKU, at_ms=self.shop.clock())

    @rule(data=st.data())
    def one_is_suppressed(self, data: st.DataObject) -> None:
        if self.joined:
            self.shop.entries.suppressed.add(f"s{data.draw(st.integers(1, self.joined)):05}")

    @rule(units=st.integers(1, 30))
    def it_comes_back(self, units: int) -> None:
        self.shop.observe(IN_STOCK, units)

    @rule()
    def it_sells_out(self) -> None:
        self.shop.observe(SOLD_OUT, 0)

    @rule()
    def the_stream_repeats_an_old_record(self) -> None:
        if self.shop.restocks.opened:
            self.shop.restocking.open_restock(self.shop.restocks.opened[0])

    @rule()
    def the_queue_delivers_twice(self) -> None:
        if self.shop.queue.messages:
            self.shop.queue.put(self.shop.queue.messages[0])

    @rule(times=st.integers(1, 6))
    def workers_work(self, times: int) -> None:
        for _ in range(times):
            self.shop.work(self._failed)

    @rule(point=st.sampled_from(POINTS), times=st.integers(0, 2))
    def a_worker_dies(self, point: str, times: int) -> None:
        self.dies_at = (point, times)
        self.shop.work(self._failed)
        self.dies_at = None

    @rule(fault=st.sampled_from(["throttled", "stopped", "times out", "dies sending"]))
    def the_transport_misbehaves(self, fault: str) -> None:
        sender = self.shop.sender
        sender.refusal = Refusal.PAUSED if fault == "stopped" else Refusal.RETRY
        sender.refuses = int(fault in {"throttled", "stopped"})
        sender.times_out = int(fault == "times out")
        sender.dies_after_sending = fault == "dies sending"
        self.shop.work(self._failed)
        sender.refuses, sender.times_out, sender.dies_after_sending = 0, 0, False
        if self.shop.rate_table.row and self.shop.rate_table.row.paused:
            self.shop.rate_table.resume()

    @rule(delivery=st.sampled_from([Delivery.DEFERRED, Delivery.REJECTED]), data=st.data())
    def one_email_of_a_batch_is_not_taken(self, delivery: Delivery, data: st.DataObject) -> None:
        if self.joined:
            shopper = f"s{data.draw(st.integers(1, self.joined)):05}"
            self.shop.sender.deliveries[f"{shopper}@example.com"] = delivery
            self.shop.work(self._failed)

    @rule(emails_left=st.sampled_from([0, 7, UNLIMITED]), rate=st.sampled_from([1.0, 14.0, 1000.0]))
    def the_account_changes(self, emails_left: int, rate: float) -> None:
        self.shop.account.now = Limits(rate, emails_left)
        self.shop.clock.pass_s(400)

    def _failed(self, message: WaveMessage, error: BaseException) -> None:
        if not isinstance(error, WorkerDied | OutcomeUnknown | SendRefused):
            raise error
        self.crashes += 1
        # The queue shows a message again when its worker has not come back.
        self.shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    @invariant()
    def nobody_is_told_who_must_not_be(self) -> None:
        assert self.wrong == []

    @invariant()
    def repeats_are_within_a_batch_for_each_crash(self) -> None:
        repeats = sum(self.notified.values()) - len(self.notified)
        assert repeats <= BATCH_MAX * self.crashes

    def teardown(self) -> None:
        """The world calms down, and everyone is notified."""
        if not hasattr(self, "shop"):
            return
        shop = self.shop
        shop.account.now = Limits(1000.0, UNLIMITED)
        shop.clock.pass_s(400)
        shop.policy = EVERYONE
        shop.observe(SOLD_OUT, 0)
        shop.observe(IN_STOCK, 5)
        for _ in range(5_000):
            if not shop.work(self._failed):
                break
        lost = [
            entry.shopper
            for entry in shop.entries.rows.values()
            if entry.state is EntryState.CONFIRMED and entry.shopper not in shop.entries.suppressed
        ]
        assert lost == []
        assert self.wrong == []
        assert sum(self.notified.values()) - len(self.notified) <= BATCH_MAX * self.crashes


TestFanOutUnderFaults = FanOutUnderFaults.TestCase
TestFanOutUnderFaults.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
