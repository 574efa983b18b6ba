"""An email to one shopper, written but not yet sent; and what the confirmations queue carries of one."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Email:
    """What a shopper reads: the same words as text and as HTML. `subject` is always a single line."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class RequestedEmail:
    """An email that a shopper asked for: to confirm the entry for `sku`, or, without one, to see all of
    theirs. Ids only, so that an erased shopper leaves nothing behind in the queue. `already`: to say that the
    entry is confirmed. `source` is the id of the network that asked for a link to their lists.

    `hops` counts how often the message was queued again, `tries` how often in a row because nothing could
    be sent, `deferrals` how often its own mailbox said "later". Not before `not_before_ms`. `unclear`:
    nobody knows whether it was sent before.
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
        """Write the queue message's body: what is not as usual."""
        usual = asdict(RequestedEmail(self.shopper))
        facts = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return json.dumps({**facts, "shopper": self.shopper}, sort_keys=True)

    @classmethod
    def from_json(cls, body: str) -> "RequestedEmail":
        """Read a body made by `to_json`, or one without counters.

        Raises:
            ValueError: the body is none of ours.
        """
        try:
            facts: dict[str, Any] = json.loads(body)
            return cls(**facts)
        except TypeError as error:
            raise ValueError(f"not an email's message: {error}") from None
