"""The autopilot's decisions: from an observation, within the operator's bounds, each with its reason.

AWS charges a raise of a table's warm throughput once, and has no way back; it costs nothing while it lasts.
Reserved concurrency is free both ways, and is lowered again after the flood.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import ceil
from typing import Any


class AutopilotAction(StrEnum):
    """An action of a control, by the name it has in the action log."""

    WARM_TABLE = "warm_table"
    RAISE_CONCURRENCY = "raise_concurrency"
    LOWER_CONCURRENCY = "lower_concurrency"
    PAUSE_SENDING = "pause_sending"
    ALERT_DEAD_LETTERS = "alert_dead_letters"
    RESET_DEAD_LETTER_COUNT = "reset_dead_letter_count"

    @property
    def text(self) -> str:
        """The action in words, for a person."""
        return _TEXTS[self]


class Control(StrEnum):
    """The controls, by the name an operator picks them with."""

    TABLE = "table"
    CONCURRENCY = "concurrency"
    SENDING = "sending"
    DEAD_LETTERS = "dead-letters"


_TEXTS = {
    AutopilotAction.WARM_TABLE: "warm the entries table",
    AutopilotAction.RAISE_CONCURRENCY: "reserve concurrency for the API",
    AutopilotAction.LOWER_CONCURRENCY: "release the API's reserved concurrency",
    AutopilotAction.PAUSE_SENDING: "pause sending",
    AutopilotAction.ALERT_DEAD_LETTERS: "alert about dead letters",
    AutopilotAction.RESET_DEAD_LETTER_COUNT: "reset the count of reported dead letters",
}
CONTROL_OF = {
    AutopilotAction.WARM_TABLE: Control.TABLE,
    AutopilotAction.RAISE_CONCURRENCY: Control.CONCURRENCY,
    AutopilotAction.LOWER_CONCURRENCY: Control.CONCURRENCY,
    AutopilotAction.PAUSE_SENDING: Control.SENDING,
    AutopilotAction.ALERT_DEAD_LETTERS: Control.DEAD_LETTERS,
    AutopilotAction.RESET_DEAD_LETTER_COUNT: Control.DEAD_LETTERS,
}


# The autopilot acts on a spike before it fills the capacity: at this share of it.
ACT_AT_SHARE = 0.5
# The capacity that it makes, as a multiple of the observed use.
ROOM_FACTOR = 3
CALM_SHARE = 0.1
# Fewer Lambda instances at work than this are an ordinary day.
SPIKE_INSTANCES = 50
# SES pauses an account at 10 % bounces and 0.5 % complaints. These are SES's own rates, over all
# that the account sends; the limits for a shop's own emails are stricter (`deliverability`).
ACCOUNT_BOUNCE_RATE_MAX = 0.08
ACCOUNT_COMPLAINT_RATE_MAX = 0.004


# Write units a second and Lambda instances: far more than an account has by default.
UNITS_MOST = 200_000
CONCURRENCY_MOST = 50_000


@dataclass(frozen=True, slots=True)
class RuleBounds:
    """The bounds that a merchant's rule set, within the operator's; None where it leaves one alone."""

    entries_write_units_max: int | None = None
    api_concurrency_max: int | None = None

    @property
    def text(self) -> str:
        """The bounds in words, for a person."""
        return ", ".join(
            f"{name} {'as the stack says' if value is None else f'{value:,}'}"
            for name, value in (
                ("write units", self.entries_write_units_max),
                ("instances", self.api_concurrency_max),
            )
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """The operator's upper bounds. 0 turns a control off."""

    entries_write_units_max: int = 0
    api_concurrency_max: int = 0

    def within(self, rule: RuleBounds) -> "Bounds":
        """Return the bounds that hold: a rule's, and never more than the operator's."""
        pairs = (
            (self.entries_write_units_max, rule.entries_write_units_max),
            (self.api_concurrency_max, rule.api_concurrency_max),
        )
        return Bounds(*(own if wanted is None else min(own, wanted) for own, wanted in pairs))


