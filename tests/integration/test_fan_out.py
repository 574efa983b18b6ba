"""From a restock to emails: who is notified, in which order, and what crashes do to it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest

from chalicelib.domain.email import DeliveryOutcome, OutgoingEmail, SendResult
from chalicelib.domain.entry import EntryState, shard_of, shards_of
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import NotifyOne
from chalicelib.services.fan_out.report import fan_outs
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.fakes import WorkerDied
from tests.support.shop import TestShop

IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def notified(shop: TestShop) -> list[str]:
    return sorted(mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes())


def on_one_line(shop: TestShop, count: int) -> list[str]:
    names = (f"shopper{number}" for number in range(100_000))
    first = shard_of(shop.sku, shop.shopper("shopper0"))
    return list(islice((name for name in names if shard_of(shop.sku, shop.shopper(name)) == first), count))


def test_shoppers_who_confirmed_are_notified_once_and_nobody_else(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.sign_up("eve")
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == ["ada", "bob"]
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.NOTIFIED
    shop.observe(SOLD_OUT)
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == ["ada", "bob"]


def test_an_email_says_how_to_leave_in_one_click(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.work()
    (outgoing,) = shop.sender.sent
    unsubscribe_url = outgoing.headers["List-Unsubscribe"].strip("<>")
    assert unsubscribe_url.startswith("https://www.heron.example/api/unsubscribe?token=")
    assert outgoing.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert unsubscribe_url in outgoing.email.text
    assert "Field Jacket" in outgoing.email.subject
    assert "ada" not in unsubscribe_url


def test_a_shard_is_notified_in_the_order_of_joining(shop: TestShop) -> None:
    names = [f"shopper{number}" for number in range(20)]
    shop.join(*names)
    shop.observe(IN_STOCK)
    shop.work()
    order = [mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes()]
    assert sorted(order) == sorted(names)
    for shard in {shard_of(shop.sku, shop.shopper(name)) for name in names}:
        of_line = [name for name in names if shard_of(shop.sku, shop.shopper(name)) == shard]
        assert [name for name in order if name in of_line] == of_line


def test_a_long_shard_is_walked_in_batches_of_fifty(shop: TestShop) -> None:
    names = on_one_line(shop, 60)
    shop.join(*names)
    shop.observe(IN_STOCK)
    shop.work()
    assert [mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes()] == names
    assert shop.sender.calls == 2


def test_the_same_restock_twice_notifies_nobody_twice(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    shop.restocking.open_restock(restock)
    shop.work()
    assert notified(shop) == ["ada"]


def test_sold_out_again_stops_what_was_not_sent(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.observe(IN_STOCK)
    shop.observe(SOLD_OUT)
    shop.work()
    assert notified(shop) == []
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == ["ada", "bob"]


def test_on_off_on_off_leaves_one_live_restock(shop: TestShop) -> None:
    shop.join("ada")
    for _ in range(3):
        shop.observe(IN_STOCK)
        shop.observe(SOLD_OUT)
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == ["ada"]


def test_fewer_units_do_not_stop_a_fan_out(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK, units=5)
    shop.observe(IN_STOCK, units=3)
    shop.work()
    assert notified(shop) == ["ada"]


def test_an_entry_unsubscribed_before_the_email_gets_none(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.observe(IN_STOCK)
    shop.leave("ada")
    shop.work()
    assert notified(shop) == ["bob"]


def test_a_suppressed_shopper_is_not_mailed_and_leaves_the_line(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.suppressions.suppress(shop.shopper("ada"), reason="complaint", at_ms=shop.clock())
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == ["bob"]
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.UNSUBSCRIBED


def test_a_shopper_who_confirms_while_it_is_available_is_notified_at_once(shop: TestShop) -> None:
    shop.observe(IN_STOCK)
    shop.work()
    shop.join("late")
    shop.restocking.notify_if_available(shop.shopper("late"), shop.sku, at_ms=shop.clock())
    shop.work()
    assert notified(shop) == ["late"]


def test_a_shopper_who_confirms_what_was_never_sold_out_is_notified_too(
    clock: Clock, small_release: Release
) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-S")
    shop.join("ada")
    shop.restocking.notify_if_available(shop.shopper("ada"), shop.sku, at_ms=shop.clock())
    shop.restocking.notify_if_available(shop.shopper("ada"), shop.sku, at_ms=shop.clock())
    shop.work()
    assert notified(shop) == ["ada"]


def test_a_confirmation_while_sold_out_waits(shop: TestShop) -> None:
    shop.join("ada")
    shop.restocking.notify_if_available(shop.shopper("ada"), shop.sku, at_ms=shop.clock())
    assert shop.queue.messages == []


def test_a_fan_out_does_not_reach_beyond_its_frozen_bound(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.clock.pass_s(1)
    shop.join("late")
    shop.work()
    assert notified(shop) == ["ada"]


def test_a_throttled_sender_notifies_everyone_later(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.observe(IN_STOCK)
    shop.sender.refuses = 2
    shop.work()
    assert notified(shop) == ["ada", "bob", "cyd"]


def test_one_deferred_email_of_a_batch_is_sent_alone_later(shop: TestShop) -> None:
    names = [f"shopper{number}" for number in range(12)]
    shop.join(*names)
    shop.sender.deliveries["shopper7@example.com"] = DeliveryOutcome.DEFERRED
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == sorted(names)


def test_a_rejected_email_is_not_tried_again(shop: TestShop) -> None:
    shop.join("ada")
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.REJECTED
    shop.observe(IN_STOCK)
    shop.work()
    assert notified(shop) == []
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.NOTIFIED


def test_a_worker_that_dies_before_sending_loses_nobody(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.observe(IN_STOCK)
    deaths = iter([True])

    def die() -> None:
        if next(deaths, False):
            raise WorkerDied

    shop.sender.before_sending = die
    shop.work()
    assert notified(shop) == ["ada", "bob"]


def test_a_worker_that_dies_after_sending_repeats_at_most_its_batch(shop: TestShop) -> None:
    names = on_one_line(shop, 60)
    shop.join(*names)
    shop.observe(IN_STOCK)
    shop.sender.dies_after_sending = True
    shop.work()
    assert set(notified(shop)) == set(names)
    repeats = len(notified(shop)) - len(names)
    assert 0 < repeats <= 50


def test_a_product_that_left_the_catalogue_stops_its_fan_out(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    rest = tuple(variant for variant in stocked.product.variants if variant.sku != shop.sku)
    shop.products.put_catalogue(replace(stocked.product, variants=rest), {}, known=stocked)
    shop.work()
    assert notified(shop) == []
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.CONFIRMED


def test_a_message_about_an_older_restock_is_dropped(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.queue.clear()
    shop.fan_out.work(NotifyOne("some-older-one", shop.sku, shop.shopper("ada")))
    assert notified(shop) == []


def test_two_workers_on_the_same_page_notify_nobody_twice(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.observe(IN_STOCK)
    steps = list(shop.queue.messages)

    def second_worker() -> None:
        shop.sender.before_sending = lambda: None
        for step in steps:
            shop.fan_out.work(step)

    shop.sender.before_sending = second_worker
    shop.work()
    assert notified(shop) == ["ada", "bob", "cyd"]


def test_a_product_renamed_in_mid_fan_out_is_called_one_name_in_each_batch(shop: TestShop) -> None:
    names = [f"s{number:03}" for number in range(400)]
    shop.join(*names)
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    renamed = replace(stocked.product, title="The Jacket")
    batches: list[set[str]] = []
    send = shop.sender.send

    def watched(sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        batches.append({outgoing.email.subject.partition(" (")[0] for outgoing in emails})
        if len(batches) == 3:
            shop.products.put_catalogue(renamed, {}, known=stocked)
        return send(sender, emails)

    shop.sender.send = watched  # type: ignore[method-assign]
    shop.observe(IN_STOCK)
    shop.work()
    assert len(shop.sender.sent) == 400
    # A batch goes by the product as it is when the batch is written.
    assert batches[:3] == [{"Field Jacket"}] * 3
    assert batches[3:] == [{"The Jacket"}] * (len(batches) - 3)
    assert len(batches) > 6


def test_people_waiting_are_counted_from_rows_and_not_from_counters(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.observe(IN_STOCK)
    shop.work_until(lambda: len(shop.sender.sent) >= 1)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    # A counter that drifted, as after a worker that died.
    shop.progress.add(restock.id, shards_of(shop.sku)[0], at_ms=shop.clock(), notified=40)
    notified = sum(
        entry is not None and entry.state is EntryState.NOTIFIED
        for entry in (shop.entry(name) for name in ("ada", "bob", "cyd"))
    )
    (state,) = fan_outs(shop.sku, shop.products, shop.restocks, shop.progress, shop.shards, shop.rate_table)
    assert (state.waiting, shop.shards.count(shop.sku)) == (3 - notified, 3 - notified)
