"""Units are a budget: a limited wave sends no more emails than its units allow, whatever comes in between."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.email import DeliveryOutcome, OutcomeUnknown, SendRefused
from chalicelib.domain.entry import EntryState
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.stock import Availability, AvailabilityEvent, Stock, restocks
from chalicelib.domain.wave import NO_LIMIT, LimitedWave, WaveBudget, WaveMessage, WavePolicy
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.failing_dynamodb import Throttled
from tests.support.fakes import WorkerDied
from tests.support.memory_shop import SKU, SLUG, MemoryShop, is_row
from tests.support.shop_base import VISIBILITY_TIMEOUT_S

IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK
BACK_ORDER, PRE_ORDER = Availability.BACK_ORDER, Availability.PRE_ORDER
ONE_EACH = WavePolicy(emails_per_unit=1, next_after_min=30)
PAUSE_MS = ONE_EACH.pause_ms
# A worker makes about twenty calls for a batch of a limited wave.
CALLS_MAX = 40


def unexpected(message: WaveMessage, error: BaseException) -> None:
    raise AssertionError(f"{message}: {error}")


def shop_with(waiting: int, policy: WavePolicy = ONE_EACH) -> MemoryShop:
    shop = MemoryShop(Clock())
    shop.policy = policy
    for number in range(waiting):
        shop.join(f"s{number:04}")
        shop.clock.pass_s(0.01)
    return shop


def count(shop: MemoryShop, units: int) -> None:
    shop.observe(IN_STOCK if units else SOLD_OUT, units)


def work_until(shop: MemoryShop, at_ms: int) -> None:
    """Let workers do all that is due up to a time."""
    while shop.queue.messages_waiting() and shop.queue.due_ms() <= at_ms:
        shop.work(unexpected)
    shop.clock.now_ms = max(shop.clock(), at_ms)


def reserves_a_turn(request: Mapping[str, Any]) -> bool:
    return is_row(request, "sending-rate") and "ReturnValues" in request


def notified(shop: MemoryShop) -> list[str]:
    return [mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes()]


# The table of docs/restocks.md: one email for each unit, counts a second apart.
EXAMPLES = [
    ([5], 5),
    ([5, 4, 5, 4, 5, 3, 4], 5),
    ([5, 6], 6),
    ([5, 4, 6], 6),
    ([5, 0, 5], 5),
    ([5, 0, 1, 0, 3], 5),
    ([1, 2, 3, 4, 5, 6, 7, 8], 8),
    ([8, 7, 6, 5, 4, 3, 2, 1], 8),
    ([5, 5, 5], 5),
]


@pytest.mark.parametrize(("counts", "emails"), EXAMPLES)
@pytest.mark.parametrize("works_between", [True, False])
def test_counts_that_go_up_and_down_send_one_email_for_each_unit(
    counts: list[int], emails: int, works_between: bool
) -> None:
    shop = shop_with(60)
    for units in counts:
        count(shop, units)
        # A worker that comes only at the end knows the last count alone, and sends no more than that.
        if works_between:
            work_until(shop, shop.clock() + 1000)
    work_until(shop, shop.clock() + PAUSE_MS - 10_000)
    assert len(notified(shop)) == (emails if works_between else counts[-1])
    assert notified(shop) == sorted(notified(shop))


def test_the_pause_holds_across_restocks_and_then_all_units_left_are_offered() -> None:
    shop = shop_with(60)
    count(shop, 5)
    work_until(shop, shop.clock() + 1000)
    last_ms = shop.clock()
    for units in (0, 3, 0, 4):
        count(shop, units)
        work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == 5
    shop.sender.on_emails = lambda _: times.append(shop.clock())
    times: list[int] = []
    work_until(shop, last_ms + PAUSE_MS + 60_000)
    assert len(notified(shop)) == 9
    assert times[0] - last_ms >= PAUSE_MS - 2000


def test_units_sold_in_mid_wave_take_the_unsent_emails_back() -> None:
    shop = shop_with(200)
    shop.account.now = SendingLimits(5.0, UNLIMITED)
    count(shop, 100)
    while len(notified(shop)) < 50:
        shop.work(unexpected)
    sent = len(notified(shop))
    count(shop, 10)
    work_until(shop, shop.clock() + PAUSE_MS // 2)
    assert len(notified(shop)) == sent + 10
    # Units delivered beyond those have emails again.
    count(shop, 30)
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == sent + 10
    count(shop, sent + 15)
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == sent + 15


def test_units_sold_while_a_batch_waits_for_its_turn_get_no_email() -> None:
    shop = MemoryShop(Clock())
    shop.faults.before = lambda _, request: count(shop, 2) if reserves_a_turn(request) else None
    shop.policy = ONE_EACH
    for number in range(9):
        shop.join(f"s{number}")
    count(shop, 5)
    work_until(shop, shop.clock() + 60_000)
    assert notified(shop) == ["s0", "s1"]


@pytest.mark.parametrize("availability", [BACK_ORDER, PRE_ORDER])
@pytest.mark.parametrize("units", [0, None])
def test_orders_without_a_number_are_offered_to_everyone(
    availability: Availability, units: int | None
) -> None:
    shop = shop_with(60)
    shop.observe(availability, units)
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == 60


def test_a_pre_order_with_units_is_shared_out_by_them() -> None:
    shop = shop_with(60)
    shop.observe(PRE_ORDER, 7)
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == 7


def test_a_variant_that_turns_to_back_order_in_mid_pause_is_offered_to_everyone_at_once() -> None:
    shop = shop_with(60)
    count(shop, 3)
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == 3
    (restock,) = shop.observe(BACK_ORDER, 0)
    assert restock.units is None
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == 60
    work_until(shop, shop.clock() + 2 * PAUSE_MS)
    assert len(notified(shop)) == 60


def test_units_too_few_for_the_policy_that_turn_to_back_order_are_offered_to_everyone() -> None:
    shop = shop_with(60, WavePolicy(emails_per_unit=1, next_after_min=30, units_min=3))
    count(shop, 2)
    work_until(shop, shop.clock() + 2 * PAUSE_MS)
    assert notified(shop) == []
    shop.observe(BACK_ORDER, 0)
    work_until(shop, shop.clock() + 60_000)
    assert len(notified(shop)) == 60


def test_nobody_is_notified_of_fewer_units_than_the_policy_wants_also_in_a_later_wave() -> None:
    shop = shop_with(60, WavePolicy(emails_per_unit=1, next_after_min=1, units_min=3))
    count(shop, 4)
    work_until(shop, shop.clock() + 30_000)
    count(shop, 2)
    work_until(shop, shop.clock() + 600_000)
    assert len(notified(shop)) == 4
    count(shop, 3)
    work_until(shop, shop.clock() + 30_000)
    assert len(notified(shop)) == 7


class LateIndex(MemoryDynamoDb):
    """Answers queries of an index without those it does not show yet."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: set[str] = set()

    def query(self, **request: Any) -> dict[str, Any]:
        answer = super().query(**request)
        if "IndexName" in request:
            answer["Items"] = [item for item in answer["Items"] if item["shopper"]["S"] not in self.hidden]
        return answer


