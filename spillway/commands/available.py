"""`spillway available` and `spillway sold-out`: what a merchant says when stock comes and goes."""

import json
import uuid
from dataclasses import dataclass

import click

from chalicelib.clock import clock_ms
from chalicelib.domain.availability import UNITS_MAX, AvailabilityEvent, Outcome
from chalicelib.domain.stock import Availability, Stock, is_restock
from chalicelib.services.availability import Availabilities
from chalicelib.tables.recent_products import stocked_with
from spillway.commands.options import json_option, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.skus import SkuIndex, not_sold, require_sku, typed
from spillway.project import Project
from spillway.stage import Stage, stage_named
from spillway.stage_tables import StageTables


@dataclass(frozen=True, slots=True)
class TakenIn:
    """An event that was taken in, and the stock `before` it."""

    event: AvailabilityEvent
    before: Stock

    @property
    def restock(self) -> bool:
        """Whether who waits will hear of it."""
        return is_restock(self.before, self.event.applied_to(self.before).stock)

    def to_document(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "sku": self.event.sku,
            "availability": self.event.availability,
            "units": self.event.units,
            "event_id": self.event.id,
            "restock": self.restock,
        }


@click.command("available")
@click.argument("sku")
@click.option(
    "--stock",
    "units",
    type=click.IntRange(0, UNITS_MAX),
    metavar="N",
    help="How many units there are; left out where the shop does not count.",
)
@json_option
@stage_option
@click.pass_obj
def available_command(
    project: Project, sku: str, units: int | None, stage_name: str, *, as_json: bool
) -> None:
    """Mark a variant as available: its page says "buy", and who waits for it is told.

    An SKU is taken exactly as the shop spells it. Put it in quotes if it has spaces or signs; one that begins
    with a hyphen comes last, after two hyphens: spillway available --stock 5 -- -1042.
    """
    sku = require_sku(sku)
    if units == 0:
        raise BadInput("--stock 0: none can be had", hint=f"spillway {typed('sold-out', sku)} says so")
    taken = _observe(stage_named(project, stage_name), sku, Availability.IN_STOCK, units)
    if as_json:
        click.echo(json.dumps(taken.to_document()))
    elif taken.restock:
        click.echo(f"{sku} is available; its page turns and who waits for it is told, in the order they came")
        click.echo(f"  how far the emails are: spillway {typed('waves', sku)}")
    else:
        click.echo(f"{sku} was available already{_units(taken)}; nobody new is told")


def _units(taken: TakenIn) -> str:
    now, before = taken.event.units, taken.before.units
    if now is None:
        return ""
    return f": {now:,} now" + (f", {before:,} before" if before is not None else "")


@click.command("sold-out")
@click.argument("sku")
@json_option
@stage_option
@click.pass_obj
def sold_out_command(project: Project, sku: str, stage_name: str, *, as_json: bool) -> None:
    """Mark a variant as sold out: its page takes waitlist signups, and emails under way stop."""
    sku = require_sku(sku)
    taken = _observe(stage_named(project, stage_name), sku, Availability.OUT_OF_STOCK, 0)
    if as_json:
        click.echo(json.dumps(taken.to_document()))
    elif taken.before.availability is Availability.OUT_OF_STOCK:
        click.echo(f"{sku} was sold out already")
    else:
        click.echo(f"{sku} is sold out; its page turns, and emails about it stop")


def _observe(stage: Stage, sku: str, availability: Availability, units: int | None) -> TakenIn:
    """Take the event in."""
    products = StageTables.of(stage).products
    stocked = stocked_with(products, sku)
    if stocked is None or sku not in stocked.stock:
        raise not_sold(sku, stage.name, SkuIndex.of(products))
    # A command comes after every event before it, whatever this machine's clock says.
    event = AvailabilityEvent(uuid.uuid4().hex, sku, availability, units, clock_ms(), by_arrival=True)
    match Availabilities(products).take_in(event).outcome:
        case Outcome.UNKNOWN_SKU:  # withdrawn since it was looked at
            raise not_sold(sku, stage.name, SkuIndex.of(products))
        case Outcome.BUSY:
            raise WorkFailed(f"{sku}: too many events about it come at once", hint="try again")
    return TakenIn(event, stocked.stock[sku])
