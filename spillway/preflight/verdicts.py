"""Will it hold: for each resource what the busiest moment needs, what there is, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from spillway.preflight.campaign import Campaign
from spillway.preflight.email_rate import emails_per_s_needed
from spillway.preflight.limits import Limit, Limits, Origin
from spillway.preflight.measured import Measured, Step
from spillway.preflight.played import Run
from spillway.preflight.usage import MEMORY_MB
from spillway.preflight.weight import PageWeight

# Less room than this is called tight: the curve of a real flood is nobody's.
HEADROOM_MIN = 1.5
# What a fix asks for, over the need.
FIX_MARGIN = 2.0


class Verdict(StrEnum):
    """What becomes of a resource at the peak."""

    HOLDS = "holds"
    TIGHT = "tight"
    BREAKS = "breaks"


@dataclass(frozen=True, slots=True)
class Row:
    """One resource. `name` is its field of `Limits`; `fix` is a command, empty where none is needed."""

    name: str
    resource: str
    need: float
    limit: Limit
    fix: str = ""

    @property
    def headroom(self) -> float:
        """The limit over the need; endless where nothing is needed."""
        return self.limit.value / self.need if self.need else float("inf")

    @property
    def verdict(self) -> Verdict:
        """Whether there is enough of it, and to spare."""
        if self.headroom < 1:
            return Verdict.BREAKS
        return Verdict.TIGHT if self.headroom < HEADROOM_MIN else Verdict.HOLDS


def unlimited() -> Limits:
    """A cloud without limits: what is used of it is what is needed."""
    names = [name for name in Limits.__slots__ if name not in {"provisioned", "calls_per_environment_s"}]
    return Limits().known(Origin.GIVEN, **dict.fromkeys(names, 1e9), calls_per_environment_s=1e9)


def rows(
    campaign: Campaign,
    weight: PageWeight,
    measured: Measured,
    free: Run,
    limits: Limits,
    stage: str,
    *,
    email_wait_s_max: int,
) -> tuple[Row, ...]:
    """All resources, in the order in which a shopper meets them. `free` is a run without limits."""
    return tuple(_rows(campaign, weight, measured, free, limits, stage, email_wait_s_max))


def _rows(
    campaign: Campaign,
    weight: PageWeight,
    measured: Measured,
    free: Run,
    limits: Limits,
    stage: str,
    email_wait_s_max: int,
) -> Iterator[Row]:
    views_per_s = free.most("visitors") * campaign.pages_per_visitor
    calls_per_s = free.most("calls")
    pace = emails_per_s_needed([second.accepted for second in free.seconds], wait_s_max=email_wait_s_max)
    # What follows from a signup runs beside the API, and out of the same account's environments. At work are
    # as many as begin in a second times the seconds that each takes (Little's law).
    behind = free.most("accepted") * measured.duration_ms(Step.REACT_TO_SIGNUP, MEMORY_MB) / 1000
    behind += pace * measured.duration_ms(Step.SEND_CONFIRMATION, MEMORY_MB) / 1000
    concurrency = free.most("busy") + ceil(behind)

    def row(name: str, resource: str, need: float, fix: str) -> Row:
        made = Row(name, resource, need, getattr(limits, name))
        return made if made.verdict is Verdict.HOLDS else Row(name, resource, need, made.limit, fix)

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
        "new_environments_per_10_s", "Lambda, new ones", free.most_in_a_row("cold_starts", 10),
        "the rate is fixed: let the link spread over more seconds",
    )  # fmt: skip
    yield row(
        "secret_reads_per_s", "reads of the secret", free.most("cold_starts"),
        "the rate is fixed: let the link spread over more seconds",
    )  # fmt: skip
    table, index = free.most("table_units"), free.most("index_units")
    yield row("table_write_units_per_s", "entries table", table, deploy("EntriesWarmWriteUnits", table))
    yield row("index_write_units_per_s", "line index", index, deploy("LineWarmWriteUnits", index))
    yield row("emails_per_s", "emails, pace", pace, quota("ses", "L-CDEF9B6B", pace))
    # One to each who signs up; what tells them that it is back goes on a later day.
    day = campaign.signups
    yield row("emails_per_day", "emails in 24 hours", day, quota("ses", "L-804C8AE8", day))


def quota(service: str, code: str, need: float) -> str:
    """The command that asks for a higher quota of the account."""
    return (
        f"aws service-quotas request-service-quota-increase --service-code {service}"
        f" --quota-code {code} --desired-value {ceil(need * FIX_MARGIN)}"
    )


def fixed(limits: Limits, found: tuple[Row, ...]) -> Limits:
    """The limits after every fix has been made: twice what is needed, where there was too little."""
    short = {
        row.name: float(ceil(row.need * FIX_MARGIN)) for row in found if row.verdict is not Verdict.HOLDS
    }
    if "api_calls_per_s" in short:
        short["api_burst_calls"] = short["api_calls_per_s"]
    return limits.raised(**short)


def breaks_first(found: tuple[Row, ...], run: Run) -> str:
    """What gives way first, in a sentence."""
    if run.first_throttle:
        resource, at_s = run.first_throttle
        return f"{resource}, {at_s // 60} min {at_s % 60} s into the campaign"
    worst = min(found, key=lambda row: row.headroom)
    if worst.headroom < 1:
        return (
            f"{worst.resource}: {worst.need:,.0f} {worst.limit.unit} needed, {worst.limit.value:,.0f} allowed"
        )
    return f"nothing; {worst.resource} comes nearest, with {worst.headroom:.1f} times what is needed"
