"""The theme of the live release, read from the release bucket when it has changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Theme

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

THEME_KEY = "theme.json"
NOT_MODIFIED = "304"


class ThemeStore:
    """Holds one theme in memory, ready to render, and asks S3 each time whether it is still the live one.

    A conditional read that answers "not modified" costs a fraction of a millisecond of ours and
    makes sure that a page is never turned with the templates of an older release. Where a moment does
    not matter, `fresh_for_ms` saves the question.
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
        self._asked_at_ms = 0
        self._etag = ""
        self._renderer: Renderer | None = None

    def live(self) -> Renderer:
        """The renderer of the theme that was published last; its compiled templates are kept."""
        now_ms = self._clock_ms()
        if self._renderer is not None and 0 <= now_ms - self._asked_at_ms < self._fresh_for_ms:
            return self._renderer
        renderer = self._asked()
        self._asked_at_ms = now_ms
        return renderer

    def _asked(self) -> Renderer:
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
