"""Before a flood costs money: what it will, and whether somebody agrees to that."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.flood import Flood
from loadtests.shapes import duration_s, shopper_seconds
from spillway.errors import BadInput, WorkFailed
from spillway.preflight.bill import bill
from spillway.preflight.built_pages import page_weight
from spillway.preflight.campaign import Campaign
from spillway.preflight.measured import Measured
from spillway.preflight.usage import usage

# One shopper after another, as they were counted on the local cloud: a visit takes so long, pauses
# included, and about every second one sends a form.
VISIT_S = 5.0
FORMS_PER_VISIT = 0.5
PAGES_PER_VISIT = 1.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a flood will be, and cost at list prices; an email for each form at most."""

    origin: str
    visits: int
    forms: int
    usd: float

    def __str__(self) -> str:
        return (
            f"About {self.visits:,} visits and {self.forms:,} forms go to {self.origin}, each form with a"
            f" email to SES's mailbox simulator. At list prices that is about ${self.usd:,.2f}."
        )


def estimate(flood: Flood, site: Path) -> Estimate:
    """What a flood comes to. `site` is the build that is published there.

    Raises:
        BadInput: the build has no such page.
    """
    weight = page_weight(site, flood.landing)
    campaign = Campaign(
        visitors=round(shopper_seconds(flood.shape) * flood.scale / VISIT_S),
        over_s=round(duration_s(flood.shape)),
        signup_rate=FORMS_PER_VISIT,
        confirm_rate=0.0,
        pages_per_visitor=PAGES_PER_VISIT,
    )
    charged = bill(usage(campaign, weight, Measured.read(), site_bytes=0))
    return Estimate(flood.shop_url, campaign.visitors, campaign.signups, charged.usd)


def require_consent(costs: Estimate, *, yes: bool, terminal: bool, ask: Callable[[str], bool]) -> None:
    """Have somebody agree to the cost: at the terminal, or by having said so with --yes.

    Raises:
        BadInput: nobody can be asked, and nobody said so.
        WorkFailed: somebody was asked, and does not want it.
    """
    if yes:
        return
    if not terminal:
        raise BadInput(f"{costs} Nobody is at a terminal to agree", hint="agree beforehand with --yes")
    if not ask(f"{costs} Send it?"):
        raise WorkFailed("nothing was sent", hint="it was not agreed to")
