"""Test a random sample of mutants: python -m tests.mutants [--sample N] [--seed N] [--minutes N] [--again].

mutmut writes the mutants, each one expression of the code changed, and learns which tests reach which
function. This runs them, in a random order that the seed alone decides: a run that is stopped early is a
sample as fair as a finished one. mutmut itself would run those with quick tests first, with limits of time
that leave out fixtures.
Results are kept in mutants/results.json, and the same command goes on where an earlier one ended.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

MUTANTS = Path("mutants")
RESULTS = MUTANTS / "results.json"
KILLED, SURVIVED, SLOW, TIMEOUT, UNREACHED = "killed", "survived", "slow", "timed out", "no test"
# pytest's exit codes, https://docs.pytest.org/en/stable/reference/exit-codes.html: all passed, some failed.
OUTCOMES = {0: SURVIVED, 1: KILLED}
COLUMNS = (KILLED, TIMEOUT, SURVIVED, UNREACHED, "other")
# A mutant's quickest tests run, up to so much time on unchanged code; a survivor says how many are left out.
TESTS_S_MAX = 15.0
# Fixtures and a busy machine come on top of what tests took.
LIMIT_S, LIMIT_FACTOR = 60.0, 10.0
# The tests of one in so many mutants run on unchanged code too: they must pass.
CONTROL_EVERY = 10
# So much of the time is for mutants; the rest for a second, lonely try of those that were too slow.
FIRST_TRIES = 0.92
SHARE_WANTED = 0.9


@dataclass(frozen=True, slots=True)
class Job:
    """Tests to run on one mutant, or on unchanged code where `mutant` is empty. `limit_s` is wall time."""

    mutant: str
    tests: tuple[str, ...]
    left_out: int
    limit_s: float


def main() -> int:
    """Run the sample while there are minutes, and print what is known; 1 below nine in ten killed."""
    parser = argparse.ArgumentParser(description="Mutation testing of a random sample.")
    parser.add_argument("--sample", type=int, default=400, help="so many mutants, 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="which sample, and its order")
    parser.add_argument("--minutes", type=float, default=30.0, help="wall time, all steps together")
    parser.add_argument("--children", type=int, default=2, help="mutants tested at a time")
    parser.add_argument("--again", action="store_true", help="run those again that no test killed")
    asked = parser.parse_args()
    ends_s = time.monotonic() + asked.minutes * 60
    # Ended by force, it ends its children too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sources, reached = _generate(asked.children)
    if not sources or not reached["duration_by_test"]:
        print(f"mutmut made no mutants, or a test failed: see {MUTANTS}/mutmut.log", file=sys.stderr)
        return 1
    names = sorted(sources)
    random.Random(asked.seed).shuffle(names)
    names = names[: asked.sample or len(names)]
    results = _known_results(sources)
    if asked.again:
        results = {name: result for name, result in results.items() if result["outcome"] == KILLED}
    jobs = [_job(name, reached) for name in names if results.get(name, {}).get("outcome", SLOW) == SLOW]
    failed_controls = _run_all(jobs, results, sources, children=asked.children, ends_s=ends_s)
    return _report(names, len(sources), results, failed_controls)


def _generate(children: int) -> tuple[dict[str, Path], dict[str, Any]]:
    """Have mutmut write what is new and run the tests once; return each mutant's file, and its statistics."""
    # No mutant is named so: mutmut ends with an AssertionError once everything is prepared.
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children), "nothing*"]
    MUTANTS.mkdir(exist_ok=True)
    with (MUTANTS / "mutmut.log").open("w") as log:
        subprocess.run(command, stdout=log, stderr=log, check=False)
    metas = {path: json.loads(path.read_text()) for path in sorted(MUTANTS.rglob("*.meta"))}
    stats = MUTANTS / "mutmut-stats.json"
    sources = {
        name: path.with_suffix("") for path, meta in metas.items() for name in meta["exit_code_by_key"]
    }
    return sources, json.loads(stats.read_text()) if stats.exists() else {"duration_by_test": {}}


