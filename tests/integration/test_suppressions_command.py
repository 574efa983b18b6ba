"""`spillway suppressions`: list, lift, import and export, with what is stored, said and logged by each."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

import spillway.stage as stages
from chalicelib.domain.address import Address
from chalicelib.tables.sending import AccessLogTable
from spillway.__main__ import cli
from spillway.commands import suppressions
from spillway.errors import BadInput, SpillwayError, WorkFailed
from spillway.project import Project
from spillway.sitegen.release import Release
from tests.integration.test_merchant_commands import SmallStage
from tests.support.aws import REGION
from tests.support.clock import Clock
from tests.support.shop import IDENTITY_KEY, TestShop
from tests.support.stubbed_stage import Client, error

DAY_MS = 24 * 3600 * 1000
OPERATOR = "arn:aws:iam::123456789012:user/ann"


class Operator:
    """Types commands about one stage."""

    def __init__(self, shop: TestShop, root: Path) -> None:
        self.shop, self.project = shop, Project(root)
        self.stage = SmallStage("local", REGION, boto3.Session(region_name=REGION))
        self.ses = Client(delete_suppressed_destination={})
        secrets = Client(get_secret_value={"SecretString": json.dumps({"root": IDENTITY_KEY.decode()})})
        clients = {"dynamodb": shop.dynamodb, "sesv2": self.ses, "secretsmanager": secrets}
        clients["sts"] = Client(get_caller_identity={"Arn": OPERATOR})
        object.__setattr__(self.stage, "clients", clients)
        object.__setattr__(self.stage, "names", {**shop.table_names, "SigningKeysSecret": "arn"})

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["suppressions", *words], obj=self.project, catch_exceptions=False)

    def lists(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.types("list", "--json", *words).stdout)
        return found

    def log(self) -> list[tuple[str, str, str]]:
        uses = AccessLogTable(self.shop.dynamodb, self.shop.sending_name).all()
        return [(use.command, use.subject, use.operator) for use in uses]


@pytest.fixture
def operator(
    small_release: Release, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Operator:
    shop = TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")
    found = Operator(shop, tmp_path)
    monkeypatch.setattr(stages, "running_local_stage", lambda _: found.stage)
    monkeypatch.setattr(suppressions, "clock_ms", clock)
    return found


def suppress(operator: Operator, name: str, reason: str, *, days_ago: int = 0) -> str:
    shopper, at_ms = operator.shop.shopper(name), operator.shop.clock() - days_ago * DAY_MS
    operator.shop.suppressions.suppress(shopper, reason=reason, at_ms=at_ms)
    return shopper


def test_the_list_says_why_since_when_and_until_when(operator: Operator) -> None:
    ada = suppress(operator, "ada", "bounced", days_ago=3)
    bob = suppress(operator, "bob", "complained", days_ago=1)
    assert operator.types("list").stdout.splitlines() == [
        f"{bob}  complained    since 2026-09-20, for good",
        f"{ada}  bounced       since 2026-09-18, a new signup is asked from 2026-10-18",
    ]
    assert operator.lists("--reason", "bounced") == [
        {
            "shopper": ada,
            "reason": "bounced",
            "since": "2026-09-18T14:13:20+00:00",
            "retry_from": "2026-10-18T14:13:20+00:00",
        }
    ]


def test_a_lift_is_stored_logged_by_id_and_taken_off_sess_list_in_both_spellings(operator: Operator) -> None:
    ada = suppress(operator, "ada", "bounced")
    operator.shop.clock.pass_s(60)
    said = operator.types("lift", "Ada@example.com", "--because", "mailbox repaired").stdout
    assert said == (
        "lifted: bounced       since 2026-09-21, a new signup is asked from 2026-10-21\n"
        "  SES's own list: taken off it\n"
    )
    assert operator.shop.suppressions.among([ada]) == frozenset()
    assert [call["EmailAddress"] for _, call in operator.ses.calls] == ["Ada@example.com", "ada@example.com"]
    name = operator.shop.table_names["SuppressionsTable"]
    row = operator.shop.dynamodb.get_item(TableName=name, Key={"shopper": {"S": ada}})["Item"]
    assert row["lifted_because"] == {"S": "mailbox repaired"}
    assert operator.log() == [("suppressions lift", ada, OPERATOR)]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "this shopper complained on 2026-09-21: not lifted"),
        (("--complaint",), "this shopper complained on 2026-09-21: not lifted"),
        (("--shopper-asked",), "--shopper-asked: goes with --complaint"),
    ],
)
def test_a_complaint_is_lifted_with_both_flags_alone(
    operator: Operator, flags: tuple[str, ...], words: str
) -> None:
    ada = suppress(operator, "ada", "complained")
    operator.shop.clock.pass_s(60)
    with pytest.raises(BadInput, match=words):
        operator.types("lift", "ada@example.com", "--because", "b", *flags)
    assert operator.shop.suppressions.among([ada]) == {ada}
    assert (operator.ses.calls, operator.log()) == ([], [])
    both = ("--complaint", "--shopper-asked", "--json")
    said = json.loads(operator.types("lift", "ada@example.com", "--because", "b", *both).stdout)
    assert (said["lifted"]["reason"], said["ses"]) == ("complained", "taken off it")
    assert operator.shop.suppressions.among([ada]) == frozenset()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-address", "--because", "b"), "address 'no-address': "),
        (("ada@example.com", "--because", " "), "--because: expected 1 to 200 characters"),
        (("ada@example.com", "--because", "x" * 201), "--because: expected 1 to 200 characters"),
        (("Ada@example.com", "--because", "ADA@EXAMPLE.COM called"), "--because: it is kept"),
    ],
)
def test_a_lift_that_cannot_be_is_refused(operator: Operator, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        operator.types("lift", *words)


def test_an_address_that_is_only_on_sess_list_is_taken_off_it(operator: Operator) -> None:
    assert operator.types("lift", "eve@example.com", "--because", "b").stdout == (
        "not suppressed here\n  SES's own list: taken off it\n"
    )
    operator.ses.answers["delete_suppressed_destination"] = error("NotFoundException")
    assert "SES's own list: not on it" in operator.types("lift", "eve@example.com", "--because", "b").stdout


def test_a_list_of_sess_that_cannot_be_changed_is_said_and_the_lift_stays(operator: Operator) -> None:
    ada = suppress(operator, "ada", "bounced")
    operator.ses.answers["delete_suppressed_destination"] = error("AccessDeniedException")
    with pytest.raises(WorkFailed, match="SES's own list cannot be changed \\(AccessDeniedException\\)"):
        operator.types("lift", "ada@example.com", "--because", "b")
    assert operator.shop.suppressions.among([ada]) == frozenset()


@pytest.mark.parametrize(("endpoint", "smtp"), [("http://127.0.0.1:1", False), (None, True)])
def test_where_ses_has_no_list_none_is_asked(operator: Operator, endpoint: str | None, smtp: bool) -> None:
    object.__setattr__(operator.stage, "endpoint_url", endpoint)
    if smtp:
        operator.stage.names["SmtpSecret"] = "arn"
    said = operator.types("lift", "ada@example.com", "--because", "b").stdout
    assert ("not used by this stage" if smtp else "the local cloud has none") in said
    assert operator.ses.calls == []


FILE = """\ufeffEmail;Reason;Created At;Name
Ada@Example.com;HARD_BOUNCE;2026-09-01;Ada
bob@example.com;Spam Complaint;2026-09-02T10:00:00+02:00;Bob
cleo@example.com;unsubscribed;1788300000;
dan@example.com;USER_SUPPRESSED;;
;bounce;2026-09-01;an id is missing

