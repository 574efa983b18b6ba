"""`spillway texts`: the words of a language to be translated, in a file that translators' tools know."""

import re

import click

from spillway.build.text_catalogue import updated
from spillway.build.theming import theme_texts
from spillway.counted import counted
from spillway.errors import BadInput
from spillway.project import Project

# How a locale looks; whether there is such a language is known when its texts are read.
LOCALE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.ASCII | re.IGNORECASE)


@click.command("texts")
@click.argument("locale")
@click.pass_obj
def texts_command(project: Project, locale: str) -> None:
    """Write site/locales/LOCALE.po, or bring it up to date.

    It has every text that templates, letters and the API say to shoppers. What is translated already stays;
    what nothing says any more goes.
    """
    if not LOCALE.fullmatch(locale):
        raise BadInput(f"{locale!r}: not a locale", way_out="name a language, as in site.toml: de, de-AT")
    file = project.site / "locales" / f"{locale}.po"
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    made = updated(before, locale=locale, templates=theme_texts(project))
    file.parent.mkdir(exist_ok=True)
    file.write_text(made.text, encoding="utf-8")
    texts = counted(made.count, "text")
    click.echo(f"{file.relative_to(project.root)}: {texts}, {made.missing:,} of them to translate")
