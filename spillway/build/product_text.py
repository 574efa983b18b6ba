"""The texts of a product's file: how long each may be, and its description as markup."""

from spillway.build.markdown import to_html
from spillway.build.toml_table import TomlTable

TITLE_LENGTH_MAX = 120
SUMMARY_LENGTH_MAX = 160
DESCRIPTION_LENGTH_MAX = 20_000
ALT_LENGTH_MAX = 250
OPTION_LENGTH_MAX = 40
DETAIL_LENGTH_MAX = 300
DETAILS_MAX = 20


def description(table: TomlTable, *, root: str = "") -> str:
    """The field `description`, from Markdown; links to pages lead to those under `root`."""
    text = table.text("description", length_max=DESCRIPTION_LENGTH_MAX, lines=True)
    return to_html(
        text,
        heading_level_min=3,
        root=root,
        refuse=lambda line, value, expected: table.wrong("description", value, expected),
    )
