"""Answer whether a campaign holds: the need and limit of each resource, the fixes, and the bill."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import ceil
from typing import Any

from spillway.preflight.amounts import MEMORY_MB, Measured, Step
from spillway.preflight.bill import AS_OF, Bill, bill, refresh_usd
from spillway.preflight.built_pages import NO_REFRESH, PageWeight, RefreshWork
from spillway.preflight.campaign import Campaign
from spillway.preflight.cloud_model import emails_per_s_needed
from spillway.preflight.limits import AccountLimits, FloodLimits, Limit, Origin
from spillway.preflight.simulation import SimulationResult, simulate
from spillway.preflight.usage import usage

# A lower ratio of limit to need is called tight: a real flood follows no model exactly.
HEADROOM_MIN = 1.5
# The multiple of the need that a fix asks for.
FIX_MARGIN = 2.0


class LimitVerdict(StrEnum):
    """The state of a resource at the peak."""

    HOLDS = "holds"
    TIGHT = "tight"
    BREAKS = "breaks"


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One resource. `name` is its field of `FloodLimits`; `fix` is a command, empty if none is needed."""

    name: str
    resource: str
    need: float
    limit: Limit
    fix: str = ""

    @property
    def headroom(self) -> float:
        """Return the limit divided by the need; infinity if nothing is needed."""
        return self.limit.value / self.need if self.need else float("inf")

    @property
    def verdict(self) -> LimitVerdict:
        """Return whether the limit covers the need, with some margin."""
        if self.headroom < 1:
            return LimitVerdict.BREAKS
        return LimitVerdict.TIGHT if self.headroom < HEADROOM_MIN else LimitVerdict.HOLDS


def unlimited() -> FloodLimits:
    """Return limits that are never reached: a run with them measures the needs."""
    names = [name for name in FloodLimits.__slots__ if name not in {"provisioned", "calls_per_instance_s"}]
    return FloodLimits().known(Origin.GIVEN, **dict.fromkeys(names, 1e9), calls_per_instance_s=1e9)


def rows(
    campaign: Campaign,
    weight: PageWeight,
    measured: Measured,
    free: SimulationResult,
    limits: FloodLimits,
    stage: str,
    *,
    email_wait_s_max: int,
) -> Iterator[ForecastRow]:
    """Yield all resources in the order in which a shopper uses them; `free` is a run without limits."""
    views_per_s = free.most("visitors") * campaign.pages_per_visitor
    calls_per_s = free.most("calls")
    pace = emails_per_s_needed([second.accepted for second in free.seconds], wait_s_max=email_wait_s_max)
    # Reactions to signups run beside the API, on instances of the same account. Busy instances are the calls
    # started in a second times the seconds of a call (Little's law).
    behind = free.most("accepted") * measured.duration_ms(Step.REACT_TO_SIGNUP, MEMORY_MB) / 1000
    behind += pace * measured.duration_ms(Step.SEND_CONFIRMATION, MEMORY_MB) / 1000
    concurrency = free.most("busy") + ceil(behind)

    def row(name: str, resource: str, need: float, fix: str) -> ForecastRow:
        made = ForecastRow(name, resource, need, getattr(limits, name))
        return (
            made if made.verdict is LimitVerdict.HOLDS else ForecastRow(name, resource, need, made.limit, fix)
        )

    def deploy(parameter: str, need: float) -> str:
        return f"spillway deploy --stage {stage} --param {parameter}={ceil(need * FIX_MARGIN)}"

    yield row(
        "cdn_requests_per_s", "CDN requests", views_per_s * weight.requests + calls_per_s,
        "ask for more CloudFront requests per second per distribution in the Service Quotas console",
    )  # fmt: skip
    yield row(
        "cdn_bits_per_s", "CDN bandwidth", views_per_s * weight.bytes_sent * 8,
        "ask for a higher CloudFront data transfer rate per distribution in the Service Quotas console",
    )  # fmt: skip
    yield row(
        "origin_reads_per_s", "reads of the bucket", free.most("origin_reads"),
        "open the page in a few regions before the campaign, so that the CDN has it",
    )  # fmt: skip
    yield row(
        "api_calls_per_s", "API, this stage", calls_per_s, deploy("ApiRequestsPerSecondMax", calls_per_s)
    )
    yield row(
        "account_api_calls_per_s",
        "API, the account",
        calls_per_s,
        quota("apigateway", "L-8A5B8E43", calls_per_s),
    )
    yield row("concurrency", "Lambda, at once", concurrency, quota("lambda", "L-B99A9384", concurrency))
    yield row(
        "new_instances_per_10_s", "Lambda, new ones", free.most_in_a_row("cold_starts", 10),
        "the rate is fixed: let the link spread over more seconds",
    )  # fmt: skip
    yield row(
        "secret_reads_per_s", "reads of the secret", free.most("cold_starts"),
        "the rate is fixed: let the link spread over more seconds",
    )  # fmt: skip
    table, index = free.most("table_units"), free.most("index_units")
    yield row("table_write_units_per_s", "entries table", table, deploy("EntriesWarmWriteUnits", table))
    yield row("index_write_units_per_s", "waitlist index", index, deploy("ShardIndexWarmWriteUnits", index))
    yield row("emails_per_s", "emails, pace", pace, quota("ses", "L-CDEF9B6B", pace))
    # One confirmation email for each signup; restock emails are sent on a later day.
    day = campaign.signups
    yield row("emails_per_day", "emails in 24 hours", day, quota("ses", "L-804C8AE8", day))


