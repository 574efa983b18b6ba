"""Ten thousand signups at once, to a table that throttles, fails and hangs up: none lost, none twice."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from itertools import chain
from typing import Any

import pytest

from chalicelib.aws.connections import AwsUnreachable, Connections
from chalicelib.aws.response import Response
from chalicelib.aws.services import DYNAMODB, DynamoDb, JsonApi
from chalicelib.aws.signing import Credentials
from chalicelib.domain.address import Address
from chalicelib.http.responses import problem_of
from chalicelib.services.signups import Signups
from chalicelib.tables.entries import EntriesTable
from tests.support.aws import REGION, create_table
from tests.support.clock import Clock
from tests.support.dynamodb import ConditionFailed, MemoryDynamoDb
from tests.support.moto_server import HANGS_UP_AFTER, HANGS_UP_BEFORE, AwsDoor, Fault, aws_door, refused

# A status, and after how many seconds to come again.
Notified = tuple[HTTPStatus, int | None]
ACCEPTED: Notified = (HTTPStatus.ACCEPTED, None)
CLIENTS = 16
TRIES_MAX = 30
FAULTS: list[Fault] = [
    (400, "ProvisionedThroughputExceededException"),
    (400, "ThrottlingException"),
    (500, "InternalServerError"),
    (503, "ServiceUnavailable"),
    HANGS_UP_BEFORE,
    HANGS_UP_AFTER,
]


class TableDoor(AwsDoor):
    """Hands updates to a table in memory. `url` is empty where nobody comes over a network."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.calls = []
        self.dynamodb = MemoryDynamoDb()
        self.table = create_table(self.dynamodb, "EntriesTable")

    def carry_out(
        self, prefix: str, operation: str, request: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        assert operation == "UpdateItem"
        try:
            return 200, self.dynamodb.update_item(**request)
        except ConditionFailed:
            return 400, refused("ConditionalCheckFailedException")

    def stored(self) -> list[str]:
        """The shoppers who have rows."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return [item["shopper"]["S"] for page in pages for item in page["Items"]]


class NoNetwork(Connections):
    """Goes through a door in this very process."""

    def __init__(self, door: TableDoor) -> None:
        self.host = "dynamodb.example"
        self._door = door

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        status, document = self._door.answer(headers["x-amz-target"], json.loads(body))
        if not status:
            raise AwsUnreachable("no answer")
        return Response(status, {}, json.dumps(document).encode())

    def close(self) -> None:
        """There is nothing to hang up."""


@contextmanager
def over_sockets() -> Iterator[tuple[TableDoor, Connections]]:
    """Every call over a real connection, one that breaks when the door hangs up."""
    with aws_door(TableDoor) as door:
        connections = Connections(door.url)
        yield door, connections
        connections.close()


@contextmanager
def in_process() -> Iterator[tuple[TableDoor, Connections]]:
    """No call leaves the process: that many over sockets would tell no more and take minutes."""
    door = TableDoor()
    yield door, NoNetwork(door)


# So many of a hundred calls fail that some signups are bound to fail at their every attempt.
@pytest.mark.parametrize(
    ("way", "signups", "faults_percent"), [(over_sockets, 100, 70), (in_process, 4_000, 30)]
)
def test_every_accepted_signup_is_stored_once_and_every_other_one_may_come_again(
    way: Callable[[], Any],
    signups: int,
    faults_percent: int,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chance = random.Random(4)
    with way() as (door, connections), ThreadPoolExecutor(CLIENTS) as clients:
        door.faults = lambda: chance.choice(FAULTS) if chance.randrange(100) < faults_percent else None
        api = JsonApi(
            DYNAMODB, REGION, connections, lambda: Credentials("AKID", "secret"), sleep=lambda _: None
        )
        dynamodb: Any = DynamoDb(api)
        service = Signups(EntriesTable(dynamodb, door.table), b"identity", clock)

        def keep_asking(number: int) -> list[Notified]:
            """How it was answered, each time."""
            refusals: list[Notified] = []
            address = Address.parse(f"shopper{number}@example.com")
            for _ in range(TRIES_MAX):
                try:
                    service.sign_up(address, ["A"], page="/", consent="c")
                except Exception as error:  # noqa: BLE001 - what it becomes is what is tested
                    problem = problem_of(error)
                    refusals.append((problem.status, problem.retry_after_s))
                else:
                    return [*refusals, ACCEPTED]
            return refusals

        answers = Counter(chain.from_iterable(clients.map(keep_asking, range(signups))))
    stored = door.stored()
    assert answers[ACCEPTED] == signups == len(stored) == len(set(stored))
    later = {(HTTPStatus.SERVICE_UNAVAILABLE, wait_s) for wait_s in range(2, 10)}
    # Spread out: not everybody who is turned away comes back in the same second.
    assert {ACCEPTED} < answers.keys() <= {ACCEPTED, *later}
    assert len(answers) > 4
    assert "example.com" not in capsys.readouterr().out
