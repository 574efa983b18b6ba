"""Two things happen to an entry at once: whatever the one does between two calls of the other, what comes of
it is what comes of one after the other."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count, product
from typing import Any

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.entry import CONFIRM_WITHIN_S, EntryState, OptIn, rejoins, shard_of
from chalicelib.domain.stock import Availability
from chalicelib.domain.tokens import LinkSubject, Purpose
from chalicelib.domain.wave import ShardStep
from chalicelib.services.fan_out.restocking import SingleOptIn
from chalicelib.tables.suppressions import ShoppersTable
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.shop import TestShop

SKU = "FJ-MOSS-M"
PENDING, CONFIRMED, NOTIFIED, LEFT = EntryState
# A reader can see of it: the state, and how many emails were sent.
Outcome = tuple[EntryState | None, int]


class Interrupted(MemoryDynamoDb):
    """Lets something else happen just before one of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_left = -1
        self.meanwhile: Callable[[], None] = lambda: None

    def _check(self, operation: str, request: Mapping[str, Any]) -> None:
        # Each call begins with it.
        if self.calls_left == 0:
            self.calls_left = -1
            self.meanwhile()
        self.calls_left -= self.calls_left > 0
        super()._check(operation, request)


class Scene:
    """A shop, and one new shopper after another."""

    def __init__(self, release: Release) -> None:
        self.clock = Clock()
        self.shop = TestShop(release, self.clock, slug="field-jacket", sku=SKU, dynamodb=Interrupted())
        self.dynamodb: Interrupted = self.shop.dynamodb
        self.shoppers = ShoppersTable(self.shop.entries.table.client, self.shop.entries.table.name)
        self.single_opt_in = SingleOptIn(self.shop.entries, self.shop.restocking, self.clock)
        self.numbers = count(1)
        self.enter()

    def enter(self) -> None:
        """The next shopper comes, to a shop that knows nobody."""
        for table in ("EntriesTable", "RestocksTable", "SendingTable"):
            self.dynamodb.clear(self.shop.table_names[table])
        self.shop.observe(Availability.OUT_OF_STOCK)
        self.shop.queue.clear()
        self.address = Address.parse(f"shopper{next(self.numbers)}@example.com")
        self.shopper = self.address.shopper_id(b"identity")

    def outcome(self) -> Outcome:
        self.shop.work()
        entry = self.shop.entries.get(self.shopper, SKU)
        return entry.state if entry else None, self.shop.sender.mailboxes().count(self.address.mailbox)

    def sign_up(self, opt_in: OptIn = OptIn.DOUBLE) -> None:
        before = self.shop.entries.get(self.shopper, SKU)
        self.shop.signups.sign_up(self.address, [SKU], page="/", consent="c", opt_in=opt_in)
        after = self.shop.entries.get(self.shopper, SKU)
        if after is not None and rejoins(before, after):
            self.shop.entries.rejoin(after)

    def sign_up_at_once(self) -> None:
        self.sign_up(OptIn.SINGLE)
        entry = self.shop.entries.get(self.shopper, SKU)
        if entry is not None and entry.state is CONFIRMED:
            self.single_opt_in.accept(entry)

    def confirm(self) -> None:
        self.shop.waitlist.confirm(self._link(Purpose.CONFIRM))

    def leave(self) -> None:
        self.shop.waitlist.unsubscribe(self._link(Purpose.UNSUBSCRIBE))

    def erase(self) -> None:
        self.shoppers.erase(self.shopper)

    def ask(self) -> None:
        self.shop.confirmations.send(self.shopper, SKU)

    def suppress(self) -> None:
        self.shop.suppressions.suppress(self.shopper, reason="complaint", at_ms=self.clock())

    def comes_back(self) -> None:
        """Prepare a walk of the shopper's shard."""
        self.shop.observe(Availability.IN_STOCK)
        line = shard_of(SKU, self.shopper)
        steps = [
            step for step in self.shop.queue.messages if isinstance(step, ShardStep) and step.shard == line
        ]
        self.shop.queue.clear()
        for step in steps:
            self.shop.queue.put(step)

    def work(self) -> None:
        self.shop.work()

    def _link(self, purpose: Purpose) -> str:
        return self.shop.links.sign(purpose, LinkSubject(self.shopper, SKU))


Deed = Callable[[Scene], None]


def expired(scene: Scene) -> None:
    scene.sign_up()
    scene.clock.pass_s(CONFIRM_WITHIN_S + 1)


def joined(scene: Scene) -> None:
    scene.sign_up()
    scene.confirm()


def left(scene: Scene) -> None:
    joined(scene)
    scene.leave()


def about_to_be_told(scene: Scene) -> None:
    joined(scene)
    scene.comes_back()


def notified(scene: Scene) -> None:
    about_to_be_told(scene)
    scene.work()
    scene.shop.observe(Availability.OUT_OF_STOCK)


BEGINNINGS: dict[str, Deed] = {
    "nobody": lambda _: None,
    "pending": Scene.sign_up,
    "expired": expired,
    "confirmed": joined,
    "left": left,
    "notified": notified,
}
DEEDS: dict[str, Deed] = {
    deed.__name__: deed
    for deed in (
        Scene.sign_up,
        Scene.sign_up_at_once,
        Scene.confirm,
        Scene.leave,
        Scene.erase,
        Scene.ask,
        Scene.suppress,
    )
}


def played(scene: Scene, beginning: Deed, *deeds: Deed) -> Outcome:
    """The outcome of these, one after the other, for a new shopper."""
    scene.enter()
    beginning(scene)
    for deed in deeds:
        deed(scene)
    return scene.outcome()


def interrupted(scene: Scene, beginning: Deed, deed: Deed, other: Deed) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of `deed` when `other` happens before its first call, its second, and so on."""
    for calls in count():
        scene.enter()
        beginning(scene)
        happened: list[bool] = []

        def meanwhile(happened: list[bool] = happened) -> None:
            other(scene)
            happened.append(True)

        scene.dynamodb.meanwhile, scene.dynamodb.calls_left = meanwhile, calls
        deed(scene)
        scene.dynamodb.calls_left = -1
        if not happened:
            assert calls, "it makes no call"
            return
        yield calls, scene.outcome()


@pytest.fixture(scope="module")
def scene(small_release: Release) -> Scene:
    return Scene(small_release)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_two_changes_at_once_end_as_one_after_the_other(scene: Scene, beginning: str) -> None:
    begin = BEGINNINGS[beginning]
    in_order = {
        (first, second): played(scene, begin, DEEDS[first], DEEDS[second])
        for first, second in product(DEEDS, repeat=2)
    }
    for name, deed in DEEDS.items():
        for other_name, other in DEEDS.items():
            in_turn = {in_order[name, other_name], in_order[other_name, name]}
            for calls, outcome in interrupted(scene, begin, deed, other):
                assert outcome in in_turn, f"{other_name} before call {calls} of {name}"


@pytest.mark.parametrize("other", DEEDS)
def test_a_fan_out_ends_as_if_what_happened_meanwhile_had_been_before_or_after(
    scene: Scene, other: str
) -> None:
    deed = DEEDS[other]
    in_turn = {
        played(scene, about_to_be_told, Scene.work, deed),
        played(scene, about_to_be_told, deed, Scene.work),
    }
    for calls, outcome in interrupted(scene, about_to_be_told, Scene.work, deed):
        assert outcome in in_turn, f"{other} before call {calls}"