"""


def test_a_file_of_another_tool_is_imported_once_however_often(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "suppressed.csv"
    file.write_text(FILE.replace(";bounce;2026-09-01;an id is missing\n", ""), encoding="utf-8")
    dry = operator.types("import", str(file), "--dry-run").stdout
    assert dry == "4 suppressions would be imported: 1 blocked, 1 bounced, 1 complained, 1 unsubscribed\n"
    assert operator.lists() == []
    for _ in range(2):
        said = operator.types("import", str(file)).stdout
        assert said == "4 suppressions imported: 1 blocked, 1 bounced, 1 complained, 1 unsubscribed\n"
        operator.shop.clock.pass_s(86_400 * 3)
    found = {
        list_["shopper"]: (list_["reason"], list_["since"], list_["retry_from"]) for list_ in operator.lists()
    }
    shopper = operator.shop.shopper
    assert found == {
        shopper("ada"): ("bounced", "2026-09-01T00:00:00+00:00", "2026-10-01T00:00:00+00:00"),
        shopper("bob"): ("complained", "2026-09-02T08:00:00+00:00", None),
        shopper("cleo"): ("unsubscribed", "2026-09-01T22:00:00+00:00", "2026-09-01T22:00:00+00:00"),
        shopper("dan"): ("blocked", "2026-09-21T14:13:20+00:00", None),
    }
    digest = sha256(file.read_bytes()).hexdigest()
    assert operator.log() == [("suppressions import", f"file {digest[:16]}", OPERATOR)] * 2


@pytest.mark.parametrize(
    ("header", "row", "options", "came"),
    [
        # Mailchimp's and SendGrid's files have no reason, or a sentence of a mail server.
        ("Email Address,CLEAN_TIME", "ada@example.com,2026-09-02 10:00:00", "bounced", "bounced"),
        (
            "status,reason,email,created",
            "5.1.1,550 no such user,ada@example.com,1788343200",
            "bounced",
            "bounced",
        ),
        ("Email Address,UNSUB_TIME", "ada@example.com,2026-09-02 10:00:00", "unsubscribed", "unsubscribed"),
        (
            "Email,Reason,Created At",
            "ada@example.com,ManualSuppression,2026-09-02T05:00:00-05:00",
            "",
            "blocked",
        ),
        (
            "address,type,created_at",
            'ada@example.com,unsub,"Wed, 02 Sep 2026 10:00:00 GMT"',
            "",
            "unsubscribed",
        ),
        ("email,reason,date", "ada@example.com,spam,2026-09-02 10:00:00 UTC", "", "complained"),
    ],
)
def test_files_of_common_tools_keep_their_reason_and_their_time(
    operator: Operator, tmp_path: Path, header: str, row: str, options: str, came: str
) -> None:
    (tmp_path / "f.csv").write_text(f"{header}\n{row}\n")
    words = ["--reason", options] if options else []
    assert operator.types("import", str(tmp_path / "f.csv"), *words).stderr == ""
    assert [(list_["reason"], list_["since"]) for list_ in operator.lists()] == [
        (came, "2026-09-02T10:00:00+00:00")
    ]


def test_a_file_of_addresses_alone_counts_from_now_and_says_so(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("email\n" + "".join(f"s{number}@example.com\n" for number in range(250)))
    said = operator.types("import", str(tmp_path / "f.csv"), "--reason", "unsubscribed")
    assert said.stdout == "250 suppressions imported: 250 unsubscribed\n"
    assert (
        said.stderr == f"{tmp_path / 'f.csv'}: no row has a date; a suppression that is new counts from now\n"
    )
    assert {list_["since"] for list_ in operator.lists()} == {"2026-09-21T14:13:20+00:00"}
    assert len(operator.lists()) == 250


def test_several_lines_of_one_shopper_join_in_any_order(operator: Operator, tmp_path: Path) -> None:
    lines = [
        "ada@example.com,bounce,2026-09-02",
        "Ada@example.com,unsubscribed,",
        "ada@example.com,spam,2026-09-01",
    ]
    for order in (lines, lines[::-1]):
        (tmp_path / "f.csv").write_text("\n".join(["address,reason,date", *order]))
        operator.types("import", str(tmp_path / "f.csv"))
        assert [(list_["reason"], list_["since"]) for list_ in operator.lists()] == [
            ("complained", "2026-09-01T00:00:00+00:00")
        ]


def test_an_import_never_weakens_a_complaint(operator: Operator, tmp_path: Path) -> None:
    suppress(operator, "ada", "complained", days_ago=9)
    (tmp_path / "f.csv").write_text("address,reason\nada@example.com,bounce\n")
    operator.types("import", str(tmp_path / "f.csv"))
    assert [list_["reason"] for list_ in operator.lists()] == ["complained"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address,reason\n", ""),
        ("email,date\na@b.example,2026-01-01\n", "f.csv:1: no column reason"),
        ("reason,date\nbounce,2026-01-01\n", "f.csv:1: no column address"),
        ("name,date\nada,2026-01-01\n", "f.csv:1: no column reason and none address"),
        ("address,reason\nada@example.com,moved\n", "line 2: reason 'moved': expected complaint, bounce"),
        ("address,reason\nada@,bounce\n", "line 2: address 'ada@': "),
        (
            "address,reason,date\nada@example.com,bounce,1.2.2026\n",
            "line 2: date '1.2.2026': expected a day of the past, as 2026-11-20",
        ),
        ("address,reason,date\nada@example.com,bounce,2999-01-01\n", "line 2: date '2999-01-01': "),
        ("address,reason\nada@example.com,bounce\nbob,spam\n\n,spam\n", "line 3: address 'bob': "),
    ],
)
def test_every_mistake_of_a_file_is_named_and_nothing_is_written(
    operator: Operator, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "f.csv").write_text(text)
    if said:
        with pytest.raises(BadInput) as refused:
            operator.types("import", str(tmp_path / "f.csv"))
        assert said in refused.value.message
        if "\n\n" in text:
            assert "line 5: address ''" in refused.value.message
    else:
        assert operator.types("import", str(tmp_path / "f.csv")).stdout == "0 suppressions imported\n"
    assert operator.lists() == []


def test_a_file_is_imported_in_the_encoding_that_is_named(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes("address,reason,note\nada@example.com,bounce,Rückläufer\n".encode("cp1252"))
    with pytest.raises(BadInput) as refused:
        operator.types("import", str(file))
    assert "--encoding cp1252" in (refused.value.hint or "")
    said = operator.types("import", str(file), "--encoding", "cp1252").stdout
    assert said == "1 suppression imported: 1 bounced\n"
    assert [found["shopper"] for found in operator.lists()] == [operator.shop.shopper("ada")]


@pytest.mark.parametrize("name", ["missing.csv", "binary.csv", "."])
def test_a_file_that_cannot_be_read_is_named(operator: Operator, tmp_path: Path, name: str) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpillwayError) as refused:
        operator.types("import", str(tmp_path / name))
    assert refused.value.exit_code == 2
    assert refused.value.message.startswith(str(tmp_path / name))


def test_an_export_has_ids_reasons_and_known_addresses_and_is_its_owners_alone(
    operator: Operator, tmp_path: Path
) -> None:
    operator.shop.sign_up("ada")
    ada = suppress(operator, "ada", "bounced", days_ago=3)
    bob = suppress(operator, "bob", "complained", days_ago=1)
    file = tmp_path / "out.csv"
    assert operator.types("export", str(file)).stdout == f"2 suppressions in {file}\n"
    header, *rows = file.read_text().splitlines()
    assert header == "shopper,reason,since,address"
    assert sorted(rows) == sorted(
        [
            f"{ada},bounced,2026-09-18T14:13:21+00:00,ada@example.com",
            f"{bob},complained,2026-09-20T14:13:21+00:00,",
        ]
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["out.csv"]
    assert operator.log() == [("suppressions export", "all suppressions", OPERATOR)]
    with pytest.raises(BadInput, match="exists already"):
        operator.types("export", str(file))
    # The exported file can be imported again, ids included.
    before = operator.lists()
    operator.types("import", str(file))
    assert {list_["shopper"] for list_ in operator.lists()} == {item["shopper"] for item in before}


def test_an_export_that_fails_leaves_no_file(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suppress(operator, "ada", "bounced")
    monkeypatch.setattr(
        operator.shop.dynamodb, "query", lambda **_: (_ for _ in ()).throw(error("Throttled"))
    )
    with pytest.raises(Exception, match="Throttled"):
        operator.types("export", str(tmp_path / "out.csv"))
    assert [entry for entry in tmp_path.iterdir() if entry.is_file()] == []
    with pytest.raises(BadInput, match="No such file or directory"):
        operator.types("export", str(tmp_path / "nowhere" / "out.csv"))


def test_the_id_of_an_address_is_that_of_the_shop(operator: Operator) -> None:
    shopper = operator.stage.container().shopper_records.id_of(Address.parse("Ada@Example.com"))
    assert shopper == operator.shop.shopper("ada")