def test_an_entry_that_the_index_shows_late_is_found_by_the_sweep() -> None:
    dynamodb = LateIndex()
    shop = MemoryShop(Clock(), dynamodb=dynamodb)
    shop.policy = ONE_EACH
    count(shop, 2)
    work_until(shop, shop.clock() + 60_000)
    dynamodb.hidden = {"late"}
    shop.join("late")
    shop.restocking.notify_if_available("late", SKU, at_ms=shop.clock())
    shop.work(unexpected)
    assert notified(shop) == []
    dynamodb.hidden = set()
    work_until(shop, shop.clock() + 60_000)
    assert notified(shop) == ["late"]


BUDGETS = st.builds(
    lambda number, granted, unsent, last: WaveBudget(number, granted, min(granted, unsent), last),
    st.integers(0, 3),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([0, 1_000_000]),
)


@given(budget=BUDGETS, counts=st.lists(st.integers(0, 12), max_size=8), per_unit=st.integers(1, 3))
@settings(max_examples=60)
def test_a_wave_has_emails_for_the_most_units_it_saw_and_never_more_unsent_than_units_left(
    budget: WaveBudget, counts: list[int], per_unit: int
) -> None:
    policy = WavePolicy(emails_per_unit=per_unit)
    budget = budget.settled(counts[0] if counts else 3, policy, now_ms=10**12)
    sent, most = budget.granted - budget.left, max(budget.granted, 0)
    for units in counts:
        budget = budget.settled(units, policy, now_ms=1_000_000)
        most = max(most, per_unit * units)
        assert 0 <= budget.left <= per_unit * units
        assert budget.granted - budget.left == sent
        assert budget.granted <= most
        assert budget == budget.settled(units, policy, now_ms=1_000_000)
    assert budget.settled(None, policy, now_ms=1_000_000).granted == NO_LIMIT


