"""Count a generated access log by Spillway, DuckDB, polars, mawk and GoAccess, each in its own process.

Spillway and DuckDB must agree to the last request, and within 2 % on visitors. DuckDB, mawk and GoAccess are
left out where they are not installed. `--lines N` sets the size (4,500,000 is about 1 GB of text), `--runs N`
how often each runs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers import installed_library
from benchmarks.tables import write_table
from benchmarks.traffic_log import write_log
from benchmarks.traffic_tools import NAME

MEMORY_GB = 1769 / 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One tool: seconds of CPU, the most memory in MiB, and the figures that it found."""

    tool: str
    cpu_s: float
    memory_mb: float
    figures: dict[str, int]


INSTALLED = {
    "Spillway": True,
    "DuckDB": find_spec("duckdb") is not None,
    "polars": True,
    "zcat, mawk": shutil.which("mawk") is not None,
    "GoAccess": shutil.which("goaccess") is not None,
}


def measured(tool: str, file: Path, runs: int) -> Measured:
    """Return the fastest of some runs of a tool."""
    paths = [str(installed_library(tool))] if tool == "polars" else []
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths + sys.path)}
    # Without `site`: the path files of a development environment import what no tool needs.
    command = [sys.executable, "-S", "-m", "benchmarks.traffic_tools", tool, str(file)]
    found = []
    for _ in range(runs):
        text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        found.append(Measured(tool, **json.loads(text)))
    return min(found, key=lambda run: run.cpu_s)


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
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = given.file or Path(folder) / NAME
        if given.file is None:
            write_log(file, given.lines)
        tools = [tool for tool, is_installed in INSTALLED.items() if is_installed]
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
