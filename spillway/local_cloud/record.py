"""Share between the processes of a local cloud: keys, addresses, settings and saved state."""

import json
import os
import secrets
import string
import time
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from spillway.errors import WorkFailed
from spillway.local_cloud import LAMBDA_INVOCATIONS_MAX
from spillway.project import private_file

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


RECORD_FILE = "cloud.json"


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
        with private_file(home / RECORD_FILE, replaces=True) as record:
            record.write(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """Return the record of the demo that runs, or None."""
        try:
            return cls(**json.loads((home / RECORD_FILE).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @staticmethod
    def remove(home: Path) -> None:
        """Say that nothing runs any more."""
        (home / RECORD_FILE).unlink(missing_ok=True)


# Where the emulator saves its functions, and how far each has read its stream.
STATE_FILE = "lambda.json"


def rewind(state: Path) -> int:
    """Set every stream's saved mark to its beginning. Returns how many there were.

    Raises:
        WorkFailed: a file of the saved state is not what this version of the emulator writes. The emulator
            would start without it, and write over it.
    """
    marks, saved = 0, None
    try:
        for file in sorted(state.glob("*.json")):
            held = json.loads(file.read_bytes())
            if file.name == STATE_FILE:
                marks, saved = with_reset_marks(held), held
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFailed(
            f"{file}: not the state of a local cloud that this version knows",
            hint="start afresh with --fresh; earlier signups are forgotten",
        ) from error
    if saved is not None:
        draft = state / f"{STATE_FILE}.draft"
        draft.write_text(json.dumps(saved))
        os.replace(draft, state / STATE_FILE)  # noqa: PTH105 - atomic, and it says so
    return marks


def with_reset_marks(saved: dict[str, Any]) -> int:
    """Set the marks inside the emulator's saved state to 0; return how many there are."""
    positions = saved["payload"]["dynamodb_stream_positions"]
    marks = positions["data"]
    positions["data"] = dict.fromkeys(marks, 0)
    return len(marks)


# Saving holds up every answer for as long as it takes: it may take a fiftieth of the time.
PAUSE_PER_SAVING = 50


async def save_regularly(every_s: float) -> None:
    """Save all there is, again and again, with at least `every_s` seconds in between."""
    # Imported here: commands that only read a record do not wait for these.
    import asyncio
    import logging

    from ministack import app

    logging.getLogger("persistence").setLevel(logging.WARNING)
    took_s = 0.0
    while True:
        await asyncio.sleep(max(every_s, PAUSE_PER_SAVING * took_s))
        began = time.monotonic()
        # On the loop that answers requests, so that none of them changes what is being written.
        app.save_all(app._build_persistence_save_dict())
        took_s = time.monotonic() - began


SETTINGS_VARIABLE = "SPILLWAY_CLOUD_DOOR"
LAMBDA_CONCURRENCY = 1_000
SAVE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """How strict the layer is, and how it knows those who need not sign.

    Args:
        door_secret: sent with requests that are no calls to AWS.
        ports: those whose address a call may have been signed for.
        refuse_members: whether calls are held to models and rules.
        invocations_max: how often a function may run in one chain of requests.
        concurrency: the account's quota of concurrent executions.
        save_every_s: how many seconds of work a killed emulator may lose.
    """

    door_secret: str = field(repr=False)
    ports: tuple[int, ...]
    refuse_members: bool = True
    invocations_max: int = LAMBDA_INVOCATIONS_MAX
    concurrency: int = LAMBDA_CONCURRENCY
    save_every_s: float = SAVE_EVERY_S

    def as_environment(self) -> dict[str, str]:
        """Return the environment variable that carries the settings to the emulator's process."""
        return {SETTINGS_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def take_from(cls, environment: MutableMapping[str, str]) -> Self:
        """Take the settings out of the environment, so that no function inherits them."""
        held = json.loads(environment.pop(SETTINGS_VARIABLE))
        return cls(**held | {"ports": tuple(held["ports"])})
