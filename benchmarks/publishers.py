"""Programs that put a folder's files into a bucket: ours, three that shops use, and the SDK.

Each program is a process of its own: its start counts. From the many settings of the others, those are taken
that make them fast: as many workers as they can use, and nothing looked up that a first publish need not.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.peers import installed, installed_by_debian
from benchmarks.processes import Run, run
from benchmarks.send import KEY, REGION, SECRET

BUCKET = "pages"
_ROOT = Path(__file__).parents[1]
_WORKERS = "256"
_RCLONE_WORKERS = "128"
_BOTO_THREADS = 32
# They take long for all, and as long for each.
_SYNC_COUNT = 1_000
_BOTO_COUNT = 400
_ACCOUNT = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}


class Publisher:
    """One of them, installed if need be. `files` is what one of its runs puts."""

    name: str
    is_slow = False
    is_there = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files = sorted(folder.iterdir())

    @property
    def count(self) -> int:
        """How many one of its runs puts."""
        return len(self.files)

    def publish(self, url: str) -> Run:
        """To the S3 at `url`."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder.parent), **self._settings(url)}
        return run(self._command(url), _ROOT, environment=environment)

    def _command(self, url: str) -> Sequence[str]:
        raise NotImplementedError

    def _settings(self, url: str) -> Mapping[str, str]:
        return _ACCOUNT


def publishers(folder: Path) -> tuple[Publisher, ...]:
    """Return each of them, ours first; a program that cannot be installed is missing."""
    return Spillway(folder), S5cmd(folder), Rclone(folder), AwsSync(folder), Boto(folder)


class Spillway(Publisher):
    """Ours, signing and sending as a publish does."""

    name = "Spillway"

    def _command(self, url: str) -> Sequence[str]:
        return (sys.executable, "-m", "benchmarks.send", str(self._folder), url)


class S5cmd(Publisher):
    """The fastest that is usually named."""

    name = "s5cmd"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = (str(installed("s5cmd")), "--numworkers", _WORKERS)

    def _command(self, url: str) -> Sequence[str]:
        return (*self._program, "--endpoint-url", url, "cp", f"{self._folder}/*", f"s3://{BUCKET}/")


class Rclone(Publisher):
    """rclone, set to skip all checks before and after an upload."""

    name = "rclone"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = installed_by_debian("rclone")
        self.is_there = self._program is not None

    def _command(self, url: str) -> Sequence[str]:
        careless = ("--no-check-dest", "--s3-no-head", "--s3-no-check-bucket", "--ignore-checksum")
        workers = ("--transfers", _RCLONE_WORKERS, "--checkers", _RCLONE_WORKERS)
        return (
            str(self._program),
            "copy",
            "--quiet",
            *workers,
            *careless,
            str(self._folder),
            f"sink:{BUCKET}",
        )

    def _settings(self, url: str) -> Mapping[str, str]:
        of_sink = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ACCESS_KEY_ID": KEY,
            "SECRET_ACCESS_KEY": SECRET,
            "REGION": REGION,
            "ENDPOINT": url,
        }
        return {f"RCLONE_CONFIG_SINK_{name}": value for name, value in of_sink.items()}


class AwsSync(Publisher):
    """The command of every guide, over the first thousand files."""

    name = "aws s3 sync"
    is_slow = True

    def __init__(self, folder: Path) -> None:
        super().__init__(_first_of(folder, _SYNC_COUNT))
        self._program = str(installed("awscli", program="aws"))

    def _command(self, url: str) -> Sequence[str]:
        sync = (self._program, "--endpoint-url", url, "s3", "sync", "--quiet")
        return (*sync, str(self._folder), f"s3://{BUCKET}/")


class Boto(Publisher):
    """The SDK in threads, started already, over the first few hundred files."""

    name = f"boto3, {_BOTO_THREADS} threads"
    is_slow = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.files = self.files[:_BOTO_COUNT]

    def publish(self, url: str) -> Run:
        """In this process."""
        client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(max_pool_connections=_BOTO_THREADS, s3={"addressing_style": "path"}),
        )

        def put(file: Path) -> None:
            client.put_object(Bucket=BUCKET, Key=file.name, Body=file.read_bytes())

        started, cpu_s = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(_BOTO_THREADS) as pool:
            list(pool.map(put, self.files))
        return Run(time.perf_counter() - started, time.process_time() - cpu_s, largest_mb=0)


def _first_of(folder: Path, count: int) -> Path:
    few = folder.with_name(f"{folder.name}-{count}")
    few.mkdir()
    for file in sorted(folder.iterdir())[:count]:
        (few / file.name).hardlink_to(file)
    return few
