"""Waves of emails about a restock: wave policies, budgets of limited waves, counters, and a batch's marks.

The counters of a limited wave are written by the transaction of the marks they count. The counters of a shard
only report progress: they are written right after its marks, at half the price, and a worker that dies in
between leaves them a batch short.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.entry import Entry
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import Restock, tag_of
from chalicelib.domain.wave import EVERYONE, WaveBudget, WavePolicy
from chalicelib.tables.expressions import Attr, if_not_exists
from chalicelib.tables.sending import SendingRowKind
from chalicelib.tables.shards import Notified, ShardsTable
from chalicelib.tables.table import Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT_S = 400 * 24 * 3600
COUNTERS = (
    "notified",
    "rejected",
    "unclear",
    "deferred_now",
    "given_up",
    "bounced",
    "complained",
    "unsubscribed_after",
)
# One worker walks all shards of a limited wave, and counts them in one row.
ALL_SHARDS = "all"


class WaveRecords:
    """Writes the marks of a batch together with its restock's counters and its wave's budget."""

    def __init__(self, shards: ShardsTable, progress: "ProgressTable") -> None:
        self._shards = shards
        self._progress = progress

    def mark_batch(
        self, restock: Restock, notified: Sequence[Notified], *, emails: Mapping[str, int], at_ms: int
    ) -> int:
        """Mark a batch of a limited wave and count its emails, in one transaction.

        Args:
            restock: the restock that the emails are about.
            notified: entries whose email was handed over, at most 50.
            emails: numbers of emails by counter (see `Progress`): "notified", "rejected" and so on.
            at_ms: the time of now.

        Returns:
            The number of entries that were marked; an entry that was unsubscribed meanwhile stays so.

        Raises:
            MarksNotWritten: others wrote to these entries on every attempt.
        """
        writes = [self._progress.count(restock.id, ALL_SHARDS, at_ms=at_ms, **emails)]
        # A rejected email does not count against a limited wave.
        accepted = emails["notified"] - emails["rejected"]
        if accepted > 0:
            writes.append(self._progress.take_from_wave(restock.sku, accepted, at_ms=at_ms))
        return self._shards.mark_batch(notified, restock_id=restock.id, at_ms=at_ms, counting=writes)

    def mark_each(
        self,
        restock: Restock,
        shard: str,
        notified: Sequence[Notified],
        *,
        emails: Mapping[str, int],
        at_ms: int,
    ) -> None:
        """Mark entries by separate writes, then count their emails for `shard`.

        Raises:
            MarksNotWritten: some marks are missing; nothing is counted.
        """
        self._shards.mark_each(notified, restock_id=restock.id, at_ms=at_ms)
        self._progress.add(restock.id, shard, at_ms=at_ms, **emails)

    def defer(self, restock: Restock, shard: str, entry: Entry, *, at_ms: int) -> bool:
        """Mark an entry as deferred for a restock, and reserve its email in the budget of a limited wave.

        Returns:
            False when the entry was deferred for this restock before, or does not wait any more.
        """
        # A reserved email that is sent later does not make the wave larger.
        reserving = self._progress.take_from_wave(restock.sku, 1, at_ms=at_ms)
        writes = [reserving] if shard == ALL_SHARDS else []
        return self._shards.defer(entry, restock_id=restock.id, counting=writes)


@dataclass(frozen=True, slots=True)
class Progress:
    """Emails of a restock: `notified` were handed over; of these, `rejected` were refused for good.

    The outcome of `unclear` emails is unknown. `deferred_now` wait for another attempt, `given_up` had their
    last one: their entries keep their position for the next restock.

    After they were sent, `bounced` emails bounced for good, `complained` were reported as spam, and
    `unsubscribed_after` led to an unsubscribed entry. `first_at_ms` and `last_at_ms` are the times of the
    first and the last marks.
    """

    notified: int = 0
    rejected: int = 0
    unclear: int = 0
    deferred_now: int = 0
    given_up: int = 0
    bounced: int = 0
    complained: int = 0
    unsubscribed_after: int = 0
    first_at_ms: int | None = None
    last_at_ms: int | None = None


class ProgressTable:
    """Rows `notified#RESTOCK#SHARD` and `received#TAG` (counters), and `wave#SKU` (budgets)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def count(self, restock_id: str, shard: str, *, at_ms: int, **emails: int) -> Update:
        """Return the write that counts `emails` by counter, for the transaction of the marks."""
        return Update(
            self.table,
            SendingRowKind.NOTIFIED.key(f"{restock_id}#{shard}"),
            {
                "last_at_ms": at_ms,
                "first_at_ms": if_not_exists("first_at_ms", at_ms),
                "expires_at_s": at_ms // 1000 + KEPT_S,
            },
            add={name: number for name, number in emails.items() if number},
        )

    def add(self, restock_id: str, shard: str, *, at_ms: int, **emails: int) -> None:
        """Count `emails` by a write of its own."""
        self.table.make(self.count(restock_id, shard, at_ms=at_ms, **emails))

    def take_from_wave(self, sku: Sku, emails: int, *, at_ms: int) -> Update:
        """Return the write that takes `emails` off the budget of a limited wave, to go with the marks."""
        return Update(
            self.table,
            SendingRowKind.WAVE.key(sku),
            {"last_email_at_ms": at_ms},
            add={"emails_left": -emails},
        )

    def give_back(self, sku: Sku, emails: int, *, number: int) -> bool:
        """Give `emails` back to the budget of wave `number`; false when another wave has begun since."""
        is_same_wave = Attr("wave_number").eq(number)
        return self.table.update_if(SendingRowKind.WAVE.key(sku), is_same_wave, add={"emails_left": emails})

    def put_wave(self, sku: Sku, wave: WaveBudget, *, known: WaveBudget, at_ms: int) -> bool:
        """Begin a wave, or change its budget; false when it is not as `known` any more."""
        is_as_known = Attr("wave_number").not_exists()
        if known.number:
            is_as_known = (
                Attr("wave_number").eq(known.number)
                & Attr("emails_granted").eq(known.granted)
                & Attr("emails_left").eq(known.left)
            )
        return self.table.update_if(
            SendingRowKind.WAVE.key(sku),
            is_as_known,
            {
                "wave_number": wave.number,
                "emails_granted": wave.granted,
                "emails_left": wave.left,
                "last_email_at_ms": wave.last_email_at_ms,
                "expires_at_s": at_ms // 1000 + KEPT_S,
            },
        )

    def wave(self, sku: Sku) -> WaveBudget:
        """Return the budget of a SKU's limited waves (a strongly consistent read)."""
        item = self.table.get(SendingRowKind.WAVE.key(sku)) or {}
        return WaveBudget(
            number=item.get("wave_number", 0),
            granted=item.get("emails_granted", 0),
            left=item.get("emails_left", 0),
            last_email_at_ms=item.get("last_email_at_ms", 0),
            announced=item.get("announced", 0),
            announced_for=item.get("announced_for"),
        )

    def announce(self, sku: Sku, restock_id: str, number: int) -> None:
        """Store that wave `number` is queued for this restock."""
        is_news = (
            Attr("announced").not_exists()
            | Attr("announced").lt(number)
            | Attr("announced_for").ne(restock_id)
        )
        announced = {"announced": number, "announced_for": restock_id}
        self.table.update_if(SendingRowKind.WAVE.key(sku), is_news, announced)

    def first_unclear(self, restock_id: str, shard: str, position: str) -> bool:
        """Store that the outcome of the batch at `position` is unclear; true for the first time."""
        is_first = Attr("unclear_position").not_exists() | Attr("unclear_position").ne(position)
        return self.table.update_if(
            SendingRowKind.NOTIFIED.key(f"{restock_id}#{shard}"), is_first, {"unclear_position": position}
        )

    def count_unsubscribed(self, restock_id: str, *, at_ms: int) -> None:
        """Count an entry that was unsubscribed after the email about a restock."""
        self.table.make(received(self.table, tag_of(restock_id), "unsubscribed_after", at_ms))

    def of(self, restock_id: str, shards: Iterable[str]) -> Progress:
        """Return the sum of a restock's counters over `shards` and its limited waves."""
        keys = [SendingRowKind.NOTIFIED.key(f"{restock_id}#{shard}") for shard in (*shards, ALL_SHARDS)]
        keys.append(SendingRowKind.RECEIVED.key(tag_of(restock_id)))
        items = list(self.table.batch_get(keys, ["id", *COUNTERS, "first_at_ms", "last_at_ms"]))
        sums = {name: sum(item.get(name, 0) for item in items) for name in COUNTERS}
        first = [item["first_at_ms"] for item in items if "first_at_ms" in item]
        last = [item["last_at_ms"] for item in items if "last_at_ms" in item]
        return Progress(**sums, first_at_ms=min(first, default=None), last_at_ms=max(last, default=None))


