"""Whole stock lists of other systems: `spillway reconcile` and `sources account`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from chalicelib.domain.ids import Sku
from chalicelib.inbound.readings import MalformedEvent
from chalicelib.inbound.reconciliation import (
    CHANGES_MAX,
    PERCENT_MAX,
    ChangeLimit,
    StockList,
    TooManyChanges,
)
from chalicelib.inbound.stock_lists import csv_list
from chalicelib.outbound.addresses import TargetRefused, parse_target
from chalicelib.services.reconciliation import LISTING, ListUnusable, SourceAccount
from spillway.commands.options import ChoiceType, WholeNumber, json_option, on_stage, stage_option
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import pluralize

if TYPE_CHECKING:
    from chalicelib.container import Container
    from chalicelib.domain.stock import Stock
    from chalicelib.inbound.readings import ReceivedEvent
    from chalicelib.inbound.reconciliation import StockComparison

SOURCE = ChoiceType(LISTING)
SECRET_CHARS_MIN = 8
SHOWN_MAX = 20
SHOPIFY_DOMAIN = ".myshopify.com"
# The limit that an operator may set at most: every variant of the largest shop.
CHANGES_SETTABLE = 100_000


@click.command("reconcile")
@click.argument("source", type=SOURCE, metavar="SOURCE")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare with this CSV file: sku and stock, or a product export of Shopify or WooCommerce.",
)
@click.option("--dry-run", is_flag=True, help="Show the differences; change nothing.")
@click.option(
    "--changes-max",
    type=WholeNumber(1, CHANGES_SETTABLE),
    default=CHANGES_MAX,
    show_default=True,
    metavar="N",
    help="Change nothing where more variants than this differ.",
)
@click.option(
    "--percent-max",
    type=WholeNumber(1, 100),
    default=PERCENT_MAX,
    show_default=True,
    metavar="P",
    help="Change nothing where more than 20 variants and this share of all compared differ.",
)
@json_option
@stage_option
@click.pass_obj
def reconcile_command(
    project: Project,
    source: str,
    file: Path | None,
    stage_name: str,
    changes_max: int,
    percent_max: int,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare the stock with another system's whole list and apply the differences.

    It repairs what lost webhooks would have changed. SOURCE is shopify, woocommerce or generic, a CSV file
    at an https address. `spillway sources account` stores where the list is, and the shop compares each
    hour from then on. A file counts as of the time of its last change. Variants with a later event keep
    their stock, and so do variants that the list does not name.

    \b
    Examples:
      spillway reconcile shopify --dry-run --stage production
      spillway reconcile generic --file stock.csv --stage production
    """
    container = stage_named(project, stage_name).container()
    reconciliation = container.reconciliation
    try:
        listed = _read(file) if file else reconciliation.fetch(source, _account(container, source))
        comparison = reconciliation.compare(source, listed)
    except ListUnusable as problem:
        if file:
            raise BadInput(f"{file}: {problem}", hint="export it again") from None
        raise WorkFailed(
            str(problem), hint=f"try again, or correct it: spillway sources account {source}{on_stage()}"
        ) from None
    refused: str | None = None
    try:
        ChangeLimit(changes_max, percent_max).check(comparison)
    except TooManyChanges as problem:
        refused = str(problem)
    applied: list[ReceivedEvent] = []
    if not dry_run and refused is None:
        applied = reconciliation.apply(source, listed, comparison)
    _show(comparison, applied, dry_run=dry_run or refused is not None, as_json=as_json)
    if refused is not None:
        raise BadInput(
            f"{source}: {refused}; nothing was changed",
            hint="check the list; --changes-max N and --percent-max P set other limits for once",
        )
    _require_read(comparison, applied, dry_run=dry_run)


def _read(file: Path) -> StockList:
    try:
        at_ms = int(file.stat().st_mtime * 1000)
        return StockList(csv_list(file.read_bytes(), at_ms=at_ms))
    except (OSError, MalformedEvent) as problem:
        raise BadInput(f"{file}: {problem}", hint="see docs/inventory.md for the columns") from None


