"""Counters of demand equal a count of the entries, whatever becomes of the stream's records on their way."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chalicelib.domain.demand import DemandEvent, is_compared
from chalicelib.domain.entry import (
    DAY_MS,
    HOUR_MS,
    Arrival,
    EntryState,
    OptIn,
    Signup,
    position_of,
)
from chalicelib.domain.ids import Sku
from chalicelib.events import BatchNotCounted, on_day, on_entries_counted
from chalicelib.services.recount import Recount
from chalicelib.tables.demand import (
    EVENTS_MAX,
    FLOOD_EVENTS_MIN,
    DemandTable,
    EntriesCount,
    NotCounted,
    counters_of,
    event_of,
    home_part,
)
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.shards import Notified, ShardsTable
from chalicelib.tables.suppressions import ShoppersTable
from spillway.merchant.rows import EntryRows, ImportedPerson, Proof
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.containers import container_with
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.entry_stream import Record, StreamedDynamoDb
from tests.support.failing_dynamodb import FailingDynamoDb, Throttled
from tests.support.fakes import WorkerDied

SHOPPERS = [f"s{number}" for number in range(6)]
SKUS = ["A", "B", "a b"]


class Conflict(ClientError):
    """Another writer has the same item under way."""

    def __init__(self) -> None:
        reasons: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": "no"},
            "CancellationReasons": [{"Code": "TransactionConflict"}],
        }
        super().__init__(reasons, "TransactWriteItems")


class Counted:
    """An entries table, its stream, and what counts its records."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory = MemoryDynamoDb(checked=False)
        client: Any = StreamedDynamoDb(self.memory, self.clock)
        self.stream = client
        name = create_table(self.memory, "EntriesTable")
        self.stream.table = name
        self.entries_name = name
        self.entries = EntriesTable(client, name)
        self.shards = ShardsTable(client, name, create_table(self.memory, "SuppressionsTable"))
        self.shoppers = ShoppersTable(client, name)
        self.rows = EntryRows(client, name)
        self.faults = FailingDynamoDb(self.memory)
        counting: Any = self.faults
        self.demand_name = create_table(self.memory, "DemandTable")
        self.demand = DemandTable(counting, self.demand_name, sleep=self.clock.pass_s, jitter=lambda: 0.5)
        self.container = container_with(clock_ms=self.clock, demand=self.demand)

    @property
    def under_way(self) -> list[Record]:
        """The records that nobody has taken."""
        return [record for shard in self.stream.shards for record in shard]

    def deliver(self, shard: int, most: int = EVENTS_MAX) -> bool:
        """Hand the next records of a shard over, as Lambda does; they stay where that fails."""
        batch = self.stream.shards[shard][:most]
        try:
            on_entries_counted(self.container, batch)
        except (BatchNotCounted, WorkerDied):
            return False
        del self.stream.shards[shard][: len(batch)]
        return True

    def deliver_all(self) -> None:
        """Hand everything over, in batches that Lambda makes."""
        for shard, records in enumerate(self.stream.shards):
            while records:
                assert self.deliver(shard)

    def recount(self, during: Callable[[], None] = lambda: None) -> Recount:
        """A recount; `during` is called each time it waits."""
        memory: Any = self.memory

        def sleep(seconds: float) -> None:
            self.clock.pass_s(seconds)
            during()

        demand = DemandTable(memory, self.demand_name)
        return Recount(EntriesCount(memory, self.entries_name), demand, self.clock, sleep)

    def sign_up(self, shopper: str, sku: str = "A", opt_in: OptIn = OptIn.SINGLE) -> None:
        signup = Signup(shopper, f"{shopper}@example.com", sku, "/", "c", opt_in=opt_in)
        self.entries.sign_up(signup, at_ms=self.clock())

    def counters(self) -> dict[str, dict[str, int]]:
        """The counters that are compared, without zeros."""
        now_ms = self.clock()
        return {
            sku: found
            for sku, counters in self.demand.counters().items()
            if (
                found := {
                    name: number
                    for name, number in counters.items()
                    if number and is_compared(name, at_ms=now_ms)
                }
            )
        }

    def markers(self) -> int:
        return sum(key[0].startswith("counted#") for key in self.memory.items(self.demand_name))


