"""Make the pages that a change inside a few product files is shown on, and read nothing else.

`keep_for_small_changes` stores what a build knows: each product with what lists it, and the theme.
`make_small_change` then needs the changed files, the products on the pages that show them, and their
listings. Only where a file changes nothing that other pages depend on (title, price, tags, category, pictures
and the like) is that all of a change; anything else is left to a whole build, and so is every mistake.
"""

import hashlib
import json
import marshal
import os
import pickle
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Edition, Theme
from spillway.project import Project
from spillway.sitegen.cache import Report
from spillway.sitegen.last_build import LastBuild, Written, signature_text
from spillway.sitegen.pages import EditionPages, StockedProducts, newest_dated
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.toml_input import InputError, text_of_file
from spillway.sitegen.release import PageJob, Release, release_name
from spillway.sitegen.theming import load_templates

# More files are worth every core, which a whole build uses.
_FILES_MAX = 20
_PRODUCT_FILE = re.compile(r"site/products/[^/]+\.(toml|md)")
# The format of `marshal` in which equal values have equal bytes.
_MARSHAL = 2


class _Frame(NamedTuple):
    """The whole shop as a build knew it.

    `theme` has only the first page of each listing. `newest` are the products of the feed, `first` is
    the one that emails are tried with.
    """

    theme: Theme
    frame_digest: str
    newest: tuple[Slug, ...]
    first: Slug


class _Known(NamedTuple):
    """A product as the last build knew it; `digest` changes with its pictures, too."""

    row: ProductRow
    digest: str
    related: tuple[Slug, ...]
    shown_by: tuple[Slug, ...]
    listings: tuple[int, ...]

    @classmethod
    def of(cls, stored: tuple[Any, ...]) -> "_Known":
        """Return the product of a row of the table `products`."""
        _, _, row, packed, digest, related, shown_by, listings = stored
        return cls(
            ProductRow._make((*marshal.loads(row), packed)),  # noqa: S302 - see `LastBuild.get`
            digest,
            *(marshal.loads(part) for part in (related, shown_by, listings)),  # noqa: S302
        )

    def stored(self) -> tuple[Any, ...]:
        """Return the row of the table `products`."""
        row = self.row
        parts = (self.related, self.shown_by, self.listings)
        return (
            *(row.slug, row.file, marshal.dumps(tuple(row[:-1]), _MARSHAL), row.packed, self.digest),
            *(marshal.dumps(tuple(part), _MARSHAL) for part in parts),
        )


def keep_for_small_changes(release: Release, last: LastBuild) -> None:
    """Store what `make_small_change` needs of a release that was just built without stock or tokens."""
    source, products = release.source, release.products
    theme, listings = source.theme, source.theme.editions[0].listings
    paths = [listing.path for listing in listings]
    if any([listing.path for listing in edition.listings] != paths for edition in theme.editions):
        last.set("frame", None)
        return
    listed: dict[Slug, list[int]] = defaultdict(list)
    for number, listing in enumerate(listings):
        for slug in listing.slugs:
            listed[slug].append(number)
    shown_by: dict[Slug, list[Slug]] = defaultdict(list)
    for slug in products.slugs:
        for other in products.related(slug):
            shown_by[other].append(slug)
    rows = {}
    for row in products.rows:
        slug = row.slug
        rows[slug] = _Known(
            row,
            products.digest(slug),
            products.related(slug),
            tuple(shown_by[slug]),
            tuple(listed[slug]),
        ).stored()
    last.replace("products", "slug", rows)
    pages = zip(*(edition.listings for edition in theme.editions), strict=True)
    last.replace(
        "listings", "number", {number: (number, _pickled(page)) for number, page in enumerate(pages)}
    )
    pictures = products.image_variants.items()
    last.replace("pictures", "name", {name: (name, _pickled(tuple(made))) for name, made in pictures})
    newest = tuple(row.slug for row in newest_dated(products.rows))
    frame = _Frame(_with_first_pages(theme), source.frame_digest or "", newest, products.slugs[0])
    last.set("frame", tuple(frame))
    last.set("release", release.id)


def make_small_change(
    project: Project, folder: Path, last: LastBuild, changed: Sequence[str], report: Report
) -> Report | None:
    """Make the files of `folder` that show a change; None, with nothing written, for a whole build to do it.

    Args:
        project: The shop.
        folder: The output directory, which is as the last build left it.
        last: What that build knew.
        changed: The files that changed since, as `Comparison.changed_inputs` names them.
        report: The report of that build.

    Returns:
        The report of the shop as it is now.
    """
    kept = last.get("frame")
    if kept is None or report.left_out or len(changed) > _FILES_MAX:
        return None
    if not all(_PRODUCT_FILE.fullmatch(file) for file in changed):
        return None
    frame = _Frame(*kept)
    edited = _edited(project, last, changed, frame)
    if edited is None:
        return None
    try:
        made = _made(project, last, edited, frame)
    except Exception:  # noqa: BLE001 - a template that cannot render it: a whole build says where
        return None
    if made is None:
        return None
    written = _write(folder, made)
    last.put("files", ((path, *record) for path, record in written.items()))
    last.put("products", (known.stored() for known in edited.values()))
    name = release_name(frame.frame_digest, last.query("SELECT slug, digest FROM products ORDER BY slug"))
    summary = report.summary.replace(last.get("release"), name, 1)
    last.set("release", name)
    return report._replace(summary=summary)


