"""What a product's file says in another locale, in a table of its name: [de]."""

from collections.abc import Sequence

from chalicelib.domain.product import Translation
from spillway.sitegen.catalogue import SourceImage
from spillway.sitegen.locales import root_of_locale
from spillway.sitegen.product_text import (
    ALT_LENGTH_MAX,
    DETAIL_LENGTH_MAX,
    DETAILS_MAX,
    OPTION_LENGTH_MAX,
    SEO_DESCRIPTION_LENGTH_MAX,
    SEO_TITLE_LENGTH_MAX,
    SUMMARY_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    description,
)
from spillway.sitegen.toml_table import TomlTable


def read_translation(told: TomlTable, locale: str, shots: Sequence[SourceImage]) -> Translation:
    """The translation of one table, for a product with the pictures `shots`; mistakes are noted."""
    alts = told.table("alt", optional=True)
    names = dict.fromkeys(shot.file.name for shot in shots)
    by_file = {name: alts.text(name, length_max=ALT_LENGTH_MAX, optional=True) for name in names}
    alts.done()
    translation = Translation(
        locale,
        title=told.text("title", length_max=TITLE_LENGTH_MAX, optional=True),
        summary=told.text("summary", length_max=SUMMARY_LENGTH_MAX, optional=True),
        description_html=description(told, root=root_of_locale(locale)) if told.has("description") else "",
        details=told.pairs("details", length_max=DETAIL_LENGTH_MAX, count_max=DETAILS_MAX),
        alts=tuple(by_file[shot.file.name] for shot in shots),
        words=told.options("options", length_max=OPTION_LENGTH_MAX),
        seo_title=told.text("seo_title", length_max=SEO_TITLE_LENGTH_MAX, optional=True),
        seo_description=told.text("seo_description", length_max=SEO_DESCRIPTION_LENGTH_MAX, optional=True),
    )
    told.done()
    return translation
