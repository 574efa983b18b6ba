"""The notifier, call by call: each request, each line of the log, each row that is counted in."""

from collections.abc import Sequence
from typing import Any

import pytest

from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.sending_limits import DEFERRED_S
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct
from chalicelib.domain.wave import NotifyOne
from chalicelib.services.fan_out.notifier import Batch, Notifier
from chalicelib.services.fan_out.restocking import FanOutStore
from chalicelib.tables.sending.waves import ALL_SHARDS
from chalicelib.tables.shards import Notified, StillWaiting
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.recorder import Recorder

RESTOCK = Restock("A:1:e1", "jacket", "A", 5, 1, 2)
STOCKED = StockedProduct(
    Product("jacket", "Jacket", "A jacket.", "", "outerwear", (), (Variant("A", 100),)),
    {"A": Stock(Availability.IN_STOCK, 5, 1, "e1")},
)
WORDS = Email("It is back", "It is back.", "<p>It is back.</p>")


def entry(name: str, position: str | None = "") -> Entry:
    shown = f"0000000000001#{name}" if position == "" else position
    return Entry(name, "A", f"{name}@example.com", EntryState.CONFIRMED, 1, shown)


ADA, BOB, CYD, DAN = (entry(name) for name in ("ada", "bob", "cyd", "dan"))


def outgoing(of: Entry, **tags: str) -> OutgoingEmail:
    return OutgoingEmail(of.mailbox, WORDS, {}, {"kind": "available", **tags})


class Composer:
    """Writes the same words to everybody but those named in `spoilt`."""

    sender = "shop@example.com"

    def __init__(self, recorder: Recorder, spoilt: Sequence[str]) -> None:
        self.recorder, self.spoilt = recorder, spoilt

    def available(
        self, waiting: Sequence[Entry], stocked: StockedProduct, *, restock_tag: str | None = None
    ) -> list[OutgoingEmail]:
        self.recorder.calls.append(("composer.available", list(waiting), stocked))
        for entry in waiting:
            if entry.shopper in self.spoilt:
                raise KeyError(entry.shopper)
        return [outgoing(entry, restock=restock_tag or "") for entry in waiting]


class Batches:
    """A notifier whose every neighbour is a stand-in."""

    def __init__(
        self,
        clock: Clock,
        *,
        waiting: Sequence[Entry] = (),
        suppressed: Sequence[Entry] = (),
        sent: Any = (),
        spoilt: Sequence[str] = (),
        deferred: bool = True,
        first_unclear: bool = True,
    ) -> None:
        self.recorder = recorder = Recorder()
        self.clock = clock
        shard = recorder.part(
            "shards", still_waiting=StillWaiting(tuple(waiting), tuple(suppressed)), defer=deferred
        )
        progress = recorder.part(
            "progress",
            count=lambda *_, **__: {"write": "count"},
            take_from_wave=lambda *_, **__: {"write": "take"},
            first_unclear=first_unclear,
        )
        self.notifier = Notifier(
            FanOutStore(
                recorder.part("entries"),
                shard,
                recorder.part("products"),
                recorder.part("restocks"),
                progress,
                recorder.part("leases"),
            ),
            recorder.function("live composer", Composer(recorder, spoilt)),
            recorder.part("sender", send=sent),
            recorder.part("rate_limiter"),
            recorder.part("queue"),
            clock,
        )

    def notify(
        self, *entries: Entry, shard: str = "A#1", one: NotifyOne | None = None, wave: int = 0
    ) -> list[tuple[Any, ...]]:
        """Notify these; return the calls, without the ones that look up, compose and send."""
        self.notifier.notify(Batch(RESTOCK, shard, entries, one.wave if one else wave, one), STOCKED)
        return self.after_sending()

    def after_sending(self) -> list[tuple[Any, ...]]:
        known = {"shards.still_waiting", "live composer", "composer.available", "sender.send"}
        return [call for call in self.recorder.taken() if call[0] not in known]


def notified_line(notified: int, deferred: int = 0, postponed: int = 0) -> dict[str, Any]:
    return {
        "event": "shoppers_notified",
        "restock": "A:1:e1",
        "sku": "A",
        "notified": notified,
        "deferred": deferred,
        "postponed": postponed,
    }


