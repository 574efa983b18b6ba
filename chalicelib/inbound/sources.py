"""The sources of stock events: by name, the adapter and its secrets; and messages of the queue for them.

A producer inside the merchant's AWS account sends a webhook's headers and body as a message. IAM decides who
may send to the queue, so such a message is authentic without a signature.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.inbound import bigcommerce, generic, shopify, square, woocommerce
from chalicelib.inbound.readings import ReadOutcome, WebhookRequest


class Adapter(Protocol):
    """The module of one source."""

    def read(self, request: WebhookRequest, secrets: Sequence[str], *, now_ms: int) -> ReadOutcome:
        """Return what a request says.

        Raises:
            Unauthentic: it is signed with none of the secrets.
            Malformed: it cannot be read.
        """

    def read_body(self, headers: Mapping[str, str], body: bytes, message_id: str) -> ReadOutcome:
        """Return what an authentic body says; events that name no id are named by `message_id`.

        Raises:
            Malformed: it cannot be read.
        """


ADAPTERS: Mapping[str, Adapter] = {
    "shopify": shopify,
    "woocommerce": woocommerce,
    "square": square,
    "bigcommerce": bigcommerce,
    "generic": generic,
}
SECRETS_MAX_AGE_MS = 60_000


class SourceSecrets:
    """The secrets of each source, read again when they are a minute old: a rotation needs no deployment."""

    def __init__(self, read: Callable[[], str], clock_ms: Callable[[], int]) -> None:
        self._read = read
        self._clock_ms = clock_ms
        self._known: Mapping[str, Sequence[str]] = {}
        self._read_at_ms: int | None = None

    def of(self, source: str) -> Sequence[str]:
        """Return the secrets of a source, newest first; none where it has none, and nothing is authentic."""
        now_ms = self._clock_ms()
        if self._read_at_ms is None or now_ms - self._read_at_ms > SECRETS_MAX_AGE_MS:
            self._known = secrets_of_sources(self._read())
            self._read_at_ms = now_ms
        return self._known.get(source, ())


def secrets_of_sources(text: str) -> dict[str, tuple[str, ...]]:
    """Return the secrets by source of a document: {"SOURCE": [TEXT, ...]}, the newest first."""
    document = json.loads(text)
    return {source: tuple(filter(None, document.get(source, ()))) for source in ADAPTERS}


def _raw(body: str | dict[str, Any] | list[Any]) -> bytes:
    """Return the bytes of a body as its webhook has them; none where it is nested too deep to be written."""
    try:
        text = body if isinstance(body, str) else json.dumps(body)
    except RecursionError:
        return b""
    # Half a character is for the adapter to refuse, by its field: JSON is read in the same way.
    return text.encode("utf-8", "surrogatepass")


class NoMessage(ValueError):
    """A queue's message is not in the form of one: it names no source, or carries no body."""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message of the queue of inbound events: a source, and the request that it would send as a webhook."""

    source: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def from_json(cls, text: str) -> "InboundMessage":
        """Parse `{"source": NAME, "headers": {NAME: TEXT}, "body": TEXT or OBJECT}`; headers may be left out.

        Raises:
            NoMessage: it is anything else; the message names the field and its value.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise NoMessage("the message is no JSON") from None
        if not isinstance(document, dict):
            raise NoMessage("the message is no JSON object")
        source, headers, body = document.get("source"), document.get("headers") or {}, document.get("body")
        if not isinstance(source, str) or source not in ADAPTERS:
            raise NoMessage(f"source is {source!r}, none of {', '.join(ADAPTERS)}")
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise NoMessage("headers is no JSON object of texts")
        if not isinstance(body, str | dict | list):
            raise NoMessage(f"body is {type(body).__name__}, not a text, an object or a list")
        named = {name.lower(): value for name, value in headers.items()}
        return cls(source, named, _raw(body))

    def read(self, message_id: str) -> ReadOutcome:
        """Read the body by the adapter of the source.

        Raises:
            Malformed: it cannot be read.
        """
        return ADAPTERS[self.source].read_body(self.headers, self.body, message_id)
