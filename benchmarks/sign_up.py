"""Measure the cost of a signup: the start before the first, and each further one.

    python -m benchmarks sign_up

Cold: fresh processes. Ours runs the package as Lambda unpacks it, where boto3 is not to be found; its
peer is a bare process that imports boto3 and makes one DynamoDB client. Hot: CPU in this process.
Ours is the whole handler, from API Gateway's event to its answer; its peer one `put_item` of the same
item by boto3, to the same sink. All in turns, in one run.
"""

import gc
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import MISSING, fields
from pathlib import Path
from statistics import median
from typing import Any
from zipfile import ZipFile

from benchmarks.tables import write_table
from chalicelib.settings import Settings
from spillway.deploy.package import packaged
from spillway.project import Project

COLD_ROUNDS = 15
HOT_ROUNDS = 9
HOT_TIMES = 300
SKU = "FJ-MOSS-M"
BARE = "pass"
BOTO3_CLIENT = "import boto3; boto3.client('dynamodb')"
READY = "import app; app.container.signups"
COMMAND = "python -m benchmarks sign_up"


def main() -> None:
    """Measure both, print, and write the tables."""
    with tempfile.TemporaryDirectory() as folder, _sink(Path(folder)) as url:
        _measure_cold(Path(folder), url)
        _measure_hot(url)


def _measure_cold(folder: Path, url: str) -> None:
    task, uncompiled = folder / "task", folder / "uncompiled"
    with ZipFile(packaged(Project.find(Path.cwd()), "local").archive) as package:
        package.extractall(task)
    libraries = Path(sysconfig.get_paths()["purelib"])
    # Lambda's runtime has boto3 compiled: so has this, even if the installer did not compile it.
    compiled_boto3 = {"PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    _fresh(BOTO3_CLIENT, libraries, compiled_boto3 | {"PYTHONDONTWRITEBYTECODE": ""})
    _copy_sources(task, (Path.cwd(), libraries), uncompiled)
    # DynamoDB itself stays where it is, so that TLS is made ready; nothing is sent there.
    secrets = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": url}
    runs: list[tuple[str, Callable[[], tuple[float, float]]]] = [
        ("bare interpreter", lambda: _fresh(BARE, task, {})),
        ("boto3 and its client", lambda: _fresh(BOTO3_CLIENT, libraries, compiled_boto3)),
        ("ready for the first signup", lambda: _fresh(READY, task, secrets)),
        ("the same, not compiled ahead", lambda: _fresh(READY, uncompiled, secrets)),
    ]
    wall: dict[str, list[float]] = {name: [] for name, _ in runs}
    cpu: dict[str, list[float]] = {name: [] for name, _ in runs}
    for _ in range(COLD_ROUNDS):
        for name, run in runs:
            wall_ms, cpu_ms = run()
            wall[name].append(wall_ms)
            cpu[name].append(cpu_ms)
    floor = [min(wall["bare interpreter"]), min(cpu["bare interpreter"])]
    peer = [
        median(times["boto3 and its client"]) - bare for times, bare in zip((wall, cpu), floor, strict=True)
    ]
    rows = []
    for name, _ in runs[1:]:
        over = [median(times[name]) - bare for times, bare in zip((wall, cpu), floor, strict=True)]
        ratios = [mine / theirs for mine, theirs in zip(over, peer, strict=True)]
        rows.append((name, f"{over[0]:.0f}", f"{ratios[0]:.2f}", f"{over[1]:.0f}", f"{ratios[1]:.2f}"))
    write_table(
        "Cold start of the API",
        COMMAND,
        ("over a bare interpreter", "ms", "x boto3", "CPU ms", "x boto3"),
        rows,
    )


def _copy_sources(package: Path, places: Sequence[Path], folder: Path) -> None:
    """Copy the sources of a package, which has compiled modules alone, from the first place that has them."""
    folder.mkdir()
    for packed in package.iterdir():
        name = f"{packed.stem}.py" if packed.suffix == ".pyc" else packed.name
        source = next(place / name for place in places if (place / name).exists())
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / name)


def _fresh(code: str, path: Path, variables: dict[str, str]) -> tuple[float, float]:
    """Return milliseconds of a fresh process, by the clock and of CPU; it writes no compiled module."""
    environment = _environment() | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    before = os.times()
    started = time.perf_counter()
    subprocess.run([sys.executable, "-S", "-c", code], env=environment, check=True, cwd=path)
    wall_s = time.perf_counter() - started
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return wall_s * 1000, cpu_s * 1000


def _measure_hot(url: str) -> None:
    os.environ.update(_environment() | {"AWS_ENDPOINT_URL": url})
    import boto3

    import app as application
    from chalicelib.domain.entry import CONFIRM_WITHIN_S, position_of
    from chalicelib.domain.tokens import Offer

    form_token = application.container.form_tokens().sign(Offer.of([SKU]))

    client = boto3.client("dynamodb")
    numbers = iter(range(10**9))

    def put_item() -> None:
        shopper = f"{next(numbers):026d}"
        now_ms = time.time_ns() // 1_000_000
        client.put_item(
            TableName="entries-table",
            Item={
                "shopper": {"S": shopper},
                "sku": {"S": SKU},
                "mailbox": {"S": f"shopper{shopper}@example.com"},
                "state": {"S": "pending"},
                "signed_up_at_ms": {"N": str(now_ms)},
                "page": {"S": "/products/field-jacket"},
                "consent": {"S": "one-email-when-available-2026-11"},
                "expires_at_s": {"N": str(now_ms // 1000 + CONFIRM_WITHIN_S)},
                "shard_position": {"S": position_of(now_ms, shopper)},
            },
        )

    def sign_up() -> None:
        answer = application.app(_event(next(numbers), form_token), None)
        if answer["statusCode"] != 202:
            raise RuntimeError(answer["body"])

    runs = [("boto3 put_item of the same item", put_item), ("a signup, from event to answer", sign_up)]
    cpu_us: dict[str, list[float]] = {name: [] for name, _ in runs}
    # Each signup writes its line to the log, and is charged for it here too.
    with Path(os.devnull).open("w") as log, redirect_stdout(log):
        for _ in range(HOT_ROUNDS):
            for name, run in runs:
                run()
                gc.collect()
                started = time.process_time()
                for _ in range(HOT_TIMES):
                    run()
                cpu_us[name].append((time.process_time() - started) * 1e6 / HOT_TIMES)
    peer = median(cpu_us[runs[0][0]])
    write_table(
        "One more signup",
        COMMAND,
        ("in a warm process", "CPU us", "x boto3"),
        [(name, f"{median(times):.0f}", f"{median(times) / peer:.2f}") for name, times in cpu_us.items()],
    )


def _event(number: int, form_token: str) -> dict[str, Any]:
    page = "%2Fproducts%2Ffield-jacket"
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    return {
        "resource": "/waitlist",
        "path": "/waitlist",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": "POST",
            "resourcePath": "/waitlist",
            "requestId": "1",
            "identity": {"sourceIp": "8.8.8.8"},
        },
        "body": f"email=shopper{number}%40example.com&sku={SKU}&page={page}&form_token={form_token}&knot=",
        "isBase64Encoded": False,
    }


def _environment() -> dict[str, str]:
    needed = [field.name for field in fields(Settings) if field.default is MISSING]
    return {
        **{name.upper(): name.replace("_", "-") for name in needed},
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PATH": os.environ["PATH"],
    }


@contextmanager
def _sink(folder: Path) -> Iterator[str]:
    nothing = folder / "nothing.json"
    nothing.write_text("{}")
    words = [sys.executable, "-m", "benchmarks.cloud_sink", str(nothing)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
