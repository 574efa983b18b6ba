"""Results of an adapter: readings of stock and links of foreign ids, a ping, or nothing to do."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.stock import (
    SCHEMA_ORG_WORDS,
    UNITS_MAX,
    Availability,
    AvailabilityEvent,
    availability_of_units,
    named_availability,
    whole_number,
)

# A product of Shopify has at most 2,048 variants of a kilobyte each; API Gateway takes ten times as much.
BODY_BYTES_MAX = 4 * 1024 * 1024
SHOWN_CHARS_MAX = 60
# A key of DynamoDB has at most 1,024 bytes, and a character up to four.
KEY_ID_CHARS_MAX = 200


class Unauthentic(Exception):
    """The request does not show that it comes from its source. The message says nothing about why."""


class MalformedEvent(Exception):
    """An authentic request that cannot be read; the message names the field and its value."""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request of a source: header names in lower case, the raw body, and the URL it was sent to."""

    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The stock of one variant, as a source observed it.

    Args:
        event_id: the same for a repeat of the same observation.
        sku: the SKU, where the source names it.
        foreign_id: the source's own id of the variant, as `KIND:ID`; None where only the SKU is known.
        units: the units; None where the source does not count them.
        availability: what the source says; None where the units decide.
        observed_at_ms: the source's time in milliseconds; None where it names none.
        location: the place whose units these are; None for all places together.
    """

    event_id: str
    sku: Sku | None
    foreign_id: str | None
    units: int | None
    availability: Availability | None
    observed_at_ms: int | None
    location: str | None = None

    def event(self, sku: Sku, event_id: str, *, now_ms: int) -> AvailabilityEvent:
        """Return the availability event that this is, for a reading of all places together."""
        return AvailabilityEvent(
            event_id,
            sku,
            self.availability or availability_of_units(self.units),
            self.units,
            now_ms if self.observed_at_ms is None else self.observed_at_ms,
            by_arrival=self.observed_at_ms is None,
            by_units=self.availability is None,
        )


@dataclass(frozen=True, slots=True)
class VariantLink:
    """One fact of a payload about a variant: the source's own id, and its SKU."""

    foreign_id: str
    sku: Sku


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a payload that is no reading, and why: it is reported, never left out in silence."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings in the order of the payload, the links learned from it, and what could not be read."""

    readings: tuple[Reading, ...]
    links: tuple[VariantLink, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class Ping:
    """A request that only asks whether anybody answers."""


@dataclass(frozen=True, slots=True)
class IgnoredEvent:
    """An authentic request about something else than stock."""

    reason: str


ReadOutcome = Readings | Ping | IgnoredEvent


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A request of a source. `results` has an object for each reading, with the outcome by name."""

    id: str
    at_ms: int
    source: str
    outcome: str
    results: tuple[Mapping[str, Any], ...] = ()


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        MalformedEvent: it is another document, or none.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedEvent("the body is no JSON") from None
    if not isinstance(document, dict):
        raise MalformedEvent(f"the body is {shown(document)}, not a JSON object")
    return document


def objects(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects listed under a name; none where it is absent.

    Raises:
        MalformedEvent: it is no list of objects.
    """
    listed = document.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise MalformedEvent(f"{name} is {shown(listed)}, not a list of objects")
    return listed


def sku_of(value: object) -> Sku | None:
    """Return the SKU of a payload's field; None where it is empty.

    Raises:
        MalformedEvent: no SKU can be written so.
    """
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise MalformedEvent(f"sku is {shown(value)}, not a text")
    if not value.strip():
        return None
    try:
        return parse_sku(value)
    except SkuRefused as refused:
        raise MalformedEvent(f"sku {shown(value)}: {refused.reason}") from None


def units_of(value: object) -> int | None:
    """Return a number of units; None where the source does not count. Below none there is none.

    A text counts as the number it writes. A fraction is no number of units: nothing is rounded.

    Raises:
        MalformedEvent: it is no whole number, or over the maximum.
    """
    if value is None:
        return None
    number = whole_number(value)
    if number is None:
        raise MalformedEvent(f"the quantity {shown(value)} is no whole number of units")
    if number > UNITS_MAX:
        raise MalformedEvent(f"the quantity {shown(value)} is over the maximum of {UNITS_MAX} units")
    return max(0, number)


def time_ms(value: object, *, offset: str = "") -> int | None:
    """Return a time of ISO 8601 in milliseconds since the epoch; None where it is absent.

    `offset` is that of a source which writes none, such as "Z".

    Raises:
        MalformedEvent: it is no time, or has no offset.
    """
    if value is None or value == "":
        return None
    at_ms = iso_ms(f"{value}{offset}") if isinstance(value, str | int) else None
    if at_ms is None:
        raise MalformedEvent(f"{shown(value)} is no time with its offset")
    return at_ms


def iso_ms(value: object) -> int | None:
    """Return a time of ISO 8601 with its offset in milliseconds since the epoch; None for anything else."""
    try:
        moment = datetime.fromisoformat(value.strip().upper()) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            return int(moment.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    return None


def availability_of(value: object) -> Availability | None:
    """Return an availability by schema.org's name or address; None where it is absent.

    Raises:
        MalformedEvent: schema.org has no such availability, or an event may not name it.
    """
    if value is None:
        return None
    availability = named_availability(value)
    if availability is None:
        raise MalformedEvent(f"availability is {shown(value)}, none of {', '.join(SCHEMA_ORG_WORDS)}")
    return availability


def id_text(value: object) -> str | None:
    """Return a source's id, a number or a text, as a text; None where it is absent or neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def hashed_id(value: object, name: str) -> str | None:
    """Return a source's id of an event, of any length; None where it is absent, or neither number nor text.

    Raises:
        MalformedEvent: half a character is in it, which no encoding writes.
    """
    text = id_text(value)
    if text is not None and _HALF.search(text):
        raise MalformedEvent(f"{name} is {shown(value)}, with half a character in it")
    return text


def key_id(value: object, name: str) -> str | None:
    """Return a source's id of a variant or a location, which is stored as a key; None as `hashed_id`.

    Raises:
        MalformedEvent: it is too long for a key, or half a character is in it.
    """
    text = hashed_id(value, name)
    if text is not None and len(text) > KEY_ID_CHARS_MAX:
        raise MalformedEvent(f"{name} has {len(text)} characters; {KEY_ID_CHARS_MAX} are the most")
    return text


def subject_of(kind: str, value: object) -> str:
    """Return the name of a part of a payload by its id, which may be anything: "variant 7"."""
    text = id_text(value)
    if text is None:
        return f"{kind} without an id"
    is_plain = len(text) <= SHOWN_CHARS_MAX and text.isprintable()
    return f"{kind} {text if is_plain else shown(text)}"


def shown(value: object) -> str:
    """Return a value of a payload as a reason names it: the beginning of its JSON, in ASCII."""
    try:
        text = json.dumps(value, ensure_ascii=True, default=str)
    except RecursionError:
        # Nested as deep as this parser reads, which a frame further down is too deep.
        text = "nested too deep"
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}..."


_HALF = re.compile(r"[\ud800-\udfff]")
