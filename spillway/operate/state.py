"""The state of a stage: queues, sending and deliverability, shown in one screen and watched by the autopilot.

The autopilot acts on its own within bounds; run from a terminal, it notes its actions in a file.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.container import Container
from chalicelib.domain.autopilot import CONTROL_OF, AutopilotAction, AutopilotDecision, Bounds, Control
from chalicelib.domain.entry import DAY_MS
from chalicelib.domain.sending_limits import Cohort, cohorts, day_of, days_judged, total_of
from chalicelib.queues import depth
from chalicelib.services.autopilot import Autopilot, Resources
from chalicelib.services.dead_letters import QueueUrls
from chalicelib.settings import clock_ms
from spillway.errors import BadInput
from spillway.stage import LOCAL, Stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Queue:
    """`what` waits in a queue, and in another one when it failed too often: both are outputs of the stack.

    `words` are for people. `output` is None for the streams: their dead letters name records, which go back
    to their function.
    """

    what: str
    words: str
    output: str | None
    dead_output: str

    @property
    def dead(self) -> str:
        """The name of its dead letters."""
        return f"dead: {self.what}"


# By the name that an operator picks them with.
QUEUES: Mapping[str, Queue] = {
    "confirmations": Queue(
        "confirmation emails", "confirmation emails", "ConfirmationsQueue", "ConfirmationsDeadLetterQueue"
    ),
    "waves": Queue("steps of fan-outs", "batches of restock emails", "WavesQueue", "WavesDeadLetterQueue"),
    "feedback": Queue(
        "what became of emails", "reports from SES", "FeedbackQueue", "FeedbackDeadLetterQueue"
    ),
    "inbound": Queue(
        "stock events of producers inside AWS",
        "stock events of your own systems",
        "InboundEventsQueue",
        "InboundEventsDeadLetterQueue",
    ),
    "events": Queue(
        "events of the shop", "rules and webhooks", "DomainEventsQueue", "DomainEventsDeadLetterQueue"
    ),
    "webhooks": Queue(
        "events to other systems",
        "events that another system did not take",
        "WebhookDeliveriesQueue",
        "WebhookDeliveriesDeadLetterQueue",
    ),
    "traffic": Queue(
        "access logs to count", "access logs to count", "TrafficQueue", "TrafficDeadLetterQueue"
    ),
    "streams": Queue("reactions to changes", "reactions to signups and stock", None, "StreamDeadLetterQueue"),
}


def queue_urls(outputs: Mapping[str, str]) -> dict[str, QueueUrls]:
    """Return the addresses of a stack's queues, by the name that an operator picks them with."""
    return {
        name: QueueUrls(outputs[queue.dead_output], outputs[queue.output] if queue.output else None)
        for name, queue in QUEUES.items()
    }


UNKNOWN = "cannot be read here"
# Eight queries each. For more variants, DynamoDB's own count of the index is shown, up to six hours old.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GlobalSecondaryIndexDescription.html
VARIANTS_COUNTED_MAX = 200


@dataclass(frozen=True, slots=True)
class SesState:
    """The limits and totals of SES. `sandbox` and `paused` are as the account says."""

    per_s: float
    per_day: float
    sent_in_24_h: float
    sandbox: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class StageState:
    """The state of a stage. A value that could not be read is missing, and named in `unknown`.

    `paused` is why the shop itself has stopped sending; `mail.paused` that SES has stopped the account.
    `received` is how the emails of the days that are judged were received, all together. `waiting` people
    wait for a variant; in a large shop that is `waiting_about`: as DynamoDB counted the index within six
    hours. `emails_today` are all that were sent since midnight UTC.
    """

    stage: str
    region: str
    stack: str
    waiting: int | None = None
    waiting_about: bool = False
    emails_today: int | None = None
    queues: dict[str, int] = field(default_factory=dict)
    entries_rows_about: int | None = None
    entries_write_units: int | None = None
    mail: SesState | None = None
    paused: str | None = None
    received: Cohort | None = None
    alarms: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def dead_letters(self) -> int:
        """The number of messages that wait for a person."""
        return sum(self.queues.get(queue.dead, 0) for queue in QUEUES.values())

    @property
    def well(self) -> bool:
        """Nothing waits for a person, no alarm is on, and emails may go."""
        stopped = self.paused is not None or (self.mail is not None and self.mail.paused)
        return not (self.dead_letters or self.alarms or stopped)

    def to_document(self) -> dict[str, Any]:
        """Ready for JSON."""
        received = None
        if self.received:
            days = {"first": str(self.received.first), "last": str(self.received.last)}
            received = {**asdict(self.received), **days}
        return {**asdict(self), "received": received, "well": self.well}


def state_of(stage: Stage) -> StageState:
    """Look at a stage.

    Raises:
        BadInput: nothing is deployed as this stage.
    """
    outputs, container = stage.outputs(), stage.container()
    found: dict[str, Any] = {}
    unknown = []
    questions: dict[str, Callable[[], dict[str, Any]]] = {
        "the stack": lambda: {"stack": _stack_status(stage)},
        "queues": lambda: {"queues": _queues(stage, outputs)},
        "the entries table": lambda: _entries(stage, outputs["EntriesTable"]),
        "mail": lambda: {"mail": _mail(stage)},
        "people waiting": lambda: _waiting(stage, container, outputs["EntriesTable"]),
        "sending": lambda: _sending(container),
        "how emails are received": lambda: {"received": _received(container)},
        "alarms": lambda: {"alarms": _alarms(stage)},
    }
    for what, ask in questions.items():
        try:
            found |= ask()
        except (BotoCoreError, ClientError, KeyError) as error:
            unknown.append(f"{what} ({type(error).__name__})")
    return StageState(stage.name, stage.region, **{"stack": UNKNOWN, **found}, unknown=tuple(unknown))


