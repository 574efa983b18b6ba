"""Load the catalogue from a shop's folder: a value without an error, or every error at once."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import TypeVar

from chalicelib.domain.address import list_name
from chalicelib.domain.ids import Sku, Slug
from chalicelib.storefront.localization import Texts
from spillway.project import Project
from spillway.sitegen.cache import BuildCache, code_digest
from spillway.sitegen.feeds import read_root_files
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.products import MerchantPictures
from spillway.sitegen.reading.catalogue import Catalogue, ContentPage, ProductRow, Storefront, launches_of
from spillway.sitegen.reading.checkout_mistakes import checkout_mistakes
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.locales import direction_of_locale, root_of_locale
from spillway.sitegen.reading.markdown import read_page
from spillway.sitegen.reading.product_file import ProductFile, read_product_files
from spillway.sitegen.reading.product_sheet import SHEET_FILE, column, read_sheet, variant_line
from spillway.sitegen.reading.redirects import read_redirects
from spillway.sitegen.reading.rule_fields import ShopNames
from spillway.sitegen.reading.rules_file import read_rules
from spillway.sitegen.reading.shop_file import SITE_FILE, read_storefronts
from spillway.sitegen.reading.shop_settings import read_domains
from spillway.sitegen.reading.slugs import slug_problem
from spillway.sitegen.reading.text_file import FILE_SIZE_BYTES_MAX, text_of_file, unreadable
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError
from spillway.sitegen.reading.toml_text import KeyLines
from spillway.sitegen.theme_settings import findings
from spillway.sitegen.translations import default_file_of, read_texts, text_files_of, texts_over

# The translation of a page, about.de.md, is read with the page that it is of.
_PAGE_TRANSLATION = re.compile(r"[^.]+\.[A-Za-z0-9-]+\.md")
_SHEET_SIZE_BYTES_MAX = 20_000_000
# Files beside another one: the lock of an editor (Emacs), and what macOS keeps about it on other disks.
_NOT_THE_MERCHANTS = (".#", "._")

T = TypeVar("T")
# Returns the text of a file, None when it cannot be read.
ReadText = Callable[[str], str | None]
# (file, field, value, expected) of an error whose line is not known yet.
Finding = tuple[str, str, str | None, str]


def catalogue_cache(project: Project) -> BuildCache:
    """Return the cache of what earlier builds read of this shop."""
    return BuildCache(project.cache / "catalogue.pickle", context=code_digest())


def load_catalogue(
    project: Project,
    *,
    cache: BuildCache | None = None,
    pool: WorkerPool | None = None,
    left_out: list[InputError] | None = None,
) -> Catalogue:
    """Load the shop under `project.site`.

    Args:
        project: the shop's folders.
        cache: the results of earlier builds; a file that did not change since is not read again.
        pool: the workers that read product files.
        left_out: a list that takes the errors about pictures that cannot be shown. Without it, they are
            errors of the catalogue.

    Raises:
        CatalogueInvalid: the files have errors; it carries all of them.
    """
    loader = _Loader(project, cache or catalogue_cache(project), pool or WorkerPool())
    return loader.catalogue(left_out)


class _Loader:
    def __init__(self, project: Project, cache: BuildCache, pool: WorkerPool) -> None:
        self._project = project
        self._root = project.root
        self._site = project.site
        self._cache = cache
        self._pool = pool
        self._mistakes: list[InputError] = []

    def catalogue(self, left_out: list[InputError] | None) -> Catalogue:
        page_files = self._page_files()
        self._check_slugs(page_files)
        page_slugs = frozenset(slug for slug, _ in page_files)
        storefronts = self._storefronts(page_slugs)
        storefront = storefronts[0] if storefronts else None
        locales = tuple(storefront.shop.locale for storefront in storefronts)
        rows, product_slugs = self._products(storefront, locales[1:])
        pages = tuple(self._pages(page_files, locales))
        pictures = MerchantPictures(self._site / "pictures", self._project.cache, self._cache)
        self._mistakes += catalogue_mistakes(storefront, rows, product_slugs, page_slugs, self._text)
        broken = picture_mistakes(storefront, rows, pictures.problem, self._text)
        (self._mistakes if left_out is None else left_out).extend(broken)
        redirects = read_redirects(self._project, self._mistakes)
        rules = read_rules(self._project, self._mistakes, ShopNames.of(rows, product_slugs))
        if storefront:
            for finding in findings(storefront.theme, self._site, product_slugs):
                self._mistakes.append(located((SITE_FILE, *finding), self._text))
        root_files = read_root_files(self._project, self._mistakes)
        if self._mistakes or storefront is None:
            raise CatalogueInvalid(self._mistakes)
        launches = launches_of(rows, partial(_place, text_of=self._text))
        return Catalogue(
            storefronts, rows, pages, self._site / "pictures", redirects, root_files, launches, rules
        )

    def _page_files(self) -> list[tuple[str, str]]:
        """List the pages in the first locale, and note each translation without its page."""
        files = self._files("pages", ".md")
        first = [(slug, file) for slug, file in files if not _PAGE_TRANSLATION.fullmatch(file)]
        slugs = {slug for slug, _ in first}
        for slug, file in files:
            translated = slug.partition(".")[0]
            if translated not in slugs:
                expected = f"the translation of a page: site/pages/{translated}.md is not there"
                self._mistakes.append(InputError(file, None, "file name", slug, expected))
        return first

    def _storefronts(self, page_slugs: frozenset[str]) -> tuple[Storefront, ...]:
        text = self._text(SITE_FILE, self._mistakes)

        def read(mistakes: list[InputError]) -> tuple[Storefront, ...]:
            return read_storefronts(text, site=self._site, page_slugs=page_slugs, mistakes=mistakes)

        found = self._cached(f"storefront {_sha256(text)} {sorted(page_slugs)}", read)
        domains = self._domains(found[0].domains_file) if found else ()
        return tuple(
            replace(
                storefront,
                texts=self._texts(storefront.shop.locale),
                shop=replace(
                    storefront.shop,
                    refused_domains=list_name(domains),
                    direction=direction_of_locale(storefront.shop.locale),
                ),
                refused_domains=domains,
            )
            for storefront in found
        )

    def _domains(self, name: str | None) -> tuple[str, ...]:
        file = f"site/{name}"
        if name and not (self._root / file).exists():
            missing = SITE_FILE, "waitlist.disposable_domains", name, f"a file: there is no {file}"
            self._mistakes.append(located(missing, self._text))
            return ()
        text = self._text(file, self._mistakes) if name else None
        if text is None:
            return ()
        read = partial(read_domains, text, file=file)
        return self._cached(f"domains {file} {_sha256(text)}", lambda found: read(mistakes=found))

    def _texts(self, locale: str) -> Texts:
        """Return the translations of the shop's own file, and the default theme's for the rest."""
        path = default_file_of(self._project.default_theme, locale)
        default = self._texts_of(str(path), path.read_text("utf-8"), locale) if path else Texts()
        files = (f"site/locales/{name}" for name in text_files_of(locale))
        file = next((name for name in files if os.path.lexists(self._root / name)), None)
        if file is None:
            return default
        own = self._texts_of(file, self._text(file, self._mistakes) or "", locale)
        return texts_over(own, default)

    def _texts_of(self, file: str, text: str, locale: str) -> Texts:
        read = partial(read_texts, text, locale=locale, file=file)
        return self._cached(f"texts {file} {_sha256(text)}", lambda found: read(mistakes=found))

    def _pages(self, files: Sequence[tuple[str, str]], locales: Sequence[str]) -> Iterator[ContentPage]:
        for slug, file in files:
            for locale in locales:
                page = self._page(slug, file, locale, locales[0])
                if page:
                    yield page

    def _page(self, slug: str, file: str, locale: str, first: str) -> ContentPage | None:
        """Read the page's translation into `locale`, or the page itself where it has none."""
        root = "" if locale == first else root_of_locale(locale)
        translation = file.replace(".md", f".{locale}.md")
        is_translated = locale != first and (self._root / translation).is_file()
        file, language = (translation, locale) if is_translated else (file, first)
        text = self._text(file, self._mistakes)
        read = partial(read_page, text, slug=slug, locale=locale, language=language, root=root, file=file)
        key = f"page {file} {locale} {root} {_sha256(text)}"
        noted = len(self._mistakes)
        page = self._cached(key, lambda found: read(mistakes=found))
        if locale != language:  # its errors were noted with the first locale
            del self._mistakes[noted:]
        return page

    def _cached(self, key: str, read: Callable[[list[InputError]], T]) -> T:
        """Return the cached result of `read`, or call it; its errors are noted in both cases."""

        def read_now() -> tuple[T, tuple[InputError, ...]]:
            mistakes: list[InputError] = []
            return read(mistakes), tuple(mistakes)

        found, mistakes = self._cache.get_or_compute(key, read_now)
        self._mistakes += mistakes
        return found

    def _products(
        self, storefront: Storefront | None, locales: Sequence[str]
    ) -> tuple[tuple[ProductRow, ...], frozenset[Slug]]:
        """Return the products that can be read, in the order of slugs, and the slugs of all products."""
        files = [(Slug(slug), file) for slug, file in self._files("products", ".toml", ".md")]
        self._check_slugs(files)
        fraction_digits = storefront.money.fraction_digits if storefront else 2
        reader = ProductFile(
            pictures=self._site / "pictures", fraction_digits=fraction_digits, locales=locales
        )
        key = f"products {fraction_digits} {locales}"
        found, mistakes = read_product_files(
            files,
            reader,
            root=self._root,
            text_of=self._text,
            cache=self._cache,
            pool=self._pool,
            key=key,
        )
        self._mistakes += mistakes
        of_sheet = self._sheet_rows(reader, key)
        self._mistakes += _repeated_slugs((*files, *((row.slug, row.file) for row in of_sheet)))
        if not files and not of_sheet:
            expected = f"at least one product, there or in {SHEET_FILE}"
            self._mistakes.append(InputError("site/products", None, "*.toml, *.md", None, expected))
        slugs = frozenset((*(slug for slug, _ in files), *(row.slug for row in of_sheet)))
        return tuple(sorted((*found, *of_sheet), key=lambda row: row.slug)), slugs

    def _sheet_rows(self, reader: ProductFile, key: str) -> tuple[ProductRow, ...]:
        if not os.path.lexists(self._root / SHEET_FILE):
            return ()
        text = self._text(SHEET_FILE, self._mistakes, size_bytes_max=_SHEET_SIZE_BYTES_MAX)
        if text is None:
            return ()
        return self._cached(
            f"sheet {key} {_sha256(text)}", lambda mistakes: read_sheet(text, reader, mistakes=mistakes)
        )

    def _files(self, folder: str, *suffixes: str) -> list[tuple[str, str]]:
        """Return (slug, name from the project's root) of each file, in the order of slugs."""
        try:
            with os.scandir(self._site / folder) as entries:
                found = [entry.name for entry in entries if entry.name.endswith(suffixes)]
        except OSError as error:
            if os.path.lexists(self._site / folder):
                self._mistakes.append(unreadable(f"site/{folder}", error))
            return []
        names = (name for name in found if not name.startswith(_NOT_THE_MERCHANTS))
        return sorted((name.rpartition(".")[0], f"site/{folder}/{name}") for name in names)

    def _check_slugs(self, files: Sequence[tuple[str, str]]) -> None:
        for slug, file in files:
            if problem := slug_problem(slug):
                self._mistakes.append(InputError(file, None, "file name", slug, problem))

    def _text(
        self,
        file: str,
        mistakes: list[InputError] | None = None,
        *,
        size_bytes_max: int = FILE_SIZE_BYTES_MAX,
    ) -> str | None:
        return text_of_file(self._root, file, mistakes, size_bytes_max=size_bytes_max)


