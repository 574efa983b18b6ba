"""The texts of a product's file: how long each may be, and its description as markup."""

from spillway.sitegen.markdown import is_beyond_refusal, to_html
from spillway.sitegen.toml_table import TomlTable

# As Shopify's: what another shop could hold, this one can.
# https://shopify.dev/docs/api/admin-graphql/latest/input-objects/ProductInput
TITLE_LENGTH_MAX = 255
SUMMARY_LENGTH_MAX = 160
SEO_TITLE_LENGTH_MAX = 255
SEO_DESCRIPTION_LENGTH_MAX = 1_000
DESCRIPTION_LENGTH_MAX = 20_000
ALT_LENGTH_MAX = 512
OPTION_LENGTH_MAX = 255
TAG_LENGTH_MAX = 255
TAGS_MAX = 250
CATEGORIES_MAX = 250
CATEGORY_LENGTH_MAX = 255
BRAND_LENGTH_MAX = 255
# https://support.google.com/merchants/answer/6324482
MPN_LENGTH_MAX = 70
VARIANT_ID_LENGTH_MAX = 255
WEIGHT_G_MAX = 100_000_000
DETAIL_LENGTH_MAX = 300
DETAILS_MAX = 20


def description(table: TomlTable, *, root: str = "", judged_only: bool = False) -> str:
    """The field `description`, from Markdown; links to pages lead to those under `root`.

    With `judged_only`, the mistakes count and not the markup: it is empty where there can be none.
    """
    text = table.text("description", length_max=DESCRIPTION_LENGTH_MAX, lines=True)
    if judged_only and is_beyond_refusal(text):
        return ""
    return to_html(
        text,
        heading_level_min=3,
        root=root,
        refuse=lambda line, value, expected: table.wrong("description", value, expected),
    )
