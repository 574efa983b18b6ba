"""The waves on the merchant's overview: those under way, and the last one of each variant on a page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.entry import shards_of
from chalicelib.domain.ids import Sku
from chalicelib.domain.overview import NO_DEMAND, DemandFigures, OverviewRow
from chalicelib.domain.overview_waves import LastWave, ShownWave, WaveState, rate_per_min, sampled
from chalicelib.services.fan_out.report import FanOutState

if TYPE_CHECKING:
    from chalicelib.domain.sending_limits import SendingRate
    from chalicelib.domain.wave import WaveBudget
    from chalicelib.tables.sending.waves import ProgressTable
    from chalicelib.tables.shards import RestocksTable

# Bounds on what one snapshot reads.
WAVES_MAX = 10
LAST_WAVES_READ_MAX = 25
# A wave that ended stays on the page for so long; one that sends nothing for so long has ended.
WAVE_SHOWN_MS = 15 * 60_000
# A restock is opened some seconds after the stock changed.
RESTOCK_AWAITED_MS = 60_000
_GOES_ON = frozenset({WaveState.SENDING, WaveState.BETWEEN})
# A wave in one of these states has ended once it is silent for `WAVE_SHOWN_MS`.
_ENDS_SILENTLY = frozenset({WaveState.SENDING, WaveState.DONE, WaveState.SOLD_OUT})


@dataclass(frozen=True, slots=True)
class KnownWave:
    """The last wave of a variant at a `version` of its stock, which was first seen at `since_ms`."""

    version: int
    since_ms: int
    wave: LastWave | None


class Waves:
    """Reads the waves of variants."""

    def __init__(self, restocks: "RestocksTable", progress: "ProgressTable") -> None:
        self._restocks = restocks
        self._progress = progress

    def under_way(
        self,
        rows: Mapping[Sku, OverviewRow],
        before: Sequence[ShownWave],
        fewer: Sequence[Sku],
        sending: "SendingRate | None",
        at_ms: int,
    ) -> tuple[ShownWave, ...]:
        """Return the waves under way, the largest first, and those that ended a short time ago.

        `fewer` are the variants that fewer people wait for than a snapshot ago: a small wave begins and ends
        between two snapshots.
        """
        earlier = {wave.sku: wave for wave in before}
        skus = dict.fromkeys([*(row.listed.sku for row in orderable(rows.values())), *earlier, *fewer])
        waves = []
        for sku in [sku for sku in skus if sku in rows][: 3 * WAVES_MAX]:
            wave = self._wave(rows[sku], earlier.get(sku), sending, at_ms)
            if wave and (_is_recent(wave, at_ms) or wave.state not in _ENDS_SILENTLY):
                waves.append(wave)
        waves.sort(key=lambda wave: (not wave.is_under_way, -wave.opened_at_ms, wave.sku))
        return tuple(waves[:WAVES_MAX])

    def _wave(
        self, row: OverviewRow, before: ShownWave | None, sending: "SendingRate | None", at_ms: int
    ) -> ShownWave | None:
        sku, waiting = row.listed.sku, row.numbers.waiting
        restock = self._restocks.live(sku)
        if restock is None:
            return None
        budget = self._progress.wave(sku) if restock.is_limited else None
        state = FanOutState.of(
            restock,
            self._progress.of(restock.id, shards_of(sku)),
            live=row.listed.can_buy,
            standing=waiting,
            wave_left=budget.left if budget else 0,
            sending=sending,
        )
        done = state.progress
        same = before if before and before.restock_id == restock.id else None
        samples = sampled(same.samples if same else (), done.notified, at_ms=at_ms)
        is_sending = _wave_state(state, row, budget, sending, at_ms)
        rate = rate_per_min(samples)
        if rate is None and state.rate_per_s is not None:
            rate = round(state.rate_per_s * 60, 1)
        return ShownWave(
            sku,
            restock.id,
            is_sending,
            restock.opened_at_ms,
            done.notified,
            state.waiting if state.live else waiting,
            rate if is_sending is WaveState.SENDING else None,
            round(state.eta_s) if state.eta_s is not None and is_sending in _GOES_ON else None,
            budget.next_wave_at_ms(restock.policy) if budget and is_sending is WaveState.BETWEEN else None,
            done.rejected,
            done.bounced,
            done.complained,
            done.unsubscribed_after,
            done.last_at_ms,
            samples,
        )

    def last(
        self,
        rows: Sequence[OverviewRow],
        known: Mapping[Sku, KnownWave],
        at_ms: int,
        *,
        waves: Iterable[ShownWave] = (),
    ) -> tuple[list[OverviewRow], dict[Sku, KnownWave]]:
        """Return the rows with their last waves, and what is known by now of the waves of these rows.

        A restock changes the version of the stock: it is looked for again after a change, and no more often.
        """
        under_way = {wave.sku: wave for wave in waves}
        current: dict[Sku, KnownWave] = {}
        reads = 0
        for row in rows:
            sku, version = row.listed.sku, row.listed.version
            before = known.get(sku)
            if not version:
                continue
            since_ms = before.since_ms if before and before.version == version else at_ms
            if sku in under_way:
                wave = under_way[sku]
                current[sku] = KnownWave(version, since_ms, LastWave(wave.opened_at_ms, wave.notified))
            elif before and before.version == version and at_ms - since_ms >= RESTOCK_AWAITED_MS:
                current[sku] = before
            elif reads < LAST_WAVES_READ_MAX:
                reads += 1
                current[sku] = KnownWave(version, since_ms, self._last_wave(sku))
            elif before:
                current[sku] = before
        shown = [
            replace(row, last_wave=current[row.listed.sku].wave) if row.listed.sku in current else row
            for row in rows
        ]
        return shown, current

    def _last_wave(self, sku: Sku) -> LastWave | None:
        restock = self._restocks.live(sku)
        if restock is None:
            return None
        return LastWave(restock.opened_at_ms, self._progress.of(restock.id, shards_of(sku)).notified)


def _is_recent(wave: ShownWave, at_ms: int) -> bool:
    return at_ms - max(wave.opened_at_ms, wave.last_at_ms or 0) < WAVE_SHOWN_MS


def _wave_state(  # noqa: PLR0911 - one for each state
    state: FanOutState,
    row: OverviewRow,
    budget: "WaveBudget | None",
    sending: "SendingRate | None",
    at_ms: int,
) -> WaveState:
    if not row.numbers.waiting or (state.live and not state.waiting):
        return WaveState.DONE
    if not state.live:
        return WaveState.SOLD_OUT
    if state.paused:
        return WaveState.PAUSED
    if state.restock.policy.emails_for(row.listed.units) == 0:
        return WaveState.HELD
    if budget and budget.left <= 0 and budget.next_wave_at_ms(state.restock.policy) > at_ms:
        return WaveState.BETWEEN
    if sending and sending.rate_per_s and sending.emails_left <= 0:
        return WaveState.QUOTA
    return WaveState.SENDING


def with_fewer_waiting(before: Mapping[Sku, DemandFigures], now: Mapping[Sku, DemandFigures]) -> list[Sku]:
    """Return the variants that fewer people wait for than before, the largest difference first."""
    left = {sku: known.waiting - now.get(sku, NO_DEMAND).waiting for sku, known in before.items()}
    return sorted((sku for sku in left if left[sku] > 0), key=lambda sku: (-left[sku], sku))[:WAVES_MAX]


def orderable(rows: Iterable[OverviewRow]) -> list[OverviewRow]:
    """Return the first rows, by demand, with people waiting for what the shop has in stock."""
    waiting = [row for row in rows if row.numbers.waiting and row.listed.can_buy]
    return sorted(waiting, key=lambda row: row.rank)[:WAVES_MAX]
