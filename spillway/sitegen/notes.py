"""Find what a merchant would not expect of a shop's files: what nothing reads, empty categories, dead links.

A build lists these notes and goes on. It also lists the places that only the shop's owner can fill in, which
`spillway new` marks as `[FILL IN: ...]`: a new shop can be looked at. A publish to AWS refuses them: a
privacy page without a name is worse for a shop than a day's delay, and each place takes a minute.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from chalicelib.storage import HOME_KEY
from spillway.errors import BadInput
from spillway.project import IMPORT_RECORD, MARKER, Project
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.locales import root_of_locale
from spillway.sitegen.reading.product_sheet import SHEET_FILE
from spillway.sitegen.reading.redirects import REDIRECTS_FILE
from spillway.sitegen.reading.rules_file import RULES_FILE
from spillway.sitegen.reading.shop_file import SITE_FILE
from spillway.sitegen.theme_files import FOLDERS
from spillway.sitegen.theme_settings import FONTS
from spillway.sitegen.translations import text_files_of
from spillway.terminal import pluralize

_PRODUCT = (".toml", ".md")
# The file of each kind that is read from site/ itself, by the beginnings of names that are meant for it.
_TOML_FILES = {"site": SITE_FILE, "shop": SITE_FILE, "redirect": REDIRECTS_FILE, "rule": RULES_FILE}
_FOLDERS = (*FOLDERS, "products", "pages", "pictures", FONTS, "root")
_SHEETS = (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".numbers")
# Answered by the cloud, not by a file of the release.
_OF_THE_CLOUD = ("/api/", "/merchant/")
# In the HTML that `to_html` makes.
_OWN_LINK = re.compile(r'href="(/[^"]*)')
# Within one line, so that a build can name it.
_PLACE = re.compile(r"\[FILL IN\b[^\]]*\]?")


def places_to_fill_in(project: Project) -> Iterator[str]:
    """Yield a line for each place in the shop's own files that is marked as to be filled in."""
    pages = sorted((project.site / "pages").glob("*.md"))
    for file in (project.root / MARKER, *pages):
        if file.is_file():
            for number, line in enumerate(file.read_text("utf-8", "replace").split("\n"), 1):
                for found in _PLACE.finditer(line):
                    yield f"{file.relative_to(project.root).as_posix()}:{number}: {found[0]}"


def require_filled_in(project: Project) -> None:
    """Verify that no place is left to fill in.

    Raises:
        BadInput: there are some; the message lists them.
    """
    places = list(places_to_fill_in(project))
    if places:
        listed = "\n".join(f"  {place}" for place in places)
        raise BadInput(
            f"{pluralize(len(places), 'place')} to fill in, nothing was published\n{listed}",
            hint="write what belongs there, or delete the line",
        )


def ignored_files(project: Project) -> Iterator[str]:
    """Yield a line for each file that looks like one of the shop's and that nothing reads."""
    site = project.site
    for folder, suffixes in (("products", _PRODUCT), ("pages", (".md",))):
        for within, _, names in os.walk(site / folder):
            ignored = [name for name in names if within != str(site / folder) or not name.endswith(suffixes)]
            for file in sorted(Path(within, name) for name in ignored):
                if not _is_hidden(file, site) and file.name != IMPORT_RECORD:
                    yield f"{_name(file, project)}: ignored: {_expected_in(folder, file, suffixes)}"
    for file in sorted(site.iterdir()) if site.is_dir() else ():
        if file.is_dir() and file.name not in _FOLDERS and (meant := _meant_folder(file.name)):
            yield f"{_name(file, project)}: ignored: did you mean site/{meant}?"
        if file.is_file() and (expected := _expected_in_site(file.name)):
            yield f"{_name(file, project)}: ignored: {expected}"


def ignored_translations(project: Project, locales: Sequence[str]) -> Iterator[str]:
    """Yield a line for each translation into none of `locales`, those of the shop, the first one first."""
    site = project.site
    for page in sorted((site / "pages").glob("*.*.md")):
        locale = page.name.split(".")[1]
        if locale not in locales[1:] and not _is_hidden(page, site):
            reason = f"{locale} is not among the further locales of {SITE_FILE}"
            yield f"{_name(page, project)}: ignored: {reason}{did_you_mean(locale, locales[1:])}"
    texts = [name for locale in locales for name in text_files_of(locale)]
    for file in sorted((site / "locales").rglob("*.po")):
        if file.relative_to(site / "locales").as_posix() not in texts and not _is_hidden(file, site):
            yield f"{_name(file, project)}: ignored: the locales of {SITE_FILE} read {', '.join(texts)}"


