"""Puts the pieces together, once per environment and only when first needed: the cold start pays for
what the first request uses and no more.

Here is what everything is made with: the clock, the environment, clients, keys. `stores` says where
things are kept, `emails` how they are sent; `api` answers requests, `events` reacts to records.
"""

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.aws.services import Aws
from chalicelib.keys import Keys, read_keys
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.domain.form_stamp import FormStamps
    from chalicelib.domain.links import Links

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 10


def clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """An id that was never given before."""
    import uuid

    return uuid.uuid4().hex


@cache
def settings() -> Settings:
    """The environment, read once."""
    return Settings.from_environment(os.environ)


@cache
def client(service: Any, *, attempts_max: int = 4) -> Any:
    """A boto3 client that gives up before Lambda does. `attempts_max` counts the first try."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": attempts_max},
        # A fifth of the SDK's time; tests run with it on.
        parameter_validation=False,
    )
    return boto3.client(service, config=config)


@cache
def aws() -> Aws:
    """AWS for the calls of a signup, without the SDK."""
    return Aws(os.environ)


@cache
def keys() -> Keys:
    """The shop's secrets."""
    return read_keys(aws().secrets_manager(), settings().signing_keys_secret)


@cache
def links() -> "Links":
    """Signs and reads the links in emails."""
    from chalicelib.domain.links import Links

    return Links(keys().signing, clock_ms)


def form_stamps() -> "FormStamps":
    """The stamps of forms, as of now."""
    from chalicelib.domain.form_stamp import FormStamps

    return FormStamps.of(keys().identity, at_ms=clock_ms())
