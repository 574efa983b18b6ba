"""How many hear of a restock at once: one policy for the shop, and others for single products."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.domain.wave import EVERYONE, WavePolicy
from chalicelib.tables.dynamodb import batch_get

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SHOP = "policy#"


class PoliciesTable:
    """Rows `policy#` (the shop's) and `policy#SLUG` of the sending table."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def of(self, slug: str) -> WavePolicy:
        """The policy of a product: its own, or the shop's, or that everyone is notified."""
        keys = [_key(each) for each in dict.fromkeys((slug, ""))]
        found = {
            item["id"]["S"]: item["policy"]["S"]
            for item in batch_get(self._client, self._name, keys, attributes=["id", "policy"])
        }
        text = found.get(f"policy#{slug}") or found.get(SHOP)
        return WavePolicy(**json.loads(text)) if text else EVERYONE

    def put(self, slug: str, policy: WavePolicy) -> None:
        """Set a product's policy (the shop's, when `slug` is empty). It counts from the next restock."""
        text = json.dumps(asdict(policy), sort_keys=True)
        self._client.put_item(TableName=self._name, Item={**_key(slug), "policy": {"S": text}})

    def remove(self, slug: str) -> None:
        """Let a product follow the shop's policy again."""
        self._client.delete_item(TableName=self._name, Key=_key(slug))


def _key(slug: str) -> dict[str, Any]:
    return {"id": {"S": f"policy#{slug}"}}
