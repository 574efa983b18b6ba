"""A shop of two products in a folder of its own, with the default theme: small enough to build in a test."""

import atexit
import shutil
import tempfile
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from spillway.project import DEFAULT_THEME, Project

THEME = DEFAULT_THEME


SITE = """\
name = "Heron & Daughters"
tagline = "Clothes for weather"
base_url = "https://www.heron.example"
currency = "GBP"
locales = ["en-GB"]
sender = "Heron & Daughters <hello@heron.example>"
reply_to = "hello@heron.example"
checkout = "/checkout?sku={sku}"
postal_address = ["3 Quay Street", "Ambleford", "AF1 2QS"]

[[categories]]
slug = "outerwear"
title = "Outerwear"
description = "Against wind and rain."

[[categories]]
slug = "accessories"
title = "Accessories"
description = "The small things."

[home]
headline = "Made for bad weather"
lede = "Eight people, one workshop."
picture = "hero.webp"
picture_alt = "Coats on pegs"
featured = ["field-jacket", "scarf"]

[waitlist]
opt_in = "double"

[[navigation]]
title = "Privacy"
path = "/privacy"
"""

JACKET = """\
title = "Field Jacket"
category = "outerwear"
price = "148.00"
summary = "A waxed jacket with four pockets."
description = \"\"\"
Waxed cotton, **heavy**.

- four pockets
- price = "not a key"
\"\"\"
tags = ["waxed"]
released_on = 2026-09-01
details = [["Fabric", "Cotton"], ["Made in", "Ambleford"]]

[[pictures]]
file = "jacket.webp"
alt = "A green jacket laid flat"
options = { Colour = "Moss" }

[[variants]]
sku = "FJ-MOSS-S"
options = { Colour = "Moss", Size = "S" }
stock = 4

[[variants]]
sku = "FJ-MOSS-M"
options = { Colour = "Moss", Size = "M" }
stock = 0

[[variants]]
sku = "FJ-SLATE-M"
options = { Colour = "Slate", Size = "M" }
stock = 0
price = "158.00"
"""

SCARF = """\
title = "Wool Scarf"
category = "accessories"
price = "45.00"
summary = "A long scarf."
description = "Lambswool."

[[pictures]]
file = "scarf.webp"
alt = "A red scarf, folded"

[[variants]]
sku = "SCARF"
stock = 2
"""

PAGE = """\
+++
title = "{title}"
description = "About {title}."
+++

Some words, [a link](/privacy).
"""

PICTURES = {"hero.webp": (640, 360), "jacket.webp": (400, 500), "scarf.webp": (400, 500)}


def make_small_shop(folder: Path) -> Project:
    """The shop, written under `folder`."""
    site = folder / "site"
    for part in ("products", "pages", "pictures"):
        (site / part).mkdir(parents=True)
    (site / "site.toml").write_text(SITE)
    (site / "products" / "field-jacket.toml").write_text(JACKET)
    (site / "products" / "scarf.toml").write_text(SCARF)
    for slug in ("privacy", "checkout"):
        (site / "pages" / f"{slug}.md").write_text(PAGE.format(title=slug.title()))
    share_pictures(folder)
    for number, (name, size) in enumerate(PICTURES.items()):
        (site / "pictures" / name).write_bytes(_plain_picture(size, (90 + 40 * number, 110, 80)))
    return Project(folder)


def share_pictures(folder: Path) -> None:
    """Let the shop in `folder` share its processed pictures with others: they are kept by their content."""
    (folder / ".cache").mkdir()
    (folder / ".cache" / "pictures").symlink_to(_developed())


def own_file(shop: Project, name: str) -> Path:
    """Return a file of the shop's own theme, at first a copy of the default theme's."""
    file = shop.site / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shop.default_theme / name, file)
    return file


@cache
def _developed() -> str:
    folder = tempfile.mkdtemp(prefix="developed-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _plain_picture(size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
    written = BytesIO()
    Image.new("RGB", size, colour).save(written, "WEBP", method=0)
    return written.getvalue()
