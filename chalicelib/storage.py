"""S3 and CloudFront: the bucket of pages, the CDN before it, the live theme, the bucket of access logs."""

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Theme

if TYPE_CHECKING:
    from types_boto3_cloudfront import CloudFrontClient
    from types_boto3_s3 import S3Client

# Browsers revalidate each time, mostly with a 304: the email "it is back" must not lead to yesterday's page.
# The CDN keeps a page for a day; a refreshed page is invalidated there.
PAGE_CACHE_CONTROL = "public, max-age=0, s-maxage=86400, must-revalidate"
PAGE_CONTENT_TYPE = "text/html; charset=utf-8"
JSON_TYPE = "application/json"
# The default root object of the distribution in .chalice/resources/site.yaml; a test compares the two.
HOME_KEY = "index.html"
REFRESH_TRIES_MAX = 6
# The user metadata of an object: a short digest of the event that wrote it. S3 sends it as a header.
WRITTEN_BY = "by"
WRITTEN_BY_LENGTH = 12
WILDCARD = "/*"
# CloudFront refuses a request with other characters in a path, or takes them encoded and forgets nothing.
# https://github.com/aws/aws-sdk/issues/525
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/_.-]*")
# A path costs $0.005, and `/*` is one path. After it, 13 regional caches read each object from the bucket
# once more, at $0.0004 a thousand. Twenty paths cost as much as `/*` in a shop of 18,000 cached objects; in a
# smaller one, at most ten cents more, which keep its caches warm.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/PayingForInvalidation.html
INVALIDATED_PATHS_MAX = 20
# CloudFront has a limit on paths in progress (3,000), and another on wildcards in progress (15).
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/InvalidationLimits.html
WILDCARD_WAITS_S = (0.0, 1.0, 2.0)
TOO_MANY = "TooManyInvalidationsInProgress"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
# A conditional write to an object that was deleted meanwhile is answered 404.
OVERTAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404"})


class PageContested(RuntimeError):
    """Others wrote a page each time it was rendered; a later try succeeds."""


class CdnBusy(RuntimeError):
    """CloudFront has too many invalidations in progress; a later try succeeds."""


@dataclass(frozen=True, slots=True)
class PageChange:
    """A page that an event changed. `version` names one write: the same bytes written again get another."""

    path: str
    version: str


def object_key(path: str) -> str:
    """Return the key of a page: its path, except for "/", for which CloudFront serves its default root."""
    return path.removeprefix("/") or HOME_KEY


def page_path(key: str) -> str:
    """Return the path of a page by its key, the inverse of `object_key`."""
    return "/" if key == HOME_KEY else f"/{key}"