def _known_results(sources: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return the results that an earlier run stored, but those of files that changed since."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {
        name: result
        for name, result in kept.items()
        if name in sources and result["file"] == _digest(sources[name])
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _job(mutant: str, reached: Mapping[str, Any]) -> Job:
    durations = reached["duration_by_test"]
    tests = reached["tests_by_mangled_function_name"].get(mutant.rpartition("__mutmut_")[0], ())
    taken_s = 0.0
    chosen: list[str] = []
    for test in sorted(tests, key=lambda test: durations.get(test, 0.0)):
        taken_s += durations.get(test, 0.0)
        if chosen and taken_s > TESTS_S_MAX:
            break
        chosen.append(test)
    # By file, so that a module's fixtures are made once.
    return Job(mutant, tuple(sorted(chosen)), len(tests) - len(chosen), LIMIT_S + LIMIT_FACTOR * taken_s)


def _run_all(
    jobs: Sequence[Job],
    results: dict[str, dict[str, Any]],
    sources: Mapping[str, Path],
    *,
    children: int,
    ends_s: float,
) -> list[str]:
    """Run the jobs and store each result; return the mutants whose tests fail on unchanged code as well."""
    failed_controls: list[str] = []
    digests = {name: _digest(path) for name, path in sources.items()}
    stored = RESULTS.absolute()
    root = Path.cwd()
    os.chdir(MUTANTS)
    try:
        arguments = _warm_up()
        controls = [replace(job, mutant="") for job in jobs[::CONTROL_EVERY]]
        waiting = [job for pair in _interleaved(jobs, controls) for job in pair]
        first_ends_s = time.monotonic() + (ends_s - time.monotonic()) * FIRST_TRIES
        slow: list[Job] = []
        for job, outcome in _outcomes(waiting, arguments, children, first_ends_s):
            if not job.mutant:
                failed_controls += (
                    [] if outcome in {SURVIVED, UNREACHED} else [f"{outcome}: {' '.join(job.tests[:3])}"]
                )
                continue
            slow += [job] if outcome == SLOW else []
            results[job.mutant] = {
                "outcome": outcome,
                "left_out": job.left_out,
                "file": digests[job.mutant],
            }
            _store(stored, results)
        alone = [replace(job, limit_s=job.limit_s * 2) for job in slow]
        for job, outcome in _outcomes(alone, arguments, 1, ends_s):
            results[job.mutant]["outcome"] = TIMEOUT if outcome == SLOW else outcome
            _store(stored, results)
        _store(stored, results)
    finally:
        os.chdir(root)
    return failed_controls


def _store(path: Path, results: Mapping[str, Any]) -> None:
    """Replace the file at once, so that a run that is killed leaves the last results whole."""
    written = path.with_suffix(".part")
    written.write_text(json.dumps(results, indent=1))
    written.replace(path)


def _interleaved(jobs: Sequence[Job], controls: Sequence[Job]) -> Iterator[list[Job]]:
    for number, job in enumerate(jobs):
        yield [job] if number % CONTROL_EVERY else [controls[number // CONTROL_EVERY], job]


def _warm_up() -> list[str]:
    """Import all tests and the mutated code for the children to come; return pytest's arguments."""
    # Installed by `make mutants` only.
    from mutmut.configuration import config

    keep_no_files = ["-o", "tmp_path_retention_policy=none"]
    arguments = ["-q", "-x", "--rootdir=.", "--tb=line", *keep_no_files, *config().pytest_add_cli_args]
    os.environ["MUTANT_UNDER_TEST"] = ""
    sys.path.insert(0, str(Path.cwd()))
    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        pytest.main([*arguments, "--collect-only", *config().pytest_add_cli_args_test_selection])
    return arguments


def _outcomes(
    jobs: Sequence[Job], arguments: Sequence[str], children: int, ends_s: float
) -> Iterator[tuple[Job, str]]:
    """Fork a child for each job, so many at a time, until `ends_s`; what runs then is forgotten."""
    waiting = deque(jobs)
    running: dict[int, tuple[Job, float]] = {}
    temporary = Path(tempfile.mkdtemp(prefix="mutants-"))
    try:
        while (waiting or running) and time.monotonic() < ends_s:
            while waiting and len(running) < children:
                job = waiting.popleft()
                if not job.tests:
                    yield job, UNREACHED
                    continue
                child = _start(job, [*arguments, f"--basetemp={temporary / str(len(waiting))}"])
                running[child] = (job, time.monotonic() + job.limit_s)
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended:
                job, _ = running.pop(ended)
                _end(ended)
                yield job, OUTCOMES.get(os.waitstatus_to_exitcode(status), "other")
                continue
            for child in [child for child, (_, late_s) in running.items() if time.monotonic() > late_s]:
                job, _ = running.pop(child)
                _end(child)
                os.waitpid(child, 0)
                yield job, SLOW
            time.sleep(0.02)
    finally:
        for child in running:
            _end(child)
            os.waitpid(child, 0)
        shutil.rmtree(temporary, ignore_errors=True)


def _start(job: Job, arguments: Sequence[str]) -> int:
    """Return the id of a child, and of its process group, that ends with pytest's exit code."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.environ["MUTANT_UNDER_TEST"] = job.mutant
        code = int(pytest.main([*arguments, *job.tests]))
    finally:
        os._exit(code)


def _end(child: int) -> None:
    """Kill what is left of a child's process group."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _report(
    names: Sequence[str], mutants: int, results: Mapping[str, Any], failed_controls: Sequence[str]
) -> int:
    """Print a line for each package, and each mutant that no test killed."""
    by_package: dict[str, Counter[str]] = {}
    run = [name for name in names if results.get(name, {}).get("outcome", SLOW) != SLOW]
    for name in run:
        module = name.partition(".x")[0].split(".")
        package = ".".join(module[:2]) if len(module) > 2 else module[0]
        by_package.setdefault(package, Counter())[results[name]["outcome"]] += 1
    total = sum(by_package.values(), Counter())
    print(f"{'':24}{'run':>10}" + "".join(f"{column:>10}" for column in COLUMNS))
    for package, counts in [*sorted(by_package.items()), ("all", total)]:
        print(f"{package:24}{counts.total():>10}" + "".join(f"{counts[column]:>10}" for column in COLUMNS))
    share = total[KILLED] / len(run) if run else 0.0
    print(
        f"{mutants} mutants, {len(names)} in the sample, {len(run)} run; {share:.1%} killed by a failing test"
    )
    print(f"{len(failed_controls)} runs on unchanged code failed", *failed_controls, sep="\n  ")
    for name in run:
        if results[name]["outcome"] != KILLED:
            left_out = results[name]["left_out"]
            print(
                f"  {results[name]['outcome']}: {name}"
                + (f" ({left_out} slower tests not run)" * bool(left_out))
            )
    return 0 if share >= SHARE_WANTED and not failed_controls else 1


if __name__ == "__main__":
    raise SystemExit(main())
