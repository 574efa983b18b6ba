"""Previews that a merchant agrees to: signed, short-lived, and good for one merchant and one target.

The first step of an action shows its figures with a token of them; the second step sends the token back. The
action then counts once more, and is done only if the figures are about the same: nothing is stored between
the steps, and no figure of a page is trusted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from chalicelib.domain.tokens import CLOCK_SKEW_S, dated_serializer

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

    from chalicelib.domain.merchant import MerchantId

# Long enough to read a table of changes, short enough that the stock is still the one that was seen.
PREVIEW_S = 10 * 60
TOKEN_CHARS_MAX = 2_000
# Signups between a preview and its action; more than that is news.
PEOPLE_MORE_MAX = 10
SHARE_MORE_MAX = 0.1


class PreviewRefused(Exception):
    """No preview of ours, one of another merchant or action, or one that is too old."""


@dataclass(frozen=True, slots=True)
class ActionPreview:
    """The figures of an action on a target; `emails` is the one that may differ a little.

    `target` names what the action is on: an SKU, a shopper's id, a digest of a file.
    """

    action: str
    target: str
    emails: int = 0
    facts: tuple[str, ...] = ()

    def is_as_agreed(self, agreed: "ActionPreview") -> bool:
        """Return whether the action would still do what a merchant agreed to, up to some signups."""
        if (self.action, self.target, self.facts) != (agreed.action, agreed.target, agreed.facts):
            return False
        difference = abs(self.emails - agreed.emails)
        return difference <= max(PEOPLE_MORE_MAX, ceil(agreed.emails * SHARE_MORE_MAX))


class PreviewTokens:
    """Signs previews, and reads them back. `signing_keys` are newest first."""

    def __init__(self, signing_keys: Sequence[str], clock_ms: Callable[[], int]) -> None:
        self._oldest_first = list(reversed(signing_keys))
        self._clock_ms = clock_ms

    def sign(self, merchant: "MerchantId", preview: ActionPreview) -> str:
        """Return the token of a preview that a merchant sees now."""
        values: Mapping[str, Any] = {
            "m": merchant,
            "a": preview.action,
            "t": preview.target,
            "e": preview.emails,
            "f": preview.facts,
        }
        return str(self._serializer().dumps(values))

    def read(self, token: str, merchant: "MerchantId") -> ActionPreview:
        """Return the preview that a merchant agrees to.

        Raises:
            PreviewRefused: the token is not ours, another merchant's, or older than `PREVIEW_S`.
        """
        from itsdangerous import BadData

        if len(token) > TOKEN_CHARS_MAX:
            raise PreviewRefused
        try:
            values = self._serializer(ahead_s=CLOCK_SKEW_S).loads(token, max_age=PREVIEW_S + CLOCK_SKEW_S)
        except (BadData, ValueError):
            raise PreviewRefused from None
        if values["m"] != merchant:
            raise PreviewRefused
        return ActionPreview(values["a"], values["t"], values["e"], tuple(values["f"]))

    def _serializer(self, *, ahead_s: int = 0) -> "URLSafeTimedSerializer":
        now_s = self._clock_ms() // 1000 + ahead_s
        return dated_serializer(self._oldest_first, "spillway.merchant.preview", now_s=now_s)
