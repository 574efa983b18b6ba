"""Domain events: one codec, ids by cause, and a queue that takes ten at once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.domain_event import DomainEvent, EventType, EventUnreadable, event_id
from chalicelib.queues import DomainEventsQueue, EventsNotQueued

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.builds(
    DomainEvent,
    st.text(min_size=1, max_size=32),
    st.sampled_from(EventType),
    st.integers(0, 4_102_444_800_000),
    st.none() | st.text(min_size=1, max_size=20),
    st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4),
    st.none() | st.text(min_size=1, max_size=32),
    st.integers(0, 3),
)


@given(EVENTS)
@settings(max_examples=60)
def test_an_event_survives_its_json(event: DomainEvent) -> None:
    assert DomainEvent.from_json(event.to_json()) == event


def test_an_event_is_a_cloudevent() -> None:
    event = DomainEvent(
        "e1", EventType.RESTOCK_OPENED, 1_700_000_000_120, "MUG", {"units": 5}, cause="e0", depth=1
    )

    assert event.to_cloudevent("https://shop.example") == {
        "specversion": "1.0",
        "id": "e1",
        "source": "https://shop.example",
        "type": "restock.opened",
        "time": "2023-11-14T22:13:20.120Z",
        "subject": "MUG",
        "datacontenttype": "application/json",
        "data": {"units": 5},
        "causationid": "e0",
        "chaindepth": 1,
    }


def test_the_same_cause_gives_the_same_id_and_another_cause_another() -> None:
    first = event_id(EventType.RESTOCK_OPENED, "r1")

    assert first == event_id(EventType.RESTOCK_OPENED, "r1")
    assert (
        len({first, event_id(EventType.RESTOCK_OPENED, "r2"), event_id(EventType.WAVE_FINISHED, "r1")}) == 3
    )
    assert event_id(EventType.SCHEDULE, "a", "b") != event_id(EventType.SCHEDULE, "ab")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "the event is no JSON"),
        ("[]", "the event is no JSON object"),
        ('{"id":"1"}', "the event lacks type"),
        ('{"id":"1","type":"shop.closed"}', "'shop.closed' is not a valid EventType"),
        (
            '{"id":"1","type":"schedule","time":"2026-01-01T00:00:00","data":{}}',
            "the time 2026-01-01T00:00:00 has no offset",
        ),
    ],
)
def test_another_document_is_refused_with_its_fault(text: str, message: str) -> None:
    with pytest.raises(EventUnreadable, match=message):
        DomainEvent.from_json(text)


class RecordingSqs:
    """Keeps the batches that were sent; `failed` is reported for each."""

    def __init__(self, failed: list[dict[str, str]] | None = None) -> None:
        self.batches: list[list[dict[str, str]]] = []
        self._failed = failed or []

    def send_message_batch(self, **call: Any) -> dict[str, Any]:
        self.batches.append(call["Entries"])
        return {"Failed": self._failed}


def test_events_are_queued_ten_at_a_time_in_order() -> None:
    client: Any = RecordingSqs()
    events = [DomainEvent(str(number), EventType.SCHEDULE, number) for number in range(23)]

    DomainEventsQueue(client, "url").put(events)

    assert [len(batch) for batch in client.batches] == [10, 10, 3]
    sent = [DomainEvent.from_json(entry["MessageBody"]) for batch in client.batches for entry in batch]
    assert sent == events


def test_a_batch_that_is_taken_in_part_is_an_error() -> None:
    client: Any = RecordingSqs([{"Id": "1", "Code": "InternalError"}])

    with pytest.raises(EventsNotQueued, match="1 of 2: InternalError"):
        DomainEventsQueue(client, "url").put([DomainEvent(str(i), EventType.SCHEDULE, 0) for i in range(2)])