def received(table: Table, tag: str, counter: str, at_ms: int) -> Update:
    """Return the write that adds one to a counter of how the emails about a restock were received."""
    expiry = {"expires_at_s": at_ms // 1000 + KEPT_S}
    return Update(table, SendingRowKind.RECEIVED.key(tag), expiry, add={counter: 1})


class PoliciesTable:
    """Rows `policy#` (the shop's wave policy) and `policy#SLUG` (a product's)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def of(self, slug: Slug | None) -> WavePolicy:
        """Return the policy of a product: its own, or else the shop's, or else everyone at once.

        `slug` is None for the shop's own.
        """
        return self.of_many([slug])[slug]

    def of_many(self, slugs: Iterable[Slug | None]) -> dict[Slug | None, WavePolicy]:
        """Return the policy of each product, see `of`."""
        owners = {slug: slug or "" for slug in slugs}
        found = self._stored(owners.values())
        return {slug: found.get(owner) or found.get("") or EVERYONE for slug, owner in owners.items()}

    def own(self, slug: Slug | None) -> WavePolicy | None:
        """Return the policy that a product has of its own (or the shop); None where it has none."""
        return self._stored([slug or ""]).get(slug or "")

    def _stored(self, owners: Iterable[str]) -> dict[str, WavePolicy]:
        """Return the policies stored for these owners and for the shop (""), by owner."""
        keys = [SendingRowKind.POLICY.key(owner) for owner in dict.fromkeys((*owners, ""))]
        items = self.table.batch_get(keys, ["id", "policy"])
        return {
            item["id"].removeprefix(SendingRowKind.POLICY): WavePolicy(**json.loads(item["policy"]))
            for item in items
        }

    def put(self, slug: Slug | None, policy: WavePolicy) -> None:
        """Set a product's policy (the shop's, when `slug` is None), in force from the next restock."""
        self.table.put(
            {**SendingRowKind.POLICY.key(slug or ""), "policy": json.dumps(asdict(policy), sort_keys=True)}
        )

    def remove(self, slug: Slug | None) -> None:
        """Remove a product's policy; the shop's is in force again."""
        self.table.delete(SendingRowKind.POLICY.key(slug or ""))
