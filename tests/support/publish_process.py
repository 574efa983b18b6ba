"""A publish in a process of its own, to be stopped: python -m tests.support.publish_process URL FOLDER CLOCK.

CLOCK is a file with the time in milliseconds, read each time it is asked for.
"""

import sys
from pathlib import Path
from typing import Any

from chalicelib.tables.products import ProductsTable
from spillway.errors import WorkFailed
from spillway.project import Project
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fake_s3 import S3Sink
from tests.support.publish_env import PublishEnv


class _FileClock(Clock):
    """The time that a file holds."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> int:
        return int(self._file.read_text())


def main(url: str, folder: str, clock: str) -> int:
    """Publish the shop of `folder` as `asleep`; 1 when that failed, with the reason on standard error."""
    client: Any = MemoryDynamoDb()
    products = ProductsTable(client, create_table(client, "ProductsTable"))
    env = PublishEnv(
        S3Sink(url=url), products, Project(Path(folder)), owner="asleep", clock=_FileClock(Path(clock))
    )
    try:
        env.publish()
    except WorkFailed as failed:
        print(failed.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
