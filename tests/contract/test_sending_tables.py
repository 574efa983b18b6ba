"""What a fan-out's tables promise, in memory, over moto and over the local cloud alike."""

from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.entry import Entry, EntryState, Signup, line_of, lines_of, place_after_all
from chalicelib.domain.pace import UNLIMITED, Limits
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.leases import LeasesTable
from chalicelib.tables.line import LineTable, MarksNotWritten, Told
from chalicelib.tables.pace import HOUR_MS, PaceTable
from chalicelib.tables.progress import ALL_LINES, ProgressTable
from chalicelib.tables.suppressions import SuppressionsTable
from chalicelib.tables.webhooks import WebhooksTable
from tests.aws import create_table
from tests.clock import Clock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

LEASE_MS = 30_000


class Tables:
    """Everything a fan-out reads and writes."""

    def __init__(self, client: "DynamoDBClient", clock: Clock) -> None:
        entries, sending = create_table(client, "EntriesTable"), create_table(client, "SendingTable")
        self.clock = clock
        self.entries = EntriesTable(client, entries)
        suppressions = create_table(client, "SuppressionsTable")
        self.suppressions = SuppressionsTable(client, suppressions)
        self.line = LineTable(client, entries, suppressions, pause=clock.pass_s)
        self.leases = LeasesTable(client, sending)
        self.progress = ProgressTable(client, sending)
        self.pace = PaceTable(client, sending)

    def join(self, *shoppers: str) -> list[Entry]:
        """Shoppers sign up and confirm, in this order."""
        joined = []
        for shopper in shoppers:
            self.entries.ask(Signup(shopper, f"{shopper}@example.com", "A", "/", "c"), at_ms=self.clock())
            self.entries.confirm(shopper, "A", at_ms=self.clock())
            self.clock.pass_s(1)
            entry = self.entries.get(shopper, "A")
            assert entry is not None
            joined.append(entry)
        return joined

    def mark(self, *entries: Entry) -> int:
        """Mark entries as told, and count them."""
        told = [Told(entry, "accepted", f"m-{entry.shopper}") for entry in entries]
        counting = self.progress.count("r1", "A#1", at_ms=self.clock(), told=len(told))
        return self.line.mark_told(told, restock_id="r1", at_ms=self.clock(), counting=[counting])

    def state(self, shopper: str) -> EntryState:
        """The state of an entry."""
        entry = self.entries.get(shopper, "A")
        assert entry is not None
        return entry.state


@pytest.fixture
def tables(dynamodb: "DynamoDBClient", clock: Clock) -> Tables:
    return Tables(dynamodb, clock)


def test_the_line_is_in_the_order_of_joining_and_bounded(tables: Tables) -> None:
    shoppers = [name for name in "abcdefghijklmnopqrstuvwxyz" if line_of("A", name) == line_of("A", "b")]
    assert len(shoppers) >= 3
    tables.join(*reversed(shoppers))
    bound = place_after_all(tables.clock() - 2000)
    line = line_of("A", "b")
    first = tables.line.waiting(line, after="", upto=bound, limit=2)
    assert [entry.shopper for entry in first.entries] == shoppers[::-1][:2]
    assert first.more
    rest = tables.line.waiting(line, after=first.entries[-1].place or "", upto=bound, limit=20)
    assert [entry.shopper for entry in rest.entries] == shoppers[::-1][2:-1]
    assert not rest.more


def test_the_first_of_all_shards_are_the_first(tables: Tables) -> None:
    names = [f"s{number}" for number in range(12)]
    tables.join(*names)
    first = tables.line.first_waiting("A", upto=place_after_all(tables.clock()), limit=7)
    assert [entry.shopper for entry in first] == names[:7]
    assert tables.line.count("A") == 12
    assert tables.line.count("B") == 0


def test_only_who_still_waits_and_may_be_mailed_is_found(tables: Tables) -> None:
    ada, bob, cyd, dan = tables.join("ada", "bob", "cyd", "dan")
    tables.entries.leave("bob", "A", at_ms=tables.clock())
    tables.suppressions.suppress("dan", reason="complaint", at_ms=tables.clock())
    now = tables.line.still_waiting([cyd, bob, ada, dan])
    assert now.may_be_mailed == (cyd, ada)
    assert now.suppressed == (dan,)
    assert tables.line.still_waiting([]).may_be_mailed == ()


def test_who_left_and_came_back_is_not_taken_for_the_one_who_stood_there(tables: Tables) -> None:
    (ada,) = tables.join("ada")
    tables.entries.leave("ada", "A", at_ms=tables.clock())
    tables.clock.pass_s(3600)
    tables.join("ada")
    assert tables.line.still_waiting([ada]).may_be_mailed == ()


def test_told_entries_wait_no_more_and_are_counted(tables: Tables) -> None:
    assert tables.mark(*tables.join("ada", "bob")) == 2
    assert tables.state("ada") is EntryState.NOTIFIED
    assert tables.line.count("A") == 0
    assert tables.progress.of("r1", ["A#1"]).told == 2


