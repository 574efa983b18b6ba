"""Rows of the sending table: leases, sending rate, progress; in memory, over moto and over the local
cloud alike."""

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import HOUR_MS, shards_of
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.stock import tag_of
from chalicelib.domain.wave import WaveBudget
from chalicelib.tables.sending import AlertStateTable, WebhooksTable
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.sending.waves import ALL_SHARDS, Progress, ProgressTable
from chalicelib.tables.shards import Notified
from tests.contract.conftest import Tables
from tests.support.aws import create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

LEASE_MS = 30_000
DAY_S = 24 * 3600
# 2026-11-23, noon UTC.
NOON_MS = 1_795_435_200_000


def rows(client: "DynamoDBClient", table: str, key: str = "id") -> dict[str, dict[str, Any]]:
    """Return all items of a table by the text of one attribute, which is left out of them."""
    items: list[Any] = client.scan(TableName=table, ConsistentRead=True)["Items"]
    return {item.pop(key)["S"]: item for item in items}


def test_only_one_worker_holds_a_line(tables: Tables) -> None:
    now_ms = tables.clock()
    assert tables.leases.take(["A#1"], holder="w1", at_ms=now_ms, lease_ms=LEASE_MS)
    assert not tables.leases.take(["A#1"], holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)
    tables.leases.release(["A#1"], holder="w2")
    assert not tables.leases.take(["A#1"], holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)
    tables.leases.release(["A#1"], holder="w1")
    assert tables.leases.take(["A#1"], holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)


def test_leases_of_several_shards_are_taken_together_or_not_at_all(tables: Tables) -> None:
    now_ms, shards = tables.clock(), shards_of("A")
    assert tables.leases.take([shards[3]], holder="w1", at_ms=now_ms, lease_ms=LEASE_MS)
    assert not tables.leases.take(shards, holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)
    assert tables.leases.take([shards[0]], holder="w3", at_ms=now_ms, lease_ms=LEASE_MS)
    tables.leases.release(shards, holder="w1")
    tables.leases.release(shards, holder="w3")
    assert tables.leases.take(shards, holder="w2", at_ms=now_ms, lease_ms=LEASE_MS)


def test_a_dead_workers_lease_ends_by_itself(tables: Tables) -> None:
    tables.leases.take(["A#1"], holder="dead", at_ms=tables.clock(), lease_ms=LEASE_MS)
    tables.clock.pass_s(LEASE_MS / 1000 + 1)
    assert tables.leases.take(["A#1"], holder="w2", at_ms=tables.clock(), lease_ms=LEASE_MS)


