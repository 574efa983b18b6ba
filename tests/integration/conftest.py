"""A small shop and an S3 to publish it to; modules with a shop of another kind have their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.tables.products import ProductsTable
from spillway.project import Project
from tests.support.aws import create_table
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fake_s3 import S3Sink, running
from tests.support.publish_env import PublishEnv
from tests.support.small_shop import make_small_shop


@pytest.fixture
def sink() -> Iterator[S3Sink]:
    """An S3 of this machine's own."""
    with running(S3Sink()) as sink:
        yield sink


@pytest.fixture
def products() -> ProductsTable:
    """The table of products, empty."""
    client: Any = MemoryDynamoDb()
    return ProductsTable(client, create_table(client, "ProductsTable"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The small shop's folder."""
    return make_small_shop(tmp_path)


@pytest.fixture
def env(sink: S3Sink, products: ProductsTable, project: Project) -> PublishEnv:
    """Where the small shop is published from."""
    return PublishEnv(sink, products, project)


@pytest.fixture
def other(sink: S3Sink, products: ProductsTable, tmp_path: Path) -> PublishEnv:
    """Somebody else's machine, who publishes the same shop."""
    return PublishEnv(sink, products, make_small_shop(tmp_path / "other"), owner="other")
