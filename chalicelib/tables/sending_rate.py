"""The pace row of the sending table: when the next email may leave, how many may leave today, and
whether sending is paused. One row for the whole shop, moved by conditional writes, so that any number
of workers together keep to one limit.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.domain.deliverability import DAY_MS, WINDOW_DAYS
from chalicelib.domain.rate_limits import HOUR_MS, Limits, SendingRate
from chalicelib.tables.dynamodb import update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = {"id": {"S": "sending-rate"}}
LIMITS = ("rate_per_s", "emails_left", "ready_at_us", "read_at_ms")
US_PER_MS = 1000
HOURS_KEPT = 25
# How emails are received is judged by the day they were sent, in days since the epoch.
DAYS_KEPT = WINDOW_DAYS + 1


class SendingRateTable:
    """The only module that knows how the pace is stored."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def state(self) -> SendingRate | None:
        """The row (a strongly consistent read); None before the first email ever.

        Limits that are to be read anew, after a pause, are all 0.
        """
        item = self._client.get_item(TableName=self._name, Key=KEY, ConsistentRead=True).get("Item", {})
        if not item:
            return None
        numbers = {name: item[name]["N"] for name in LIMITS if name in item}
        return SendingRate(
            float(numbers.get("rate_per_s", 0)),
            int(numbers.get("emails_left", 0)),
            int(numbers.get("ready_at_us", 0)),
            int(numbers.get("read_at_ms", 0)),
            item["paused"]["S"] if "paused" in item else None,
            _by_hour(item, "hours"),
            _by_hour(item, "earlier"),
            _by_hour(item, "days"),
        )

    def elect(self, *, at_ms: int, for_ms: int, known: SendingRate | None) -> bool:
        """Whether the caller is the one that reads the limits anew; nobody else is for `for_ms`."""
        return update_if(
            self._client,
            TableName=self._name,
            Key=KEY,
            UpdateExpression="SET asking_until_ms = :until",
            ConditionExpression="(attribute_not_exists(read_at_ms) OR read_at_ms = :known)"
            " AND (attribute_not_exists(asking_until_ms) OR asking_until_ms < :now)",
            ExpressionAttributeValues={
                ":until": {"N": str(at_ms + for_ms)},
                ":now": {"N": str(at_ms)},
                ":known": {"N": str(known.read_at_ms if known else 0)},
            },
        )

    def put_limits(self, limits: Limits, *, at_ms: int, known: SendingRate | None) -> None:
        """Write down what was just read from the transport; of several who read, the first one's stays."""
        past, tidying = _tidying(
            {
                "hours": (known.emails_by_hour if known else {}, at_ms // HOUR_MS - HOURS_KEPT),
                "days": (known.emails_by_day if known else {}, at_ms // DAY_MS - DAYS_KEPT),
            }
        )
        update_if(
            self._client,
            TableName=self._name,
            Key=KEY,
            # By difference: what others take in the meantime is not given out twice.
            UpdateExpression="SET rate_per_s = :rate, read_at_ms = :now,"
            " emails_left = if_not_exists(emails_left, :zero) + :more,"
            " ready_at_us = if_not_exists(ready_at_us, :ready)" + tidying,
            ConditionExpression="attribute_not_exists(read_at_ms) OR read_at_ms = :known",
            ExpressionAttributeValues={
                ":rate": {"N": str(limits.rate_per_s)},
                ":more": {"N": str(limits.emails_left - (known.emails_left if known else 0))},
                ":zero": {"N": "0"},
                ":now": {"N": str(at_ms)},
                ":ready": {"N": str(at_ms * US_PER_MS)},
                ":known": {"N": str(known.read_at_ms if known else 0)},
                **{value: {"M": {}} for value in (":no_hours", ":no_days") if value in tidying},
            },
            **({"ExpressionAttributeNames": past} if past else {}),
        )

    def take(self, emails: int, *, cost_us: int, at_ms: int, wait_ms_max: int) -> int | None:
        """Reserve the next turn for so many emails; the time (ms) it begins.

        None when sending is paused, the quota does not suffice, or the turn is more than
        `wait_ms_max` away. At most two conditional writes.
        """
        now_us = at_ms * US_PER_MS
        at_once = {":end": now_us + cost_us, ":now": now_us}
        if self._take(emails, at_ms, "ready_at_us = :end", "ready_at_us <= :now", at_once) is not None:
            return at_ms
        ready_us = self._take(
            emails,
            at_ms,
            "ready_at_us = ready_at_us + :cost",
            "ready_at_us BETWEEN :now AND :latest",
            {":cost": cost_us, ":now": now_us, ":latest": now_us + wait_ms_max * US_PER_MS},
        )
        return None if ready_us is None else -(-(ready_us - cost_us) // US_PER_MS)

    def pause(self, reason: str) -> bool:
        """Stop all sending; false when it was stopped before."""
        return update_if(
            self._client,
            TableName=self._name,
            Key=KEY,
            UpdateExpression="SET paused = :reason",
            ConditionExpression="attribute_not_exists(paused)",
            ExpressionAttributeValues={":reason": {"S": reason}},
        )

    def resume(self) -> bool:
        """Start sending again; false when it was not stopped. Limits are read again, and emails are counted
        from the beginning, by hour and by day, but for a day's quota, of which they are gone."""
        state = self.state()
        if state is None or state.paused is None:
            return False
        # Nothing is given out while paused: what was read still holds.
        earlier = Counter(state.earlier_by_hour) + Counter(state.emails_by_hour)
        return update_if(
            self._client,
            TableName=self._name,
            Key=KEY,
            UpdateExpression="SET hours = :no_hours, days = :no_days, earlier = :earlier"
            " REMOVE paused, read_at_ms, emails_left",
            ConditionExpression="attribute_exists(paused)",
            ExpressionAttributeValues={
                # One value for both would be one map in the emulator, which copies none.
                ":no_hours": {"M": {}},
                ":no_days": {"M": {}},
                ":earlier": {"M": {str(hour): {"N": str(count)} for hour, count in earlier.items()}},
            },
        )

    def _take(
        self, emails: int, at_ms: int, update: str, condition: str, numbers: dict[str, int]
    ) -> int | None:
        try:
            answer = self._client.update_item(
                TableName=self._name,
                Key=KEY,
                UpdateExpression="SET emails_left = emails_left - :emails,"
                " hours.#hour = if_not_exists(hours.#hour, :nothing) + :emails,"
                f" days.#day = if_not_exists(days.#day, :nothing) + :emails, {update}",
                ConditionExpression="attribute_not_exists(paused) AND emails_left >= :emails"
                f" AND {condition}",
                ExpressionAttributeValues={
                    ":emails": {"N": str(emails)},
                    ":nothing": {"N": "0"},
                    **{name: {"N": str(number)} for name, number in numbers.items()},
                },
                ExpressionAttributeNames={"#hour": str(at_ms // HOUR_MS), "#day": str(at_ms // DAY_MS)},
                ReturnValues="UPDATED_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        attributes: Any = answer["Attributes"]
        return int(attributes["ready_at_us"]["N"])


def _by_hour(item: Mapping[str, Any], name: str) -> dict[int, int]:
    return {int(hour): int(count["N"]) for hour, count in item.get(name, {}).get("M", {}).items()}


def _tidying(counts: Mapping[str, tuple[Mapping[int, int], int]]) -> tuple[dict[str, str], str]:
    """Names and the end of an update that drops what was counted before the first hour or day to be kept, of
    each map of `counts`; a map with nothing to drop is made where there is none yet."""
    names = {
        f"#{name}{number}": str(number)
        for name, (known, first) in counts.items()
        for number in known
        if number < first
    }
    paths = [(name, f"{name}.{alias}") for name in counts for alias in names if alias.startswith(f"#{name}")]
    full = {name for name, _ in paths}
    made = "".join(f", {name} = if_not_exists({name}, :no_{name})" for name in counts if name not in full)
    return names, made + (" REMOVE " + ", ".join(path for _, path in paths) if paths else "")
