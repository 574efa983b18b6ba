"""From a restock to letters: each shard of the variant's line is walked in order, in batches.

Nobody is skipped: a step that died comes again from the queue, every shard is walked once more at
the end, and who confirms after the upper bound was frozen is told at once. Nobody is told of what
can no longer be had: every batch looks again, and only the newest restock of a variant goes on.
What cannot be sent now is put back for later, and does not use up the queue's patience with failures:
its own count of hops bounds it (`chalicelib.domain.hops`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from zlib import crc32

from chalicelib.domain.entry import line_of, lines_of
from chalicelib.domain.hops import TRIES_MAX, WAVE_HOPS_MAX, ChainTooLong, early_s, wait_s
from chalicelib.domain.pace import back_off_s
from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import LimitedWave, TellOne, WaveMessage, WaveStep
from chalicelib.log import log
from chalicelib.mail.postbox import PostboxRefused, Refusal
from chalicelib.queues import WavesQueue
from chalicelib.services.batches import Batches
from chalicelib.services.pace import PAUSED_WAIT_S, NotNow, Pace
from chalicelib.tables.leases import LeasesTable

# The index is eventually consistent: the last walk waits for what it may have shown late.
SWEEP_DELAY_S = 30
# Longer than a function lives (20 s): a lease that has ended belonged to a worker that is dead.
LEASE_MS = 30_000
BUSY_LINE_DELAY_S = 5
# Letters that are tried again by themselves, so many at once for a variant.
AGAIN_LINES = 64
# One message is worked on for so long, then the next worker takes over: well within a function's life.
WALK_MS_MAX = 8_000


class FanOut:
    """Does what the waves queue says.

    `new_id` gives an id never given before; `chance` a number in [0, 1). A message is refused that comes
    with more hops than `hops_max`, or with more in a row without progress than `tries_max`.
    """

    def __init__(
        self,
        batches: Batches,
        leases: LeasesTable,
        pace: Pace,
        queue: WavesQueue,
        clock_ms: Callable[[], int],
        new_id: Callable[[], str],
        chance: Callable[[], float],
    ) -> None:
        self._batches = batches
        self._leases = leases
        self._pace = pace
        self._queue = queue
        self._clock_ms = clock_ms
        self._new_id = new_id
        self._chance = chance
        self.hops_max = WAVE_HOPS_MAX
        self.tries_max = TRIES_MAX

    def work(self, message: WaveMessage) -> None:
        """Tell whom `message` is about, then queue what is left to do.

        A message that is out of date does nothing. One that must wait (for its turn, a quota, a
        paused account, another worker) is put back.

        Raises:
            PostboxRefused: the transport calls our letters wrong; trying again is for a person.
            OutcomeUnknown: nobody knows whether a batch was sent; the message is to come again.
            ChainTooLong: the message has queued itself too often; it is for a person to see.
        """
        live = self._batches.live(message.restock_id, message.sku)
        if live is None:
            return
        if message.hops > self.hops_max or message.tries > self.tries_max:
            log("chain_too_long", restock=message.restock_id, hops=message.hops, tries=message.tries)
            raise ChainTooLong(f"{message.hops} hops, {message.tries} without progress")
        if self._is_early(message):
            return
        lines, holder = _lines(message), self._new_id()
        if not self._leases.take(lines, holder=holder, at_ms=self._clock_ms(), lease_ms=LEASE_MS):
            self._put_again(message, BUSY_LINE_DELAY_S)
            return
        try:
            self._walk(message, live[0])
        except Exception:
            self._leases.release(lines, holder=holder)
            raise
        self._leases.release(lines, holder=holder)

    def _is_early(self, message: WaveMessage) -> bool:
        if isinstance(message, WaveStep):
            return False
        delay_s = early_s(message.not_before_ms, self._clock_ms())
        if delay_s:
            self._put_on(message, delay_s)
        return delay_s > 0

    def _put_on(self, message: WaveMessage, delay_s: int) -> None:
        self._queue.put(replace(message, hops=message.hops + 1), delay_s=delay_s)

    def _put_again(self, message: WaveMessage, asked_s: int) -> None:
        """Queue a message that could not move forward: the more often in a row, the later it comes."""
        delay_s = wait_s(asked_s, message.tries, self._chance())
        self._put_on(replace(message, tries=message.tries + 1), delay_s)

    def _walk(self, message: WaveMessage, restock: Restock) -> None:
        until_ms = self._clock_ms() + WALK_MS_MAX
        while True:
            try:
                following = self._next_batch(message, restock)
            except NotNow as not_now:
                log("wave_waits", restock=message.restock_id, reason=not_now.reason)
                self._put_again(message, not_now.delay_s)
                return
            except PostboxRefused as refused:
                self._put_back(message, refused)
                return
            if following is None:
                return
            message, delay_s = following, self._delay_s(message, following)
            if delay_s or self._clock_ms() >= until_ms:
                self._put_on(message, delay_s)
                if isinstance(message, LimitedWave):
                    # After it is queued: a crash in between queues it once too often, never not at all.
                    self._batches.announced(message)
                return

    def _next_batch(self, message: WaveMessage, restock: Restock) -> WaveMessage | None:
        match message:
            case WaveStep():
                return self._batches.of_shard(message, restock)
            case LimitedWave():
                return self._batches.of_wave(message)
            case TellOne():
                self._batches.of_one(message, restock)
                return None

    def _put_back(self, message: WaveMessage, refused: PostboxRefused) -> None:
        if refused.refusal is Refusal.WRONG:
            raise refused
        if refused.progressed:
            message = replace(message, tries=0)
        if refused.refusal is Refusal.STOPPED:
            self._pace.stop(refused.reason)
            delay_s = PAUSED_WAIT_S
        else:
            delay_s = back_off_s(message.tries, self._chance())
        log("wave_put_back", restock=message.restock_id, reason=refused.reason, delay_s=delay_s)
        self._put_again(message, delay_s)

    def _delay_s(self, done: WaveMessage, following: WaveMessage) -> int:
        match done, following:
            case (WaveStep(sweep=False), WaveStep(sweep=True)) | (
                LimitedWave(sweep=False),
                LimitedWave(sweep=True),
            ):
                return SWEEP_DELAY_S
            case LimitedWave(), LimitedWave(not_before_ms=begins_ms):
                return early_s(begins_ms, self._clock_ms())
        return 0


def _lines(message: WaveMessage) -> Sequence[str]:
    """The shards that nobody else may walk in the meantime."""
    match message:
        case WaveStep():
            return [message.line]
        case LimitedWave():
            return lines_of(message.sku)
        case TellOne(deferrals=0):
            return [line_of(message.sku, message.shopper)]
        case TellOne():
            # Walks leave these out, so nobody needs to wait for a shard.
            return [f"{message.sku}#again{crc32(message.shopper.encode()) % AGAIN_LINES}"]
