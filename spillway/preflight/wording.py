"""The forecast in words and cells, the same at the terminal and in the report."""

from collections.abc import Iterable, Iterator, Sequence

from spillway.pluralize import pluralize
from spillway.preflight.bill import Bill, refresh_usd
from spillway.preflight.forecast import Forecast
from spillway.preflight.played import Run
from spillway.preflight.prices import PRICES, Item
from spillway.preflight.refresh import PageRefresh
from spillway.preflight.verdicts import Row


def headline(forecast: Forecast) -> str:
    """The answer in a sentence."""
    campaign = forecast.asked.campaign
    verdict = "It holds" if forecast.holds else "It would not hold"
    return (
        f"{verdict}: {campaign.visitors:,} visitors in {span(campaign.over_s)}, "
        f"{campaign.signups:,} sign up, ${forecast.bill.usd:,.2f}"
    )


def resource_rows(rows: Iterable[Row]) -> Iterator[Sequence[str]]:
    """A row of cells for each resource."""
    for row in rows:
        headroom = f"{row.headroom:,.1f} x" if row.headroom < 1e6 else "-"
        limit = f"{short(row.limit.value)} {row.limit.unit}"
        yield row.resource, short(row.need), limit, headroom, str(row.verdict), row.fix


def outcome(run: Run) -> str:
    """What came of a run."""
    if run.throttled:
        turned = ", ".join(f"{count:,} by {resource}" for resource, count in run.throttled.most_common())
        away = f"Turned away {turned}; {run.gave_up:,} gave up."
    else:
        away = "Nothing is throttled."
    lost = "Nothing is lost." if run.nothing_lost else _lost(run)
    return (
        f"{away} {run.accepted:,} of {run.signups:,} signups stored, {run.confirmed:,} confirmed. {lost} "
        f"The bucket is read {run.origin_reads:,} times, all else comes from the CDN's caches. "
        f"A confirmation email waits {span(run.email_wait_s_max)} at most; "
        f"telling all of them takes {span(run.fan_out_s)}."
    )


def _lost(run: Run) -> str:
    late = run.emails_late + run.emails_unsent
    reasons = [
        f"{pluralize(run.gave_up, 'shopper is', 'shoppers are')} not on the list" if run.gave_up else "",
        f"{pluralize(late, 'email comes', 'emails come')} too late to confirm, or never" if late else "",
    ]
    return f"Lost: {' and '.join(reason for reason in reasons if reason)}."


def refresh_sentence(refresh: PageRefresh) -> str:
    """The price of a stock event."""
    free, usd = PRICES[Item.INVALIDATIONS].free, refresh_usd(refresh)
    return (
        f"A change of availability writes up to {_mean(refresh.objects)} pages and invalidates up to "
        f"{_mean(refresh.paths)} paths: ${usd:.3f}, once the month's {free:,.0f} free paths are used up. "
        "A stock event that changes no page costs none of it."
    )


def _mean(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def bill_rows(bill: Bill) -> Iterator[Sequence[str]]:
    """A row of cells for each line, and the sums."""
    for line in bill.lines:
        amount = f"{line.charged_units:,.2f} {line.price.unit}"
        yield str(line.used.item), amount, f"{line.usd:,.3f}", f"{line.usd_after_free:,.3f}", line.used.why
    yield "in all", "", f"{bill.usd:,.2f}", f"{bill.usd_after_free:,.2f}", "dollars"


def plan_rows(bill: Bill) -> Iterator[Sequence[str]]:
    """A row of cells for each flat plan."""
    for fit in bill.plans():
        verdict = "fits" if fit.fits else "too small: past it, CloudFront may slow the shop down"
        of_requests, of_bytes = f"{fit.of_requests:.0%}", f"{fit.of_bytes:.0%}"
        yield fit.plan.name, of_requests, of_bytes, f"{bill.usd_with(fit.plan):,.2f}", verdict


def short(number: float) -> str:
    """A number as short as it can be said."""
    for limit, email in ((1e9, "G"), (1e6, "M")):
        if number >= limit:
            return f"{number / limit:,.1f} {email}"
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:,.1f}"


def span(seconds: float) -> str:
    """A length of time, in the unit that suits it."""
    for unit_s, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}".replace(".0 ", " ")
    return "1 hour" if seconds == 3600 else pluralize(round(seconds), "second")
