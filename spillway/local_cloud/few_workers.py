"""As many workers of a queue at once as this machine has processors for.

The template bounds the workers of each queue for Lambda, which has a processor for each. Here they share a
few: eight that start at once start so slowly that their function's time is over before they did anything.
"""

import os
from typing import Any

WORKERS_MIN = 2  # with one alone, nothing would ever happen at the same time


def bounded(wanted: int, processors: int | None) -> int:
    """Return how many of the `wanted` workers run at once on a machine with so many processors."""
    return min(wanted, max(WORKERS_MIN, processors or 1))


def bound_workers() -> None:
    """Have the emulator in this process start no more workers for a queue than `bounded` says."""
    from ministack.services import lambda_svc

    allowed = lambda_svc._sqs_esm_concurrency

    def allowed_here(*args: Any) -> int:
        return bounded(allowed(*args), os.cpu_count())

    lambda_svc._sqs_esm_concurrency = allowed_here
