"""The shop's secrets, from AWS Secrets Manager.

Secrets Manager and not Parameter Store, whose 40 reads a second would throttle a flood of signups: 1,000 new
Lambda instances in ten seconds read the secret once each.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Keys:
    """`identity` makes shoppers' ids and never changes; the `signing` keys sign links, newest first."""

    identity: bytes
    signing: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> "Keys":
        """Return the keys of a secret: {"root": TEXT}, and "signing": [TEXT, ...], newest first, after a
        rotation."""
        document = json.loads(text)
        root = document["root"]
        return cls(identity=root.encode(), signing=tuple(document.get("signing") or [root]))


class Secrets(Protocol):
    """A client that reads secrets: boto3's, or ours for a signup's calls."""

    @property
    def get_secret_value(self) -> Callable[..., Any]:
        """Secrets Manager's GetSecretValue."""


def read_keys(client: Secrets, secret_id: str) -> Keys:
    """Return the keys stored under `secret_id`."""
    return Keys.from_json(client.get_secret_value(SecretId=secret_id)["SecretString"])
