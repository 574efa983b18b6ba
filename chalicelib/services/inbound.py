"""Apply the stock events of other systems: link their ids to SKUs, add up locations, apply, record.

The order in which webhooks arrive means nothing: a reading has the source's own time, and an older one
changes nothing. A repeat is known by its event id and its time, or where the source names no time, by a row.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import AHEAD_MS_MAX, EventOutcome, EventResult
from chalicelib.inbound.readings import IgnoredEvent, Reading, Readings, ReadOutcome, ReceivedEvent
from chalicelib.log import log
from chalicelib.services.availability import Availabilities, AvailabilityWebhooks
from chalicelib.tables.inbound import EventsTable

# A row of DynamoDB has 400 KB at most; a product of Shopify has at most 2,048 variants.
RESULTS_STORED_MAX = 500
RESULTS_BYTES_MAX = 300_000
RESULT_CHARS_MAX = 1_000

Result = dict[str, str | int]


class TooBusy(Exception):
    """Other events about the same variants came first each time: the source has to send again."""


class InboundEvents:
    """Applies what an adapter read, and records what came of it."""

    def __init__(
        self,
        table: EventsTable,
        availabilities: Availabilities,
        webhooks: AvailabilityWebhooks,
        clock_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._table = table
        self._availabilities = availabilities
        self._webhooks = webhooks
        self._clock_ms = clock_ms
        self._new_id = new_id

    def receive(self, source: str, read: ReadOutcome) -> ReceivedEvent:
        """Apply the outcome of an adapter. A reading that cannot be applied is named in the results.

        Raises:
            TooBusy: nothing is lost where the source sends it again: applied readings change nothing then.
        """
        if isinstance(read, Readings):
            return self._noted(self._record(source, "received", self._apply_all(source, read)))
        if isinstance(read, IgnoredEvent):
            return self._noted(self._record(source, "ignored", ({"reason": read.reason},)))
        return ReceivedEvent(self._new_id(), self._clock_ms(), source, "pong")

    def reconcile(self, source: str, read: Readings) -> ReceivedEvent:
        """Apply a part of a source's stock list. A variant that others wrote each time is named as busy.

        Nothing is logged: a command does this as well.
        """
        return self._record(source, "reconciled", self._apply_all(source, read, give_up=False))

    def refuse(self, source: str, reason: str, *, outcome: str = "unreadable") -> ReceivedEvent:
        """Record an authentic request that cannot be read, or a list that is not applied."""
        return self._noted(self._record(source, outcome, ({"reason": reason},)))

    def _record(self, source: str, outcome: str, results: tuple[Result, ...]) -> ReceivedEvent:
        event = ReceivedEvent(self._new_id(), self._clock_ms(), source, outcome, as_stored(results))
        self._table.record(event)
        return event

    def _noted(self, event: ReceivedEvent) -> ReceivedEvent:
        log("inbound_event", source=event.source, outcome=event.outcome, results=len(event.results))
        return event

    def _apply_all(self, source: str, read: Readings, *, give_up: bool = True) -> tuple[Result, ...]:
        linked = self._linked(source, read)
        results = [self._apply(source, reading, linked) for reading in read.readings]
        if give_up and any(result["outcome"] == EventOutcome.BUSY for result in results):
            raise TooBusy
        results += [
            {"subject": part.subject, "outcome": "unreadable", "reason": part.reason} for part in read.unread
        ]
        return tuple(results)

    def _linked(self, source: str, read: Readings) -> dict[str, Sku]:
        """Return SKUs by foreign id, after the links of the payload are stored."""
        wanted = [link.foreign_id for link in read.links]
        wanted += [reading.foreign_id for reading in read.readings if reading.foreign_id and not reading.sku]
        known = self._table.linked(source, wanted)
        for link in read.links:
            if known.get(link.foreign_id) != link.sku:
                self._table.link(source, link.foreign_id, link.sku)
                known[link.foreign_id] = link.sku
        return known

    def _apply(self, source: str, reading: Reading, linked: dict[str, Sku]) -> Result:
        sku = reading.sku or linked.get(reading.foreign_id or "")
        if sku is None:
            return {"id": reading.foreign_id or "", "outcome": "not_linked"}
        now_ms = self._clock_ms()
        if reading.observed_at_ms is not None and reading.observed_at_ms > now_ms + AHEAD_MS_MAX:
            return {"sku": sku, "outcome": "unreadable", "reason": "its time is still to come"}
        if reading.location is None:
            return {"sku": sku, "outcome": self._apply_event(source, sku, reading, now_ms).outcome.value}
        at_ms = now_ms if reading.observed_at_ms is None else reading.observed_at_ms
        item, units = reading.foreign_id or "", reading.units or 0
        if not self._table.put_level(source, item, reading.location, units, at_ms=at_ms):
            return {"sku": sku, "outcome": EventOutcome.OLDER.value}
        whole = self._of_all_locations(source, reading, now_ms)
        if whole is None:
            reason = f"location {reading.location} does not count"
            return {"sku": sku, "outcome": EventOutcome.UNCHANGED.value, "reason": reason}
        return {"sku": sku, "outcome": self._apply_event(source, sku, whole, now_ms).outcome.value}

    def _of_all_locations(self, source: str, reading: Reading, now_ms: int) -> Reading | None:
        """Return the reading of all locations that count; None where this one adds nothing to them.

        A reading of a location that does not count matters once the choice of locations is newer than each
        level that counts: the sum is of that time then, for another choice makes another sum.
        """
        choice = self._table.location_choice(source)
        known = self._table.levels(source, reading.foreign_id or "")
        levels = [level for place, level in known.items() if choice.counts(place)]
        # Without a level that counts, the sum is not 0: it is not known.
        if not levels:
            return None
        latest_ms = max(at for _, at in levels)
        chosen_at_ms = min(choice.at_ms, now_ms)
        if not choice.counts(reading.location or "") and chosen_at_ms <= latest_ms:
            return None
        units = sum(units for units, _ in levels)
        return replace(reading, units=units, observed_at_ms=max(latest_ms, chosen_at_ms), location=None)

    def _apply_event(self, source: str, sku: Sku, reading: Reading, now_ms: int) -> EventResult:
        event_id = hashlib.sha256(f"{source}\0{reading.event_id}".encode()).hexdigest()[:32]
        event = reading.event(sku, event_id, now_ms=now_ms)
        if event.by_arrival:
            return self._webhooks.apply(event, event_id)
        return self._availabilities.apply(event)


def as_stored(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the results that fit into one row, in bytes too; a last one says how many are left out.

    Texts of other systems may be of any length, and have half a character in them, which no row takes.
    """
    stored: list[Result] = []
    bytes_left = RESULTS_BYTES_MAX
    for result in results[:RESULTS_STORED_MAX]:
        bounded = {name: _bounded(value) for name, value in result.items()}
        # In ASCII, JSON is longer than what DynamoDB counts.
        bytes_left -= len(json.dumps(bounded))
        if bytes_left < 0:
            break
        stored.append(bounded)
    left_out = len(results) - len(stored)
    return (*stored, {"reason": f"{left_out} more results are left out"}) if left_out else tuple(stored)


def _bounded(value: str | int) -> str | int:
    if isinstance(value, int):
        return value
    return value[:RESULT_CHARS_MAX].encode("utf-8", "replace").decode()
