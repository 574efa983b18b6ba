"""What the waves queue carries: ids only, so that an erased shopper leaves nothing behind in it."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

WAVE_STEP_ENTRIES_MAX = 50


@dataclass(frozen=True, slots=True)
class WaveStep:
    """Tell the next shoppers of one shard of a line, those in places after `after`.

    A `sweep` walks the shard once more at the end, for entries the index showed late.
    """

    restock_id: str
    sku: str
    line: str
    after: str = ""
    sweep: bool = False

    def next(self, last_place: str | None) -> "WaveStep | None":
        """The step that follows one which ended at `last_place` (None: the shard's end was reached)."""
        if last_place is not None:
            return replace(self, after=last_place)
        return None if self.sweep else replace(self, after="", sweep=True)


@dataclass(frozen=True, slots=True)
class TellOne:
    """Tell one shopper, who confirmed while the variant was available."""

    restock_id: str
    sku: str
    shopper: str


WaveMessage = WaveStep | TellOne
KINDS: dict[str, type[WaveStep] | type[TellOne]] = {"step": WaveStep, "one": TellOne}


def to_json(message: WaveMessage) -> str:
    """The queue message's body."""
    kind = next(name for name, message_type in KINDS.items() if isinstance(message, message_type))
    return json.dumps({"kind": kind, **asdict(message)}, sort_keys=True)


def from_json(body: str) -> WaveMessage:
    """The message of a body made by `to_json`.

    Raises:
        ValueError: the body is none of ours.
    """
    try:
        facts: dict[str, Any] = json.loads(body)
        return KINDS[facts.pop("kind")](**facts)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a wave message: {error}") from None
