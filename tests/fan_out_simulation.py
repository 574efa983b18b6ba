"""A million waiters notified in process, against a clock that only moves when somebody waits.

    python -m tests.fan_out_simulation

Services and tables are those that run in the cloud, over a DynamoDB in memory; transport and queue are in
memory too. A million wait at the rate of a large account, a tenth of that at lower rates. Every email is
checked: nobody lost, nobody notified twice, each shard in order. Half a per cent of the addresses are bad:
every other of them is deferred at each try (SMTP 4yz, a throttled entry of SES), the rest are refused for
good (SMTP 5yz, a rejected entry). The table and the plot go to docs/fan-out-simulation.md and .svg.
"""

import gc
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random

from chalicelib.domain.email import DeliveryOutcome, OutgoingEmail, SendResult
from chalicelib.domain.entry import shard_of
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import WaveMessage
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fakes import FakeSender
from tests.support.memory_shop import SKU, MemoryShop

# Waiters by emails a second, the longest simulation first.
WAITERS = {1_000: 1_000_000, 200: 100_000, 14: 100_000}
# One address in so many is bad: 0.5 %.
BAD_EVERY = 200
# The longest the good addresses may take, over waiters / rate.
OVER_IDEAL_MAX = 0.03
SEED = 20261123
SAMPLES = 120
DOCS = Path(__file__).parents[1] / "docs"
COMMAND = "python -m tests.fan_out_simulation"
COLOURS = ("#8c3a1c", "#2f5d50", "#3b4a7a")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one rate. `curve` is a sample of (seconds since the restock, emails accepted).

    `took_s` ends with the last good address; `bad` addresses are tried for longer, and given up.
    """

    rate_per_s: int
    waiters: int
    emails: int
    bad: int
    lost: int
    twice: int
    out_of_order: int
    took_s: float
    curve: tuple[tuple[float, int], ...]

    @property
    def ideal_s(self) -> float:
        """The time it cannot be done in less."""
        return self.waiters / self.rate_per_s

    @property
    def is_as_promised(self) -> bool:
        """Every good address once, in order, within 3 % of the ideal time."""
        in_time = self.took_s <= (1 + OVER_IDEAL_MAX) * self.ideal_s
        return in_time and not (self.lost or self.twice or self.out_of_order)


class SenderWithBadAddresses(FakeSender):
    """Accepts good addresses, defers every other bad one at each try, rejects the rest."""

    def _result(self, outgoing: OutgoingEmail) -> SendResult:
        number, rest = divmod(int(outgoing.mailbox[1:].partition("@")[0]), BAD_EVERY)
        if not rest:
            self.deliveries[outgoing.mailbox] = (
                DeliveryOutcome.REJECTED if number % 2 else DeliveryOutcome.DEFERRED
            )
        return super()._result(outgoing)


def main() -> None:
    """Notify the waiters at each rate, and write the results down; fewer waiters are only printed."""
    options = ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--waiters", type=int, metavar="N", help="N for each rate; nothing is written")
    fewer: int | None = options.parse_args().waiters
    waiters = WAITERS if fewer is None else dict.fromkeys(WAITERS, fewer)
    # Millions of rows without a cycle among them: looking for cycles would take long.
    with ProcessPoolExecutor(os.cpu_count(), initializer=gc.disable) as processes:
        results = sorted(
            processes.map(simulate, waiters, waiters.values()), key=lambda result: result.rate_per_s
        )
    print("\n".join(map(_row, results)), flush=True)
    if fewer is None:
        (DOCS / "fan-out-simulation.svg").write_text(_plot(results), encoding="utf-8")
        (DOCS / "fan-out-simulation.md").write_text(_page(results), encoding="utf-8")
    if not all(result.is_as_promised for result in results):
        sys.exit("not as promised")


def simulate(rate_per_s: int, waiters: int) -> Outcome:
    """Let `waiters` sign up at random times, restock, and notify them at so many emails a second."""
    clock, random = Clock(), Random(SEED)
    shop = MemoryShop(clock, dynamodb=MemoryDynamoDb(checked=False))
    sender = SenderWithBadAddresses()
    shop.use_sender(sender)
    shop.account.now = SendingLimits(float(rate_per_s), UNLIMITED)

    def arrivals() -> Iterator[tuple[str, int]]:
        for number in range(waiters):
            clock.pass_s(random.expovariate(1.0) * 0.05)
            yield f"s{number:07}", clock()

    shop.join_many(arrivals())
    shop.observe(Availability.IN_STOCK, 5)
    opened_ms = clock()
    sent_at: list[tuple[float, int]] = []

    def note(_: int) -> None:
        sent_at.append(((clock() - opened_ms) / 1000, len(sender.sent)))

    def fail(message: WaveMessage, error: BaseException) -> None:
        raise RuntimeError(f"{message} failed") from error

    # Called before a batch is answered: what it counts are the emails of all batches before.
    sender.on_emails = note
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        while shop.work(fail):
            pass
    notified = [outgoing.mailbox.partition("@")[0] for outgoing in sender.sent]
    bad = len(range(0, waiters, BAD_EVERY))
    # The last batch that still added an accepted email: later calls are repeats of bad addresses.
    took_s = max(at_s for at_s, accepted in sent_at if accepted < len(notified))
    sent_at = [(at_s, accepted) for at_s, accepted in sent_at if at_s <= took_s] + [(took_s, len(notified))]
    return Outcome(
        rate_per_s,
        waiters,
        emails=len(notified),
        bad=bad,
        lost=waiters - bad - len(set(notified)),
        twice=len(notified) - len(set(notified)),
        out_of_order=_out_of_order(notified),
        took_s=took_s,
        curve=_curve(sent_at),
    )


def _out_of_order(notified: list[str]) -> int:
    """How many were notified after somebody of their shard who had joined later."""
    last: dict[str, str] = {}
    wrong = 0
    for shopper in notified:
        shard = shard_of(SKU, shopper)
        wrong += shopper < last.get(shard, "")
        last[shard] = max(shopper, last.get(shard, ""))
    return wrong


def _curve(sent_at: list[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    step = max(1, len(sent_at) // SAMPLES)
    return (*sent_at[::step], sent_at[-1])


def _row(result: Outcome) -> str:
    cells = (
        f"{result.rate_per_s:,}",
        f"{result.waiters:,}",
        f"{result.emails:,}",
        f"{result.bad:,}",
        str(result.lost),
        str(result.twice),
        str(result.out_of_order),
        f"{result.took_s:,.0f}",
        f"{result.ideal_s:,.0f}",
        f"{(result.took_s / result.ideal_s - 1) * 100:+.2f} %",
    )
    return f"| {' | '.join(cells)} |"


def _page(results: list[Outcome]) -> str:
    columns = (
        "emails a second",
        "waiters",
        "emails",
        "bad addresses",
        "lost",
        "notified twice",
        "out of order in a shard",
        "took s",
        "waiters / rate s",
        "over it",
    )
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    rows = "\n".join(_row(result) for result in results)
    return (
        "# A million waiters, simulated\n\n"
        f"`{COMMAND}` (seed {SEED}) notifies the waiters of one restock with the code that runs in\n"
        "the cloud; DynamoDB, transport and clock are in memory. The limits are those of a new, a\n"
        f"grown and a large SES account. One address in {BAD_EVERY} is bad: deferred at each try (SMTP 4yz,\n"
        "given up after its last), or refused for good. The time is that of the last good address.\n\n"
        f"{head}\n{rows}\n\n![Emails sent over time](fan-out-simulation.svg)\n"
    )


def _plot(results: list[Outcome]) -> str:
    """Share of waiters notified over hours, on a logarithmic axis: one shard for each rate."""
    width, height, left, top = 720, 360, 60, 30
    inner_w, inner_h = width - left - 20, height - top - 50
    ticks_s = [(1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36_000, "10 h")]
    x_max_s = 100_000.0

    def x(seconds: float) -> float:
        from math import log10

        return left + inner_w * log10(max(seconds, 1.0)) / log10(x_max_s)

    def y(share: float) -> float:
        return top + inner_h * (1 - share)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="sans-serif" font-size="12"><title>Waiters notified over time, by SES rate</title>',
        f'<rect width="{width}" height="{height}" fill="#fffdf9"/>',
    ]
    for share in (0, 25, 50, 75, 100):
        at = y(share / 100)
        parts.append(f'<path d="M{left} {at:.1f}h{inner_w}" stroke="#ddd6c9"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{share} %</text>')
    for seconds, label in ticks_s:
        parts.append(f'<path d="M{x(seconds):.1f} {top}v{inner_h}" stroke="#ddd6c9"/>')
        parts.append(f'<text x="{x(seconds):.1f}" y="{height - 28}" text-anchor="middle">{label}</text>')
    for number, (result, colour) in enumerate(zip(results, COLOURS, strict=True)):
        points = " ".join(f"{x(at_s):.1f},{y(emails / result.waiters):.1f}" for at_s, emails in result.curve)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        # In the empty corner: curves that end side by side have no room for their names.
        parts.append(
            f'<text x="{left + 12}" y="{top + 22 + 20 * number}" fill="{colour}">'
            f"{result.rate_per_s:,} a second, {result.waiters:,} waiters</text>"
        )
    parts.append(
        f'<text x="{left + inner_w / 2}" y="{height - 8}" text-anchor="middle">after the restock</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main()