class Counting(RuleBasedStateMachine):
    """Everything that writes entries, and everything that happens to records between the stream and us."""

    @initialize()
    def begin(self) -> None:
        self.shop = Counted()
        self.marked = 0

    # ---- Writers of entries ----

    @rule(shopper=st.sampled_from(SHOPPERS), sku=st.sampled_from(SKUS), opt_in=st.sampled_from(OptIn))
    def sign_up(self, shopper: str, sku: str, opt_in: OptIn) -> None:
        before = self.shop.entries.get(shopper, sku)
        self.shop.sign_up(shopper, sku, opt_in)
        after = self.shop.entries.get(shopper, sku)
        if before and after and before.state is EntryState.CONFIRMED:
            self.shop.entries.keep(before, after)

    @rule(shopper=st.sampled_from(SHOPPERS), skus=st.lists(st.sampled_from(SKUS), min_size=1))
    def confirm(self, shopper: str, skus: list[str]) -> None:
        for sku in skus:
            self.shop.entries.confirm(shopper, sku, at_ms=self.shop.clock())

    @rule(shopper=st.sampled_from(SHOPPERS), sku=st.sampled_from(SKUS))
    def unsubscribe(self, shopper: str, sku: str) -> None:
        self.shop.entries.unsubscribe(shopper, sku, at_ms=self.shop.clock())

    @rule(shopper=st.sampled_from(SHOPPERS), sku=st.sampled_from(SKUS))
    def undo(self, shopper: str, sku: str) -> None:
        entry = self.shop.entries.get(shopper, sku)
        if entry:
            self.shop.entries.undo(shopper, sku, signed_up_at_ms=entry.signed_up_at_ms)

    @rule(shopper=st.sampled_from(SHOPPERS))
    def erase(self, shopper: str) -> None:
        self.shop.shoppers.erase(shopper)

    @rule(sku=st.sampled_from(SKUS))
    def notify(self, sku: str) -> None:
        waiting = self.shop.shards.first_waiting(sku, limit=10)
        self.shop.shards.mark_each(
            [Notified(entry, "accepted", "m") for entry in waiting], restock_id="r", at_ms=self.shop.clock()
        )

    @rule(shopper=st.sampled_from(SHOPPERS), sku=st.sampled_from(SKUS), ask=st.booleans())
    def import_person(self, shopper: str, sku: str, ask: bool) -> None:
        signed_up_at_ms = self.shop.clock() - 3 * DAY_MS
        proof = Proof("csv", "digest", 1, "2026-01-01")
        position = position_of(signed_up_at_ms, shopper)
        person = ImportedPerson(shopper, f"{shopper}@example.com", sku, "/", signed_up_at_ms, position, proof)
        self.shop.rows.put_all([person], Arrival.NEXT_RESTOCK, ask=ask, at_ms=self.shop.clock())

    @rule(shopper=st.sampled_from(SHOPPERS), old=st.sampled_from(SKUS), new=st.sampled_from(SKUS))
    def move(self, shopper: str, old: str, new: str) -> None:
        known, there = (self.shop.rows.get(shopper, sku) for sku in (old, new))
        if known and old != new:
            now_ms = self.shop.clock()
            self.shop.rows.move(known, new, there, Arrival.NEXT_RESTOCK, at_ms=now_ms)

    @rule()
    def ttl(self) -> None:
        """DynamoDB deletes what has expired, some time after."""
        now_s = self.shop.clock() // 1000
        expired = [
            row["shopper"]["S"]
            for row in [*self.shop.memory.items(self.shop.entries_name).values()]
            if int(row.get("expires_at_s", {"N": "0"})["N"] or 0) in range(1, now_s)
        ]
        for key, row in [*self.shop.memory.items(self.shop.entries_name).items()]:
            if row["shopper"]["S"] in expired and int(row.get("expires_at_s", {"N": "0"})["N"]) in range(
                1, now_s
            ):
                self.shop.entries.table.delete({"shopper": key[0], "sku": key[1]})

    @rule(shopper=st.sampled_from(SHOPPERS))
    def count_email(self, shopper: str) -> None:
        """Write a row that is no entry, beside the entries."""
        self.shop.entries.count_requested_email(shopper, at_ms=self.shop.clock())

    @rule(hours=st.sampled_from([0.01, 1, 7, 30, 80]))
    def wait(self, hours: float) -> None:
        self.shop.clock.pass_s(hours * 3600)
        self.shop.memory.forget_tokens()

    # ---- What becomes of the records ----

    @rule(shard=st.integers(0, 1), most=st.integers(1, 9))
    def deliver(self, shard: int, most: int) -> None:
        assert self.shop.deliver(shard, most)

    @rule(shard=st.integers(0, 1), most=st.integers(1, 9))
    def deliver_twice(self, shard: int, most: int) -> None:
        """The answer is lost; the records come again, cut otherwise."""
        batch = self.shop.stream.shards[shard][:most]
        on_entries_counted(self.shop.container, batch)

    @rule(shard=st.integers(0, 1), most=st.integers(1, 9), took_effect=st.booleans())
    def crash(self, shard: int, most: int, took_effect: bool) -> None:
        self.shop.faults.fail_at(0, took_effect=took_effect)
        self.shop.deliver(shard, most)
        self.shop.faults.never_fail()

    @rule(shard=st.integers(0, 1), most=st.integers(1, 9), took_effect=st.booleans())
    def lose_the_answer(self, shard: int, most: int, took_effect: bool) -> None:
        self.shop.faults.fail_at(0, Throttled, took_effect=took_effect)
        self.shop.deliver(shard, most)
        self.shop.faults.never_fail()

    @rule(shard=st.integers(0, 1), most=st.integers(1, 9))
    def conflict(self, shard: int, most: int) -> None:
        self.shop.faults.fail_at(0, Conflict)
        assert self.shop.deliver(shard, most)
        self.shop.faults.never_fail()

    @rule(shard=st.integers(0, 1), most=st.integers(1, 9), also=st.integers(1, 9))
    def deliver_at_once(self, shard: int, most: int, also: int) -> None:
        """Another instance counts records of the same shard, again, right before this one's transaction."""
        others = iter([self.shop.stream.shards[shard][:also]])
        counting: Any = self.shop.memory
        elsewhere = container_with(
            clock_ms=self.shop.clock, demand=DemandTable(counting, self.shop.demand_name)
        )

        def first(_method: str, _request: Mapping[str, Any]) -> None:
            for batch in others:
                on_entries_counted(elsewhere, batch)

        self.shop.faults.before = first
        assert self.shop.deliver(shard, most)
        self.shop.faults.before = lambda _method, _request: None

    @rule()
    def tidy(self) -> None:
        self.shop.demand.tidy(at_ms=self.shop.clock())

    @precondition(lambda self: not self.shop.under_way)
    @rule(sku=st.sampled_from(SKUS), number=st.integers(-3, 3).filter(bool))
    def drift_and_repair(self, sku: str, number: int) -> None:
        self.shop.demand.add(sku, {"waiting": number})
        recount = self.shop.recount()
        found = recount.run()
        assert [(drift.sku, drift.counter, drift.difference) for drift in found.drifts] == [
            (sku, "waiting", -number)
        ]
        recount.repair(found)

    @rule()
    def catch_up(self) -> None:
        self.shop.deliver_all()

    @invariant()
    def counters_equal_a_count_once_nothing_is_under_way(self) -> None:
        if not hasattr(self, "shop") or self.shop.under_way:
            return
        memory: Any = self.shop.memory
        counted, _ = EntriesCount(memory, self.shop.entries_name).counters()
        now_ms = self.shop.clock()
        expected = {
            sku: {name: number for name, number in of.items() if is_compared(name, at_ms=now_ms)}
            for sku, of in counted.items()
        }
        assert self.shop.counters() == {sku: of for sku, of in expected.items() if of}

    def teardown(self) -> None:
        if not hasattr(self, "shop"):
            return
        self.shop.deliver_all()
        self.counters_equal_a_count_once_nothing_is_under_way()
        assert self.shop.recount().run().drifts == ()
        assert all(demand.waiting >= 0 for demand in self.shop.demand.all().values())


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.fixture
def shop() -> Counted:
    return Counted()


