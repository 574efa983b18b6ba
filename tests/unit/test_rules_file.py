"""site/rules.toml: what is read, and that a mistake names its file, line, field and way out."""

import re
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.domain_event import EventType
from chalicelib.domain.ids import Sku, Slug
from chalicelib.rules.rule import Rule, RuleAction
from spillway.sitegen.reading.rule_fields import EVENT_FIELDS, ShopNames
from spillway.sitegen.reading.rules_file import parse_rules
from tests.support.aws import ROOT

if TYPE_CHECKING:
    from spillway.sitegen.reading.toml_input import InputError

GOOD = """
[[rules]]
name = "pause-on-complaints"
on = "email.complained"
when.data.complaints_of_day = [{ numeric = [">=", 5] }]
do = "pause"
with = { reason = "five complaints" }
budget = 2

[[rules]]
name = "few-at-a-time"
on = "demand.passed"
do = "wave-policy"
with = { emails_per_unit = 2, units_min = 5 }

[[rules]]
name = "hold"
on = "availability.changed"
when = { subject = [{ prefix = "FJ-" }] }
do = "availability"
with = { availability = "BackOrder" }

[[rules]]
name = "quiet"
on = "schedule"
do = "autopilot-bounds"
with = { entries_write_units_max = 0 }
"""


def test_rules_are_read_in_their_order() -> None:
    mistakes: list[InputError] = []

    rules = parse_rules(GOOD, mistakes)

    assert mistakes == []
    assert rules == (
        Rule(
            "pause-on-complaints",
            EventType.EMAIL_COMPLAINED,
            {"data": {"complaints_of_day": [{"numeric": [">=", 5]}]}},
            RuleAction.PAUSE,
            {"reason": "five complaints"},
            2,
        ),
        Rule(
            "few-at-a-time",
            EventType.DEMAND_PASSED,
            {},
            RuleAction.WAVE_POLICY,
            {"emails_per_unit": 2, "units_min": 5},
        ),
        Rule(
            "hold",
            EventType.AVAILABILITY_CHANGED,
            {"subject": [{"prefix": "FJ-"}]},
            RuleAction.AVAILABILITY,
            {"availability": "BackOrder"},
        ),
        Rule("quiet", EventType.SCHEDULE, {}, RuleAction.AUTOPILOT_BOUNDS, {"entries_write_units_max": 0}),
    )
    assert all(Rule.from_document(rule.to_document()) == rule for rule in rules)


