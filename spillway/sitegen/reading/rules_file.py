"""Read site/rules.toml: the rules by which the shop reacts to its own events.

    [[rules]]
    name = "pause-on-complaints"
    on = "email.complained"
    when.data.complaints_of_day = [{ numeric = [">=", 5] }]
    do = "pause"
    with = { reason = "five complaints in a day" }

docs/rules.md describes events, patterns and actions.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.domain.autopilot import CONCURRENCY_MOST, UNITS_MOST
from chalicelib.domain.domain_event import EventType
from chalicelib.domain.ids import SkuRefused, Slug, parse_sku
from chalicelib.domain.stock import SCHEMA_ORG_WORDS, UNITS_MAX, Availability, named_availability
from chalicelib.domain.wave import EMAILS_PER_UNIT_MAX, UNITS_MIN_MAX, WAVE_PAUSE_MIN_MAX
from chalicelib.rules.pattern import problem_of
from chalicelib.rules.rule import BUDGET_DEFAULT, BUDGET_MAX, RULES_MAX, Rule, RuleAction
from spillway.project import Project
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.rule_fields import EVENT_FIELDS, NO_NAMES, ShopNames, pattern_problems
from spillway.sitegen.reading.text_file import text_of_file
from spillway.sitegen.reading.toml_input import InputError, TomlTable

RULES_FILE = "site/rules.toml"
RULES_BYTES_MAX = 100_000
TEXT_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 2_000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_NAME_EXPECTED = "lower-case letters, digits and hyphens, at most 40"


def read_rules(project: Project, mistakes: list[InputError], names: ShopNames = NO_NAMES) -> tuple[Rule, ...]:
    """Return the rules of the shop in the order of its file; none where it has no such file.

    Everything that is wrong is appended to `mistakes`, also an SKU or a product that is not in `names`.
    """
    if not os.path.lexists(project.root / RULES_FILE):
        return ()
    text = text_of_file(project.root, RULES_FILE, mistakes)
    if text is None:
        return ()
    return parse_rules(text, mistakes, names)


def parse_rules(text: str, mistakes: list[InputError], names: ShopNames = NO_NAMES) -> tuple[Rule, ...]:
    """Return the rules of the file's text, as `read_rules` does."""
    if len(text.encode()) > RULES_BYTES_MAX:
        mistakes.append(
            InputError(RULES_FILE, None, "the file", len(text), f"at most {RULES_BYTES_MAX} bytes")
        )
        return ()
    table = TomlTable.parse(text, file=RULES_FILE, mistakes=mistakes)
    if table is None:
        return ()
    rules: list[Rule] = []
    taken: set[str] = set()
    for one in table.tables("rules", count_max=RULES_MAX, optional=True):
        rule = _rule(one, names)
        if rule is None:
            continue
        if rule.name in taken:
            one.error("name", rule.name, "a name that no other rule has")
        taken.add(rule.name)
        rules.append(rule)
    table.done()
    return tuple(rules)


def _rule(table: TomlTable, names: ShopNames) -> Rule | None:
    name = table.text("name", length_max=40)
    if name and not _NAME.fullmatch(name):
        table.error("name", name, _NAME_EXPECTED)
    event = _one_of(table, "on", tuple(EventType))
    on = EventType(event) if event else None
    when = _pattern(table, on, names)
    action = _one_of(table, "do", tuple(RuleAction))
    options = _options(table, RuleAction(action), on, names) if action else {}
    budget = _number(table, "budget", BUDGET_MAX) or BUDGET_DEFAULT
    if action is None:
        # Its options cannot be checked.
        table.value("with")
    table.done()
    if not name or on is None or action is None:
        return None
    return Rule(name, on, when, RuleAction(action), options, budget)


def _pattern(table: TomlTable, on: EventType | None, names: ShopNames) -> Mapping[str, Any]:
    when = table.value("when")
    if when is None:
        return {}
    problem = problem_of(when)
    if problem:
        path, expected = problem
        table.error(f"when.{path}" if path else "when", _at(when, path), expected)
        return {}
    # Without a known event, its fields are not known either.
    for path, value, expected in pattern_problems(when, on, names) if on else ():
        table.error(f"when.{path}", value, expected)
    return dict(when)


