"""A worker takes one message of the waves queue: lease its shards, send batch after batch, queue the rest.

A message that cannot be sent now is put back with a delay. That does not count as a failure for the queue;
the message's own count of hops limits it (`chalicelib.domain.sending_limits`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.domain.domain_event import DomainEvent
from chalicelib.domain.email import SendRefusal, SendRefused
from chalicelib.domain.emissions import wave_event
from chalicelib.domain.sending_limits import (
    TRIES_MAX,
    WAVE_HOPS_MAX,
    ChainTooLong,
    back_off_s,
    early_s,
    wait_s,
)
from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import WaveMessage
from chalicelib.log import log
from chalicelib.queues import WavesQueue
from chalicelib.services.fan_out.rate_limiter import PAUSED_WAIT_S, RateLimited
from chalicelib.services.fan_out.restocking import FanOutStore
from chalicelib.services.fan_out.walks import Walk

# Longer than a function lives (20 s): the worker of a lease that has ended is dead.
LEASE_MS = 30_000
BUSY_SHARD_DELAY_S = 5
# No batch of a message begins later: its turn (4 s at most) and its call (8 s by SMTP) still end within a
# function's life. A function that dies after its call sends the batch again.
WALK_MS_MAX = 5_000


class FanOutWorker:
    """Does what the messages of the waves queue say.

    Args:
        walks: the walk of each type of message.
        store: the tables.
        queue: takes the messages that follow.
        clock_ms: the time in milliseconds since the epoch.
        new_id: returns an id never returned before.
        chance: returns a number in [0, 1), which spreads waits.
        emit: emits domain events.
    """

    def __init__(
        self,
        walks: Mapping[type[WaveMessage], Walk[Any]],
        store: FanOutStore,
        queue: WavesQueue,
        clock_ms: Callable[[], int],
        new_id: Callable[[], str],
        chance: Callable[[], float],
        *,
        emit: Callable[[Sequence[DomainEvent]], None] = lambda _: None,
    ) -> None:
        self._walks = walks
        self._store = store
        self._queue = queue
        self._clock_ms = clock_ms
        self._new_id = new_id
        self._chance = chance
        self._emit = emit
        # Tests lower them.
        self.hops_max = WAVE_HOPS_MAX
        self.tries_max = TRIES_MAX

    def work(self, message: WaveMessage) -> None:
        """Notify the shoppers that `message` is about, then queue the rest.

        A message that is out of date does nothing. One that must wait (for its turn, a quota, a paused
        account, another worker) is put back.

        Raises:
            SendRefused: the transport calls our emails invalid; a person has to look.
            OutcomeUnknown: a batch may have left; the message has to come again.
            ChainTooLong: the message has queued itself too often; a person has to look.
        """
        delay_s = early_s(message.not_before_ms, self._clock_ms())
        if delay_s and message.hops <= self.hops_max:
            # The queue delays by minutes, a deferred email waits for hours: its hops read nothing.
            self._queue_next(message, delay_s)
            return
        live = self._store.live(message.restock_id, message.sku)
        if live is None:
            return
        if message.hops > self.hops_max or message.tries > self.tries_max:
            log("chain_too_long", restock=message.restock_id, hops=message.hops, tries=message.tries)
            raise ChainTooLong(f"{message.hops} hops, {message.tries} without progress")
        walk, holder = self._walks[type(message)], self._new_id()
        shards = walk.shards(message)
        leases = self._store.leases
        if not leases.take(shards, holder=holder, at_ms=self._clock_ms(), lease_ms=LEASE_MS):
            self._queue_again(message, BUSY_SHARD_DELAY_S)
            return
        try:
            self._send_batches(walk, message, live[0])
        except Exception:
            leases.release(shards, holder=holder)
            raise
        leases.release(shards, holder=holder)

    def _send_batches(self, walk: Walk[Any], message: WaveMessage, restock: Restock) -> None:
        until_ms = self._clock_ms() + WALK_MS_MAX
        while True:
            try:
                following = walk.next_batch(message, restock)
            except RateLimited as limited:
                log("wave_waits", restock=message.restock_id, reason=limited.reason)
                self._queue_again(message, limited.delay_s)
                return
            except SendRefused as refused:
                self._put_back(message, refused)
                return
            if following is None:
                event = wave_event(message, restock, at_ms=self._clock_ms())
                if event:
                    self._emit([event])
                return
            message, delay_s = following
            if delay_s or self._clock_ms() >= until_ms:
                self._queue_next(message, delay_s)
                walk.queued(message)
                return

    def _put_back(self, message: WaveMessage, refused: SendRefused) -> None:
        if refused.refusal is SendRefusal.INVALID:
            raise refused
        if refused.progressed:
            message = replace(message, tries=0)
        paused = refused.refusal is SendRefusal.PAUSED
        delay_s = PAUSED_WAIT_S if paused else back_off_s(message.tries, self._chance())
        log("wave_put_back", restock=message.restock_id, reason=refused.reason, delay_s=delay_s)
        self._queue_again(message, delay_s)

    def _queue_again(self, message: WaveMessage, delay_s: int) -> None:
        """Queue a message that could not move forward: the more often in a row, the later it comes."""
        delay_s = wait_s(delay_s, message.tries, self._chance())
        self._queue_next(replace(message, tries=message.tries + 1), delay_s)

    def _queue_next(self, message: WaveMessage, delay_s: int) -> None:
        self._queue.put(replace(message, hops=message.hops + 1), delay_s=delay_s)
