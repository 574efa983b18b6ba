"""From a restock to emails: each shard of the variant's shard is walked in order, in batches.

Nobody is skipped: a step that died comes again from the queue, every shard is walked once more at
the end, and who confirms after the upper bound was frozen is notified at once. Nobody is notified of what
can no longer be had: every batch looks again, and only the newest restock of a variant goes on.
What cannot be sent now is put back for later, and does not use up the queue's patience with failures:
its own count of hops bounds it (`chalicelib.domain.hops`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from zlib import crc32

from chalicelib.domain.entry import shard_of, shards_of
from chalicelib.domain.hops import TRIES_MAX, WAVE_HOPS_MAX, ChainTooLong, early_s, wait_s
from chalicelib.domain.rate_limits import back_off_s
from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import LimitedWave, NotifyOne, WaveMessage, WaveStep
from chalicelib.log import log
from chalicelib.mail.sender import Refusal, SendRefused
from chalicelib.queues import WavesQueue
from chalicelib.services.batches import Batches
from chalicelib.services.rate_limiter import PAUSED_WAIT_S, RateLimited, RateLimiter
from chalicelib.tables.leases import LeasesTable

# The index is eventually consistent: the last walk waits for what it may have shown late.
SWEEP_DELAY_S = 30
# Longer than a function lives (20 s): a lease that has ended belonged to a worker that is dead.
LEASE_MS = 30_000
BUSY_SHARD_DELAY_S = 5
# Emails that are tried again by themselves, so many at once for a variant.
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
        rate_limiter: RateLimiter,
        queue: WavesQueue,
        clock_ms: Callable[[], int],
        new_id: Callable[[], str],
        chance: Callable[[], float],
    ) -> None:
        self._batches = batches
        self._leases = leases
        self._rate_limiter = rate_limiter
        self._queue = queue
        self._clock_ms = clock_ms
        self._new_id = new_id
        self._chance = chance
        self.hops_max = WAVE_HOPS_MAX
        self.tries_max = TRIES_MAX

    def work(self, message: WaveMessage) -> None:
        """Notify whom `message` is about, then queue what is left to do.

        A message that is out of date does nothing. One that must wait (for its turn, a quota, a
        paused account, another worker) is put back.

        Raises:
            SendRefused: the transport calls our emails wrong; trying again is for a person.
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
        shards, holder = _shards_of_message(message), self._new_id()
        if not self._leases.take(shards, holder=holder, at_ms=self._clock_ms(), lease_ms=LEASE_MS):
            self._put_again(message, BUSY_SHARD_DELAY_S)
            return
        try:
            self._walk(message, live[0])
        except Exception:
            self._leases.release(shards, holder=holder)
            raise
        self._leases.release(shards, holder=holder)

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
            except RateLimited as not_now:
                log("wave_waits", restock=message.restock_id, reason=not_now.reason)
                self._put_again(message, not_now.delay_s)
                return
            except SendRefused as refused:
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
            case NotifyOne():
                self._batches.of_one(message, restock)
                return None

    def _put_back(self, message: WaveMessage, refused: SendRefused) -> None:
        if refused.refusal is Refusal.INVALID:
            raise refused
        if refused.progressed:
            message = replace(message, tries=0)
        if refused.refusal is Refusal.PAUSED:
            self._rate_limiter.stop(refused.reason)
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


def _shards_of_message(message: WaveMessage) -> Sequence[str]:
    """The shards that nobody else may walk in the meantime."""
    match message:
        case WaveStep():
            return [message.shard]
        case LimitedWave():
            return shards_of(message.sku)
        case NotifyOne(deferrals=0):
            return [shard_of(message.sku, message.shopper)]
        case NotifyOne():
            # Walks leave these out, so nobody needs to wait for a shard.
            return [f"{message.sku}#again{crc32(message.shopper.encode()) % AGAIN_LINES}"]
