"""The shop's secrets, from AWS Secrets Manager.

Secrets Manager and not Parameter Store, whose 40 reads a second would throttle the very flood this
is made for: 1,000 new environments in ten seconds read the secret once each.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Keys:
    """`identity` makes shoppers' ids and never changes; `signing` sign links, newest first."""

    identity: bytes
    signing: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> "Keys":
        """Keys of a secret: {"root": TEXT} as the stack generates it, with "signing": [TEXT, ...],
        newest first, once the signing keys have been rotated."""
        document = json.loads(text)
        root = document["root"]
        return cls(identity=root.encode(), signing=tuple(document.get("signing") or [root]))


class Secrets(Protocol):
    """Anything that reads a secret: boto3's client, or ours for a shopper's calls."""

    @property
    def get_secret_value(self) -> Callable[..., Any]:
        """Secrets Manager's GetSecretValue."""


def read_keys(client: Secrets, secret_id: str) -> Keys:
    """The keys stored under `secret_id`."""
    return Keys.from_json(client.get_secret_value(SecretId=secret_id)["SecretString"])