def test_turns_follow_one_another_and_none_is_too_far(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.rate_limiter.put_limits(SendingLimits(10.0, 1000), at_ms=now_ms, known=None)

    def take() -> int | None:
        return tables.rate_limiter.take(10, cost_us=1_000_000, at_ms=now_ms, wait_ms_max=2_000)

    assert [take() for _ in range(5)] == [now_ms, now_ms + 1000, now_ms + 2000, None, None]
    state = tables.rate_limiter.state()
    assert state is not None
    assert state.emails_left == 1000 - 30


def test_a_quota_is_never_overdrawn(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.rate_limiter.put_limits(SendingLimits(10.0, 15), at_ms=now_ms, known=None)
    taken = [tables.rate_limiter.take(10, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) for _ in range(3)]
    assert [turn is not None for turn in taken] == [True, False, False]


def test_the_limits_that_were_read_first_stay(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.rate_limiter.put_limits(SendingLimits(10.0, UNLIMITED), at_ms=now_ms, known=None)
    tables.rate_limiter.put_limits(SendingLimits(99.0, 1), at_ms=now_ms, known=None)
    state = tables.rate_limiter.state()
    assert state is not None
    assert (state.rate_per_s, state.emails_left) == (10.0, UNLIMITED)


def test_emails_are_counted_by_day_until_sending_is_resumed(tables: Tables) -> None:
    day_s = 24 * 3600

    def take(count: int) -> dict[int, int]:
        now_ms = tables.clock()
        known = tables.rate_limiter.state()
        tables.rate_limiter.put_limits(SendingLimits(10.0, 1000), at_ms=now_ms, known=known)
        assert tables.rate_limiter.take(count, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is not None
        state = tables.rate_limiter.state()
        assert state is not None
        return dict(state.emails_by_day)

    first = tables.clock() // (day_s * 1000)
    assert (take(7), take(2)) == ({first: 7}, {first: 9})
    tables.clock.pass_s(31 * day_s)
    assert take(5) == {first: 9, first + 31: 5}
    tables.clock.pass_s(day_s)
    assert take(1) == {first + 31: 5, first + 32: 1}
    tables.rate_limiter.pause("bounces")
    assert tables.rate_limiter.resume()
    assert take(3) == {first + 32: 3}


def test_nothing_leaves_while_sending_is_paused(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.rate_limiter.put_limits(SendingLimits(10.0, 100), at_ms=now_ms, known=None)
    assert tables.rate_limiter.pause("bounces")
    assert not tables.rate_limiter.pause("complaints")
    assert tables.rate_limiter.take(1, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is None
    state = tables.rate_limiter.state()
    assert state is not None
    assert state.paused == "bounces"
    assert tables.rate_limiter.resume()
    assert not tables.rate_limiter.resume()


def test_limits_read_again_leave_what_others_took_meanwhile_taken(tables: Tables) -> None:
    now_ms = tables.clock()
    tables.rate_limiter.put_limits(SendingLimits(10.0, 100), at_ms=now_ms, known=None)
    known = tables.rate_limiter.state()
    assert tables.rate_limiter.take(30, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is not None
    tables.rate_limiter.put_limits(SendingLimits(20.0, 100), at_ms=now_ms + 1, known=known)
    state = tables.rate_limiter.state()
    assert state is not None
    assert (state.rate_per_s, state.emails_left) == (20.0, 70)


def test_resuming_restarts_the_counts_but_for_the_days_quota(tables: Tables) -> None:
    now_ms = tables.clock()
    hour = now_ms // HOUR_MS
    for _ in range(2):
        tables.rate_limiter.put_limits(
            SendingLimits(10.0, 100), at_ms=now_ms, known=tables.rate_limiter.state()
        )
        assert tables.rate_limiter.take(30, cost_us=1, at_ms=now_ms, wait_ms_max=2_000) is not None
        tables.rate_limiter.pause("bounces")
        assert tables.rate_limiter.resume()
    state = tables.rate_limiter.state()
    assert state is not None
    assert state.emails_since(hour - 23) == 0
    assert state.left_of(100, this_hour=hour) == 40
    assert state.left_of(50, this_hour=hour) == 0
    assert state.left_of(100, this_hour=hour + 25) == 100


def test_a_wave_has_its_emails_once(tables: Tables) -> None:
    progress, (ada, bob) = tables.progress, tables.join("ada", "bob")
    first = WaveBudget(1, 5, 5)
    assert progress.put_wave("A", first, known=WaveBudget(), at_ms=1)
    notified = [Notified(ada, "accepted", "m1"), Notified(bob, "accepted", "m2")]
    counting = [
        progress.count("r1", ALL_SHARDS, at_ms=7, notified=2),
        progress.take_from_wave("A", 2, at_ms=7),
    ]
    tables.shards.mark_batch(notified, restock_id="r1", at_ms=7, counting=counting)
    assert not progress.put_wave("A", first, known=WaveBudget(), at_ms=8)
    assert not progress.put_wave("A", WaveBudget(1, 9, 9), known=first, at_ms=8)
    assert progress.wave("A") == WaveBudget(1, 5, 3, 7)
    progress.announce("A", "r1", 2)
    progress.announce("A", "r1", 1)
    assert progress.put_wave("A", WaveBudget(2, 9, 9), known=progress.wave("A"), at_ms=9)
    assert progress.wave("A") == WaveBudget(2, 9, 9, 0, 2, "r1")
    progress.announce("A", "r2", 1)
    assert progress.wave("A") == WaveBudget(2, 9, 9, 0, 1, "r2")
    assert progress.of("r1", shards_of("A")).notified == 2
    assert progress.wave("B") == WaveBudget()


def test_a_webhook_is_taken_in_for_the_first_time_once(dynamodb: "DynamoDBClient") -> None:
    name = create_table(dynamodb, "SendingTable")
    webhooks = WebhooksTable(dynamodb, name)
    assert not webhooks.is_known("d1")
    assert [webhooks.first_time("d1", at_ms=1), webhooks.first_time("d1", at_ms=2)] == [True, False]
    assert webhooks.is_known("d1")
    assert webhooks.first_time("d2", at_ms=7_000)
    assert rows(dynamodb, name) == {
        "webhook#d1": {"expires_at_s": {"N": "3600"}},
        "webhook#d2": {"expires_at_s": {"N": "3607"}},
    }


def test_dead_letters_are_noted_as_of_the_last_notice(dynamodb: "DynamoDBClient") -> None:
    alert_state = AlertStateTable(dynamodb, create_table(dynamodb, "SendingTable"))
    assert alert_state.dead_letters() == 0
    alert_state.alerted(3)
    assert alert_state.dead_letters() == 3
    alert_state.alerted(0)
    assert alert_state.dead_letters() == 0


def test_bounces_and_complaints_are_counted_once_by_the_day_of_sending(dynamodb: "DynamoDBClient") -> None:
    entries, name = create_table(dynamodb, "EntriesTable"), create_table(dynamodb, "SendingTable")
    health, day = DeliverabilityTable(dynamodb, entries, name), date(2026, 11, 23)
    bounced = Feedback(FeedbackState.BOUNCED, "m1", NOON_MS, "ada", "A", "tag", counts=True)
    complained = replace(bounced, state=FeedbackState.COMPLAINED)
    of_no_restock = replace(bounced, message_id="m2", restock="")
    events = (bounced, bounced, complained, of_no_restock)
    assert [health.count(event, at_ms=NOON_MS + 5_000) for event in events] == [True, False, True, True]
    assert health.bounced_and_complained([day, date(2026, 11, 22)]) == {day: (2, 1)}
    kept = {"expires_at_s": {"N": str(NOON_MS // 1000 + 5 + 45 * DAY_S)}}
    kept_longer = {"expires_at_s": {"N": str(NOON_MS // 1000 + 5 + 400 * DAY_S)}}
    assert rows(dynamodb, name) == {
        "feedback#m1#bounced": kept,
        "feedback#m1#complained": kept,
        "feedback#m2#bounced": kept,
        "health#2026-11-23": {**kept, "bounced": {"N": "2"}, "complained": {"N": "1"}},
        "received#tag": {**kept_longer, "bounced": {"N": "1"}, "complained": {"N": "1"}},
    }


def test_emails_sent_before_sending_was_resumed_count_for_their_restock_alone(
    dynamodb: "DynamoDBClient",
) -> None:
    entries, name = create_table(dynamodb, "EntriesTable"), create_table(dynamodb, "SendingTable")
    health, day = DeliverabilityTable(dynamodb, entries, name), date(2026, 11, 23)
    early = Feedback(FeedbackState.BOUNCED, "m1", NOON_MS - 1, "ada", "A", tag_of("r1"), counts=True)
    assert health.count(early, at_ms=NOON_MS)
    health.forget(at_ms=NOON_MS)
    assert health.bounced_and_complained([day]) == {}
    assert health.count(replace(early, message_id="m2"), at_ms=NOON_MS + 1)
    assert health.count(replace(early, message_id="m3", sent_at_ms=NOON_MS), at_ms=NOON_MS + 1)
    assert health.bounced_and_complained([day]) == {day: (1, 0)}
    assert ProgressTable(dynamodb, name).of("r1", shards_of("A")).bounced == 3


def test_the_state_of_an_email_is_that_of_the_last_one_sent_and_never_goes_back(tables: Tables) -> None:
    tables.join("ada")
    health = DeliverabilityTable(tables.client, tables.entries_name, tables.sending_name)
    bounced = Feedback(FeedbackState.BOUNCED, "m1", 1_000, "ada", "A")
    delivered = replace(bounced, state=FeedbackState.DELIVERED)
    later = replace(delivered, message_id="m2", sent_at_ms=2_000)
    gone = replace(delivered, shopper="bob")
    assert [health.store(element) for element in (bounced, delivered, bounced, later, gone)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert sorted(health.delivered("ada")) == [1_000, 2_000]
    assert sorted(health.delivered("bob")) == []
    item = rows(tables.client, tables.entries_name, key="sku")["A"]
    assert {name: item[name] for name in item if name.startswith("feedback")} == {
        "feedback": {"S": "delivered"},
        "feedback_rank": {"N": str(FeedbackState.DELIVERED.rank)},
        "feedback_sent_at_ms": {"N": "2000"},
        "feedback_message_id": {"S": "m2"},
    }


def test_progress_is_the_sum_over_shards_with_the_first_and_the_last_time(tables: Tables) -> None:
    first, second = shards_of("A")[:2]
    tables.progress.add("r1", first, at_ms=3_000, notified=50, rejected=2)
    tables.progress.add("r1", second, at_ms=2_000, notified=7, unclear=1)
    tables.progress.add("r1", ALL_SHARDS, at_ms=9_000, given_up=1)
    tables.progress.add("r2", first, at_ms=1, notified=1)
    tables.progress.count_unsubscribed("r1", at_ms=4_000)
    assert tables.progress.of("r1", shards_of("A")) == Progress(
        notified=57,
        rejected=2,
        unclear=1,
        given_up=1,
        unsubscribed_after=1,
        first_at_ms=2_000,
        last_at_ms=9_000,
    )
    stored = rows(tables.client, tables.sending_name)
    assert stored[f"notified#r1#{first}"] == {
        "notified": {"N": "50"},
        "rejected": {"N": "2"},
        "first_at_ms": {"N": "3000"},
        "last_at_ms": {"N": "3000"},
        "expires_at_s": {"N": str(3 + 400 * DAY_S)},
    }
    assert stored[f"received#{tag_of('r1')}"] == {
        "unsubscribed_after": {"N": "1"},
        "expires_at_s": {"N": str(4 + 400 * DAY_S)},
    }


def test_an_unclear_batch_is_noted_once(tables: Tables) -> None:
    assert tables.progress.first_unclear("r1", "A#1", "1#ada")
    assert not tables.progress.first_unclear("r1", "A#1", "1#ada")
    assert tables.progress.first_unclear("r1", "A#1", "2#bob")


def test_one_worker_is_elected_to_read_the_limits(tables: Tables) -> None:
    now_ms = tables.clock()
    assert tables.rate_limiter.elect(at_ms=now_ms, for_ms=15_000, known=None)
    assert not tables.rate_limiter.elect(at_ms=now_ms + 1, for_ms=15_000, known=None)
    tables.rate_limiter.put_limits(SendingLimits(10.0, 100), at_ms=now_ms, known=None)
    # A worker with older limits is not elected, nor is any before the first one's time is over.
    assert not tables.rate_limiter.elect(at_ms=now_ms + 20_000, for_ms=15_000, known=None)
    known = tables.rate_limiter.state()
    assert not tables.rate_limiter.elect(at_ms=now_ms + 15_000, for_ms=15_000, known=known)
    assert tables.rate_limiter.elect(at_ms=now_ms + 15_001, for_ms=15_000, known=known)
    assert tables.rate_limiter.take(1, cost_us=1, at_ms=now_ms + 15_001, wait_ms_max=0) is not None


def test_an_email_kept_for_a_deferred_shopper_goes_back_to_its_own_wave_only(tables: Tables) -> None:
    progress, (ada,) = tables.progress, tables.join("ada")
    assert progress.put_wave("A", WaveBudget(1, 5, 5), known=WaveBudget(), at_ms=1)
    for first in (True, False):
        kept = [progress.take_from_wave("A", 1, at_ms=7)]
        assert tables.shards.defer(ada, restock_id="r1", counting=kept) is first
    assert progress.wave("A") == WaveBudget(1, 5, 4, 7)
    assert progress.give_back("A", 1, number=1)
    assert not progress.give_back("A", 1, number=2)
    assert progress.wave("A") == WaveBudget(1, 5, 5, 7)


def test_deferred_and_given_up_emails_are_counted_up_and_down(tables: Tables) -> None:
    for emails in ({"deferred_now": 1}, {"deferred_now": 1}, {"deferred_now": -1, "given_up": 1}):
        tables.progress.add("r1", "A#1", at_ms=tables.clock(), **emails)
    done = tables.progress.of("r1", shards_of("A"))
    assert (done.deferred_now, done.given_up) == (1, 1)
