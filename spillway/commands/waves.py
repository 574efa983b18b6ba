"""`spillway waves`: how far emails about a variant are."""

import json
from datetime import UTC, datetime

import click

from chalicelib.domain.entry import shards_of
from spillway.commands.options import json_option, stage_option
from spillway.merchant.skus import require_sku, require_sold
from spillway.merchant.waitlist_report import FanOutState, fan_outs
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables

# A span of time is notified in the unit in which it has one or two digits.
SECONDS_UPTO, MINUTES_UPTO = 90, 90


@click.command("waves")
@click.argument("sku")
@stage_option
@json_option
@click.pass_obj
def waves_command(project: Project, sku: str, stage_name: str, *, as_json: bool) -> None:
    """How far the emails about a variant's restocks are, the newest first."""
    sku = require_sku(sku)
    stage = stage_named(project, stage_name)
    tables = StageTables.of(stage)
    states = list(
        fan_outs(sku, tables.products, tables.restocks, tables.progress, tables.shards, tables.pace)
    )
    if not states:
        require_sold(tables.products, sku, stage.name)
    if as_json:
        click.echo(json.dumps([_document(state) for state in states], indent=1))
        return
    if not states:
        click.echo(f"{sku} has not come back so far")
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
