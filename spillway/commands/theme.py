"""Look at the default theme, and override files of it: `spillway theme`."""

import click

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.theme_files import FOLDERS, ThemeFile, ThemeFiles
from spillway.sitegen.theme_upgrades import Originals, verdict_of
from spillway.terminal import pluralize


@click.group("theme")
def theme_command() -> None:
    """List, show, copy, compare and merge the files of the theme.

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
    _default_text(file)
    if file.own:
        raise BadInput(f"site/{file.name}: is there already", hint=f"spillway theme diff {file.name}")
    Originals(project.site).copy(file)
    click.echo(f"site/{file.name}: a copy, yours to edit; delete it to have the default theme's again")


@theme_command.command("diff")
@click.argument("name", metavar="[FILE]", required=False)
@click.pass_obj
def diff_command(project: Project, name: str | None) -> None:
    """Show what the shop changed in copied files, and what the default theme changed since.

    Without FILE, every file of the shop's own that has a counterpart is compared. After an upgrade, the last
    lines say which files have no conflict, and which lines need a look. `spillway theme copy` keeps what it
    copies in site/theme-originals; a file without its original there is compared with the default theme.

    \b
    Example:
      spillway theme diff templates/card.html
    """
    files = [_named(project, name)] if name else list(_files(project).values())
    originals = Originals(project.site)
    compared = [
        copied for file in files if (copied := originals.compare(file)) and copied.own != copied.default
    ]
    click.echo("".join(copied.diffs() for copied in compared), nl=False)
    for copied in compared:
        click.echo(verdict_of(copied), err=True)
    differ = "differs" if len(compared) == 1 else "differ"
    files_of_own = f"{pluralize(len(compared), 'file')} of the shop's own"
    click.echo(f"{files_of_own} {differ} from the default theme", err=True)


@theme_command.command("merge")
@click.argument("name", metavar="FILE")
@click.option("--done", is_flag=True, help="Leave the file as it is: you have looked at the changes.")
@click.pass_obj
def merge_command(project: Project, name: str, *, done: bool) -> None:
    """Add the default theme's changes to a copied file, after an upgrade.

    A place that both changed is yours to merge: edit the file, and then use --done, so that the next diff
    begins at today's default theme.

    \b
    Examples:
      spillway theme merge templates/card.html
      spillway theme merge templates/product.html --done

    Exit status: 0 when the changes are in the file, or there are none; 2 when both changed the same place,
    and then nothing was written.
    """
    file = _named(project, name)
    originals = Originals(project.site)
    copied = originals.compare(file)
    if copied is None or copied.default is None:
        raise BadInput(f"{file.name}: not in both the shop and the default theme, nothing to merge")
    if done:
        originals.keep(copied.name, copied.default)
        click.echo(f"site/{copied.name}: left as it is; the next diff begins at today's default theme")
        return
    if copied.original is None:
        raise BadInput(
            f"site/{copied.name}: what was copied is not known",
            hint=f"compare them: spillway theme diff {copied.name}; once it is as you want it, use --done",
        )
    if copied.conflicts():
        raise BadInput(verdict_of(copied), hint="edit these lines, then use --done")
    if copied.default_changed:
        originals.merge(copied)
    click.echo(f"site/{copied.name}: has the changes of today's default theme")


def _files(project: Project) -> dict[str, ThemeFile]:
    theme = ThemeFiles.of(project)
    return {file.name: file for folder in FOLDERS for file in theme.under(folder).values()}


def _named(project: Project, name: str) -> ThemeFile:
    files = _files(project)
    wanted = name.removeprefix("site/")
    if wanted not in files:
        hint = did_you_mean(wanted, files).removeprefix("; ") or "spillway theme list names every file"
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
