"""How long emails take at SES's pace, and which pace is needed."""

from collections.abc import Sequence

from spillway.preflight.email_queue import EmailQueue
from spillway.preflight.limits import Limits

# Emails are waited for until all are sent, but not for ever.
TAIL_S_MAX = 14 * 24 * 3600
TAIL_STEP_S = 60


def fan_out_s(emails: int, limits: Limits) -> int:
    """How long it takes until the last of `emails` has been told of a restock, at SES's pace."""
    queue = EmailQueue(per_s=limits.emails_per_s.value, per_day=limits.emails_per_day.value)
    queue.put(emails, at_s=0)
    at_s = 0
    while queue.depth and at_s < TAIL_S_MAX:
        queue.send(at_s=at_s, for_s=TAIL_STEP_S)
        at_s += TAIL_STEP_S
    return at_s


def emails_per_s_needed(accepted_per_s: Sequence[int], *, wait_s_max: int) -> float:
    """The lowest pace of SES at which no confirmation email waits longer than `wait_s_max`."""
    low, high = 0.0, float(max(max(accepted_per_s, default=0), 1))
    for _ in range(24):
        middle = (low + high) / 2
        if _wait_s_max(accepted_per_s, middle) <= wait_s_max:
            high = middle
        else:
            low = middle
    return high


def _wait_s_max(accepted_per_s: Sequence[int], pace: float) -> float:
    # First come, first served: who joins now waits for as long as those before take.
    worst = depth = 0.0
    for accepted in accepted_per_s:
        depth = max(0.0, depth + accepted - pace)
        worst = max(worst, depth / pace)
    return worst
