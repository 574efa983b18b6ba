"""How commands end: the right exit status, a sentence and a way out, never a traceback."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from spillway.__main__ import COMMANDS, Commands, main
from spillway.interrupt import LEFT_BY, Interrupted
from tests.support.aws import ROOT


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    said: str


class Typist:
    """Types commands as a person would, with nothing of their AWS account but what is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(ROOT)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *words: str, cwd: Path = ROOT, **variables: str) -> Ended:
        """Run one command in this very process; an error that nobody caught fails the test."""
        self._monkeypatch.setattr(sys, "argv", ["spillway", *words])
        self._monkeypatch.chdir(cwd)
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, self._capsys.readouterr().err)


@pytest.fixture
def spillway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typist:
    return Typist(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["no-such-command"], "no-such-command"),
        (["available"], "SKU"),
        (["available", "A", "--stock", "0"], "--stock"),
        (["available", "fj\u200bink"], "An SKU must not contain an invisible mark: U+200B ZERO WIDTH SPACE."),
        (["available", "A", "--stage", "../x"], "../x"),
        (["available", "A", "--stage", "prod"], "credentials"),
        (["publish", "--stage", "UPPER"], "UPPER"),
        (["package", "--stage", "../../x"], "../../x"),
        (["deploy", "--stage", "prod", "--param", "nonsense"], "nonsense"),
        (["build", "--base-url", "ftp://x"], "ftp://x"),
        (["demo", "--port", "80"], "--port"),
        (["messages", "de_AT"], "'de_AT': not a locale"),
        (["messages", "../x"], "'../x': not a locale"),
    ],
)
def test_wrong_words_end_with_2_and_are_named(spillway: Typist, words: Sequence[str], named: str) -> None:
    ended = spillway(*words)
    assert ended.status == 2
    assert named in ended.said


def test_outside_a_shop_the_way_in_is_told(spillway: Typist, tmp_path: Path) -> None:
    ended = spillway("build", cwd=tmp_path)
    assert ended.status == 2
    assert "site/site.toml" in ended.said


def test_an_aws_that_does_not_answer_is_told_in_a_sentence(spillway: Typist) -> None:
    ended = spillway(
        *("sold-out", "A", "--stage", "prod"),
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL="http://127.0.0.1:1",
        AWS_MAX_ATTEMPTS="1",
    )
    assert ended.status == 1
    assert ended.said.startswith("spillway: AWS:")


class Stopping(Commands):
    """Every command is stopped at once."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """One that hears Ctrl-C."""

        @click.command(cmd_name)
        def command() -> None:
            raise KeyboardInterrupt

        return command


@pytest.mark.parametrize("name", ["publish", "rollback", "waiting"])
def test_ctrl_c_ends_with_130_and_what_state_things_are_in(name: str) -> None:
    with pytest.raises(Interrupted) as stopped:
        Stopping("spillway").main([name])
    assert (stopped.value.exit_code, stopped.value.hint) == (130, LEFT_BY.get(name, ""))
    assert LEFT_BY.keys() < COMMANDS.keys()


def test_a_command_ends_its_process_as_it_should() -> None:
    """The one that is run for real."""
    words = [sys.executable, "-m", "spillway", "available", "fj\u200bink"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("spillway: SKU 'fj\\u200bink': not an SKU")
    assert "Traceback" not in ended.stderr
