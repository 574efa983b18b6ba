"""The commands about people, typed: what they print, write down and refuse."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

import spillway.stage as stages
from chalicelib.domain.stock import Availability
from chalicelib.storage import THEME_KEY
from spillway.__main__ import cli
from spillway.commands.publish import warn_of_people_left
from spillway.errors import BadInput, SpillwayError, WorkFailed
from spillway.merchant.import_options import date_format, sku_map
from spillway.merchant.rows import EntryRows
from spillway.project import Project
from spillway.sitegen.release import Release
from tests.integration.test_merchant_commands import SmallStage
from tests.support.aws import REGION
from tests.support.clock import Clock
from tests.support.memory_s3 import MemoryS3
from tests.support.people import stored
from tests.support.shop import IDENTITY_KEY, TestShop
from tests.support.small_shop import make_small_shop
from tests.support.spreadsheets import workbook

SKU, OTHER = "FJ-MOSS-M", "FJ-SLATE-M"
ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+")
OPERATOR = "arn:aws:iam::123456789012:user/ann"


class Sts:
    """Knows who calls; `down` does not answer."""

    down = False

    def get_caller_identity(self) -> Any:
        if self.down:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "GetCallerIdentity")
        return {"Arn": OPERATOR}


class Secrets:
    """The shop's keys."""

    def get_secret_value(self, **_: str) -> Any:
        return {"SecretString": json.dumps({"root": IDENTITY_KEY.decode()})}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_small_shop(tmp_path_factory.mktemp("people-shop"))


@pytest.fixture
def shop(small_release: Release) -> TestShop:
    return TestShop(small_release, Clock(1_780_000_000_000), slug="field-jacket", sku=SKU)


@pytest.fixture
def stage(shop: TestShop, small_release: Release, monkeypatch: pytest.MonkeyPatch) -> SmallStage:
    stage = SmallStage("local", REGION, boto3.Session(region_name=REGION))
    s3: Any = MemoryS3()
    s3.put_object(Bucket="releases", Key=THEME_KEY, Body=small_release.theme.to_json().encode())
    clients = {"dynamodb": shop.dynamodb, "sts": Sts(), "secretsmanager": Secrets(), "s3": s3}
    names = {**shop.table_names, "SigningKeysSecret": "keys", "ReleaseBucket": "releases"}
    object.__setattr__(stage, "clients", clients)
    object.__setattr__(stage, "names", names)
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    return stage


