"""Rows of the merchant table that make an action of the page happen once, and the last retry of each queue.

`action` / MERCHANT#KEY holds the answer of an action under the key of its dialog. `retry` / QUEUE holds what
became of the failed jobs that a merchant asked to process again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.tables.expressions import Attr
from chalicelib.tables.merchant import MerchantRowKind
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.domain.merchant import MerchantId

ACTION_KEPT_S = 24 * 3600
RETRY_KEPT_S = 30 * 24 * 3600
# Longer than a function of the API runs: one that began and did not finish by then is dead.
UNDER_WAY_MS = 30_000
ANSWER_BYTES_MAX = 300_000


class ActionKeyInUse(Exception):
    """The key belongs to another request (`other`), or its action is under way."""

    def __init__(self, *, other: bool) -> None:
        super().__init__()
        self.other = other


@dataclass(frozen=True, slots=True)
class Retry:
    """The last retry of a queue's failed jobs; `ended_at_ms` is None while it is under way.

    `put_back` jobs are processed again, `failed` ones failed again and stay, `gone` ones are too old.
    """

    queue: str
    requested_at_ms: int
    ended_at_ms: int | None = None
    put_back: int = 0
    failed: int = 0
    gone: int = 0


class ActionsTable:
    """Reads and writes the rows."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def begin(self, merchant: "MerchantId", key: str, digest: str, *, at_ms: int) -> Mapping[str, Any] | None:
        """Take a key for an action, or return the answer that it had.

        Args:
            merchant: who acts.
            key: the key of the dialog.
            digest: that of the request.
            at_ms: the time of now.

        Returns:
            None when the action is to be done now: the key is new, or its action died half-way.

        Raises:
            ActionKeyInUse: another request has the key, or the action is under way.
        """
        row = {
            **_action_key(merchant, key),
            "digest": digest,
            "at_ms": at_ms,
            "expires_at_s": at_ms // 1000 + ACTION_KEPT_S,
        }
        is_dead = (
            Attr("digest").eq(digest) & Attr("answer").not_exists() & Attr("at_ms").lt(at_ms - UNDER_WAY_MS)
        )
        if self.table.put_if(row, Attr("key").not_exists() | is_dead):
            return None
        item = self.table.get(_action_key(merchant, key)) or {}
        if item.get("digest") != digest:
            raise ActionKeyInUse(other=True)
        if "answer" not in item:
            raise ActionKeyInUse(other=False)
        answer: Mapping[str, Any] = json.loads(item["answer"])
        return answer

    def finish(self, merchant: "MerchantId", key: str, answer: Mapping[str, Any]) -> None:
        """Store the answer of an action, for the same request again."""
        text = json.dumps(answer, sort_keys=True)
        if len(text) > ANSWER_BYTES_MAX:
            text = json.dumps({"done": True})
        self.table.update_if(_action_key(merchant, key), Attr("key").exists(), {"answer": text})

    def forget(self, merchant: "MerchantId", key: str) -> None:
        """Give a key back: its action was refused, and nothing was done."""
        self.table.delete(_action_key(merchant, key))

    def put_retry(self, retry: Retry) -> None:
        """Store the last retry of a queue."""
        known = {name: value for name, value in asdict(retry).items() if value is not None}
        expiry = {"expires_at_s": retry.requested_at_ms // 1000 + RETRY_KEPT_S}
        self.table.put({**MerchantRowKind.RETRY.key(retry.queue), **known, **expiry})

    def retries(self) -> dict[str, Retry]:
        """Return the last retry of each queue that had one."""
        items = self.table.query_all(Attr("kind").eq(MerchantRowKind.RETRY))
        names = Retry.__slots__
        found = [Retry(**{name: item[name] for name in names if name in item}) for item in items]
        return {retry.queue: retry for retry in found}


def _action_key(merchant: "MerchantId", key: str) -> dict[str, str]:
    return MerchantRowKind.ACTION.key(f"{merchant}#{key}")