def test_a_batch_of_a_shard_is_looked_up_composed_sent_marked_and_counted(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    results = (
        SendResult(DeliveryOutcome.ACCEPTED, "m-1"),
        SendResult(DeliveryOutcome.REJECTED, reason="MessageRejected"),
        SendResult(DeliveryOutcome.UNKNOWN),
    )
    batches = Batches(clock, waiting=(ADA, BOB, CYD), suppressed=(DAN,), sent=results)
    batches.notifier.notify(Batch(RESTOCK, "A#1", (ADA, BOB, CYD, DAN)), STOCKED)
    tag = {"restock": RESTOCK.tag}
    notified = [
        Notified(ADA, DeliveryOutcome.ACCEPTED, "m-1"),
        Notified(BOB, DeliveryOutcome.REJECTED, ""),
        Notified(CYD, DeliveryOutcome.UNKNOWN, ""),
    ]
    assert batches.recorder.taken() == [
        ("shards.still_waiting", (ADA, BOB, CYD, DAN), {"not_deferred_for": "A:1:e1"}),
        ("entries.unsubscribe", "dan", "A", {"at_ms": clock()}),
        ("live composer",),
        ("composer.available", [ADA, BOB, CYD], STOCKED),
        ("sender.send", "shop@example.com", [outgoing(entry, **tag) for entry in (ADA, BOB, CYD)]),
        ("shards.mark_each", notified, {"restock_id": "A:1:e1", "at_ms": clock()}),
        ("progress.add", "A:1:e1", "A#1", {"at_ms": clock(), "notified": 3, "rejected": 1, "unclear": 1}),
    ]
    assert logged(capsys) == [notified_line(3)]


def test_where_nobody_may_be_mailed_nothing_is_written_sent_or_logged(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = Batches(clock, suppressed=(DAN,))
    batches.notifier.notify(Batch(RESTOCK, "A#1", (ADA, DAN)), STOCKED)
    assert batches.recorder.names() == ["shards.still_waiting", "entries.unsubscribe"]
    assert logged(capsys) == []


@pytest.mark.parametrize(
    ("deliveries", "taken"),
    [
        ((DeliveryOutcome.ACCEPTED, DeliveryOutcome.ACCEPTED, DeliveryOutcome.REJECTED), 2),
        ((DeliveryOutcome.ACCEPTED, DeliveryOutcome.UNKNOWN, DeliveryOutcome.ACCEPTED), 3),
        ((DeliveryOutcome.REJECTED, DeliveryOutcome.REJECTED, DeliveryOutcome.REJECTED), 0),
    ],
)
def test_a_batch_of_a_limited_wave_is_marked_together_with_what_it_takes_off_the_wave(
    clock: Clock, deliveries: tuple[DeliveryOutcome, ...], taken: int
) -> None:
    results = tuple(SendResult(delivery, "m") for delivery in deliveries)
    batches = Batches(clock, waiting=(ADA, BOB, CYD), sent=results)
    now = {"at_ms": clock()}
    emails = {
        "notified": 3,
        "rejected": deliveries.count(DeliveryOutcome.REJECTED),
        "unclear": deliveries.count(DeliveryOutcome.UNKNOWN),
    }
    notified = [
        Notified(entry, delivery, "m") for entry, delivery in zip((ADA, BOB, CYD), deliveries, strict=True)
    ]
    takes: list[tuple[Any, ...]] = [("progress.take_from_wave", "A", taken, now)] if taken else []
    counting = [{"write": "count"}] + [{"write": "take"}] * bool(taken)
    assert batches.notify(ADA, BOB, CYD, shard=ALL_SHARDS, wave=3) == [
        ("progress.count", "A:1:e1", ALL_SHARDS, {**now, **emails}),
        *takes,
        ("shards.mark_batch", notified, {"restock_id": "A:1:e1", **now, "counting": counting}),
    ]


@pytest.mark.parametrize(("delivery", "back"), [(DeliveryOutcome.ACCEPTED, 0), (DeliveryOutcome.REJECTED, 1)])
def test_an_email_that_was_deferred_is_counted_out_of_those_deferred_once_it_is_sent(
    clock: Clock, delivery: DeliveryOutcome, back: int
) -> None:
    batches = Batches(clock, waiting=(ADA,), sent=(SendResult(delivery, "m-1"),))
    one = NotifyOne("A:1:e1", "A", "ada", deferrals=2, wave=4)
    batches.notifier.notify(Batch(RESTOCK, ALL_SHARDS, [ADA], 4, one), STOCKED)
    calls = batches.recorder.taken()
    assert calls[0] == ("shards.still_waiting", [ADA], {"not_deferred_for": ""})
    counted = {"notified": 1, "rejected": back, "unclear": 0, "deferred_now": -1}
    gives: list[tuple[Any, ...]] = [("progress.give_back", "A", 1, {"number": 4})] if back else []
    assert calls[4:] == [
        ("shards.mark_each", [Notified(ADA, delivery, "m-1")], {"restock_id": "A:1:e1", "at_ms": clock()}),
        ("progress.add", "A:1:e1", ALL_SHARDS, {"at_ms": clock(), **counted}),
        *gives,
    ]


def test_a_rejected_email_of_a_shard_gives_nothing_back(clock: Clock) -> None:
    batches = Batches(clock, waiting=(ADA,), sent=(SendResult(DeliveryOutcome.REJECTED),))
    calls = batches.notify(ADA, one=NotifyOne("A:1:e1", "A", "ada", deferrals=1))
    assert [call[0] for call in calls] == ["shards.mark_each", "progress.add"]


@pytest.mark.parametrize(("shard", "gives"), [("A#1", False), (ALL_SHARDS, True)])
def test_a_deferred_email_whose_shopper_is_suppressed_by_now_is_counted_out(
    clock: Clock, shard: str, gives: bool
) -> None:
    batches = Batches(clock, suppressed=(DAN,))
    one = NotifyOne("A:1:e1", "A", "dan", deferrals=1, wave=4)
    given: list[tuple[Any, ...]] = [("progress.give_back", "A", 1, {"number": 4})] if gives else []
    assert batches.notify(DAN, shard=shard, one=one) == [
        ("entries.unsubscribe", "dan", "A", {"at_ms": clock()}),
        ("progress.add", "A:1:e1", shard, {"at_ms": clock(), "deferred_now": -1}),
        *given,
    ]


@pytest.mark.parametrize(("shard", "gives"), [("A#1", False), (ALL_SHARDS, True)])
def test_a_deferred_email_whose_shopper_unsubscribed_while_it_waited_for_its_turn_is_counted_out(
    clock: Clock, shard: str, gives: bool
) -> None:
    one = NotifyOne("A:1:e1", "A", "ada", deferrals=1, wave=4)
    given: list[tuple[Any, ...]] = [("progress.give_back", "A", 1, {"number": 4})] if gives else []
    assert Batches(clock).notify(ADA, shard=shard, one=one) == [
        ("progress.add", "A:1:e1", shard, {"at_ms": clock(), "deferred_now": -1}),
        *given,
    ]
    first = NotifyOne("A:1:e1", "A", "ada", wave=4)
    assert Batches(clock).notify(ADA, shard=shard, one=first) == []


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("shard", ["A#1", ALL_SHARDS])
def test_a_deferred_email_is_queued_noted_and_counted_once(
    clock: Clock, shard: str, noted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    results = (
        SendResult(DeliveryOutcome.DEFERRED, reason="MailboxFull"),
        SendResult(DeliveryOutcome.ACCEPTED, "m-1"),
    )
    batches = Batches(clock, waiting=(ADA, BOB), sent=results, deferred=noted)
    calls = batches.notify(ADA, BOB, shard=shard, wave=3)
    again = NotifyOne("A:1:e1", "A", "ada", deferrals=1, not_before_ms=clock() + 60_000, hops=0, wave=3)
    kept = [{"write": "take"}] if shard == ALL_SHARDS else []
    counted = {"at_ms": clock(), "deferred_now": 1}
    start = [call[0] for call in calls].index("queue.put")
    assert calls[start:] == [
        ("queue.put", again, {"delay_s": 60}),
        ("progress.take_from_wave", "A", 1, {"at_ms": clock()}),
        ("shards.defer", ADA, {"restock_id": "A:1:e1", "counting": kept}),
        *([("progress.add", "A:1:e1", shard, counted)] if noted else []),
    ]
    assert logged(capsys) == [
        {
            "event": "email_deferred",
            "restock": "A:1:e1",
            "shopper": "ada",
            "reason": "MailboxFull",
            "deferrals": 1,
        },
        notified_line(1, 1),
    ]


@pytest.mark.parametrize(("before", "waits_s"), list(enumerate(DEFERRED_S)))
def test_each_deferral_of_a_message_waits_longer_and_carries_its_hops_on(
    clock: Clock, before: int, waits_s: int
) -> None:
    batches = Batches(clock, waiting=(ADA,), sent=(SendResult(DeliveryOutcome.DEFERRED, reason="later"),))
    calls = batches.notify(ADA, one=NotifyOne("A:1:e1", "A", "ada", deferrals=before, hops=7, wave=2))
    due_ms = clock() + waits_s * 1000
    again = NotifyOne("A:1:e1", "A", "ada", deferrals=before + 1, not_before_ms=due_ms, hops=8, wave=2)
    assert calls[0] == ("queue.put", again, {"delay_s": min(900, waits_s)})


@pytest.mark.parametrize("shard", ["A#1", ALL_SHARDS])
def test_after_the_last_deferral_an_email_is_given_up(
    clock: Clock, shard: str, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = Batches(clock, waiting=(ADA,), sent=(SendResult(DeliveryOutcome.DEFERRED, reason="later"),))
    one = NotifyOne("A:1:e1", "A", "ada", deferrals=len(DEFERRED_S), wave=4)
    given: list[tuple[Any, ...]] = [("progress.give_back", "A", 1, {"number": 4})]
    assert batches.notify(ADA, shard=shard, one=one) == [
        ("progress.add", "A:1:e1", shard, {"at_ms": clock(), "deferred_now": -1, "given_up": 1}),
        *(given if shard == ALL_SHARDS else []),
    ]
    assert logged(capsys) == [
        {"event": "email_given_up", "restock": "A:1:e1", "shopper": "ada", "reason": "later"},
        notified_line(0, 1),
    ]


@pytest.mark.parametrize("progressed", [True, False])
def test_postponed_emails_are_refused_for_the_worst_of_their_reasons(
    clock: Clock, progressed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    results = (
        SendResult(DeliveryOutcome.POSTPONED, reason="slow", refusal=SendRefusal.RETRY),
        SendResult(DeliveryOutcome.POSTPONED, reason="paused", refusal=SendRefusal.PAUSED),
        SendResult(DeliveryOutcome.ACCEPTED, "m-1")
        if progressed
        else SendResult(DeliveryOutcome.POSTPONED, reason="slower", refusal=SendRefusal.RETRY),
    )
    batches = Batches(clock, waiting=(ADA, BOB, CYD), sent=results)
    with pytest.raises(SendRefused) as refused:
        batches.notify(ADA, BOB, CYD)
    error = refused.value
    assert (error.reason, error.refusal, error.progressed) == ("paused", SendRefusal.PAUSED, progressed)
    assert logged(capsys) == [notified_line(int(progressed), 0, 3 - progressed)]
    marks = ["shards.mark_each", "progress.add"] if progressed else []
    assert [call[0] for call in batches.after_sending()] == [*marks, "rate_limiter.pause"]


@pytest.mark.parametrize("refusal", list(SendRefusal))
def test_a_refused_call_pauses_sending_if_the_account_is_paused(clock: Clock, refusal: SendRefusal) -> None:
    batches = Batches(clock, waiting=(ADA, BOB), sent=SendRefused("Suspended", refusal))
    with pytest.raises(SendRefused, match=r"^Suspended$"):
        batches.notify(ADA, BOB)
    paused = [("rate_limiter.pause", "Suspended")] if refusal is SendRefusal.PAUSED else []
    assert batches.after_sending() == paused


def test_postponed_emails_that_are_sent_later_do_not_pause_sending(clock: Clock) -> None:
    slow = SendResult(DeliveryOutcome.POSTPONED, reason="slow", refusal=SendRefusal.RETRY)
    batches = Batches(clock, waiting=(ADA,), sent=(slow,))
    with pytest.raises(SendRefused, match=r"^slow$"):
        batches.notify(ADA)
    assert batches.after_sending() == []


def test_an_email_that_cannot_be_written_is_deferred_and_the_others_are_sent(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = (SendResult(DeliveryOutcome.ACCEPTED, "m-1"), SendResult(DeliveryOutcome.ACCEPTED, "m-2"))
    batches = Batches(clock, waiting=(BOB, ADA, CYD), sent=sent, spoilt=["bob"])
    batches.notifier.notify(Batch(RESTOCK, "A#1", (BOB, ADA, CYD)), STOCKED)
    calls = batches.recorder.taken()
    written = [("composer.available", entries, STOCKED) for entries in ([BOB, ADA, CYD], [BOB], [ADA], [CYD])]
    assert calls[2:6] == written
    tag = {"restock": RESTOCK.tag}
    assert calls[6] == ("sender.send", "shop@example.com", [outgoing(entry, **tag) for entry in (ADA, CYD)])
    assert calls[7][1] == [
        Notified(ADA, DeliveryOutcome.ACCEPTED, "m-1"),
        Notified(CYD, DeliveryOutcome.ACCEPTED, "m-2"),
    ]
    not_written, deferred, notified = logged(capsys)
    assert not_written.pop("at")[-1].startswith("available:")
    assert not_written == {"event": "email_not_written", "error": "KeyError"}
    assert (deferred["shopper"], deferred["reason"]) == ("bob", "not written: KeyError")
    assert notified == notified_line(2, 1)


def test_where_no_email_of_a_batch_can_be_written_its_error_is_raised(clock: Clock) -> None:
    batches = Batches(clock, waiting=(ADA, BOB), spoilt=["ada", "bob"])
    with pytest.raises(KeyError, match="ada"):
        batches.notify(ADA, BOB)
    assert batches.after_sending() == []


@pytest.mark.parametrize(("position", "noted"), [("", ADA.position), (None, "")])
def test_an_outcome_unknown_comes_again_once(
    clock: Clock, position: str | None, noted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = entry("ada", position)
    batches = Batches(clock, waiting=(first, BOB), sent=OutcomeUnknown("ReadTimeoutError"))
    with pytest.raises(OutcomeUnknown):
        batches.notify(first, BOB)
    unclear = ("progress.first_unclear", "A:1:e1", "A#1", noted)
    assert batches.after_sending() == [unclear]
    line = {"event": "outcome_unknown", "restock": "A:1:e1", "reason": "ReadTimeoutError", "again": True}
    assert logged(capsys) == [line]
    batches = Batches(
        clock, waiting=(first, BOB), sent=OutcomeUnknown("ReadTimeoutError"), first_unclear=False
    )
    notified = [Notified(entry, DeliveryOutcome.UNKNOWN, "") for entry in (first, BOB)]
    assert batches.notify(first, BOB) == [
        unclear,
        ("shards.mark_each", notified, {"restock_id": "A:1:e1", "at_ms": clock()}),
        ("progress.add", "A:1:e1", "A#1", {"at_ms": clock(), "notified": 2, "rejected": 0, "unclear": 2}),
    ]
    assert logged(capsys) == [{**line, "again": False}, notified_line(2)]


def test_one_email_that_is_refused_for_its_own_sake_is_deferred(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = SendRefused("BadRequest", SendRefusal.INVALID, about_emails=True)
    batches = Batches(clock, waiting=(ADA,), sent=refused)
    assert batches.notify(ADA)[0][0] == "queue.put"
    assert logged(capsys, "email_deferred")[0]["reason"] == "BadRequest"


@pytest.mark.parametrize(
    ("waiting", "one", "about_emails"),
    [
        ((ADA, BOB), None, True),
        ((ADA,), NotifyOne("A:1:e1", "A", "ada"), True),
        ((ADA,), None, False),
    ],
)
def test_any_other_refusal_is_raised_and_marks_nobody(
    clock: Clock, waiting: Sequence[Entry], one: NotifyOne | None, about_emails: bool
) -> None:
    refused = SendRefused("BadRequest", SendRefusal.INVALID, about_emails=about_emails)
    batches = Batches(clock, waiting=waiting, sent=refused)
    with pytest.raises(SendRefused):
        batches.notify(*waiting, one=one)
    assert batches.after_sending() == []


def test_each_batch_is_composed_with_the_theme_that_is_live_then(clock: Clock) -> None:
    batches = Batches(clock, waiting=(ADA,), sent=(SendResult(DeliveryOutcome.ACCEPTED),))
    for _ in range(2):
        batches.notifier.notify(Batch(RESTOCK, "A#1", [ADA]), STOCKED)
        assert batches.recorder.names().count("live composer") == 1