def event(number: int, sku: str = "A", **change: int) -> DemandEvent:
    return DemandEvent(f"e{number}", sku, change or {"waiting": 1}, 0)


def test_a_batch_of_as_many_skus_as_events_fits_into_one_transaction(shop: Counted) -> None:
    events = [event(number, f"sku {number}") for number in range(EVENTS_MAX)]
    assert shop.demand.count(events) == EVENTS_MAX
    assert shop.faults.calls == ["transact_write_items"]
    assert {sku: demand.waiting for sku, demand in shop.demand.all().items()} == dict.fromkeys(
        [f"sku {number}" for number in range(EVENTS_MAX)], 1
    )


def test_more_events_than_fit_are_refused_before_anything_is_written(shop: Counted) -> None:
    with pytest.raises(ValueError, match="51 events at once, 50 is the most"):
        shop.demand.count([event(number) for number in range(EVENTS_MAX + 1)])
    assert shop.markers() == 0


def test_events_that_are_counted_are_left_out_and_the_others_counted(shop: Counted) -> None:
    assert shop.demand.count([event(1), event(2)]) == 2
    assert shop.demand.count([event(2), event(3), event(4, "B"), event(1)]) == 2
    assert shop.counters() == {"A": {"waiting": 3}, "B": {"waiting": 1}}
    assert shop.demand.count([event(1), event(3)]) == 0


