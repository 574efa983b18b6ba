"""The faults of docs/failures.md, row by row: nobody lost, nobody notified wrongly, repeats counted."""

from dataclasses import replace

import pytest

from chalicelib.domain.email import DeliveryOutcome, OutcomeUnknown
from chalicelib.domain.entry import EntryState, shard_of, shards_of
from chalicelib.domain.stock import Availability, Restock
from chalicelib.domain.wave import EVERYONE, LimitedWave, NotifyOne, ShardStep, WaveMessage, WavePolicy
from chalicelib.tables.table import STATEMENTS_MAX
from tests.integration.test_fan_out_faults import BATCH_MAX
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.failing_dynamodb import Throttled
from tests.support.fakes import WorkerDied
from tests.support.memory_shop import SKU, MemoryShop
from tests.support.shop_base import VISIBILITY_TIMEOUT_S

IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK
WAITERS = 400
NAMES = [f"s{number:05}" for number in range(WAITERS)]
LIMITED = WavePolicy(emails_per_unit=1, next_after_min=30)
# The call that marks a batch.
MARKS = {EVERYONE: "batch_execute_statement", LIMITED: "transact_write_items"}


def crowded(clock: Clock, waiters: int = WAITERS, *, checked: bool = True) -> MemoryShop:
    """A shop where 400 wait for what is sold out."""
    shop = MemoryShop(clock, dynamodb=MemoryDynamoDb(checked=checked))
    shop.join_many((name, clock() + 10 * number) for number, name in enumerate(NAMES[:waiters]))
    clock.pass_s(0.01 * waiters)
    return shop


def work_off(shop: MemoryShop, *expected: type[BaseException]) -> int:
    """Let workers work until nothing is left; how many emails went to somebody who had theirs.

    A message whose worker ends as `expected` comes again, as the queue shows it again.
    """

    def failed(message: WaveMessage, error: BaseException) -> None:
        assert isinstance(error, expected), f"{message}: {error!r}"
        shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    while shop.work(failed):
        pass
    notified = shop.sender.mailboxes()
    return len(notified) - len(set(notified))


def notified(shop: MemoryShop) -> set[str]:
    return {mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes()}


def work_off_failing(shop: MemoryShop, number: int, error: type[BaseException], *, took_effect: bool) -> int:
    """Let workers work and one call fail; return the number of emails sent by then and not marked."""
    failures: list[int] = []

    def failed(message: WaveMessage, raised: BaseException) -> None:
        assert type(raised) is error, f"{message}: {raised!r}"
        unmarked = [name for name in notified(shop) if shop.state(name) is EntryState.CONFIRMED]
        failures.append(len(unmarked))
        shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    shop.faults.fail_at(number, error, took_effect=took_effect)
    while shop.work(failed):
        pass
    (unmarked,) = failures
    return unmarked


