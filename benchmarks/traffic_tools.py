"""Count one access log by one tool: a process of its own, which imports what the tool needs and no more.

`python -m benchmarks.traffic_tools TOOL FILE` prints the processor time without that of imports, the most
memory of the process or one that it starts, and the figures, as JSON.
"""

import json
import resource
import sys
import time
from importlib import import_module
from io import FileIO

NAME = "E1.2026-11-27-10.aabbccdd.gz"
WEEK = "2026-W48"
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


def count_by_spillway(file: str) -> dict[str, int]:
    """Count with the code that runs in the cloud."""
    from chalicelib.domain.traffic.counting import Counting, count_log, log_name

    name = log_name(NAME)
    assert name is not None
    with FileIO(file) as source:
        stats = count_log(source, name, Counting({WEEK: b"salt"}, frozenset({"shop.example"})))[name.hour]
    posts = stats.signups.get("303", 0)
    figures = {"requests": stats.requests, "bytes": stats.bytes_sent, "views": stats.views, "signups": posts}
    return figures | {"visitors": stats.visitors[WEEK].estimate()}


def count_by_duckdb(file: str) -> dict[str, int]:
    """Count exactly, in SQL, with one thread."""
    import re

    import duckdb

    from chalicelib.domain.traffic.agents import PROGRAMS, WORDS
    from chalicelib.domain.traffic.lines import FIELDS

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


def count_by_polars(file: str) -> dict[str, int]:
    """Count requests, bytes and visitors with polars, with one thread."""
    import polars  # type: ignore[import-not-found, unused-ignore]

    from chalicelib.domain.traffic.lines import FIELDS

    frame = polars.read_csv(
        file, separator="\t", has_header=False, skip_rows=2, quote_char=None, new_columns=FIELDS
    )
    visitors = frame.select("c-ip", "cs(User-Agent)").unique().height
    frame.group_by("cs-uri-stem").len()
    return {"requests": frame.height, "bytes": frame["sc-bytes"].sum(), "pairs": visitors}


def count_by_mawk(file: str) -> dict[str, int]:
    """Count requests, bytes and pairs of address and agent with zcat and mawk."""
    found = _output(f"zcat '{file}' | mawk -F '\t' '{MAWK}'").split()
    return dict(zip(("requests", "bytes", "pairs"), (int(float(text)) for text in found), strict=True))


def count_by_goaccess(file: str) -> dict[str, int]:
    """Count with GoAccess."""
    command = (
        f"zcat '{file}' | goaccess - --log-format='%t\\t%b\\t%h\\t%R\\t%u\\t%d\\t%m\\t%U\\t%s\\t%^'"
        " --date-format=%Y-%m-%d --time-format=%T --no-global-config -o json --no-progress"
    )
    general = json.loads(_output(command))["general"]
    return {
        "requests": general["total_requests"],
        "bytes": general["bandwidth"],
        "pairs": general["unique_visitors"],
    }


def _output(command: str) -> str:
    import subprocess

    return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout


TOOLS = {
    "Spillway": count_by_spillway,
    "DuckDB": count_by_duckdb,
    "polars": count_by_polars,
    "zcat, mawk": count_by_mawk,
    "GoAccess": count_by_goaccess,
}
MODULES = {
    "Spillway": "chalicelib.domain.traffic.counting",
    "DuckDB": "duckdb",
    "polars": "polars",
    "zcat, mawk": "subprocess",
    "GoAccess": "subprocess",
}


def run_tool(tool: str, file: str) -> None:
    """Run one tool in this process, and print its figures as JSON."""
    import_module(MODULES[tool])
    before = time.process_time() + _children_s()
    figures = TOOLS[tool](file)
    cpu_s = time.process_time() + _children_s() - before
    peak_kb = max(_own_peak_kb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    print(json.dumps({"cpu_s": cpu_s, "memory_mb": peak_kb / 1024, "figures": figures}))


def _own_peak_kb() -> int:
    """Return the most memory of this process on Linux; getrusage() has that of its parent in it."""
    with FileIO("/proc/self/status") as status:
        return int(status.read().partition(b"VmHWM:")[2].split()[0])


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    run_tool(*sys.argv[1:])
