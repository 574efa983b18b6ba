"""The outcome of restocks, and the goods to order: `spillway report` and `order-about`."""

import csv
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from chalicelib.domain.ids import Sku
from chalicelib.domain.reports import RestockReport
from spillway.commands.options import SKU, json_option, on_stage, refuse_ignored, stage_option
from spillway.errors import BadInput
from spillway.merchant.stock_import import require_sold, typed
from spillway.merchant.waitlist_report import safe_cell
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import print_table

if TYPE_CHECKING:
    from rich.table import Table

    from chalicelib.domain.ordering import OrderRow

COLUMNS = (
    *("restock", "sku", "product", "opened_at", "notified", "bounced", "unsubscribed", "clicks"),
    *("orders", "orders_by_click", "units", "currency", "revenue", "revenue_per_email"),
)
ORDER_COLUMNS = ("sku", "product", "variant", "order_about", "waiting", "stock", "basis", "reasons")
csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print a CSV file.")


@click.command("report")
@click.argument("sku", type=SKU, required=False)
@click.option("--restock", "restock_id", metavar="ID", help="Report on one restock of the SKU.")
@csv_option
@json_option
@stage_option
@click.pass_obj
def report_command(
    project: Project,
    sku: Sku | None,
    restock_id: str | None,
    stage_name: str,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show the outcome of restocks: emails, clicks, orders, revenue.

    Without SKU it shows the newest 50 restocks of the shop that emailed anybody. Clicks are counted with
    count_clicks in site.toml, orders where the shop reports them. Opened emails are not measured.

    \b
    Examples:
      spillway report --stage production
      spillway report FJ-INK-L --csv --stage production > report.csv
    """
    if restock_id is not None and sku is None:
        raise BadInput("--restock: name its SKU too", hint="spillway report SKU --restock ID")
    if as_csv and as_json:
        refuse_ignored("with --json", ignored={"as_csv"})
    stage = stage_named(project, stage_name)
    tables = stage.container()
    found = tables.reports.newest() if sku is None else tables.reports.of(sku, restock_id)
    if sku is not None and not found:
        require_sold(tables.products, sku, stage.name)
    if sku is not None and restock_id is not None and not found:
        raise BadInput(
            f"--restock {restock_id}: {sku} has no such restock",
            hint=f"spillway {typed('report', sku, '--json', *on_stage().split())}",
        )
    if as_json:
        click.echo(json.dumps([report.to_document() for report in found], indent=1))
    elif as_csv:
        write_csv(found)
    elif found:
        print_table(_table(found))
        click.echo("opened emails are not measured; a click is an email whose link was followed, once")
    else:
        click.echo("no restock has emailed anybody yet" if sku is None else f"{sku} has had no restock yet")


@click.command("order-about")
@csv_option
@json_option
@stage_option
@click.pass_obj
def order_about_command(project: Project, stage_name: str, *, as_csv: bool, as_json: bool) -> None:
    """Show about how many units to order of each variant.

    People who wait, times the share that buys: as sold and reported for earlier restocks, else a default that
    falls with the time they have waited. --json and --csv give the reasons.

    \b
    Examples:
      spillway order-about --stage production
      spillway order-about --csv --stage production > order.csv
    """
    if as_csv and as_json:
        refuse_ignored("with --json", ignored={"as_csv"})
    rows = stage_named(project, stage_name).container().ordering.rows()
    if as_json:
        click.echo(json.dumps([row.to_document() for row in rows], indent=1))
    elif as_csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(ORDER_COLUMNS)
        for row in rows:
            texts = (safe_cell(text or "") for text in (row.sku, row.title, row.label))
            advice = row.advice
            numbers = (advice.order, advice.waiting, advice.units)
            lines.writerow([*texts, *numbers, advice.basis.value, "; ".join(advice.reasons)])
    elif rows:
        print_table(_order_table(rows))
    else:
        click.echo("nobody is waiting: there is nothing to order for anybody")


def _order_table(rows: "Sequence[OrderRow]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("SKU", "product", box=None, pad_edge=False)
    for name in ("order about", "waiting", "stock"):
        table.add_column(name, justify="right")
    table.add_column("because")
    for row in rows:
        advice = row.advice
        title = ", ".join(part for part in (row.title, row.label) if part) or "no longer sold"
        numbers = (f"{advice.order:,}", f"{advice.waiting:,}", f"{advice.units:,}")
        table.add_row(Text(row.sku), Text(title), *numbers, advice.reasons[1])
    return table


def write_csv(reports: Sequence[RestockReport]) -> None:
    """Print reports as CSV: a line for each restock and currency, amounts in the currency's own unit."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(COLUMNS)
    for report in reports:
        restock, sales = report.restock, report.sales
        for currency in sorted(sales.revenue_minor) or [""]:
            per_email = report.revenue_per_email_minor(currency)
            known = bool(currency)
            rows.writerow(
                [
                    *(safe_cell(text) for text in (restock.id, restock.sku, restock.slug)),
                    _time(restock.opened_at_ms),
                    *(report.notified, report.bounced, report.unsubscribed, report.clicks),
                    *(sales.orders, sales.by_click, sales.units, currency),
                    _plain(sales.revenue_minor[currency], currency) if known else "",
                    _plain(per_email, currency, 4) if known and per_email is not None else "",
                ]
            )


def _table(found: Sequence[RestockReport]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("opened (UTC)", "SKU", box=None, pad_edge=False)
    for name in ("emails", "clicks", "orders", "units", "revenue", "per email"):
        table.add_column(name, justify="right")
    for report in found:
        revenue = sorted(report.sales.revenue_minor.items())
        per_email = [(currency, report.revenue_per_email_minor(currency) or 0) for currency, _ in revenue]
        table.add_row(
            f"{_time(report.restock.opened_at_ms)[:16].replace('T', ' ')}",
            Text(report.restock.sku),
            f"{report.notified:,}",
            _counted(report.clicks, report.clicks_per_email),
            f"{report.sales.orders:,}",
            f"{report.sales.units:,}",
            "\n".join(f"{_plain(amount, currency)} {currency}" for currency, amount in revenue),
            "\n".join(f"{_plain(amount, currency, 2)} {currency}" for currency, amount in per_email),
        )
    return table


def _counted(count: int, share: float | None) -> str:
    return f"{count:,} ({share:.0%})" if count and share is not None else f"{count:,}"


def _plain(amount_minor: float, currency: str, digits_more: int = 0) -> str:
    """Return an amount in the currency's own unit: "148.00"."""
    from babel.numbers import get_currency_precision

    digits = get_currency_precision(currency)
    return f"{amount_minor / 10**digits:.{max(digits, digits_more)}f}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
