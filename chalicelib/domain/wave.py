"""Waves: how many shoppers are notified at a time, and the messages of the waves queue.

Messages hold ids only, so that an erased shopper leaves nothing behind in the queue.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from chalicelib.domain.ids import ShopperId, Sku

BATCH_ENTRIES_MAX = 50
WAVE_PAUSE_MIN_MAX = 24 * 60
EMAILS_PER_UNIT_MAX = 100
UNITS_MIN_MAX = 10_000
MS_PER_MIN = 60_000
# A wave without a limit of its own: more emails than shoppers wait.
NO_LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class WavePolicy:
    """How many shoppers are notified of a restock at a time.

    `emails_per_unit` None notifies everyone. Else a wave notifies that many for each unit there is, and
    the next one follows `next_after_min` minutes later, if there are units then. Nobody is notified of
    fewer units than `units_min`. Where a shop does not count its units, everyone is notified.
    """

    emails_per_unit: int | None = None
    next_after_min: int = 30
    units_min: int = 1

    def enough(self, units: int | None) -> bool:
        """Return whether so many units are worth an email; None for a shop that does not count."""
        return units is None or units >= self.units_min

    def emails_for(self, units: int | None) -> int | None:
        """Return how many emails one wave may send for so many units on offer; None is no limit."""
        if self.emails_per_unit is None or units is None:
            return None
        return self.emails_per_unit * units if self.enough(units) else 0

    @property
    def pause_ms(self) -> int:
        """Return the pause after the last email of a wave before the next, in milliseconds."""
        return self.next_after_min * MS_PER_MIN


EVERYONE = WavePolicy()


@dataclass(frozen=True, slots=True)
class WaveBudget:
    """The emails of a variant's limited wave, across all its restocks.

    `number` is that of the wave begun last (0: none so far). It has `granted` emails in all, of which
    `left` are not sent; the last one was sent at `last_email_at_ms`. Wave `announced` of the restock
    `announced_for` waits in the queue.
    """

    number: int = 0
    granted: int = 0
    left: int = 0
    last_email_at_ms: int = 0
    announced: int = 0
    announced_for: str | None = None

    def next_wave_at_ms(self, policy: WavePolicy) -> int:
        """Return when the next wave may begin: a pause after the last email of this one."""
        return self.last_email_at_ms + policy.pause_ms if self.last_email_at_ms else 0

    def settled(self, units: int | None, policy: WavePolicy, *, now_ms: int) -> "WaveBudget":
        """Return the budget for so many units on offer now.

        After the pause a wave begins, with emails for all of them. Until then, units that were sold take
        those unsent emails back that exceed the units left, and units add emails only above the most that
        this wave had emails for: a unit that is sold and returned was offered already.
        """
        size = policy.emails_for(units)
        allowed = NO_LIMIT if size is None else size
        if self.number == 0 or (self.last_email_at_ms and now_ms >= self.next_wave_at_ms(policy)):
            return WaveBudget(self.number + 1, allowed, allowed, 0, self.announced, self.announced_for)
        left = min(self.left, allowed)
        granted = self.granted - (self.left - left)
        more = max(0, allowed - granted)
        return replace(self, granted=granted + more, left=left + more)

    def is_announced(self, restock_id: str) -> bool:
        """Return whether the wave after this one waits in the queue, for this very restock."""
        return self.announced_for == restock_id and self.announced > self.number


@dataclass(frozen=True, slots=True)
class ShardStep:
    """Notify the next shoppers of one shard, in positions after `after`.

    A `sweep` walks the shard once more at the end, for entries the index showed late. `tries` counts
    how often this step was put back in a row, `hops` how often since the restock was opened.
    """

    restock_id: str
    sku: Sku
    shard: str
    after: str = ""
    sweep: bool = False
    tries: int = 0
    hops: int = 0
    # A step is due as soon as it is seen.
    not_before_ms: ClassVar[int] = 0

    def next(self, last_position: str | None) -> "ShardStep | None":
        """Return the step after one that ended at `last_position`; None for a position is the shard's end."""
        if last_position is not None:
            return replace(self, after=last_position, tries=0)
        return None if self.sweep else replace(self, after="", sweep=True, tries=0)


@dataclass(frozen=True, slots=True)
class LimitedWave:
    """Notify the first of all shards, in positions after `after`, as many as the wave has emails for.

    `number` is the wave it was queued for; 0 is the one under way. Not before `not_before_ms`: a queue keeps
    a message back for a quarter of an hour at most. `sweep`, `tries` and `hops` as in `ShardStep`.
    """

    restock_id: str
    sku: Sku
    number: int = 0
    not_before_ms: int = 0
    tries: int = 0
    after: str = ""
    sweep: bool = False
    hops: int = 0


@dataclass(frozen=True, slots=True)
class NotifyOne:
    """Notify one shopper, who confirmed while the variant was available, or whose email was deferred.

    `deferrals` counts how often it was; not before `not_before_ms`. `wave` is the limited wave that it is an
    email of, 0 where waves are not limited.
    """

    restock_id: str
    sku: Sku
    shopper: ShopperId
    tries: int = 0
    deferrals: int = 0
    not_before_ms: int = 0
    hops: int = 0
    wave: int = 0


WaveMessage = ShardStep | LimitedWave | NotifyOne
KINDS: dict[str, type[ShardStep] | type[LimitedWave] | type[NotifyOne]] = {
    "step": ShardStep,
    "wave": LimitedWave,
    "one": NotifyOne,
}


def to_json(message: WaveMessage) -> str:
    """Return the body of a queue message."""
    kind = next(name for name, message_type in KINDS.items() if isinstance(message, message_type))
    return json.dumps({"kind": kind, **asdict(message)}, sort_keys=True)


def from_json(body: str) -> WaveMessage:
    """Return the message of a body made by `to_json`.

    Raises:
        ValueError: the body is none of ours.
    """
    try:
        facts: dict[str, Any] = json.loads(body)
        return KINDS[facts.pop("kind")](**facts)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a wave message: {error}") from None