def _sha256(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


def catalogue_mistakes(
    storefront: Storefront | None,
    rows: Sequence[ProductRow],
    slugs: Set[Slug],
    page_slugs: Set[str],
    text_of: ReadText,
) -> Iterator[InputError]:
    """Yield the errors between files, such as repeated SKUs and featured products that do not exist.

    Args:
        storefront: the shop in its first locale, None when site.toml cannot be read.
        rows: the products that can be read.
        slugs: the slugs of all products, readable or not.
        page_slugs: the slugs of the pages under site/pages.
        text_of: returns the text of a file, which the line of an error is looked up in.
    """
    for file, field, value, expected in (
        *_repeated_skus(rows, text_of),
        *(_unknown_categories(storefront, rows) if storefront else ()),
        *(_unknown_featured(storefront, slugs) if storefront else ()),
        *(_without_checkout(storefront, rows, page_slugs, text_of) if storefront else ()),
    ):
        yield located((file, field, value, expected), text_of)


def picture_mistakes(
    storefront: Storefront | None,
    rows: Sequence[ProductRow],
    problem_of: Callable[[str], str | None],
    text_of: ReadText,
) -> Iterator[InputError]:
    """Yield an error for each place that names a picture which cannot be shown; its value is the name.

    `problem_of` returns what was expected instead of a picture, None when it can be shown.
    """
    for file, field, name, problem in _broken_pictures(storefront, rows, problem_of):
        yield located((file, field, name, problem), text_of)


def located(finding: Finding, text_of: ReadText) -> InputError:
    """Return the error of a finding, with its line in the file."""
    file, field, value, expected = finding
    named = column(field) if file.startswith(SHEET_FILE) else field
    return InputError(file, KeyLines(text_of(file) or "").of(field), named, value, expected)


def _repeated_slugs(places: Iterable[tuple[Slug, str]]) -> Iterator[InputError]:
    """Yield an error for each product that is in two places, given as (slug, name of its file)."""
    seen: dict[Slug, str] = {}
    for slug, file in places:
        if slug in seen:
            expected = f"one product in one place; it is in {seen[slug]} already"
            yield InputError(file, None, "slug", slug, expected)
        seen.setdefault(slug, file)


def _repeated_skus(rows: Sequence[ProductRow], text_of: ReadText) -> Iterator[Finding]:
    place_of_sku: dict[Sku, tuple[str, int]] = {}
    for row in rows:
        for number, sku in enumerate(row.skus):
            first_file, first_number = place_of_sku.setdefault(sku, (row.file, number))
            if sku and (first_file, first_number) != (row.file, number):
                place = _place(first_file, first_number, text_of)
                expected = f"an SKU of its own; this one is in {place} already"
                yield _file(row, number, text_of), f"variants[{number}].sku", sku, expected


def _without_checkout(
    storefront: Storefront, rows: Sequence[ProductRow], page_slugs: Set[str], text_of: ReadText
) -> Iterator[Finding]:
    for row, number, field, value, expected in checkout_mistakes(storefront.shop.checkout, rows, page_slugs):
        yield _file(row, number, text_of), field, value, expected


def _file(row: ProductRow, number: int | None, text_of: ReadText) -> str:
    """Return the file of a product; in the sheet, with the line of its variant `number`."""
    if number is None or not row.file.startswith(SHEET_FILE):
        return row.file
    return _place(row.file, number, text_of)


def _place(file: str, number: int, text_of: ReadText) -> str:
    """Return the file and the line where the SKU of variant `number` stands."""
    field = f"variants[{number}].sku"
    if file.startswith(SHEET_FILE):
        line: int | None = variant_line(text_of(SHEET_FILE) or "", int(file.rpartition(":")[2]), number)
        return f"{SHEET_FILE}:{line}"
    line = KeyLines(text_of(file) or "").of(field)
    return f"{file}:{line}" if line else file


def _unknown_categories(storefront: Storefront, rows: Sequence[ProductRow]) -> Iterator[Finding]:
    known = {category.slug: None for category in storefront.categories}
    # Without categories, the error about them says it once for all products.
    for row in rows if known else ():
        for number, category in enumerate(row.categories):
            if category and category not in known:
                hint = did_you_mean(category, known)
                field = "categories" if number else "category"
                yield row.file, field, category, f"one of {', '.join(known)}{hint}"


def _broken_pictures(
    storefront: Storefront | None, rows: Sequence[ProductRow], problem_of: Callable[[str], str | None]
) -> Iterator[Finding]:
    for row in rows:
        for number, name in enumerate(row.image_names):
            if name and (problem := problem_of(name)):
                yield row.file, f"pictures[{number}].file", name, problem
    if storefront and storefront.home.image:
        name = storefront.home.image.file.name
        if problem := problem_of(name):
            yield SITE_FILE, "home.picture", name, problem


def _unknown_featured(storefront: Storefront, slugs: Set[Slug]) -> Iterator[Finding]:
    for slug in storefront.home.featured:
        if slug not in slugs:
            yield SITE_FILE, "home.featured", slug, f"the slug of a product{did_you_mean(slug, slugs)}"
