"""`spillway messages`: the words of a language to be translated, in a file that translators' tools know."""

import re

import click

from spillway.errors import BadInput
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.sitegen.text_catalogue import updated
from spillway.sitegen.theming import theme_texts

# How a locale looks; whether there is such a language is known when its texts are read.
LOCALE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.ASCII | re.IGNORECASE)


@click.command("messages")
@click.argument("locale")
@click.pass_obj
def messages_command(project: Project, locale: str) -> None:
    """Write site/locales/LOCALE.po, or bring it up to date.

    It has every text that templates, emails and the API say to shoppers. What is translated already stays;
    what nothing says any more goes.
    """
    if not LOCALE.fullmatch(locale):
        raise BadInput(f"{locale!r}: not a locale", hint="name a language, as in site.toml: de, de-AT")
    file = project.site / "locales" / f"{locale}.po"
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    made = updated(before, locale=locale, templates=theme_texts(project))
    file.parent.mkdir(exist_ok=True)
    file.write_text(made.text, encoding="utf-8")
    texts = pluralize(made.count, "text")
    click.echo(f"{file.relative_to(project.root)}: {texts}, {made.missing:,} of them to translate")