def test_who_left_during_the_sending_stays_gone_and_the_others_are_marked(tables: Tables) -> None:
    ada, bob, cyd = tables.join("ada", "bob", "cyd")
    tables.entries.leave("bob", "A", at_ms=tables.clock())
    assert tables.mark(ada, bob, cyd) == 2
    assert [tables.state(name) for name in ("ada", "bob", "cyd")] == ["notified", "left", "notified"]


def test_marking_twice_is_marking_once(tables: Tables) -> None:
    entries = tables.join("ada", "bob")
    tables.mark(*entries)
    assert tables.mark(*entries) == 0


def test_a_mark_does_not_touch_who_came_back_meanwhile(tables: Tables) -> None:
    (ada,) = tables.join("ada")
    tables.entries.leave("ada", "A", at_ms=tables.clock())
    tables.clock.pass_s(3600)
    tables.join("ada")
    assert tables.mark(ada) == 0
    assert tables.state("ada") is EntryState.CONFIRMED


# moto does not understand a statement that sets more than one attribute.
@pytest.mark.parametrize("dynamodb", ["memory", "local_cloud"], indirect=True)
def test_marks_each_for_itself_are_of_who_still_waits(tables: Tables) -> None:
    names = [f"s{number:02}" for number in range(28)]
    entries = tables.join(*names)
    tables.entries.leave("s01", "A", at_ms=tables.clock())
    for _ in range(2):
        told = [Told(entry, "accepted", f"m-{entry.shopper}") for entry in entries]
        tables.line.mark_each(told, restock_id="r1", at_ms=tables.clock())
    assert tables.state("s01") is EntryState.LEFT
    assert {tables.state(name) for name in names if name != "s01"} == {EntryState.NOTIFIED}
    assert tables.line.count("A") == 0


def test_of_marks_each_for_itself_only_those_in_the_way_are_tried_again() -> None:
    class Busy:
        """Two of three are done at once, the third is when it comes alone."""

        def __init__(self) -> None:
            self.calls: list[int] = []

        def batch_execute_statement(self, Statements: list[object]) -> object:  # noqa: N803 - boto3's name
            self.calls.append(len(Statements))
            codes = ["ConditionalCheckFailed", None, "ThrottlingError"] if len(Statements) == 3 else [None]
            return {"Responses": [{"Error": {"Code": code}} if code else {} for code in codes]}

    client = Busy()
    line = LineTable(client, "entries", "suppressions", pause=lambda _: None)  # type: ignore[arg-type]
    told = [Told(Entry(n, "A", "", EntryState.CONFIRMED, 1, f"1#{n}"), "accepted", "m") for n in "abc"]
    line.mark_each(told, restock_id="r", at_ms=1)
    assert client.calls == [3, 1]


def test_marks_that_others_always_get_in_the_way_of_are_given_up() -> None:
    from botocore.exceptions import ClientError

    class Busy:
        def transact_write_items(self, TransactItems: list[object]) -> None:  # noqa: N803 - boto3's name
            reasons = [{"Code": "TransactionConflict"} for _ in TransactItems]
            answer = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(answer, "TransactWriteItems")  # type: ignore[arg-type]

    pauses_s: list[float] = []
    line = LineTable(Busy(), "entries", "suppressions", pause=pauses_s.append)  # type: ignore[arg-type]
    entry = Entry("ada", "A", "ada@example.com", EntryState.CONFIRMED, 1, "1#ada")
    with pytest.raises(MarksNotWritten):
        line.mark_told([Told(entry, "accepted", "m")], restock_id="r", at_ms=1)
    assert len(pauses_s) > 3


def test_only_one_worker_holds_a_line(tables: Tables) -> None:
    now_ms = tables.clock()
    assert tables.leases.take(["A#1"], holder="w1", at_ms=now_ms, lease_ms=LEASE_MS)
    assert not tables.leases.take(["A#1"], holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)
    tables.leases.release(["A#1"], holder="w2")
    assert not tables.leases.take(["A#1"], holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)
    tables.leases.release(["A#1"], holder="w1")
    assert tables.leases.take(["A#1"], holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)


def test_all_lines_are_taken_or_none(tables: Tables) -> None:
    now_ms, lines = tables.clock(), lines_of("A")
    assert tables.leases.take([lines[3]], holder="w1", at_ms=now_ms, lease_ms=LEASE_MS)
    assert not tables.leases.take(lines, holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)
    assert tables.leases.take([lines[0]], holder="w3", at_ms=now_ms, lease_ms=LEASE_MS)
    tables.leases.release(lines, holder="w1")
    tables.leases.release(lines, holder="w3")
    assert tables.leases.take(lines, holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)


