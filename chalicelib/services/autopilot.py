"""The autopilot: read the metrics, carry out the decisions, and log each action with its reason.

An operator's terminal and the cloud's schedule run the same one, with other clients and another action log.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from chalicelib.aws.connections import code_of
from chalicelib.domain.autopilot import (
    CONTROL_OF,
    AutopilotAction,
    AutopilotDecision,
    Bounds,
    Control,
    Observation,
    RuleBounds,
    decide,
)
from chalicelib.log import log
from chalicelib.queues import Alarm, depth
from chalicelib.tables.sending import AlertStateTable
from chalicelib.tables.sending.rate import SendingRateTable

LOOKS_BACK_S = 300
PERIOD_S = 60
# On-demand tables begin with this:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html (2026-11)
WARM_WRITE_UNITS = 4_000
RUNBOOK = "docs/runbooks/dead-letters.md"


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that the autopilot watches and may change."""

    entries_table: str
    sending_table: str
    api_function: str
    alarms_topic: str
    dead_letter_queue_urls: tuple[str, ...]


class ActionLog(Protocol):
    """The actions so far."""

    def dead_letters_alerted(self) -> int:
        """Return how many dead letters the last alert reported."""

    def write(self, decision: AutopilotDecision, *, at_ms: int, done: bool) -> None:
        """Add a decision; `done` is false for a dry run."""


class CloudActionLog:
    """Lines in the function's log, and a row with the count of the last alert."""

    def __init__(self, alert_state: AlertStateTable) -> None:
        self._alert_state = alert_state

    def dead_letters_alerted(self) -> int:
        """Return how many dead letters the last alert reported."""
        return self._alert_state.dead_letters()

    def write(self, decision: AutopilotDecision, *, at_ms: int, done: bool) -> None:
        """See `ActionLog.write`."""
        log("autopilot_acted", at_ms=at_ms, done=done, **decision.to_document())
        if done and CONTROL_OF[decision.action] is Control.DEAD_LETTERS:
            self._alert_state.alerted(decision.value)


class Autopilot:
    """Observes once, decides, acts.

    Args:
        client: returns a boto3 client by its name.
        resources: the resources that it watches.
        bounds: the operator's bounds.
        action_log: the actions so far.
        clock_ms: the time.
        rule_bounds: returns the bounds that a merchant's rule set within the operator's.
    """

    def __init__(
        self,
        client: Callable[[str], Any],
        resources: Resources,
        bounds: Bounds,
        action_log: ActionLog,
        clock_ms: Callable[[], int],
        rule_bounds: Callable[[], RuleBounds] = RuleBounds,
    ) -> None:
        self._client = client
        self._resources = resources
        self._bounds = bounds
        self._action_log = action_log
        self._clock_ms = clock_ms
        self._rule_bounds = rule_bounds

    def run(
        self, *, dry_run: bool, controls: Collection[Control] = tuple(Control)
    ) -> tuple[AutopilotDecision, ...]:
        """Carry out the decisions of `controls` and return them; a dry run only logs them.

        Raises:
            Exception: an action failed, the first one's; the others are carried out.
        """
        bounds = self._bounds.within(self._rule_bounds())
        decisions = tuple(
            decision for decision in decide(self.look(), bounds) if CONTROL_OF[decision.action] in controls
        )
        failed: list[Exception] = []
        for decision in decisions:
            try:
                if not dry_run:
                    self._act(decision)
                self._action_log.write(decision, at_ms=self._clock_ms(), done=not dry_run)
            except Exception as error:  # noqa: BLE001 - a table that cannot be warmed stops no pause of emails
                log("autopilot_failed", action=decision.action, error=code_of(error) or type(error).__name__)
                failed.append(error)
        if failed:
            raise failed[0]
        return decisions

    def look(self) -> Observation:
        """Return an observation of the last minutes."""
        metrics, resources = self._metrics(), self._resources
        reserved = self._client("lambda").get_function_concurrency(FunctionName=resources.api_function)
        table = self._client("dynamodb").describe_table(TableName=resources.entries_table)["Table"]
        warm = table.get("WarmThroughput", {}).get("WriteUnitsPerSecond")
        pace = self._rate_limiter().state()
        return Observation(
            writes_per_s=metrics["writes"] / PERIOD_S,
            warm_write_units=warm or WARM_WRITE_UNITS,
            concurrent=metrics["concurrent"],
            concurrency_reserved=reserved.get("ReservedConcurrentExecutions", 0),
            bounce_rate=metrics["bounces"],
            complaint_rate=metrics["complaints"],
            sending=pace is None or pace.paused is None,
            dead_letters=sum(depth(self._client("sqs"), url) for url in resources.dead_letter_queue_urls),
            dead_letters_before=self._action_log.dead_letters_alerted(),
        )

    def _act(self, decision: AutopilotDecision) -> None:
        resources = self._resources
        match decision.action:
            case AutopilotAction.WARM_TABLE:
                # No reads beside it: DynamoDB refuses a number below what the table takes by now.
                warm = {"WriteUnitsPerSecond": decision.value}
                self._client("dynamodb").update_table(TableName=resources.entries_table, WarmThroughput=warm)
            case AutopilotAction.RAISE_CONCURRENCY:
                self._client("lambda").put_function_concurrency(
                    FunctionName=resources.api_function, ReservedConcurrentExecutions=decision.value
                )
            case AutopilotAction.LOWER_CONCURRENCY:
                self._client("lambda").delete_function_concurrency(FunctionName=resources.api_function)
            case AutopilotAction.PAUSE_SENDING:
                self._rate_limiter().pause(decision.why)
            case AutopilotAction.ALERT_DEAD_LETTERS:
                text = f"{decision.why}. What to do: {RUNBOOK}"
                Alarm(self._client("sns"), resources.alarms_topic).ring("dead letters", text)
            case AutopilotAction.RESET_DEAD_LETTER_COUNT:
                pass  # the action log has the new count

    def _rate_limiter(self) -> SendingRateTable:
        return SendingRateTable(self._client("dynamodb"), self._resources.sending_table)

    def _metrics(self) -> dict[str, float]:
        now, resources = datetime.fromtimestamp(self._clock_ms() / 1000, UTC), self._resources
        table, function = {"TableName": resources.entries_table}, {"FunctionName": resources.api_function}
        answer = self._client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                _query("writes", "AWS/DynamoDB", "ConsumedWriteCapacityUnits", table, "Sum"),
                _query("concurrent", "AWS/Lambda", "ConcurrentExecutions", function, "Maximum"),
                _query("bounces", "AWS/SES", "Reputation.BounceRate", {}, "Maximum"),
                _query("complaints", "AWS/SES", "Reputation.ComplaintRate", {}, "Maximum"),
            ],
            StartTime=now - timedelta(seconds=LOOKS_BACK_S),
            EndTime=now,
        )
        return {result["Id"]: max(result["Values"], default=0.0) for result in answer["MetricDataResults"]}


def _query(
    key: str, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str
) -> dict[str, Any]:
    named = [{"Name": dimension, "Value": value} for dimension, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": named}
    return {"Id": key, "MetricStat": {"Metric": metric, "Period": PERIOD_S, "Stat": statistic}}