def _account(container: "Container", source: str) -> SourceAccount:
    account = known_accounts(container).get(source)
    if account is None:
        raise BadInput(
            f"{source}: where its stock list is, is not known",
            hint=f"spillway sources account {source} --url https://...{on_stage()} stores it;"
            " --file FILE names a file",
        )
    return account


def known_accounts(container: "Container") -> dict[str, SourceAccount]:
    """Return the accounts of a stage by source; none where its stack has no place for them yet."""
    return container.stock_accounts() if container.settings.stock_accounts_secret else {}


def _show(
    comparison: "StockComparison", applied: "list[ReceivedEvent]", *, dry_run: bool, as_json: bool
) -> None:
    outcomes = _outcomes(applied)
    if as_json:
        document = {
            "differences": [
                {
                    "sku": difference.sku,
                    "before": _stock_document(difference.before),
                    "after": _stock_document(difference.after),
                    "outcome": outcomes.get(difference.sku),
                }
                for difference in comparison.differences
            ],
            "same": comparison.same,
            "newer": comparison.newer,
            "not_listed": comparison.not_listed,
            "not_sold": comparison.not_sold,
            "unread": [{"subject": part.subject, "reason": part.reason} for part in comparison.unread],
            "dry_run": dry_run,
        }
        click.echo(json.dumps(document, indent=1))
        return
    for difference in comparison.differences:
        outcome = outcomes.get(difference.sku, "changed")
        end = "" if outcome == "changed" else f"  ({outcome})"
        click.echo(f"{difference.sku}: {_stock(difference.before)} -> {_stock(difference.after)}{end}")
    verb = "differ" if dry_run else "changed"
    click.echo(
        f"{len(comparison.differences):,} {verb}, {pluralize(comparison.same, 'is', 'are')} as listed, "
        f"{pluralize(len(comparison.newer), 'has', 'have')} a later event"
    )
    for words, names in (
        ("not in the list, and unchanged", comparison.not_listed),
        ("in the list, and not sold here", comparison.not_sold),
    ):
        if names:
            more = f" and {len(names) - SHOWN_MAX:,} more" if len(names) > SHOWN_MAX else ""
            click.echo(f"{len(names):,} {words}: {', '.join(names[:SHOWN_MAX])}{more}")


def _outcomes(applied: "list[ReceivedEvent]") -> dict[Sku, str]:
    return {
        Sku(str(result["sku"])): str(result["outcome"])
        for event in applied
        for result in event.results
        if "sku" in result
    }


def _stock(stock: "Stock") -> str:
    units = "not counted" if stock.units is None else f"{stock.units:,}"
    return f"{stock.availability} ({units})"


def _stock_document(stock: "Stock") -> dict[str, object]:
    return {"availability": stock.availability, "units": stock.units}


def _require_read(comparison: "StockComparison", applied: "list[ReceivedEvent]", *, dry_run: bool) -> None:
    """Check that each part of a list was read, and applied where it had to be.

    Raises:
        WorkFailed: some were not; the others are done.
    """
    left = [f"{part.subject}: {part.reason}" for part in comparison.unread]
    left += [f"{sku}: {outcome}" for sku, outcome in _outcomes(applied).items() if outcome == "busy"]
    if left:
        more = [f"and {len(left) - SHOWN_MAX:,} more"] if len(left) > SHOWN_MAX else []
        listed = "\n".join(f"  {line}" for line in [*left[:SHOWN_MAX], *more])
        done = "" if dry_run else "; the others were applied"
        raise WorkFailed(f"{pluralize(len(left), 'part')} of the list cannot be used{done}:\n{listed}")