def test_a_dead_workers_lease_ends_by_itself(tables: Tables) -> None:
    tables.leases.take(["A#1"], holder="dead", at_ms=tables.clock(), lease_ms=LEASE_MS)
    tables.clock.pass_s(LEASE_MS / 1000 + 1)
    assert tables.leases.take(["A#1"], holder="w2", at_ms=tables.clock(), lease_ms=LEASE_MS)


def test_turns_follow_one_another_and_none_is_too_far(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.pace.put_limits(Limits(10.0, 1000), at_ms=now_ms, known=None)

    def take() -> int | None:
        return tables.pace.take(10, cost_us=1_000_000, at_ms=now_ms, wait_ms_max=2_000)

    assert [take() for _ in range(5)] == [now_ms, now_ms + 1000, now_ms + 2000, None, None]
    state = tables.pace.state()
    assert state is not None
    assert state.letters_left == 1000 - 30


def test_a_quota_is_never_overdrawn(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.pace.put_limits(Limits(10.0, 15), at_ms=now_ms, known=None)
    taken = [tables.pace.take(10, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) for _ in range(3)]
    assert [turn is not None for turn in taken] == [True, False, False]


def test_of_several_who_read_the_limits_the_first_ones_stay(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.pace.put_limits(Limits(10.0, UNLIMITED), at_ms=now_ms, known=None)
    tables.pace.put_limits(Limits(99.0, 1), at_ms=now_ms, known=None)
    state = tables.pace.state()
    assert state is not None
    assert (state.rate_per_s, state.letters_left) == (10.0, UNLIMITED)


def test_nothing_leaves_while_sending_is_paused(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.pace.put_limits(Limits(10.0, 100), at_ms=now_ms, known=None)
    assert tables.pace.pause("bounces")
    assert not tables.pace.pause("complaints")
    assert tables.pace.take(1, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is None
    state = tables.pace.state()
    assert state is not None
    assert state.paused == "bounces"
    assert tables.pace.resume()
    assert not tables.pace.resume()


def test_limits_read_anew_leave_what_others_took_meanwhile_taken(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.pace.put_limits(Limits(10.0, 100), at_ms=now_ms, known=None)
    known = tables.pace.state()
    assert tables.pace.take(30, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is not None
    tables.pace.put_limits(Limits(20.0, 100), at_ms=now_ms + 1, known=known)
    state = tables.pace.state()
    assert state is not None
    assert (state.rate_per_s, state.letters_left) == (20.0, 70)


def test_resuming_counts_letters_anew_but_for_the_days_quota(tables: Tables) -> None:
    now_ms = tables.clock()
    hour = now_ms // HOUR_MS
    for _ in range(2):
        tables.pace.put_limits(Limits(10.0, 100), at_ms=now_ms, known=tables.pace.state())
        assert tables.pace.take(30, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is not None
        tables.pace.pause("bounces")
        assert tables.pace.resume()
    state = tables.pace.state()
    assert state is not None
    assert state.letters_since(hour - 23) == 0
    assert state.left_of(100, this_hour=hour) == 40
    assert state.left_of(50, this_hour=hour) == 0
    assert state.left_of(100, this_hour=hour + 25) == 100


def test_a_wave_has_its_letters_once(tables: Tables) -> None:
    progress, (ada, bob) = tables.progress, tables.join("ada", "bob")
    progress.begin_wave("r1", 1, letters=5, at_ms=1)
    told = [Told(ada, "accepted", "m1"), Told(bob, "accepted", "m2")]
    counting = [progress.count("r1", ALL_LINES, at_ms=7, told=2), progress.take_from_wave("r1", 2)]
    tables.line.mark_told(told, restock_id="r1", at_ms=7, counting=counting)
    progress.begin_wave("r1", 1, letters=5, at_ms=8)
    wave = progress.wave("r1")
    assert (wave.number, wave.letters_left, wave.announced) == (1, 3, 0)
    progress.announce("r1", 2)
    progress.begin_wave("r1", 2, letters=9, at_ms=9)
    wave = progress.wave("r1")
    assert (wave.number, wave.letters_left, wave.announced) == (2, 9, 2)
    assert progress.of("r1", lines_of("A")).told == 2
    assert progress.wave("r2").number == 0


def test_a_webhook_is_taken_in_for_the_first_time_once(dynamodb: "DynamoDBClient") -> None:
    webhooks = WebhooksTable(dynamodb, create_table(dynamodb, "SendingTable"))
    assert [webhooks.first_time("d1", at_ms=1), webhooks.first_time("d1", at_ms=2)] == [True, False]
    assert webhooks.first_time("d2", at_ms=3)


def test_an_unclear_batch_is_noted_once(tables: Tables) -> None:
    assert tables.progress.first_unclear("r1", "A#1", "1#ada")
    assert not tables.progress.first_unclear("r1", "A#1", "1#ada")
    assert tables.progress.first_unclear("r1", "A#1", "2#bob")