def typed(project: Project, *words: str, stdin: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(
        cli, words, obj=project, input=stdin, catch_exceptions=True
    )


def accesses(project: Project) -> list[tuple[str, str, str]]:
    said = json.loads(typed(project, "access-log", "--json").stdout)
    return [(item["command"], item["subject"], item["operator"]) for item in said]


@pytest.mark.usefixtures("stage")
def test_a_shopper_is_shown_with_everything_and_without_the_address(project: Project, shop: TestShop) -> None:
    shop.join("bob", "ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="complained", at_ms=shop.clock())
    said = typed(project, "shopper", "-", stdin="ada@example.com\n").stdout
    shopper = shop.shopper("ada")
    assert said.splitlines() == [
        f"shopper {shopper}",
        "suppressed since 2026-05-28 20:26:42Z: complained",
        "",
        f"{SKU}  Field Jacket, Moss, M: waits, position 2 of 2",
        "  2026-05-28 20:26:41Z  signed up on /",
        f"                        entries shopper={shopper} sku={SKU}",
        "  2026-05-28 20:26:42Z  confirmed the address",
        f"                        entries shopper={shopper} sku={SKU}",
    ]
    assert accesses(project) == [("shopper show", shopper, OPERATOR)]


@pytest.mark.usefixtures("stage")
def test_an_export_of_a_person_is_for_its_owner_alone(
    project: Project, shop: TestShop, tmp_path: Path
) -> None:
    shop.join("ada")
    file = tmp_path / "ada.json"
    assert typed(project, "shopper", "ada@example.com", "--export", str(file)).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())
    assert kept["entries"][0]["mailbox"] == "ada@example.com"
    assert (kept["entries"][0]["position"], kept["mailbox"]) == (1, {})
    again = typed(project, "shopper", "ada@example.com", "--export", str(file))
    assert isinstance(again.exception, BadInput)
    assert again.exception.message == f"--export {file}: it exists already"


@pytest.mark.usefixtures("stage")
def test_a_person_is_erased_when_asked_twice_and_the_suppression_stays(
    project: Project, shop: TestShop
) -> None:
    shop.join("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="complained", at_ms=shop.clock())
    refused = typed(project, "shopper", "ada@example.com", "--erase", stdin="n\n")
    assert isinstance(refused.exception, WorkFailed)
    assert stored(shop, "ada") != {}
    said = typed(project, "shopper", "ada@example.com", "--erase", "--yes").stdout
    assert re.search(r"erased 1 row at \S+ \S+Z; the suppression stays, as an id$", said.strip())
    assert stored(shop, "ada") == {}
    assert shop.suppressions.among([shop.shopper("ada")]) == {shop.shopper("ada")}
    gone = json.loads(typed(project, "shopper", "ada@example.com", "--erase", "--yes", "--json").stdout)
    assert (gone["rows"], gone["suppressed"]) == (0, True)


@pytest.mark.usefixtures("stage")
def test_why_ends_in_a_sentence_and_fits_eighty_columns(project: Project, shop: TestShop) -> None:
    shop.join("bob", "ada")
    said = typed(project, "why", "ada@example.com", SKU).stdout.splitlines()
    assert said[-2:] == [
        f"No email yet: {SKU} has not come back since the signup; 1 person is before",
        "this one on the waitlist.",
    ]
    assert max(map(len, said)) <= 80
    assert not ADDRESS.search("\n".join(said))
    document = json.loads(typed(project, "why", "ada@example.com", SKU, "--json").stdout)
    assert document["verdict"] == "sold_out"
    assert document["lines"][0] == {
        "at": "2026-05-28 20:26:41Z",
        "text": "signed up on /",
        "source": f"entries shopper={shop.shopper('ada')} sku={SKU}",
    }


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("command", [("shopper",), ("why", SKU)])
@pytest.mark.parametrize("address", ["nobody@", "", "a b@example.com"])
def test_a_text_that_is_no_address_is_refused_before_the_stage_is_asked(
    project: Project, command: tuple[str, ...], address: str
) -> None:
    ended = typed(project, command[0], "-", *command[1:], stdin=f"{address}\n")
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message.startswith(f"address {address!r}: ")
    assert accesses(project) == []


def test_nothing_is_shown_or_changed_that_cannot_be_logged(
    project: Project, shop: TestShop, stage: SmallStage, tmp_path: Path
) -> None:
    shop.join("ada")
    file = tmp_path / "people.csv"
    file.write_text("email,time\nbob@example.com,2026-01-01\n")
    stage.clients["sts"].down = True
    for words in (
        ("shopper", "ada@example.com", "--erase", "--yes"),
        ("why", "ada@example.com", SKU),
        ("export", SKU),
        ("waitlist", "import", str(file), "--sku", SKU, "--consent-text", "x"),
        ("waitlist", "move", SKU, OTHER),
    ):
        ended = typed(project, *words)
        assert isinstance(ended.exception, ClientError), words
        assert ended.stdout == ""
    assert stored(shop, "ada")["state"] == {"S": "confirmed"}
    assert stored(shop, "bob") == {}


def run_import(project: Project, folder: Path, text: str, *options: str) -> Result:
    file = folder / "people.csv"
    file.write_text(text)
    report = ("--report", str(folder / "report.csv"))
    return typed(project, "waitlist", "import", str(file), "--sku", SKU, *report, *options)


PEOPLE = "email,time,consent\nada@example.com,2026-01-01,yes\nbob@example.com,2026-01-02,unsubscribed\n"


@pytest.mark.usefixtures("stage")
def test_an_import_is_counted_by_kind_and_a_dry_run_changes_nothing(
    project: Project, shop: TestShop, tmp_path: Path
) -> None:
    dry = run_import(project, tmp_path, PEOPLE, "--dry-run").stdout.splitlines()
    assert dry[1:3] == ["        1  would be added", "        1  unsubscribed in the other tool"]
    assert stored(shop, "ada") == {}
    said = json.loads(run_import(project, tmp_path, PEOPLE, "--json").stdout)
    assert said["outcomes"] == {"add": 1, "left_there": 1}
    assert stored(shop, "ada")["state"] == {"S": "confirmed"}
    digest = said["sha256"][:16]
    assert accesses(project) == [
        ("waitlist import --dry-run", f"file {digest}", OPERATOR),
        ("waitlist import", f"file {digest}", OPERATOR),
    ]
    assert stat.S_IMODE((tmp_path / "report.csv").stat().st_mode) == 0o600


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize("name", ["people.csv", "link.csv", "notes.txt", "empty.csv"])
def test_a_report_replaces_neither_the_export_nor_a_file_that_holds_no_details(
    project: Project, shop: TestShop, tmp_path: Path, name: str, dry: list[str]
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    (tmp_path / "link.csv").symlink_to(file)
    (tmp_path / "notes.txt").write_text("line,outcomes\n")
    (tmp_path / "empty.csv").touch()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    words = ("waitlist", "import", str(file), "--sku", SKU, "--report", str(tmp_path / name), *dry)
    ended = typed(project, *words)
    assert isinstance(ended.exception, BadInput)
    says = (
        "this is the export itself" if name in {"people.csv", "link.csv"} else "exists already, and holds no"
    )
    assert ended.exception.message.startswith(f"--report {tmp_path / name}: {says}")
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert stored(shop, "ada") == {}
    assert accesses(project) == []


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("missing/report.csv", "No such file or directory"),
        ("people.csv/report.csv", "Not a directory"),
        ("r" * 252, "File name too long"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_anybody_is_imported(
    project: Project, shop: TestShop, tmp_path: Path, report: str, reason: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    ended = typed(project, "waitlist", "import", str(file), "--sku", SKU, "--report", str(tmp_path / report))
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message == f"{tmp_path / report}: {reason}"
    assert stored(shop, "ada") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("option", ["--notify-now", "--next-restock"])
def test_a_choice_that_asking_ignores_is_refused(
    project: Project, shop: TestShop, tmp_path: Path, option: str
) -> None:
    ended = run_import(project, tmp_path, PEOPLE, "--ask", option)
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message == f"{option}: has no effect with --ask"
    assert stored(shop, "ada") == {}


@pytest.mark.usefixtures("stage")
def test_an_import_counts_addresses_that_look_like_slips(project: Project, tmp_path: Path) -> None:
    text = "email,time,consent\nada@gmial.com,2026-01-01,yes\nbob@example.com,2026-01-02,yes\n"
    lines = run_import(project, tmp_path, text).stdout.splitlines()
    assert lines[1:3] == [
        "        2  added",
        "1 address looks like a slip of a known domain: see the details",
    ]


def test_an_import_that_is_throttled_waits_for_a_minute_and_then_says_so(
    project: Project, shop: TestShop, stage: SmallStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    write, failures = shop.dynamodb.transact_write_items, [8]

    def throttled(**asked: Any) -> Any:
        if not failures[0]:
            return write(**asked)
        failures[0] -= 1
        reasons = [{"Code": "ThrottlingError"} for _ in asked["TransactItems"]]
        answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise ClientError(answer, "TransactWriteItems")

    monkeypatch.setattr(shop.dynamodb, "transact_write_items", throttled)
    rows = EntryRows(shop.dynamodb, shop.entries_name, sleep=waits.append)
    monkeypatch.setattr(EntryRows, "of", lambda _: rows)
    ended = run_import(project, tmp_path, PEOPLE)
    assert isinstance(ended.exception, WorkFailed)
    file = tmp_path / "people.csv"
    assert ended.exception.message == f"{file}: the import broke off: the table takes no more writes now"
    assert ended.exception.hint == "import the same file again: it goes on with the others"
    assert waits == [0.5, 1, 2, 4, 8, 16, 32]
    failures[0] = 3
    assert run_import(project, tmp_path, PEOPLE).exit_code == 0
    assert waits[7:] == [0.5, 1, 2]
    assert stored(shop, "ada")["state"] == {"S": "confirmed"}


@pytest.mark.usefixtures("stage")
def test_an_import_says_how_people_who_have_not_confirmed_are_imported_later(
    project: Project, tmp_path: Path
) -> None:
    assert run_import(project, tmp_path, PEOPLE, "--ask").exit_code == 0
    lines = run_import(project, tmp_path, f"{PEOPLE}\n").stdout.splitlines()
    assert lines[1] == "        1  asked by this shop, not confirmed yet"
    assert lines[3] == "people not confirmed yet: import the same file again later; the details say when"


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("Email,Consent,Moment,Name\nada1@example.com,yes,2026-01-01,Ada\n", "Moment, Name"),
        ("Email,Consent\nada1@example.com,yes\n", ""),
    ],
)
def test_an_import_without_a_column_of_times_says_so_and_names_the_columns_that_it_did_not_read(
    project: Project, tmp_path: Path, text: str, unread: str
) -> None:
    ended = run_import(project, tmp_path, text, "--dry-run")
    said = "no column of times was found (--time-column NAME), the rows count in their order"
    rest = f"; these columns were not read: {unread}" if unread else ""
    assert ended.stderr == f"{tmp_path / 'people.csv'}: {said}{rest}\n"
    timed = text.replace("\n", ",2026-01-01\n").replace("2026-01-01\n", "Signup\n", 1)
    said = f"{tmp_path / 'people.csv'}: these columns were not read: {unread}\n"
    assert run_import(project, tmp_path, timed, "--dry-run").stderr == (said if unread else "")
    assert run_import(project, tmp_path, PEOPLE, "--dry-run").stderr == ""


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("text", ["Email\nada1@example.com\n", "\ufeffEmail\r\nada1@example.com\r\n"])
def test_a_file_of_addresses_alone_is_imported(
    project: Project, shop: TestShop, tmp_path: Path, text: str
) -> None:
    assert run_import(project, tmp_path, text, "--consent-text", "Email me").exit_code == 0
    assert stored(shop, "ada1")["consent_text"] == {"S": "Email me"}
    headless = run_import(project, tmp_path, "ada@example.com\nbob@example.com\n", "--consent-text", "x")
    assert isinstance(headless.exception, BadInput)
    assert headless.exception.message == f"{tmp_path / 'people.csv'}:1: no column of addresses"


@pytest.mark.usefixtures("stage")
def test_details_replace_those_of_an_earlier_import(project: Project, tmp_path: Path) -> None:
    run_import(project, tmp_path, PEOPLE)
    run_import(project, tmp_path, PEOPLE)
    lines = (tmp_path / "report.csv").read_text().splitlines()
    assert lines[1] == f"2,imported before,{SKU},ada@example.com,"


@pytest.mark.usefixtures("stage")
def test_an_import_into_stock_needs_a_choice_between_emailing_now_and_waiting(
    project: Project, shop: TestShop, tmp_path: Path
) -> None:
    shop.observe(Availability.IN_STOCK)
    refused = run_import(project, tmp_path, PEOPLE)
    assert isinstance(refused.exception, BadInput)
    assert refused.exception.message == f"in stock now: {SKU} (1 person); nothing was changed"
    assert "--notify-now" in refused.exception.hint
    assert stored(shop, "ada") == {}
    dry = run_import(project, tmp_path, PEOPLE, "--dry-run").stdout
    assert f"{SKU} is in stock: 1 person needs --notify-now or --next-restock" in dry
    both = run_import(project, tmp_path, PEOPLE, "--notify-now", "--next-restock")
    assert isinstance(both.exception, BadInput)
    run_import(project, tmp_path, PEOPLE, "--notify-now")
    assert stored(shop, "ada")["arrival"] == {"S": "now"}


@pytest.mark.usefixtures("stage")
def test_rows_that_are_wrong_are_listed_with_their_lines_and_the_others_imported(
    project: Project, shop: TestShop, tmp_path: Path
) -> None:
    text = "email,time,consent\nada@example.com,2026-01-01,yes\nbob@,2026-01-01,yes\n"
    ended = run_import(project, tmp_path, text)
    assert isinstance(ended.exception, WorkFailed)
    first, second = ended.exception.message.splitlines()
    assert first == "1 row was not imported:"
    assert second.startswith(f"  {tmp_path / 'people.csv'}:3: address 'bob@': ")
    assert stored(shop, "ada")["state"] == {"S": "confirmed"}
    dry = run_import(project, tmp_path, text, "--dry-run")
    assert isinstance(dry.exception, BadInput)


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timezone", "Mars/Base"], "--timezone 'Mars/Base': no such time zone"),
        (["--date-format", "%d %d"], "--date-format '%d %d': it names a part of the time twice"),
        (["--date-format", "%Y %Y"], "--date-format '%Y %Y': it names a part of the time twice"),
        (["--date-format", "%Q"], "--date-format '%Q': 'Q' is a bad directive"),
        (["--date-format", "%"], "--date-format '%': stray %"),
        (["--date-format", "%d.%m. %H:%M"], "--date-format '%d.%m. %H:%M': it has no year"),
        (["--date-format", ""], "--date-format '': it has no year"),
        (["--locale", "xx"], "--locale 'xx': not a language of this shop"),
        (["--sku", "NOPE"], "SKU 'NOPE': stage local sells nothing under that name"),
        (["--time-column", "when"], "--time-column 'when': "),
    ],
)
def test_an_option_that_cannot_be_right_is_refused_and_nothing_is_written(
    project: Project, shop: TestShop, tmp_path: Path, options: list[str], message: str
) -> None:
    ended = run_import(project, tmp_path, PEOPLE, *options)
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message.startswith(message)
    assert stored(shop, "ada") == {}


@pytest.mark.usefixtures("stage")
def test_variant_ids_are_read_by_a_file_of_skus(project: Project, shop: TestShop, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email,variant_id,status\nada@example.com,4125,pending\n")
    (tmp_path / "skus.csv").write_text(f"4125,{SKU}\n")
    words = ("waitlist", "import", str(tmp_path / "people.csv"), "--from", "swym")
    report = ("--report", str(tmp_path / "report.csv"))
    assert typed(project, *words, "--sku-map", str(tmp_path / "skus.csv"), *report).exit_code == 0
    assert stored(shop, "ada")["consent"] == {"S": "imported:swym"}
    (tmp_path / "skus.csv").write_text("4125\n")
    ended = typed(project, *words, "--sku-map", str(tmp_path / "skus.csv"))
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message == f"--sku-map {tmp_path / 'skus.csv'}:1: 1 column, expected 2"


@pytest.mark.usefixtures("stage")
def test_a_file_of_skus_is_read_in_the_encoding_that_is_named(
    project: Project, shop: TestShop, tmp_path: Path
) -> None:
    people = "email,variant_id,status\nada@example.com,Größe M,pending\n"
    (tmp_path / "people.csv").write_bytes(people.encode("cp1252"))
    (tmp_path / "skus.csv").write_bytes(f"Größe M;{SKU}\n".encode("cp1252"))
    words = ["waitlist", "import", str(tmp_path / "people.csv"), "--from", "swym"]
    words += ["--sku-map", str(tmp_path / "skus.csv"), "--report", str(tmp_path / "report.csv")]
    ended = typed(project, *words)
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message == f"{tmp_path / 'skus.csv'}:1: byte 0xf6 is not UTF-8"
    assert typed(project, *words, "--encoding", "cp1252").exit_code == 0
    assert stored(shop, "ada")["consent"] == {"S": "imported:swym"}


@pytest.mark.parametrize(
    "written", ["%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z", "%b %d, %y %I:%M %p %Z", "%G-W%V-%u", "%c"]
)
def test_a_format_that_reads_what_it_writes_is_taken(written: str) -> None:
    assert date_format(written) == written


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"111,FJ-INK-M\n\n222 , FJ-INK-L\n111,FJ-INK-M\n", {"111": "FJ-INK-M", "222": "FJ-INK-L"}),
        (b"111;FJ-INK-M\r\n222;FJ-INK-L,2\r\n", {"111": "FJ-INK-M", "222": "FJ-INK-L,2"}),
        (b"sep=;\r111;FJ-INK-M\r222;FJ-INK-L\r", {"111": "FJ-INK-M", "222": "FJ-INK-L"}),
        ("Größe\tFJ-INK-M\t\n".encode("utf-16"), {"Größe": "FJ-INK-M"}),
        (b'"a, b",FJ-INK-M\n', {"a, b": "FJ-INK-M"}),
        (workbook(), {"sku": "price", "007": "12.5", "12": "1290"}),
    ],
)
def test_a_file_of_skus_is_any_table_of_two_columns(
    tmp_path: Path, content: bytes, expected: dict[str, str]
) -> None:
    (tmp_path / "skus").write_bytes(content)
    assert sku_map(tmp_path / "skus") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"111,FJ-INK-M\n2,X\n111,FJ-INK-L\n",
            "--sku-map {}:3: '111' is 'FJ-INK-L', and 'FJ-INK-M' in line 1",
        ),
        (b"111,FJ-INK-M\n2,a,b\n", "--sku-map {}:2: 3 columns, expected 2"),
        (b"111,\n", "--sku-map {}:1: 1 column, expected 2"),
        (
            b"111,FJ-INK-M\n4.12547E+13,FJ-INK-L\n",
            "--sku-map {}:2: '4.12547E+13': a spreadsheet shortened the number, and its last digits are lost;"
            " format the column as a number without decimals, or take the export as the tool wrote it",
        ),
        (b'111,"FJ-INK-M\n', "{}:1: unexpected end of data"),
        (b"\x1f\x8b\x08", "{}: it is compressed"),
    ],
)
def test_a_file_of_skus_that_is_not_clear_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "skus"
    file.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        sku_map(file)
    assert refused.value.message == message.format(file)


