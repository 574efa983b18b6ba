"""Play 200 billion log lines a month through delivery, queue and functions: docs/traffic.md.

`python -m benchmarks.traffic_simulation` plays two days minute by minute: 77,000 lines a second on average,
by the hour of the day, and a flood of ten times as much for one hour. CloudFront delivers a log file some
minutes after its period; S3 notifies the queue; functions take batches of ten files, count them at the
measured speed, and add to the hour's statistics one after the other. AWS does not say how many lines a file
has, so that is varied. It prints the table, and writes the plot into docs/.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spillway.preflight.amounts import ROUND_TRIP_MS, Item
from spillway.preflight.bill import PRICES

DOCS = Path(__file__).parent.parent / "docs"
LINES_PER_MONTH = 200e9
MONTH_S = 30 * 86_400
MINUTES = 2 * 24 * 60
FLOOD_AT, FLOOD_MINUTES, FLOOD_FACTOR = 26 * 60, 60, 10
# .chalice/resources/traffic.yaml
CONCURRENCY = 10
MEMORY_GB = 1769 / 1024
BATCH_FILES = 10
BATCH_S_MAX = 300
RAW_EXPIRES_MINUTES = 2 * 24 * 60
# Lines a second that one function reads: `python -m benchmarks traffic`, on a machine with other work.
LINES_PER_S = 125_000
DELAY_MINUTES = 10
# Bytes of one file's name and digest in an hour's statistics, and of the statistics without them.
NAME_BYTES, HOUR_BYTES = 60, 120_000
# An hour is read, parsed, written as JSON, and stored: bytes a second for all of it.
JSON_BYTES_PER_S = 20e6
PACKED_BYTES_PER_LINE = 21


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute: lines that came, files that wait, and the age of the oldest of them in minutes."""

    lines: float
    waiting: float
    oldest_minutes: float
    busy: float


@dataclass(frozen=True, slots=True)
class Run:
    """A simulated run."""

    lines_per_file: int
    minutes: tuple[Minute, ...]
    usd_per_month: float
    limit: str

    @property
    def oldest_minutes(self) -> float:
        """The greatest age of a file that waits, in minutes."""
        return max(minute.oldest_minutes for minute in self.minutes)

    @property
    def busy(self) -> float:
        """The most functions at once."""
        return max(minute.busy for minute in self.minutes)


def lines_at(minute: int) -> float:
    """Return the lines of a minute: a day's wave, and the flood."""
    mean = LINES_PER_MONTH / MONTH_S * 60
    wave = 1 + 0.6 * math.sin(2 * math.pi * (minute / 1_440 - 0.3))
    flood = FLOOD_FACTOR if FLOOD_AT <= minute < FLOOD_AT + FLOOD_MINUTES else wave
    return mean * flood


def write_s(files_of_hour: float) -> float:
    """Return how long one addition to an hour takes that has so many files, in seconds."""
    size = HOUR_BYTES + NAME_BYTES * files_of_hour
    return 2 * ROUND_TRIP_MS["s3"] / 1_000 + size / JSON_BYTES_PER_S


