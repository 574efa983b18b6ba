"""What more than one file has to agree on: SKUs, categories, pictures, what the home page features."""

from collections.abc import Callable, Iterator, Sequence, Set

from spillway.sitegen.catalogue import ProductRow, Storefront
from spillway.sitegen.input_error import InputError
from spillway.sitegen.product_sheet import SHEET_FILE, column, variant_line
from spillway.sitegen.toml_lines import Lines

SITE_FILE = "site/site.toml"

Texts = Callable[[str], str | None]


def catalogue_mistakes(
    storefront: Storefront | None,
    rows: Sequence[ProductRow],
    slugs: Set[str],
    text_of: Texts,
) -> Iterator[InputError]:
    """Every disagreement but those about pictures.

    `slugs` are those of all product files, readable or not; `text_of` gives a
    file's text, to find the line of what is wrong."""
    for file, field, value, expected in (
        *_repeated_skus(rows, text_of),
        *(_shelfless(storefront, rows) if storefront else ()),
        *(_unknown_featured(storefront, slugs) if storefront else ()),
    ):
        yield _mistake(file, field, value, expected, text_of)


def picture_mistakes(
    storefront: Storefront | None,
    rows: Sequence[ProductRow],
    problem_of: Callable[[str], str | None],
    text_of: Texts,
) -> Iterator[InputError]:
    """Every place that names a picture which cannot be shown; its value is the name. `problem_of` says what
    was expected instead of a picture."""
    for file, field, name, problem in _pictureless(storefront, rows, problem_of):
        yield _mistake(file, field, name, problem, text_of)


def _mistake(file: str, field: str, value: object, expected: str, text_of: Texts) -> InputError:
    named = column(field) if file.startswith(SHEET_FILE) else field
    return InputError(file, Lines(text_of(file) or "").of(field), named, value, expected)


def _repeated_skus(rows: Sequence[ProductRow], text_of: Texts) -> Iterator[tuple[str, str, str, str]]:
    place_of_sku: dict[str, tuple[str, int]] = {}
    for row in rows:
        for number, sku in enumerate(row.skus):
            first_file, first_number = place_of_sku.setdefault(sku, (row.file, number))
            if sku and (first_file, first_number) != (row.file, number):
                place = _place(first_file, first_number, text_of)
                expected = f"an SKU of its own; this one is in {place} already"
                in_sheet = row.file.startswith(SHEET_FILE)
                file = _place(row.file, number, text_of) if in_sheet else row.file
                yield file, f"variants[{number}].sku", sku, expected


def _place(file: str, number: int, text_of: Texts) -> str:
    """Return the file and the line where the SKU of variant `number` stands."""
    field = f"variants[{number}].sku"
    if file.startswith(SHEET_FILE):
        line: int | None = variant_line(text_of(SHEET_FILE) or "", int(file.rpartition(":")[2]), number)
        return f"{SHEET_FILE}:{line}"
    line = Lines(text_of(file) or "").of(field)
    return f"{file}:{line}" if line else file


def _shelfless(storefront: Storefront, rows: Sequence[ProductRow]) -> Iterator[tuple[str, str, str, str]]:
    known = {category.slug: None for category in storefront.categories}
    for row in rows:
        main, *further = row.categories
        if main and main not in known:
            yield row.file, "category", main, f"one of {', '.join(known)}"
        for category in further:
            if category not in known:
                yield row.file, "categories", category, f"one of {', '.join(known)}"


def _pictureless(
    storefront: Storefront | None, rows: Sequence[ProductRow], problem_of: Callable[[str], str | None]
) -> Iterator[tuple[str, str, str, str]]:
    for row in rows:
        for number, name in enumerate(row.shots):
            if name and (problem := problem_of(name)):
                yield row.file, f"pictures[{number}].file", name, problem
    if storefront:
        name = storefront.home.shot.file.name
        if problem := problem_of(name):
            yield SITE_FILE, "home.picture", name, problem


def _unknown_featured(storefront: Storefront, slugs: Set[str]) -> Iterator[tuple[str, str, str, str]]:
    for slug in storefront.home.featured:
        if slug not in slugs:
            yield SITE_FILE, "home.featured", slug, "the slug of a product"
