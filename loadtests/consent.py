"""The cost of a flood on AWS, and the consent to it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.flood import Flood
from loadtests.shapes import duration_s, shopper_seconds
from spillway.errors import BadInput, WorkFailed
from spillway.preflight.amounts import Measured
from spillway.preflight.bill import bill
from spillway.preflight.built_pages import page_weight
from spillway.preflight.campaign import Campaign
from spillway.preflight.usage import usage

# Measured on the local cloud: the length of a visit with its pauses, and the share that sends a form.
VISIT_S = 5.0
FORMS_PER_VISIT = 0.5
PAGES_PER_VISIT = 1.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """The size of a flood and its cost at list prices; each form causes at most one email."""

    origin: str
    visits: int
    forms: int
    usd: float

    def __str__(self) -> str:
        return (
            f"About {self.visits:,} visits and {self.forms:,} forms go to {self.origin}, each form with an"
            f" email to SES's mailbox simulator. At list prices that is about ${self.usd:,.2f}."
        )


def estimate(flood: Flood, site: Path) -> Estimate:
    """Estimate a flood; `site` is the published build.

    Raises:
        BadInput: The build has no such page.
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
    """Require consent to the cost, at the terminal or by --yes.

    Raises:
        BadInput: There is no terminal and no --yes.
        WorkFailed: The person at the terminal declined.
    """
    if yes:
        return
    if not terminal:
        raise BadInput(f"{costs} Nobody is at a terminal to agree", hint="agree beforehand with --yes")
    if not ask(f"{costs} Send it?"):
        raise WorkFailed("nothing was sent", hint="you did not agree to the cost")
