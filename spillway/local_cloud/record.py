"""The record of a running demo for other commands: addresses and credentials of its local cloud."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from spillway.private_file import private_file

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
        """The record of the demo that runs, or None."""
        try:
            return cls(**json.loads((home / FILE_NAME).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @staticmethod
    def remove(home: Path) -> None:
        """Say that nothing runs any more."""
        (home / FILE_NAME).unlink(missing_ok=True)