@pytest.mark.usefixtures("stage")
def test_a_move_is_counted_and_logged(project: Project, shop: TestShop) -> None:
    shop.join("ada")
    assert typed(project, "waitlist", "move", SKU, OTHER, "--dry-run").stdout == "        1  would be moved\n"
    assert stored(shop, "ada", OTHER) == {}
    assert typed(project, "waitlist", "move", SKU, OTHER).stdout == "        1  moved\n"
    assert typed(project, "waitlist", "move", SKU, OTHER).stdout == f"nobody waits for {SKU}\n"
    assert accesses(project)[0] == ("waitlist move", f"SKUs {SKU} {OTHER}", OPERATOR)


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--json"]])
def test_a_move_from_an_sku_that_was_never_sold_names_similar_ones(
    project: Project, options: list[str]
) -> None:
    ended = typed(project, "waitlist", "move", "fj-moss-m", OTHER, *options)
    assert ended.exit_code == 0
    assert ended.stderr == (
        "SKU 'fj-moss-m': stage local sells nothing under that name; SKUs are compared exactly: 'FJ-MOSS-M'"
        " (product field-jacket) differs in upper and lower case\n"
    )
    assert typed(project, "waitlist", "move", SKU, OTHER, *options).stderr == ""


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([SKU, "NOPE"], "SKU 'NOPE': stage local sells nothing under that name"),
        ([SKU, SKU], f"SKU {SKU!r}: it is the same SKU twice"),
        (["FJ-MOSS-S", OTHER], "SKU 'FJ-MOSS-S': it is in stock, its waitlist is being emailed"),
        ([SKU, "FJ-MOSS-S"], "in stock now: FJ-MOSS-S (1 person); nothing was changed"),
    ],
)
def test_a_move_that_cannot_be_right_is_refused(
    project: Project, shop: TestShop, words: list[str], message: str
) -> None:
    shop.join("ada")
    ended = typed(project, "waitlist", "move", *words)
    assert isinstance(ended.exception, SpillwayError)
    assert ended.exception.message == message
    assert stored(shop, "ada")["state"] == {"S": "confirmed"}


def test_publish_names_what_is_no_longer_sold_and_how_many_wait(
    shop: TestShop, stage: SmallStage, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.join("ada", "bob")
    warn_of_people_left(stage, (SKU, OTHER))
    object.__setattr__(stage, "name", "production")
    warn_of_people_left(stage, (SKU,))
    assert capsys.readouterr().err.splitlines() == [
        f"{SKU}: no longer sold, 2 people wait for it; move them to another SKU:"
        f" spillway waitlist move {SKU} NEW-SKU",
        f"{SKU}: no longer sold, 2 people wait for it; move them to another SKU:"
        f" spillway waitlist move --stage production {SKU} NEW-SKU",
    ]


@pytest.mark.usefixtures("stage")
def test_waiting_lists_what_is_no_longer_sold(project: Project, shop: TestShop) -> None:
    shop.join("ada")
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    shop.products.withdraw(stocked.product)
    ended = typed(project, "waiting")
    assert re.search(rf"^{SKU} +Field Jacket +no longer sold +1 ", ended.stdout, re.MULTILINE)
    assert ended.stderr == (
        f"{SKU}: no longer sold; move people to another SKU: spillway waitlist move {SKU} NEW-SKU\n"
    )
