"""The slips of a newcomer: each is answered with its place and the way out, in exactly these words."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from spillway.__main__ import hint_for_path, main
from spillway.deploy.package import _run_chalice
from spillway.errors import BadInput, WorkFailed
from spillway.local_cloud import processes
from tests.support.small_shop import make_small_shop
from tests.support.stubbed_stage import Client, FakeStage, error, stage

SITE, SCARF = Path("site/site.toml"), Path("site/products/scarf.toml")
AGAIN = "  correct them and build again; what was built before is still there\n"
ONE_MISTAKE = "spillway: 1 mistake in the catalogue, nothing was built\n"
SCARF_RULE = """[[rules]]
name = "sell"
on = "schedule"
do = "availability"
with = { availability = "InStock", sku = "SCARFF" }
"""
Slip = Callable[[], object]


def change(file: Path, old: str, new: str) -> Slip:
    def carry_out() -> None:
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return carry_out


def write(name: str, text: str) -> Slip:
    def carry_out() -> None:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")

    return carry_out


def set_variables(**variables: str) -> Slip:
    return lambda: os.environ.update(variables)


def nothing() -> None:
    """The slip is in the command itself."""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small shop to run in, and no AWS account."""
    make_small_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION", "REGION", "PROFILE"):
        # Set before it is removed: what a slip sets is removed again.
        monkeypatch.setenv(f"AWS_{name}", "")
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def usage(command: str, error: str, *, words: str = "[OPTIONS]") -> str:
    typed = f"spillway {command}".strip()
    return f"Usage: {typed} {words}\nTry '{typed} --help' for help.\n\nError: {error}\n"


