"""Compare the counters of people waiting with the entries: `spillway waitlist recount`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Any

import click

from chalicelib.domain.demand import counter_words
from chalicelib.services.recount import LOOKS_MAX, Recount, Recounted
from chalicelib.settings import clock_ms
from chalicelib.tables.demand import EntriesCount
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.preflight.amounts import Item
from spillway.preflight.bill import PRICES
from spillway.project import Project
from spillway.stage import LOCAL, Stage, stage_named
from spillway.terminal import pluralize

COUNTING_FUNCTION = "CountDemand"
# A record is counted within seconds. Further behind than this, a difference may be what is not counted yet.
BEHIND_S_MAX = 60
METRICS_BACK = timedelta(minutes=10)
# A strongly consistent read of 4 KB is one read unit.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
BYTES_PER_READ_UNIT = 4096
DRIFTS_SHOWN_MAX = 40


@click.command("recount")
@click.option("--repair", is_flag=True, help="Add to each counter what it lacks, and compare again.")
@json_option
@stage_option
@click.pass_obj
def recount_command(project: Project, stage_name: str, *, repair: bool, as_json: bool) -> None:
    """Compare the counters of people waiting with the entries.

    Reads the whole entries table, which the command says with its price, and compares every counter of every
    SKU. A SKU that differs is looked at again, up to three times in all: signups may be on their way. Signups
    may go on meanwhile, also during a repair. Run it once with --repair after the upgrade that adds the
    counters, and when DemandDriftAlarm goes off.

    \b
    Examples:
      spillway waitlist recount --stage production
      spillway waitlist recount --repair --stage production

    Exit status: 0 when every counter is right or repaired, 1 when some differ, 2 when nothing was compared.
    """
    stage = stage_named(project, stage_name)
    container = stage.container()
    if not container.settings.demand_table:
        raise BadInput(
            f"stage {stage.name}: its stack has no table of counters yet",
            hint=f"deploy this version first: spillway deploy --stage {stage.name}",
        )
    if repair:
        _require_counting_is_done(stage)
    click.echo(_announcement(stage, container.settings.entries_table), err=True)
    entries = EntriesCount(container.client("dynamodb"), container.settings.entries_table)
    recount = Recount(entries, container.demand, clock_ms, sleep, _show_look)
    found = recount.run()
    repaired = 0
    if repair and found.drifts:
        repaired = len(found.drifts)
        recount.repair(found)
        found = recount.run()
    if as_json:
        click.echo(json.dumps({**asdict(found), "drift": found.drift, "repaired": repaired}, indent=1))
    else:
        _show(found, repaired)
    if found.drifts:
        differ = pluralize(len(found.drifts), "counter differs", "counters differ")
        raise WorkFailed(
            f"{differ}, by {found.drift:,} in all",
            hint="repeat the command in a minute" if repair else "repair them with --repair",
        )


def _announcement(stage: Stage, table: str) -> str:
    described: Any = stage.client("dynamodb").describe_table(TableName=table)["Table"]
    rows, size = described.get("ItemCount", 0), described.get("TableSizeBytes", 0)
    usd = PRICES[Item.READ_UNITS].of(size / BYTES_PER_READ_UNIT)
    return (
        f"reading the whole entries table, about {pluralize(rows, 'row')} and {size / 1e6:,.1f} MB:"
        f" ${usd:,.4f} each time, {LOOKS_MAX} times at most"
    )


def _show_look(look: int, skus: int | None) -> None:
    if skus is not None:
        differ = pluralize(skus, "SKU differs", "SKUs differ")
        click.echo(f"{differ}: look {look} of {LOOKS_MAX}, records may be on their way", err=True)


def _show(found: Recounted, repaired: int) -> None:
    if repaired:
        click.echo(f"repaired {pluralize(repaired, 'counter')}")
    for drift in found.drifts[:DRIFTS_SHOWN_MAX]:
        click.echo(
            f"{drift.sku}: {counter_words(drift.counter)}: {drift.counted:,} in the table,"
            f" {drift.stored:,} counted, {drift.difference:+,}"
        )
    if len(found.drifts) > DRIFTS_SHOWN_MAX:
        click.echo(f"and {len(found.drifts) - DRIFTS_SHOWN_MAX:,} more: --json lists each")
    entries = pluralize(found.entries, "entry", "entries")
    if not found.drifts:
        click.echo(f"{entries} of {pluralize(found.skus, 'SKU')}: every counter is right")


def _require_counting_is_done(stage: Stage) -> None:
    """Check that no backlog of records is being counted: a repair would add what is added then.

    Raises:
        WorkFailed: the counting is more than a minute behind, by its metric of the last ten minutes.
    """
    if stage.name == LOCAL:
        return
    described: Any = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId=COUNTING_FUNCTION
    )
    name = described["StackResourceDetail"]["PhysicalResourceId"]
    metric = {
        "Namespace": "AWS/Lambda",
        "MetricName": "IteratorAge",
        "Dimensions": [{"Name": "FunctionName", "Value": name}],
    }
    now = datetime.now(UTC)
    answer: Any = stage.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "age", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}],
        StartTime=now - METRICS_BACK,
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    newest_ms = next(iter(answer["MetricDataResults"][0]["Values"]), 0.0)
    if newest_ms > BEHIND_S_MAX * 1000:
        raise WorkFailed(
            f"the counting is {newest_ms / 60_000:,.0f} minutes behind: a repair now would count twice",
            hint="wait until the metric IteratorAge of its function falls, then repeat the command",
        )
