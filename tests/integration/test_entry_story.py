"""The life of entries, in any order, anything of it twice: what must hold holds after every step."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chalicelib.domain.address import Address
from chalicelib.domain.entry import (
    CONFIRM_WITHIN_S,
    REQUESTED_EMAILS_PER_DAY_MAX,
    SIGN_UP_COOL_DOWN_S,
    SINGLE_OPT_INS_PER_DAY_MAX,
    Entry,
    EntryState,
    OptIn,
    Reaction,
    position_of,
    reaction_to,
    rejoins,
)
from chalicelib.domain.stock import Availability
from chalicelib.domain.tokens import LinkSubject, Purpose
from chalicelib.services.fan_out.restocking import SingleOptIn
from chalicelib.tables.suppressions import ShoppersTable
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.shop import IDENTITY_KEY, TestShop

DAY_S = 24 * 3600
SKUS = ("FJ-MOSS-M", "FJ-SLATE-M")
names = st.sampled_from(["ada", "ben"])
skus = st.sampled_from(SKUS)
times = st.sampled_from([1, 2])
IDS = {name: Address.parse(f"{name}@example.com").shopper_id(IDENTITY_KEY) for name in ("ada", "ben")}


@dataclass
class Known:
    """The state of one entry by the documented rules."""

    state: EntryState
    asked_at_s: int
    joined_at_ms: int
    again_at_s: int | None = None


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
        self.emails_due: list[tuple[str, str]] = []
        self.asked_at_s: dict[str, list[int]] = {"ada": [], "ben": []}
        self.covered: dict[str, tuple[str, dict[str, int]]] = {}
        self.accepted_today: Counter[tuple[str, int]] = Counter()
        self.single_opt_in = SingleOptIn(self.shop.entries, self.shop.restocking, self.shop.clock)
        self.shoppers = ShoppersTable(self.shop.entries.table.client, self.shop.entries.table.name)

    @rule(name=names, sku=skus, times=times)
    def sign_up(self, name: str, sku: str, times: int) -> None:
        for _ in range(times):
            self.shop.clock.pass_s(1)
            known = self.known.get((name, sku))
            again = known is None or known.state in {EntryState.UNSUBSCRIBED, EntryState.NOTIFIED}
            if known and known.state is EntryState.PENDING:
                again = self.now_s - known.asked_at_s > SIGN_UP_COOL_DOWN_S
            stays = known is not None and known.state is EntryState.PENDING and not self.expired(name, sku)
            before, after = self.ask(name, sku, OptIn.DOUBLE)
            if known and known.state is EntryState.CONFIRMED:
                said = known.again_at_s is None or self.now_s - known.again_at_s > DAY_S
                assert (reaction_to(before, after) is Reaction.SEND_ALREADY_WAITING) == said
                if said and before:
                    self.shop.entries.keep(before, after)
                    known.again_at_s = self.now_s
                assert self.shop.entries.get(self.id_of(name), sku) == before
            # The stream sees what was written: one email for each time that counted, else none.
            assert (reaction_to(before, after) is Reaction.SEND_CONFIRMATION) == again
            if again:
                joined_at_ms = known.joined_at_ms if known and stays else self.shop.clock()
                self.known[name, sku] = Known(EntryState.PENDING, self.now_s, joined_at_ms)
                self.emails_due.append((name, sku))

    @rule(name=names, sku=skus, times=times)
    def sign_up_at_once(self, name: str, sku: str, times: int) -> None:
        """Where no email asks for confirmation."""
        for _ in range(times):
            self.shop.clock.pass_s(1)
            known, today = self.known.get((name, sku)), (name, self.now_s // DAY_S)
            again = known is None or known.state is not EntryState.CONFIRMED
            before, after = self.ask(name, sku, OptIn.SINGLE)
            assert (reaction_to(before, after) is Reaction.ACCEPT_SINGLE_OPT_IN) == again
            if again:
                used_up = self.accepted_today[today] == SINGLE_OPT_INS_PER_DAY_MAX
                self.accepted_today[today] += not used_up
                for _ in range(times):
                    self.single_opt_in.accept(after)
                state = EntryState.UNSUBSCRIBED if used_up else EntryState.CONFIRMED
                self.known[name, sku] = Known(state, self.now_s, self.shop.clock())

    def ask(self, name: str, sku: str, opt_in: OptIn) -> tuple[Entry | None, Entry]:
        """The stream record of a signup; its first reaction is done."""
        address, shopper = Address.parse(self.mailbox(name)), self.id_of(name)
        before = self.shop.entries.get(shopper, sku)
        self.shop.signups.sign_up(address, [sku], page="/", consent="c", opt_in=opt_in)
        after = self.shop.entries.get(shopper, sku)
        assert after is not None
        if rejoins(before, after):
            self.shop.entries.rejoin(after)
        return before, after

    @rule(times=times)
    def emails_are_sent(self, times: int) -> None:
        due, self.emails_due = self.emails_due, []
        for name, sku in due * times:
            before = len(self.shop.sender.sent)
            self.shop.confirmations.send(self.id_of(name), sku)
            sent = self.shop.sender.sent[before:]
            lately = [at_s for at_s in self.asked_at_s[name] if at_s > self.now_s - DAY_S]
            wanted = {one: self.known[name, one].asked_at_s for one in SKUS if self.is_pending(name, one)}
            by, covered = self.covered.get(name, ("", {}))
            own = {sku: wanted[sku]} if sku in wanted else wanted
            new = by in {"", sku} or any(covered.get(one, -1) < at_s for one, at_s in own.items())
            expected = wanted and new and name not in self.suppressed
            expected = expected and len(lately) < REQUESTED_EMAILS_PER_DAY_MAX
            assert [outgoing.mailbox for outgoing in sent] == [self.mailbox(name)] * bool(expected)
            if sent:
                # One email, and its link, for all that is still to be confirmed.
                (token,) = set(re.findall(r"confirm\?token=([\w.~-]+)", sent[0].email.text))
                assert set(self.shop.links.read(Purpose.CONFIRM, token).skus) == wanted.keys()
                self.covered[name] = sku, wanted
            self.asked_at_s[name] += [self.now_s] * len(sent)

    def is_pending(self, name: str, sku: str) -> bool:
        return self.state(name, sku) is EntryState.PENDING

    @rule(name=names, sku=skus, times=times)
    def confirm(self, name: str, sku: str, times: int) -> None:
        link = self.link(Purpose.CONFIRM, name, sku)
        could = self.state(name, sku) in {EntryState.PENDING, EntryState.CONFIRMED, EntryState.NOTIFIED}
        for _ in range(times):
            assert (self.shop.waitlist.confirm(link) is not None) == could
        if self.state(name, sku) is EntryState.PENDING:
            self.known[name, sku].state = EntryState.CONFIRMED
            self.known[name, sku].again_at_s = None

    @rule(name=names, sku=skus, times=times)
    def leave(self, name: str, sku: str, times: int) -> None:
        for _ in range(times):
            self.shop.waitlist.unsubscribe(self.link(Purpose.UNSUBSCRIBE, name, sku))
        if (name, sku) in self.known:
            self.known[name, sku].state = EntryState.UNSUBSCRIBED

    @rule(name=names, times=times)
    def erase(self, name: str, times: int) -> None:
        for _ in range(times):
            self.shoppers.erase(self.id_of(name))
        self.known = {key: known for key, known in self.known.items() if key[0] != name}
        # The counts go with everything else; only the shopper's own email could ask for that.
        self.asked_at_s[name] = []
        self.covered.pop(name, None)
        self.accepted_today[name, self.now_s // DAY_S] = 0

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
                self.shop.entries.table.client.delete_item(
                    TableName=self.shop.entries.table.name,
                    Key={"shopper": {"S": self.id_of(name)}, "sku": {"S": sku}},
                )
                del self.known[name, sku]

    @rule(sku=skus)
    def it_comes_back(self, sku: str) -> None:
        self.shop.sku = sku
        before = len(self.shop.sender.sent)
        self.shop.observe(Availability.IN_STOCK)
        self.shop.work()
        self.shop.observe(Availability.OUT_OF_STOCK)
        emailed = Counter(outgoing.mailbox for outgoing in self.shop.sender.sent[before:])
        confirmed = [
            name
            for name, one in self.known
            if one == sku and self.known[name, one].state is EntryState.CONFIRMED
        ]
        # Everybody who asked, once; nobody else, and nobody who must not be written to.
        assert emailed == Counter(self.mailbox(name) for name in confirmed if name not in self.suppressed)
        for name in confirmed:
            suppressed = name in self.suppressed
            self.known[name, sku].state = EntryState.UNSUBSCRIBED if suppressed else EntryState.NOTIFIED

    @invariant()
    def every_entry_is_what_the_rules_say(self) -> None:
        for name in ("ada", "ben"):
            entries = [item.entry for item in self.shoppers.kept(self.id_of(name))]
            kept = {entry.sku: (entry.state, entry.position) for entry in entries}
            assert kept == {sku: self.standing(name, sku) for one, sku in self.known if one == name}

    def standing(self, name: str, sku: str) -> tuple[EntryState, str | None]:
        """The state of an entry as it is stored, and its place while it has one."""
        known = self.known[name, sku]
        stands = known.state in {EntryState.PENDING, EntryState.CONFIRMED}
        return known.state, position_of(known.joined_at_ms, self.id_of(name)) if stands else None

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
        return IDS[name]

    def link(self, purpose: Purpose, name: str, sku: str) -> str:
        return self.shop.links.sign(purpose, LinkSubject(self.id_of(name), sku))


@pytest.mark.parametrize("stories", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_the_life_of_entries_in_any_order(small_release: Release, stories: int) -> None:
    EntryStory.release = small_release
    run_state_machine_as_test(
        EntryStory,
        settings=settings(
            max_examples=stories,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
