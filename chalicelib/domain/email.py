"""An email to one shopper, composed but not yet sent; and the message of the confirmations queue."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Email:
    """The same words as text and as HTML. `subject` is always a single line."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class RequestedEmail:
    """An email that a shopper requested.

    It confirms the entry for `sku`, or says that the entry is confirmed (`already`); without `sku` it links
    to the shopper's waitlists. Ids only, so that an erased shopper leaves nothing in the queue. `source` is
    the id of the network that requested it.

    `hops` counts how often the message was queued again, `tries` how often in a row because nothing could
    be sent, `deferrals` how often its own mailbox said "later". Not before `not_before_ms`. `unclear`: it may
    have been sent before.
    """

    shopper: str
    sku: str | None = None
    already: bool = False
    source: str = ""
    hops: int = 0
    tries: int = 0
    deferrals: int = 0
    not_before_ms: int = 0
    unclear: bool = False

    def to_json(self) -> str:
        """Return the queue message's body: the fields that have no default value."""
        usual = asdict(RequestedEmail(self.shopper))
        facts = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return json.dumps({**facts, "shopper": self.shopper}, sort_keys=True)

    @classmethod
    def from_json(cls, body: str) -> "RequestedEmail":
        """Return the message of a body made by `to_json`, or of one without counters.

        Raises:
            ValueError: the body is none of ours.
        """
        try:
            facts: dict[str, Any] = json.loads(body)
            return cls(**facts)
        except TypeError as error:
            raise ValueError(f"not an email's message: {error}") from None
