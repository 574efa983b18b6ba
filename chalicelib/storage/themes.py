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
        self._asked_at_ms = 0
        self._etag = ""
        self._renderer: Renderer | None = None

    def live(self) -> Renderer:
        """Return the renderer of the theme that was published last, with its compiled templates."""
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
