"""Ten thousand signups at once, to a table that throttles, fails and hangs up: none lost, none twice."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Lock
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import dynamodb_backends

from chalicelib.aws.connections import Connections
from chalicelib.aws.json_api import DYNAMODB, JsonApi
from chalicelib.aws.services import DynamoDb
from chalicelib.aws.signing import Credentials
from chalicelib.domain.address import Address
from chalicelib.http.refusals import problem_of
from chalicelib.services.signups import Signups
from chalicelib.tables.entries import EntriesTable
from tests.aws import REGION, create_table
from tests.aws_door import HANGS_UP_AFTER, HANGS_UP_BEFORE, AwsDoor, Fault, aws_door, refused
from tests.clock import Clock

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


class MotoDoor(AwsDoor):
    """Hands updates to moto's own table, without boto3 on the way."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.backend = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION]
        self.one_at_a_time = Lock()

    def carry_out(
        self, prefix: str, operation: str, request: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        assert operation == "UpdateItem"
        with self.one_at_a_time:
            try:
                self.backend.update_item(
                    request["TableName"],
                    request["Key"],
                    request["UpdateExpression"],
                    request["ExpressionAttributeNames"],
                    request["ExpressionAttributeValues"],
                    condition_expression=request["ConditionExpression"],
                )
            except ConditionalCheckFailed:
                return 400, refused("ConditionalCheckFailedException")
        return 200, {}

    def stored(self, table: str) -> list[str]:
        """Whose rows there are."""
        rows = self.backend.get_table(table).items.values()
        return [item.attrs["shopper"].value for row in rows for item in row.values()]


class RowsDoor(AwsDoor):
    """Keeps rows by key: a first signup for a key is stored, a second one meets the condition.

    moto takes 8 ms for an update. What a signup's condition means is tested over moto and the
    emulator elsewhere; this is about what becomes of ten thousand calls.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.writes: list[tuple[str, str]] = []
        self.known: set[tuple[str, str]] = set()
        self.one_at_a_time = Lock()

    def carry_out(
        self, prefix: str, operation: str, request: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        assert operation == "UpdateItem"
        assert request["ConditionExpression"].startswith("attribute_not_exists(shopper) OR ")
        key = (request["Key"]["shopper"]["S"], request["Key"]["sku"]["S"])
        with self.one_at_a_time:
            if key in self.known:
                return 400, refused("ConditionalCheckFailedException")
            self.known.add(key)
            self.writes.append(key)
        return 200, {}

    def stored(self, table: str) -> list[str]:
        """Whose rows were written, once for each write."""
        return [shopper for shopper, _ in self.writes]


@pytest.fixture
def door(request: pytest.FixtureRequest, aws: None) -> Iterator[MotoDoor | RowsDoor]:
    with aws_door(request.param) as door:
        yield door


# Of a hundred calls so many fail that, of so many signups, some are bound to fail at their every attempt.
@pytest.mark.parametrize(
    ("door", "signups", "faults_percent"),
    [(MotoDoor, 100, 70), (RowsDoor, 10_000, 30)],
    indirect=["door"],
)
def test_every_accepted_signup_is_stored_once_and_every_other_one_may_come_again(
    door: MotoDoor | RowsDoor,
    signups: int,
    faults_percent: int,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = create_table(boto3.client("dynamodb"), "EntriesTable")
    chance = random.Random(4)
    door.faults = lambda: chance.choice(FAULTS) if chance.randrange(100) < faults_percent else None
    connections = Connections(door.url)
    api = JsonApi(DYNAMODB, REGION, connections, lambda: Credentials("AKID", "secret"), pause=lambda _: None)
    dynamodb: Any = DynamoDb(api)
    service = Signups(EntriesTable(dynamodb, table), b"identity", clock)
    answers: Counter[tuple[HTTPStatus, int | None]] = Counter()

    def keep_asking(number: int) -> None:
        address = Address.parse(f"shopper{number}@example.com")
        for _ in range(TRIES_MAX):
            try:
                service.sign_up(address, ["A"], page="/", consent="c")
            except Exception as error:  # noqa: BLE001 - what it becomes is what is tested
                problem = problem_of(error)
                answers[problem.status, problem.retry_after_s] += 1
            else:
                answers[HTTPStatus.ACCEPTED, None] += 1
                return

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(keep_asking, range(signups)))
    connections.close()
    stored = door.stored(table)
    assert answers[HTTPStatus.ACCEPTED, None] == signups == len(stored) == len(set(stored))
    refusals = {answer for answer in answers if answer[0] is not HTTPStatus.ACCEPTED}
    assert refusals == {(HTTPStatus.SERVICE_UNAVAILABLE, 2)}
    assert "example.com" not in capsys.readouterr().out
