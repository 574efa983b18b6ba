"""The arguments that everything is built from: settings, secrets, the clock and new ids.

Settings are the names of the stack's resources, from the environment of a function or a stack's outputs.
Secrets come from Secrets Manager and not from Parameter Store, whose 40 reads a second would throttle a flood
of signups: 1,000 new Lambda instances in ten seconds read the secret once each.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

# Only the function that refreshes pages knows the distribution; only a shop with a domain knows its origin;
# only the autopilot's function knows its bounds; only two functions know the first merchants.
OF_THE_AUTOPILOT = frozenset(
    {
        "api_concurrency_max",
        "api_function",
        "dead_letter_queue_urls",
        "entries_write_units_max",
        "autopilot_mode",
    }
)
OPTIONAL = OF_THE_AUTOPILOT | frozenset(
    {
        *("confirmation_delay_s", "distribution_id", "merchant_addresses", "shop_origin", "smtp_secret"),
        *("feedback_queue_url", "inbound_queue_url", "traffic_queue_url", "retries_queue_url"),
        *("stock_accounts_secret", "traffic_bucket", "traffic_logs", "traffic_salts_secret"),
        *("feedback_topic", "metrics_namespace"),
        *("domain_event_bus", "domain_events_queue_url"),
        *("webhook_deliveries_queue_url", "webhook_dead_letters_queue_url", "webhook_secrets"),
    }
)


class SettingsMissing(RuntimeError):
    """The environment lacks names; the message lists them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the stack's resources.

    The template sets each of them for every function, except the distribution, which is made from the API's
    function and so cannot be known to it.
    """

    entries_table: str
    products_table: str
    restocks_table: str
    suppressions_table: str
    sending_table: str
    demand_table: str
    events_table: str
    merchant_table: str
    pages_bucket: str
    release_bucket: str
    signing_keys_secret: str
    merchant_keys_secret: str
    source_secrets: str
    confirmations_queue_url: str
    waves_queue_url: str
    configuration_set: str
    alarms_topic: str
    distribution_id: str | None = None
    feedback_topic: str | None = None
    smtp_secret: str | None = None
    shop_origin: str | None = None
    metrics_namespace: str | None = None
    traffic_logs: str | None = None
    traffic_bucket: str | None = None
    traffic_salts_secret: str | None = None
    stock_accounts_secret: str | None = None
    merchant_addresses: str | None = None
    retries_queue_url: str | None = None
    webhook_deliveries_queue_url: str | None = None
    webhook_dead_letters_queue_url: str | None = None
    webhook_secrets: str | None = None
    feedback_queue_url: str | None = None
    inbound_queue_url: str | None = None
    domain_events_queue_url: str | None = None
    domain_event_bus: str | None = None
    traffic_queue_url: str | None = None
    autopilot_mode: str | None = None
    api_function: str | None = None
    dead_letter_queue_urls: tuple[str, ...] = ()
    entries_write_units_max: int = 0
    api_concurrency_max: int = 0
    confirmation_delay_s: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Return the settings of `environment`: each field under its name in capitals.

        Raises:
            SettingsMissing: a required name is absent.
        """
        values: dict[str, Any] = {
            field.name: environment.get(field.name.upper()) or None for field in fields(cls)
        }
        missing = [name.upper() for name, value in values.items() if not value and name not in OPTIONAL]
        if missing:
            raise SettingsMissing(f"not set in the environment: {', '.join(missing)}")
        values["dead_letter_queue_urls"] = tuple((values["dead_letter_queue_urls"] or "").split())
        for bound in ("entries_write_units_max", "api_concurrency_max", "confirmation_delay_s"):
            values[bound] = int(values[bound] or 0)
        return cls(**values)

    def known(self, name: str) -> str:
        """Return the value of an optional setting that this function cannot work without.

        Raises:
            SettingsMissing: it is absent.
        """
        value = getattr(self, name)
        if value is None:
            raise SettingsMissing(f"not set in the environment: {name.upper()}")
        return str(value)


@dataclass(frozen=True, slots=True)
class Keys:
    """`identity` makes shoppers' ids and never changes; the `signing` keys sign links, newest first."""

    identity: bytes
    signing: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> "Keys":
        """Return the keys of a secret: {"root": TEXT, "signing": [TEXT, ...]}.

        "signing" is there after a rotation, newest first.
        """
        document = json.loads(text)
        root = document["root"]
        return cls(identity=root.encode(), signing=tuple(document.get("signing") or [root]))


class SecretsReader(Protocol):
    """A client that reads secrets: boto3's, or ours for a signup's calls."""

    @property
    def get_secret_value(self) -> Callable[..., Any]:
        """Secrets Manager's GetSecretValue."""


def read_keys(client: SecretsReader, secret_id: str) -> Keys:
    """Return the keys stored under `secret_id`."""
    return Keys.from_json(client.get_secret_value(SecretId=secret_id)["SecretString"])


def clock_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """Return an id that was never returned before."""
    import uuid

    return uuid.uuid4().hex