SLIPS: dict[str, tuple[str, Slip, str]] = {
    "a typo in a command": (
        "availble A",
        nothing,
        usage(
            "", "No such command 'availble'. Did you mean 'available'?", words="[OPTIONS] COMMAND [ARGS]..."
        ),
    ),
    "a typo in a command of a group": (
        "emails prevew",
        nothing,
        usage(
            "emails",
            "No such command 'prevew'. Did you mean 'preview'?",
            words="[OPTIONS] COMMAND [ARGS]...",
        ),
    ),
    "a typo in an option": (
        "build --base-ulr x",
        nothing,
        usage("build", "No such option '--base-ulr'. Did you mean '--base-url'?"),
    ),
    "a word for a number": (
        "preflight --visitors abc",
        nothing,
        usage(
            "preflight",
            "Invalid value for '--visitors': 'abc': expected a whole number from 1 to 50,000,000",
        ),
    ),
    "a number out of range": (
        "serve --port 80",
        nothing,
        usage("serve", "Invalid value for '--port': '80': expected a whole number from 1,024 to 65,535"),
    ),
    "a value without quotes": (
        "build",
        change(SITE, 'currency = "GBP"', "currency = GBP"),
        f"{ONE_MISTAKE}"
        '  site/site.toml:4: not TOML: expected a value: "text in straight quotes", 12, true, 2026-09-01'
        ' or ["a", "list"]\n'
        "    currency = GBP\n"
        "               ^\n"
        f"{AGAIN}",
    ),
    "a quote that is not closed": (
        "build",
        change(SCARF, 'price = "45.00"', 'price = "45.00'),
        f"{ONE_MISTAKE}"
        "  site/products/scarf.toml:3: not TOML: expected the closing quote in the same line; a text of"
        ' several lines has """ around it\n'
        '    price = "45.00\n'
        "                  ^\n"
        f"{AGAIN}",
    ),
    "a name twice": (
        "build",
        change(SCARF, 'price = "45.00"', 'price = "45.00"\nprice = "46.00"'),
        f"{ONE_MISTAKE}"
        "  site/products/scarf.toml:4: not TOML: expected each name once in its table\n"
        '    price = "46.00"\n'
        "                   ^\n"
        f"{AGAIN}",
    ),
    "a price with the sign of its currency": (
        "build",
        change(SCARF, '"45.00"', '"$45"'),
        f"{ONE_MISTAKE}"
        "  site/products/scarf.toml:3: price = '$45': expected a decimal number in quotes: \"45.00\"\n"
        f"{AGAIN}",
    ),
    "a price with a decimal comma": (
        "build",
        change(SCARF, '"45.00"', '"45,50 €"'),
        f"{ONE_MISTAKE}"
        "  site/products/scarf.toml:3: price = '45,50 €': expected a decimal number in quotes: \"45.50\"\n"
        f"{AGAIN}",
    ),
    "a page without front matter": (
        "build",
        write("site/pages/hello.md", "Hello\n"),
        f"{ONE_MISTAKE}"
        "  site/pages/hello.md:1: front matter = 'Hello': expected TOML between two lines of +++\n"
        f"{AGAIN}",
    ),
    "a product in two files": (
        "build",
        write("site/products/scarf.md", '+++\ntitle = "Scarf"\n+++\nWarm.\n'),
        "  site/products/scarf.toml: slug = 'scarf': expected one product in one place;"
        " it is in site/products/scarf.md already\n",
    ),
    "a file of translations that is broken": (
        "build",
        lambda: (
            change(SITE, 'locales = ["en-GB"]', 'locales = ["en-GB", "de"]')(),
            write("site/locales/de.po", 'msgid "x\nfoo')(),
        ),
        "  site/locales/de.po:2: text = 'foo': expected a gettext catalogue\n",
    ),
    "a rule about an SKU that the shop does not have": (
        "build",
        write("site/rules.toml", SCARF_RULE),
        "  site/rules.toml:5: rules[0].with.sku = 'SCARFF': expected the SKU of a variant;"
        " did you mean SCARF?\n",
    ),
    "the same rule, checked alone": (
        "rules check",
        write("site/rules.toml", SCARF_RULE),
        "spillway: 1 mistake in site/rules.toml\n"
        "  site/rules.toml:5: rules[0].with.sku = 'SCARFF': expected the SKU of a variant;"
        " did you mean SCARF?\n"
        "  correct them; docs/rules.md describes events, patterns and actions\n",
    ),
    "a file in place of the folder of output": (
        "build",
        write("build", ""),
        "spillway: build/site.unfinished: Not a directory\n"
        "  build is a file, and a folder needs this name: rename the file or move it away\n",
    ),
    "a file in place of the folder of packages": (
        "package",
        write("build", ""),
        "spillway: build/package: Not a directory\n"
        "  build is a file, and a folder needs this name: rename the file or move it away\n",
    ),
    "a file in place of the folder of state": (
        "demo --check",
        write(".spillway", ""),
        "spillway: .spillway: File exists\n"
        "  .spillway is a file, and a folder needs this name: rename the file or move it away\n",
    ),
    "no AWS credentials": (
        "status --stage production",
        nothing,
        "spillway: stage production: no AWS credentials\n"
        "  sign in with the AWS CLI (aws login, aws sso login or aws configure), or set AWS_PROFILE;"
        " --stage local needs none\n",
    ),
    "no AWS region": (
        "status --stage production",
        set_variables(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x"),
        "spillway: stage production: no AWS region\n  set AWS_REGION, or the region of the profile\n",
    ),
    "a profile that is not there": (
        "status --stage production",
        set_variables(AWS_PROFILE="nobody"),
        "spillway: stage production: The config profile (nobody) could not be found\n"
        "  set AWS_PROFILE to one that aws configure list-profiles names\n",
    ),
    "a name that no stage can have": (
        "status --stage Production",
        nothing,
        "spillway: --stage 'Production': not a name for a stage\n"
        "  use up to 31 lower-case letters, digits and hyphens, a letter first\n",
    ),
    "no demo": (
        "status",
        nothing,
        "spillway: the local cloud is not running\n  start it with spillway demo\n",
    ),
}


def ended(words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Return the exit status and the standard error of a command in the folder of now."""
    monkeypatch.setattr(sys, "argv", ["spillway", *words.split()])
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code, capsys.readouterr().err.replace(f"{Path.cwd()}/", "")


@pytest.mark.parametrize(("words", "slip", "said"), SLIPS.values(), ids=SLIPS.keys())
def test_a_slip_is_answered_with_its_place_and_the_way_out(
    words: str, slip: Slip, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slip()
    status, shown = ended(words, capsys, monkeypatch)
    assert status == 2
    # Where a slip has other mistakes in its train, its own line is among them.
    assert shown == said or (said.startswith("  site/") and said in shown), shown


@pytest.mark.parametrize(
    ("name", "readable", "hint"),
    [
        ("site", False, "give yourself the right to read it: chmod u+rx "),
        ("site/site.toml", False, "give yourself the right to read it: chmod u+r "),
        ("site", True, "give yourself the right to write there, or free the name or the space it needs"),
    ],
)
def test_a_file_without_the_right_to_read_it_is_answered_with_that_right(
    tmp_path: Path, name: str, readable: bool, hint: str
) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / name))

    said = hint_for_path(refused, lambda _, mode: readable or mode == os.F_OK)

    assert said == (hint if readable else f"{hint}{tmp_path / name}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_a_sentence_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert ended("deploy --print-policy", capsys, monkeypatch) == (
            2,
            "spillway: a file, or the output: No space left on device\n"
            "  free some space: df -h shows how much each disk has left\n",
        )
        monkeypatch.undo()


def test_outside_a_shop_the_way_in_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "site.toml").unlink()
    assert ended("build", capsys, monkeypatch) == (
        2,
        f"spillway: {tmp_path}: no site/site.toml here or in a folder above\n"
        "  run spillway in a shop's folder, or name it: spillway -C DIR COMMAND\n",
    )


@pytest.mark.parametrize(
    ("command", "purpose", "others"),
    [("serve", "the pages", "another one"), ("demo", "the shop", "3 others in a row")],
)
def test_a_port_that_is_taken_is_named_with_the_program_that_has_it(
    command: str,
    purpose: str,
    others: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with processes.claim_port(0, "a test") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        holder = processes.port_holder(port) or "another program"
        assert ended(f"{command} --port {port}", capsys, monkeypatch) == (
            2,
            f"spillway: port {port}, for {purpose}, is taken by {holder}\n"
            f"  stop it, or choose {others} with --port\n",
        )


@pytest.mark.parametrize(
    ("last", "message", "hint"),
    [
        (
            "chalice.deploy.packager.NoSuchPackageError: Could not satisfy the requirement: jinja2==3.1.6",
            "the package needs jinja2==3.1.6, and no package index in reach has it for Lambda",
            "connect to the network, or name your index: PIP_INDEX_URL=https://pypi.example/simple",
        ),
        (
            "OSError: [Errno 28] No space left on device",
            "OUT: the package cannot be written: No space left on device",
            "free some space, or make the folder writable",
        ),
    ],
)
def test_a_package_that_cannot_be_made_names_what_is_missing(
    tmp_path: Path, last: str, message: str, hint: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho Traceback\necho '{last}'\nexit 1\n")
    python.chmod(0o700)
    with pytest.raises(WorkFailed) as failed:
        _run_chalice(python, tmp_path, tmp_path / "out", tmp_path / "merge.json", "production", "us-east-1")
    said = failed.value.message.replace(str(tmp_path / "out"), "OUT")
    assert (said, failed.value.hint) == (message, hint)


class Deployed(FakeStage):
    """A stage that asks CloudFormation for its stack."""

    def outputs(self) -> dict[str, str]:
        return super(FakeStage, self).outputs()


@pytest.mark.parametrize(
    ("listed", "hint"),
    [
        (["spillway-production", "other-prod"], "did you mean --stage production? Else deploy it with"),
        (["spillway-staging"], "deploy it with"),
        (error("AccessDenied"), "deploy it with"),
    ],
)
def test_a_stage_of_another_name_is_suggested_if_the_region_has_one(
    listed: list[str] | ClientError, hint: str
) -> None:
    def describe_stacks(**asked: str) -> object:
        if asked:
            raise error("ValidationError", "Stack does not exist")
        if isinstance(listed, ClientError):
            raise listed
        return {"Stacks": [{"StackName": name} for name in listed]}

    clients = {"cloudformation": Client(describe_stacks=describe_stacks)}
    known = stage("prod", **clients)
    with pytest.raises(BadInput, match=r"^stage prod: nothing is deployed in us-east-1$") as refused:
        Deployed(known.name, known.region, known.session, clients=clients).outputs()
    assert refused.value.hint == (
        f"{hint} spillway deploy --stage prod;"
        " if it is deployed in another region, set AWS_REGION to that one"
    )
