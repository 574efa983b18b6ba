"""How commands end: the right exit status, a sentence and a way out, never a traceback."""

import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

import click
import click.shell_completion
import pytest
from click.testing import CliRunner
from rich.table import Table

from spillway.__main__ import Commands, cli, main
from spillway.commands import COMMANDS, GROUPS
from spillway.commands.options import on_stage, stage_option, write_whole
from spillway.errors import LEFT_BY, BadInput, Interrupted
from spillway.terminal import print_table
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
        (["deploy", "--stage", "prod", "--param", "A=1", "--param", "A=2"], "--param A=2: A is 1 already"),
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


def test_outside_a_shop_the_way_in_is_shown(spillway: Typist, tmp_path: Path) -> None:
    ended = spillway("build", cwd=tmp_path)
    assert ended.status == 2
    assert "site/site.toml" in ended.said
    assert "spillway -C DIR" in ended.said


@pytest.mark.parametrize("words", [("build", "--help"), ("emails", "preview", "-h"), ("--help",)])
def test_help_needs_no_shop(spillway: Typist, tmp_path: Path, words: Sequence[str]) -> None:
    assert spillway(*words, cwd=tmp_path) == Ended(0, "")


def test_a_command_runs_as_if_started_in_the_folder_that_is_named(spillway: Typist, tmp_path: Path) -> None:
    (tmp_path / "shop" / "site").mkdir(parents=True)
    (tmp_path / "shop" / "site" / "site.toml").touch()
    ended = spillway("-C", "shop", "build", cwd=tmp_path)
    assert ended.status == 2
    assert "site/site.toml: name = (missing)" in ended.said
    assert Path.cwd() == tmp_path, "the folder is that of one command"
    ended = spillway("-C", "nowhere", "build", cwd=tmp_path)
    assert (ended.status, "nowhere" in ended.said) == (2, True)


def test_an_aws_that_does_not_answer_is_reported_in_a_sentence(spillway: Typist) -> None:
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


@pytest.mark.parametrize(
    ("words", "shown"), [([], "\n"), (["--stage", "production"], " --stage production\n")]
)
def test_a_suggested_command_reaches_the_stage_of_the_running_one(words: list[str], shown: str) -> None:
    @click.command()
    @stage_option
    def suggesting(stage_name: str) -> None:
        click.echo(on_stage())

    assert CliRunner().invoke(suggesting, words).output == shown


def test_a_file_is_written_whole_and_a_device_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("target").write_text("before")
    Path("link").symlink_to("target")
    write_whole(Path("link"), "after", option="--report")
    assert (Path("target").read_text(), Path("link").is_symlink()) == ("after", True)
    write_whole(Path(os.devnull), "dropped", option="--report")
    assert not Path(os.devnull).is_file()
    Path("folder").mkdir()
    for refused in (".", "/", "folder", "no/where", "target/within", "x" * 300):
        with pytest.raises(BadInput, match=f"--report {refused}: "):
            write_whole(Path(refused), "lost", option="--report")
    assert {file.name for file in Path().iterdir()} == {"folder", "link", "target"}


def test_a_table_cuts_no_word(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("SKU", "product")
    table.add_row("S" * 200, "A coat")
    print_table(table)
    assert capsys.readouterr().out.count("S") == 201


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


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "\N{CHECK MARK}"), ("utf-8", "\N{CHECK MARK}"), ("cp1252", "\\u2713")]
)
def test_no_sign_of_an_output_ends_a_command(encoding: str, shown: str) -> None:
    script = (
        "from spillway.__main__ import cli, main; import click; from rich.console import Console\n"
        "@cli.command('shown')\n"
        "def shown(): click.echo('\\N{CHECK MARK}'); Console().print('\\N{CHECK MARK}')\n"
        "cli.get_command = lambda context, name: shown\n"
        "main()"
    )
    words = [sys.executable, "-c", script, "shown"]
    variables = {**os.environ, "PYTHONIOENCODING": encoding}
    ended = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout.decode().split()) == (0, [shown, shown])