START = '[[rules]]\nname = "a"\non = "schedule"\n'


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            '[[rules]]\nname = "a"\non = "restock.opend"\ndo = "resume"\n',
            "site/rules.toml:3: rules[0].on = 'restock.opend': expected a known name;"
            " did you mean restock.opened?",
        ),
        (
            START + 'do = "pauze"\n',
            "site/rules.toml:4: rules[0].do = 'pauze': expected a known name; did you mean pause?",
        ),
        (
            START + 'do = "pause"\n',
            "site/rules.toml:1: rules[0].with.reason = (missing): expected a text",
        ),
        (
            START + 'do = "pause"\nwith = { reson = "x", reason = "y" }\n',
            "site/rules.toml:5: rules[0].with.reson = 'x': expected a known field; did you mean reason?",
        ),
        (
            START + 'do = "resume"\nwhen.data.hour = 9\n',
            "site/rules.toml:5: rules[0].when.data.hour = 9: expected a table, or a list of values and"
            " comparisons",
        ),
        (
            START + 'do = "resume"\nwhen.hour = [9]\n',
            "site/rules.toml:5: rules[0].when.hour = [9]: expected when.data.hour, or one of causationid,"
            " chaindepth, data, id, source, subject, time, type; did you mean source?",
        ),
        (
            START + 'do = "resume"\nbudget = 0\n',
            "site/rules.toml:5: rules[0].budget = 0: expected a whole number from 1 to 1000",
        ),
        (
            START + 'do = "availability"\nwith = { availability = "Gone", sku = "MUG" }\n',
            "site/rules.toml:5: rules[0].with.availability = 'Gone': expected one of InStock, OutOfStock,"
            " PreOrder, BackOrder, Discontinued",
        ),
        (
            START + 'do = "autopilot-bounds"\nwith = { api_concurrency_max = 60000 }\n',
            "site/rules.toml:5: rules[0].with.api_concurrency_max = 60000: expected a whole number from 0 to"
            " 50000",
        ),
        (
            START + 'do = "autopilot-bounds"\nwith = { limit = 5 }\n',
            "site/rules.toml:5: rules[0].with.limit = 5: expected a known field; one of"
            " api_concurrency_max, entries_write_units_max",
        ),
        (
            START + 'do = "resume"\nwith = { reason = "x" }\n',
            "site/rules.toml:5: rules[0].with.reason = 'x': expected a known field; there is none here",
        ),
        (
            START + 'do = "resume"\n' + START + 'do = "resume"\n',
            "site/rules.toml:6: rules[1].name = 'a': expected a name that no other rule has",
        ),
        (
            START.replace('"a"', '"Big Rule"') + 'do = "resume"\n',
            "site/rules.toml:2: rules[0].name = 'Big Rule': expected lower-case letters, digits and hyphens,"
            " at most 40",
        ),
        (
            '[[rule]]\nname = "a"\n',
            "site/rules.toml:1: rule = [{'name': 'a'}]: expected a known field; did you mean rules?",
        ),
    ],
)
def test_a_mistake_names_its_place_and_the_way_out(text: str, mistake: str) -> None:
    mistakes: list[InputError] = []

    parse_rules(text, mistakes)

    assert [str(found) for found in mistakes] == [mistake]


NAMES = ShopNames(frozenset({Sku("MUG")}), frozenset({Slug("mug")}))
UNITS = "a whole number from 0 to 1000000, without quotes"
UNFIT = "; no such value fits"
HOURS = "a whole number from 0 to 23, without quotes"
MONTHS = "a whole number from 1 to 12, without quotes"
SHARE = "a number from 0 to 1, without quotes"
STEPS = "one of 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000"
RANGES = '{ numeric = [">=", 10] } or { numeric = [">", 0, "<=", 5] }'
DAYS = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"
STATES = "InStock, OutOfStock, PreOrder, BackOrder, Discontinued, ComingSoon"


