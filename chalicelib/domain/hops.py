"""How often work may queue itself again before a person has to look.

A function that sends to the queue it reads from would go on for ever if something never came true, and
AWS is told not to stop it (recursive loop detection would, after 16 hops of honest work). So each message
counts its `hops`, and its `tries`: hops in a row that moved nothing forward. Past a maximum it is refused,
and ends in its dead letter queue. Redriving it begins a new count.
"""

from chalicelib.domain.entry import CONFIRM_WITHIN_S
from chalicelib.domain.rate_limits import BACK_OFF_S_MAX, back_off_s

DAY_S = 24 * 3600
# Waits grow with the tries, 2 s and doubled, to a quarter of an hour; jitter halves one at most.
WAIT_S_MIN = BACK_OFF_S_MAX // 2
RAMP_HOPS = 10
# A turn or a lease may be missed so often before its wait grows.
SHORT_WAITS_MAX = 5
# A quota used up comes back within a day, a paused account when somebody resumes it.
PAUSE_DAYS_MAX = 30
TRIES_MAX = SHORT_WAITS_MAX + RAMP_HOPS + PAUSE_DAYS_MAX * DAY_S // WAIT_S_MIN

# The whole of a chain. Two million wait for one variant, in eight shards; each hop that moves forward
# settles one shopper at least, and a shard is walked twice.
ENTRIES_PER_SHARD_MAX = 250_000
WALKS_PER_SHARD = 2
# Days of quotas, pauses between limited waves, pauses of the account: as long as counters are kept.
CHAIN_DAYS_MAX = 400
WAVE_HOPS_MAX = (
    WALKS_PER_SHARD * ENTRIES_PER_SHARD_MAX * (1 + SHORT_WAITS_MAX) + CHAIN_DAYS_MAX * DAY_S // WAIT_S_MIN
)

# One email whose mailbox says "later" is tried again after so long each, then given up: longer than
# grey lists and a day's quota.
DEFERRED_S = (60, 300, 900, 3600, 6 * 3600, 24 * 3600)
# A confirmation is not asked for after 72 h. Until then each wait is a quarter of an hour, or half of it,
# after a ramp of short ones: one to begin with, one after each deferral, each with the deferral's own hop.
UNCLEAR_HOPS = 1
EMAIL_HOPS_MAX = (1 + len(DEFERRED_S)) * (RAMP_HOPS + 1) + UNCLEAR_HOPS + CONFIRM_WITHIN_S // WAIT_S_MIN


class ChainTooLong(RuntimeError):
    """A message has queued itself again more often than its work can need."""


def wait_s(asked_s: int, tries: int, chance: float) -> int:
    """Return how many seconds to wait, after `tries` hops in a row without progress.

    `asked_s` is what the reason of the wait asks for; `chance` in [0, 1) spreads who waits alike.
    """
    grown_s = back_off_s(tries - SHORT_WAITS_MAX, chance) if tries > SHORT_WAITS_MAX else 0
    return min(BACK_OFF_S_MAX, max(asked_s, grown_s))


def early_s(not_before_ms: int, now_ms: int) -> int:
    """Return how many seconds a queue is to keep a message back that is not due; 0 when it is.

    A queue does so for a quarter of an hour at most: it may take several rounds.
    """
    return min(max(0, -(-(not_before_ms - now_ms) // 1000)), BACK_OFF_S_MAX)