def _stack_status(stage: Stage) -> str:
    stacks = stage.client("cloudformation").describe_stacks(StackName=stage.stack_name)["Stacks"]
    return str(stacks[0]["StackStatus"])


def _queues(stage: Stage, outputs: dict[str, str]) -> dict[str, int]:
    sqs: SQSClient = stage.client("sqs")
    named = {queue.what: queue.output for queue in QUEUES.values()}
    named |= {queue.dead: queue.dead_output for queue in QUEUES.values()}
    # A stack deployed by an older release lacks some.
    return {name: depth(sqs, outputs[output]) for name, output in named.items() if output in outputs}


def _entries(stage: Stage, name: str) -> dict[str, Any]:
    client: DynamoDBClient = stage.client("dynamodb")
    table: Any = client.describe_table(TableName=name)["Table"]
    warm = table.get("WarmThroughput", {}).get("WriteUnitsPerSecond")
    return {"entries_rows_about": table.get("ItemCount"), "entries_write_units": warm}


def _mail(stage: Stage) -> SesState:
    ses: SESV2Client = stage.client("sesv2")
    account: Any = ses.get_account()
    quota = account["SendQuota"]
    return SesState(
        per_s=quota["MaxSendRate"],
        per_day=quota["Max24HourSend"],
        sent_in_24_h=quota["SentLast24Hours"],
        sandbox=not account.get("ProductionAccessEnabled", True),
        paused=not account.get("SendingEnabled", True),
    )


def _waiting(stage: Stage, container: Container, entries_table: str) -> dict[str, Any]:
    """Count the people waiting: for each variant, or in a large shop by the size of the waitlist's index."""
    skus = {sku for stocked in container.products.scan() for sku in stocked.stock}
    if len(skus) <= VARIANTS_COUNTED_MAX:
        return {"waiting": sum(container.shards.count(sku) for sku in skus)}
    client: DynamoDBClient = stage.client("dynamodb")
    table: Any = client.describe_table(TableName=entries_table)["Table"]
    (index,) = table["GlobalSecondaryIndexes"]
    return {"waiting": index["ItemCount"], "waiting_about": True}


def _sending(container: Container) -> dict[str, Any]:
    state = container.sending_rate.state()
    today = clock_ms() // DAY_MS
    emails = state.emails_by_day.get(today, 0) if state else 0
    return {"paused": state.paused if state else None, "emails_today": emails}


def _received(container: Container) -> Cohort | None:
    state = container.sending_rate.state()
    if state is None or not state.emails_by_day:
        return None
    days = days_judged(clock_ms())
    emails = {day_of(day * DAY_MS): count for day, count in state.emails_by_day.items()}
    return total_of(cohorts(days, emails, container.deliverability.bounced_and_complained(days)))


def _alarms(stage: Stage) -> tuple[str, ...]:
    client = stage.client("cloudwatch")
    pages = client.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{stage.stack_name}-", StateValue="ALARM"
    )
    return tuple(alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"])


@dataclass(frozen=True, slots=True)
class FileActionLog:
    """The actions so far: one JSON object a line."""

    file: Path

    def write(self, decision: AutopilotDecision, *, at_ms: int, done: bool) -> None:
        """Add a line. `done` is false for a dry run."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = {"at_ms": at_ms, "done": done, **decision.to_document()}
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, sort_keys=True) + "\n")

    def dead_letters_alerted(self) -> int:
        """Return how many dead letters the last alert named, or were left when there were fewer.

        Raises:
            BadInput: a line is damaged.
        """
        alerted = 0
        lines = self.file.read_bytes().splitlines() if self.file.exists() else ()
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                if entry["done"] and CONTROL_OF[AutopilotAction(entry["action"])] is Control.DEAD_LETTERS:
                    alerted = entry["value"]
            except (ValueError, KeyError, TypeError):
                raise BadInput(
                    f"{self.file}:{number}: no line of this log", hint="delete the line, and start again"
                ) from None
        return alerted


def run_autopilot(
    stage: Stage,
    bounds: Bounds,
    log: FileActionLog,
    clock_ms: Callable[[], int],
    *,
    dry_run: bool,
    controls: Collection[Control] = tuple(Control),
) -> tuple[AutopilotDecision, ...]:
    """Look once, decide, and do it. A dry run does nothing but say.

    Raises:
        BadInput: the stage is the local one, which has no metrics to go by.
    """
    if stage.name == LOCAL:
        raise BadInput("--stage local: the local cloud keeps no metrics to go by", hint="name a stage on AWS")
    autopilot = Autopilot(stage.client, resources_of(stage), bounds, log, clock_ms)
    return autopilot.run(dry_run=dry_run, controls=controls)


def resources_of(stage: Stage) -> Resources:
    """Return the resources of a stage that the autopilot observes."""
    outputs = stage.outputs()
    return Resources(
        entries_table=outputs["EntriesTable"],
        sending_table=outputs["SendingTable"],
        api_function=_physical_id(stage, "APIHandler"),
        alarms_topic=_physical_id(stage, "AlarmsTopic"),
        dead_letter_queue_urls=tuple(
            outputs[queue.dead_output] for queue in QUEUES.values() if queue.dead_output in outputs
        ),
    )


def _physical_id(stage: Stage, logical_id: str) -> str:
    answer = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId=logical_id
    )
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])
