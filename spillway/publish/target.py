"""A stage as a publish sees it."""

import fcntl
import json
import os
import platform
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
from spillway.errors import WorkFailed
from spillway.project import Project
from spillway.publish.live import Claimant, LiveRelease
from spillway.publish.publisher import Target
from spillway.publish.s3 import S3Bucket
from spillway.stage import Stage

# More publishes than any folder begins within the half hour that a claim lasts.
_TOKENS_MAX = 100


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
    with _alone(folder / "lock") as lock:
        yield Target(
            pages=_bucket(stage, names["PagesBucket"]),
            releases=releases,
            live=LiveRelease(
                releases, claimant_of(folder / "claims.json", lock), clock_ms, folder / "manifest.json"
            ),
            products=ProductsTable(stage.client("dynamodb"), names["ProductsTable"]),
            domain_lists=DomainListsTable(stage.client("dynamodb"), names["ProductsTable"]),
            cdn=Cdn(stage.client("cloudfront"), names["DistributionId"]),
            stamps=FormStamps.of(keys.identity, at_ms=clock_ms()),
        )


def _bucket(stage: Stage, name: str) -> S3Bucket:
    found = stage.session.get_credentials()
    if found is None:
        raise WorkFailed("no AWS credentials", hint="sign in with the AWS CLI, or set AWS_PROFILE")

    def credentials() -> Credentials:
        # Asked for anew each time: boto3 renews what ends.
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")

    return S3Bucket(name, stage.region, credentials, endpoint=stage.endpoint_url)


@contextmanager
def _alone(lock: Path) -> Iterator[str]:
    """Hold the lock of this folder for as long as the block lasts, and give a name of it."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkFailed(
                "another publish from this folder is under way", hint="wait for it to end"
            ) from error
        status = os.fstat(file.fileno())
        yield f"{platform.node()} {status.st_dev} {status.st_ino}"


def claimant_of(file: Path, lock: str) -> Claimant:
    """A publish under a token of its own, which may take up what earlier ones under the same lock left.

    They have ended, since their process held the lock. `file` remembers their tokens beside a name of the
    lock: a copy of the folder has a lock of its own, and tokens that say nothing of who else runs.
    """
    token = secrets.token_hex(8)
    ended = _tokens(file, lock)
    known = [*ended, token][-_TOKENS_MAX:]
    beside = file.with_name(f"{file.name}.unfinished")
    beside.write_text(json.dumps({"lock": lock, "tokens": known}), encoding="ascii")
    beside.replace(file)
    return Claimant(token, frozenset(ended))


def _tokens(file: Path, lock: str) -> list[str]:
    try:
        document = json.loads(file.read_text(encoding="ascii"))
        return [str(each) for each in document["tokens"]] if document["lock"] == lock else []
    except (OSError, ValueError, LookupError, TypeError):
        return []
