"""site/pages/*.md: a page of words, with its title and description between lines of +++.

The same in another locale stands beside it: about.md, about.de.md.
"""

from spillway.sitegen.catalogue import ContentPage
from spillway.sitegen.front_matter import FrontMatter
from spillway.sitegen.input_error import InputError
from spillway.sitegen.markdown import to_html

_TITLE_LENGTH_MAX = 120
_DESCRIPTION_LENGTH_MAX = 300


def read_page(
    text: str | None,
    *,
    slug: str,
    locale: str,
    language: str,
    root: str,
    file: str,
    mistakes: list[InputError],
) -> ContentPage | None:
    """The page that `locale`, whose pages lie under `root`, makes of a file's text in `language`; None when
    there is no reading it. Mistakes are added to `mistakes`."""
    if text is None:
        return None
    parted = FrontMatter.of(text, file=file, mistakes=mistakes)
    table = parted.table(file=file, mistakes=mistakes) if parted else None
    if parted is None or table is None:
        return None
    lines_before = parted.lines_before

    def refuse(line: int, value: str, expected: str) -> None:
        mistakes.append(InputError(file, lines_before + line, "text", value, expected))

    page = ContentPage(
        slug=slug,
        locale=locale,
        language=language,
        title=table.text("title", length_max=_TITLE_LENGTH_MAX),
        description=table.text("description", length_max=_DESCRIPTION_LENGTH_MAX),
        body_html=to_html(parted.body, heading_level_min=2, refuse=refuse, root=root),
    )
    table.done()
    return page
