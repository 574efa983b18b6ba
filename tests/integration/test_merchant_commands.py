"""Answers of a merchant's commands to programs: each speaks JSON, and nothing else with it."""

import json
from collections.abc import Callable
from email.header import Header
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest
from click.testing import CliRunner
from rich.console import Console

import spillway.stage as stages
from chalicelib.domain.entry import Arrival, EntryState
from chalicelib.domain.sending_limits import Reach
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import LinkSubject, Purpose
from chalicelib.settings import Keys, clock_ms
from chalicelib.tables.sending import AccessLogTable
from spillway.__main__ import cli
from spillway.commands import stock, suppressions, waiting
from spillway.errors import BadInput, WorkFailed
from spillway.merchant.intake import Move
from spillway.merchant.rows import EntryRows
from spillway.merchant.waitlist_report import WaitlistSize, reach_sentence
from spillway.operate.state import QUEUES
from spillway.project import Project
from spillway.sitegen.release import Release
from spillway.stage import Stage
from tests.conftest import free_port
from tests.support.aws import REGION
from tests.support.aws_models import check_request
from tests.support.clock import Clock
from tests.support.shop import TestShop
from tests.support.small_shop import make_small_shop
from tests.support.stubbed_stage import QUEUE_OUTPUTS
from tests.unit.test_dead_letters import Queues

SKU = "FJ-MOSS-M"
GOOGLE = "{http://base.google.com/ns/1.0}"
DEAD = {"put_back": 0, "failed": 0, "gone": 0}


class Nothing:
    """AWS where there is nothing to see: no alarm, no stream, no function."""

    def describe_stacks(self, **_: Any) -> Any:
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE"}]}

    def get_caller_identity(self) -> Any:
        return {"Arn": "arn:aws:iam::123456789012:user/ann"}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        return [{"MetricAlarms": []}]


class Ses:
    """Takes every email."""

    def send_bulk_email(self, **asked: Any) -> Any:
        check_request("sesv2", "SendBulkEmail", asked)
        return {"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": "m1"}]}

    def get_account(self) -> Any:
        quota = {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 3.0}
        return {"SendQuota": quota, "ProductionAccessEnabled": True, "SendingEnabled": True}


class SmallStage(Stage):
    """A stage whose tables and queues are in memory; `names` are the outputs of its stack."""

    clients: dict[str, Any]
    names: dict[str, str]

    def client(self, service: str) -> Any:
        return self.clients.get(service, Nothing())

    def outputs(self) -> dict[str, str]:
        return self.names


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_small_shop(tmp_path_factory.mktemp("small-shop"))


@pytest.fixture(scope="module")
def shop(small_release: Release) -> TestShop:
    return TestShop(small_release, Clock(), slug="field-jacket", sku=SKU)


@pytest.fixture(scope="module")
def stage(shop: TestShop) -> SmallStage:
    queues = dict(zip(QUEUE_OUTPUTS, QUEUE_OUTPUTS, strict=True))
    stage = SmallStage("local", REGION, boto3.Session(region_name=REGION))
    shop.dynamodb.describe_table = lambda **_: {"Table": {"ItemCount": 1}}
    clients = {"dynamodb": shop.dynamodb, "sqs": Queues(), "sesv2": Ses()}
    object.__setattr__(stage, "clients", clients)
    object.__setattr__(stage, "names", {**queues, **shop.table_names, "EmailConfigurationSet": "emails"})
    return stage


