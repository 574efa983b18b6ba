"""The life of entries, in any order, anything of it twice: what must hold holds after every step."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chalicelib.domain.address import Address
from chalicelib.domain.entry import (
    ASK_AGAIN_AFTER_S,
    CONFIRM_WITHIN_S,
    CONFIRMATIONS_PER_DAY_MAX,
    EntryState,
    Reaction,
    reaction_to,
)
from chalicelib.domain.links import LinkSubject, Purpose
from chalicelib.domain.stock import Availability
from chalicelib.tables.shoppers import ShoppersTable
from spillway.build.release import Release
from tests.clock import Clock
from tests.shop import TestShop

DAY_S = 24 * 3600
SKUS = ("FJ-MOSS-M", "FJ-SLATE-M")
names = st.sampled_from(["ada", "ben"])
skus = st.sampled_from(SKUS)
times = st.sampled_from([1, 2])


@dataclass
class Known:
    """What a reader of the rules knows of one entry."""

    state: EntryState
    asked_at_s: int


class EntryStory(RuleBasedStateMachine):
    """Two shoppers, two variants, and everything that can happen to them."""

    release: ClassVar[Release]

    def __init__(self) -> None:
        super().__init__()
        self.shop = TestShop(self.release, Clock(), slug="field-jacket", sku=SKUS[0])
        for sku in SKUS:
            self.shop.sku = sku
            self.shop.observe(Availability.OUT_OF_STOCK)
        self.known: dict[tuple[str, str], Known] = {}
        self.suppressed: set[str] = set()
        self.letters_due: list[tuple[str, str]] = []
        self.asked_today: Counter[tuple[str, int]] = Counter()
        self.shoppers = ShoppersTable(self.shop.entries._client, self.shop.entries._name)

    @rule(name=names, sku=skus, times=times)
    def sign_up(self, name: str, sku: str, times: int) -> None:
        for _ in range(times):
            before = self.shop.entries.get(self.id_of(name), sku)
            self.shop.signups.sign_up(Address.parse(self.mailbox(name)), [sku], page="/", consent="c")
            after = self.shop.entries.get(self.id_of(name), sku)
            assert after is not None
            known = self.known.get((name, sku))
            again = known is None or known.state in {EntryState.LEFT, EntryState.NOTIFIED}
            if known and known.state is EntryState.PENDING:
                again = self.now_s - known.asked_at_s > ASK_AGAIN_AFTER_S
            # The stream sees what was written: one letter for each time that counted, else none.
            assert (reaction_to(before, after) is Reaction.ASK) == again
            if again:
                self.known[name, sku] = Known(EntryState.PENDING, self.now_s)
                self.letters_due.append((name, sku))

    @rule(times=times)
    def letters_are_sent(self, times: int) -> None:
        due, self.letters_due = self.letters_due, []
        for name, sku in due * times:
            before = len(self.shop.postbox.sent)
            self.shop.confirmations.send(self.id_of(name), sku)
            sent = self.shop.postbox.sent[before:]
            today = (name, self.now_s // DAY_S)
            wanted = self.state(name, sku) is EntryState.PENDING and name not in self.suppressed
            expected = wanted and self.asked_today[today] < CONFIRMATIONS_PER_DAY_MAX
            assert [envelope.mailbox for envelope in sent] == [self.mailbox(name)] * expected
            self.asked_today[today] += len(sent)

    @rule(name=names, sku=skus, times=times)
    def confirm(self, name: str, sku: str, times: int) -> None:
        link = self.link(Purpose.CONFIRM, name, sku)
        could = self.state(name, sku) in {EntryState.PENDING, EntryState.CONFIRMED, EntryState.NOTIFIED}
        for _ in range(times):
            assert self.shop.waitlist.confirm(link) == could
        if self.state(name, sku) is EntryState.PENDING:
            self.known[name, sku].state = EntryState.CONFIRMED

    @rule(name=names, sku=skus, times=times)
    def leave(self, name: str, sku: str, times: int) -> None:
        for _ in range(times):
            self.shop.waitlist.leave(self.link(Purpose.LEAVE, name, sku))
        if (name, sku) in self.known:
            self.known[name, sku].state = EntryState.LEFT

    @rule(name=names, times=times)
    def erase(self, name: str, times: int) -> None:
        for _ in range(times):
            self.shoppers.erase(self.id_of(name))
        self.known = {key: known for key, known in self.known.items() if key[0] != name}
        # The day's count goes with everything else; only the shopper's own letter could ask for that.
        self.asked_today[name, self.now_s // DAY_S] = 0

    @rule(name=names, times=times)
    def suppress(self, name: str, times: int) -> None:
        for _ in range(times):
            self.shop.suppressions.suppress(self.id_of(name), reason="complaint", at_ms=self.shop.clock())
        self.suppressed.add(name)

    @rule(hours=st.sampled_from([1, 23, 73]), swept=st.booleans())
    def time_passes(self, hours: int, swept: bool) -> None:
        self.shop.clock.pass_s(hours * 3600)
        if swept:  # DynamoDB deletes what has expired, days late or never
            for name, sku in [key for key in self.known if self.expired(*key)]:
                self.shop.entries._client.delete_item(
                    TableName=self.shop.entries._name,
                    Key={"shopper": {"S": self.id_of(name)}, "sku": {"S": sku}},
                )
                del self.known[name, sku]

    @rule(sku=skus)
    def it_comes_back(self, sku: str) -> None:
        self.shop.sku = sku
        before = len(self.shop.postbox.sent)
        self.shop.observe(Availability.IN_STOCK)
        self.shop.work()
        self.shop.observe(Availability.OUT_OF_STOCK)
        told = Counter(envelope.mailbox for envelope in self.shop.postbox.sent[before:])
        confirmed = [
            name
            for name, one in self.known
            if one == sku and self.known[name, one].state is EntryState.CONFIRMED
        ]
        # Everybody who asked, once; nobody else, and nobody who must not be written to.
        assert told == Counter(self.mailbox(name) for name in confirmed if name not in self.suppressed)
        for name in confirmed:
            suppressed = name in self.suppressed
            self.known[name, sku].state = EntryState.LEFT if suppressed else EntryState.NOTIFIED

    @invariant()
    def every_entry_is_what_the_rules_say(self) -> None:
        for name in ("ada", "ben"):
            kept = {each.entry.sku: each.entry.state for each in self.shoppers.kept(self.id_of(name))}
            known = {sku: each.state for (one, sku), each in self.known.items() if one == name}
            assert kept == known

    @property
    def now_s(self) -> int:
        return self.shop.clock() // 1000

    def state(self, name: str, sku: str) -> EntryState | None:
        """The state of an entry, None when it is not there or counts as gone."""
        known = self.known.get((name, sku))
        return None if known is None or self.expired(name, sku) else known.state

    def expired(self, name: str, sku: str) -> bool:
        known = self.known[name, sku]
        return known.state is EntryState.PENDING and self.now_s >= known.asked_at_s + CONFIRM_WITHIN_S

    def mailbox(self, name: str) -> str:
        return f"{name}@example.com"

    def id_of(self, name: str) -> str:
        return self.shop.shopper(name)

    def link(self, purpose: Purpose, name: str, sku: str) -> str:
        return self.shop.links.sign(purpose, LinkSubject(self.id_of(name), sku))


def test_the_life_of_entries_in_any_order(small_release: Release) -> None:
    EntryStory.release = small_release
    run_state_machine_as_test(
        EntryStory,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
