"""Settings: the names of the stack's resources, from the environment of a function or a stack's outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# Only the function that refreshes pages knows the distribution; only a shop with a domain knows its origin;
# only the autopilot's function knows its bounds.
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
    {"confirmation_delay_s", "distribution_id", "shop_origin", "smtp_secret"}
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
    pages_bucket: str
    release_bucket: str
    signing_keys_secret: str
    merchant_keys_secret: str
    confirmations_queue_url: str
    waves_queue_url: str
    configuration_set: str
    feedback_topic: str
    alarms_topic: str
    distribution_id: str = ""
    smtp_secret: str = ""
    shop_origin: str = ""
    autopilot_mode: str = ""
    api_function: str = ""
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
            field.name: environment.get(field.name.upper(), "") for field in fields(cls)
        }
        missing = [name.upper() for name, value in values.items() if not value and name not in OPTIONAL]
        if missing:
            raise SettingsMissing(f"not set in the environment: {', '.join(missing)}")
        values["dead_letter_queue_urls"] = tuple(values["dead_letter_queue_urls"].split())
        for bound in ("entries_write_units_max", "api_concurrency_max", "confirmation_delay_s"):
            values[bound] = int(values[bound] or 0)
        return cls(**values)
