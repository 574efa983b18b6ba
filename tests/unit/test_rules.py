"""Rules: at most once, within their bounds, and nothing lost when a worker dies."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chalicelib.domain.autopilot import Bounds, RuleBounds
from chalicelib.domain.domain_event import SHOPPER, DomainEvent, EventType, chain_of, event_id
from chalicelib.domain.emissions import availability_events
from chalicelib.domain.entry import HOUR_MS
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import Availability
from chalicelib.rules.rule import DEPTH_MAX, FiringOutcome, Rule, RuleAction, replay
from chalicelib.services.availability import Availabilities
from chalicelib.services.domain_events import DomainEvents
from chalicelib.services.rules import RESUMED_FOR_MS, Effects, RuleRunner
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.rules import RulesTable
from chalicelib.tables.sending import RuleBoundsTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import PoliciesTable
from spillway.sitegen.release import Release
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.failing_dynamodb import FailingDynamoDb
from tests.support.fakes import WorkerDied

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SKU = Sku("FJ-MOSS-M")
COMPLAINT = EventType.EMAIL_COMPLAINED
PAUSE = Rule("stop", COMPLAINT, {}, RuleAction.PAUSE, {"reason": "complaints"})
BOUNDS = Rule("bounds", COMPLAINT, {}, RuleAction.AUTOPILOT_BOUNDS, {"api_concurrency_max": 7})
EMAIL = Rule("mail", COMPLAINT, {}, RuleAction.EMAIL, {"subject": "Look", "message": "A complaint."})


class World:
    """The tables of a shop, and what its rules did."""

    def __init__(self, *rules: Rule) -> None:
        self.clock = Clock()
        self.rules: Sequence[Rule] = rules
        self.memory = MemoryDynamoDb(checked=False)
        client: Any = FailingDynamoDb(self.memory)
        self.client = client
        names = {
            name: create_table(self.memory, name) for name in ("EventsTable", "SendingTable", "ProductsTable")
        }
        self.table = RulesTable(client, names["EventsTable"])
        self.rate = SendingRateTable(client, names["SendingTable"])
        self.policies = PoliciesTable(client, names["SendingTable"])
        self.bounds = RuleBoundsTable(client, names["SendingTable"])
        self.products = ProductsTable(client, names["ProductsTable"])
        self.emails: list[tuple[str, str]] = []
        self.emitted: list[DomainEvent] = []
        effects = Effects(
            self.rate.pause,
            lambda: "complaints" if self.rate.resume() else None,
            self.policies,
            Availabilities(self.products),
            lambda subject, text: self.emails.append((subject, text)),
            self.emitted.extend,
            self.bounds,
        )
        runner = RuleRunner(lambda: self.rules, self.table, effects, self.clock)
        self.events = DomainEvents(self.table, runner, lambda: None, None)

    def process(self, event: DomainEvent) -> None:
        self.events.process(event)

    @property
    def paused(self) -> str | None:
        state = self.rate.state()
        return state.paused if state else None

    def outcomes(self) -> list[tuple[str, FiringOutcome, str | None]]:
        return [(firing.rule, firing.outcome, firing.result) for firing in self.table.firings()]


def complaint(number: int = 1, *, at_ms: int | None = None, **facts: Any) -> DomainEvent:
    at = Clock().now_ms if at_ms is None else at_ms
    return DomainEvent(event_id(COMPLAINT, str(number)), COMPLAINT, at, SKU, {"sku": SKU, **facts})


def test_a_rule_pauses_sending_once_and_its_row_says_why() -> None:
    world = World(PAUSE)
    event = complaint(at_ms=world.clock.now_ms - 5)

    world.process(event)
    world.rate.resume()
    world.process(event)

    assert world.paused is None, "a repeat of the event fires nothing"
    (firing,) = world.table.firings()
    assert (firing.rule, firing.version, firing.event_id) == ("stop", PAUSE.version, event.id)
    assert (firing.values, firing.cause, firing.depth) == ({"sku": SKU}, None, 0)
    assert (firing.outcome, firing.action, firing.result) == (FiringOutcome.FIRED, RuleAction.PAUSE, "done")
    (caused,) = world.emitted
    assert (caused.type, caused.cause, caused.depth) == (EventType.SENDING_PAUSED, event.id, 1)
    assert caused.data == {"reason": "complaints (rule stop)", "rule": "stop"}


def test_no_rule_and_no_row_sees_the_shopper() -> None:
    world = World(replace(PAUSE, when={"data": {SHOPPER: [{"exists": True}]}}))

    world.process(complaint(**{SHOPPER: "s1"}))

    assert world.outcomes() == []
    (recorded,) = world.table.recorded(from_ms=world.clock.now_ms, until_ms=world.clock.now_ms)
    assert recorded == complaint()


@pytest.mark.parametrize("took_effect", [False, True])
@pytest.mark.parametrize("rule_", [PAUSE, EMAIL, BOUNDS], ids=["pause", "email", "bounds"])
def test_a_kill_at_any_call_leaves_an_action_done_once_or_an_email_at_most_once(
    rule_: Rule, *, took_effect: bool
) -> None:
    for number in range(6):
        world = World(rule_)
        world.client.fail_at(number, took_effect=took_effect)
        try:
            world.process(complaint())
        except WorkerDied:
            world.client.never_fail()
            world.process(complaint())
            world.process(complaint())
        world.client.never_fail()
        ((_, outcome, result),) = world.outcomes()
        assert outcome is FiringOutcome.FIRED
        if rule_ is PAUSE:
            assert world.paused == "complaints (rule stop)"
            assert result in {"done", "sending was paused before"}
        elif rule_ is BOUNDS:
            assert world.bounds.get().api_concurrency_max == 7
            assert result is not None
            assert result.startswith("done: write units as the stack says, instances 7; before: ")
        else:
            assert len(world.emails) == (result == "done") or (len(world.emails), result) == (
                1,
                "interrupted",
            )


def test_a_decision_that_was_cut_off_long_ago_is_left_for_a_person() -> None:
    world = World(PAUSE)
    # The record and the decision are written; the pause is not.
    world.client.fail_at(2)
    with pytest.raises(WorkerDied):
        world.process(complaint())
    world.client.never_fail()
    world.clock.now_ms += RESUMED_FOR_MS + 1

    world.process(complaint())

    assert world.paused is None
    assert world.outcomes() == [("stop", FiringOutcome.FIRED, "interrupted")]


def test_a_rule_fires_no_more_often_in_an_hour_than_its_budget_and_says_so() -> None:
    world = World(replace(EMAIL, budget=2))
    hour = world.clock.now_ms // HOUR_MS * HOUR_MS

    for number in range(4):
        world.process(complaint(number, at_ms=hour + number))
    world.process(complaint(9, at_ms=hour + HOUR_MS))

    assert len(world.emails) == 3
    outcomes = [outcome for _, outcome, _ in world.outcomes()]
    assert sorted(outcomes) == [*[FiringOutcome.FIRED] * 3, *[FiringOutcome.OVER_BUDGET] * 2]


def test_a_chain_ends_after_three_rules_and_says_so() -> None:
    again = Rule("again", EventType.RULE_FIRED, {}, RuleAction.EVENT, {"name": "again"}, budget=100)
    world = World(Rule("first", COMPLAINT, {}, RuleAction.EVENT, {"name": "first"}), again)

    world.process(complaint())
    for event in world.emitted:
        world.process(event)

    assert [event.depth for event in world.emitted] == [1, 2, 3]
    stopped = [(name, outcome) for name, outcome, _ in world.outcomes() if outcome is not FiringOutcome.FIRED]
    assert stopped == [("again", FiringOutcome.TOO_DEEP)]


def test_a_rule_changes_the_availability_of_the_variant_that_its_event_is_about(
    small_release: Release,
) -> None:
    world = World(
        Rule("hold", COMPLAINT, {}, RuleAction.AVAILABILITY, {"availability": "BackOrder"}),
        Rule(
            "other",
            COMPLAINT,
            {},
            RuleAction.AVAILABILITY,
            {"availability": "InStock", "units": 3, "sku": "NO-SUCH"},
        ),
    )
    for entry in small_release.products:
        world.products.put_catalogue(entry.product, entry.stock, known=None)
    slug = world.products.slug_of(SKU)
    assert slug
    before = world.products.get_many([slug])[slug].stock

    world.process(complaint())

    after = world.products.get_many([slug])[slug].stock
    assert after[SKU].availability is Availability.BACK_ORDER
    results = {name: result for name, _, result in world.outcomes()}
    assert results == {"hold": f"done: {SKU} changed", "other": "failed: the shop has no SKU NO-SUCH"}
    # The event of the changed stock goes on with the chain.
    (change,) = availability_events(slug, before, after, at_ms=5)
    assert (change.subject, change.cause, change.depth) == (SKU, complaint().id, 1)
    assert change.data["availability"] == "BackOrder"


def test_a_stock_event_of_no_rule_begins_a_chain() -> None:
    assert [chain_of(text) for text in ("wms-1", "rule.x.y", "rule.a.b.c", "a.1.b.c")] == [(None, 0)] * 4


def test_rules_set_policies_and_resume() -> None:
    world = World(
        Rule("few", COMPLAINT, {}, RuleAction.WAVE_POLICY, {"product": "fern-jacket", "emails_per_unit": 2}),
        Rule("go", COMPLAINT, {}, RuleAction.RESUME),
    )
    world.rate.pause("complaints")

    world.process(complaint())

    assert world.paused is None
    assert world.policies.of(Slug("fern-jacket")).emails_per_unit == 2
    results = {name: result for name, _, result in world.outcomes()}
    assert results == {"few": "done", "go": "done: it was paused for: complaints"}


def test_a_rule_sets_the_bounds_of_the_autopilot_and_the_log_has_those_before() -> None:
    small = {"entries_write_units_max": 8_000, "api_concurrency_max": 0}
    world = World(Rule("small", COMPLAINT, {}, RuleAction.AUTOPILOT_BOUNDS, small))
    now_ms = world.clock.now_ms

    world.process(complaint(1, at_ms=now_ms))

    assert world.bounds.get() == RuleBounds(8_000, 0)
    operators = Bounds(20_000, 500)
    assert operators.within(world.bounds.get()) == Bounds(8_000, 0)
    assert Bounds(4_000, 500).within(world.bounds.get()) == Bounds(4_000, 0), "never above the operator's"
    # A rule without options leaves both to the operator, as of its event's time.
    world.rules = [Rule("all", COMPLAINT, {}, RuleAction.AUTOPILOT_BOUNDS)]
    world.process(complaint(2, at_ms=now_ms + 2))
    assert operators.within(world.bounds.get()) == operators
    world.rules = [Rule("late", COMPLAINT, {}, RuleAction.AUTOPILOT_BOUNDS, small)]
    world.process(complaint(3, at_ms=now_ms + 1))
    assert world.bounds.get() == RuleBounds()
    results = {name: result for name, _, result in world.outcomes()}
    of_stack = "write units as the stack says, instances as the stack says"
    assert results == {
        "small": f"done: write units 8,000, instances 0; before: {of_stack}",
        "all": f"done: {of_stack}; before: write units 8,000, instances 0",
        "late": f"a later event set the bounds: {of_stack}",
    }
    world.bounds.put(RuleBounds(1, 1), rule="r", at_ms=now_ms + 9)
    world.bounds.clear()
    assert world.bounds.get() == RuleBounds()


# ---- Histories ----

UNITS = st.integers(0, 4)
HISTORIES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 2 * HOUR_MS), UNITS, st.integers(0, DEPTH_MAX)), max_size=20
)
RULES = st.lists(
    st.builds(
        lambda number, units, budget: Rule(
            f"r{number}",
            COMPLAINT,
            {"data": {"units": [{"numeric": [">=", units]}]}},
            RuleAction.EVENT,
            {"name": "n"},
            budget,
        ),
        st.integers(0, 5),
        UNITS,
        st.integers(1, 3),
    ),
    max_size=3,
    unique_by=lambda made: made.name,
)


@given(HISTORIES, RULES, st.randoms())
@settings(max_examples=40, deadline=None)
def test_a_replay_decides_what_was_decided(
    history: list[tuple[int, int, int, int]], rules: list[Rule], random: Any
) -> None:
    world = World(*rules)
    start = world.clock.now_ms // HOUR_MS * HOUR_MS
    first: dict[int, DomainEvent] = {}
    for number, ms, units, depth in history:
        first.setdefault(number, replace(complaint(number, at_ms=start + ms, units=units), depth=depth))
    events = sorted(first.values(), key=lambda event: (event.at_ms, event.id))
    # Each event may come again at any time after.
    for position, event in enumerate(events):
        world.process(event)
        world.process(random.choice(events[: position + 1]))

    recorded = list(world.table.recorded(from_ms=start, until_ms=start + 3 * HOUR_MS))
    played = replay(rules, recorded)

    def facts(firings: Any) -> set[tuple[Any, ...]]:
        return {(f.rule, f.version, f.event_id, f.outcome, f.action, f.depth) for f in firings}

    assert facts(played) == facts(world.table.firings())


class Chains(RuleBasedStateMachine):
    """Any rules on each other's events: whatever comes in from outside, everything comes to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.from_outside = 0
        self.done = 0

    @rule(
        on=st.sampled_from([EventType.RULE_FIRED, EventType.SENDING_PAUSED, COMPLAINT]),
        action=st.sampled_from(
            [RuleAction.EVENT, RuleAction.PAUSE, RuleAction.RESUME, RuleAction.AUTOPILOT_BOUNDS]
        ),
        number=st.integers(0, 3),
    )
    def publish_a_rule(self, on: EventType, action: RuleAction, number: int) -> None:
        """Add a rule, or replace it."""
        options: Mapping[str, Any] = {"name": "n", "reason": "r"}
        if action is RuleAction.AUTOPILOT_BOUNDS:
            options = {"api_concurrency_max": number}
        kept = [known for known in self.world.rules if known.name != f"r{number}"]
        self.world.rules = [*kept, Rule(f"r{number}", on, {}, action, options, budget=50)]

    @rule()
    def receive_an_event(self) -> None:
        """Process one event from outside, and each that follows from it, twice."""
        self.from_outside += 1
        before = len(self.world.emitted)
        self.world.process(complaint(self.from_outside))
        while len(self.world.emitted) > self.done:
            event = self.world.emitted[self.done]
            self.done += 1
            self.world.process(event)
            self.world.process(event)
        rules = len(self.world.rules)
        assert len(self.world.emitted) - before <= rules + rules**2 + rules**3

    @invariant()
    def nothing_is_deeper_than_the_bound(self) -> None:
        """No event has more rules before it than the bound."""
        assert all(event.depth <= DEPTH_MAX for event in self.world.emitted)


TestChains = Chains.TestCase
TestChains.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