@pytest.mark.parametrize(
    ("on", "line", "mistakes"),
    [
        (
            "availability.changed",
            'when.data.units = { numeric = [">=", 0] }',
            ["units = {'numeric': ['>=', 0]}: expected brackets around the comparison: [{ numeric = … }]"],
        ),
        (
            "email.complained",
            "when.data.complaints_of_days = [1]",
            [
                "complaints_of_days = [1]: expected a field of email.complained: one of sku,"
                " complaints_of_day; did you mean complaints_of_day?"
            ],
        ),
        (
            "schedule",
            "when.data.weekday = ['Monday']",
            [f"weekday = 'Monday': expected one of {DAYS}; did you mean monday?"],
        ),
        (
            "schedule",
            "when.data.date = ['27.11.2026', '2026-02-30', '2026-11-27']",
            [
                "date = '27.11.2026': expected a text such as \"2026-11-27\"",
                "date = '2026-02-30': expected a text such as \"2026-11-27\"",
            ],
        ),
        (
            "schedule",
            "when.data.hour = [0, 23, 25]",
            [f"hour = 25: expected {HOURS}"],
        ),
        (
            "schedule",
            'when.data.hour = [{ numeric = [">", 7] }, { prefix = "1" }]',
            [
                f"hour = {{'prefix': '1'}}: expected {HOURS}, or a comparison with numeric; prefix compares"
                " texts"
            ],
        ),
        (
            "availability.changed",
            "when.data.availability = ['InStock', 'SoldOut', 'instock']",
            [
                f"availability = 'SoldOut': expected one of {STATES}",
                f"availability = 'instock': expected one of {STATES}; did you mean InStock?",
            ],
        ),
        (
            "availability.changed",
            "when.data.units = ['0', true]",
            [f"units = '0': expected {UNITS}", f"units = true: expected {UNITS}"],
        ),
        (
            "availability.changed",
            "when.data.units = [{ exists = false }, { anything-but = [3, 'a'] }]",
            [f"units = 'a': expected {UNITS}"],
        ),
        (
            "availability.changed",
            "when.data.product = ['mug', { prefix = 'b' }, { anything-but = 'mugg' }]",
            ["product = 'mugg': expected the slug of a product; did you mean mug?"],
        ),
        ("restock.opened", "when.data.sku = ['NOPE']", ["sku = 'NOPE': expected the SKU of a variant"]),
        (
            "schedule",
            "when.data.hour = { utc = [8] }",
            ["hour = {'utc': [8]}: expected a list of values and comparisons"],
        ),
        (
            "demand.passed",
            "when.data.waiting = [{ numeric = ['>=', 30] }, 25, 30]",
            [f"waiting = 30: expected {STEPS}"],
        ),
        # A comparison that no value of the field meets, after one that a value does.
        (
            "schedule",
            "when.data.hour = [22, { numeric = ['>', 23] }, { numeric = ['>', 4, '<', 5] }]",
            [
                f"hour = {{'numeric': ['>', 23]}}: expected {HOURS}{UNFIT}",
                f"hour = {{'numeric': ['>', 4, '<', 5]}}: expected {HOURS}{UNFIT}",
            ],
        ),
        (
            "availability.changed",
            "when.data.units = [{ numeric = ['=', 2.0] }, 5.5, { numeric = ['>', 10, '<', 5] }]",
            [
                f"units = 5.5: expected {UNITS}",
                f"units = {{'numeric': ['>', 10, '<', 5]}}: expected {UNITS}{UNFIT}",
            ],
        ),
        (
            "schedule",
            "when.data.weekday = [{ prefix = 's' }, { prefix = 'Mon' }, { anything-but = { suffix = 'y' } }]",
            [
                f"weekday = {{'prefix': 'Mon'}}: expected one of {DAYS}{UNFIT}",
                f"weekday = {{'anything-but': {{'suffix': 'y'}}}}: expected one of {DAYS}{UNFIT}",
            ],
        ),
        (
            "traffic.coverage_fell",
            "when.data.share = [{ numeric = ['<', 1] }, { anything-but = [0, 1] }, { numeric = ['>', 1] }]",
            [f"share = {{'numeric': ['>', 1]}}: expected {SHARE}{UNFIT}"],
        ),
        (
            "demand.passed",
            "when.data.waiting = [{ numeric = ['>', 60, '<', 240] }, { numeric = ['>', 25, '<', 50] }]",
            [f"waiting = {{'numeric': ['>', 25, '<', 50]}}: expected {STEPS}{UNFIT}"],
        ),
        (
            "schedule",
            "when.data = { hour = [{ anything-but = [0, 23] }], month = [{ anything-but = [1, 2, 12] }] }",
            [],
        ),
        (
            "schedule",
            f"when.data.month = [{{ anything-but = {[*range(1, 13)]} }}]",
            [f"month = {{'anything-but': {[*range(1, 13)]}}}: expected {MONTHS}{UNFIT}"],
        ),
        (
            "schedule",
            "when.data.weekday = [{ anything-but = 'monday' }, { wildcard = '*y' }, { anything-but = [1] }]",
            [f"weekday = 1: expected one of {DAYS}"],
        ),
        (
            "demand.passed",
            "when.data.waiting = [{ numeric = ['<', inf] }]",
            [f"waiting = [{{'numeric': ['<', inf]}}]: expected {RANGES}"],
        ),
        ("rule.fired", "when.data.data.whatever = [30, { prefix = 'x' }]", []),
        ("sending.paused", "when.data.rule = [{ exists = false }]", []),
        ("traffic.coverage_fell", "when.data = { hour = ['2026-11-27T10'], share = [0.5] }", []),
    ],
)
def test_a_pattern_that_never_matches_is_a_mistake(on: str, line: str, mistakes: list[str]) -> None:
    found: list[InputError] = []

    parse_rules(f'[[rules]]\nname = "a"\non = "{on}"\ndo = "resume"\n{line}\n', found, NAMES)

    assert [str(mistake) for mistake in found] == [
        f"site/rules.toml:5: rules[0].when.data.{mistake}" for mistake in mistakes
    ]


