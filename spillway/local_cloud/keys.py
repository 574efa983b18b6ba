"""The keys of one start of the local cloud: nobody who lacks them is served."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Self

ACCESS_KEY_ALPHABET = string.ascii_uppercase + "234567"
ACCESS_KEY_LENGTH = 16
# Sent with requests that are no calls to AWS: of the front door, of the CDN to its origins, of health checks.
DOOR_HEADER = "x-spillway-door"


@dataclass(frozen=True, slots=True)
class CloudKeys:
    """The root's credentials, and the secret that stands in for them where nothing is signed."""

    access_key: str
    secret_key: str = field(repr=False)
    door_secret: str = field(repr=False)

    @classmethod
    def random(cls) -> Self:
        """Return new keys, each of at least 80 random bits."""
        name = "".join(secrets.choice(ACCESS_KEY_ALPHABET) for _ in range(ACCESS_KEY_LENGTH))
        return cls(f"AKIA{name}", secrets.token_urlsafe(30), secrets.token_urlsafe(30))
