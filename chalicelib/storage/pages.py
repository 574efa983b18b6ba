"""The bucket the storefront is served from, and the CDN in front of it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_cloudfront import CloudFrontClient
    from types_boto3_s3 import S3Client

# Browsers ask each time and are mostly answered 304: who follows the letter "it is back" must not be
# shown yesterday's page. The CDN keeps a page for a day, for a turned page is invalidated there.
PAGE_CACHE_CONTROL = "public, max-age=0, s-maxage=86400, must-revalidate"
PAGE_CONTENT_TYPE = "text/html; charset=utf-8"
HOME_KEY = "index.html"
TURN_TRIES_MAX = 6
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
OVERTAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class PageContested(RuntimeError):
    """A page was written by others each time it was made; trying again later is the way out."""


def object_key(path: str) -> str:
    """The key a page is stored under: its very path, but for "/", which CloudFront's default root serves."""
    return path.removeprefix("/") or HOME_KEY


class PagesBucket:
    """Pages of the live shop, by path."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def turn(self, path: str, render: Callable[[], str], *, language: str) -> None:
        """Replace one page by what `render` makes, which is in `language`; readers see the old one or the
        new one, never a half.

        A page that somebody else wrote while this one was made (another event, a publish) is not
        covered by it: the page is made once more, from what is true by then.

        Raises:
            PageContested: others wrote it all the time.
        """
        for _ in range(TURN_TRIES_MAX):
            unchanged = self._unchanged_since_now(path)
            page = {"ContentType": PAGE_CONTENT_TYPE, "ContentLanguage": language}
            if self._put(path, render(), page | unchanged):
                return
        raise PageContested(path)

    def edit(self, path: str, change: Callable[[str], str]) -> bool:
        """Change what is published at `path`, whoever else is about to; false when nothing is to be changed,
        or there is nothing.

        Raises:
            PageContested: others wrote it all the time.
        """
        for _ in range(TURN_TRIES_MAX):
            try:
                there = self._client.get_object(Bucket=self._name, Key=object_key(path))
            except ClientError as error:
                if error.response["Error"]["Code"] in {"AccessDenied", "NoSuchKey"}:
                    return False
                raise
            text = there["Body"].read().decode()
            changed = change(text)
            if changed == text:
                return False
            if self._put(path, changed, {"ContentType": there["ContentType"], "IfMatch": there["ETag"]}):
                return True
        raise PageContested(path)

    def _unchanged_since_now(self, path: str) -> dict[str, Any]:
        try:
            head = self._client.head_object(Bucket=self._name, Key=object_key(path))
        except ClientError as error:
            # Without leave to list a bucket, what is not there is forbidden.
            if error.response["Error"]["Code"] in {"403", "404"}:
                return {"IfNoneMatch": "*"}
            raise
        return {"IfMatch": head["ETag"]}

    def _put(self, path: str, text: str, terms: dict[str, Any]) -> bool:
        try:
            self._client.put_object(
                Bucket=self._name,
                Key=object_key(path),
                Body=text.encode(),
                CacheControl=PAGE_CACHE_CONTROL,
                **terms,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in OVERTAKEN:
                return False
            raise
        return True


class Cdn:
    """The CloudFront distribution that serves the pages."""

    def __init__(self, client: "CloudFrontClient", distribution_id: str) -> None:
        self._client = client
        self._distribution_id = distribution_id

    def invalidate(self, paths: Iterable[str], *, reference: str) -> None:
        """Make the CDN fetch `paths` anew. The same `reference` twice is one invalidation."""
        items = sorted(set(paths))
        self._client.create_invalidation(
            DistributionId=self._distribution_id,
            InvalidationBatch={
                "Paths": {"Quantity": len(items), "Items": items},
                "CallerReference": reference,
            },
        )
