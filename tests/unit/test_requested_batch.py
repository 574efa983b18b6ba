"""A backlog of emails that shoppers asked for: nothing twice, nothing in the dead letters."""

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

from chalicelib.batches import react_to_queue
from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    EmailDeferred,
    EmailSender,
    OutcomeUnknown,
    OutgoingEmail,
    RequestedEmail,
    SendRefusal,
    SendRefused,
)
from chalicelib.domain.entry import CONFIRM_WITHIN_S
from chalicelib.domain.sending_limits import (
    DEFERRED_S,
    EMAIL_HOPS_MAX,
    UNLIMITED,
    ChainTooLong,
    SendingLimits,
    back_off_s,
)
from chalicelib.queues import ConfirmationsQueue
from chalicelib.services.fan_out.rate_limiter import RateLimitedSender, RateLimiter
from chalicelib.services.requested_emails import EMAIL_MS_MAX, UNCLEAR_WAIT_S, RequestedBatch
from chalicelib.tables.sending.rate import SendingRateTable
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fakes import FakeAccount, FakeSender, WorkerDied
from tests.support.log_lines import logged
from tests.support.virtual_time import VirtualTime

# As the stack sets them.
TIMEOUT_MS = 20_000
VISIBILITY_TIMEOUT_S = 120
RECEIVES_MAX = 5
BATCH = 10
# The most messages of one SQS call.
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

    def put_back(self, email: RequestedEmail, *, delay_s: int) -> None:
        assert 0 <= delay_s <= 900
        self.puts += 1
        self.add(email.to_json(), delay_s=delay_s)

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


