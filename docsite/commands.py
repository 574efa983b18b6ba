"""Make the reference of the command line from the commands and their help."""

import inspect
import re
from importlib import import_module

import click

from docsite.markdown import MADE, fenced, page, table
from spillway.__main__ import cli
from spillway.commands import COMMANDS, GROUPS

HEAD = """\
# Command line

`spillway --help` shows the commands in these groups, and `spillway COMMAND --help` shows what this page says.
Run a command inside the shop's folder, or name the folder: `spillway -C my-shop build`.

`--stage NAME` selects a deployed shop. Without it a command works on `local`, the demo on this machine.
`deploy`, `autopilot` and `destroy` require it, `package` packages for `production`, and `preflight` uses the
limits that AWS documents.
"""

TAIL = """\
## Exit status

| status | meaning |
|---|---|
| 0 | done |
| 1 | the work failed, or a check found something wrong |
| 2 | the input was wrong: the message names the place and the way out |
| 130 | ended by Ctrl-C |

A mistyped command, option or value is answered with the nearest one ("Did you mean 'available'?").

## Shell completion

Add one line to the startup file of your shell. It completes commands, options and values.

| shell | file | line |
|---|---|---|
| bash 4.4 or later | `~/.bashrc` | `eval "$(_SPILLWAY_COMPLETE=bash_source spillway)"` |
| zsh | `~/.zshrc` | `eval "$(_SPILLWAY_COMPLETE=zsh_source spillway)"` |
| fish | `~/.config/fish/completions/spillway.fish` | `_SPILLWAY_COMPLETE=fish_source spillway \\| source` |
"""
# Click's note behind the help of an option: [default: local].
NOTE = re.compile(r"  \[(.+)\]$")
# Click's own mark of a paragraph that keeps its lines.
AS_IT_STANDS = "\b"


def commands_page() -> str:
    """Return the page: the groups as tables, then each command with its options and examples."""
    parts = [MADE, HEAD]
    for title, entries in GROUPS.items():
        rows = [
            [f"[`spillway {name}`](#spillway-{name})", entry.summary.rstrip(".")]
            for name, entry in entries.items()
        ]
        parts += [f"**{title}**", table(["command", "purpose"], rows)]
    for name in COMMANDS:
        parts += _command(f"spillway {name}", command_named(name))
    return page(*parts, TAIL)


def command_named(name: str) -> click.Command:
    """Return a command by its name."""
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


def _command(title: str, command: click.Command, level: int = 2) -> list[str]:
    # A command keeps the names of its help option from its first context.
    context = click.Context(command, info_name=title, **cli.context_settings)
    parts = [f"{'#' * level} {title}"]
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    parts += [_paragraph(paragraph) for paragraph in paragraphs]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner:
                parts += _command(f"{title} {name}", inner, level + 1)
        return parts
    parts.append(fenced(" ".join([title, *command.collect_usage_pieces(context)]), "text"))
    records = (
        option.get_help_record(context) for option in command.params if isinstance(option, click.Option)
    )
    rows = [[f"`{record[0]}`", _escaped(NOTE.sub(r" (\1)", record[1]))] for record in records if record]
    if rows:
        parts.append(table(["option", "effect"], rows))
    return parts


def _paragraph(text: str) -> str:
    if text.startswith(AS_IT_STANDS):
        first, *lines = text.removeprefix(AS_IT_STANDS).strip("\n").splitlines()
        if lines:
            return f"{first}\n\n{fenced(inspect.cleandoc(chr(10).join(lines)), 'text')}"
    return _escaped(text.replace(AS_IT_STANDS, "").strip("\n"))


def _escaped(text: str) -> str:
    """Keep Markdown from reading marks in a help text that is not code."""
    pieces = text.split("`")
    pieces[::2] = [
        piece.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[") for piece in pieces[::2]
    ]
    return "`".join(pieces)