def _at(pattern: Any, path: str) -> Any:
    """Return what stands at a path of a pattern; the pattern itself where the path leads into a list."""
    value = pattern
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return pattern
        value = value[name]
    return value


def _one_of(table: TomlTable, name: str, known: tuple[str, ...]) -> str | None:
    value = table.text(name, length_max=TEXT_CHARS_MAX)
    if not value or value in known:
        return value or None
    hint = did_you_mean(value, known)
    table.error(name, value, f"a known name{hint}" if hint else f"one of {', '.join(known)}")
    return None


def _options(
    table: TomlTable, action: RuleAction, on: EventType | None, names: ShopNames
) -> Mapping[str, Any]:
    inner = table.table("with", optional=True)
    options = _READERS[action](inner)
    inner.done(also=options.keys())
    for name in ("sku", "product"):
        if (value := options.get(name)) and (expected := names.problem(name, value)):
            inner.error(name, value, expected)
    if action is RuleAction.AVAILABILITY and on and "sku" not in EVENT_FIELDS[on] and not inner.has("sku"):
        inner.error("sku", None, f"an SKU: the event {on.value} is about no variant")
    return {name: value for name, value in options.items() if value is not None}


def _no_options(_: TomlTable) -> dict[str, Any]:
    return {}


def _pause(table: TomlTable) -> dict[str, Any]:
    return {"reason": table.text("reason", length_max=TEXT_CHARS_MAX)}


def _email(table: TomlTable) -> dict[str, Any]:
    return {
        "subject": table.text("subject", length_max=100),
        "message": table.text("message", length_max=MESSAGE_CHARS_MAX, lines=True),
    }


def _event(table: TomlTable) -> dict[str, Any]:
    name = table.text("name", length_max=40)
    if name and not _NAME.fullmatch(name):
        table.error("name", name, _NAME_EXPECTED)
    return {"name": name}


def _wave_policy(table: TomlTable) -> dict[str, Any]:
    slug = table.text("product", length_max=TEXT_CHARS_MAX, optional=True)
    return {
        "product": Slug(slug) if slug else None,
        "emails_per_unit": _number(table, "emails_per_unit", EMAILS_PER_UNIT_MAX),
        "next_after_min": _number(table, "next_after_min", WAVE_PAUSE_MIN_MAX),
        "units_min": _number(table, "units_min", UNITS_MIN_MAX),
    }


def _availability(table: TomlTable) -> dict[str, Any]:
    named = table.text("availability", length_max=40)
    availability = named_availability(named) if named else None
    if named and availability is None:
        hint = did_you_mean(named, SCHEMA_ORG_WORDS)
        table.error("availability", named, f"one of {', '.join(SCHEMA_ORG_WORDS)}{hint}")
    units = table.whole_number("units", at_most=UNITS_MAX) if table.has("units") else None
    if units == 0 and availability is Availability.IN_STOCK:
        table.error("units", 0, 'at least 1, or availability = "OutOfStock"')
    written = table.text("sku", length_max=TEXT_CHARS_MAX, optional=True)
    sku = None
    try:
        sku = parse_sku(written) if written else None
    except SkuRefused as refused:
        table.error("sku", written, refused.reason)
    return {"availability": availability.value if availability else named, "units": units, "sku": sku}


def _autopilot_bounds(table: TomlTable) -> dict[str, Any]:
    most = {"entries_write_units_max": UNITS_MOST, "api_concurrency_max": CONCURRENCY_MOST}
    return {
        name: table.whole_number(name, at_most=at_most) if table.has(name) else None
        for name, at_most in most.items()
    }


def _number(table: TomlTable, name: str, most: int) -> int | None:
    value = table.value(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    table.error(name, value, f"a whole number from 1 to {most}")
    return None


_READERS: Mapping[RuleAction, Callable[[TomlTable], dict[str, Any]]] = {
    RuleAction.PAUSE: _pause,
    RuleAction.RESUME: _no_options,
    RuleAction.WAVE_POLICY: _wave_policy,
    RuleAction.AVAILABILITY: _availability,
    RuleAction.EMAIL: _email,
    RuleAction.EVENT: _event,
    RuleAction.AUTOPILOT_BOUNDS: _autopilot_bounds,
}