@pytest.mark.parametrize("policy", [EVERYONE, LIMITED], ids=["everyone", "limited"])
@pytest.mark.parametrize("took_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [WorkerDied, Throttled])
def test_a_worker_that_dies_at_any_call_loses_nobody_and_repeats_what_was_not_marked(
    error: type[BaseException], took_effect: bool, policy: WavePolicy
) -> None:
    waiters = 24

    def restocked(*, checked: bool) -> MemoryShop:
        shop = crowded(Clock(), waiters, checked=checked)
        shop.policy = policy
        shop.observe(IN_STOCK, 15)
        return shop

    shop = restocked(checked=True)
    before = len(shop.faults.calls)
    assert work_off(shop) == 0
    calls = len(shop.faults.calls) - before
    repeating: set[str | None] = set()
    # Shards are walked alike: the first three, and the last look at the last ones.
    for number in (*range(40), *range(calls - 12, calls)):
        # Each kind of request was held to botocore's model by the run without a fault.
        shop = restocked(checked=False)
        unmarked = work_off_failing(shop, number, error, took_effect=took_effect)
        assert notified(shop) == set(NAMES[:waiters])
        assert len(shop.sender.sent) - waiters == unmarked, f"{shop.faults.failed}, the call {number}"
        repeating |= {shop.faults.failed} if unmarked else set()
    assert repeating == ({MARKS[policy]} if not took_effect else set())


@pytest.mark.parametrize("error", [WorkerDied, Throttled])
def test_the_marks_of_a_shard_are_written_by_25_and_those_written_are_not_repeated(
    error: type[BaseException], clock: Clock
) -> None:
    shop = crowded(clock)
    shop.observe(IN_STOCK)
    before = len(shop.faults.calls)
    work_off(shop)
    first = shop.faults.calls[before:].index(MARKS[EVERYONE])
    repeats = []
    for number in range(first, first + 3):
        shop = crowded(clock)
        shop.observe(IN_STOCK)
        repeats.append(work_off_failing(shop, number, error, took_effect=False))
        assert len(shop.sender.sent) - WAITERS == repeats[-1]
        assert notified(shop) == set(NAMES)
    assert repeats == [BATCH_MAX, BATCH_MAX - STATEMENTS_MAX, 0]


@pytest.mark.parametrize(("sent", "repeats"), [(False, 0), (True, BATCH_MAX)])
def test_a_worker_that_dies_about_sending_repeats_its_batch_if_it_was_sent(
    sent: bool, repeats: int, clock: Clock
) -> None:
    shop = crowded(clock)
    deaths = iter([WorkerDied])

    def die() -> None:
        for death in deaths:
            raise death

    shop.sender.dies_after_sending = sent
    if not sent:
        shop.sender.before_sending = die
    shop.observe(IN_STOCK)
    assert work_off(shop, WorkerDied) == repeats
    assert notified(shop) == set(NAMES)


def test_a_call_that_ses_throttles_is_made_later(clock: Clock) -> None:
    shop = crowded(clock)
    shop.sender.refuses = 3
    shop.observe(IN_STOCK)
    assert work_off(shop) == 0
    assert notified(shop) == set(NAMES)


def test_a_call_that_times_out_after_it_was_taken_repeats_its_batch_once(clock: Clock) -> None:
    shop = crowded(clock)
    shop.sender.times_out = 1
    shop.observe(IN_STOCK)
    assert 0 < work_off(shop, OutcomeUnknown) <= BATCH_MAX
    assert notified(shop) == set(NAMES)


def test_a_batch_retries_deferred_emails_and_no_refused_ones(clock: Clock) -> None:
    shop = crowded(clock)
    refused, put_off = "s00007", "s00011"
    shop.sender.deliveries = {
        f"{refused}@example.com": DeliveryOutcome.REJECTED,
        f"{put_off}@example.com": DeliveryOutcome.DEFERRED,
    }
    shop.observe(IN_STOCK)
    assert work_off(shop) == 0
    assert notified(shop) == set(NAMES) - {refused}
    assert shop.state(refused) is EntryState.NOTIFIED


def test_an_entry_unsubscribed_during_its_email_stays_unsubscribed(clock: Clock) -> None:
    shop = crowded(clock)

    def leave() -> None:
        shop.leave("s00000")

    shop.sender.before_sending = leave
    shop.observe(IN_STOCK)
    assert work_off(shop) == 0
    assert shop.state("s00000") is EntryState.UNSUBSCRIBED
    assert notified(shop) >= set(NAMES[1:])


def test_a_stream_record_twice_late_or_out_of_order_notifies_nobody_twice(clock: Clock) -> None:
    shop = crowded(clock)
    (first,) = shop.observe(IN_STOCK)
    shop.observe(SOLD_OUT, 0)
    (second,) = shop.observe(IN_STOCK)
    for restock in (second, first, second, first):
        shop.restocking.open_restock(restock)
    assert work_off(shop) == 0
    shop.restocking.open_restock(first)
    assert work_off(shop) == 0
    assert notified(shop) == set(NAMES)


def test_a_sold_out_variant_stops_within_the_batch(clock: Clock) -> None:
    shop = crowded(clock)
    shop.observe(IN_STOCK)

    def sell_out() -> None:
        shop.stock = replace(shop.stock, availability=SOLD_OUT)

    shop.sender.before_sending = sell_out
    work_off(shop)
    assert shop.sender.calls == 1


def test_two_workers_never_hold_one_line(clock: Clock) -> None:
    shop = crowded(clock)
    shop.observe(IN_STOCK)
    messages = shop.queue.messages

    def second_worker() -> None:
        shop.sender.before_sending = lambda: None
        shop.fan_out.work(messages[0])

    shop.sender.before_sending = second_worker
    assert work_off(shop) == 0
    assert notified(shop) == set(NAMES)


@pytest.mark.parametrize("queued", [0, 1, 7, 8])
def test_a_restock_that_dies_among_its_steps_is_opened_again_and_notifies_everybody_once(
    queued: int, clock: Clock
) -> None:
    shop = crowded(clock)
    put, steps = shop.queue.put, list(range(queued))

    def dies(message: WaveMessage, *, delay_s: int = 0) -> None:
        if not steps:
            raise WorkerDied
        steps.pop()
        put(message, delay_s=delay_s)

    shop.queue.put = dies  # type: ignore[method-assign]
    if queued < len(shards_of(SKU)):
        with pytest.raises(WorkerDied):
            shop.observe(IN_STOCK)
    else:
        # The worker queued all of them and died before the stream heard of it.
        shop.observe(IN_STOCK)
    shop.queue.put = put  # type: ignore[method-assign]
    assert len(shop.queue.messages) == queued
    (restock,) = shop.opened()
    # The stream hands the same record over again.
    shop.restocking.open_restock(restock)
    assert work_off(shop) == 0
    assert notified(shop) == set(NAMES)
    assert shop.opened() == [restock]


@pytest.mark.parametrize("point", ["queueing", "announce"])
def test_a_wave_whose_worker_dies_about_queueing_the_next_one_is_followed_by_that_one_alone(
    clock: Clock, point: str
) -> None:
    shop = crowded(clock)
    put = shop.queue.put
    dying = iter([WorkerDied] if point == "queueing" else [])

    def queue(message: WaveMessage, *, delay_s: int = 0) -> None:
        if isinstance(message, LimitedWave) and message.number == 2:
            for death in dying:
                raise death
        put(message, delay_s=delay_s)

    if point == "announce":
        shop.faults.fail_at_update("announced")

    shop.queue.put = queue  # type: ignore[method-assign]
    shop.policy = LIMITED
    sent_at_ms: list[int] = []
    shop.sender.on_emails = lambda emails: sent_at_ms.extend([clock()] * emails)
    shop.observe(IN_STOCK, 150)
    deaths: list[BaseException] = []

    def failed(message: WaveMessage, error: BaseException) -> None:
        deaths.append(error)
        shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    while len(shop.sender.sent) < WAITERS:
        assert shop.work(failed)
    assert [type(error) for error in deaths] == [WorkerDied]
    assert shop.sender.mailboxes() == [f"{name}@example.com" for name in NAMES]
    first, second, third = sent_at_ms[:150], sent_at_ms[150:300], sent_at_ms[300:]
    assert second[0] - first[-1] >= 30 * 60_000
    assert third[0] - second[-1] >= 30 * 60_000


def stale_messages(restock: Restock) -> list[WaveMessage]:
    """A message of every kind about a restock, as the dead letter queue kept it."""
    shopper = NAMES[0]
    return [
        *(ShardStep(restock.id, SKU, shard) for shard in shards_of(SKU)),
        ShardStep(restock.id, SKU, shard_of(SKU, shopper), sweep=True),
        LimitedWave(restock.id, SKU),
        NotifyOne(restock.id, SKU, shopper),
        NotifyOne(restock.id, SKU, shopper, deferrals=2),
    ]


@pytest.mark.parametrize("state", ["superseded", "sold out", "restored to before it was opened"])
def test_messages_of_a_restock_that_is_over_are_redriven_and_email_nobody(state: str, clock: Clock) -> None:
    shop = crowded(clock)
    (over,) = shop.observe(IN_STOCK)
    shop.queue.clear()
    if state == "restored to before it was opened":
        # The tables know nothing of what happened after the moment they were restored to.
        shop.forget_restocks()
    else:
        shop.observe(SOLD_OUT, None)
    if state == "superseded":
        shop.policy = WavePolicy(units_min=6)
        (newer,) = shop.observe(IN_STOCK, 6)
        shop.queue.clear()
        assert shop.restocks.live(SKU) == replace(newer, policy=shop.policy)
    for message in stale_messages(over):
        shop.queue.put(message)
    assert work_off(shop) == 0
    assert shop.sender.calls == 0
    assert shop.queue.messages == []
    assert {entry.state for entry in shop.all_entries()} == {EntryState.CONFIRMED}


def test_a_stream_record_that_is_redriven_late_opens_nothing_in_front_of_a_newer_restock(
    clock: Clock,
) -> None:
    shop = crowded(clock)
    (older,) = shop.observe(IN_STOCK)
    shop.queue.clear()
    # As if it had never been opened: its record waited among the dead letters.
    shop.forget_restocks()
    shop.observe(SOLD_OUT, 0)
    (newer,) = shop.observe(IN_STOCK)
    assert work_off(shop) == 0
    calls = shop.sender.calls
    late = "late comer"
    shop.join(late)
    shop.restocking.open_restock(older)
    assert shop.restocks.live(SKU) == replace(newer, policy=shop.policy)
    assert work_off(shop) == 0
    assert shop.sender.calls == calls
    assert shop.state(late) is EntryState.CONFIRMED
