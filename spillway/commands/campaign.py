"""Test a campaign before it starts: `spillway preflight` and `spillway load`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from chalicelib.outbound.deliveries import ENDPOINTS_MAX
from spillway.commands.options import (
    ChoiceType,
    Decimal,
    DurationType,
    ShareType,
    WholeNumber,
    is_default,
    refuse_ignored,
    write_whole,
)
from spillway.errors import BadInput
from spillway.preflight.amounts import Measured
from spillway.preflight.bill import bill
from spillway.preflight.built_pages import mean_product_weight, page_refresh, page_weight
from spillway.preflight.campaign import FOUNDING_STORY, Campaign, Shape, rates_per_s, trace
from spillway.preflight.forecast import PreflightRequest, forecast
from spillway.preflight.limits import AccountLimits, FloodLimits, Origin, read_limits
from spillway.preflight.reports import show, show_details, tell_story
from spillway.preflight.usage import usage
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import pluralize

# A newsletter or a post of a small shop: without a number of its own, a forecast is not about a flood.
VISITORS_DEFAULT = 20_000
VISITORS_MAX = 50_000_000
# Each signup is simulated call by call, three times.
SIGNUPS_MAX = 1_000_000
CHANGES_MAX = 1_000_000
# The share by which the peak of a curve may differ from the one that is asked for.
PEAK_ERROR_MAX = 0.05
LIMIT_NAMES = tuple(field.name for field in fields(FloodLimits))
LIMIT_MAX = 1e12
NO_STAGE = "AWS's documented limits, no sandbox of SES; yours: --stage NAME"
ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command("preflight")
@click.option("--visitors", type=WholeNumber(1, VISITORS_MAX), default=VISITORS_DEFAULT, show_default=True,
              help="Visitors of the campaign.")  # fmt: skip
@click.option(
    "--over",
    "over_s",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="The time in which they arrive.",
)
@click.option("--peak-factor", type=Decimal(1, 100), default=5.0, show_default=True,
              help="Visitors in the busiest second, as a multiple of the mean.")  # fmt: skip
@click.option(
    "--shape",
    type=ChoiceType([shape.value for shape in Shape]),
    default="spike",
    show_default=True,
    help="The curve of arrivals.",
)
@click.option("--trace", "trace_file", type=click.Path(path_type=Path), metavar="CSV",
              help="Visitors of each second instead of a shape: columns second,visitors.")  # fmt: skip
@click.option(
    "--signup-rate", type=ShareType(), default="5%", show_default=True, help="Share of visitors who sign up."
)
@click.option(
    "--confirm-rate",
    type=ShareType(),
    default="100%",
    show_default=True,
    help="Share of signups that are confirmed.",
)
@click.option("--pages-per-visitor", type=Decimal(0.1, 100), default=1.0, show_default=True,
              help="Mean number of pages that a visitor opens.")  # fmt: skip
@click.option("--availability-changes", type=WholeNumber(0, CHANGES_MAX), default=2, show_default=True,
              help="Times the product comes into stock or sells out; each refreshes its pages.")  # fmt: skip
@click.option("--stock-events", type=WholeNumber(0, CHANGES_MAX), default=0, show_default=True,
              help="Signed webhooks of other systems about stock.")  # fmt: skip
@click.option("--shop-events", type=WholeNumber(0, CHANGES_MAX), default=0, show_default=True,
              help="Events of the shop, each recorded and tried on its rules.")  # fmt: skip
@click.option("--rule-firings", type=WholeNumber(0, CHANGES_MAX), default=0, show_default=True,
              help="Times a rule fires on one of --shop-events.")  # fmt: skip
@click.option("--endpoints", type=WholeNumber(0, ENDPOINTS_MAX), default=0, show_default=True,
              help="Endpoints of other systems that get each of --shop-events.")  # fmt: skip
@click.option("--page", metavar="PATH", help="The landing page; by default the mean of all product pages.")
@click.option("--email-wait", "email_wait_s_max", type=DurationType(), default="10m", show_default=True,
              help="Longest wait of a confirmation email.")  # fmt: skip
@click.option("--stage", "stage_name", metavar="NAME", help="Read the limits from this stage's account.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE",
              help="A known limit, by its name in --json: emails_per_s=50.")  # fmt: skip
@click.option("--provisioned", type=WholeNumber(0, 10_000), metavar="N",
              help="Lambda instances kept ready for the API: fewer cold starts, more cost.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random numbers.")
@click.option("--details", is_flag=True, help="Also show every resource, the fixes and the bill.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every figure with its source.")
@click.option("--report", "report_file", type=click.Path(path_type=Path), metavar="HTML",
              help="Write a report with charts, as one self-contained file.")  # fmt: skip
@click.option(
    "--story", "tell_story", is_flag=True, help="Print only the founding story's bill, then and now."
)
@click.pass_obj
def preflight_command(project: Project, /, **given: Any) -> None:
    """Predict whether a campaign holds, what breaks first, and its bill.

    It prints the answer in five lines; --details adds every resource, the fixes and the bill.

    \b
    Examples:
      spillway preflight --visitors 1000000 --over 1h --stage production
      spillway preflight --visitors 200000 --report preflight.html

    Exit status: 0 when the campaign holds, 1 when it does not.
    """
    options = Options(**given)
    _refuse_what_is_ignored(options)
    site = _built(project)
    weight = page_weight(site, options.page) if options.page else mean_product_weight(site)
    measured, refresh = Measured.read(), page_refresh(site, options.page)
    if options.tell_story:
        now = bill(usage(FOUNDING_STORY, weight, measured, site_bytes=_site_bytes(site), refresh=refresh))
        tell_story(weight, now, refresh)
        return
    made = forecast(
        _request_of(options),
        weight,
        measured,
        _account(project, options),
        site_bytes=_site_bytes(site),
        refresh=refresh,
    )
    if options.report_file:
        from spillway.preflight.reports import report

        write_whole(options.report_file, report(made), option="--report")
    if options.as_json:
        click.echo(json.dumps(made.to_document(), indent=1))
    else:
        show(made)
        if options.details:
            show_details(made)
        else:
            if is_default("visitors") and not options.trace_file:
                click.echo(
                    f"Note: {VISITORS_DEFAULT:,} visitors are an example; yours: --visitors N --over 1h"
                )
            click.echo("Every resource, the fixes and the bill: spillway preflight --details")
    sys.exit(0 if made.holds else 1)


@dataclass(frozen=True, slots=True)
class Options:
    """The options, by their names in click."""

    visitors: int
    over_s: int
    peak_factor: float
    shape: str
    trace_file: Path | None
    signup_rate: float
    confirm_rate: float
    pages_per_visitor: float
    availability_changes: int
    stock_events: int
    shop_events: int
    rule_firings: int
    endpoints: int
    page: str | None
    email_wait_s_max: int
    stage_name: str | None
    limits: tuple[str, ...]
    provisioned: int | None
    seed: int
    details: bool
    as_json: bool
    report_file: Path | None
    tell_story: bool


def _refuse_what_is_ignored(options: Options) -> None:
    if options.tell_story:
        refuse_ignored("with --story", heeded={"page"})
    if options.shape == Shape.FLAT:
        refuse_ignored("with --shape flat", ignored={"peak_factor"})
    if options.trace_file:
        refuse_ignored("with --trace", ignored={"visitors", "over_s", "peak_factor", "shape"})
    if options.as_json:
        refuse_ignored("with --json", ignored={"details"})
    if not options.shop_events:
        refuse_ignored("without --shop-events", ignored={"rule_firings", "endpoints"})


def _built(project: Project) -> Path:
    site = project.output / "site"
    if not (site / "products").is_dir():
        # Imported here: after a build, preflight does not need the renderer.
        from spillway.sitegen.site import build

        build(project, folder=site)
    return site


def _request_of(options: Options) -> PreflightRequest:
    campaign = Campaign(
        options.visitors,
        options.over_s,
        options.peak_factor,
        options.signup_rate,
        options.confirm_rate,
        pages_per_visitor=options.pages_per_visitor,
        availability_changes=options.availability_changes,
        stock_events=options.stock_events,
        shop_events=options.shop_events,
        rule_firings=options.rule_firings,
        endpoints=options.endpoints,
    )
    if options.trace_file:
        rates = trace(options.trace_file)
        campaign = replace(campaign, visitors=round(sum(rates)), over_s=len(rates))
    else:
        rates = rates_per_s(campaign, Shape(options.shape))
    peak_factor = round(max(rates) * len(rates) / sum(rates), 2)
    if not is_default("peak_factor") and abs(peak_factor / options.peak_factor - 1) > PEAK_ERROR_MAX:
        raise BadInput(
            f"--peak-factor {options.peak_factor:g}: with --shape {options.shape}, the busiest of"
            f" {pluralize(campaign.over_s, 'second')} has {peak_factor:g} times the mean",
            hint=f"type --peak-factor {peak_factor:g}, another --over or another --shape",
        )
    campaign = replace(campaign, peak_factor=peak_factor)
    if campaign.signups > SIGNUPS_MAX:
        raise BadInput(
            f"{campaign.visitors:,} visitors at --signup-rate {campaign.signup_rate:.2%} are"
            f" {campaign.signups:,} signups: more than the {SIGNUPS_MAX:,} that can be played",
            hint="lower the visitors or the rate",
        )
    shape = "trace" if options.trace_file else options.shape
    stage = options.stage_name or "production"
    return PreflightRequest(campaign, rates, shape, options.seed, options.email_wait_s_max, stage)


def _account(project: Project, options: Options) -> AccountLimits:
    stage = options.stage_name
    account = read_limits(stage_named(project, stage)) if stage else AccountLimits(FloodLimits(), (NO_STAGE,))
    known: dict[str, float] = {}
    kept_ready = () if options.provisioned is None else (f"provisioned={options.provisioned}",)
    for given in (*options.limits, *kept_ready):
        name, value = _limit(given)
        if known.setdefault(name, value) != value:
            raise BadInput(
                f"--limit {given}: {name} is {known[name]:g} already", hint="leave one of the two out"
            )
    return replace(account, limits=account.limits.known(Origin.GIVEN, **known))


def _limit(given: str) -> tuple[str, float]:
    name, _, text = given.partition("=")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if name not in LIMIT_NAMES or not 0 <= value <= LIMIT_MAX:
        names = ", ".join(LIMIT_NAMES)
        raise BadInput(f"--limit {given}: not NAME=VALUE of a limit", hint=f"names are {names}")
    return name, value


def _site_bytes(site: Path) -> int:
    return sum(file.stat().st_size for file in site.rglob("*") if file.is_file())


@click.command("load", context_settings=ANYTHING, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def load_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Send a flood of shoppers and check that no accepted signup is lost.

    It needs Locust: pip install 'spillway[load,demo]'. The load tests' own --help lists the options.

    \b
    Example:
      spillway load --shape spike
    """
    # Locust patches the process that imports it, so it runs in a process of its own.
    if find_spec("locust") is None:
        if {"-h", "--help"} & set(words):
            click.echo(context.get_help())
            return
        raise BadInput("the load tests need Locust", hint="install it: pip install 'spillway[load,demo]'")
    project: Project = context.obj
    command = [sys.executable, "-m", "loadtests", *words]
    path = os.pathsep.join([str(project.code), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path}
    process = subprocess.Popen(command, cwd=project.root, env=environment)  # noqa: S603 - no shell
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            # The load test received Ctrl-C too, and restores the shop's throttle: wait for it.
            continue
