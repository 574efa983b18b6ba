"""The bucket that code and templates pass through on their way to CloudFormation."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spillway.deploy.package import Package
from spillway.errors import WorkFailed
from spillway.stage import Stage

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def upload(stage: Stage, package: Package) -> str:
    """Put the package where CloudFormation finds it. Returns the template's address.

    Raises:
        WorkFailed: the bucket of this account's name is another account's, or may not be used.
    """
    s3: S3Client = stage.client("s3")
    account = stage.client("sts").get_caller_identity()["Account"]
    bucket = _Bucket(s3, f"spillway-artefacts-{account}-{stage.region}", account)
    bucket.ensure(stage.region)
    bucket.put_once(package.key, package.archive.read_bytes())
    template = package.template_for(bucket.name, stage.region).encode()
    key = f"{hashlib.sha256(template).hexdigest()}.template"
    bucket.put_once(key, template)
    return f"{s3.meta.endpoint_url}/{bucket.name}/{key}"


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket whose name anybody can guess, and take first: each call names the owner it must have."""

    s3: "S3Client"
    name: str
    owner: str

    def ensure(self, region: str) -> None:
        if self._exists(lambda: self.s3.head_bucket(Bucket=self.name, ExpectedBucketOwner=self.owner)):
            return
        if region == "us-east-1":  # the one region that may not be named
            self.s3.create_bucket(Bucket=self.name)
        else:
            self.s3.create_bucket(
                Bucket=self.name,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )

    def put_once(self, key: str, content: bytes) -> None:
        # The key is the content's digest: what is there already is the same.
        asked: Any = {"Bucket": self.name, "Key": key, "ExpectedBucketOwner": self.owner}
        if not self._exists(lambda: self.s3.head_object(**asked)):
            self.s3.put_object(**asked, Body=content)

    def _exists(self, look: Callable[[], Any]) -> bool:
        try:
            look()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            if status == 403:
                raise WorkFailed(
                    f"bucket {self.name} is not account {self.owner}'s, or may not be read",
                    hint="nothing was uploaded; it takes s3:ListBucket, GetObject and PutObject on it",
                ) from error
            raise
        return True
