"""The whole answer as one value: what is needed, whether it holds, with the fixes, and the bill."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spillway.preflight.account import AccountLimits
from spillway.preflight.bill import Bill, bill, refresh_usd
from spillway.preflight.campaign import Campaign
from spillway.preflight.limits import Limits
from spillway.preflight.measured import Measured
from spillway.preflight.played import Run
from spillway.preflight.prices import AS_OF
from spillway.preflight.refresh import NO_REFRESH, PageRefresh
from spillway.preflight.simulation import simulate
from spillway.preflight.usage import usage
from spillway.preflight.verdicts import Row, Verdict, breaks_first, fixed, rows, unlimited
from spillway.preflight.weight import PageWeight


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator asked for."""

    campaign: Campaign
    rates_per_s: Sequence[float]
    shape: str
    seed: int
    email_wait_s_max: int
    stage: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """`run` is the campaign with the limits as they are, `after` the same dice with every fix made."""

    asked: Asked
    weight: PageWeight
    measured: Measured
    account: AccountLimits
    rows: tuple[Row, ...]
    run: Run
    after: Run
    bill: Bill
    refresh: PageRefresh

    @property
    def holds(self) -> bool:
        """Whether everybody is served, in time, as things are."""
        return self.run.nothing_lost and all(row.verdict is not Verdict.BREAKS for row in self.rows)

    @property
    def breaks_first(self) -> str:
        """What gives way first, in a sentence."""
        return breaks_first(self.rows, self.run)

    def to_document(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "holds": self.holds,
            "breaks_first": self.breaks_first,
            "campaign": asdict(self.asked.campaign),
            "shape": self.asked.shape,
            "seed": self.asked.seed,
            "page": {
                "path": self.weight.path,
                "requests": self.weight.requests,
                "bytes": self.weight.bytes_sent,
            },
            "measured": {"on": self.measured.measured_on, "machine": self.measured.machine},
            "resources": [
                {
                    "resource": row.resource,
                    "need": row.need,
                    "limit": row.limit.value,
                    "unit": row.limit.unit,
                    "origin": row.limit.origin,
                    "source": row.limit.source,
                    "verdict": row.verdict,
                    "fix": row.fix,
                }
                for row in self.rows
            ],
            "as_it_is": _outcome(self.run),
            "with_the_fixes": _outcome(self.after),
            "remarks": list(self.account.remarks),
            "prices_as_of": AS_OF.isoformat(),
            "bill": [
                {
                    "item": line.used.item,
                    "amount": line.charged_units,
                    "unit": line.price.unit,
                    "usd": line.usd,
                    "usd_after_free": line.usd_after_free,
                    "why": line.used.why,
                    "source": line.price.source,
                }
                for line in self.bill.lines
            ],
            "refresh": {
                "objects": self.refresh.objects,
                "paths": self.refresh.paths,
                "usd": refresh_usd(self.refresh),
            },
            "usd": self.bill.usd,
            "usd_after_free": self.bill.usd_after_free,
            "limits": self.account.limits.to_document(),
        }


def _outcome(run: Run) -> dict[str, Any]:
    return {
        "signups": run.signups,
        "accepted": run.accepted,
        "confirmed": run.confirmed,
        "gave_up": run.gave_up,
        "throttled": {str(resource): count for resource, count in run.throttled.items()},
        "cold_starts": run.cold_starts,
        "origin_reads": run.origin_reads,
        "email_wait_s_max": run.email_wait_s_max,
        "emails_late": run.emails_late,
        "emails_unsent": run.emails_unsent,
        "fan_out_s": run.fan_out_s,
        "nothing_lost": run.nothing_lost,
    }


def forecast(
    asked: Asked,
    weight: PageWeight,
    measured: Measured,
    account: AccountLimits,
    *,
    site_bytes: float,
    refresh: PageRefresh = NO_REFRESH,
) -> Forecast:
    """Work it out by three runs: one without limits says what is needed, one what happens as it is, and
    one what the fixes do.
    """
    campaign = asked.campaign

    def play(limits: Limits) -> Run:
        return simulate(
            campaign,
            asked.rates_per_s,
            limits,
            measured,
            seed=asked.seed,
            requests_per_view=weight.requests,
        )

    found = rows(
        campaign,
        weight,
        measured,
        play(unlimited()),
        account.limits,
        asked.stage,
        email_wait_s_max=asked.email_wait_s_max,
    )
    run = play(account.limits)
    better = fixed(account.limits, found)
    after = run if better == account.limits else play(better)
    charged = bill(
        usage(
            campaign,
            weight,
            measured,
            site_bytes=site_bytes,
            provisioned=int(account.limits.provisioned.value),
            refresh=refresh,
        )
    )
    return Forecast(asked, weight, measured, account, found, run, after, charged, refresh)
