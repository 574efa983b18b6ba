"""Ask a stage's traffic in SQL: DuckDB over the statistics and the raw logs, on the operator's machine alone.

DuckDB is an extra of the tools (`pip install 'spillway[traffic]'`), never a part of the Lambda package. The
tables are `minutes`, `products`, `counts` and, while logs are kept, `logs`, with a column for each field.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.container import Container
from chalicelib.domain.traffic.report import TrafficReport
from chalicelib.storage import LOGS_PREFIX
from spillway.errors import BadInput

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

RAW_BYTES_MAX = 2**30


def query(container: Container, report: TrafficReport, sql: str, folder: Path) -> tuple[list[str], list[Any]]:
    """Return the names of the columns, and the rows, of an answer.

    Args:
        container: of the stage.
        report: the statistics of the hours asked about.
        sql: one statement.
        folder: an empty folder for downloaded logs and tables.

    Raises:
        BadInput: DuckDB is not installed, or it refuses the statement.
    """
    try:
        import duckdb
    except ImportError as error:
        raise BadInput(
            "--sql: DuckDB is not installed",
            hint="uv tool install 'spillway[traffic]', or pip install duckdb",
        ) from error
    base = duckdb.connect()
    for name, rows in tables_of(report).items():
        file = folder / f"{name}.json"
        file.write_text("\n".join(map(json.dumps, rows)) + "\n")
        columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS[name].items())
        base.execute(f"CREATE TABLE {name} ({columns})")
        if rows:
            source = f"read_json_auto('{file}', format='newline_delimited')"
            base.execute(f"INSERT INTO {name} SELECT * FROM {source}")  # noqa: S608 - our own names
    if "logs" in sql.lower():
        sources = []
        for names, logs in download_logs(container, report, folder).items():
            listed = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
            options = f"delim='\\t', header=false, quote='', escape='', columns={{{listed}}}"
            sources.append(f"SELECT * FROM read_csv('{logs}/*.tsv', {options})")  # noqa: S608 - our own names
        base.execute(f"CREATE VIEW logs AS {' UNION ALL BY NAME '.join(sources)}")
    try:
        answer = base.execute(sql)
        return [column[0] for column in answer.description or ()], answer.fetchall()
    except duckdb.Error as error:
        raise BadInput(f"--sql: {error}", hint=f"the tables are {', '.join([*COLUMNS, 'logs'])}") from error


COLUMNS = {
    "minutes": {"moment": "TIMESTAMP", "requests": "BIGINT", "views": "BIGINT"},
    "products": {"slug": "VARCHAR", "moment": "TIMESTAMP", "views": "BIGINT"},
    "counts": {"kind": "VARCHAR", "name": "VARCHAR", "count": "BIGINT"},
}


def tables_of(report: TrafficReport) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table."""
    return {
        "minutes": [
            {"moment": f"{minute.at}:00", "requests": minute.requests, "views": minute.views}
            for minute in report.minutes
        ],
        "products": [
            {"slug": slug, "moment": f"{at}:00", "views": views}
            for slug, by_minute in sorted(report.products.items())
            for at, views in sorted(by_minute.items())
        ],
        "counts": [
            {"kind": kind, "name": name, "count": count}
            for kind, counts in report.tables.items()
            for name, count in sorted(counts.items())
        ],
    }


def download_logs(container: Container, report: TrafficReport, folder: Path) -> dict[tuple[str, ...], Path]:
    """Write the raw logs of the report's hours as text; return a folder for each order of their fields.

    A release may change which fields a shop logs, and their order.

    Raises:
        BadInput: no log is kept for these hours, or they are more than fits a laptop.
    """
    s3: S3Client = container.client("s3")
    bucket = container.settings.known("traffic_bucket")
    folders: dict[tuple[str, ...], Path] = {}
    left = RAW_BYTES_MAX
    for key, size in _logs(s3, bucket, report):
        left -= size
        if left < 0:
            raise BadInput("--sql: the raw logs are more than 1 GiB", hint="ask for less time: --since 1h")
        text = gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()).decode(
            "utf-8", "replace"
        )
        for place, part in enumerate(f"\n{text}".split("\n#Fields:")[1:]):
            names, *lines = part.split("\n")
            logs = folders.setdefault(tuple(names.split()), folder / f"logs-{len(folders)}")
            logs.mkdir(exist_ok=True)
            file = logs / f"{key.rpartition('/')[2]}-{place}.tsv"
            file.write_text("".join(f"{line}\n" for line in lines if line and line[0] != "#"))
    if not folders:
        raise BadInput("--sql: no raw log is kept for this time", hint="logs expire after two days")
    return folders


def _logs(s3: "S3Client", bucket: str, report: TrafficReport) -> Iterator[tuple[str, int]]:
    from chalicelib.domain.traffic.counting import log_name

    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=LOGS_PREFIX):
        for entry in page.get("Contents", ()):
            name = log_name(entry["Key"])
            if name and report.since <= name.hour <= report.until:
                yield entry["Key"], entry["Size"]
