"""The progress of the emails about a restock: for `spillway waves`, and for the merchant's page."""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.domain.entry import position_after_all, shards_of
from chalicelib.domain.ids import Sku
from chalicelib.domain.sending_limits import SendingRate
from chalicelib.domain.stock import Restock
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import Progress, ProgressTable
from chalicelib.tables.shards import RestocksTable, ShardsTable

RESTOCKS_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class FanOutState:
    """The progress of the emails about one restock.

    Attributes:
        restock: The restock.
        live: Whether it is the newest, and its variant is still in stock.
        progress: The counts of emails.
        waiting: People who are not emailed yet.
        further_waves: Waves that a limited policy still needs.
        rate_per_s: Emails a second so far.
        eta_s: Estimated seconds to the end, by the allowed rate and the pauses; None while sending is paused.
        paused: The reason of a pause.
    """

    restock: Restock
    live: bool
    progress: Progress
    waiting: int
    further_waves: int
    rate_per_s: float | None
    eta_s: float | None
    paused: str | None

    @classmethod
    def of(
        cls,
        restock: Restock,
        done: Progress,
        *,
        live: bool,
        standing: int,
        wave_left: int,
        sending: SendingRate | None,
    ) -> "FanOutState":
        """Return the state of a restock's emails.

        Args:
            restock: the restock.
            done: the counts of emails.
            live: whether it is the newest, and its variant is still in stock.
            standing: the entries that wait for this restock or an earlier one.
            wave_left: the unsent emails of the limited wave under way; 0 where there is no limit.
            sending: the row of the rate limit; None before the first email ever.
        """
        # People given up for this restock keep their position for the next.
        waiting = max(0, standing - done.given_up) if live else 0
        paused = sending.paused if sending else None
        allowed = sending.rate_per_s if sending and not paused else 0
        size = restock.policy.emails_for(restock.units)
        further = -(-max(0, waiting - wave_left) // size) if size else 0
        pauses_s = further * restock.policy.next_after_min * 60
        eta_s = waiting / allowed + pauses_s if allowed else None
        return cls(restock, live, done, waiting, further, _rate(done), eta_s, paused)


def fan_outs(
    sku: Sku,
    products: ProductsTable,
    restocks: RestocksTable,
    progress: ProgressTable,
    shards: ShardsTable,
    sending_rate: SendingRateTable,
) -> Iterator[FanOutState]:
    """Yield the newest restocks of a variant, newest first."""
    sending = sending_rate.state()
    for place, restock in enumerate(restocks.newest(sku, most=RESTOCKS_SHOWN_MAX)):
        stocked = products.get(restock.slug) if place == 0 else None
        live = stocked is not None and stocked.can_buy(sku)
        yield FanOutState.of(
            restock,
            progress.of(restock.id, shards_of(sku)),
            live=live,
            standing=shards.count(sku, upto=position_after_all(restock.opened_at_ms)) if live else 0,
            wave_left=progress.wave(sku).left if restock.is_limited else 0,
            sending=sending,
        )


def _rate(done: Progress) -> float | None:
    """Return the emails a second between the first batch and the last."""
    if done.first_at_ms is None or done.last_at_ms is None or done.last_at_ms == done.first_at_ms:
        return None
    return done.notified * 1000 / (done.last_at_ms - done.first_at_ms)
