"""Closed controls that need no person: observe, decide within the operator's bounds, act, and log why.

Raising a table's warm throughput is charged once and cannot be taken back; it costs nothing while it
stands. Reserved concurrency is free both ways, and is lowered again once the flood is over.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import ceil
from typing import Any


class Action(StrEnum):
    """What a control can do."""

    WARM_TABLE = "warm the entries table"
    RAISE_CONCURRENCY = "set environments aside for the API"
    LOWER_CONCURRENCY = "share the API's environments again"
    PAUSE_SENDING = "pause sending"
    NOTICE_DEAD_LETTERS = "tell of dead letters"
    COUNT_DEAD_LETTERS_AGAIN = "count dead letters anew"


class Control(StrEnum):
    """The controls, by the name an operator picks them with."""

    TABLE = "table"
    CONCURRENCY = "concurrency"
    SENDING = "sending"
    DEAD_LETTERS = "dead-letters"


CONTROL_OF = {
    Action.WARM_TABLE: Control.TABLE,
    Action.RAISE_CONCURRENCY: Control.CONCURRENCY,
    Action.LOWER_CONCURRENCY: Control.CONCURRENCY,
    Action.PAUSE_SENDING: Control.SENDING,
    Action.NOTICE_DEAD_LETTERS: Control.DEAD_LETTERS,
    Action.COUNT_DEAD_LETTERS_AGAIN: Control.DEAD_LETTERS,
}


# A spike is met before it fills what there is: at this share of it.
ACT_AT_SHARE = 0.5
# Room that is made, over what was just observation.
ROOM_FACTOR = 3
CALM_SHARE = 0.1
# Fewer environments at work than this are an ordinary day.
SPIKE_ENVIRONMENTS = 50
# SES pauses an account at 10 % bounces and 0.5 % complaints. These are the rates that SES itself reckons,
# over all that the account sends; a shop's own emails of a day are watched more strictly (`feedback`).
ACCOUNT_BOUNCE_RATE_MAX = 0.08
ACCOUNT_COMPLAINT_RATE_MAX = 0.004


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the controls may go. 0 leaves that alone."""

    entries_write_units_max: int = 0
    api_concurrency_max: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What the metrics of the last minutes say. `dead_letters_before` is what was told of already."""

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
class Decision:
    """What to do, to which value, and why, in a sentence for the log."""

    action: Action
    value: int
    why: str

    def to_document(self) -> dict[str, Any]:
        """A line of the log."""
        return asdict(self)


def decide(observation: Observation, bounds: Bounds) -> tuple[Decision, ...]:
    """What is to be done about what was observation. Changes nothing; the same sight, the same decision."""
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


def _table(observation: Observation, bounds: Bounds) -> Decision | None:
    wanted = min(ceil(observation.writes_per_s * ROOM_FACTOR), bounds.entries_write_units_max)
    if (
        observation.writes_per_s < observation.warm_write_units * ACT_AT_SHARE
        or wanted <= observation.warm_write_units
    ):
        return None
    why = (
        f"{observation.writes_per_s:,.0f} writes/s, "
        f"of {observation.warm_write_units:,} that the table takes in at once"
    )
    return Decision(Action.WARM_TABLE, wanted, why)


def _concurrency(observation: Observation, bounds: Bounds) -> Decision | None:
    if not bounds.api_concurrency_max:
        return None
    wanted = min(ceil(observation.concurrent * ROOM_FACTOR), bounds.api_concurrency_max)
    spike = observation.concurrent >= max(SPIKE_ENVIRONMENTS, observation.concurrency_reserved * ACT_AT_SHARE)
    if spike and wanted > observation.concurrency_reserved:
        held = (
            f"{observation.concurrency_reserved:,} are set aside"
            if observation.concurrency_reserved
            else "none are set aside"
        )
        return Decision(
            Action.RAISE_CONCURRENCY, wanted, f"{observation.concurrent:,.0f} environments at work, {held}"
        )
    if (
        observation.concurrency_reserved
        and observation.concurrent < observation.concurrency_reserved * CALM_SHARE
    ):
        why = (
            f"{observation.concurrent:,.0f} at work, "
            f"of {observation.concurrency_reserved:,} set aside: the flood is over"
        )
        return Decision(Action.LOWER_CONCURRENCY, 0, why)
    return None


def _sending(observation: Observation) -> Decision | None:
    if not observation.sending:
        return None
    if observation.complaint_rate > ACCOUNT_COMPLAINT_RATE_MAX:
        return Decision(Action.PAUSE_SENDING, 0, f"complaints at {observation.complaint_rate:.2%}")
    if observation.bounce_rate > ACCOUNT_BOUNCE_RATE_MAX:
        return Decision(Action.PAUSE_SENDING, 0, f"bounces at {observation.bounce_rate:.1%}")
    return None


def _dead_letters(observation: Observation) -> Decision | None:
    if observation.dead_letters == observation.dead_letters_before:
        return None
    if observation.dead_letters < observation.dead_letters_before:
        why = f"{observation.dead_letters_before:,} were told of, {observation.dead_letters:,} are left"
        return Decision(Action.COUNT_DEAD_LETTERS_AGAIN, observation.dead_letters, why)
    why = (
        f"{observation.dead_letters:,} wait for a person, "
        f"{observation.dead_letters_before:,} of them told of before"
    )
    return Decision(Action.NOTICE_DEAD_LETTERS, observation.dead_letters, why)