def run(project: Project, *words: str) -> Any:
    """The standard output of a command, read as JSON."""
    ran = CliRunner().invoke(cli, words, obj=project, catch_exceptions=False)
    assert ran.exit_code in {0, 1}, ran.output
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["available", SKU, "--stock", "5"], {"sku": SKU, "units": 5, "restock": True}),
        (["sold-out", SKU], {"sku": SKU, "units": 0, "restock": False}),
        (["stock", "stock.csv", "--dry-run"], {"mailed": 1, "mistakes": []}),
        (["waiting"], [{"sku": SKU, "waiting": 1}]),
        (["waves", SKU], [{"notified": 0, "live": False, "bounced": 0, "unsubscribed": 0}]),
        (["export", SKU], {"position": 1, "address": "ada@example.com"}),
        (["emails", "preview"], [{"email": "confirm"}, {"email": "already"}]),
        (["send-test", "me@example.com"], [{"email": "confirm"}, {"email": "already"}]),
        (["failed"], {name: {"count": 0, "some": []} for name in QUEUES}),
        (["redrive", "all"], dict.fromkeys(QUEUES, DEAD)),
        (["redrive", "waves", "--dry-run"], {"waves": 0}),
        (["pause", "--because", "looking into it"], {"was_paused": None}),
        (["pause"], {"was_paused": "looking into it"}),
        (["status"], {"paused": "looking into it", "well": False}),
        (["resume"], {"was_paused": "looking into it"}),
        (["wave-policy"], {"emails_per_unit": None, "units_min": 1}),
        (["wave-policy", "--product", "scarf", "--emails-per-unit", "2"], {"emails_per_unit": 2}),
        (["wave-policy", "--product", "scarf", "--follow-shop"], {"emails_per_unit": None}),
        (["status"], {"stage": "local", "alarms": []}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and isinstance(value[0], str) else "",
)
def test_every_command_of_a_merchant_speaks_json(
    project: Project,
    shop: TestShop,
    stage: SmallStage,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: Any,
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    monkeypatch.chdir(project.root)
    Path("stock.csv").write_text(f"sku,stock\n{SKU},7\n")
    if shop.entry("ada") is None:
        shop.join("ada")
        shop.observe(Availability.IN_STOCK)
        shop.observe(Availability.OUT_OF_STOCK, units=0)
    spoken = run(project, *words, "--json")
    expected = said if isinstance(said, list) else [said]
    for item, part in zip(spoken if isinstance(spoken, list) else [spoken], expected, strict=False):
        assert {name: item[name] for name in part} == part


def test_a_variant_that_was_never_on_sale_is_not_sold_out(
    project: Project, shop: TestShop, stage: SmallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    known = stocked.stock["FJ-SLATE-M"]
    soon = Stock(Availability.COMING_SOON, 0, known.observed_at_ms, "e", known.version + 1, ("k",))
    assert shop.products.observe("field-jacket", "FJ-SLATE-M", soon, known=known)

    ran = CliRunner().invoke(cli, ["sold-out", "FJ-SLATE-M"], obj=project, catch_exceptions=False)

    assert ran.output.startswith("FJ-SLATE-M was never on sale, so it cannot be sold out")
    after = shop.products.get("field-jacket")
    assert after is not None
    assert after.stock["FJ-SLATE-M"].availability is Availability.COMING_SOON


def test_an_sku_in_square_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = [WaitlistSize("[red]x[/red]", "A [b]bold[/b] one", "", "OutOfStock", 3, 1)]
    Console(highlight=False, width=100).print(waiting._waiting_table(found))
    assert "[red]x[/red]  A [b]bold[/b] one" in capsys.readouterr().out


def test_the_feed_of_a_stage_has_the_stock_of_now(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)

    def availability(*words: str) -> str:
        ran = CliRunner().invoke(cli, ["feed", "google", *words], obj=project, catch_exceptions=False)
        items = {
            item.findtext(f"{GOOGLE}id"): item for item in ElementTree.fromstring(ran.stdout).iter("item")
        }
        return items[SKU].findtext(f"{GOOGLE}availability") or ""

    run(project, "available", SKU, "--json")
    assert (availability(), availability("--stage", "local")) == ("out_of_stock", "in_stock")
    run(project, "sold-out", SKU, "--json")
    assert availability("--stage", "local") == "out_of_stock"


@pytest.mark.parametrize("words", [["waves", "NOPE"], ["export", "NOPE"], ["available", "NOPE"]])
def test_a_sku_that_the_stage_does_not_sell_is_named(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    with pytest.raises(BadInput, match="'NOPE'"):
        run(project, *words)


def test_a_bar_is_drawn_for_nobody_but_a_terminal(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    assert CliRunner().invoke(cli, ["waiting"], obj=project, catch_exceptions=False).stderr == ""


def test_the_words_about_a_stock_name_what_changed(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    # Commands that are typed have a millisecond each; these might share one, and have no order then.
    monkeypatch.setattr(stock, "clock_ms", count(clock_ms() + 1).__next__)
    said = [
        CliRunner().invoke(cli, words.split(), obj=project, catch_exceptions=False).stdout.splitlines()[0]
        for words in (
            f"sold-out {SKU}",
            f"sold-out {SKU}",
            f"available {SKU} --stock 5",
            f"available {SKU} --stock 3",
            f"available {SKU}",
        )
    ]
    assert said[1:2] + said[3:] == [
        f"{SKU} was sold out already",
        f"{SKU} was available already: 3 now, 5 before; nobody is notified",
        f"{SKU} was available already; nobody is notified",
    ]


def test_without_a_failed_job_that_is_said_in_words(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    ran = CliRunner().invoke(cli, ["failed"], obj=project, catch_exceptions=False)
    assert ran.stdout == "nothing failed: no job waits for a person\n"


def test_a_dry_run_counts_the_people_and_changes_nothing_and_the_command_says_the_same(
    project: Project, stage: SmallStage, shop: TestShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    monkeypatch.setattr(stock, "clock_ms", count(clock_ms() + 1_000_000).__next__)
    if shop.entry("ada") is None:
        shop.join("ada")

    def said(words: str) -> list[str]:
        return CliRunner().invoke(cli, words.split(), obj=project, catch_exceptions=False).stdout.splitlines()

    said(f"sold-out {SKU}")
    products = stage.container().products
    before = products.get("field-jacket")
    assert said(f"available {SKU} --stock 5 --dry-run") == [
        f"{SKU} would become available: its pages would be refreshed",
        "  1 person would be emailed, about 1 minute",
    ]
    assert run(project, "available", SKU, "--dry-run", "--json")["emails"] == 1
    assert products.get("field-jacket") == before
    assert said(f"available {SKU} --stock 5") == [
        f"{SKU} is available: its pages are refreshed",
        "  1 person will be emailed, about 1 minute",
        f"  progress of the emails: spillway waves {SKU}",
    ]
    before = products.get("field-jacket")
    assert said(f"available {SKU} --stock 3 --dry-run") == [
        f"{SKU} is available already: 3 now, 5 before; nobody would be notified"
    ]
    assert said(f"sold-out {SKU} --dry-run") == [
        f"{SKU} would be sold out: its pages would be refreshed",
        "  they take signups; 1 person waits, and nobody is emailed until it is available again",
    ]
    assert products.get("field-jacket") == before
    assert said(f"sold-out {SKU}")[0] == f"{SKU} is sold out: its pages are refreshed"
    assert said(f"sold-out {SKU} --dry-run") == [f"{SKU} is sold out already"]


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        (Reach(0, 0, 30, 14.0, None), "nobody is waiting: nobody will be emailed"),
        (Reach(12, 12, 30, 1.0, None), "12 people will be emailed, about 1 minute"),
        (Reach(90_000, 90_000, 30, 14.0, None), "90,000 people will be emailed, about 1.8 hours"),
        (
            Reach(40, 10, 30, 1.0, None),
            "10 people will be emailed, about 1 minute; 30 more wait: the next wave follows after 30 minutes",
        ),
        (
            Reach(4, 0, 30, 1.0, None),
            "4 people wait; nobody will be emailed: the wave policy wants more stock",
        ),
        (
            Reach(2, 2, 30, 1.0, "by hand"),
            "2 people will be emailed, about 1 minute; sending is paused: by hand",
        ),
    ],
)
def test_the_reach_of_a_restock_is_a_sentence(reach: Reach, said: str) -> None:
    assert reach_sentence(reach, "will be") == said


@pytest.mark.parametrize(
    ("sku", "command"),
    [(SKU, f"sold-out {SKU}"), ("a b", "sold-out 'a b'"), ("#1", "sold-out '#1'"), ("-5", "sold-out -- -5")],
)
def test_a_stock_of_none_is_answered_with_the_command_to_type(
    project: Project, sku: str, command: str
) -> None:
    with pytest.raises(BadInput) as refused:
        run(project, "available", "--stock", "0", "--", sku)
    assert refused.value.hint == f"spillway {command}"


@pytest.mark.parametrize(
    ("sku", "hint"),
    [
        (
            SKU.lower(),
            f"SKUs are compared exactly: '{SKU}' (product field-jacket) differs in upper and lower case",
        ),
        ("FJ- MOSS-M", f"SKUs are compared exactly: '{SKU}' (product field-jacket) differs in spaces"),
        (f"00{SKU}", f"SKUs are compared exactly: '{SKU}' (product field-jacket) differs in leading zeros"),
        (
            "scarfs",
            "SKUs are in site/products/*.toml; publish first if it is new",
        ),
        (
            "SCARFS",
            "other SKUs of this stage: 'SCARF' (product scarf); "
            "SKUs are in site/products/*.toml; publish first if it is new",
        ),
    ],
)
@pytest.mark.parametrize("command", ["available", "sold-out", "waves", "export"])
def test_an_sku_like_the_one_typed_is_named_as_another_and_never_taken(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch, command: str, sku: str, hint: str
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    with pytest.raises(BadInput) as refused:
        run(project, command, sku)
    assert refused.value.message == f"SKU {sku!r}: stage local sells nothing under that name"
    assert refused.value.hint == hint


class WithdrawnMeanwhile:
    """A DynamoDB in which a product's SKU can be looked up once, and is gone then."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb
        self._asked: set[str] = set()

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._dynamodb, operation)

    def get_item(self, **asked: Any) -> Any:
        name = asked["Key"]["id"]["S"]
        gone = name in self._asked and SKU in name
        self._asked.add(name)
        return {} if gone else self._dynamodb.get_item(**asked)


@pytest.mark.parametrize("command", ["available", "sold-out"])
def test_a_product_that_is_withdrawn_meanwhile_is_not_said_to_have_changed(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    monkeypatch.setitem(stage.clients, "dynamodb", WithdrawnMeanwhile(stage.clients["dynamodb"]))
    with pytest.raises(BadInput, match="sells nothing under that name"):
        run(project, command, SKU)


@pytest.mark.parametrize("command", ["waves", "export", "available", "sold-out"])
def test_a_text_that_can_be_no_sku_is_refused_before_the_stage_is_asked(
    project: Project, command: str
) -> None:
    with pytest.raises(BadInput) as refused:
        run(project, command, "field\u2028jacket")
    assert refused.value.message == "SKU 'field\\u2028jacket': not an SKU"
    assert refused.value.hint == "An SKU must not contain a line break: U+2028 LINE SEPARATOR."


def test_a_shop_on_another_mail_server_sends_its_tests_by_that_one(
    project: Project, stage: SmallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Secrets:
        def get_secret_value(self, **_: str) -> Any:
            server = {"host": "127.0.0.1", "port": free_port(), "username": "u", "password": "p"}
            return {"SecretString": json.dumps(server)}

    monkeypatch.setattr(stages, "running_local_stage", lambda _: stage)
    monkeypatch.setitem(stage.names, "SmtpSecret", "arn:secret")
    monkeypatch.setitem(stage.clients, "secretsmanager", Secrets())
    with pytest.raises(WorkFailed, match="ConnectionRefusedError"):
        run(project, "send-test", "me@example.com")


@pytest.fixture
def mailbox(shop: TestShop, stage: SmallStage, monkeypatch: pytest.MonkeyPatch) -> TestShop:
    """The shop whose links `spillway unsubscribe` reads."""
    monkeypatch.setattr(suppressions, "stage_named", lambda *_: stage)
    monkeypatch.setattr(suppressions, "read_keys", lambda *_: Keys(b"identity", ("key",)))
    monkeypatch.setattr(suppressions, "clock_ms", shop.clock)
    names = {**stage.names, "SigningKeysSecret": "keys"}
    monkeypatch.setattr(SmallStage, "outputs", lambda _: names)
    return shop


def unsubscribe_token(shop: TestShop, name: str) -> str:
    return shop.links.sign(Purpose.UNSUBSCRIBE, LinkSubject(shop.shopper(name), SKU))


def is_unsubscribed(shop: TestShop, name: str) -> bool:
    entry = shop.entry(name)
    return entry is not None and entry.state is EntryState.UNSUBSCRIBED


@pytest.mark.usefixtures("mailbox")
def test_a_mailbox_export_unsubscribes_by_the_tokens_in_its_subjects(
    shop: TestShop, project: Project, tmp_path: Path
) -> None:
    shop.join("mo", "ned", "odo")
    tokens = [unsubscribe_token(shop, name) for name in ("mo", "ned", "odo")]
    subjects = [
        f"unsubscribe {tokens[0]}",
        f"Fwd: Unsubscribe\n {tokens[1]}",
        f"unsubscribe {tokens[0][:-6]}xxxxxx",
        "unsubscribe",
        Header(f"unsubscribe {tokens[2]}", "utf-8").encode(),
        "Where is my parcel?",
    ]
    emails = "".join(
        f"From a@b.example Fri Nov 27 12:00:00 2026\nSubject: {text}\n\nHi\n\n" for text in subjects
    )
    export = tmp_path / "export.mbox"
    export.write_text(emails)
    for _ in range(2):
        assert run(project, "unsubscribe", str(export), "--json") == {"done": 3, "refused": 1, "others": 2}
        states = [entry.state for name in ("mo", "ned", "odo") if (entry := shop.entry(name))]
        assert states == [EntryState.UNSUBSCRIBED] * 3
    used = [use.command for use in AccessLogTable(shop.dynamodb, shop.sending_name).all()]
    assert used.count("unsubscribe") == 2
    one = tmp_path / "one.eml"
    one.write_bytes(f"To: x@y.example\r\nSubject: unsubscribe {tokens[0]}\r\n\r\n".encode())
    assert run(project, "unsubscribe", str(one), "--json") == {"done": 1, "refused": 0, "others": 0}
    for bad, message in ((tmp_path / "none.mbox", "No such file"), (tmp_path / "empty", "no email in it")):
        if bad.name == "empty":
            bad.write_bytes(b"")
        with pytest.raises(BadInput, match=message):
            run(project, "unsubscribe", str(bad))


FROM = "From a@b.example Fri Nov 27 12:00:00 2026\n"
ODD_EMAILS = {
    "a broken base64 subject": f"{FROM}Subject: =?UTF-8?B?SGVsbG8gV29ybGQhI?=\n\nHi\n\n".encode(),
    "a subject in an unknown encoding": f"{FROM}Subject: =?x-none?Q?a?=\n\nHi\n\n".encode(),
    "an unquoted line": f"{FROM}Subject: a\n\nHi\n\nFrom Köln to Zürich\nHi\n\n".encode(),
    "the same in Latin-1": f"{FROM}To: b\n\nFrom Köln to Zürich\n\n".encode("latin-1"),
    "an 8-bit separator": 'From "Jürgen" Sat Nov 28 12:00:00 2026\nTo: b\n\nHi\n\n'.encode("latin-1"),
    "a separator alone": b"From \r\nTo: b\r\n\r\nHi\r\n\r\n",
    "an 8-bit subject": f"{FROM}Subject: Köln\n\n\n".encode("latin-1"),
}


@pytest.mark.parametrize("odd", ODD_EMAILS.values(), ids=ODD_EMAILS)
@pytest.mark.parametrize("after", [b"From c@d.example Sat Nov 28 12:00:00 2026\n", b"From \r\n"])
@pytest.mark.usefixtures("mailbox")
def test_an_odd_email_of_a_mailbox_is_counted_and_the_next_one_is_read(
    shop: TestShop, project: Project, tmp_path: Path, odd: bytes, after: bytes
) -> None:
    shop.join("mo")
    export = tmp_path / "export.mbox"
    export.write_bytes(odd + after + f"Subject: unsubscribe {unsubscribe_token(shop, 'mo')}\n\n".encode())
    assert run(project, "unsubscribe", str(export), "--json") == {"done": 1, "refused": 0, "others": 1}
    assert is_unsubscribed(shop, "mo")


@pytest.mark.usefixtures("mailbox")
def test_a_dated_separator_needs_no_empty_line_before_it(
    shop: TestShop, project: Project, tmp_path: Path
) -> None:
    shop.join("mo")
    export = tmp_path / "export.mbox"
    token = unsubscribe_token(shop, "mo")
    export.write_text(f"{FROM}To: b\n\nFrom here\nNote: hi\n{FROM}Subject: unsubscribe {token}\n\n")
    assert run(project, "unsubscribe", str(export), "--json") == {"done": 1, "refused": 0, "others": 1}


BOM = b"\xef\xbb\xbf"
PLIST = b'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"></plist>\n'
LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda email: BOM + email,
    "an empty line": lambda email: b"\n" + email,
    "an empty line of Windows after a mark": lambda email: BOM + b"\r\n" + email.replace(b"\n", b"\r\n"),
    "line ends of old Macs": lambda email: email.replace(b"\n", b"\r"),
    "UTF-16": lambda email: email.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda email: email.decode().encode("utf-16-le"),
    "UTF-16, the other way round": lambda email: email.decode().encode("utf-16-be"),
    "emlx": lambda email: b"%-10d\n" % len(email) + email.removeprefix(FROM.encode()) + PLIST,
}


@pytest.mark.parametrize("lay_out", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("separator", ["", FROM])
@pytest.mark.usefixtures("mailbox")
def test_a_mailbox_may_be_laid_out_otherwise(
    shop: TestShop, project: Project, tmp_path: Path, lay_out: Callable[[bytes], bytes], separator: str
) -> None:
    shop.join("mo")
    email = f"To: x@y.example\nSubject: unsubscribe {unsubscribe_token(shop, 'mo')}\n\nHi\n"
    export = tmp_path / "export"
    export.write_bytes(lay_out((separator + email).encode()))
    assert run(project, "unsubscribe", str(export), "--json") == {"done": 1, "refused": 0, "others": 0}
    assert is_unsubscribed(shop, "mo")


@pytest.mark.parametrize(
    "subject",
    [
        "unsubscribe%20{0}{1}",
        "unsubscribe+{0}{1}",
        "unsubscribe\u00a0{0}{1}",
        "=?UTF-8?Q?unsubscribe=C2=A0{0}{1}?=",
        "unsubscribe {0}{1}.",
        "unsubscribe {0}\n {1}",
        "unsubscribe {0}\r\n\t{1}.\r\n Thank you",
        "=?UTF-8?Q?unsubscribe_{0}?=\n =?UTF-8?Q?{1}?=",
        "Unsubscribe: unsubscribe {0}{1} please",
        "Please unsubscribe me\n unsubscribe\n {0}{1}",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.usefixtures("mailbox")
def test_mail_programs_write_the_token_in_their_ways(
    shop: TestShop, project: Project, tmp_path: Path, subject: str, encoding: str
) -> None:
    shop.join("mo")
    token = unsubscribe_token(shop, "mo")
    email = tmp_path / "one.eml"
    # An underscore is a space in an encoded word.
    plain = token.replace("_", "=5F") if subject.startswith("=?") else token
    written = subject.format(plain[:30], plain[30:])
    email.write_bytes(f"To: x@y.example\nSubject: {written}\n\nHi\n".encode(encoding))
    assert run(project, "unsubscribe", str(email), "--json") == {"done": 1, "refused": 0, "others": 0}
    assert is_unsubscribed(shop, "mo")


@pytest.mark.usefixtures("mailbox")
def test_an_email_about_a_moved_sku_ends_the_entry_where_it_waits(
    shop: TestShop, project: Project, tmp_path: Path
) -> None:
    shop.join("mo")
    entries = EntryRows(shop.dynamodb, shop.entries_name)
    Move(entries, SKU, "FJ-SLATE-M", Arrival.NEXT_RESTOCK, shop.clock()).carry_out(lambda _: None)
    email = tmp_path / "one.eml"
    email.write_text(f"Subject: unsubscribe {unsubscribe_token(shop, 'mo')}\n\n")
    assert run(project, "unsubscribe", str(email), "--json") == {"done": 1, "refused": 0, "others": 0}
    there = shop.entries.get(shop.shopper("mo"), "FJ-SLATE-M")
    assert there is not None
    assert there.state is EntryState.UNSUBSCRIBED
