"""Measure the cost of notifying a waitlist: CPU of a worker, calls, capacity and memory.

    python -m benchmarks fan_out

The cloud is a sink that answers at once, in a process of its own. Ours is the whole worker: look up
who is next, wait for a turn, look again, write, send, mark. Its peer does the least that a correct
sender in plain boto3 must: for 50 emails, written before, one `send_bulk_email` and one `update_item`
each. Both in turns in one process, and CPU is all that is counted. Time and memory by the number of
waiters are each of a process of its own.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

from benchmarks.played_cloud import SKU, SLUG, counts, played_cloud
from benchmarks.tables import write_table

COMMAND = "python -m benchmarks fan_out"
ROUNDS = 7
EMAILS = 1_000
BATCH = 50
SIZES = (1_000, 10_000, 100_000)


def main() -> None:
    """Measure, print, and write the tables."""
    if len(sys.argv) > 2 and sys.argv[1] == "--emails":
        print(json.dumps(_walked_alone(int(sys.argv[2]))))
        return
    with played_cloud() as url:
        _compare(url)
        _by_size()


def _compare(url: str) -> None:
    worker, peer = _worker(), _peer()
    for warm in (worker, peer):
        warm(2 * BATCH)
    counts(url)
    calls: dict[str, dict[str, float]] = {}
    for name, run in (("worker", worker), ("peer", peer)):
        run(EMAILS)
        calls[name] = counts(url)
    times_ms: dict[str, list[float]] = {"worker": [], "peer": []}
    for _ in range(ROUNDS):
        for name, run in (("peer", peer), ("worker", worker)):
            gc.collect()
            started = time.process_time()
            run(EMAILS)
            times_ms[name].append((time.process_time() - started) * 1000 / EMAILS)
    floor = median(times_ms["peer"])
    rows = []
    for name, title in (("peer", "bare boto3, the least that is correct"), ("worker", "a worker of ours")):
        cpu_ms, counted = median(times_ms[name]), calls[name]
        made = sum(count for call, count in counted.items() if "." in call)
        rows.append(
            (
                title,
                f"{cpu_ms:.3f}",
                f"{cpu_ms / floor:.2f}",
                f"{1000 / cpu_ms:,.0f}",
                f"{made / EMAILS:.2f}",
                f"{counted.get('write units', 0) / EMAILS:.2f}",
                f"{counted.get('read units', 0) / EMAILS:.2f}",
                f"{counted.get('dynamodb.Query', 0) / 2 / EMAILS * 1000:.0f}",
            )
        )
    columns = ("of one email", "CPU ms", "x boto3", "emails a second and core", "calls", "write units")
    write_table(
        "Notifying the waitlist", COMMAND, (*columns, "read units", "page reads for 1,000 waiters"), rows
    )


def _by_size() -> None:
    rows = []
    for emails in SIZES:
        words = [sys.executable, "-m", "benchmarks.fan_out", "--emails", str(emails)]
        ran = subprocess.run(words, capture_output=True, text=True, check=True)
        walked = json.loads(ran.stdout.splitlines()[-1])
        rows.append(
            (
                f"{emails:,}",
                f"{walked['cpu_s']:.2f}",
                f"{walked['cpu_s'] * 1000 / emails:.3f}",
                f"{walked['peak_mb']:.1f}",
                f"{walked['grown_mb']:.1f}",
            )
        )
    columns = ("waiters", "CPU s", "CPU ms for one", "peak memory MB", "of it grown while notifying MB")
    write_table("Notifying 1,000 to 100,000 waiters", COMMAND, columns, rows)


def _walked_alone(emails: int) -> dict[str, float]:
    worker = _worker()
    worker(2 * BATCH)
    before_kb = _peak_kb()
    started = time.process_time()
    worker(emails)
    cpu_s = time.process_time() - started
    peak_kb = _peak_kb()
    return {"cpu_s": cpu_s, "peak_mb": peak_kb / 1024, "grown_mb": (peak_kb - before_kb) / 1024}


def _peak_kb() -> int:
    # Linux counts into a process's ru_maxrss what its parent had when it was started.
    status = Path("/proc/self/status")
    if not status.exists():
        return getrusage(RUSAGE_SELF).ru_maxrss
    (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1])


def _worker() -> Callable[[int], None]:
    """Notify a shard of so many waiters, message after message, as the queue delivers them."""
    from chalicelib.container import Container
    from chalicelib.domain.wave import ShardStep, WaveMessage
    from chalicelib.queues import WavesQueue

    class Queue(WavesQueue):
        """Sends its messages, and remembers the last: nobody is there to hand it back."""

        last: WaveMessage | None = None

        def put(self, message: WaveMessage, *, delay_s: int = 0) -> None:
            super().put(message, delay_s=delay_s)
            self.last = message

    container = Container.of_lambda()
    queue = Queue(container.client("sqs"), container.settings.waves_queue_url)
    fan_out = container.fan_out
    fan_out._queue = queue

    def notify(emails: int) -> None:
        queue.last = ShardStep("r", SKU, f"{SKU}#0:{emails}")
        with redirect_stdout(StringIO()):
            while queue.last is not None and not (isinstance(queue.last, ShardStep) and queue.last.sweep):
                message, queue.last = queue.last, None
                fan_out.work(message)

    return notify


def _peer() -> Callable[[int], None]:
    """Do the least a correct sender must do, with emails that were written before."""
    import boto3

    from chalicelib.container import Container
    from chalicelib.domain.entry import Entry, EntryState
    from chalicelib.mail.ses import TEMPLATE, _bulk_entry
    from chalicelib.services.email_composer import EmailComposer

    container = Container.of_lambda()
    stocked = container.products.get(SLUG)
    assert stocked is not None
    writer = EmailComposer(container.themes.live(), container.links)
    waiting = [
        Entry(f"shopper{n}", SKU, f"shopper{n}@example.com", EntryState.CONFIRMED, 1) for n in range(BATCH)
    ]
    entries: Any = [_bulk_entry(outgoing) for outgoing in writer.available(waiting, stocked)]
    ses, dynamodb = boto3.client("sesv2"), boto3.client("dynamodb")
    nothing = json.dumps(dict.fromkeys(("subject", "text", "html"), ""))

    def notify(emails: int) -> None:
        for _ in range(emails // BATCH):
            answer = ses.send_bulk_email(
                FromEmailAddress=writer.sender,
                DefaultContent={"Template": {"TemplateContent": TEMPLATE, "TemplateData": nothing}},
                BulkEmailEntries=entries,
            )
            for entry, result in zip(waiting, answer["BulkEmailEntryResults"], strict=True):
                dynamodb.update_item(
                    TableName="entries",
                    Key={"shopper": {"S": entry.shopper}, "sku": {"S": entry.sku}},
                    UpdateExpression="SET #state = :notified, message_id = :message REMOVE #shard",
                    ConditionExpression="#state = :confirmed",
                    ExpressionAttributeNames={"#state": "state", "#shard": "shard"},
                    ExpressionAttributeValues={
                        ":notified": {"S": "notified"},
                        ":confirmed": {"S": "confirmed"},
                        ":message": {"S": result["MessageId"]},
                    },
                )

    return notify


if __name__ == "__main__":
    main()
