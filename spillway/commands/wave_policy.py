"""`spillway wave-policy`: how many hear of a restock at once."""

import json
from dataclasses import asdict, replace
from typing import Any

import click

from chalicelib.domain.wave import EVERYONE, WAVE_PAUSE_MIN_MAX, WavePolicy
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import stage_named
from spillway.stage_tables import StageTables

EMAILS_PER_UNIT_MAX = 100
UNITS_MIN_MAX = 10_000


@click.command("wave-policy")
@click.option(
    "--product", "slug", metavar="SLUG", default="", help="Of this product; else of the whole shop."
)
@click.option("--follow-shop", is_flag=True, help="Let the product follow the shop's policy again.")
@click.option("--everyone", is_flag=True, help="Notify everyone at once.")
@click.option(
    "--emails-per-unit", type=click.IntRange(1, EMAILS_PER_UNIT_MAX), help="Notify so many for each unit."
)
@click.option(
    "--next-after",
    "next_after_min",
    type=click.IntRange(1, WAVE_PAUSE_MIN_MAX),
    metavar="MINUTES",
    help="Then wait so long, and notify the next if there are units left.",
)
@click.option("--units-min", type=click.IntRange(1, UNITS_MIN_MAX), help="Notify nobody of fewer units.")
@json_option
@stage_option
@click.pass_obj
def wave_policy_command(
    project: Project,
    /,
    slug: str,
    stage_name: str,
    *,
    follow_shop: bool,
    everyone: bool,
    as_json: bool,
    **given: int | None,
) -> None:
    """How many hear of a restock at once. Without any choice, show what holds; else set it."""
    if everyone and given["emails_per_unit"] is not None:
        raise BadInput("--everyone and --emails-per-unit: one or the other")
    if follow_shop and (not slug or everyone or any(given.values())):
        raise BadInput("--follow-shop: goes with --product and nothing else")
    stage = stage_named(project, stage_name)
    tables = StageTables.of(stage)
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
    click.echo(json.dumps(asdict(policy)) if as_json else f"{slug or 'the shop'}: {_words(policy)}")


def _words(policy: WavePolicy) -> str:
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
