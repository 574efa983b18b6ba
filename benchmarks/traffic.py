"""Count a generated access log by Spillway, DuckDB, polars, mawk and GoAccess, each in its own process.

Spillway and DuckDB must agree to the last request, and within 2 % on visitors. DuckDB, mawk and GoAccess are
left out where they are not installed. `--lines N` sets the size (4,500,000 is about 1 GB of text), `--runs N`
how often each runs.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers import installed_library
from chalicelib.domain.traffic.counting import Counting, count_log, log_name
from chalicelib.domain.traffic.lines import FIELDS

NAME = "E1.2026-11-27-10.aabbccdd.gz"
WEEK = "2026-W48"
MEMORY_GB = 1769 / 1024
MAWK = (
    "!/^#/ { n++; b += $2; s[$9]++; m[substr($1, 1, 5)]++; p[$8]++;"
    " if (!(($3, $5) in v)) { v[$3, $5]; u++ } }"
    " END { print n, b, u }"
)
# A view as Spillway defines it, in SQL.
PAGE = """ "cs-method" = 'GET' AND "sc-status" IN ('200', '304') AND "cs-uri-stem" NOT LIKE '/api/%'
 AND NOT regexp_matches("cs-uri-stem", '[.][^/]*$') """
LOGS = """read_csv('{file}', delim='\t', header=false, skip=2, quote='', escape='', compression='gzip',
 columns={{{columns}}})"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One tool: seconds of CPU, the most memory in MiB, and the figures that it found."""

    tool: str
    cpu_s: float
    memory_mb: float
    figures: dict[str, int]


def count_by_spillway(file: Path) -> dict[str, int]:
    """Count with the code that runs in the cloud."""
    name = log_name(NAME)
    assert name is not None
    with file.open("rb") as source:
        stats = count_log(source, name, Counting({WEEK: b"salt"}, frozenset({"shop.example"})))[name.hour]
    posts = stats.signups.get("303", 0)
    figures = {"requests": stats.requests, "bytes": stats.bytes_sent, "views": stats.views, "signups": posts}
    return figures | {"visitors": stats.visitors[WEEK].estimate()}


def count_by_duckdb(file: Path) -> dict[str, int]:
    """Count exactly, in SQL, with one thread."""
    import duckdb

    from chalicelib.domain.traffic.agents import PROGRAMS, WORDS

    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in FIELDS)
    words = "|".join(map(re.escape, (*WORDS, *(program[0] for program in PROGRAMS))))
    person = f"NOT regexp_matches(lower(\"cs(User-Agent)\"), '{words}')"
    base = duckdb.connect(config={"threads": 1})
    row = base.execute(
        f"""SELECT count(*), sum("sc-bytes"::BIGINT), count(*) FILTER ({PAGE} AND {person}),
        count(*) FILTER ("cs-method" = 'POST'),
        count(DISTINCT ("c-ip", "cs(User-Agent)")) FILTER ({PAGE} AND {person})
        FROM {LOGS.format(file=file, columns=columns)}"""
    ).fetchone()
    assert row is not None
    return dict(zip(("requests", "bytes", "views", "signups", "visitors"), map(int, row), strict=True))


def count_by_polars(file: Path) -> dict[str, int]:
    """Count requests, bytes and visitors with polars, with one thread."""
    import polars  # type: ignore[import-not-found, unused-ignore]

    frame = polars.read_csv(
        file, separator="\t", has_header=False, skip_rows=2, quote_char=None, new_columns=FIELDS
    )
    visitors = frame.select("c-ip", "cs(User-Agent)").unique().height
    frame.group_by("cs-uri-stem").len()
    return {"requests": frame.height, "bytes": frame["sc-bytes"].sum(), "pairs": visitors}


def count_by_mawk(file: Path) -> dict[str, int]:
    """Count requests, bytes and pairs of address and agent with zcat and mawk."""
    found = subprocess.run(
        ["sh", "-c", f"zcat '{file}' | mawk -F '\t' '{MAWK}'"], check=True, capture_output=True, text=True
    ).stdout.split()
    return dict(zip(("requests", "bytes", "pairs"), (int(float(text)) for text in found), strict=True))