def quota(service: str, code: str, need: float) -> str:
    """Return the command that requests a higher quota."""
    return (
        f"aws service-quotas request-service-quota-increase --service-code {service}"
        f" --quota-code {code} --desired-value {ceil(need * FIX_MARGIN)}"
    )


def fixed(limits: FloodLimits, found: tuple[ForecastRow, ...]) -> FloodLimits:
    """Return the limits after all fixes: twice the need, where a limit was too low."""
    short = {
        row.name: float(ceil(row.need * FIX_MARGIN)) for row in found if row.verdict is not LimitVerdict.HOLDS
    }
    if "api_calls_per_s" in short:
        short["api_burst_calls"] = short["api_calls_per_s"]
    return limits.raised(**short)


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


@dataclass(frozen=True, slots=True)
class PreflightRequest:
    """The campaign and options that the operator gave."""

    campaign: Campaign
    rates_per_s: Sequence[float]
    shape: str
    seed: int
    email_wait_s_max: int
    stage: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer: `run` has the current limits, `after` the same random numbers with all fixes applied."""

    request: PreflightRequest
    weight: PageWeight
    measured: Measured
    account: AccountLimits
    rows: tuple[ForecastRow, ...]
    run: SimulationResult
    after: SimulationResult
    bill: Bill
    refresh: RefreshWork

    @property
    def holds(self) -> bool:
        """Return whether each shopper is served in time with the current limits."""
        return self.run.nothing_lost and all(row.verdict is not LimitVerdict.BREAKS for row in self.rows)

    @property
    def breaks_first(self) -> str:
        """Return a sentence that names the first resource to break."""
        if self.run.first_throttle:
            resource, at_s = self.run.first_throttle
            return f"{resource}, {at_s // 60} min {at_s % 60} s into the campaign"
        worst = min(self.rows, key=lambda row: row.headroom)
        if worst.headroom < 1:
            need, allowed = _figure(worst.need), _figure(worst.limit.value)
            return f"{worst.resource}: {need} {worst.limit.unit} needed, {allowed} allowed"
        return f"nothing; {worst.resource} comes nearest, with {worst.headroom:.1f} times what is needed"

    def to_document(self) -> dict[str, Any]:
        """Return the forecast as JSON values."""
        return {
            "holds": self.holds,
            "breaks_first": self.breaks_first,
            "campaign": asdict(self.request.campaign),
            "shape": self.request.shape,
            "seed": self.request.seed,
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


def _outcome(run: SimulationResult) -> dict[str, Any]:
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
    request: PreflightRequest,
    weight: PageWeight,
    measured: Measured,
    account: AccountLimits,
    *,
    site_bytes: float,
    refresh: RefreshWork = NO_REFRESH,
) -> Forecast:
    """Forecast a campaign by three runs: without limits, with the current limits, and with the fixes.

    Args:
        request: The campaign and its options.
        weight: The landing page.
        measured: The cost of each step.
        account: The limits of the account.
        site_bytes: Size of the built site, in bytes.
        refresh: The work of one availability change.
    """
    campaign = request.campaign

    def play(limits: FloodLimits) -> SimulationResult:
        return simulate(
            campaign,
            request.rates_per_s,
            limits,
            measured,
            seed=request.seed,
            requests_per_view=weight.requests,
        )

    free, wait_s_max = play(unlimited()), request.email_wait_s_max
    found = tuple(
        rows(campaign, weight, measured, free, account.limits, request.stage, email_wait_s_max=wait_s_max)
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
    return Forecast(request, weight, measured, account, found, run, after, charged, refresh)
