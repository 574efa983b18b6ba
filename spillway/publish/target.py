"""The parts of a stage that a publish writes to, under a lock of the folder it publishes from."""

import fcntl
import json
import os
import platform
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chalicelib.aws.response import Response
from chalicelib.aws.signing import Credentials
from chalicelib.domain.ids import Slug
from chalicelib.domain.stock import StockedProduct
from chalicelib.domain.tokens import FormTokens
from chalicelib.storage import Cdn
from chalicelib.storefront.theme import Shop
from spillway.errors import WorkFailed
from spillway.project import LOCAL_STAGE, Project
from spillway.publish.live_manifest import Claimant, ManifestStore
from spillway.publish.manifest import MANIFEST_KEY
from spillway.publish.s3 import S3Bucket, S3Request

if TYPE_CHECKING:
    from chalicelib.tables.products import DomainListsTable, ProductsTable
    from spillway.stage import Stage

# More publishes than a folder starts within the half hour of a claim.
_TOKENS_MAX = 100


class Bucket(Protocol):
    """The calls to a bucket that a publish needs."""

    def send(
        self, requests: Iterable[S3Request], on_done: Callable[[], None] = ..., *, count: int | None = None
    ) -> None: ...
    def get(self, key: str) -> Response: ...


@dataclass(frozen=True, slots=True)
class PublishTarget:
    """One stage, as a publish sees it.

    Attributes:
        pages: the bucket of pages and assets.
        releases: the bucket of the theme, the manifest and saved sources.
        manifest: the manifest in `releases`.
        form_tokens: signs the form tokens of pages.
        clock_ms: the time, in milliseconds since 1970.
        check_shop: raises BadInput if the stage's stack contradicts the shop's settings.
    """

    pages: Bucket
    releases: Bucket
    manifest: ManifestStore
    products: "ProductsTable"
    domain_lists: "DomainListsTable"
    cdn: Cdn
    form_tokens: FormTokens
    clock_ms: Callable[[], int]
    check_shop: Callable[[Shop], None] = lambda shop: None

    def stored_products(self) -> dict[Slug, StockedProduct]:
        """Return every product in the table with its stock, by slug."""
        return {stocked.product.slug: stocked for stocked in self.products.scan()}


@contextmanager
def publish_target(stage: "Stage", project: Project, clock_ms: Callable[[], int]) -> Iterator[PublishTarget]:
    """Open the parts of `stage` that a publish writes to, for the length of the block.

    Raises:
        WorkFailed: another publish from this folder to this stage is under way.
    """
    # Imported here: it imports the SDK, which those who know their stage have already.
    from spillway.deploy.checks import require_agreement

    container = stage.container()
    folder = project.cache / "publish" / stage.name
    folder.mkdir(parents=True, exist_ok=True)
    releases = _bucket(stage, container.settings.release_bucket)
    with _locked(folder / "lock") as lock_id:
        claimant = claimant_of(folder / "claims.json", lock_id)
        yield PublishTarget(
            pages=_bucket(stage, container.settings.pages_bucket),
            releases=releases,
            manifest=ManifestStore(
                releases,
                claimant,
                clock_ms,
                folder / "manifest.json",
                hint=unreadable_hint(stage.name, container.settings.release_bucket),
            ),
            products=container.products,
            domain_lists=container.domain_lists,
            cdn=container.cdn,
            form_tokens=FormTokens.of(container.keys.identity, at_ms=clock_ms()),
            clock_ms=clock_ms,
            check_shop=partial(require_agreement, stage),
        )


def unreadable_hint(stage_name: str, release_bucket: str) -> str:
    """Return the way out where another version of Spillway wrote the live manifest of a stage."""
    if stage_name == LOCAL_STAGE:
        return "spillway demo --fresh deletes the demo's state and starts again"
    return (
        "publish again with that version or a newer one; or delete the manifest and publish again, which puts"
        " every object and forgets the releases to roll back to:"
        f" aws s3 rm s3://{release_bucket}/{MANIFEST_KEY}"
    )


def claimant_of(file: Path, lock_id: str) -> Claimant:
    """Return a new claimant, which may take over the claims of earlier publishes under the same lock.

    They have ended, since their process held the lock. `file` stores their tokens with the lock's id: a copy
    of the folder has another lock, and its tokens do not prove that a publish has ended.
    """
    token = secrets.token_hex(8)
    ended = _stored_tokens(file, lock_id)
    tokens = [*ended, token][-_TOKENS_MAX:]
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.write_text(json.dumps({"lock": lock_id, "tokens": tokens}), encoding="ascii")
    unfinished.replace(file)
    return Claimant(token, frozenset(ended))


def _stored_tokens(file: Path, lock_id: str) -> list[str]:
    try:
        document = json.loads(file.read_text(encoding="ascii"))
        return [str(token) for token in document["tokens"]] if document["lock"] == lock_id else []
    except (OSError, ValueError, LookupError, TypeError):
        return []


@contextmanager
def _locked(lock: Path) -> Iterator[str]:
    """Hold a lock file for the length of the block, and yield its id."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkFailed(
                "another publish from this folder is under way", hint="wait for it to end"
            ) from error
        status = os.fstat(file.fileno())
        yield f"{platform.node()} {status.st_dev} {status.st_ino}"


def _bucket(stage: "Stage", name: str) -> S3Bucket:
    session_credentials = stage.session.get_credentials()
    if session_credentials is None:
        raise WorkFailed("no AWS credentials", hint="sign in with the AWS CLI, or set AWS_PROFILE")

    def credentials() -> Credentials:
        # boto3 renews credentials before they expire, so ask it each time.
        frozen = session_credentials.get_frozen_credentials()
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")

    return S3Bucket(name, stage.region, credentials, endpoint=stage.endpoint_url)