def every_command() -> list[tuple[str, click.Command]]:
    """Each command with its words: ("waitlist import", the command)."""
    found: list[tuple[str, click.Command]] = []
    todo: list[tuple[str, click.Command]] = [("", cli)]
    while todo:
        words, command = todo.pop()
        if not isinstance(command, click.Group):
            found.append((words, command))
            continue
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            todo.append((f"{words} {name}".strip(), inner))
    return sorted(found)


COMMANDS_TO_TYPE = every_command()


def test_the_list_of_commands_has_the_first_sentence_of_each_help() -> None:
    for entries in GROUPS.values():
        for name, entry in entries.items():
            command = cli.get_command(click.Context(cli), name)
            assert command is not None
            assert (command.help or "").split("\n\n")[0] == entry.summary, name


@pytest.mark.parametrize(("words", "command"), COMMANDS_TO_TYPE, ids=[words for words, _ in COMMANDS_TO_TYPE])
def test_the_help_of_every_command_has_an_example_that_can_be_typed(
    words: str, command: click.Command
) -> None:
    _, _, examples = cleandoc(command.help or "").partition("\b\nExample")
    lines = [line.strip() for line in examples.split("\n\n")[0].splitlines()[1:]]
    assert lines
    for line in lines:
        typed = shlex.split(line.partition(" > ")[0].partition(" < ")[0])
        assert typed[: len(words.split()) + 1] == ["spillway", *words.split()]
        parser = command.make_parser(click.Context(command, **command.context_settings))
        parser.parse_args(typed[len(words.split()) + 1 :])


def test_every_option_has_a_help_text() -> None:
    assert COMMANDS_TO_TYPE
    assert not [
        (words, option.name)
        for words, command in COMMANDS_TO_TYPE
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        (["avalable", "A"], "Did you mean 'available'?"),
        (["waitlist", "imprt"], "Did you mean 'import'?"),
        (["build", "--base-ulr", "https://x.example"], "Did you mean '--base-url'?"),
        (["redrive", "wavs"], "Did you mean 'waves'?"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest_one(
    spillway: Typist, words: Sequence[str], suggested: str
) -> None:
    ended = spillway(*words)
    assert ended.status == 2
    assert suggested in ended.said


def test_the_help_shows_every_command_in_a_group_and_imports_none() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from spillway.__main__ import cli;"
        "print(CliRunner().invoke(cli, ['--help']).output);"
        "print({'boto3', 'botocore', 'jinja2', 'babel', 'rich', 'PIL'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.endswith("\nset()\n")
    for title, entries in GROUPS.items():
        section = ran.stdout.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        named = [line.split()[0] for line in section.splitlines() if not line.startswith("   ")]
        assert named == list(entries)


def test_a_shell_completes_the_names_of_commands() -> None:
    found = click.shell_completion.BashComplete(cli, {}, "spillway", "_SPILLWAY_COMPLETE").get_completions(
        [], "waitl"
    )
    assert [item.value for item in found] == ["waitlist"]


def test_a_demo_without_its_extra_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['httpx'] = None; from spillway.__main__ import main;"
        "sys.argv = ['spillway', 'demo', '--check']; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (
        2,
        "spillway: the local cloud is not installed\n  install it: pip install 'spillway[demo]'\n",
    )


def test_the_start_of_a_function_loads_no_class_of_products_no_template_and_few_modules() -> None:
    # Every function starts with the same import; what one of them needs besides comes with its first event.
    code = "import sys; before = {*sys.modules}; import app; print(*sys.modules.keys() - before)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    loaded = {*ran.stdout.split()}
    later = {"chalicelib.domain.product", "chalicelib.storefront.renderer", "jinja2", "boto3", "botocore"}
    assert later & loaded == set()
    packages = Counter(name.partition(".")[0] for name in loaded)
    installed = packages.keys() - sys.stdlib_module_names
    assert installed == {"app", "chalice", "chalicelib"}
    assert packages["chalicelib"] <= 36
    assert sum(packages[name] for name in installed) <= 40
