"""site/rules.toml: what is read, and that a mistake names its file, line, field and way out."""

from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.domain_event import EventType
from chalicelib.rules.rule import Action, Rule
from spillway.sitegen.reading.rules_file import parse_rules

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
            Action.PAUSE,
            {"reason": "five complaints"},
            2,
        ),
        Rule(
            "few-at-a-time",
            EventType.DEMAND_PASSED,
            {},
            Action.WAVE_POLICY,
            {"emails_per_unit": 2, "units_min": 5},
        ),
        Rule(
            "hold",
            EventType.AVAILABILITY_CHANGED,
            {"subject": [{"prefix": "FJ-"}]},
            Action.AVAILABILITY,
            {"availability": "BackOrder"},
        ),
        Rule("quiet", EventType.SCHEDULE, {}, Action.AUTOPILOT_BOUNDS, {"entries_write_units_max": 0}),
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
            START + 'do = "availability"\nwith = { availability = "Gone" }\n',
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