def count_by_goaccess(file: Path) -> dict[str, int]:
    """Count with GoAccess."""
    command = (
        f"zcat '{file}' | goaccess - --log-format='%t\\t%b\\t%h\\t%R\\t%u\\t%d\\t%m\\t%U\\t%s\\t%^'"
        " --date-format=%Y-%m-%d --time-format=%T --no-global-config -o json --no-progress"
    )
    out = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    general = json.loads(out)["general"]
    return {
        "requests": general["total_requests"],
        "bytes": general["bandwidth"],
        "pairs": general["unique_visitors"],
    }


TOOLS = {
    "Spillway": (count_by_spillway, True),
    "DuckDB": (count_by_duckdb, find_spec("duckdb") is not None),
    "polars": (count_by_polars, True),
    "zcat, mawk": (count_by_mawk, shutil.which("mawk") is not None),
    "GoAccess": (count_by_goaccess, shutil.which("goaccess") is not None),
}


def measured(tool: str, file: Path, runs: int) -> Measured:
    """Return the fastest of some runs of a tool."""
    found = []
    for _ in range(runs):
        command = [sys.executable, "-m", "benchmarks.traffic", "--tool", tool, "--file", str(file)]
        environment = os.environ | {"POLARS_MAX_THREADS": "1"}
        if tool == "polars":
            environment["PYTHONPATH"] = str(installed_library(tool))
        text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        found.append(Measured(tool, **json.loads(text)))
    return min(found, key=lambda run: run.cpu_s)


def run_tool(tool: str, file: Path) -> None:
    """Run one tool in this process, and print its figures as JSON."""
    before = time.process_time() + _children_s()
    figures = TOOLS[tool][0](file)
    cpu_s = time.process_time() + _children_s() - before
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"cpu_s": cpu_s, "memory_mb": max(peaks) / 1024, "figures": figures}))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def usd_per_billion(lines_per_s: float) -> float:
    """Return the price of the Lambda time for a billion lines, in dollars."""
    from spillway.preflight.amounts import Item
    from spillway.preflight.bill import PRICES

    price = PRICES[Item.LAMBDA_TIME]
    return 1e9 / lines_per_s * MEMORY_GB * price.usd / price.per


def require_agreement(runs: dict[str, Measured]) -> None:
    """Check that Spillway and DuckDB found the same.

    Raises:
        SystemExit: they did not.
    """
    if "DuckDB" not in runs:
        return
    ours, exact = runs["Spillway"].figures, runs["DuckDB"].figures
    differing = [name for name in ("requests", "bytes", "views", "signups") if ours[name] != exact[name]]
    if differing or abs(ours["visitors"] / exact["visitors"] - 1) > 0.02:
        sys.exit(f"Spillway and DuckDB differ: {ours} and {exact}")


def main() -> None:
    """Generate the log, run each tool, compare, and show the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--file", type=Path)
    options.add_argument("--tool")
    given = options.parse_args()
    if given.tool:
        run_tool(given.tool, given.file)
        return
    # A tool's own process imports no more than it needs: its memory is measured.
    from benchmarks.tables import write_table
    from benchmarks.traffic_log import write_log

    with tempfile.TemporaryDirectory() as folder:
        file = given.file or Path(folder) / NAME
        if given.file is None:
            write_log(file, given.lines)
        tools = [tool for tool, (_, installed) in TOOLS.items() if installed]
        runs = {tool: measured(tool, file, given.runs) for tool in tools}
    require_agreement(runs)
    rows = []
    for run in runs.values():
        lines = run.figures["requests"]
        speed = lines / run.cpu_s
        unique = run.figures.get("visitors", run.figures.get("pairs", 0))
        rows.append(
            [
                *(run.tool, f"{speed:,.0f}", f"{run.memory_mb:,.0f}", f"{usd_per_billion(speed):,.3f}"),
                *(f"{lines:,}", f"{unique:,}"),
            ]
        )
    columns = ["tool", "lines/s and core", "memory MiB", "$ a billion lines", "lines", "visitors"]
    write_table("Access logs", "python -m benchmarks traffic", columns, rows)


if __name__ == "__main__":
    main()