class CountingDynamoDb(MemoryDynamoDb):
    """Counts updates by second: they cost write units also when their condition fails."""

    def __init__(self, clock: Callable[[], int]) -> None:
        # Thousands of the same requests, whose form other tests hold to the model.
        super().__init__(checked=False)
        self._clock = clock
        self.writes: Counter[int] = Counter()

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.writes[self._clock() // 1000] += 1
        return super().update_item(**request)


class PlainDesk:
    """Sends the email of any shopper, by a sender."""

    def __init__(self, sender: EmailSender, clock: Callable[[], int]) -> None:
        self._sender = sender

    def send(self, email: RequestedEmail) -> None:
        (result,) = self._sender.send(
            "shop@example.com", [OutgoingEmail(email.shopper, Email("s", "t", "h"))]
        )
        if result.delivery is DeliveryOutcome.DEFERRED:
            raise EmailDeferred(result.reason)


class Backlog:
    """So many emails due at once, and so many workers that Lambda starts for them."""

    def __init__(self, emails: int, *, workers: int, rate_per_s: float) -> None:
        self.clock = VirtualTime()
        self.queue = MemoryQueue(self.clock)
        for number in range(emails):
            self.queue.add(json.dumps({"shopper": f"s{number:05}", "sku": "A"}))
        self.dynamodb = CountingDynamoDb(self.clock)
        client: Any = self.dynamodb
        self.rate_table = SendingRateTable(client, create_table(client, "SendingTable"))
        self.account = FakeAccount(SendingLimits(rate_per_s, UNLIMITED))
        self.sent_ms: dict[str, list[int]] = defaultdict(list)
        self.busy, self.busy_max, self.timed_out = 0, 0, 0
        self._emails, self._workers, self._random = emails, workers, Random(7)
        self._until_ms = self.clock() + 3_600_000

    def work_off(self) -> None:
        """Run until nothing waits."""
        self.clock.run([self._worker] * self._workers)

    def _worker(self) -> None:
        sender = RateLimitedSender(
            self, RateLimiter(self.rate_table, self.account, self.clock, self.clock.sleep)
        )
        while (due_ms := self.queue.next_due_ms()) is not None:
            assert self.clock() < self._until_ms, "the backlog never gets empty"
            batch = self.queue.receive(BATCH)
            if not batch:
                self.clock.sleep(max(0.05, (due_ms - self.clock()) / 1000))
                continue
            puts = self.queue.puts
            self._invoke(batch, sender)
            self.clock.sleep(CALL_S * (1 + self.queue.puts - puts))

    def _invoke(self, batch: list[dict[str, str]], sender: EmailSender) -> None:
        self.busy += 1
        self.busy_max = max(self.busy_max, self.busy)
        until_ms = self.clock() + TIMEOUT_MS
        due = RequestedBatch(
            PlainDesk(sender, self.clock).send,
            self.queue,
            self.clock,
            self._random.random,
            lambda: until_ms - self.clock(),
        )
        failed = react_to_queue(batch, due.send, self.queue.delete)["batchItemFailures"]
        assert failed == []
        self.timed_out += self.clock() > until_ms
        self.busy -= 1

    def send(self, _sender: str, emails: Any) -> Any:
        """A sender that takes 80 ms for each email."""
        self.clock.sleep(0.08)
        for outgoing in emails:
            self.sent_ms[outgoing.mailbox].append(self.clock())
        return FakeSender().send("", emails)


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
    assert max(backlog.dynamodb.writes.values()) < PARTITION_WRITE_UNITS_PER_S / 4
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
    """Answers as a test sets, email after email."""

    def __init__(self, *outcomes: BaseException | None) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[RequestedEmail] = []

    def send(self, email: RequestedEmail) -> None:
        self.asked.append(email)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome


def due_emails(
    desk: Any, clock: Clock, remaining_ms: Callable[[], int] = lambda: TIMEOUT_MS
) -> tuple[RequestedBatch, MemoryQueue]:
    queue = MemoryQueue(clock)
    return RequestedBatch(desk.send, queue, clock, lambda: 0.5, remaining_ms), queue


def body(name: str = "ada", **facts: Any) -> str:
    return json.dumps({"shopper": name, "sku": "A", **facts})


def queued(queue: MemoryQueue, clock: Clock) -> list[tuple[int, RequestedEmail]]:
    """Seconds from now, and what comes then."""
    return [
        ((at_ms - clock()) // 1000, RequestedEmail.from_json(text)) for at_ms, _, text in sorted(queue.due)
    ]


def test_without_time_left_the_rest_of_a_batch_is_put_back_and_the_first_is_always_tried(
    clock: Clock,
) -> None:
    desk = OneDesk()
    due, queue = due_emails(desk, clock, lambda: EMAIL_MS_MAX - 1)
    for name in ("ada", "bob"):
        due.send(body(name))
    assert [email.shopper for email in desk.asked] == ["ada"]
    assert queued(queue, clock) == [(3, RequestedEmail("bob", "A", hops=1, tries=1))]


def test_once_the_rate_says_later_the_rest_of_the_batch_does_not_ask(clock: Clock) -> None:
    desk = OneDesk(SendRefused("rate", delay_s=7))
    due, queue = due_emails(desk, clock)
    for name in ("ada", "bob", "cyd"):
        due.send(body(name))
    assert [email.shopper for email in desk.asked] == ["ada"]
    assert [(delay_s, email.shopper) for delay_s, email in queued(queue, clock)] == [
        (11, "ada"),
        (11, "bob"),
        (11, "cyd"),
    ]


def test_a_deferred_email_is_tried_again_by_itself_and_then_given_up(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = OneDesk(*[EmailDeferred("451")] * (len(DEFERRED_S) + 1))
    due, queue = due_emails(desk, clock)
    due.send(body())
    due.send(body("bob"))
    asked_ms = [clock()]
    desk.outcomes = [EmailDeferred("451")] * len(DEFERRED_S)
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
    deferred = [line for line in lines if line["event"] == "email_deferred" and line["shopper"] == "ada"]
    assert [line["deferrals"] for line in deferred] == [1, 2, 3, 4, 5, 6]
    assert {line["reason"] for line in deferred} == {"451"}


def test_an_email_of_unknown_outcome_is_sent_once_more_and_no_more(clock: Clock) -> None:
    desk = OneDesk(OutcomeUnknown("ReadTimeoutError"), OutcomeUnknown("ReadTimeoutError"))
    due, queue = due_emails(desk, clock)
    due.send(body())
    assert queued(queue, clock) == [(UNCLEAR_WAIT_S, RequestedEmail("ada", "A", hops=1, unclear=True))]
    due.send(heappop(queue.due)[2])
    assert queue.due == []


def test_a_wrong_email_is_for_a_person_and_its_neighbours_go(clock: Clock) -> None:
    desk = OneDesk(None, SendRefused("BadRequestException", SendRefusal.INVALID), None)
    due, queue = due_emails(desk, clock)
    records = [
        {"messageId": name, "receiptHandle": "0", "body": body(name)} for name in ("ada", "bob", "cyd")
    ]
    assert react_to_queue(records, due.send)["batchItemFailures"] == [{"itemIdentifier": "bob"}]
    assert [email.shopper for email in desk.asked] == ["ada", "bob", "cyd"]
    assert queue.due == []


def test_a_worker_that_is_killed_repeats_the_one_email_it_was_sending(clock: Clock) -> None:
    desk = OneDesk(None, None, None, WorkerDied())
    due, queue = due_emails(desk, clock)
    for name in ("a", "b", "c", "d", "e"):
        queue.add(body(name))
    with pytest.raises(WorkerDied):
        react_to_queue(queue.receive(BATCH), due.send, queue.delete)
    clock.pass_s(VISIBILITY_TIMEOUT_S)
    again, _ = due_emails(desk, clock)
    react_to_queue(queue.receive(BATCH), again.send, queue.delete)
    assert [email.shopper for email in desk.asked] == ["a", "b", "c", "d", "d", "e"]
    assert queue.next_due_ms() is None


def test_a_message_that_cannot_be_deleted_was_done_all_the_same(clock: Clock) -> None:
    due, queue = due_emails(OneDesk(), clock)
    queue.add(body())

    def fail(_: str) -> None:
        raise RuntimeError

    assert react_to_queue(queue.receive(1), due.send, fail)["batchItemFailures"] == []


@pytest.mark.parametrize("text", ['{"shopper": "ada", "sku": "A"}', '{"shopper": "ada"}'])
def test_a_message_without_counters_is_read(text: str) -> None:
    email = RequestedEmail.from_json(text)
    assert (email.hops, email.tries, email.deferrals) == (0, 0, 0)
    assert json.loads(email.to_json()) == json.loads(text)


@pytest.mark.parametrize("text", ["", "3", "[]", "{}", '{"shopper": "a", "x": 1}'])
def test_any_other_message_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one of them
        RequestedEmail.from_json(text)


def test_past_its_hops_a_message_is_refused_unsent(clock: Clock) -> None:
    desk = OneDesk()
    due, queue = due_emails(desk, clock)
    due.send(body(hops=EMAIL_HOPS_MAX))
    with pytest.raises(ChainTooLong):
        due.send(body(hops=EMAIL_HOPS_MAX + 1))
    assert len(desk.asked) == 1
    assert queue.due == []


REFUSALS = st.sampled_from(["busy", "stopped", "rate", "quota", "deferred", "unknown"])
OUTCOMES: dict[str, Callable[[], BaseException]] = {
    "busy": lambda: SendRefused("TooManyRequestsException"),
    "stopped": lambda: SendRefused("SendingPausedException", SendRefusal.PAUSED),
    "rate": lambda: SendRefused("rate", delay_s=1),
    "quota": lambda: SendRefused("quota", delay_s=900),
    "deferred": lambda: EmailDeferred("451"),
    "unknown": lambda: OutcomeUnknown("ReadTimeoutError"),
}


@settings(max_examples=25, deadline=None)
@given(pattern=st.lists(REFUSALS, min_size=1, max_size=12), chance=st.floats(0, 0.99))
def test_no_answers_make_a_chain_outlast_its_hops_before_nobody_asks_for_the_email(
    pattern: list[str], chance: float
) -> None:
    clock, attempts = Clock(), count()
    begun_ms = clock()

    class Refusing:
        def send(self, _: RequestedEmail) -> None:
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
        hops = RequestedEmail.from_json(text).hops
        RequestedBatch(Refusing().send, queue, clock, lambda: chance, lambda: TIMEOUT_MS).send(text)
    assert hops <= EMAIL_HOPS_MAX


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


DEFERRED = EmailDeferred("451")
UNCLEAR = OutcomeUnknown("ReadTimeoutError")
RATE = SendRefused("rate", delay_s=7)
BUSY = SendRefused("TooManyRequestsException")


@pytest.mark.parametrize(
    ("before", "outcome", "delay_s", "after", "said"),
    [
        ({"tries": 2}, None, None, {}, {}),
        ({"tries": 2}, BUSY, 9, {"tries": 3}, {"event": "email_put_back", "reason": BUSY.reason}),
        ({}, BUSY, 3, {"tries": 1}, {"event": "email_put_back", "reason": BUSY.reason}),
        ({}, RATE, 11, {"tries": 1}, {"event": "email_put_back", "reason": "rate"}),
        ({"tries": 3}, RATE, 18, {"tries": 4}, {"event": "email_put_back", "reason": "rate"}),
        ({"tries": 9}, RATE, 900, {"tries": 10}, {"event": "email_put_back", "reason": "rate"}),
        (
            {"tries": 2},
            DEFERRED,
            60,
            {"deferrals": 1, "not_before_ms": 60_000},
            {"event": "email_deferred", "reason": "451", "deferrals": 1},
        ),
        (
            {"deferrals": 5, "tries": 1},
            DEFERRED,
            900,
            {"deferrals": 6, "not_before_ms": 86_400_000},
            {"event": "email_deferred", "reason": "451", "deferrals": 6},
        ),
        ({"deferrals": 6}, DEFERRED, None, {}, {"event": "email_given_up", "reason": "451"}),
        (
            {"tries": 2},
            UNCLEAR,
            60,
            {"tries": 2, "unclear": True},
            {"event": "email_unclear", "reason": "ReadTimeoutError", "again": True},
        ),
        (
            {"unclear": True},
            UNCLEAR,
            None,
            {},
            {"event": "email_unclear", "reason": "ReadTimeoutError", "again": False},
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
    due, queue = due_emails(desk, clock)
    due.send(body(hops=4, source="net4-a", **before))
    assert desk.asked == [RequestedEmail("ada", "A", source="net4-a", hops=4, **before)]
    if "not_before_ms" in after:
        after = {**after, "not_before_ms": clock() + after["not_before_ms"]}
    again = RequestedEmail("ada", "A", source="net4-a", hops=5, **after)
    assert queued(queue, clock) == ([] if delay_s is None else [(delay_s, again)])
    assert logged(capsys) == ([{"shopper": "ada", **said}] if said else [])


def test_an_email_that_is_not_due_is_put_on_as_it_is_and_does_not_begin_the_batch(clock: Clock) -> None:
    desk = OneDesk()
    due, queue = due_emails(desk, clock, lambda: 0)
    due.send(body(not_before_ms=clock() + 1, tries=3))
    due.send(body("bob", not_before_ms=clock() + 1_000_000))
    due.send(body("cyd", not_before_ms=clock()))
    assert [email.shopper for email in desk.asked] == ["cyd"]
    assert queued(queue, clock) == [
        (1, RequestedEmail("ada", "A", hops=1, tries=3, not_before_ms=clock() + 1)),
        (900, RequestedEmail("bob", "A", hops=1, not_before_ms=clock() + 1_000_000)),
    ]


def test_an_email_that_is_not_due_does_not_wait_for_the_rate(clock: Clock) -> None:
    due, queue = due_emails(OneDesk(RATE), clock)
    due.send(body())
    due.send(body("bob", not_before_ms=clock() + 5_000))
    due.send(body("cyd", tries=5))
    assert queued(queue, clock) == [
        (5, RequestedEmail("bob", "A", hops=1, not_before_ms=clock() + 5_000)),
        (11, RequestedEmail("ada", "A", hops=1, tries=1)),
        (72, RequestedEmail("cyd", "A", hops=1, tries=6)),
    ]


@pytest.mark.parametrize(("left_ms", "asked"), [(EMAIL_MS_MAX, ["ada", "bob"]), (EMAIL_MS_MAX - 1, ["ada"])])
def test_an_email_is_tried_while_there_is_just_time_for_one(
    clock: Clock, left_ms: int, asked: list[str]
) -> None:
    desk = OneDesk()
    due, _ = due_emails(desk, clock, lambda: left_ms)
    due.send(body())
    due.send(body("bob"))
    assert [email.shopper for email in desk.asked] == asked
    assert EMAIL_MS_MAX == 12_000


def test_one_deferral_keeps_no_other_email_of_the_batch_back(clock: Clock) -> None:
    desk = OneDesk(DEFERRED, UNCLEAR)
    due, _ = due_emails(desk, clock)
    for name in ("ada", "bob", "cyd"):
        due.send(body(name))
    assert [email.shopper for email in desk.asked] == ["ada", "bob", "cyd"]


def test_a_message_past_its_hops_is_logged_with_their_number(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    due, _ = due_emails(OneDesk(), clock)
    hops = EMAIL_HOPS_MAX + 1
    with pytest.raises(ChainTooLong) as raised:
        due.send(body(hops=hops))
    assert str(raised.value) == f"{hops} hops"
    assert logged(capsys) == [{"event": "chain_too_long", "shopper": "ada", "hops": hops}]