def test_each_of_several_patterns_is_compared_with_the_event() -> None:
    found: list[InputError] = []
    line = 'when."$or" = [{ data.units = [0] }, { data.unit = [0] }]'

    parse_rules(f'[[rules]]\nname = "a"\non = "restock.opened"\ndo = "resume"\n{line}\n', found)

    assert [str(mistake) for mistake in found] == [
        "site/rules.toml:5: rules[0].when.$or[1].data.unit = [0]: expected a field of restock.opened:"
        " one of sku, product, units, restock; did you mean units?"
    ]


@pytest.mark.parametrize(
    ("on", "action", "options", "mistake"),
    [
        (
            "schedule",
            "availability",
            'availability = "InStock"',
            "sku = (missing): expected an SKU: the event schedule is about no variant",
        ),
        (
            "rule.fired",
            "availability",
            'availability = "InStock"',
            "sku = (missing): expected an SKU: the event rule.fired is about no variant",
        ),
        (
            "schedule",
            "availability",
            'availability = "InStock", sku = "MUGG"',
            "sku = 'MUGG': expected the SKU of a variant; did you mean MUG?",
        ),
        ("restock.opened", "availability", 'availability = "InStock"', None),
        ("schedule", "availability", 'availability = "InStock", sku = "MUG"', None),
        ("schedule", "wave-policy", 'product = "nope"', "product = 'nope': expected the slug of a product"),
        ("schedule", "wave-policy", 'product = "mug"', None),
    ],
)
def test_an_action_names_a_variant_or_a_product_of_the_shop(
    on: str, action: str, options: str, mistake: str | None
) -> None:
    found: list[InputError] = []

    parse_rules(
        f'[[rules]]\nname = "a"\non = "{on}"\ndo = "{action}"\nwith = {{ {options} }}\n', found, NAMES
    )

    expected = [f"site/rules.toml:5: rules[0].with.{mistake}"] if mistake else []
    assert [str(error) for error in found] == expected


@pytest.mark.parametrize("budget", ["0", "1001", "true", '"5"', "0.5"])
def test_a_wrong_budget_is_one_mistake(budget: str) -> None:
    found: list[InputError] = []

    parse_rules(START + f'do = "resume"\nbudget = {budget}\n', found)

    shown = budget.replace('"', "'")
    assert [str(mistake) for mistake in found] == [
        f"site/rules.toml:5: rules[0].budget = {shown}: expected a whole number from 1 to 1000"
    ]


def test_the_documented_fields_of_events_are_those_that_rules_can_compare() -> None:
    table = (ROOT / "docs" / "rules.md").read_text().split("## Events")[1].split("## Patterns")[0]
    documented: dict[EventType, list[str]] = {}
    for line in table.splitlines():
        cells = line.split("|")
        if len(cells) == 5 and "`" in cells[1]:
            fields = re.findall(r"`([a-z_]+)`", cells[3])
            documented |= {
                EventType(name): fields for name in re.findall(r"`([a-z_.]+)`", cells[1]) if name != "on"
            }

    assert documented == {event: list(fields) for event, fields in EVENT_FIELDS.items()}