def test_the_same_batch_again_is_no_second_transaction_within_ten_minutes(shop: Counted) -> None:
    assert shop.demand.count([event(1), event(2)]) == 2
    assert shop.demand.count([event(1), event(2)]) == 2
    assert shop.faults.calls == ["transact_write_items"] * 2
    shop.memory.forget_tokens()
    assert shop.demand.count([event(1), event(2)]) == 0
    assert shop.counters() == {"A": {"waiting": 2}}


def test_a_batch_that_an_earlier_version_counted_in_other_words_is_not_counted_again(shop: Counted) -> None:
    assert shop.demand.count([event(1, waiting=1)]) == 1
    assert shop.demand.count([event(1, waiting=1, pending=1)]) == 0
    assert shop.counters() == {"A": {"waiting": 1}}


def test_conflicts_are_tried_again_after_longer_and_longer_pauses_and_then_given_up(shop: Counted) -> None:
    began_ms = shop.clock()

    def always(_method: str, _request: Mapping[str, Any]) -> None:
        raise Conflict

    shop.faults.before = always
    with pytest.raises(NotCounted, match="1 events"):
        shop.demand.count([event(1)])
    assert len(shop.faults.calls) == 8
    # Half of 20 ms, 40 ms and so on, by this jitter.
    assert shop.clock() - began_ms == sum(10 * 2**attempt for attempt in range(8))
    assert shop.markers() == 0


def test_a_few_records_of_a_sku_are_counted_in_its_own_part_and_a_flood_is_spread(shop: Counted) -> None:
    shop.demand.count([event(number, "few") for number in range(FLOOD_EVENTS_MIN - 1)])
    for batch in range(40):
        shop.demand.count([event(1000 * batch + number, "many") for number in range(FLOOD_EVENTS_MIN)])
    parts = Counter(row["sku"] for row in shop.demand.rows())
    assert parts["few"] == 1
    assert parts["many"] > 10
    assert [row["part"] for row in shop.demand.rows() if row["sku"] == "few"] == [home_part("few")]
    assert shop.demand.all()["many"].waiting == 40 * FLOOD_EVENTS_MIN


