"""Formulas of queueing theory: what the simulator is held to where one exists."""

from math import sqrt


def erlang_b(offered: float, servers: int) -> float:
    """The share of calls blocked: Poisson arrivals, `servers` lines, no waiting.

    `offered` is the arrival rate times the mean duration. Any distribution of durations gives the same.
    """
    blocked = 1.0
    for busy in range(1, servers + 1):
        blocked = offered * blocked / (busy + offered * blocked)
    return blocked


def erlang_c(offered: float, servers: int) -> float:
    """The share of calls that must wait: Poisson arrivals, exponential durations, waiting without end."""
    if offered >= servers:
        return 1.0
    blocked = erlang_b(offered, servers)
    return blocked / (1 - offered / servers * (1 - blocked))


def littles_law(rate_per_s: float, duration_s: float) -> float:
    """How many are in a system on average, whatever the distributions."""
    return rate_per_s * duration_s


def md1_wait_s(rate_per_s: float, service_s: float) -> float:
    """The mean wait before one server whose every service takes the same time; Poisson arrivals.

    Raises:
        ValueError: the server cannot keep up, and the wait grows without end.
    """
    load = rate_per_s * service_s
    if load >= 1:
        raise ValueError(f"load {load:.2f}: the queue has no end")
    return load * service_s / (2 * (1 - load))


def concurrency_max(rate_per_s: float, duration_s: float) -> float:
    """Environments that the busiest second needs: the mean in flight, and three standard deviations.

    Numbers in flight of Poisson arrivals are Poisson too, whatever the durations (M/G/infinity).
    """
    mean = littles_law(rate_per_s, duration_s)
    return mean + 3 * sqrt(mean)
