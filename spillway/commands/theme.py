"""Look at the default theme, and override files of it: `spillway theme`."""

import difflib

import click

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.theme_files import FOLDERS, ThemeFile, ThemeFiles
from spillway.terminal import pluralize


@click.group("theme")
def theme_command() -> None:
    """List, show, copy and compare the files of the theme.

    A file in site/ replaces the file of the default theme with the same name. Everything else comes from the
    default theme, and with an upgrade gets its improvements.
    """


@theme_command.command("list")
@click.pass_obj
def list_command(project: Project) -> None:
    """List every file of the theme, and mark those of the shop's own.

    "changed" replaces a file of the default theme, "same" is an unchanged copy of one, and "added" has no
    counterpart there.

    \b
    Example:
      spillway theme list
    """
    for file in _files(project).values():
        click.echo(f"{_mark(file):<9}{file.name}")


@theme_command.command("show")
@click.argument("name", metavar="FILE")
@click.pass_obj
def show_command(project: Project, name: str) -> None:
    """Print a file of the default theme.

    \b
    Example:
      spillway theme show templates/card.html
    """
    click.echo(_default_text(_named(project, name)), nl=False)


@theme_command.command("copy")
@click.argument("name", metavar="FILE")
@click.pass_obj
def copy_command(project: Project, name: str) -> None:
    """Copy a file of the default theme into the shop, to be edited there.

    \b
    Example:
      spillway theme copy templates/card.html
    """
    file = _named(project, name)
    text = _default_text(file)
    if file.own:
        raise BadInput(f"site/{file.name}: is there already", hint=f"spillway theme diff {file.name}")
    copy = project.site / file.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(text, encoding="utf-8")
    click.echo(f"site/{file.name}: a copy, yours to edit; delete it to have the default theme's again")


@theme_command.command("diff")
@click.argument("name", metavar="[FILE]", required=False)
@click.pass_obj
def diff_command(project: Project, name: str | None) -> None:
    """Compare the shop's own files with the default theme, after an upgrade for example.

    Without FILE, all that differ are compared.

    \b
    Example:
      spillway theme diff templates/card.html
    """
    files = [_named(project, name)] if name else list(_files(project).values())
    changed = [file for file in files if _mark(file) == "changed"]
    for file in changed:
        lines = difflib.unified_diff(
            _default_text(file).splitlines(keepends=True),
            file.read_text().splitlines(keepends=True),
            f"default/{file.name}",
            f"site/{file.name}",
        )
        click.echo("".join(lines), nl=False)
    click.echo(f"{pluralize(len(changed), 'file')} of the shop's own differ from the default theme", err=True)


def _files(project: Project) -> dict[str, ThemeFile]:
    theme = ThemeFiles.of(project)
    return {file.name: file for folder in FOLDERS for file in theme.under(folder).values()}


def _named(project: Project, name: str) -> ThemeFile:
    files = _files(project)
    wanted = name.removeprefix("site/")
    if wanted not in files:
        near = difflib.get_close_matches(wanted, files, n=1)
        hint = f"did you mean {near[0]}?" if near else "spillway theme list names every file"
        raise BadInput(f"{name}: not a file of the theme", hint=hint)
    return files[wanted]


def _mark(file: ThemeFile) -> str:
    if file.own is None:
        return ""
    if file.default is None:
        return "added"
    return "same" if file.own.read_bytes() == file.default.read_bytes() else "changed"


def _default_text(file: ThemeFile) -> str:
    if file.default is None:
        raise BadInput(f"site/{file.name}: the shop's own, the default theme has no such file")
    return file.default.read_text(encoding="utf-8")
