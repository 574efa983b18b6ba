"""Every fault of a fan-out, in any order: nobody lost, nobody notified who must not be, repeats counted.

The rules are what happens in the world: shoppers come, go and are suppressed, the variant comes and
goes, workers take messages and die at any call of DynamoDB, before it takes effect or after, the transport
misbehaves, the queue repeats itself. The promises are checked at every email and at the end.
"""

from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.email import DeliveryOutcome, OutcomeUnknown, SendRefusal, SendRefused
from chalicelib.domain.entry import EntryState
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import EVERYONE, WaveMessage, WavePolicy
from tests.support.clock import Clock
from tests.support.failing_dynamodb import Throttled
from tests.support.fakes import WorkerDied
from tests.support.memory_shop import SKU, MemoryShop
from tests.support.shop_base import VISIBILITY_TIMEOUT_S

BATCH_MAX = 50
# A worker makes about eight calls for a batch, and walks a shard of several.
CALLS_MAX = 40
IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


class FanOutUnderFaults(RuleBasedStateMachine):
    """The world, the workers, and a count of what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.crashes = 0
        self.notified: dict[str, int] = {}
        self.wrong: list[str] = []
        self.joined = 0

    @initialize(policy=st.sampled_from([EVERYONE, WavePolicy(emails_per_unit=3, next_after_min=1)]))
    def open_shop(self, policy: WavePolicy) -> None:
        self.shop = MemoryShop(Clock())
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
            shop.state(shopper) is EntryState.CONFIRMED
            and not shop.is_suppressed(shopper)
            and shop.stock.availability.can_buy
        )
        if not may:
            self.wrong.append(shopper)
        self.notified[shopper] = self.notified.get(shopper, 0) + 1

    @rule(count=st.integers(1, 70))
    def shoppers_join(self, count: int) -> None:
        shop = self.shop
        can_buy = shop.stock.availability.can_buy

        def arrivals() -> Iterator[tuple[str, int]]:
            for number in range(self.joined + 1, self.joined + count + 1):
                shopper = f"s{number:05}"
                yield shopper, shop.clock()
                # The row is written by now.
                shop.clock.pass_s(0.002)
                if can_buy:
                    shop.restocking.notify_if_available(shopper, SKU, at_ms=shop.clock())

        shop.join_many(arrivals())
        self.joined += count

    @rule(data=st.data())
    def one_leaves(self, data: st.DataObject) -> None:
        if self.joined:
            shopper = f"s{data.draw(st.integers(1, self.joined)):05}"
            self.shop.leave(shopper)

    @rule(data=st.data())
    def one_is_suppressed(self, data: st.DataObject) -> None:
        if self.joined:
            self.shop.suppress(f"s{data.draw(st.integers(1, self.joined)):05}")

    @rule(units=st.integers(1, 30))
    def it_comes_back(self, units: int) -> None:
        self.shop.observe(IN_STOCK, units)

    @rule()
    def it_sells_out(self) -> None:
        self.shop.observe(SOLD_OUT, 0)

    @rule()
    def the_stream_repeats_an_old_record(self) -> None:
        if self.shop.opened():
            self.shop.restocking.open_restock(self.shop.opened()[0])

    @rule()
    def the_queue_delivers_twice(self) -> None:
        if self.shop.queue.messages:
            self.shop.queue.put(self.shop.queue.messages[0])

    @rule(times=st.integers(1, 6))
    def workers_work(self, times: int) -> None:
        for _ in range(times):
            self.shop.work(self._failed)

    @rule(
        number=st.integers(0, CALLS_MAX),
        error=st.sampled_from([WorkerDied, Throttled]),
        took_effect=st.booleans(),
    )
    def a_call_fails(self, number: int, error: type[BaseException], took_effect: bool) -> None:
        self.shop.faults.fail_at(number, error, took_effect=took_effect)
        self.shop.work(self._failed)
        self.shop.faults.never_fail()

    @rule(fault=st.sampled_from(["throttled", "stopped", "times out", "dies sending"]))
    def the_transport_misbehaves(self, fault: str) -> None:
        sender = self.shop.sender
        sender.refusal = SendRefusal.PAUSED if fault == "stopped" else SendRefusal.RETRY
        sender.refuses = int(fault in {"throttled", "stopped"})
        sender.times_out = int(fault == "times out")
        sender.dies_after_sending = fault == "dies sending"
        self.shop.work(self._failed)
        sender.refuses, sender.times_out, sender.dies_after_sending = 0, 0, False
        if self.shop.paused:
            self.shop.rate_table.resume()

    @rule(delivery=st.sampled_from([DeliveryOutcome.DEFERRED, DeliveryOutcome.REJECTED]), data=st.data())
    def one_email_of_a_batch_is_not_taken(self, delivery: DeliveryOutcome, data: st.DataObject) -> None:
        if self.joined:
            shopper = f"s{data.draw(st.integers(1, self.joined)):05}"
            self.shop.sender.deliveries[f"{shopper}@example.com"] = delivery
            self.shop.work(self._failed)

    @rule(emails_left=st.sampled_from([0, 7, UNLIMITED]), rate=st.sampled_from([1.0, 14.0, 1000.0]))
    def the_account_changes(self, emails_left: int, rate: float) -> None:
        self.shop.account.now = SendingLimits(rate, emails_left)
        self.shop.clock.pass_s(400)

    def _failed(self, message: WaveMessage, error: BaseException) -> None:
        if not isinstance(error, WorkerDied | Throttled | OutcomeUnknown | SendRefused):
            raise error
        self.crashes += 1
        # The queue shows a message again when its worker has not come back.
        self.shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    @invariant()
    def only_people_who_may_be_notified_are(self) -> None:
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
        shop.account.now = SendingLimits(1000.0, UNLIMITED)
        shop.clock.pass_s(400)
        shop.policy = EVERYONE
        shop.observe(SOLD_OUT, 0)
        shop.observe(IN_STOCK, 5)
        for _ in range(5_000):
            if not shop.work(self._failed):
                break
        lost = [
            entry.shopper
            for entry in shop.all_entries()
            if entry.state is EntryState.CONFIRMED and not shop.is_suppressed(entry.shopper)
        ]
        assert lost == []
        assert self.wrong == []
        assert sum(self.notified.values()) - len(self.notified) <= BATCH_MAX * self.crashes


TestFanOutUnderFaults = FanOutUnderFaults.TestCase
TestFanOutUnderFaults.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