def test_changes_that_cancel_out_are_marked_and_write_no_counter(shop: Counted) -> None:
    assert shop.demand.count([event(1, waiting=1), event(2, waiting=-1)]) == 2
    assert shop.markers() == 2
    assert list(shop.demand.rows()) == []
    # Cut otherwise, each of them is known.
    shop.demand.count([event(2, waiting=-1)])
    assert shop.counters() == {}


def test_a_record_that_changes_no_counter_costs_nothing(shop: Counted) -> None:
    shop.sign_up("ada")
    shop.deliver_all()
    entry = shop.entries.get("ada", "A")
    assert entry is not None
    shop.shards.defer(entry, restock_id="r")
    shop.entries.count_requested_email("ada", at_ms=shop.clock())
    (deferred, counter) = shop.under_way
    assert [event_of(record, at_ms=0) for record in (deferred, counter)] == [None, None]
    calls = len(shop.faults.calls)
    shop.deliver_all()
    assert (shop.markers(), len(shop.faults.calls)) == (1, calls)


def test_a_marker_outlives_each_way_in_which_its_record_can_come_again(shop: Counted) -> None:
    shop.sign_up("ada")
    (record,) = shop.under_way
    shop.deliver_all()
    (marker,) = [row for key, row in shop.memory.items(shop.demand_name).items() if "counted#" in key[0]]
    written_at_s = int(record["dynamodb"]["ApproximateCreationDateTime"])
    assert int(marker["expires_at_s"]["N"]) - written_at_s >= 2 * 24 * 3600


def test_a_record_without_a_time_counts_as_written_now() -> None:
    shop = Counted()
    shop.sign_up("ada")
    (record,) = shop.under_way
    del record["dynamodb"]["ApproximateCreationDateTime"]
    found = event_of(record, at_ms=shop.clock() + 60 * HOUR_MS)
    # Its hour is not kept any more by then.
    assert found is not None
    assert set(found.change) == {"waiting", f"w{shop.clock() // DAY_MS}"}


# ---- Recounts ----


def test_a_recount_finds_what_was_never_counted_and_repairs_it(shop: Counted) -> None:
    for shopper in SHOPPERS:
        shop.sign_up(shopper)
    shop.sign_up("ada", "B", OptIn.DOUBLE)
    shop.stream.shards[0].clear()
    shop.stream.shards[1].clear()
    recount, hour, day = shop.recount(), shop.clock() // HOUR_MS, shop.clock() // DAY_MS
    found = recount.run()
    assert (found.entries, found.skus, found.looks) == (7, 2, 3)
    assert [(drift.sku, drift.counter, drift.counted, drift.stored) for drift in found.drifts] == [
        ("A", f"h{hour}", 6, 0),
        ("A", f"w{day}", 6, 0),
        ("A", "waiting", 6, 0),
        ("B", f"h{hour}", 1, 0),
        ("B", "pending", 1, 0),
    ]
    assert found.drift == 20
    recount.repair(found)
    again = recount.run()
    assert (again.drifts, again.drift, again.looks) == ((), 0, 1)
    assert shop.demand.all()["A"].waiting == 6


def test_a_recount_finds_counters_of_entries_that_are_not_there(shop: Counted) -> None:
    shop.demand.add("gone", {"pending": 2})
    recount = shop.recount()
    found = recount.run()
    assert [(drift.sku, drift.difference) for drift in found.drifts] == [("gone", -2)]
    recount.repair(found)
    assert shop.demand.all()["gone"].pending == 0


def test_records_in_flight_are_no_drift(shop: Counted) -> None:
    shop.sign_up("ada")
    found = shop.recount(during=shop.deliver_all).run()
    assert (found.drifts, found.looks) == ((), 1)


