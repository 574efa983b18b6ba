"""The prediction of preflight's throttle for the forms of a run: a check of the simulator by measurement.

The forms are those of the ledger, sent when they were sent; the token bucket is the simulator's, with the
limit that the stage was given; who is turned away tries again as patiently as the run's shoppers.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean

from loadtests.ledger import Line
from loadtests.retry import pauses_s
from spillway.preflight.cloud_model import TokenBucket

SEEDS = 40


@dataclass(frozen=True, slots=True)
class Prediction:
    """A measured figure and its prediction: the mean, the lowest and the highest of many draws."""

    what: str
    measured: int
    mean: float
    least: int
    most: int

    @property
    def within(self) -> bool:
        """Return whether the run lies within the range of the draws."""
        return self.least <= self.measured <= self.most


def predict(
    lines: Iterable[Line], *, calls_per_s: float, burst: int, answer_s: float = 0.0
) -> list[Prediction]:
    """Return rejections and given-up forms, measured and predicted; an answer takes `answer_s` seconds."""
    book = [line for line in lines if line.statuses]
    sent_at_s = [line.at_s for line in book]
    draws = [_play(sent_at_s, calls_per_s, burst, answer_s, Random(seed)) for seed in range(SEEDS)]
    turned_away = sum(line.statuses.count(429) for line in book)
    gave_up = sum(line.statuses[-1] == 429 for line in book)
    return [
        _beside("throttled answers", turned_away, [draw.turned_away for draw in draws]),
        _beside("forms given up", gave_up, [draw.gave_up for draw in draws]),
    ]


@dataclass(slots=True)
class _Draw:
    turned_away: int = 0
    gave_up: int = 0


def _play(sent_at_s: Sequence[float], calls_per_s: float, burst: int, answer_s: float, dice: Random) -> _Draw:
    bucket, draw = TokenBucket(calls_per_s, burst, at_s=min(sent_at_s, default=0.0)), _Draw()
    pauses = [pauses_s(dice) for _ in sent_at_s]
    ahead = [(at_s + next(pauses[form]), form) for form, at_s in enumerate(sent_at_s)]
    heapq.heapify(ahead)
    while ahead:
        at_s, form = heapq.heappop(ahead)
        if bucket.take(at_s=at_s):
            continue
        draw.turned_away += 1
        pause_s = next(pauses[form], None)
        if pause_s is None:
            draw.gave_up += 1
        else:
            heapq.heappush(ahead, (at_s + answer_s + pause_s, form))
    return draw


def _beside(what: str, measured: int, drawn: Sequence[int]) -> Prediction:
    return Prediction(what, measured, mean(drawn), min(drawn), max(drawn))
