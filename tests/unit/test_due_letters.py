"""A backlog of letters that shoppers asked for: nothing twice, nothing in the dead letters."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.entry import CONFIRM_WITHIN_S
from chalicelib.domain.hops import DEFERRED_S, LETTER_HOPS_MAX, ChainTooLong
from chalicelib.domain.letter import AskedLetter, Letter
from chalicelib.domain.pace import UNLIMITED, Limits, back_off_s
from chalicelib.mail.postbox import (
    Delivery,
    Envelope,
    LetterDeferred,
    OutcomeUnknown,
    Postbox,
    PostboxRefused,
    Refusal,
)
from chalicelib.queues import ConfirmationsQueue
from chalicelib.records import react_to_queue
from chalicelib.services.due_letters import LETTER_MS_MAX, UNCLEAR_WAIT_S, DueLetters
from chalicelib.services.pace import Pace, PacedPostbox
from tests.clock import Clock
from tests.fakes import FakeAccount, FakePostbox, WorkerDied
from tests.log_lines import logged
from tests.memory import MemoryPace
from tests.virtual_time import VirtualTime

# As the stack sets them.
TIMEOUT_MS = 20_000
VISIBILITY_TIMEOUT_S = 120
RECEIVES_MAX = 5
BATCH = 10
# What one call of SQS takes.
CALL_S = 0.005
PARTITION_WRITE_UNITS_PER_S = 1_000


class MemoryQueue(ConfirmationsQueue):
    """A standard queue with dead letters: (due, message), and how often each was received."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._numbers = count()
        self.due: list[tuple[int, int, str]] = []
        self.receives: Counter[int] = Counter()
        self.dead: list[str] = []
        self.deleted: set[int] = set()
        self.puts = 0

    def put_back(self, letter: AskedLetter, *, delay_s: int) -> None:
        assert 0 <= delay_s <= 900
        self.puts += 1
        self.add(letter.to_json(), delay_s=delay_s)

    def add(self, body: str, *, delay_s: float = 0) -> None:
        heappush(self.due, (self._clock() + round(delay_s * 1000), next(self._numbers), body))

    def delete(self, receipt_handle: str) -> None:
        self.deleted.add(int(receipt_handle))

    def receive(self, most: int) -> list[dict[str, str]]:
        """Hand over what is due; it stays, hidden, until it is deleted."""
        batch: list[dict[str, str]] = []
        while self.due and self.due[0][0] <= self._clock() and len(batch) < most:
            _, number, body = heappop(self.due)
            if number in self.deleted:
                continue
            self.receives[number] += 1
            if self.receives[number] > RECEIVES_MAX:
                self.dead.append(body)
                continue
            heappush(self.due, (self._clock() + VISIBILITY_TIMEOUT_S * 1000, number, body))
            batch.append({"messageId": str(number), "receiptHandle": str(number), "body": body})
        return batch

    def next_due_ms(self) -> int | None:
        """When the next message can be received; None when all are done."""
        while self.due and self.due[0][1] in self.deleted:
            heappop(self.due)
        return self.due[0][0] if self.due else None


