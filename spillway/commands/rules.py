"""Rules of the shop: `spillway rules check`, `try`, `log` and `bounds`."""

import json
import re
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from chalicelib.settings import clock_ms
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import moment, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.rules.rule import Firing, Rule
    from spillway.sitegen.reading.toml_input import InputError

DAYS_MAX = 30
_UNITS_MS = {"h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"([1-9][0-9]{0,3})([hd])")
SHOWN_MAX = 1_000


class PeriodType(click.ParamType[int]):
    """A time such as 24h or 30d, in milliseconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the span; anything else is refused with the forms."""
        if isinstance(value, int):
            return value
        found = _SPAN.fullmatch(str(value))
        span_ms = int(found[1]) * _UNITS_MS[found[2]] if found else 0
        if not 0 < span_ms <= DAYS_MAX * _UNITS_MS["d"]:
            self.fail(f"{value!r} is not a time such as 24h or 30d, {DAYS_MAX}d at most", param, ctx)
        return span_ms


last_option = click.option(
    "--last",
    "last_ms",
    type=PeriodType(),
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Look at so much of the past: 24h, 7d, at most 30d.",
)


@click.group("rules")
def rules_command() -> None:
    """Check, try and follow the rules of the shop.

    They are in site/rules.toml; `spillway publish` puts them in force, `spillway rollback` restores those of
    a release before.
    """


@rules_command.command("check")
@json_option
@click.pass_obj
def check_rules(project: Project, *, as_json: bool) -> None:
    """Check site/rules.toml and list its rules. Nothing is built.

    \b
    Example:
      spillway rules check
    """
    rules = _rules_of(project)
    if as_json:
        click.echo(json.dumps([{**rule.to_document(), "version": rule.version} for rule in rules], indent=1))
        return
    for rule in rules:
        condition = f" when {json.dumps(rule.when, sort_keys=True)}" if rule.when else ""
        click.echo(
            f"{rule.name} ({rule.version}): on {rule.on}{condition} do {rule.action}, {rule.budget} an hour"
        )
    click.echo(f"{pluralize(len(rules), 'rule')}, no mistake")


@rules_command.command("try")
@last_option
@json_option
@stage_option
@click.pass_obj
def try_rules(project: Project, last_ms: int, stage_name: str, *, as_json: bool) -> None:
    """Show what the rules in site/rules.toml would have done to the recorded events of a stage.

    Nothing is done, and nothing is written. Events that a shopper causes are recorded only where a live rule
    or a webhook is about their type.

    \b
    Examples:
      spillway rules try --stage production
      spillway rules try --last 24h --stage production
    """
    from chalicelib.rules.rule import replay

    rules = _rules_of(project)
    now_ms = clock_ms()
    rows = stage_named(project, stage_name).container().rule_rows
    events = list(rows.recorded(from_ms=now_ms - last_ms, until_ms=now_ms))
    firings = list(replay(rules, events))
    if as_json:
        click.echo(_json(firings))
        return
    _show(firings)
    found = Counter(firing.rule for firing in firings)
    named = ", ".join(f"{rule.name} {found[rule.name]}" for rule in rules) or "no rule"
    click.echo(f"{pluralize(len(events), 'recorded event')}: {named}")


@rules_command.command("log")
@last_option
@json_option
@stage_option
@click.pass_obj
def show_log(project: Project, last_ms: int, stage_name: str, *, as_json: bool) -> None:
    """Show what rules did: the event, the version of the rule, the action and its result.

    \b
    Example:
      spillway rules log --last 24h --stage production
    """
    since_ms = clock_ms() - last_ms
    rows = stage_named(project, stage_name).container().rule_rows
    firings = [firing for firing in rows.firings() if firing.decided_at_ms >= since_ms]
    if as_json:
        click.echo(_json(firings))
        return
    _show(firings)
    if not firings:
        click.echo("no event matched a rule in that time")


@rules_command.command("bounds")
@click.option("--clear", is_flag=True, help="Let the bounds of the stack's parameters hold again.")
@stage_option
@click.pass_obj
def show_bounds(project: Project, stage_name: str, *, clear: bool) -> None:
    """Show the bounds that a rule set for the autopilot in the cloud, or clear them.

    \b
    Examples:
      spillway rules bounds --stage production
      spillway rules bounds --clear --stage production
    """
    table = stage_named(project, stage_name).container().rule_bounds
    before = table.get()
    if clear:
        table.clear()
        click.echo(f"cleared; before: {before.text}")
    else:
        click.echo(before.text)


def _rules_of(project: Project) -> "tuple[Rule, ...]":
    from spillway.sitegen.reading.rules_file import RULES_FILE, read_rules
    from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError

    mistakes: list[InputError] = []
    rules = read_rules(project, mistakes)
    if rules and not mistakes:
        mistakes = _mistakes_about_products(project)
    if mistakes:
        listed = CatalogueInvalid(mistakes)
        lines = "\n".join(f"  {mistake}" for mistake in listed.mistakes)
        raise BadInput(
            f"{pluralize(len(mistakes), 'mistake')} in {RULES_FILE}\n{lines}",
            hint="correct them; docs/rules.md describes events, patterns and actions",
        )
    return rules


def _mistakes_about_products(project: Project) -> "list[InputError]":
    """Return the mistakes of rules that only the whole catalogue shows, such as an SKU that it lacks."""
    from spillway.sitegen.reading.loading import load_catalogue
    from spillway.sitegen.reading.rules_file import RULES_FILE
    from spillway.sitegen.reading.toml_input import CatalogueInvalid

    try:
        load_catalogue(project, left_out=[])
    except CatalogueInvalid as invalid:
        return [mistake for mistake in invalid.mistakes if mistake.file == RULES_FILE]
    return []


def _json(firings: "Iterable[Firing]") -> str:
    return json.dumps([asdict(firing) for firing in firings], indent=1)


def _show(firings: "list[Firing]") -> None:
    for firing in firings[-SHOWN_MAX:]:
        result = f": {firing.result}" if firing.result else ""
        cause = f" caused by {firing.cause}" if firing.cause else ""
        click.echo(
            f"{moment(firing.at_ms)}  {firing.rule} ({firing.version})  {firing.event_type}"
            f" {firing.subject or '-'} {firing.event_id}{cause}  {firing.outcome} {firing.action}{result}"
        )
