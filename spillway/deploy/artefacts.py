"""The bucket that code and templates pass through on their way to CloudFormation."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spillway.deploy.package import Package
from spillway.deploy.stage import Stage

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def upload(stage: Stage, package: Package) -> str:
    """Put the package where CloudFormation finds it. Returns the template's address."""
    s3: S3Client = stage.client("s3")
    bucket = _bucket(stage)
    _ensure_bucket(s3, bucket, stage.region)
    _put_once(s3, bucket, package.key, package.archive.read_bytes())
    template = package.template_for(bucket).encode()
    key = f"{hashlib.sha256(template).hexdigest()}.template"
    _put_once(s3, bucket, key, template)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def _bucket(stage: Stage) -> str:
    account = stage.client("sts").get_caller_identity()["Account"]
    return f"spillway-artefacts-{account}-{stage.region}"


def _ensure_bucket(s3: "S3Client", bucket: str, region: str) -> None:
    if _exists(lambda: s3.head_bucket(Bucket=bucket)):
        return
    if region == "us-east-1":  # the one region that may not be named
        s3.create_bucket(Bucket=bucket)
    else:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]


def _put_once(s3: "S3Client", bucket: str, key: str, content: bytes) -> None:
    # The key is the content's digest: what is there already is the same.
    if not _exists(lambda: s3.head_object(Bucket=bucket, Key=key)):
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def _exists(look: Callable[[], Any]) -> bool:
    try:
        look()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
