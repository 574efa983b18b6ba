"""An S3 in memory: one versioned bucket, with conditional writes, ETags and metadata."""

import hashlib
import io
from typing import Any

from botocore.exceptions import ClientError

from tests.support.aws_models import check_request


class MemoryS3:
    """Answers the calls that pages are stored by, as the client of boto3 does."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.puts: list[str] = []
        self._versions = 0

    def head_object(self, **asked: Any) -> dict[str, Any]:
        """Everything known of an object but its bytes."""
        check_request("s3", "HeadObject", asked)
        if asked["Key"] not in self.objects:
            raise refused("404", "HeadObject")
        return {name: value for name, value in self.objects[asked["Key"]].items() if name != "Body"}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        """An object, unless the caller has it."""
        check_request("s3", "GetObject", asked)
        there = self.objects.get(asked["Key"])
        if there is None:
            raise refused("NoSuchKey", "GetObject")
        if there["ETag"] == asked.get("IfNoneMatch"):
            raise refused("304", "GetObject")
        return {**there, "Body": io.BytesIO(there["Body"])}

    def put_object(self, **asked: Any) -> dict[str, Any]:
        """Store an object where the condition holds."""
        check_request("s3", "PutObject", asked)
        known = {"Metadata": {}, **asked}
        key, body, etag = known.pop("Key"), known["Body"], known.pop("IfMatch", None)
        there = self.objects.get(key, {})
        if (known.pop("IfNoneMatch", None) and there) or (etag and there.get("ETag") != etag):
            raise refused("PreconditionFailed", "PutObject")
        self._versions += 1
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        named = {"ETag": f'"{digest}"', "VersionId": f"v{self._versions}"}
        self.objects[key] = {**known, **named}
        self.puts.append(key)
        return named

    def get_paginator(self, operation: str) -> "MemoryS3":
        """Pages of a listing."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        """The keys below a prefix, in order, in pages of two."""
        check_request("s3", "ListObjectsV2", asked)
        keys = sorted(key for key in self.objects if key.startswith(asked["Prefix"]))
        pages = [keys[start : start + 2] for start in range(0, len(keys), 2)]
        sized: list[dict[str, Any]] = [
            {
                "Contents": [
                    {"Key": key, "Size": len(self.objects[key]["Body"]), "ETag": self.objects[key]["ETag"]}
                    for key in page
                ]
            }
            for page in pages
        ]
        return sized or [{}]


def refused(code: str, operation: str) -> ClientError:
    """The error of boto3 where AWS refuses a call."""
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)