def empty_categories(catalogue: Catalogue) -> Iterator[str]:
    """Yield a line for each category that no product is in."""
    used = {category for row in catalogue.rows for category in row.categories}
    for category in catalogue.storefront.categories:
        if category.slug not in used:
            yield f"{SITE_FILE}: category {category.slug} has no product, and its page is empty"


def dead_links(project: Project, catalogue: Catalogue, keys: Set[str]) -> Iterator[str]:
    """Yield a line for each link of a page or a description to a path of this shop that has nothing.

    Args:
        project: The shop.
        catalogue: Its pages and products.
        keys: The S3 keys of everything that the shop serves.
    """
    roots = [root_of_locale(storefront.shop.locale) for storefront in catalogue.storefronts[1:]]
    noted: set[str] = set()
    for file, links in _links_of(catalogue):
        for link in links:
            if not _leads_somewhere(link, keys):
                root = next((root for root in roots if link.startswith(f"{root}/")), "")
                line = _line_of(project, file, link.removeprefix(root))
                if line not in noted:
                    noted.add(line)
                    yield line


def _links_of(catalogue: Catalogue) -> Iterator[tuple[str, Iterable[str]]]:
    for page in catalogue.pages:
        first = catalogue.storefront.shop.locale
        end = "" if page.language == first else f".{page.language}"
        yield f"site/pages/{page.slug}{end}.md", map(unescape, _OWN_LINK.findall(page.body_html))
    for row in catalogue.rows:
        yield row.file, row.own_links


def _leads_somewhere(link: str, keys: Set[str]) -> bool:
    path = unquote(re.split("[?#]", link)[0])
    if f"{path}/".startswith(_OF_THE_CLOUD):
        return True
    key = path.strip("/")
    return (key or HOME_KEY) in keys or f"{key}/" in keys


def _line_of(project: Project, file: str, link: str) -> str:
    """Return the line about a dead link, with its place."""
    path, _, row = file.partition(":")
    text = (project.root / path).read_text("utf-8-sig", "replace")
    written = (f"]({link}", link)
    lines = text.split("\n")
    number = next((at for end in written for at, line in enumerate(lines, 1) if end in line), None)
    place = file if row else f"{path}:{number}" if number else path
    return f"{place}: the link {link} leads to no page of this shop"


def _expected_in(folder: str, file: Path, suffixes: tuple[str, ...]) -> str:
    if file.name.endswith(suffixes):
        return f"folders below site/{folder} are not read, move it up"
    if file.name.lower().endswith(_SHEETS):
        return f"a sheet of products is {SHEET_FILE}, in UTF-8"
    return f"names in site/{folder} end with {' or '.join(suffixes)}"


def _expected_in_site(name: str) -> str | None:
    """Return what a file in site/ is expected to be called; None if it is read, or may be anything."""
    stem, _, end = name.lower().partition(".")
    if f"site/{name}" in {SITE_FILE, REDIRECTS_FILE, RULES_FILE, SHEET_FILE}:
        return None
    if f".{end.rpartition('.')[2]}" in _SHEETS or end == "csv.txt":
        return f"a sheet of products is {SHEET_FILE}, in UTF-8"
    if end in {"toml", "toml.txt"}:
        meant = next((file for begins, file in _TOML_FILES.items() if stem.startswith(begins)), None)
        return f"did you mean {meant}?" if meant else "no file of that name is read"
    return None


def _meant_folder(name: str) -> str | None:
    """Return the folder that is read and that begins as `name` does; None where there is none."""
    return next((folder for folder in _FOLDERS if folder[:4] == name[:4].lower()), None)


def _is_hidden(file: Path, site: Path) -> bool:
    parts = file.relative_to(site).parts
    return file.name.endswith("~") or any(part.startswith((".", "~")) for part in parts)


def _name(file: Path, project: Project) -> str:
    return file.relative_to(project.root).as_posix()
