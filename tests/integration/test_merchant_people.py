"""The commands about merchants, typed: what they print, write down and refuse."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import spillway.stage as stages
from chalicelib.container import Container
from chalicelib.domain.merchant import MerchantTokens, Role, first_merchants
from chalicelib.services.merchants import MerchantSessions
from chalicelib.settings import clock_ms, new_id
from chalicelib.tables.merchant import MerchantTable
from spillway.errors import BadInput
from spillway.project import Project
from tests.integration.test_merchant_commands import SmallStage
from tests.integration.test_people_commands import OPERATOR, Secrets, Sts, typed
from tests.support.aws import REGION, create_table
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.shop import IDENTITY_KEY
from tests.support.small_shop import make_small_shop

OWNER, PACKER = "owner@heron.example", "packer@heron.example"
NAMED = f"{OWNER}, second@heron.example"


class MerchantStage(SmallStage):
    """A stage whose stack names the first merchants."""

    named: str
    ticks: Iterator[int]

    def parameters(self) -> dict[str, str]:
        return {"MerchantAddresses": self.named}

    def container(self) -> Container:
        """Return the objects of this stage, each reading of whose one clock is a millisecond later."""
        container = super().container()
        container.clock_ms = self.ticks.__next__
        return container


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_small_shop(tmp_path_factory.mktemp("merchant-shop"))


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, sts: Sts) -> MerchantStage:
    dynamodb: Any = MemoryDynamoDb()
    stage = MerchantStage("local", REGION, boto3.Session(region_name=REGION))
    names = {"MerchantTable": create_table(dynamodb, "MerchantTable"), "SigningKeysSecret": "keys"}
    clients = {"dynamodb": dynamodb, "sts": sts, "secretsmanager": Secrets()}
    for name, value in {"clients": clients, "names": names, "named": "", "ticks": count(clock_ms())}.items():
        object.__setattr__(stage, name, value)
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    return stage


def sessions(stage: MerchantStage) -> MerchantSessions:
    """The sessions of the API, which has the parameter of the stack."""
    table = MerchantTable(stage.clients["dynamodb"], stage.names["MerchantTable"])
    tokens = MerchantTokens([IDENTITY_KEY.decode()], clock_ms)
    return MerchantSessions(table, tokens, first_merchants(stage.named, IDENTITY_KEY), clock_ms, new_id)


def said(project: Project, *words: str) -> str:
    result = typed(project, "merchant", *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_people_are_added_with_a_role_listed_and_removed(project: Project, stage: MerchantStage) -> None:
    _ = stage
    assert "nobody may sign in" in said(project, "list")
    assert said(project, "add", "Owner@heron.example") == "Owner@heron.example may see the page and act\n"
    assert said(project, "add", PACKER, "--role", "see") == f"{PACKER} may see the page\n"
    rows = json.loads(said(project, "list", "--json"))
    assert [(row["email"], row["role"]) for row in rows] == [("Owner@heron.example", "act"), (PACKER, "see")]
    assert said(project, "remove", PACKER) == f"{PACKER} may not sign in\n"
    assert [row["email"] for row in json.loads(said(project, "list", "--json"))] == ["Owner@heron.example"]


def test_each_change_is_in_the_log_with_the_operator_that_made_it(
    project: Project, stage: MerchantStage
) -> None:
    _ = stage
    said(project, "add", PACKER, "--role", "see")
    said(project, "add", PACKER)
    said(project, "remove", PACKER)
    said(project, "sign-out", "--all")
    rows = json.loads(said(project, "log", "--json"))
    assert {row["email"] for row in rows} == {OPERATOR}
    assert [(row["action"], row["target"], row["before"], row["after"]) for row in reversed(rows)] == [
        ("merchant add", PACKER, None, "see"),
        ("merchant add", PACKER, "see", "act"),
        ("merchant remove", PACKER, "act", None),
        ("merchant sign-out", "everybody", None, None),
    ]
    newest = said(project, "log", "--rows", "2").splitlines()
    assert newest[-1] == "2 rows"
    assert newest[1].endswith(f"  {OPERATOR}  merchant remove  {PACKER}  act -> -")


def test_a_change_that_cannot_be_logged_is_not_made(project: Project, stage: MerchantStage, sts: Sts) -> None:
    said(project, "add", OWNER)
    sts.down = True
    for words in (["add", PACKER], ["remove", OWNER], ["sign-out", "--all"]):
        failed = typed(project, "merchant", *words)
        assert isinstance(failed.exception, ClientError)
    assert [row["email"] for row in json.loads(said(project, "list", "--json"))] == [OWNER]
    owner = sessions(stage).merchant(first(OWNER))
    assert owner is not None


def first(email: str) -> Any:
    (merchant,) = first_merchants(email, IDENTITY_KEY)
    return merchant


def test_the_addresses_of_the_stack_are_listed_and_can_be_overruled(
    project: Project, stage: MerchantStage
) -> None:
    object.__setattr__(stage, "named", NAMED)
    assert said(project, "list").splitlines() == [
        f"{OWNER}   act  by the stack's parameter MerchantAddresses",
        "second@heron.example  act  by the stack's parameter MerchantAddresses",
    ]
    said(project, "remove", OWNER)
    said(project, "add", "second@heron.example", "--role", "see")
    (left,) = json.loads(said(project, "list", "--json"))
    assert (left["email"], left["role"]) == ("second@heron.example", "see")
    assert sessions(stage).merchant(first(OWNER)) is None
    said(project, "add", OWNER)
    found = sessions(stage).merchant(first(OWNER))
    assert found is not None
    assert found.role is Role.ACT


def test_removing_and_signing_out_end_sessions_at_once(project: Project, stage: MerchantStage) -> None:
    said(project, "add", OWNER)
    known = sessions(stage)
    owner = known.merchant(first(OWNER))
    assert owner is not None
    cookie = known.sign_in(known.link_token(owner), "firefox")
    assert known.of(cookie, "firefox") is not None
    said(project, "sign-out", "--all")
    assert known.of(cookie, "firefox") is None
    said(project, "remove", OWNER)
    assert known.merchant(owner.id) is None


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["add", "no address"], "address 'no address'", None),
        (["remove", PACKER], f"address '{PACKER}': no merchant has it", "spillway merchant list"),
        (["sign-out"], "--all: needed", "spillway merchant remove ADDRESS"),
    ],
)
@pytest.mark.usefixtures("stage")
def test_a_mistake_is_named_with_the_way_out(
    project: Project, words: list[str], message: str, hint: str | None
) -> None:
    result = typed(project, "merchant", *words)
    assert isinstance(result.exception, BadInput)
    assert message in result.exception.message
    assert hint is None or hint in str(result.exception.hint)


def test_deploy_refuses_a_text_that_is_no_address(project: Project) -> None:
    result = typed(
        project, "deploy", "--stage", "local", "--param", "MerchantAddresses=owner@shop.example,packer"
    )
    assert isinstance(result.exception, BadInput)
    assert "--param MerchantAddresses: 'packer' is no address" in result.exception.message
