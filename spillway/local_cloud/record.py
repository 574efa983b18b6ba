"""The keys of a running local cloud, and the file that records where it is reached."""

import json
import secrets
import string
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from spillway.private_file import private_file

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


FILE_NAME = "cloud.json"


@dataclass(frozen=True, slots=True)
class CloudRecord:
    """The addresses of a running local cloud, and the credentials of its root."""

    endpoint_url: str
    region: str
    shop_url: str
    inbox_url: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def port(self) -> int:
        """The port of the cloud's endpoint."""
        return int(self.endpoint_url.rpartition(":")[2])

    def write(self, home: Path) -> None:
        """Leave this record in the local cloud's folder."""
        with private_file(home / FILE_NAME, replaces=True) as record:
            record.write(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """Return the record of the demo that runs, or None."""
        try:
            return cls(**json.loads((home / FILE_NAME).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @staticmethod
    def remove(home: Path) -> None:
        """Say that nothing runs any more."""
        (home / FILE_NAME).unlink(missing_ok=True)