def test_a_flood_during_a_recount_is_no_drift(shop: Counted) -> None:
    """New entries come in, and are counted, between each look's count and the counters read after it."""
    names = iter(range(100))

    class Flooded(EntriesCount):
        def counters(self) -> tuple[dict[Sku, Counter[str]], int]:
            counted = super().counters()
            for _ in range(5):
                shop.sign_up(f"late{next(names)}")
            shop.deliver_all()
            return counted

    memory: Any = shop.memory
    entries = Flooded(memory, shop.entries_name)
    found = Recount(entries, shop.demand, shop.clock, shop.clock.pass_s).run()
    assert (found.drifts, found.looks) == ((), 1)
    assert shop.demand.all()["A"].waiting == 5


@pytest.mark.parametrize(("counted", "drift"), [((2, 0), []), ((3, 2), [1]), ((2, 3), [1]), ((0, 2, 0), [])])
def test_a_drift_is_the_smallest_of_all_looks_and_none_if_its_sign_changes(
    shop: Counted, counted: tuple[int, ...], drift: list[int]
) -> None:
    numbers = iter([*counted, counted[-1], counted[-1]])

    class Scripted(EntriesCount):
        def counters(self) -> tuple[dict[Sku, Counter[str]], int]:
            return {Sku("A"): Counter(waiting=next(numbers))}, 1

    memory: Any = shop.memory
    shop.demand.add("A", {"waiting": 1})
    entries = Scripted(memory, shop.entries_name)
    found = Recount(entries, shop.demand, shop.clock, shop.clock.pass_s).run()
    assert [item.difference for item in found.drifts] == drift


def test_a_repair_during_a_flood_keeps_what_is_counted_meanwhile(shop: Counted) -> None:
    for shopper in SHOPPERS:
        shop.sign_up(shopper)
    shop.deliver_all()
    shop.demand.add("A", {"waiting": -4})
    recount = shop.recount()
    found = recount.run()
    for number in range(3):
        shop.sign_up(f"late{number}")
    shop.deliver_all()
    recount.repair(found)
    assert shop.demand.all()["A"].waiting == len(SHOPPERS) + 3


def test_hours_that_are_not_shown_any_more_are_not_compared(shop: Counted) -> None:
    shop.sign_up("ada")
    shop.deliver_all()
    shop.demand.add("A", {f"h{shop.clock() // HOUR_MS}": 7})
    assert len(shop.recount().run().drifts) == 1
    shop.clock.pass_s(48 * 3600)
    assert shop.recount().run().drifts == ()


# ---- The daily tidying ----


def test_tidying_moves_a_floods_counters_home_and_drops_what_is_over(shop: Counted) -> None:
    for batch in range(30):
        # Enough for a flood in each of both shards.
        for number in range(3 * FLOOD_EVENTS_MIN):
            shop.sign_up(f"s{batch}-{number}")
        shop.deliver_all()
    before = shop.counters()
    assert len(list(shop.demand.rows())) > 10
    shop.demand.tidy(at_ms=shop.clock())
    assert shop.counters() == before
    filled = [row for row in shop.demand.rows() if any(counters_of(row).values())]
    assert [row["part"] for row in filled] == [home_part("A")]
    # Everybody is notified; the day of their confirmation and the hour of their signup are over.
    waiting = shop.shards.first_waiting("A", limit=500)
    notified = [Notified(entry, "accepted", "m") for entry in waiting]
    shop.shards.mark_each(notified, restock_id="r", at_ms=shop.clock())
    shop.clock.pass_s(60 * 3600)
    for _ in range(2):
        shop.deliver_all()
        shop.demand.tidy(at_ms=shop.clock())
    assert {name for row in shop.demand.rows() for name in counters_of(row)} == {"waiting"}
    assert shop.demand.all()["A"].waiting == 0


def test_a_day_that_somebody_counts_in_meanwhile_is_not_dropped(shop: Counted) -> None:
    shop.demand.add("A", {"w5": 1})
    shop.demand.add("A", {"w5": -1})

    def first(method: str, request: Mapping[str, Any]) -> None:
        if method == "update_item" and "REMOVE" in request["UpdateExpression"]:
            shop.faults.before = lambda _method, _request: None
            shop.demand.add("A", {"w5": 1})

    shop.faults.before = first
    shop.demand.tidy(at_ms=shop.clock())
    assert shop.demand.all()["A"].waiting_by_day == {5: 1}