class CountingPace(MemoryPace):
    """Counts what the row is asked, by second: writes cost units also when their condition fails."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(lambda _: None)
        self._clock = clock
        self.writes: Counter[int] = Counter()

    def take(self, letters: int, *, cost_us: int, at_ms: int, wait_ms_max: int) -> int | None:
        at_once = self.row is not None and self.row.ready_at_us <= at_ms * 1000
        self.writes[self._clock() // 1000] += 1 if at_once else 2
        return super().take(letters, cost_us=cost_us, at_ms=at_ms, wait_ms_max=wait_ms_max)

    def elect(self, **facts: Any) -> bool:
        self.writes[self._clock() // 1000] += 1
        return super().elect(**facts)

    def put_limits(self, *args: Any, **facts: Any) -> None:
        self.writes[self._clock() // 1000] += 1
        super().put_limits(*args, **facts)


class PlainDesk:
    """Sends the letter of whoever it is, by a postbox."""

    def __init__(self, postbox: Postbox, clock: Callable[[], int]) -> None:
        self._postbox = postbox

    def send(self, letter: AskedLetter) -> None:
        (receipt,) = self._postbox.send("shop@example.com", [Envelope(letter.shopper, Letter("s", "t", "h"))])
        if receipt.delivery is Delivery.DEFERRED:
            raise LetterDeferred(receipt.reason)


class Backlog:
    """So many letters due at once, and so many workers that Lambda starts for them."""

    def __init__(self, letters: int, *, workers: int, rate_per_s: float) -> None:
        self.clock = VirtualTime()
        self.queue = MemoryQueue(self.clock)
        for number in range(letters):
            self.queue.add(json.dumps({"shopper": f"s{number:05}", "sku": "A"}))
        self.pace_table = CountingPace(self.clock)
        self.account = FakeAccount(Limits(rate_per_s, UNLIMITED))
        self.sent_ms: dict[str, list[int]] = defaultdict(list)
        self.busy, self.busy_max, self.timed_out = 0, 0, 0
        self._letters, self._workers, self._random = letters, workers, Random(7)
        self._until_ms = self.clock() + 3_600_000

    def work_off(self) -> None:
        """Run until nothing waits."""
        self.clock.run([self._worker] * self._workers)

    def _worker(self) -> None:
        postbox = PacedPostbox(self, Pace(self.pace_table, self.account, self.clock, self.clock.sleep))
        while (due_ms := self.queue.next_due_ms()) is not None:
            assert self.clock() < self._until_ms, "the backlog never gets empty"
            batch = self.queue.receive(BATCH)
            if not batch:
                self.clock.sleep(max(0.05, (due_ms - self.clock()) / 1000))
                continue
            puts = self.queue.puts
            self._invoke(batch, postbox)
            self.clock.sleep(CALL_S * (1 + self.queue.puts - puts))

    def _invoke(self, batch: list[dict[str, str]], postbox: Postbox) -> None:
        self.busy += 1
        self.busy_max = max(self.busy_max, self.busy)
        until_ms = self.clock() + TIMEOUT_MS
        due = DueLetters(
            PlainDesk(postbox, self.clock),
            self.queue,
            self.clock,
            self._random.random,
            lambda: until_ms - self.clock(),
        )
        failed = react_to_queue(batch, due.send, self.queue.delete)["batchItemFailures"]
        assert failed == []
        self.timed_out += self.clock() > until_ms
        self.busy -= 1

    def send(self, _sender: str, envelopes: Any) -> Any:
        """A postbox that takes 80 ms for each letter."""
        self.clock.sleep(0.08)
        for envelope in envelopes:
            self.sent_ms[envelope.mailbox].append(self.clock())
        return FakePostbox().send("", envelopes)


@pytest.mark.parametrize(("workers", "within"), [(60, 1.5), (5, 1.05)])
def test_a_backlog_of_5000_is_sent_once_each_at_the_rate_and_asks_no_row_too_much(
    workers: int, within: float
) -> None:
    backlog = Backlog(5_000, workers=workers, rate_per_s=14)
    backlog.work_off()
    assert len(backlog.sent_ms) == 5_000
    assert all(len(at_ms) == 1 for at_ms in backlog.sent_ms.values())
    assert (backlog.queue.dead, backlog.timed_out) == ([], 0)
    assert max(backlog.queue.receives.values()) == 1
    assert backlog.busy_max <= workers
    seconds = Counter(at_ms // 1000 for (at_ms,) in backlog.sent_ms.values())
    assert max(seconds.values()) <= 15
    assert max(backlog.pace_table.writes.values()) < PARTITION_WRITE_UNITS_PER_S / 4
    assert backlog.account.reads <= 1 + 5_000 / 14 * within / 300
    times = [at_ms for (at_ms,) in backlog.sent_ms.values()]
    assert (max(times) - min(times)) / 1000 <= 5_000 / 14 * within


def test_a_slow_rate_ends_batches_in_time_and_puts_the_rest_back() -> None:
    backlog = Backlog(120, workers=5, rate_per_s=1)
    backlog.work_off()
    assert all(len(at_ms) == 1 for at_ms in backlog.sent_ms.values())
    assert (len(backlog.sent_ms), backlog.queue.dead, backlog.timed_out) == (120, [], 0)
    assert backlog.queue.puts > 0


class OneDesk:
    """Does what it is told to, letter after letter."""

    def __init__(self, *outcomes: BaseException | None) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[AskedLetter] = []

    def send(self, letter: AskedLetter) -> None:
        self.asked.append(letter)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome


def due_letters(
    desk: Any, clock: Clock, remaining_ms: Callable[[], int] = lambda: TIMEOUT_MS
) -> tuple[DueLetters, MemoryQueue]:
    queue = MemoryQueue(clock)
    return DueLetters(desk, queue, clock, lambda: 0.5, remaining_ms), queue


def body(name: str = "ada", **facts: Any) -> str:
    return json.dumps({"shopper": name, "sku": "A", **facts})


def queued(queue: MemoryQueue, clock: Clock) -> list[tuple[int, AskedLetter]]:
    """Seconds from now, and what comes then."""
    return [((at_ms - clock()) // 1000, AskedLetter.from_json(text)) for at_ms, _, text in sorted(queue.due)]


def test_without_time_left_the_rest_of_a_batch_is_put_back_and_the_first_is_always_tried(
    clock: Clock,
) -> None:
    desk = OneDesk()
    due, queue = due_letters(desk, clock, lambda: LETTER_MS_MAX - 1)
    for name in ("ada", "bob"):
        due.send(body(name))
    assert [letter.shopper for letter in desk.asked] == ["ada"]
    assert queued(queue, clock) == [(3, AskedLetter("bob", "A", hops=1, tries=1))]


def test_once_the_rate_says_later_the_rest_of_the_batch_does_not_ask(clock: Clock) -> None:
    desk = OneDesk(PostboxRefused("rate", delay_s=7))
    due, queue = due_letters(desk, clock)
    for name in ("ada", "bob", "cyd"):
        due.send(body(name))
    assert [letter.shopper for letter in desk.asked] == ["ada"]
    assert [(delay_s, letter.shopper) for delay_s, letter in queued(queue, clock)] == [
        (11, "ada"),
        (11, "bob"),
        (11, "cyd"),
    ]


def test_a_deferred_letter_is_tried_again_by_itself_and_then_given_up(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = OneDesk(*[LetterDeferred("451")] * (len(DEFERRED_S) + 1))
    due, queue = due_letters(desk, clock)
    due.send(body())
    due.send(body("bob"))
    asked_ms = [clock()]
    desk.outcomes = [LetterDeferred("451")] * len(DEFERRED_S)
    queue.due = [message for message in queue.due if "ada" in message[2]]
    while queue.due:
        at_ms, _, text = heappop(queue.due)
        clock.now_ms = max(clock.now_ms, at_ms)
        before = len(desk.asked)
        due.send(text)
        asked_ms += [clock()] * (len(desk.asked) - before)
    waits = [(later - earlier) // 1000 for earlier, later in pairwise(asked_ms)]
    assert waits == list(DEFERRED_S)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    deferred = [line for line in lines if line["event"] == "letter_deferred" and line["shopper"] == "ada"]
    assert [line["deferrals"] for line in deferred] == [1, 2, 3, 4, 5, 6]
    assert {line["reason"] for line in deferred} == {"451"}


def test_a_letter_of_unknown_outcome_is_sent_once_more_and_no_more(clock: Clock) -> None:
    desk = OneDesk(OutcomeUnknown("ReadTimeoutError"), OutcomeUnknown("ReadTimeoutError"))
    due, queue = due_letters(desk, clock)
    due.send(body())
    assert queued(queue, clock) == [(UNCLEAR_WAIT_S, AskedLetter("ada", "A", hops=1, unclear=True))]
    due.send(heappop(queue.due)[2])
    assert queue.due == []


def test_a_wrong_letter_is_for_a_person_and_its_neighbours_go(clock: Clock) -> None:
    desk = OneDesk(None, PostboxRefused("BadRequestException", Refusal.WRONG), None)
    due, queue = due_letters(desk, clock)
    records = [
        {"messageId": name, "receiptHandle": "0", "body": body(name)} for name in ("ada", "bob", "cyd")
    ]
    assert react_to_queue(records, due.send)["batchItemFailures"] == [{"itemIdentifier": "bob"}]
    assert [letter.shopper for letter in desk.asked] == ["ada", "bob", "cyd"]
    assert queue.due == []


def test_a_worker_that_is_killed_repeats_the_one_letter_it_was_sending(clock: Clock) -> None:
    desk = OneDesk(None, None, None, WorkerDied())
    due, queue = due_letters(desk, clock)
    for name in ("a", "b", "c", "d", "e"):
        queue.add(body(name))
    with pytest.raises(WorkerDied):
        react_to_queue(queue.receive(BATCH), due.send, queue.delete)
    clock.pass_s(VISIBILITY_TIMEOUT_S)
    again, _ = due_letters(desk, clock)
    react_to_queue(queue.receive(BATCH), again.send, queue.delete)
    assert [letter.shopper for letter in desk.asked] == ["a", "b", "c", "d", "d", "e"]
    assert queue.next_due_ms() is None


def test_a_message_that_cannot_be_deleted_was_done_all_the_same(clock: Clock) -> None:
    due, queue = due_letters(OneDesk(), clock)
    queue.add(body())

    def fail(_: str) -> None:
        raise RuntimeError

    assert react_to_queue(queue.receive(1), due.send, fail)["batchItemFailures"] == []


@pytest.mark.parametrize("text", ['{"shopper": "ada", "sku": "A"}', '{"shopper": "ada"}'])
def test_a_message_without_counters_is_read(text: str) -> None:
    letter = AskedLetter.from_json(text)
    assert (letter.hops, letter.tries, letter.deferrals) == (0, 0, 0)
    assert json.loads(letter.to_json()) == json.loads(text)


@pytest.mark.parametrize("text", ["", "3", "[]", "{}", '{"shopper": "a", "x": 1}'])
def test_any_other_message_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one of them
        AskedLetter.from_json(text)


def test_past_its_hops_a_message_is_refused_unsent(clock: Clock) -> None:
    desk = OneDesk()
    due, queue = due_letters(desk, clock)
    due.send(body(hops=LETTER_HOPS_MAX))
    with pytest.raises(ChainTooLong):
        due.send(body(hops=LETTER_HOPS_MAX + 1))
    assert len(desk.asked) == 1
    assert queue.due == []


REFUSALS = st.sampled_from(["busy", "stopped", "rate", "quota", "deferred", "unknown"])
OUTCOMES: dict[str, Callable[[], BaseException]] = {
    "busy": lambda: PostboxRefused("TooManyRequestsException"),
    "stopped": lambda: PostboxRefused("SendingPausedException", Refusal.STOPPED),
    "rate": lambda: PostboxRefused("rate", delay_s=1),
    "quota": lambda: PostboxRefused("quota", delay_s=900),
    "deferred": lambda: LetterDeferred("451"),
    "unknown": lambda: OutcomeUnknown("ReadTimeoutError"),
}


@settings(max_examples=25, deadline=None)
@given(pattern=st.lists(REFUSALS, min_size=1, max_size=12), chance=st.floats(0, 0.99))
def test_no_answers_make_a_chain_outlast_its_hops_before_nobody_asks_for_the_letter(
    pattern: list[str], chance: float
) -> None:
    clock, attempts = Clock(), count()
    begun_ms = clock()

    class Refusing:
        def send(self, _: AskedLetter) -> None:
            # After 72 h the entry has expired: the desk finds nothing due.
            if clock() - begun_ms < CONFIRM_WITHIN_S * 1000:
                raise OUTCOMES[pattern[next(attempts) % len(pattern)]]()

    queue = MemoryQueue(clock)
    queue.add(body())
    hops = 0
    while queue.due:
        at_ms, _, text = heappop(queue.due)
        heapify(queue.due)
        clock.now_ms = max(clock.now_ms, at_ms)
        hops = AskedLetter.from_json(text).hops
        DueLetters(Refusing(), queue, clock, lambda: chance, lambda: TIMEOUT_MS).send(text)
    assert hops <= LETTER_HOPS_MAX


@pytest.mark.parametrize(
    ("tries", "least_s", "most_s"),
    [(0, 1, 2), (1, 2, 4), (3, 8, 16), (8, 256, 512), (9, 450, 900), (99, 450, 900)],
)
def test_a_back_off_doubles_and_is_spread_over_its_second_half(tries: int, least_s: int, most_s: int) -> None:
    chances = [number / 1000 for number in range(1000)]
    waits_s = [back_off_s(tries, chance) for chance in chances]
    assert (min(waits_s), max(waits_s)) == (least_s, most_s)
    assert waits_s == sorted(waits_s)
    assert set(waits_s) == set(range(least_s, most_s + 1))


DEFERRED = LetterDeferred("451")
UNCLEAR = OutcomeUnknown("ReadTimeoutError")
RATE = PostboxRefused("rate", delay_s=7)
BUSY = PostboxRefused("TooManyRequestsException")


@pytest.mark.parametrize(
    ("before", "outcome", "delay_s", "after", "said"),
    [
        ({"tries": 2}, None, None, {}, {}),
        ({"tries": 2}, BUSY, 9, {"tries": 3}, {"event": "letter_put_back", "reason": BUSY.reason}),
        ({}, BUSY, 3, {"tries": 1}, {"event": "letter_put_back", "reason": BUSY.reason}),
        ({}, RATE, 11, {"tries": 1}, {"event": "letter_put_back", "reason": "rate"}),
        ({"tries": 3}, RATE, 18, {"tries": 4}, {"event": "letter_put_back", "reason": "rate"}),
        ({"tries": 9}, RATE, 900, {"tries": 10}, {"event": "letter_put_back", "reason": "rate"}),
        (
            {"tries": 2},
            DEFERRED,
            60,
            {"deferrals": 1, "not_before_ms": 60_000},
            {"event": "letter_deferred", "reason": "451", "deferrals": 1},
        ),
        (
            {"deferrals": 5, "tries": 1},
            DEFERRED,
            900,
            {"deferrals": 6, "not_before_ms": 86_400_000},
            {"event": "letter_deferred", "reason": "451", "deferrals": 6},
        ),
        ({"deferrals": 6}, DEFERRED, None, {}, {"event": "letter_given_up", "reason": "451"}),
        (
            {"tries": 2},
            UNCLEAR,
            60,
            {"tries": 2, "unclear": True},
            {"event": "letter_unclear", "reason": "ReadTimeoutError", "again": True},
        ),
        (
            {"unclear": True},
            UNCLEAR,
            None,
            {},
            {"event": "letter_unclear", "reason": "ReadTimeoutError", "again": False},
        ),
    ],
)
def test_each_outcome_has_its_log_line_and_its_message(
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    before: dict[str, Any],
    outcome: Exception | None,
    delay_s: int | None,
    after: dict[str, Any],
    said: dict[str, Any],
) -> None:
    """`not_before_ms` counts from now."""
    desk = OneDesk(outcome)
    due, queue = due_letters(desk, clock)
    due.send(body(hops=4, source="net4-a", **before))
    assert desk.asked == [AskedLetter("ada", "A", source="net4-a", hops=4, **before)]
    if "not_before_ms" in after:
        after = {**after, "not_before_ms": clock() + after["not_before_ms"]}
    again = AskedLetter("ada", "A", source="net4-a", hops=5, **after)
    assert queued(queue, clock) == ([] if delay_s is None else [(delay_s, again)])
    assert logged(capsys) == ([{"shopper": "ada", **said}] if said else [])


def test_an_email_that_is_not_due_is_put_on_as_it_is_and_does_not_begin_the_batch(clock: Clock) -> None:
    desk = OneDesk()
    due, queue = due_letters(desk, clock, lambda: 0)
    due.send(body(not_before_ms=clock() + 1, tries=3))
    due.send(body("bob", not_before_ms=clock() + 1_000_000))
    due.send(body("cyd", not_before_ms=clock()))
    assert [letter.shopper for letter in desk.asked] == ["cyd"]
    assert queued(queue, clock) == [
        (1, AskedLetter("ada", "A", hops=1, tries=3, not_before_ms=clock() + 1)),
        (900, AskedLetter("bob", "A", hops=1, not_before_ms=clock() + 1_000_000)),
    ]


def test_an_email_that_is_not_due_does_not_wait_for_the_rate(clock: Clock) -> None:
    due, queue = due_letters(OneDesk(RATE), clock)
    due.send(body())
    due.send(body("bob", not_before_ms=clock() + 5_000))
    due.send(body("cyd", tries=5))
    assert queued(queue, clock) == [
        (5, AskedLetter("bob", "A", hops=1, not_before_ms=clock() + 5_000)),
        (11, AskedLetter("ada", "A", hops=1, tries=1)),
        (72, AskedLetter("cyd", "A", hops=1, tries=6)),
    ]


@pytest.mark.parametrize(
    ("left_ms", "asked"), [(LETTER_MS_MAX, ["ada", "bob"]), (LETTER_MS_MAX - 1, ["ada"])]
)
def test_an_email_is_tried_while_there_is_just_time_for_one(
    clock: Clock, left_ms: int, asked: list[str]
) -> None:
    desk = OneDesk()
    due, _ = due_letters(desk, clock, lambda: left_ms)
    due.send(body())
    due.send(body("bob"))
    assert [letter.shopper for letter in desk.asked] == asked
    assert LETTER_MS_MAX == 12_000


def test_one_deferral_keeps_no_other_email_of_the_batch_back(clock: Clock) -> None:
    desk = OneDesk(DEFERRED, UNCLEAR)
    due, _ = due_letters(desk, clock)
    for name in ("ada", "bob", "cyd"):
        due.send(body(name))
    assert [letter.shopper for letter in desk.asked] == ["ada", "bob", "cyd"]


def test_a_message_past_its_hops_is_logged_with_their_number(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    due, _ = due_letters(OneDesk(), clock)
    hops = LETTER_HOPS_MAX + 1
    with pytest.raises(ChainTooLong) as raised:
        due.send(body(hops=hops))
    assert str(raised.value) == f"{hops} hops"
    assert logged(capsys) == [{"event": "chain_too_long", "shopper": "ada", "hops": hops}]
