"""Settings that the command which starts the strict layer hands to it."""

import json
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Self

VARIABLE = "SPILLWAY_CLOUD_DOOR"
LAMBDA_INVOCATIONS_MAX = 16
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
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def take_from(cls, environment: MutableMapping[str, str]) -> Self:
        """Take the settings out of the environment, so that no function inherits them."""
        held = json.loads(environment.pop(VARIABLE))
        return cls(**held | {"ports": tuple(held["ports"])})