def _edited(
    project: Project, last: LastBuild, changed: Sequence[str], frame: _Frame
) -> dict[Slug, _Known] | None:
    """Return the products of the changed files; None when a page that does not show them can change."""
    first, *others = frame.theme.editions
    reader = ProductFile(
        pictures=project.site / "pictures",
        fraction_digits=first.money.fraction_digits,
        locales=tuple(edition.shop.locale for edition in others),
    )
    edited = {}
    for file in changed:
        mistakes: list[InputError] = []
        slug = Slug(Path(file).stem)
        text = text_of_file(project.root, file, mistakes)
        row = reader.read(text, slug=slug, file=file, mistakes=mistakes) if text is not None else None
        before = [_Known.of(stored) for stored in last.query("SELECT * FROM products WHERE file = ?", file)]
        if row is None or mistakes or len(before) != 1:
            return None
        (known,) = before
        if known.row.digest != row.digest and (slug == frame.first or not _alike(known.row, row, first)):
            return None
        pictures = _image_variants(last, [row])
        digest = Products([row], Path(), pictures, related={}).digest(slug)
        edited[slug] = known._replace(row=row, digest=digest)
    return edited


def _alike(before: ProductRow, now: ProductRow, edition: Edition) -> bool:
    """Return whether both are the same to every page that does not show the product itself."""
    # The last two fields, digest and packed content, change with any word; the report has lines of launches.
    if before[:-2] != now[:-2] or now.launches:
        return False
    # The pictures of a product can stand for its category.
    if now.image_names and _pictures_of(before) != _pictures_of(now):
        return False
    # Fonts are cut to the characters that the shop uses.
    texts = (before.packed, now.packed)
    ascii_alone = all(text.isascii() for text in texts)
    return not edition.settings.fonts or ascii_alone or len({frozenset(text.decode()) for text in texts}) == 1


def _pictures_of(row: ProductRow) -> object:
    """Return what a product states of its pictures, translations included."""
    _, _, images, _, translations, *_ = json.loads(row.packed)
    return images, [(of["locale"], of.get("alts"), of.get("words")) for of in translations]


def _made(
    project: Project, last: LastBuild, edited: Mapping[Slug, _Known], frame: _Frame
) -> dict[str, tuple[PageJob, bytes, Written]] | None:
    """Return the files that show the edited products and have to change: job, content, and old record."""
    shown = {*edited, *(slug for known in edited.values() for slug in known.shown_by)}
    numbers = {number for known in edited.values() for number in known.listings}
    in_listings = last.query_each("SELECT pages FROM listings WHERE number IN (...)", sorted(numbers))
    listings = [pickle.loads(pages) for (pages,) in in_listings]  # noqa: S301 - see `LastBuild.get`
    newest = frame.newest if edited.keys() & set(frame.newest) else ()
    known = _products(last, shown) | dict(edited)
    further = {
        *(other for slug in shown for other in known[slug].related),
        *(slug for pages in listings for page in pages for slug in page.slugs),
        *newest,
    }
    known |= _products(last, further - known.keys())
    rows = [known[slug].row for slug in sorted(known)]
    products = Products(
        rows,
        project.site / "pictures",
        _image_variants(last, rows),
        related={slug: of.related for slug, of in known.items() if of.related},
    )
    load_templates(project)
    stocked = StockedProducts(products, {})
    jobs: list[PageJob] = []
    for number, renderer in enumerate(Renderer(frame.theme).editions):
        pages = EditionPages(renderer, stocked, (), None)
        jobs += pages.product_pages(known[slug].row for slug in sorted(shown))
        jobs += (pages.listing_page(of_editions[number]) for of_editions in listings)
        jobs += [pages.feed(newest)] if newest else []
    found = last.query_each("SELECT * FROM files WHERE path IN (...)", (job.file for job in jobs))
    records = {path: Written(*record) for path, *record in found}
    if any(job.file not in records for job in jobs):
        return None
    return {
        job.file: (job, job.make(), records[job.file])
        for job in jobs
        if job.digest != records[job.file].job_digest
    }


def _products(last: LastBuild, slugs: Iterable[Slug]) -> dict[Slug, _Known]:
    stored = last.query_each("SELECT * FROM products WHERE slug IN (...)", slugs)
    return {Slug(row[0]): _Known.of(row) for row in stored}


def _image_variants(last: LastBuild, rows: Sequence[ProductRow]) -> dict[str, Any]:
    names = (name for row in rows for name in row.image_names)
    found = last.query_each("SELECT name, variants FROM pictures WHERE name IN (...)", names)
    return {name: pickle.loads(variants) for name, variants in found}  # noqa: S301 - see `LastBuild.get`


def _write(folder: Path, made: Mapping[str, tuple[PageJob, bytes, Written]]) -> dict[str, Written]:
    """Write the files whose bytes change, each at once under its name, and return the records of all."""
    beside = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    unfinished = beside / "file"
    records = {}
    for path, (job, body, before) in made.items():
        sha256 = hashlib.sha256(body).hexdigest()
        if sha256 != before.sha256:
            unfinished.write_bytes(body)
            os.replace(unfinished, folder / path)  # noqa: PTH105 - as in `OutputDir`
        records[path] = Written(job.digest, sha256, signature_text(str(folder / path)))
    shutil.rmtree(beside)
    return records


def _with_first_pages(theme: Theme) -> Theme:
    """Return the theme with the first page of each listing, which links, menus and covers are made of."""
    editions = [
        replace(edition, listings=tuple(listing for listing in edition.listings if listing.number == 1))
        for edition in theme.editions
    ]
    return replace(theme, editions=tuple(editions))


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
