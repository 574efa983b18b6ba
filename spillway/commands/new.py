"""Start a shop: `spillway new`."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.new_shop import (
    ShopChoices,
    checked_currency,
    checked_locale,
    checked_name,
    create_shop,
    currency_of,
)
from spillway.sitegen.notes import places_to_fill_in
from spillway.terminal import pluralize

_LANG = re.compile(r"([a-z]{2,3})_([A-Z]{2})\b")
_DEFAULT_LOCALE = "en"


@click.command("new")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", metavar="TEXT", help="The shop's name.")
@click.option("--language", metavar="LOCALE", help="Its language, perhaps with a country: en-GB, de.")
@click.option("--currency", metavar="CODE", help="The currency of its prices: GBP, EUR.")
@click.option(
    "--from",
    "source",
    nargs=2,
    metavar="FORMAT FILE",
    help="Import the products of an export instead of examples; FORMAT as in spillway import.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder with the export's pictures.",
)
@click.option("--git/--no-git", default=True, show_default=True, help="Make the folder a git repository.")
def new_command(
    folder: Path,
    name: str | None,
    language: str | None,
    currency: str | None,
    source: tuple[str, str] | None,
    images: Path | None,
    *,
    git: bool,
) -> None:
    """Start a shop in a new folder.

    DIR must not exist, or be empty. In a terminal, name, language and currency are asked for unless options
    give them; elsewhere, and for an empty answer, they have defaults. The shop has three example products, or
    those of an export, and builds at once. Places marked [FILL IN: ...] are for you to fill in.

    \b
    Examples:
      spillway new harbour-pottery
      spillway new harbour-pottery --name "Harbour Pottery" --language en-GB --currency GBP
      spillway new harbour-pottery --from shopify products_export.csv --images pictures

    Exit status: 0 when the shop was made; 2 when it could not be, and then nothing was written.
    """
    if images and not source:
        raise BadInput("--images: only with --from", hint="--from shopify products_export.csv --images DIR")
    locale_here = _locale_of(os.environ.get("LC_ALL") or os.environ.get("LANG"))
    name = _answer("Name of the shop", name, _name_of(folder), checked_name)
    language = _answer("Language", language, locale_here, checked_locale)
    check_currency = partial(checked_currency, locale=language)
    currency = _answer("Currency", currency, currency_of(language), check_currency)
    choices = ShopChoices(name, currency, language)
    create_shop(folder, choices, fill=partial(_import, source, images) if source else None, git=git)
    _show(folder, choices)


def _answer(question: str, given: str | None, default: str, check: Callable[[str], str]) -> str:
    """Return what was given, answered or is the default; an answer that is not valid is asked for again."""

    def check_answer(answer: str) -> str:
        try:
            return check(answer)
        except BadInput as error:
            # Both begin with the name of the option.
            message, example = (text.partition(" ")[2] for text in (error.message, error.hint))
            raise click.UsageError(f"{message}; for example {example}") from error

    if given is None and sys.stdin.isatty():
        return str(click.prompt(question, default=default, value_proc=check_answer))
    return check(default if given is None else given)


def _name_of(folder: Path) -> str:
    """Return the name that a folder's name suggests: "Harbour Pottery" for harbour-pottery."""
    words = re.split(r"[-_\s]+", folder.absolute().name)
    return " ".join(word[:1].upper() + word[1:] for word in words if word) or "My shop"


def _locale_of(lang: str | None) -> str:
    """Return the locale of an environment variable: "en-GB" for en_GB.UTF-8."""
    found = _LANG.match(lang or "")
    return f"{found[1]}-{found[2]}" if found else _DEFAULT_LOCALE


def _import(source: tuple[str, str], images: Path | None, project: Project) -> None:
    """Import the products of an export into a new shop, and print what was done."""
    # Imported here: a shop with examples needs none of the formats.
    from spillway.commands.catalogue import FORMATS, REPORT, SharedWork
    from spillway.importing.importer import ImportRequest, run_import
    from spillway.importing.reading import ReadOptions

    format_name, file = source
    if format_name not in FORMATS:
        raise BadInput(
            f"--from {format_name}: not a format", hint=f"--from {', '.join(FORMATS)}, and then the file"
        )
    today = datetime.now(UTC).date().isoformat()
    request = ImportRequest(
        file=Path(file).absolute(),
        read=FORMATS[format_name],
        read_options=ReadOptions(
            currency="", currency_as_is=False, encoding="", columns={}, old_shop="", today=today
        ),
        images=images.absolute() if images else None,
        no_images=False,
        fallback_category="Everything else",
        overwrite=False,
        dry_run=False,
        today=today,
    )
    report = run_import(project, request, share=SharedWork())
    project.output.mkdir(exist_ok=True)
    (project.output / REPORT).write_text(report.text(), encoding="utf-8")
    for line in report.screen(report_path=f"build/{REPORT}"):
        click.echo(line)


def _show(folder: Path, choices: ShopChoices) -> None:
    """Print the next commands to type."""
    places = sum(1 for _ in places_to_fill_in(Project(folder)))
    click.echo(f"{folder}: a shop is here. Next:\n")
    if missing := choices.language_without_starter:
        hint = f"spillway messages {choices.locale} writes the shop's own texts to a file for translators"
        click.echo(
            f"  Its pages and its README are in English: there are none in {missing} yet.\n  {hint}.\n"
        )
    is_elsewhere = folder.resolve() != Path.cwd()
    for command, purpose in (
        *([(f"cd {shlex.quote(str(folder))}", "")] if is_elsewhere else ()),
        ("spillway serve", "look at it, and edit site/ meanwhile"),
        ("spillway build", f"check it, and list the {pluralize(places, 'place')} to fill in"),
        ("spillway demo", "try it with its waitlist; needs spillway[demo]"),
    ):
        click.echo(f"  {command:<16}{'  # ' + purpose if purpose else ''}".rstrip())
