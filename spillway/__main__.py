"""The `spillway` command."""

import errno
import os
import sys
from codecs import lookup
from collections.abc import Callable
from contextlib import chdir
from importlib import import_module
from io import TextIOWrapper
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

import click
from click.exceptions import NoSuchCommand

from spillway.commands import COMMANDS, GROUPS
from spillway.errors import BadInput, Interrupted, SpillwayError
from spillway.project import Project

# Libraries of the extra `demo`, by the names they are imported by.
LIBRARIES_OF_DEMO = frozenset({"httpx", "ministack", "samtranslator"})
# Commands that run outside a shop's folder.
WITHOUT_SHOP = frozenset({"new"})
# The errors of a folder or a disk that a person has to change.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
NOT_WRITABLE = FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_HELP = "spillway.help"


class Commands(click.Group):
    """The commands by name; each is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, group by group."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with a name; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command, and note whether help is asked for behind it."""
        words = takewhile(lambda word: word != "--", args)
        ctx.meta[_HELP] = any(word in ctx.help_option_names for word in words)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names.

        Raises:
            NoSuchCommand: There is none; its message suggests similar names.
        """
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as unknown:
            # Click suggests from `self.commands`, which is empty here: ours are imported when used.
            raise NoSuchCommand(unknown.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help text, in groups."""
        width = max(map(len, COMMANDS))
        for title, entries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in entries.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command.

        Raises:
            Interrupted: Ctrl-C was pressed.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted(ctx.invoked_subcommand or "") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="spillway", message="%(version)s")
@click.option(
    "-C",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run as if started in DIR.",
)
@click.pass_context
def cli(context: click.Context, folder: Path | None) -> None:
    """Run a static storefront with a waitlist that survives a flood of visitors.

    `spillway COMMAND --help` shows the options of a command and an example.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise BadInput("the current folder is not there any more", hint="cd into one that is") from None
    if folder:
        context.with_resource(chdir(folder))
    if context.obj is None and not context.meta[_HELP] and context.invoked_subcommand not in WITHOUT_SHOP:
        context.obj = Project.find(Path.cwd())


def main() -> None:
    """Run one command. Exit status: 0 done, 1 the work failed, 2 the input was wrong, 130 Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # As Click does, write UTF-8 where the locale says ASCII, from rich, too. A sign that another
            # encoding lacks is shown as \uXXXX, and ends no command.
            encoding = "utf-8" if lookup(stream.encoding).name == "ascii" else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        cli(standalone_mode=True)
    except SpillwayError as error:
        _end(error)
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES_OF_DEMO:
            raise
        _end(BadInput("the local cloud is not installed", hint="install it: pip install 'spillway[demo]'"))
    except OSError as error:
        # A write to an open file, or to the standard output, names none.
        if error.errno not in (NOT_WRITABLE if error.filename else FULL):
            raise
        where = os.fspath(error.filename) if error.filename else "a file, or the output"
        _end(BadInput(f"{where}: {os.strerror(error.errno)}", hint=hint_for_path(error, os.access)))
    except Exception as error:
        # AWS refused, or could not be reached: a sentence says so better than a traceback.
        if not type(error).__module__.startswith("botocore"):
            raise
        from spillway.stage import explained

        _end(explained(error))


def hint_for_path(error: OSError, can: Callable[[str, int], bool]) -> str:
    """Return what a person has to change about the file or folder of an error; `can` is `os.access`."""
    if error.errno in FULL:
        return "free some space: df -h shows how much each disk has left"
    path = os.fsdecode(error.filename)
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        in_the_way = next((name for name in (Path(path), *Path(path).parents) if name.is_file()), None)
        if in_the_way:
            return f"{in_the_way} is a file, and a folder needs this name: rename the file or move it away"
    if error.errno in {errno.EACCES, errno.EPERM} and can(path, os.F_OK):
        needed, letters = (os.R_OK | os.X_OK, "rx") if Path(path).is_dir() else (os.R_OK, "r")
        if not can(path, needed):
            return f"give yourself the right to read it: chmod u+{letters} {path}"
    return "give yourself the right to write there, or free the name or the space it needs"


def _end(error: SpillwayError) -> NoReturn:
    click.echo(f"spillway: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
