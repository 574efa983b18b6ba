"""The bucket the storefront is served from, and the CDN in front of it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_cloudfront import CloudFrontClient
    from types_boto3_s3 import S3Client

# Browsers ask each time and are mostly answered 304: who follows the letter "it is back" must not be
# shown yesterday's page. The CDN keeps a page for a day, for a turned page is invalidated there.
PAGE_CACHE_CONTROL = "public, max-age=0, s-maxage=86400, must-revalidate"
PAGE_CONTENT_TYPE = "text/html; charset=utf-8"
HOME_KEY = "index.html"


def object_key(path: str) -> str:
    """The key a page is stored under: its very path, but for "/", which CloudFront's default root serves."""
    return path.removeprefix("/") or HOME_KEY


class PagesBucket:
    """Pages of the live shop, by path."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, path: str, html: str) -> None:
        """Replace one page; readers see the old one or the new one, never a half."""
        self._client.put_object(
            Bucket=self._name,
            Key=object_key(path),
            Body=html.encode(),
            ContentType=PAGE_CONTENT_TYPE,
            CacheControl=PAGE_CACHE_CONTROL,
        )


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