class UnitsAsABudget(RuleBasedStateMachine):
    """Stock events, their stream, signups, workers that die at any call, and the emails of each wave."""

    @initialize(per_unit=st.integers(1, 2))
    def open_shop(self, per_unit: int) -> None:
        self.shop = MemoryShop(Clock())
        self.shop.faults.before, self.shop.faults.after = self._before_call, self._after_call
        self.per_unit = per_unit
        self.shop.policy = WavePolicy(emails_per_unit=per_unit, next_after_min=5)
        self.counted_meanwhile: int | None = None
        self.joined = self.events = 0
        self.stream: list[tuple[Stock, Stock]] = []
        self.units = 0
        # By number of the wave: the most units on offer, distinct shoppers emailed, and what crashes add.
        self.most: dict[int, int] = defaultdict(int)
        self.emailed: dict[int, set[str]] = defaultdict(set)
        self.excused: dict[int, int] = defaultdict(int)
        self.times: dict[int, list[int]] = defaultdict(list)
        self.wrong: list[str] = []
        self.deferred: set[str] = set()
        send = self.shop.sender.send

        def watched(sender: str, emails: Any) -> Any:
            before = len(self.shop.sender.sent)
            try:
                return send(sender, emails)
            finally:
                self._left([item.mailbox.partition("@")[0] for item in self.shop.sender.sent[before:]])

        self.shop.sender.send = watched  # type: ignore[method-assign]

    def _left(self, shoppers: list[str]) -> None:
        fresh = [shopper for shopper in shoppers if shopper not in self.deferred]
        if len(fresh) > self.per_unit * self.units or (shoppers and not self.units):
            self.wrong.append(f"{len(shoppers)} emails for {self.units} units")
        number = self.wave
        self.emailed[number].update(fresh)
        self.in_hand += fresh

    @property
    def wave(self) -> int:
        """The number of the wave under way."""
        return self.shop.progress.wave(SKU).number

    def _before_call(self, _: str, request: Mapping[str, Any]) -> None:
        if reserves_a_turn(request) and self.counted_meanwhile is not None:
            units, self.counted_meanwhile = self.counted_meanwhile, None
            self.it_is_counted(units, reused=False)

    def _after_call(self, method: str, request: Mapping[str, Any]) -> None:
        if method == "update_item" and is_row(request, f"wave#{SKU}"):
            self.most[self.wave] = max(self.most[self.wave], self.units)

    def work(self) -> bool:
        self.in_hand: list[str] = []
        worked = self.shop.work(self._failed)
        number = self.wave
        marked = [shopper for shopper in self.in_hand if self.shop.state(shopper) is EntryState.NOTIFIED]
        # Sent by a worker that died before it was written down: they come again, beside the budget.
        self.excused[number] += len(self.in_hand) - len(marked)
        if marked:
            self.times[number].append(self.shop.clock())
        return worked

    def _failed(self, message: WaveMessage, error: BaseException) -> None:
        if not isinstance(error, WorkerDied | Throttled | OutcomeUnknown | SendRefused):
            raise error
        self.shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    @rule(number=st.integers(1, 8))
    def shoppers_join(self, number: int) -> None:
        for _ in range(number):
            self.joined += 1
            shopper = f"s{self.joined:05}"
            self.shop.join(shopper)
            self.shop.clock.pass_s(0.002)
            if self.units:
                self.shop.restocking.notify_if_available(shopper, SKU, at_ms=self.shop.clock())

    @rule(data=st.data())
    def one_leaves(self, data: st.DataObject) -> None:
        if self.joined:
            shopper = f"s{data.draw(st.integers(1, self.joined)):05}"
            self.shop.leave(shopper)

    @rule(units=st.integers(0, 6), reused=st.booleans())
    def it_is_counted(self, units: int, reused: bool) -> None:
        self.shop.clock.pass_s(0.3)
        self.events += not reused
        before = self.shop.stock
        # Clocks of whole seconds, and ids that a merchant uses again.
        at_ms = self.shop.clock() // 1000 * 1000
        event = AvailabilityEvent(f"e{self.events}", SKU, IN_STOCK if units else SOLD_OUT, units, at_ms)
        applied = event.applied_to(before)
        if applied.write:
            self.shop.stock = applied.stock
            self.units = units
            self.stream.append((before, applied.stock))
        # While a wave works, it may see this many.
        self.most[self.wave] = max(self.most[self.wave], self.units)

    @rule(records=st.integers(1, 3), again=st.booleans())
    def the_stream_delivers(self, records: int, again: bool) -> None:
        for before, after in self.stream[:records]:
            for restock in restocks(SLUG, {SKU: before}, {SKU: after}, at_ms=self.shop.clock()):
                self.shop.restocking.open_restock(restock)
        if not again:
            del self.stream[:records]

    @rule(times=st.integers(1, 5))
    def workers_work(self, times: int) -> None:
        for _ in range(times):
            self.work()

    @rule(units=st.integers(0, 6))
    def it_is_counted_while_a_batch_waits_for_its_turn(self, units: int) -> None:
        self.counted_meanwhile = units
        self.work()
        self.counted_meanwhile = None

    @rule(
        number=st.integers(0, CALLS_MAX),
        error=st.sampled_from([WorkerDied, Throttled]),
        took_effect=st.booleans(),
    )
    def a_call_fails(self, number: int, error: type[BaseException], took_effect: bool) -> None:
        self.shop.faults.fail_at(number, error, took_effect=took_effect)
        self.work()
        self.shop.faults.never_fail()

    @rule()
    def a_worker_dies_after_sending(self) -> None:
        self.shop.sender.dies_after_sending = True
        self.work()
        self.shop.sender.dies_after_sending = False

    @rule(delivery=st.sampled_from([DeliveryOutcome.DEFERRED, DeliveryOutcome.REJECTED]), data=st.data())
    def one_email_is_not_taken(self, delivery: DeliveryOutcome, data: st.DataObject) -> None:
        if self.joined:
            shopper = f"s{data.draw(st.integers(1, self.joined)):05}"
            self.shop.sender.deliveries[f"{shopper}@example.com"] = delivery
            # A deferred email belongs to the wave that kept it, whenever it is sent.
            self.deferred.add(shopper)
            self.work()

    @rule()
    def the_queue_delivers_twice(self) -> None:
        if self.shop.queue.messages:
            self.shop.queue.put(self.shop.queue.messages[0])

    @rule(seconds=st.sampled_from([1, 40, 400]))
    def time_passes(self, seconds: int) -> None:
        self.shop.clock.pass_s(seconds)

    @invariant()
    def no_batch_is_larger_than_the_units_there_are(self) -> None:
        assert not hasattr(self, "shop") or self.wrong == []

    @invariant()
    def no_wave_sends_more_emails_than_units_were_on_offer(self) -> None:
        if hasattr(self, "shop"):
            for number, shoppers in self.emailed.items():
                assert len(shoppers) <= self.per_unit * self.most[number] + self.excused[number]

    @invariant()
    def the_pause_holds(self) -> None:
        if hasattr(self, "shop"):
            numbers = sorted(self.times)
            for number, following in pairwise(numbers):
                pause_ms = self.times[following][0] - self.times[number][-1]
                assert pause_ms >= self.shop.policy.pause_ms

    def teardown(self) -> None:
        """Stock lasts, and everybody who may be emailed is, a wave at a time."""
        if not hasattr(self, "shop"):
            return
        self.it_is_counted(0, reused=False)
        self.shop.clock.pass_s(2)
        self.it_is_counted(3, reused=False)
        while self.stream:
            self.the_stream_delivers(3, again=False)
        for _ in range(3_000):
            if not self.work():
                break
        assert self.shop.queue.messages == []
        waiting = [entry for entry in self.shop.all_entries() if entry.state is EntryState.CONFIRMED]
        assert waiting == []
        self.no_wave_sends_more_emails_than_units_were_on_offer()
        self.the_pause_holds()
        assert self.wrong == []


TestUnitsAsABudget = UnitsAsABudget.TestCase
TestUnitsAsABudget.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_a_message_of_a_wave_says_which_one_it_was_queued_for() -> None:
    shop = shop_with(10)
    count(shop, 2)
    work_until(shop, shop.clock() + 60_000)
    (message,) = shop.queue.messages
    (restock,) = shop.opened()
    budget = shop.progress.wave(SKU)
    assert message == LimitedWave(
        restock.id,
        SKU,
        2,
        budget.last_email_at_ms + PAUSE_MS,
        tries=1,
        hops=message.hops,
    )
    assert (budget.number, budget.granted, budget.left, budget.announced) == (1, 2, 0, 2)
    assert budget.announced_for == restock.id
