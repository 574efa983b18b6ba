"""Mutation testing of a random sample: python -m tests.mutants [--sample N] [--seed N] [--minutes N].

mutmut changes the code, one expression at a time, and runs the tests that reach it. This samples its mutants
over all modules alike, since all eleven thousand take hours, and prints what became of them by package. What
is decided stays decided: the same command goes on where an earlier one ended.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

MUTANTS = Path("mutants")
# mutmut's exit codes: https://github.com/boxed/mutmut, mutmut/stats.py
SKIPPED = 34
STATUSES = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests", None: "not run"}
TIMEOUTS = frozenset({-24, 24, 36, 152, 255})
COLUMNS = ("killed", "timeout", "survived", "no tests", "other", "not run")


def main() -> int:
    """Run the sample while there are minutes, and print what is known; 1 below nine in ten noticed."""
    parser = argparse.ArgumentParser(description="Mutation testing of a random sample.")
    parser.add_argument("--sample", type=int, default=600, help="so many mutants, 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="which sample")
    parser.add_argument("--minutes", type=float, default=30.0)
    asked = parser.parse_args()
    # Matches no mutant: makes them all, and learns which tests reach which function.
    started_s = time.monotonic()
    _mutmut(["nothing*"], minutes=asked.minutes)
    metas = _metas()
    if not metas:
        print("no mutants were made; run mutmut by hand to see why", file=sys.stderr)
        return 1
    _choose(metas, asked.sample, asked.seed)
    _mutmut([], minutes=asked.minutes - (time.monotonic() - started_s) / 60)
    return report(_metas())


def report(metas: dict[Path, dict[str, Any]]) -> int:
    """Print a line for each package, and each mutant that no test noticed."""
    by_package: dict[str, Counter[str]] = {}
    unnoticed: list[str] = []
    for path, meta in metas.items():
        counts = by_package.setdefault(str(path.parent.relative_to(MUTANTS)), Counter())
        for name, code in meta["exit_code_by_key"].items():
            if code == SKIPPED:
                continue
            counts[_status(code)] += 1
            if code in {0, 33}:
                unnoticed.append(name)
    total = sum(by_package.values(), Counter())
    print(f"{'':24}" + "".join(f"{column:>10}" for column in COLUMNS))
    for package, counts in [*sorted(by_package.items()), ("all", total)]:
        print(f"{package:24}" + "".join(f"{counts[column]:>10}" for column in COLUMNS))
    run = total.total() - total["not run"]
    noticed = total["killed"] + total["timeout"]
    share = noticed / run if run else 0.0
    print(f"{run} of {total.total()} sampled mutants were run; {share:.1%} were killed or timed out")
    print(*(f"  {name}" for name in unnoticed), sep="\n")
    return 0 if share >= 0.9 else 1


def _status(code: int | None) -> str:
    return "timeout" if code in TIMEOUTS else STATUSES.get(code, "other")


def _metas() -> dict[Path, dict[str, Any]]:
    return {path: json.loads(path.read_text()) for path in sorted(MUTANTS.rglob("*.meta"))}


def _choose(metas: dict[Path, dict[str, Any]], sample: int, seed: int) -> None:
    """Mark all but the sample as skipped; what was decided before stays."""
    names = [(path, name) for path, meta in metas.items() for name in meta["exit_code_by_key"]]
    random.Random(seed).shuffle(names)
    chosen = set(names[: sample or len(names)])
    for path, meta in metas.items():
        codes = meta["exit_code_by_key"]
        for name, code in codes.items():
            if code in {None, SKIPPED}:
                codes[name] = None if (path, name) in chosen else SKIPPED
        path.write_text(json.dumps(meta, indent=4))


def _mutmut(arguments: list[str], *, minutes: float) -> None:
    """Run mutmut in a process group of its own, and end all of it when its minutes are over."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2", *arguments]
    # Where no mutant is to be run, mutmut says so with a traceback.
    errors = subprocess.DEVNULL if arguments else None
    with subprocess.Popen(command, stderr=errors, start_new_session=True) as process:
        try:
            process.wait(timeout=max(minutes * 60, 0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())