def play(lines_per_file: int) -> Run:
    """Return the run with files of so many lines."""
    waiting: deque[list[float]] = deque()
    minutes, hours = [], dict[int, float]()
    functions_s = writes = files_all = 0.0
    slowest = {"functions": 0.0, "one write after the other": 0.0}
    for minute in range(MINUTES):
        came = lines_at(minute)
        if minute >= DELAY_MINUTES:
            waiting.append([minute - DELAY_MINUTES, lines_at(minute - DELAY_MINUTES) / lines_per_file])
        batches = 0.0
        hour = waiting[0][0] // 60 if waiting else 0
        batch_write_s = write_s(hours.get(int(hour), 0))
        batch_files = max(1.0, min(BATCH_FILES, LINES_PER_S * BATCH_S_MAX / lines_per_file))
        batch_s = (
            batch_files * (lines_per_file / LINES_PER_S + 2 * ROUND_TRIP_MS["s3"] / 1_000) + batch_write_s
        )
        by_functions, by_writes = CONCURRENCY * 60 / batch_s, 60 / batch_write_s
        wanted = lines_at(minute) / lines_per_file / batch_files
        slowest["functions"] = max(slowest["functions"], wanted / by_functions)
        slowest["one write after the other"] = max(slowest["one write after the other"], wanted / by_writes)
        possible = min(by_functions, by_writes)
        while waiting and batches < possible:
            taken = min(waiting[0][1], (possible - batches) * batch_files)
            began = int(waiting[0][0] // 60)
            hours[began] = hours.get(began, 0) + taken
            batches += taken / batch_files
            files_all += taken
            waiting[0][1] -= taken
            if waiting[0][1] <= 1e-9:
                waiting.popleft()
            else:
                break
        functions_s += batches * batch_s
        writes += batches
        oldest = minute - waiting[0][0] if waiting else DELAY_MINUTES
        left = sum(files for _, files in waiting)
        minutes.append(Minute(came, left, oldest, batches * batch_s / 60))
    months = MONTH_S / (MINUTES * 60)
    limit = max(slowest, key=lambda name: slowest[name])
    return Run(
        lines_per_file,
        tuple(minutes),
        months * usd(functions_s, writes, files_all),
        f"{limit}, used {slowest[limit]:.0%} at the peak",
    )


def usd(functions_s: float, writes: float, files: float) -> float:
    """Return the price of counting: functions, requests to S3 and SQS, two days of raw logs."""
    days = MINUTES / 1_440
    lines = sum(map(lines_at, range(MINUTES)))
    amounts = {
        Item.LAMBDA_TIME: functions_s * MEMORY_GB,
        Item.LAMBDA_CALLS: writes,
        Item.S3_READS: files + writes,
        Item.S3_WRITES: files + writes,
        Item.QUEUE_REQUESTS: files + 2 * writes,
        # The bytes of two days are there all month; this is the share of the simulated days.
        Item.S3_STORAGE: 2 * lines / days * PACKED_BYTES_PER_LINE * days / 30,
    }
    return sum(PRICES[item].of(amount) for item, amount in amounts.items())


WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 260, 60, 16, 40
COLOURS = ("#0b6e4f", "#b35c00", "#a3261b")


def plot(runs: Sequence[Run]) -> str:
    """Return the age of the oldest log over time as SVG, on a logarithmic scale."""
    top = math.log10(max(run.oldest_minutes for run in runs) * 1.3)
    curves = "".join(
        _curve(run, colour, top, place) for place, (run, colour) in enumerate(zip(runs, COLOURS, strict=True))
    )
    ticks = "".join(
        f'<text x="{LEFT - 8}" y="{_y(value, top) + 4:.0f}" text-anchor="end">{value:,}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{_y(value, top):.0f}" y2="{_y(value, top):.0f}"/>'
        for value in (1, 10, 100, 1_000)
        if math.log10(value) <= top
    )
    hours = "".join(
        f'<text x="{_x(hour * 60):.0f}" y="{HEIGHT - 22}" text-anchor="{_anchor(hour)}">{hour} h</text>'
        for hour in range(0, 49, 12)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' aria-label="Age of the oldest access log in minutes, over two days with a flood at 26 hours">'
        "<style>text{font:12px system-ui,sans-serif;fill:#68736f}line{stroke:#c3cbc7}"
        "path{fill:none;stroke-width:2}</style>"
        f"{ticks}{hours}{curves}"
        f'<text x="{LEFT}" y="{HEIGHT - 4}">age of the oldest log in minutes; a flood of ten times'
        " the mean from hour 26 to 27</text></svg>\n"
    )


def _curve(run: Run, colour: str, top: float, place: int) -> str:
    points = [
        f"{_x(at):.1f},{_y(max(1.0, minute.oldest_minutes), top):.1f}"
        for at, minute in enumerate(run.minutes)
        if at % 5 == 0
    ]
    label = f"{run.lines_per_file:,} lines a file"
    return (
        f'<path d="M{" L".join(points)}" stroke="{colour}"/>'
        f'<text x="{LEFT + 8}" y="{TOP + 14 + 16 * place}" style="fill:{colour}">{label}</text>'
    )


def _anchor(hour: int) -> str:
    return "end" if hour * 60 == MINUTES else "middle"


def _x(minute: float) -> float:
    return LEFT + (WIDTH - LEFT - 10) * minute / MINUTES


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log10(value) / top


def rows(runs: Iterable[Run]) -> list[str]:
    """Return the table of some runs in Markdown."""
    lines = [
        "| lines a file | functions at once | oldest log, minutes | $ a month | nearest limit |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {run.lines_per_file:,} | {run.busy:.1f} of {CONCURRENCY} | {run.oldest_minutes:,.0f}"
        f" | {run.usd_per_month:,.0f} | {run.limit} |"
        for run in runs
    ]


def main() -> None:
    """Play three sizes of files; print the table, and write the plot."""
    runs = [play(size) for size in (250_000, 25_000, 2_500)]
    print("\n".join(rows(runs)))
    (DOCS / "traffic.svg").write_text(plot(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