@dataclass(frozen=True, slots=True)
class Observation:
    """The metrics of the last minutes. `dead_letters_before` is the count of the last alert."""

    writes_per_s: float
    warm_write_units: int
    concurrent: float
    concurrency_reserved: int
    bounce_rate: float = 0.0
    complaint_rate: float = 0.0
    sending: bool = True
    dead_letters: int = 0
    dead_letters_before: int = 0


@dataclass(frozen=True, slots=True)
class AutopilotDecision:
    """An action, its new value, and the reason in words for a person."""

    action: AutopilotAction
    value: int
    why: str

    def to_document(self) -> dict[str, Any]:
        """Return the fields of a line of the action log."""
        return asdict(self)


def decide(observation: Observation, bounds: Bounds) -> tuple[AutopilotDecision, ...]:
    """Return the decisions about an observation; equal observations lead to equal decisions."""
    return tuple(
        decision
        for decision in (
            _table(observation, bounds),
            _concurrency(observation, bounds),
            _sending(observation),
            _dead_letters(observation),
        )
        if decision is not None
    )


def _table(observation: Observation, bounds: Bounds) -> AutopilotDecision | None:
    wanted = min(ceil(observation.writes_per_s * ROOM_FACTOR), bounds.entries_write_units_max)
    if (
        observation.writes_per_s < observation.warm_write_units * ACT_AT_SHARE
        or wanted <= observation.warm_write_units
    ):
        return None
    why = (
        f"{observation.writes_per_s:,.0f} writes/s, "
        f"of {observation.warm_write_units:,} that the table takes at once"
    )
    return AutopilotDecision(AutopilotAction.WARM_TABLE, wanted, why)


def _concurrency(observation: Observation, bounds: Bounds) -> AutopilotDecision | None:
    if not bounds.api_concurrency_max:
        return None
    wanted = min(ceil(observation.concurrent * ROOM_FACTOR), bounds.api_concurrency_max)
    spike = observation.concurrent >= max(SPIKE_INSTANCES, observation.concurrency_reserved * ACT_AT_SHARE)
    if spike and wanted > observation.concurrency_reserved:
        held = (
            f"{observation.concurrency_reserved:,} are reserved"
            if observation.concurrency_reserved
            else "none are reserved"
        )
        return AutopilotDecision(
            AutopilotAction.RAISE_CONCURRENCY,
            wanted,
            f"{observation.concurrent:,.0f} instances at work, {held}",
        )
    if (
        observation.concurrency_reserved
        and observation.concurrent < observation.concurrency_reserved * CALM_SHARE
    ):
        why = (
            f"{observation.concurrent:,.0f} at work, "
            f"of {observation.concurrency_reserved:,} reserved: the flood is over"
        )
        return AutopilotDecision(AutopilotAction.LOWER_CONCURRENCY, 0, why)
    return None


def _sending(observation: Observation) -> AutopilotDecision | None:
    if not observation.sending:
        return None
    if observation.complaint_rate > ACCOUNT_COMPLAINT_RATE_MAX:
        return AutopilotDecision(
            AutopilotAction.PAUSE_SENDING, 0, f"complaints at {observation.complaint_rate:.2%}"
        )
    if observation.bounce_rate > ACCOUNT_BOUNCE_RATE_MAX:
        return AutopilotDecision(
            AutopilotAction.PAUSE_SENDING, 0, f"bounces at {observation.bounce_rate:.1%}"
        )
    return None


def _dead_letters(observation: Observation) -> AutopilotDecision | None:
    if observation.dead_letters == observation.dead_letters_before:
        return None
    if observation.dead_letters < observation.dead_letters_before:
        why = f"{observation.dead_letters_before:,} were reported, {observation.dead_letters:,} are left"
        return AutopilotDecision(AutopilotAction.RESET_DEAD_LETTER_COUNT, observation.dead_letters, why)
    why = (
        f"{observation.dead_letters:,} wait for a person, "
        f"{observation.dead_letters_before:,} of them reported before"
    )
    return AutopilotDecision(AutopilotAction.ALERT_DEAD_LETTERS, observation.dead_letters, why)
