"""The body of an availability event: a JSON object, read as inventory systems write it.

A value counts that can mean one thing only: `-1`, `"0"` and `5.0` are numbers of units. Any other is refused
with the name of its field. Fields that nothing here knows are left out, and the answer names them.
"""

import json
import re
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

from chalicelib.domain.ids import SkuRefused, parse_sku
from chalicelib.domain.stock import (
    EVENT_ID_CHARS_MAX,
    UNITS_MAX,
    Availability,
    AvailabilityEvent,
    availability_of_units,
)
from chalicelib.http.request import Body, FieldError, Problem

FIELDS = frozenset({"event_id", "sku", "availability", "units", "observed_at"})
IGNORED_SHOWN_MAX = 20
VALUE_CHARS_SHOWN_MAX = 60
SCHEMA_ORG = re.compile(r"https?://schema\.org/")
# Clocks differ; an event from the far future would shut out every later one.
AHEAD_MS_MAX = 5 * 60 * 1000
EVENT_ID = re.compile(rf"[!-~]{{1,{EVENT_ID_CHARS_MAX}}}", re.ASCII)
WHOLE = re.compile(r"[+-]?[0-9]{1,9}(\.0{1,9})?", re.ASCII)


def availability_event(body: Body, *, default_id: str, default_at_ms: int, now_ms: int) -> AvailabilityEvent:
    """Return the event of a body: {"sku", "availability" or "units" or both, "event_id", "observed_at"}.

    Without an `event_id` the default counts. Without a time of observation (ISO 8601, with its offset) the
    event counts as of its arrival.

    Raises:
        Problem: 413 too large, 400 naming every field that is wrong.
    """
    document = body.json_object()
    errors: list[FieldError] = []
    sku = _sku(document, errors)
    event_id = _event_id(document, default_id, errors)
    units = _units(document, errors)
    availability = _availability(document, units, errors)
    observed_at_ms = _time_ms(document, errors)
    if observed_at_ms is not None and observed_at_ms > now_ms + AHEAD_MS_MAX:
        errors.append(_wrong("observed_at", "This time is still to come", document))
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", tuple(errors))
    by_units = document.get("availability") is None
    if observed_at_ms is None:
        return AvailabilityEvent(
            event_id, sku, availability, units, default_at_ms, by_arrival=True, by_units=by_units
        )
    return AvailabilityEvent(event_id, sku, availability, units, observed_at_ms, by_units=by_units)


def ignored_fields(body: Body) -> tuple[str, ...]:
    """Return the names of fields that nothing here knows, at most 20 of them."""
    unknown = (name for name in body.json_object() if name not in FIELDS)
    return tuple(name[:VALUE_CHARS_SHOWN_MAX] for name in islice(unknown, IGNORED_SHOWN_MAX))


def _wrong(name: str, words: str, document: dict[str, Any]) -> FieldError:
    """Return the error of a field, with the value it has."""
    value = json.dumps(document.get(name), ensure_ascii=True)
    if len(value) > VALUE_CHARS_SHOWN_MAX:
        value = value[:VALUE_CHARS_SHOWN_MAX] + "..."
    return FieldError(name, f"{words}.", particulars=f"{words}, not {value}.")


def _sku(document: dict[str, Any], errors: list[FieldError]) -> str:
    value = document.get("sku", "")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        # Some systems write SKUs of digits as numbers; those have no leading zeros to lose.
        value = f"{value:d}"
    if not isinstance(value, str):
        errors.append(FieldError("sku", "Write the SKU as a text, in quotes."))
        return ""
    try:
        return parse_sku(value)
    except SkuRefused as refused:
        errors.append(FieldError("sku", "Name an SKU.", particulars=refused.reason))
        return ""


def _event_id(document: dict[str, Any], default: str, errors: list[FieldError]) -> str:
    value = document.get("event_id")
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:d}"
    if not isinstance(value, str) or not EVENT_ID.fullmatch(value):
        expected = f"An id of 1 to {EVENT_ID_CHARS_MAX} letters, digits and signs without spaces"
        errors.append(_wrong("event_id", expected, document))
        return ""
    return value


def _units(document: dict[str, Any], errors: list[FieldError]) -> int | None:
    value = document.get("units")
    if value is None:
        return None
    units = _whole(value)
    if units is None or units > UNITS_MAX:
        errors.append(_wrong("units", f"A whole number up to {UNITS_MAX}", document))
        return None
    # More were sold than there were: none are left.
    return max(0, units)


def _whole(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if WHOLE.fullmatch(value.strip()):
            return int(float(value))
    return None


def _availability(document: dict[str, Any], units: int | None, errors: list[FieldError]) -> Availability:
    value = document.get("availability")
    if value is None:
        if units is None and document.get("units") is None:
            errors.append(FieldError("availability", "Say what is available, or how many units there are."))
        return availability_of_units(units)
    known = [availability.value for availability in Availability]
    name = SCHEMA_ORG.sub("", value.strip(), count=1) if isinstance(value, str) else ""
    if name not in known:
        errors.append(_wrong("availability", f"One of {', '.join(known)}", document))
        return Availability.OUT_OF_STOCK
    if Availability(name) is Availability.IN_STOCK and units == 0:
        errors.append(FieldError("units", "InStock and no units do not go together."))
    return Availability(name)


def _time_ms(document: dict[str, Any], errors: list[FieldError]) -> int | None:
    value = document.get("observed_at")
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.strip().upper())
        if moment.tzinfo is not None:
            return int(moment.astimezone(UTC).timestamp() * 1000)
    except (AttributeError, TypeError, ValueError, OverflowError):
        pass
    errors.append(_wrong("observed_at", "A time with its offset as 2026-11-23T17:00:00Z", document))
    return None
