"""Promises of a waitlist shard: who is next, who still waits, who was notified; in memory, over moto and
over the local cloud alike."""

import pytest

from chalicelib.domain.entry import Entry, EntryState, Signup, position_after_all, shard_of
from chalicelib.domain.suppression import MailboxHistory
from chalicelib.tables.shards import MarksNotWritten, Notified, ShardsTable
from tests.contract.conftest import Tables


def test_a_shard_is_in_the_order_of_joining_and_bounded(tables: Tables) -> None:
    shoppers = [name for name in "abcdefghijklmnopqrstuvwxyz" if shard_of("A", name) == shard_of("A", "b")]
    assert len(shoppers) >= 3
    tables.join(*reversed(shoppers))
    bound = position_after_all(tables.clock() - 2000)
    shard = shard_of("A", "b")
    first = tables.shards.waiting(shard, after="", upto=bound, limit=2)
    assert [entry.shopper for entry in first.entries] == shoppers[::-1][:2]
    assert first.more
    rest = tables.shards.waiting(shard, after=first.entries[-1].position or "", upto=bound, limit=20)
    assert [entry.shopper for entry in rest.entries] == shoppers[::-1][2:-1]
    assert not rest.more


def test_the_first_of_all_shards_are_the_first(tables: Tables) -> None:
    names = [f"s{number}" for number in range(12)]
    tables.join(*names)
    first = tables.shards.first_waiting("A", limit=7)
    assert [entry.shopper for entry in first] == names[:7]
    assert tables.shards.count("A") == 12
    assert tables.shards.count("B") == 0


def test_only_who_still_waits_and_may_be_mailed_is_found(tables: Tables) -> None:
    ada, bob, cyd, dan = tables.join("ada", "bob", "cyd", "dan")
    tables.entries.unsubscribe("bob", "A", at_ms=tables.clock())
    tables.suppressions.suppress("dan", reason="complaint", at_ms=tables.clock())
    now = tables.shards.still_waiting([cyd, bob, ada, dan])
    assert now.may_be_mailed == (cyd, ada)
    assert now.suppressed == (dan,)
    # A confirmation of dan's is about to lift it: neither mailed nor taken out of the shard.
    retrying = MailboxHistory(bounced=frozenset({1}), retried_at_ms=2)
    tables.suppressions.change("dan", lambda _: retrying)
    now = tables.shards.still_waiting([cyd, bob, ada, dan])
    assert (now.may_be_mailed, now.suppressed) == ((cyd, ada), ())
    tables.suppressions.change("dan", lambda known: known.confirmed(at_ms=3))
    assert tables.shards.still_waiting([dan]).may_be_mailed == (dan,)
    assert tables.shards.still_waiting([]).may_be_mailed == ()


def test_people_still_waiting_are_found_with_the_page_of_their_signup(tables: Tables) -> None:
    ada = Signup("ada", "ada@example.com", "A", "/de/products/jacket", "c")
    tables.entries.sign_up(ada, at_ms=tables.clock())
    tables.entries.confirm("ada", "A", at_ms=tables.clock())
    (waiting,) = tables.shards.first_waiting("A", limit=1)
    # The index does not have the page.
    assert (waiting.page, waiting.mailbox) == ("/", "ada@example.com")
    (found,) = tables.shards.still_waiting([waiting]).may_be_mailed
    assert found.page == "/de/products/jacket"


def test_an_entry_signed_up_again_is_not_marked_for_its_earlier_signup(tables: Tables) -> None:
    (ada,) = tables.join("ada")
    tables.entries.unsubscribe("ada", "A", at_ms=tables.clock())
    tables.clock.pass_s(3600)
    tables.join("ada")
    assert tables.shards.still_waiting([ada]).may_be_mailed == ()


def test_notified_entries_wait_no_more_and_are_counted(tables: Tables) -> None:
    assert tables.mark(*tables.join("ada", "bob")) == 2
    assert tables.state("ada") is EntryState.NOTIFIED
    assert tables.shards.count("A") == 0
    assert tables.progress.of("r1", ["A#1"]).notified == 2


def test_an_entry_unsubscribed_during_a_batch_stays_so_and_the_others_are_marked(tables: Tables) -> None:
    ada, bob, cyd = tables.join("ada", "bob", "cyd")
    tables.entries.unsubscribe("bob", "A", at_ms=tables.clock())
    assert tables.mark(ada, bob, cyd) == 2
    assert [tables.state(name) for name in ("ada", "bob", "cyd")] == ["notified", "unsubscribed", "notified"]


def test_marking_twice_is_marking_once(tables: Tables) -> None:
    entries = tables.join("ada", "bob")
    tables.mark(*entries)
    assert tables.mark(*entries) == 0