@click.command("account")
@click.argument("source", type=SOURCE, metavar="SOURCE")
@click.option(
    "--url", metavar="URL", help="The shop at Shopify or WooCommerce, or a CSV file's address; https."
)
@click.option("--user", metavar="KEY", help="The consumer key of WooCommerce (ck_...).")
@click.option("--public", is_flag=True, help="Ask for no token: everybody may read the CSV file.")
@click.option("--remove", is_flag=True, help="Remove the account: the list is no longer compared each hour.")
@stage_option
@click.pass_obj
def store_account(
    project: Project,
    source: str,
    url: str | None,
    user: str | None,
    stage_name: str,
    *,
    public: bool,
    remove: bool,
) -> None:
    """Store where a system's whole stock list is.

    The shop compares its stock with the list each hour from then on. SOURCE is shopify, woocommerce or
    generic. The token is asked for, or read from the standard input: an access token of Shopify with
    read_products and read_inventory, the consumer secret of WooCommerce (read), or the bearer token of a
    CSV file's server.

    \b
    Examples:
      spillway sources account shopify --url https://my-shop.myshopify.com --stage production
      spillway sources account woocommerce --url https://shop.example --user ck_1a2b --stage production
      spillway sources account generic --url https://erp.example/stock.csv --public --stage production
    """
    container = stage_named(project, stage_name).container()
    if container.settings.stock_accounts_secret is None:
        raise BadInput(
            f"stage {stage_name}: its stack has no place for accounts",
            hint=f"spillway deploy --stage {stage_name} adds it",
        )
    if not remove:
        _check_account(source, url, user, public=public)
    known = known_accounts(container)
    if remove:
        known.pop(source, None)
    else:
        secret = None if public else _asked_token(source)
        known[source] = SourceAccount(str(url).rstrip("/"), secret, user)
    container.client("secretsmanager").put_secret_value(
        SecretId=container.settings.stock_accounts_secret,
        SecretString=json.dumps({name: account.to_document() for name, account in known.items()}),
    )
    click.echo(
        f"{source}: removed"
        if remove
        else f"{source}: compared each hour from now on; to see the differences first: "
        f"spillway reconcile {source} --dry-run{on_stage()}"
    )


def _check_account(source: str, url: str | None, user: str | None, *, public: bool) -> None:
    if url is None:
        raise BadInput("--url: missing", hint="name the address of the shop or of the CSV file")
    try:
        target = parse_target(url)
    except TargetRefused as refused:
        raise BadInput(
            f"--url {url}: {refused}", hint="name an address such as https://shop.example"
        ) from None
    if source == "shopify" and not target.host.endswith(SHOPIFY_DOMAIN):
        raise BadInput(f"--url {url}: the API is at NAME{SHOPIFY_DOMAIN}", hint="see Settings > Domains")
    if (source == "shopify" and target.path != "/") or (source == "woocommerce" and "?" in url):
        raise BadInput(f"--url {url}: more than the shop's address", hint="leave out what comes after it")
    if (user is not None) != (source == "woocommerce"):
        words = "missing" if user is None else f"{source} has none"
        raise BadInput(f"--user: {words}", hint="it is the consumer key of WooCommerce")
    if public and source != "generic":
        raise BadInput(f"--public: {source} lists stock to those alone who show a token", hint="leave it out")


def _asked_token(source: str) -> str:
    is_terminal = sys.stdin.isatty()
    token = (click.prompt("Token", hide_input=True, type=str) if is_terminal else sys.stdin.read()).strip()
    if len(token) < SECRET_CHARS_MIN or not (token.isascii() and token.isprintable()) or " " in token:
        raise BadInput(
            f"the token has {pluralize(len(token), 'character')}",
            hint=f"copy it as {source} shows it, one line of at least {SECRET_CHARS_MIN} characters",
        )
    return token


def list_of(account: SourceAccount | None) -> str | None:
    """Return the address of an account's list without its query, which may be secret; None without one."""
    if account is None:
        return None
    parts = urlsplit(account.url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
