"""Rows of kind `overview` in the merchant's table: the overview of some seconds ago, and its catalogue.

    ("overview", "snapshot")            the answer of the first page, and what the others are made from
    ("overview", "claim")               when the newest snapshot was begun
    ("overview", "catalogue#VERSION#N") a part of the catalogue: names, pictures, stock as last read

Texts are compressed: DynamoDB takes items of 400 KB, and a write costs by the kilobyte.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from chalicelib.tables.expressions import Attr
from chalicelib.tables.merchant import MerchantRowKind
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# A snapshot is begun by one poll. After this time the function that began it is taken for dead.
CLAIM_MS = 15_000
KEPT_S = 7 * 24 * 3600
# DynamoDB takes items of 400 KB.
CHUNK_BYTES_MAX = 380_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The overview as of `made_at_ms`.

    Attributes:
        made_at_ms: The time at which it was begun.
        etag: A digest of all that an answer shows.
        body: The answer of the first page, as JSON values.
        state: What the next snapshot and the other answers are made from, as JSON values.
        catalogue: The version of the catalogue, the number of its parts, and the time it was read.
    """

    made_at_ms: int
    etag: str
    body: dict[str, Any]
    state: dict[str, Any]
    catalogue: "CatalogueVersion"


@dataclass(frozen=True, slots=True)
class CatalogueVersion:
    """A stored catalogue: `version` is a digest of it, `products` the number of products in it."""

    version: str
    parts: int
    products: int
    read_at_ms: int


class OverviewTable:
    """Reads and writes these rows."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def snapshot(self) -> Snapshot | None:
        """Return the newest snapshot (an eventually consistent read); None before the first."""
        item = self.table.get(_key("snapshot"), consistent=False)
        if item is None:
            return None
        return Snapshot(
            item["made_at_ms"],
            item["etag"],
            unpacked(item["body"]),
            unpacked(item["state"]),
            CatalogueVersion(*(item[f"catalogue_{field.name}"] for field in fields(CatalogueVersion))),
        )

    def put(self, snapshot: Snapshot) -> None:
        """Write a snapshot in place of the last one.

        Where an item has no room for the numbers of all variants, those with the most demand are kept, for
        searches; the totals and the first page are right in any case.
        """
        body, state = packed(snapshot.body), snapshot.state
        while state["numbers"] and len(body) + len(packed(state)) > CHUNK_BYTES_MAX:
            state = {**state, "numbers": state["numbers"][: len(state["numbers"]) // 2]}
        catalogue = {
            f"catalogue_{field.name}": getattr(snapshot.catalogue, field.name)
            for field in fields(CatalogueVersion)
        }
        self.table.put(
            {
                **_key("snapshot"),
                "made_at_ms": snapshot.made_at_ms,
                "etag": snapshot.etag,
                "body": body,
                "state": packed(state),
                **catalogue,
                "expires_at_s": snapshot.made_at_ms // 1000 + KEPT_S,
            }
        )

    def claim(self, *, at_ms: int, known_ms: int | None) -> bool:
        """Return whether the caller makes the next snapshot: false while another one does.

        `known_ms` is the time of the newest snapshot, None before the first.
        """
        is_free = Attr("claimed_at_ms").not_exists() | Attr("claimed_at_ms").lt(at_ms - CLAIM_MS)
        if known_ms is not None:
            is_free = is_free | Attr("claimed_at_ms").eq(known_ms)
        values = {"claimed_at_ms": at_ms, "expires_at_s": at_ms // 1000 + KEPT_S}
        return self.table.update_if(_key("claim"), is_free, values)

    def catalogue(self, known: CatalogueVersion) -> list[Any] | None:
        """Return the members of a stored catalogue; None when a part of it is gone."""
        members: list[Any] = []
        for number in range(known.parts):
            item = self.table.get(_part_key(known.version, number), consistent=False)
            if item is None:
                return None
            members += unpacked(item["members"])
        return members

    def put_catalogue(self, version: str, members: Sequence[Any], *, at_ms: int) -> int:
        """Write a catalogue in as many parts as it needs; return their number."""
        parts = list(_parts(members))
        for number, part in enumerate(parts):
            expiry = {"expires_at_s": at_ms // 1000 + KEPT_S}
            self.table.put({**_part_key(version, number), "members": part, **expiry})
        return len(parts)


def packed(document: Any) -> bytes:
    """Return JSON values as they are stored."""
    return zlib.compress(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), 6)


def unpacked(body: bytes) -> Any:
    """Return stored JSON values."""
    return json.loads(zlib.decompress(body))


def _parts(members: Sequence[Any]) -> Iterator[bytes]:
    """Yield the members in parts that fit an item: halves, as long as one does not."""
    part = packed(members)
    if len(part) <= CHUNK_BYTES_MAX or len(members) <= 1:
        yield part
        return
    middle = len(members) // 2
    yield from _parts(members[:middle])
    yield from _parts(members[middle:])


def _key(name: str) -> dict[str, str]:
    return MerchantRowKind.OVERVIEW.key(name)


def _part_key(version: str, number: int) -> dict[str, str]:
    return _key(f"catalogue#{version}#{number}")
