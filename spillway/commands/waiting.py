"""Waitlists and their restock emails: `spillway waiting`, `waves`, `wave-policy` and `export`."""

import json
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from chalicelib.domain.entry import shards_of
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.wave import (
    EMAILS_PER_UNIT_MAX,
    EVERYONE,
    UNITS_MIN_MAX,
    WAVE_PAUSE_MIN_MAX,
    WavePolicy,
)
from chalicelib.services.fan_out.report import FanOutState, fan_outs
from chalicelib.settings import clock_ms
from spillway.commands.options import SKU, WholeNumber, json_option, refuse_ignored, stage_option
from spillway.errors import BadInput
from spillway.merchant.stock_import import require_sold, typed_move
from spillway.merchant.waitlist_report import (
    WaitlistSize,
    demand,
    document,
    in_line,
    write_csv,
)
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import pluralize, print_table, progress_bar

if TYPE_CHECKING:
    from rich.table import Table

# A duration is shown in the unit in which it has one or two digits.
SECONDS_UPTO, MINUTES_UPTO = 90, 90


@click.command("waiting")
@stage_option
@json_option
@click.pass_obj
def waiting_command(project: Project, stage_name: str, *, as_json: bool) -> None:
    """Show how many people wait for each variant.

    The variant with the most people comes first.

    \b
    Example:
      spillway waiting --stage production
    """
    tables = stage_named(project, stage_name).container()
    with progress_bar() as bar:
        task = bar.add_task("counting", total=None)
        found = demand(
            tables.products,
            tables.shards,
            at_ms=clock_ms(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        click.echo(json.dumps([asdict(variant) for variant in found], indent=1))
    elif found:
        print_table(_waiting_table(found))
        for variant in found:
            if variant.withdrawn:
                move = typed_move(variant.sku, stage_name)
                click.echo(f"{variant.sku}: no longer sold; move people to another SKU: {move}", err=True)
    else:
        click.echo("nobody is waiting; a signup counts once its address is confirmed")


def _waiting_table(found: list[WaitlistSize]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("SKU", "product", "", box=None, pad_edge=False)
    table.add_column("waiting", justify="right")
    table.add_column("last 24 h", justify="right")
    for variant in found:
        now = "" if variant.availability == "OutOfStock" else variant.availability
        now = "no longer sold" if variant.withdrawn else now
        title = f"{variant.title}, {variant.label}" if variant.label else variant.title
        table.add_row(Text(variant.sku), Text(title), now, f"{variant.waiting:,}", f"+{variant.last_day:,}")
    table.add_row("", "", "", f"{sum(variant.waiting for variant in found):,}", "")
    return table


@click.command("waves")
@click.argument("sku", type=SKU)
@stage_option
@json_option
@click.pass_obj
def waves_command(project: Project, sku: Sku, stage_name: str, *, as_json: bool) -> None:
    """Show the progress of a variant's restock emails.

    The newest restock comes first.

    \b
    Example:
      spillway waves FJ-INK-L --stage production
    """
    stage = stage_named(project, stage_name)
    tables = stage.container()
    states = list(
        fan_outs(sku, tables.products, tables.restocks, tables.progress, tables.shards, tables.sending_rate)
    )
    if not states:
        require_sold(tables.products, sku, stage.name)
    if as_json:
        click.echo(json.dumps([_document(state) for state in states], indent=1))
        return
    if not states:
        click.echo(f"{sku} has had no restock yet")
    for state in states:
        click.echo(_line(state))


def _line(state: FanOutState) -> str:
    opened = datetime.fromtimestamp(state.restock.opened_at_ms / 1000, UTC)
    words = [f"{opened:%Y-%m-%d %H:%M:%S}Z", f"{state.progress.notified:,} notified"]
    if state.rate_per_s:
        words.append(f"{state.rate_per_s:,.1f} a second")
    words += [f"{count:,} {word}" for word, count in _received(state).items() if count]
    if state.live and state.waiting:
        words.append(f"{state.waiting:,} still wait for their email")
        words.append(f"paused: {state.paused}" if state.paused else _eta(state))
    words.append("live" if state.live else "over")
    return ", ".join(words)


def _received(state: FanOutState) -> dict[str, int]:
    done = state.progress
    return {
        "rejected": done.rejected,
        "unclear": done.unclear,
        "deferred": max(0, done.deferred_now),
        "given up": max(0, done.given_up),
        "bounced": done.bounced,
        "complained": done.complained,
        "unsubscribed": done.unsubscribed_after,
    }


def _eta(state: FanOutState) -> str:
    if state.eta_s is None:
        return "not begun"
    if state.further_waves:
        waves = pluralize(state.further_waves, "more wave")
        return f"{_span(state.eta_s)} and {waves} to go if units are left"
    return f"{_span(state.eta_s)} to go at the rate the mail may leave"


def _span(seconds: float) -> str:
    if seconds < SECONDS_UPTO:
        return f"about {max(1, round(seconds))} s"
    if seconds < MINUTES_UPTO * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:,.1f} h"


def _document(state: FanOutState) -> dict[str, object]:
    return {
        "restock": state.restock.id,
        "opened_at_ms": state.restock.opened_at_ms,
        "units": state.restock.units,
        "shards": len(shards_of(state.restock.sku)),
        "live": state.live,
        "notified": state.progress.notified,
        **{word.replace(" ", "_"): count for word, count in _received(state).items()},
        "waiting": state.waiting,
        "further_waves": state.further_waves,
        "rate_per_s": state.rate_per_s,
        "eta_s": state.eta_s,
        "paused": state.paused,
    }


@click.command("wave-policy")
@click.option("--product", "slug", metavar="SLUG", help="The product; without it, the whole shop.")
@click.option("--follow-shop", is_flag=True, help="Remove the product's own policy.")
@click.option("--everyone", is_flag=True, help="Notify everyone at once.")
@click.option(
    "--emails-per-unit",
    type=WholeNumber(1, EMAILS_PER_UNIT_MAX),
    help="People to notify for each unit in stock.",
)
@click.option(
    "--next-after",
    "next_after_min",
    type=WholeNumber(1, WAVE_PAUSE_MIN_MAX),
    metavar="MINUTES",
    help="Pause before the next people are notified, if stock is left.",
)
@click.option("--units-min", type=WholeNumber(1, UNITS_MIN_MAX), help="Stock below which nobody is notified.")
@json_option
@stage_option
@click.pass_obj
def wave_policy_command(
    project: Project,
    /,
    slug: Slug | None,
    stage_name: str,
    *,
    follow_shop: bool,
    everyone: bool,
    as_json: bool,
    **given: int | None,
) -> None:
    """Show or set how many people a restock notifies at once.

    Without an option of its own it shows the policy.

    \b
    Examples:
      spillway wave-policy --stage production
      spillway wave-policy --emails-per-unit 3 --next-after 60 --stage production
    """
    if everyone and given["emails_per_unit"] is not None:
        raise BadInput("--everyone and --emails-per-unit: one or the other")
    if follow_shop and (not slug or everyone or any(given.values())):
        raise BadInput("--follow-shop: goes with --product and nothing else")
    stage = stage_named(project, stage_name)
    tables = stage.container()
    if slug and tables.products.get(slug) is None:
        raise BadInput(f"--product {slug}: stage {stage.name} has no such product")
    policies = tables.policies
    if follow_shop:
        policies.remove(slug)
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if everyone:
        chosen["emails_per_unit"] = None
    if chosen:
        policies.put(slug, replace(policies.of(slug), **chosen))
    policy = policies.of(slug)
    click.echo(json.dumps(asdict(policy)) if as_json else f"{slug or 'the shop'}: {_policy_words(policy)}")


def _policy_words(policy: WavePolicy) -> str:
    if policy.emails_per_unit is None:
        words = "everyone is notified"
    else:
        words = (
            f"{policy.emails_per_unit} for each unit are notified, "
            f"the next after {pluralize(policy.next_after_min, 'minute')} if units are left"
        )
    if policy.units_min > EVERYONE.units_min:
        words += f"; nobody of fewer than {pluralize(policy.units_min, 'unit')}"
    return words


@click.command("export")
@click.argument("sku", type=SKU)
@click.option("--csv", "_as_csv", is_flag=True, help="Print CSV, the default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@stage_option
@click.pass_obj
def export_command(project: Project, sku: Sku, stage_name: str, *, _as_csv: bool, as_json: bool) -> None:
    """Export a variant's waitlist, in order.

    It has addresses, and goes to standard output. Each use is logged with the operator and the time
    (spillway access-log).

    \b
    Example:
      spillway export FJ-INK-L --stage production > waitlist.csv
    """
    from spillway.commands.people import access_log

    if as_json:
        refuse_ignored("with --json", ignored={"_as_csv"})
    stage = stage_named(project, stage_name)
    tables = stage.container()
    waiting = in_line(tables.shards, sku)
    first = next(waiting, None)
    if first is None:
        # People who wait for an SKU that is no longer sold stay, and can be exported.
        require_sold(tables.products, sku, stage.name)
    access_log(stage).note("export", f"SKU {sku}", at_ms=clock_ms())
    waiting = chain([first] if first else [], waiting)
    if as_json:
        for place, entry in enumerate(waiting, start=1):
            click.echo(json.dumps(document(entry, place)))
        return
    count = write_csv(waiting, sys.stdout)
    click.echo(f"{pluralize(count, 'waits', 'wait')} for {sku}", err=True)
