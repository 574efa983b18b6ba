"""A stage as a publish sees it."""

import fcntl
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chalicelib.aws.signing import Credentials
from chalicelib.domain.form_stamp import FormStamps
from chalicelib.keys import read_keys
from chalicelib.storage.pages import Cdn
from chalicelib.tables.domain_lists import DomainListsTable
from chalicelib.tables.products import ProductsTable
from spillway.deploy.stage import Stage
from spillway.errors import WorkFailed
from spillway.project import Project
from spillway.publish.live import LiveRelease
from spillway.publish.publisher import Target
from spillway.publish.s3 import S3Bucket


@contextmanager
def target_of(stage: Stage, project: Project, clock_ms: Callable[[], int]) -> Iterator[Target]:
    """Everything of `stage` that a publish writes to, for as long as the block lasts.

    Raises:
        WorkFailed: another publish from this folder to this stage is under way.
    """
    names = stage.outputs()
    folder = project.cache / "publish" / stage.name
    folder.mkdir(parents=True, exist_ok=True)
    releases = _bucket(stage, names["ReleaseBucket"])
    keys = read_keys(stage.client("secretsmanager"), names["SigningKeysSecret"])
    with _alone(folder / "lock"):
        yield Target(
            pages=_bucket(stage, names["PagesBucket"]),
            releases=releases,
            live=LiveRelease(releases, _owner(folder / "owner"), clock_ms, folder / "manifest.json"),
            products=ProductsTable(stage.client("dynamodb"), names["ProductsTable"]),
            domain_lists=DomainListsTable(stage.client("dynamodb"), names["ProductsTable"]),
            cdn=Cdn(stage.client("cloudfront"), names["DistributionId"]),
            stamps=FormStamps.of(keys.identity, at_ms=clock_ms()),
        )


def _bucket(stage: Stage, name: str) -> S3Bucket:
    found = stage.session.get_credentials()
    if found is None:
        raise WorkFailed("no AWS credentials", way_out="sign in with the AWS CLI, or set AWS_PROFILE")

    def credentials() -> Credentials:
        # Asked for anew each time: boto3 renews what ends.
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")

    return S3Bucket(name, stage.region, credentials, endpoint=stage.endpoint_url)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkFailed(
                "another publish from this folder is under way", way_out="wait for it to end"
            ) from error
        yield


def _owner(file: Path) -> str:
    """What this folder is called in claims: one that died here is known for our own, and taken up again."""
    if not file.exists():
        file.write_text(secrets.token_hex(8), encoding="ascii")
    return file.read_text(encoding="ascii")
