"""Closed loops, which need no person. Each looks, decides within the operator's bounds, acts, and says why.

Raising a table's warm throughput is charged once and cannot be taken back; it costs nothing while it
stands. Reserved concurrency is free both ways, and is lowered again once the flood is over.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import ceil
from typing import Any


class Action(StrEnum):
    """What a loop can do."""

    WARM_TABLE = "warm the entries table"
    RAISE_CONCURRENCY = "set environments aside for the API"
    LOWER_CONCURRENCY = "share the API's environments again"
    PAUSE_SENDING = "pause sending"
    NOTICE_DEAD_LETTERS = "tell of dead letters"
    COUNT_DEAD_LETTERS_ANEW = "count dead letters anew"


class Loop(StrEnum):
    """The loops, by the name an operator picks them with."""

    TABLE = "table"
    CONCURRENCY = "concurrency"
    SENDING = "sending"
    DEAD_LETTERS = "dead-letters"


LOOP_OF = {
    Action.WARM_TABLE: Loop.TABLE,
    Action.RAISE_CONCURRENCY: Loop.CONCURRENCY,
    Action.LOWER_CONCURRENCY: Loop.CONCURRENCY,
    Action.PAUSE_SENDING: Loop.SENDING,
    Action.NOTICE_DEAD_LETTERS: Loop.DEAD_LETTERS,
    Action.COUNT_DEAD_LETTERS_ANEW: Loop.DEAD_LETTERS,
}


# A spike is met before it fills what there is: at this share of it.
ACT_AT_SHARE = 0.5
# Room that is made, over what was just seen.
ROOM_FACTOR = 3
CALM_SHARE = 0.1
# Fewer environments at work than this are an ordinary day.
SPIKE_ENVIRONMENTS = 50
# SES pauses an account at 10 % bounces and 0.5 % complaints. These are the rates that SES itself reckons,
# over all that the account sends; a shop's own letters of a day are watched more strictly (`feedback`).
ACCOUNT_BOUNCE_RATE_MAX = 0.08
ACCOUNT_COMPLAINT_RATE_MAX = 0.004


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the loops may go. 0 leaves that alone."""

    entries_write_units_max: int = 0
    api_concurrency_max: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
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


def decide(seen: Seen, bounds: Bounds) -> tuple[Decision, ...]:
    """What is to be done about what was seen. Changes nothing; the same sight, the same decision."""
    return tuple(
        decision
        for decision in (
            _table(seen, bounds),
            _concurrency(seen, bounds),
            _sending(seen),
            _dead_letters(seen),
        )
        if decision is not None
    )


def _table(seen: Seen, bounds: Bounds) -> Decision | None:
    wanted = min(ceil(seen.writes_per_s * ROOM_FACTOR), bounds.entries_write_units_max)
    if seen.writes_per_s < seen.warm_write_units * ACT_AT_SHARE or wanted <= seen.warm_write_units:
        return None
    why = f"{seen.writes_per_s:,.0f} writes/s, of {seen.warm_write_units:,} that the table takes in at once"
    return Decision(Action.WARM_TABLE, wanted, why)


def _concurrency(seen: Seen, bounds: Bounds) -> Decision | None:
    if not bounds.api_concurrency_max:
        return None
    wanted = min(ceil(seen.concurrent * ROOM_FACTOR), bounds.api_concurrency_max)
    spike = seen.concurrent >= max(SPIKE_ENVIRONMENTS, seen.concurrency_reserved * ACT_AT_SHARE)
    if spike and wanted > seen.concurrency_reserved:
        held = (
            f"{seen.concurrency_reserved:,} are set aside"
            if seen.concurrency_reserved
            else "none are set aside"
        )
        return Decision(
            Action.RAISE_CONCURRENCY, wanted, f"{seen.concurrent:,.0f} environments at work, {held}"
        )
    if seen.concurrency_reserved and seen.concurrent < seen.concurrency_reserved * CALM_SHARE:
        why = f"{seen.concurrent:,.0f} at work, of {seen.concurrency_reserved:,} set aside: the flood is over"
        return Decision(Action.LOWER_CONCURRENCY, 0, why)
    return None


def _sending(seen: Seen) -> Decision | None:
    if not seen.sending:
        return None
    if seen.complaint_rate > ACCOUNT_COMPLAINT_RATE_MAX:
        return Decision(Action.PAUSE_SENDING, 0, f"complaints at {seen.complaint_rate:.2%}")
    if seen.bounce_rate > ACCOUNT_BOUNCE_RATE_MAX:
        return Decision(Action.PAUSE_SENDING, 0, f"bounces at {seen.bounce_rate:.1%}")
    return None


def _dead_letters(seen: Seen) -> Decision | None:
    if seen.dead_letters == seen.dead_letters_before:
        return None
    if seen.dead_letters < seen.dead_letters_before:
        why = f"{seen.dead_letters_before:,} were told of, {seen.dead_letters:,} are left"
        return Decision(Action.COUNT_DEAD_LETTERS_ANEW, seen.dead_letters, why)
    why = f"{seen.dead_letters:,} wait for a person, {seen.dead_letters_before:,} of them told of before"
    return Decision(Action.NOTICE_DEAD_LETTERS, seen.dead_letters, why)
