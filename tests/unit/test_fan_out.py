"""From a restock to letters: who is told, in which order, and what crashes do to it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest

from chalicelib.domain.entry import EntryState, line_of, lines_of
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import TellOne
from chalicelib.mail.postbox import Delivery, Envelope, Receipt
from spillway.build.release import Release
from spillway.merchant.demand import fan_outs
from tests.clock import Clock
from tests.fakes import WorkerDied
from tests.shop import TestShop

IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def told(shop: TestShop) -> list[str]:
    return sorted(mailbox.partition("@")[0] for mailbox in shop.postbox.mailboxes())


def on_one_line(shop: TestShop, count: int) -> list[str]:
    names = (f"shopper{number}" for number in range(100_000))
    first = line_of(shop.sku, shop.shopper("shopper0"))
    return list(islice((name for name in names if line_of(shop.sku, shop.shopper(name)) == first), count))


def test_who_confirmed_is_told_once_and_nobody_else(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.sign_up("eve")
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == ["ada", "bob"]
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.NOTIFIED
    shop.observe(SOLD_OUT)
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == ["ada", "bob"]


def test_a_letter_says_how_to_leave_in_one_click(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.work()
    (envelope,) = shop.postbox.sent
    leave_url = envelope.headers["List-Unsubscribe"].strip("<>")
    assert leave_url.startswith("https://www.heron.example/api/unsubscribe?token=")
    assert envelope.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert leave_url in envelope.letter.text
    assert "Field Jacket" in envelope.letter.subject
    assert "ada" not in leave_url


def test_a_shard_is_told_in_the_order_of_joining(shop: TestShop) -> None:
    names = [f"shopper{number}" for number in range(20)]
    shop.join(*names)
    shop.observe(IN_STOCK)
    shop.work()
    order = [mailbox.partition("@")[0] for mailbox in shop.postbox.mailboxes()]
    assert sorted(order) == sorted(names)
    for line in {line_of(shop.sku, shop.shopper(name)) for name in names}:
        of_line = [name for name in names if line_of(shop.sku, shop.shopper(name)) == line]
        assert [name for name in order if name in of_line] == of_line


def test_a_long_line_is_walked_in_batches_of_fifty(shop: TestShop) -> None:
    names = on_one_line(shop, 60)
    shop.join(*names)
    shop.observe(IN_STOCK)
    shop.work()
    assert [mailbox.partition("@")[0] for mailbox in shop.postbox.mailboxes()] == names
    assert shop.postbox.calls == 2


def test_the_same_restock_twice_tells_nobody_twice(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    shop.restocking.open(restock)
    shop.work()
    assert told(shop) == ["ada"]


def test_sold_out_again_stops_what_was_not_sent(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.observe(IN_STOCK)
    shop.observe(SOLD_OUT)
    shop.work()
    assert told(shop) == []
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == ["ada", "bob"]


def test_on_off_on_off_leaves_one_live_restock(shop: TestShop) -> None:
    shop.join("ada")
    for _ in range(3):
        shop.observe(IN_STOCK)
        shop.observe(SOLD_OUT)
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == ["ada"]


def test_fewer_units_do_not_stop_a_fan_out(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK, units=5)
    shop.observe(IN_STOCK, units=3)
    shop.work()
    assert told(shop) == ["ada"]


def test_who_leaves_before_the_letter_gets_none(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.observe(IN_STOCK)
    shop.leave("ada")
    shop.work()
    assert told(shop) == ["bob"]


def test_a_suppressed_shopper_is_not_mailed_and_leaves_the_line(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.suppressions.suppress(shop.shopper("ada"), reason="complaint", at_ms=shop.clock())
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == ["bob"]
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.LEFT


def test_who_confirms_while_it_can_be_had_is_told_at_once(shop: TestShop) -> None:
    shop.observe(IN_STOCK)
    shop.work()
    shop.join("late")
    shop.restocking.welcome(shop.shopper("late"), shop.sku, at_ms=shop.clock())
    shop.work()
    assert told(shop) == ["late"]


def test_who_confirms_what_was_never_sold_out_is_told_too(clock: Clock, small_release: Release) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-S")
    shop.join("ada")
    shop.restocking.welcome(shop.shopper("ada"), shop.sku, at_ms=shop.clock())
    shop.restocking.welcome(shop.shopper("ada"), shop.sku, at_ms=shop.clock())
    shop.work()
    assert told(shop) == ["ada"]


def test_who_confirms_while_it_is_sold_out_waits(shop: TestShop) -> None:
    shop.join("ada")
    shop.restocking.welcome(shop.shopper("ada"), shop.sku, at_ms=shop.clock())
    assert shop.queue.messages == []


def test_a_fan_out_does_not_reach_beyond_its_frozen_bound(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.clock.pass_s(1)
    shop.join("late")
    shop.work()
    assert told(shop) == ["ada"]


def test_a_throttled_postbox_tells_everyone_later(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.observe(IN_STOCK)
    shop.postbox.refuses = 2
    shop.work()
    assert told(shop) == ["ada", "bob", "cyd"]


def test_one_deferred_letter_of_a_batch_is_sent_alone_later(shop: TestShop) -> None:
    names = [f"shopper{number}" for number in range(12)]
    shop.join(*names)
    shop.postbox.deliveries["shopper7@example.com"] = Delivery.DEFERRED
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == sorted(names)


def test_a_rejected_letter_is_not_tried_again(shop: TestShop) -> None:
    shop.join("ada")
    shop.postbox.deliveries["ada@example.com"] = Delivery.REJECTED
    shop.observe(IN_STOCK)
    shop.work()
    assert told(shop) == []
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

    shop.postbox.before_sending = die
    shop.work()
    assert told(shop) == ["ada", "bob"]


def test_a_worker_that_dies_after_sending_repeats_at_most_its_batch(shop: TestShop) -> None:
    names = on_one_line(shop, 60)
    shop.join(*names)
    shop.observe(IN_STOCK)
    shop.postbox.dies_after_sending = True
    shop.work()
    assert set(told(shop)) == set(names)
    repeats = len(told(shop)) - len(names)
    assert 0 < repeats <= 50


def test_a_product_that_left_the_catalogue_stops_its_fan_out(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    rest = tuple(variant for variant in stocked.product.variants if variant.sku != shop.sku)
    shop.products.put_catalogue(replace(stocked.product, variants=rest), {}, known=stocked)
    shop.work()
    assert told(shop) == []
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.CONFIRMED


def test_a_message_about_an_older_restock_is_dropped(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.queue.clear()
    shop.fan_out.work(TellOne("some-older-one", shop.sku, shop.shopper("ada")))
    assert told(shop) == []


def test_two_workers_on_the_same_page_tell_nobody_twice(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.observe(IN_STOCK)
    steps = list(shop.queue.messages)

    def second_worker() -> None:
        shop.postbox.before_sending = lambda: None
        for step in steps:
            shop.fan_out.work(step)

    shop.postbox.before_sending = second_worker
    shop.work()
    assert told(shop) == ["ada", "bob", "cyd"]


def test_a_product_renamed_in_mid_fan_out_is_called_one_name_in_each_batch(shop: TestShop) -> None:
    names = [f"s{number:03}" for number in range(400)]
    shop.join(*names)
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    renamed = replace(stocked.product, title="The Jacket")
    batches: list[set[str]] = []
    send = shop.postbox.send

    def watched(sender: str, envelopes: Sequence[Envelope]) -> tuple[Receipt, ...]:
        batches.append({envelope.letter.subject.partition(" (")[0] for envelope in envelopes})
        if len(batches) == 3:
            shop.products.put_catalogue(renamed, {}, known=stocked)
        return send(sender, envelopes)

    shop.postbox.send = watched  # type: ignore[method-assign]
    shop.observe(IN_STOCK)
    shop.work()
    assert len(shop.postbox.sent) == 400
    # A batch goes by the product as it is when the batch is written.
    assert batches[:3] == [{"Field Jacket"}] * 3
    assert batches[3:] == [{"The Jacket"}] * (len(batches) - 3)
    assert len(batches) > 6


def test_who_waits_is_counted_from_the_rows_whatever_counters_say(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.observe(IN_STOCK)
    shop.work_until(lambda: len(shop.postbox.sent) >= 1)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    # A counter that drifted, as after a worker that died.
    shop.progress.add(restock.id, lines_of(shop.sku)[0], at_ms=shop.clock(), told=40)
    told = sum(
        entry is not None and entry.state is EntryState.NOTIFIED
        for entry in (shop.entry(name) for name in ("ada", "bob", "cyd"))
    )
    (state,) = fan_outs(shop.sku, shop.products, shop.restocks, shop.progress, shop.line, shop.pace_table)
    assert (state.waiting, shop.line.count(shop.sku)) == (3 - told, 3 - told)
