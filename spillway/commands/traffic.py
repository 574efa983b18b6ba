"""The traffic of a stage: `spillway traffic`."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from chalicelib.settings import clock_ms
from spillway.commands.options import json_option, refuse_ignored, stage_option, write_whole
from spillway.project import Project
from spillway.stage import stage_named
from spillway.terminal import output_console, print_table

if TYPE_CHECKING:
    from spillway.traffic.gather import Traffic

UNITS_S = {"m": 60, "h": 3_600, "d": 86_400}
DAYS_MAX = 400


class TimeAgoType(click.ParamType[int]):
    """A length of time up to now: 30m, 6h, 7d."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([mhd])", str(value))
        if not match or not 0 < (seconds := int(match[1]) * UNITS_S[match[2]]) <= DAYS_MAX * 86_400:
            self.fail(f"{value!r} is no time up to {DAYS_MAX}d; for example 30m, 6h or 7d", param, ctx)
        return seconds


@click.command("traffic")
@stage_option
@json_option
@click.option("--since", "since_s", type=TimeAgoType(), default="24h", show_default=True,
              help="How far back; statistics are kept by the hour.")  # fmt: skip
@click.option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write a page with plots, as one self-contained file.")  # fmt: skip
@click.option("--sql", metavar="STATEMENT",
              help="Ask the tables minutes, products, counts and logs; needs DuckDB.")  # fmt: skip
@click.pass_obj
def traffic_command(
    project: Project, stage_name: str, *, as_json: bool, since_s: int, html_file: Path | None, sql: str | None
) -> None:
    """Show who came, from where, what they saw, and what it cost so far.

    The figures are counted from CloudFront's access logs, without a cookie or a script in the page.

    \b
    Examples:
      spillway traffic --stage production --since 6h
      spillway traffic --html traffic.html
      spillway traffic --sql "SELECT slug, sum(views) FROM products GROUP BY slug"
    """
    if sql is not None:
        refuse_ignored("with --sql", ignored=("html_file",))
        _ask(project, stage_name, sql, since_s, as_json=as_json)
        return
    from spillway.traffic.gather import gather

    traffic = gather(stage_named(project, stage_name), since_s=since_s, now_ms=clock_ms())
    if html_file:
        _write(html_file, traffic)
    if as_json:
        click.echo(json.dumps(traffic.to_document(), indent=1))
    elif not html_file:
        from spillway.traffic.show import show

        show(traffic, output_console())


def _write(file: Path, traffic: "Traffic") -> None:
    from spillway.traffic.show import page

    write_whole(file, page(traffic), option="--html")
    click.echo(f"written: {file}", err=True)


def _ask(project: Project, stage_name: str, sql: str, since_s: int, *, as_json: bool) -> None:
    from chalicelib.services.traffic import hour_at
    from spillway.traffic.query import query

    container = stage_named(project, stage_name).container()
    now_ms = clock_ms()
    report = container.traffic_reports.report(hour_at(now_ms - since_s * 1_000), hour_at(now_ms))
    with TemporaryDirectory() as folder:
        names, rows = query(container, report, sql, Path(folder))
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1, default=str))
        return
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False)
    for name in names:
        shown.add_column(Text(name))
    for row in rows:
        shown.add_row(*(Text("" if value is None else str(value)) for value in row))
    print_table(shown)
