"""The body of an availability event: a JSON object, read strictly."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from chalicelib.domain.availability import (
    EVENT_ID_CHARS_MAX,
    UNITS_MAX,
    AvailabilityEvent,
    availability_of_units,
)
from chalicelib.domain.sku import SkuRefused, parse_sku
from chalicelib.domain.stock import Availability
from chalicelib.http.forms import Body
from chalicelib.http.problem import FieldError, Problem

FIELDS = frozenset({"event_id", "sku", "availability", "units", "observed_at"})
# Clocks differ; an event from the far future would shut out every later one.
AHEAD_MS_MAX = 5 * 60 * 1000
EVENT_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{EVENT_ID_CHARS_MAX}}}", re.ASCII)


def availability_event(body: Body, *, default_id: str, default_at_ms: int, now_ms: int) -> AvailabilityEvent:
    """The event of a body: {"sku", "availability" or "units" or both, "event_id", "observed_at"}.

    Without an `event_id` or a time of observation (ISO 8601, with its offset) the defaults count.

    Raises:
        Problem: 413 too large, 400 naming every field that is wrong.
    """
    document = body.json_object()
    errors = [FieldError(name, "This field is not known.") for name in document if name not in FIELDS]
    sku = _sku(document, errors)
    event_id = _checked(document, "event_id", default_id, EVENT_ID, "An id of up to 100 characters.", errors)
    units = _units(document, errors)
    availability = _availability(document, units, errors)
    observed_at_ms = _time_ms(document, default_at_ms, errors)
    if observed_at_ms > now_ms + AHEAD_MS_MAX:
        errors.append(FieldError("observed_at", "This time is still to come."))
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", tuple(errors))
    by_units = document.get("availability") is None
    return AvailabilityEvent(event_id, sku, availability, units, observed_at_ms, by_units)


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


def _checked(
    document: dict[str, Any],
    name: str,
    default: str,
    pattern: re.Pattern[str],
    expected: str,
    errors: list[FieldError],
) -> str:
    value = document.get(name, default)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        errors.append(FieldError(name, expected))
        return ""
    return value


def _units(document: dict[str, Any], errors: list[FieldError]) -> int | None:
    units = document.get("units")
    if units is None:
        return None
    if isinstance(units, bool) or not isinstance(units, int) or not 0 <= units <= UNITS_MAX:
        errors.append(FieldError("units", f"A whole number from 0 to {UNITS_MAX}."))
        return None
    return units


def _availability(document: dict[str, Any], units: int | None, errors: list[FieldError]) -> Availability:
    value = document.get("availability")
    if value is None:
        if units is None:
            errors.append(FieldError("availability", "Say what is available, or how many units there are."))
        return availability_of_units(units)
    known = [availability.value for availability in Availability]
    if value not in known:
        errors.append(FieldError("availability", f"One of {', '.join(known)}."))
        return Availability.OUT_OF_STOCK
    if Availability(value) is Availability.IN_STOCK and units == 0:
        errors.append(FieldError("units", "InStock and no units do not go together."))
    return Availability(value)


def _time_ms(document: dict[str, Any], default_ms: int, errors: list[FieldError]) -> int:
    value = document.get("observed_at")
    if value is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(value)
        observed_at_ms = int(moment.astimezone(UTC).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        moment, observed_at_ms = datetime.min, default_ms  # noqa: DTZ901 - it has no offset: refused below
    if moment.tzinfo is None:
        errors.append(FieldError("observed_at", "A time with its offset: 2026-11-23T17:00:00Z."))
    return observed_at_ms