def test_a_mark_does_not_touch_who_came_back_meanwhile(tables: Tables) -> None:
    (ada,) = tables.join("ada")
    tables.entries.unsubscribe("ada", "A", at_ms=tables.clock())
    tables.clock.pass_s(3600)
    tables.join("ada")
    assert tables.mark(ada) == 0
    assert tables.state("ada") is EntryState.CONFIRMED


# moto does not understand a statement that sets more than one attribute.
@pytest.mark.parametrize("dynamodb", ["memory", "local_cloud"], indirect=True)
def test_marks_each_for_itself_are_of_who_still_waits(tables: Tables) -> None:
    names = [f"s{number:02}" for number in range(28)]
    entries = tables.join(*names)
    tables.entries.unsubscribe("s01", "A", at_ms=tables.clock())
    for _ in range(2):
        marked = [Notified(entry, "accepted", f"m-{entry.shopper}") for entry in entries]
        tables.shards.mark_each(marked, restock_id="r1", at_ms=tables.clock())
    assert tables.state("s01") is EntryState.UNSUBSCRIBED
    assert {tables.state(name) for name in names if name != "s01"} == {EntryState.NOTIFIED}
    assert tables.shards.count("A") == 0


def test_single_marks_are_retried_only_where_they_conflicted() -> None:
    class Busy:
        """Two of three are done at once, the third is when it comes alone."""

        def __init__(self) -> None:
            self.calls: list[int] = []

        def batch_execute_statement(self, Statements: list[object]) -> object:  # noqa: N803 - boto3's name
            self.calls.append(len(Statements))
            codes = ["ConditionalCheckFailed", None, "ThrottlingError"] if len(Statements) == 3 else [None]
            return {"Responses": [{"Error": {"Code": code}} if code else {} for code in codes]}

    client = Busy()
    shards = ShardsTable(client, "entries", "suppressions", sleep=lambda _: None)
    marked = [Notified(Entry(n, "A", "", EntryState.CONFIRMED, 1, f"1#{n}"), "accepted", "m") for n in "abc"]
    shards.mark_each(marked, restock_id="r", at_ms=1)
    assert client.calls == [3, 1]


def test_marks_that_conflict_at_each_attempt_are_given_up() -> None:
    from botocore.exceptions import ClientError

    class Busy:
        def transact_write_items(self, TransactItems: list[object]) -> None:  # noqa: N803 - boto3's name
            reasons = [{"Code": "TransactionConflict"} for _ in TransactItems]
            answer = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(answer, "TransactWriteItems")

    pauses_s: list[float] = []
    shards = ShardsTable(Busy(), "entries", "suppressions", sleep=pauses_s.append)
    entry = Entry("ada", "A", "ada@example.com", EntryState.CONFIRMED, 1, "1#ada")
    with pytest.raises(MarksNotWritten):
        shards.mark_batch([Notified(entry, "accepted", "m")], restock_id="r", at_ms=1)
    assert len(pauses_s) > 3


def test_an_entry_deferred_for_a_restock_is_left_out_of_its_walks_and_no_others(tables: Tables) -> None:
    ada, bob = tables.join("ada", "bob")
    assert tables.shards.defer(ada, restock_id="r1")
    assert not tables.shards.defer(ada, restock_id="r1")

    def found(**about: str) -> list[str]:
        now = tables.shards.still_waiting([ada, bob], **about)
        return [entry.shopper for entry in now.may_be_mailed]

    assert found(not_deferred_for="r1") == ["bob"]
    assert found(not_deferred_for="r2") == found() == ["ada", "bob"]
    assert tables.shards.defer(ada, restock_id="r2")
    assert found(not_deferred_for="r2") == ["bob"]


def test_a_repeated_signup_ends_the_deferral(tables: Tables) -> None:
    (ada,) = tables.join("ada")
    tables.shards.defer(ada, restock_id="r1")
    tables.entries.unsubscribe("ada", "A", at_ms=tables.clock())
    assert not tables.shards.defer(ada, restock_id="r2")
    tables.clock.pass_s(3600)
    (again,) = tables.join("ada")
    now = tables.shards.still_waiting([again], not_deferred_for="r1")
    assert [entry.shopper for entry in now.may_be_mailed] == ["ada"]


def test_the_first_after_a_place_are_those_behind_it_in_any_shard(tables: Tables) -> None:
    entries = tables.join(*[f"s{number}" for number in range(12)])
    after = entries[4].position
    assert after is not None
    found = tables.shards.first_waiting("A", after=after, limit=3)
    assert [entry.shopper for entry in found] == ["s5", "s6", "s7"]
