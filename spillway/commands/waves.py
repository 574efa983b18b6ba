"""`spillway waves`: how far letters about a variant are."""

import json
from datetime import UTC, datetime

import click

from chalicelib.domain.entry import lines_of
from chalicelib.tables.line import LineTable
from chalicelib.tables.pace import PaceTable
from chalicelib.tables.progress import ProgressTable
from chalicelib.tables.restocks import RestocksTable
from spillway.deploy.stage import stage_named
from spillway.merchant.demand import FanOutState, fan_outs
from spillway.project import Project


@click.command("waves")
@click.argument("sku")
@click.option("--stage", "stage_name", metavar="NAME", default="local", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@click.pass_obj
def waves_command(project: Project, sku: str, stage_name: str, *, as_json: bool) -> None:
    """How far the letters about a variant's restocks are, the newest first."""
    stage = stage_named(project, stage_name)
    outputs, dynamodb = stage.outputs(), stage.client("dynamodb")
    states = list(
        fan_outs(
            sku,
            RestocksTable(dynamodb, outputs["RestocksTable"]),
            ProgressTable(dynamodb, outputs["SendingTable"]),
            LineTable(dynamodb, outputs["EntriesTable"], outputs["SuppressionsTable"]),
            PaceTable(dynamodb, outputs["SendingTable"]),
        )
    )
    if as_json:
        click.echo(json.dumps([_document(state) for state in states], indent=1))
        return
    if not states:
        click.echo(f"{sku} has not come back so far")
    for state in states:
        click.echo(_line(state))


def _line(state: FanOutState) -> str:
    opened = datetime.fromtimestamp(state.restock.opened_at_ms / 1000, UTC)
    words = [f"{opened:%Y-%m-%d %H:%M:%S}Z", f"{state.progress.told:,} told"]
    if state.rate_per_s:
        words.append(f"{state.rate_per_s:,.1f} a second")
    words += [f"{count:,} {word}" for word, count in _received(state).items() if count]
    if state.live and state.waiting:
        words.append(f"{state.waiting:,} still wait for their letter")
        words.append(f"paused: {state.paused}" if state.paused else _eta(state.eta_s))
    if not state.live:
        words.append("superseded")
    return ", ".join(words)


def _received(state: FanOutState) -> dict[str, int]:
    done = state.progress
    return {
        "rejected": done.rejected,
        "unclear": done.unclear,
        "bounced": done.bounced,
        "complained": done.complained,
        "left": done.left_after,
    }


def _eta(eta_s: float | None) -> str:
    return "not begun" if eta_s is None else f"about {eta_s / 60:,.1f} min to go at the rate SES allows"


def _document(state: FanOutState) -> dict[str, object]:
    return {
        "restock": state.restock.id,
        "opened_at_ms": state.restock.opened_at_ms,
        "units": state.restock.units,
        "shards": len(lines_of(state.restock.sku)),
        "live": state.live,
        "told": state.progress.told,
        **_received(state),
        "waiting": state.waiting,
        "rate_per_s": state.rate_per_s,
        "eta_s": state.eta_s,
        "paused": state.paused,
    }