def invalidation_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that CloudFront needs to forget these pages, sorted.

    The home page is cached under "/" and under the key of the default root object: two paths. More than
    `INVALIDATED_PATHS_MAX` become one wildcard, and so do paths that CloudFront would refuse.
    """
    served = set(paths)
    if "/" in served:
        served.add(f"/{HOME_KEY}")
    if len(served) > INVALIDATED_PATHS_MAX or not all(map(_PLAIN_PATH.fullmatch, served)):
        return (WILDCARD,)
    return tuple(sorted(served))


class PagesBucket:
    """Pages of the live shop, by path."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def refresh(
        self, path: str, render: Callable[[], str], *, language: str, event: str
    ) -> PageChange | None:
        """Replace one page by what `render` makes, which is in `language`.

        Readers see the old page or the new one, never a part. Write nothing when the stored page has these
        bytes and headers already.

        A page that somebody else wrote while this one was made (another event, a publish) is not
        covered by it: the page is made once more, from what is true by then.

        Returns the page if `event` changed it, now or in an earlier attempt that died: its path then needs
        an invalidation.

        Raises:
            PageContested: others wrote it all the time.
        """
        headers = {
            "ContentType": PAGE_CONTENT_TYPE,
            "ContentLanguage": language,
            "CacheControl": PAGE_CACHE_CONTROL,
        }
        for _ in range(REFRESH_TRIES_MAX):
            stored = self._stored(path)
            body = render().encode()
            if stored and _is_page(stored, body, headers):
                return _change_by(event, path, stored)
            condition = {"IfMatch": stored["ETag"]} if stored else {"IfNoneMatch": "*"}
            if change := self._put(path, body, headers | condition, event):
                return change
        raise PageContested(path)

    def edit(self, path: str, change: Callable[[str], str], *, event: str) -> PageChange | None:
        """Change the object at `path`, also while others change it.

        Returns the object if `event` changed it, now or in an earlier attempt that died; None when there is
        nothing to change, or no such object.

        Raises:
            PageContested: others wrote it all the time.
        """
        for _ in range(REFRESH_TRIES_MAX):
            try:
                there = self._client.get_object(Bucket=self._name, Key=object_key(path))
            except ClientError as error:
                if error.response["Error"]["Code"] in {"AccessDenied", "NoSuchKey"}:
                    return None
                raise
            text = there["Body"].read().decode()
            changed = change(text)
            if changed == text:
                return _change_by(event, path, there)
            headers = {
                "ContentType": there["ContentType"],
                "CacheControl": PAGE_CACHE_CONTROL,
                "IfMatch": there["ETag"],
            }
            if written := self._put(path, changed.encode(), headers, event):
                return written
        raise PageContested(path)

    def _stored(self, path: str) -> Any:
        try:
            return self._client.head_object(Bucket=self._name, Key=object_key(path))
        except ClientError as error:
            # Without ListBucket, S3 answers 403 for a missing key.
            if error.response["Error"]["Code"] in {"403", "404"}:
                return None
            raise

    def _put(self, path: str, body: bytes, terms: dict[str, Any], event: str) -> PageChange | None:
        try:
            answer = self._client.put_object(
                Bucket=self._name,
                Key=object_key(path),
                Body=body,
                Metadata={WRITTEN_BY: _mark_of(event)},
                **terms,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in OVERTAKEN:
                return None
            raise
        return PageChange(path, _version(answer))


def _is_page(stored: Any, body: bytes, headers: dict[str, str]) -> bool:
    """Compare the answer to a HEAD request with a page, without reading the stored bytes.

    The ETag of an object that was put at once, encrypted by S3 or not at all, is the MD5 of its bytes:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html. Under any other encryption no page
    compares equal, and each is written.
    """
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return bool(stored["ETag"].strip('"') == digest) and all(
        stored.get(name) == value for name, value in headers.items()
    )


def _change_by(event: str, path: str, stored: Any) -> PageChange | None:
    """Return the change `event` made to a stored object, None if another event or a publish wrote it."""
    by_event = stored.get("Metadata", {}).get(WRITTEN_BY) == _mark_of(event)
    return PageChange(path, _version(stored)) if by_event else None


def _mark_of(event: str) -> str:
    return hashlib.sha256(event.encode()).hexdigest()[:WRITTEN_BY_LENGTH]


def _version(answer: Any) -> str:
    return f"{answer.get('VersionId', '')} {answer['ETag']}"


class Cdn:
    """The CloudFront distribution that serves the pages."""

    def __init__(
        self,
        client: "CloudFrontClient",
        distribution_id: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._distribution_id = distribution_id
        self._sleep = sleep

    def invalidate(self, paths: Iterable[str], *, reference: str) -> tuple[str, ...]:
        """Make the CDN fetch `paths` again, and return the paths it was given.

        The same `reference` and paths twice are one invalidation.

        Paths that CloudFront does not take, as it has too many in progress, become one wildcard: those have
        a limit of their own.

        Raises:
            CdnBusy: CloudFront has too many wildcards in progress as well.
        """
        named = invalidation_paths(paths)
        if named != (WILDCARD,) and self._taken(named, reference):
            return named
        for wait_s in WILDCARD_WAITS_S:
            self._sleep(wait_s)
            if self._taken((WILDCARD,), reference):
                return (WILDCARD,)
        raise CdnBusy(reference)

    def _taken(self, paths: tuple[str, ...], reference: str) -> bool:
        # CloudFront refuses a reference that it knows with other paths, however often it is tried.
        digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]
        try:
            self._client.create_invalidation(
                DistributionId=self._distribution_id,
                InvalidationBatch={
                    "Paths": {"Quantity": len(paths), "Items": list(paths)},
                    "CallerReference": f"{reference}-{digest}",
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == TOO_MANY:
                return False
            raise
        return True


THEME_KEY = "theme.json"
NOT_MODIFIED = "304"


class ThemeStore:
    """Holds the renderer of one theme, and reads the theme again when S3 says that it has changed.

    A conditional read costs a fraction of a millisecond, and no page is refreshed with the templates of an
    older release. `fresh_for_ms` skips the read where an older theme does no harm.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        fresh_for_ms: int = 0,
        clock_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._fresh_for_ms = fresh_for_ms
        self._clock_ms = clock_ms
        self._read_at_ms = 0
        self._etag = ""
        self._renderer: Renderer | None = None

    def live(self) -> Renderer:
        """Return the renderer of the theme that was published last, with its compiled templates."""
        now_ms = self._clock_ms()
        if self._renderer is not None and 0 <= now_ms - self._read_at_ms < self._fresh_for_ms:
            return self._renderer
        renderer = self._read_if_changed()
        self._read_at_ms = now_ms
        return renderer

    def _read_if_changed(self) -> Renderer:
        condition: Any = {"IfNoneMatch": self._etag} if self._etag else {}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=THEME_KEY, **condition)
        except ClientError as error:
            if self._renderer is not None and error.response["Error"]["Code"] == NOT_MODIFIED:
                return self._renderer
            raise
        self._renderer = Renderer(Theme.from_json(answer["Body"].read().decode()))
        self._etag = answer["ETag"]
        return self._renderer


LOGS_PREFIX = "logs/"
STATS_PREFIX = "stats/"
PARTS_PREFIX = "stats/parts/"


class TrafficBucket:
    """Access logs, the statistics of each log file (a part), and those of each hour.

    Keys: `logs/...gz`, `stats/parts/HOUR/NAME.json`, `stats/HOUR.json`.
    """

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def open_log(self, key: str) -> Any:
        """Return a log file, open for reading. A missing one is botocore's error."""
        return self._client.get_object(Bucket=self._name, Key=key)["Body"]

    def put_part(self, hour: str, name: str, part: bytes) -> None:
        """Store the statistics of a log file in an hour; a repeat replaces them."""
        key = f"{PARTS_PREFIX}{hour}/{name}.json"
        self._client.put_object(Bucket=self._name, Key=key, Body=part, ContentType=JSON_TYPE)

    def parts(self, hour: str) -> Iterable[tuple[str, bytes]]:
        """Return the name and the content of each part of an hour."""
        prefix = f"{PARTS_PREFIX}{hour}/"
        for key in self._keys(prefix):
            yield key.removeprefix(prefix).removesuffix(".json"), self._get(key)[0]

    def hours(self, since: str, until: str) -> list[str]:
        """Return the hours with statistics from `since` to `until`, both included, in order."""
        names = (
            key.removeprefix(STATS_PREFIX).removesuffix(".json") for key in self._keys(f"{STATS_PREFIX}2")
        )
        return [hour for hour in names if since <= hour <= until]

    def versions(self, since: str, until: str) -> dict[str, str]:
        """Return the ETag of each hour with statistics from `since` to `until`, a day or two apart."""
        found = {}
        for day in sorted({since[:10], until[:10]}):
            for entry in self._entries(f"{STATS_PREFIX}{day}"):
                hour = entry["Key"].removeprefix(STATS_PREFIX).removesuffix(".json")
                if since <= hour <= until:
                    found[hour] = entry["ETag"]
        return found

    def hour(self, hour: str) -> tuple[bytes, str] | None:
        """Return the statistics of an hour and their ETag; None where there are none."""
        try:
            return self._get(f"{STATS_PREFIX}{hour}.json")
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise

    def put_hour(self, hour: str, content: bytes, *, replaces: str | None) -> bool:
        """Store an hour if it is still the one with the ETag `replaces`; None means that there is none.

        Return False where another wrote meanwhile.
        """
        condition: Any = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        key = f"{STATS_PREFIX}{hour}.json"
        try:
            self._client.put_object(
                Bucket=self._name, Key=key, Body=content, ContentType=JSON_TYPE, **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in OVERTAKEN:
                return False
            raise
        return True

    def _get(self, key: str) -> tuple[bytes, str]:
        found = self._client.get_object(Bucket=self._name, Key=key)
        return found["Body"].read(), found["ETag"]

    def _keys(self, prefix: str) -> Iterable[str]:
        return (entry["Key"] for entry in self._entries(prefix))

    def _entries(self, prefix: str) -> Iterable[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", ())
