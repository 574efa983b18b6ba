"""Before a flood costs money: what it will, and whether somebody agrees to that."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.shapes import Shape, duration_s, shopper_seconds
from spillway.errors import BadInput, WorkFailed
from spillway.preflight.bill import bill
from spillway.preflight.campaign import Campaign
from spillway.preflight.measured import Measured
from spillway.preflight.usage import usage
from spillway.preflight.weight import PageWeight, page_weight

# One shopper after another, as they were counted on the local cloud: a visit takes so long, pauses
# included, and about every second one sends a form.
VISIT_S = 5.0
FORMS_PER_VISIT = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a flood will be, and cost at list prices; a letter for each form at most."""

    origin: str
    visits: int
    forms: int
    usd: float

    def __str__(self) -> str:
        return (
            f"About {self.visits:,} visits and {self.forms:,} forms go to {self.origin}, each form with a"
            f" letter to SES's mailbox simulator. At list prices that is about ${self.usd:,.2f}."
        )


def estimate(origin: str, site: Path, landing: str, shape: Shape, scale: int) -> Estimate:
    """What a flood of that shape comes to. `site` is the build that is published there.

    Raises:
        BadInput: the build has no such page.
    """
    weight: PageWeight = page_weight(site, landing)
    visits = round(shopper_seconds(shape) * scale / VISIT_S)
    campaign = Campaign(
        visits, round(duration_s(shape)), signup_rate=FORMS_PER_VISIT, confirm_rate=0.0, pages_per_visitor=1.5
    )
    charged = bill(usage(campaign, weight, Measured.read(), site_bytes=0))
    return Estimate(origin, visits, campaign.signups, charged.usd)


def require_consent(costs: Estimate, *, yes: bool, terminal: bool, ask: Callable[[str], bool]) -> None:
    """Have somebody agree to the cost: at the terminal, or by having said so with --yes.

    Raises:
        BadInput: nobody can be asked, and nobody said so.
        WorkFailed: somebody was asked, and does not want it.
    """
    if yes:
        return
    if not terminal:
        raise BadInput(f"{costs} Nobody is at a terminal to agree", way_out="agree beforehand with --yes")
    if not ask(f"{costs} Send it?"):
        raise WorkFailed("nothing was sent", way_out="it was not agreed to")
