"""itsdangerous's signer of dated tokens, with the clock passed in."""

from typing import Any

from itsdangerous import TimestampSigner


class ClockedSigner(TimestampSigner):
    """Dates its tokens `now_s`, in seconds since the epoch."""

    def __init__(self, *args: Any, now_s: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now_s = now_s

    def get_timestamp(self) -> int:
        """The time a token is dated, and held against."""
        return self._now_s
