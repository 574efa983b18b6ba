"""The small shop with a German edition: some of it translated, some left to the first locale."""

from pathlib import Path

from spillway.project import Project
from tests.support.small_shop import make_small_shop

SITE = """
[de]
tagline = "Kleidung für Wetter"

[de.home]
headline = "Für schlechtes Wetter gemacht"

[de.categories.outerwear]
title = "Jacken"

[de.navigation]
"/privacy" = "Datenschutz"

[de.options]
Colour = "Farbe"
Moss = "Moos"
"""
JACKET = """
[de]
title = "Feldjacke"
summary = "Eine gewachste Jacke."
description = "Gewachst, siehe [Datenschutz](/privacy)."

[de.alt]
"jacket.webp" = "Eine grüne Jacke"

[de.options]
Slate = "Schiefer"
"""
PRIVACY = """\
+++
title = "Datenschutz"
description = "Was wir speichern."
+++

Nicht viel, [siehe Kasse](/checkout) und [Hilfe](mailto:help@heron.example).
"""


def make_german_shop(folder: Path) -> Project:
    """The shop, written under `folder`. Its scarf and its checkout have English alone."""
    shop = make_small_shop(folder)
    for name, added in (("site.toml", SITE), ("products/field-jacket.toml", JACKET)):
        file = shop.site / name
        file.write_text(file.read_text().replace('["en-GB"]', '["en-GB", "de"]') + added)
    (shop.site / "pages" / "privacy.de.md").write_text(PRIVACY)
    return shop