def test_the_daily_recount_publishes_the_drift_as_a_metric_without_naming_anybody(
    shop: Counted, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sign_up("ada")
    shop.stream.shards[0].clear()
    shop.stream.shards[1].clear()
    on_day(container_with(clock_ms=shop.clock, demand=shop.demand, recount=shop.recount()))
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert '"demand_drift": 3' in lines[-1]
    assert '"function": "recount_demand"' in lines[-1]
    assert '"Name": "demand_drift"' in lines[-1]
    assert len(lines) == 4
    assert "ada" not in out


def test_an_entry_that_is_read_has_no_address(shop: Counted) -> None:
    shop.sign_up("ada")
    asked: list[Mapping[str, Any]] = []
    shop.faults.before = lambda _method, request: asked.append(request)
    client: Any = shop.faults
    EntriesCount(client, shop.entries_name).counters()
    (request,) = asked
    assert request["ConsistentRead"] is True
    names = request.get("ExpressionAttributeNames", {})
    read = {names.get(word, word) for word in request["ProjectionExpression"].split(", ")}
    assert read == {"sku", "state", "signed_up_at_ms", "confirmed_at_ms", "arrived_at_ms"}


class Listening:
    """Emits events of demand into a list, or refuses them."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        self.refuses = False

    def may_have_consumers(self, _: object) -> bool:
        return True

    def emit_or_keep(self, events: list[Any]) -> None:
        if self.refuses:
            raise RuntimeError
        self.passed += [event.data["waiting"] for event in events]


def test_no_number_of_people_is_left_out_by_large_batches_or_batches_at_once() -> None:
    shop, listening = Counted(), Listening()
    vars(shop.container)["event_emitter"] = listening
    for number in range(45):
        shop.sign_up(f"s{number}")
    shop.deliver_all()
    assert listening.passed == [10, 25], "each batch may pass several"
    # Others count 200 more before this batch looks: far above 50 and 100.
    shop.demand.add(Sku("A"), {"waiting": 200})
    shop.sign_up("late")
    shop.deliver_all()
    assert listening.passed == [10, 25, 50, 100]
    shop.sign_up("later")
    shop.deliver_all()
    assert listening.passed == [10, 25, 50, 100], "a number is passed once"
    shop.demand.add(Sku("A"), {"waiting": -160})
    shop.sign_up("fewer")
    shop.deliver_all()
    shop.demand.add(Sku("A"), {"waiting": 20})
    shop.sign_up("again")
    shop.deliver_all()
    assert listening.passed == [10, 25, 50, 100, 100], "less than 100 wait in between"


def test_numbers_whose_event_is_refused_are_emitted_with_the_batch_that_comes_again() -> None:
    shop, listening = Counted(), Listening()
    vars(shop.container)["event_emitter"] = listening
    for number in range(12):
        shop.sign_up(f"s{number}")
    listening.refuses = True
    shards = [shard for shard, records in enumerate(shop.stream.shards) if records]
    assert not any(shop.deliver(shard) for shard in shards)
    # Meanwhile many more sign up.
    shop.demand.add(Sku("A"), {"waiting": 100})
    listening.refuses = False
    shop.deliver_all()
    assert listening.passed == [10, 25, 50, 100]


def test_an_older_look_at_the_demand_does_not_take_back_a_number_that_was_passed() -> None:
    demand = Counted().demand
    sku = Sku("A")
    assert demand.passed([sku]) == {sku: 0}
    assert demand.put_passed(sku, 25, known=0)
    assert not demand.put_passed(sku, 10, known=0)
    assert demand.put_passed(sku, 0, known=25)
    assert demand.put_passed(sku, 10, known=0)
    assert demand.passed([sku, Sku("B")]) == {sku: 10, "B": 0}
