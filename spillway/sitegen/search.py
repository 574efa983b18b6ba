"""Search: what the script of the search page looks through, and what that page lists for whoever has none."""

import json
from collections.abc import Iterator, Sequence

from chalicelib.storefront.theme import Edition, Link, Listing, covers_of
from spillway.sitegen.build_cache import digest_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow

SEARCH_PATH = "/search"
INDEX_PATH = "/search.json"
# A page that lists more is heavier than the way through the categories is long.
_LISTED_MAX = 500

OutputDir = tuple[Link, Sequence[Link]]


class Search:
    """The products of one edition by what they are called; `translated` is whether that is not what their
    files call them."""

    def __init__(
        self, edition: Edition, products: Products, *, translated: bool, listed_max: int = _LISTED_MAX
    ) -> None:
        self._edition = edition
        self._products = products
        self._translated = translated
        self._listed_max = listed_max
        self._categories = {each.path: each.title for each in covers_of(edition.listings)}
        self._tags = {tag: each.title for each in edition.listings for tag in each.tags}

    @property
    def digest(self) -> str:
        """Changes with anything that is shown or looked through."""
        rows = self._products.rows
        if self._translated:
            return digest_of([self._products.digest(row.slug) for row in rows], self._categories, self._tags)
        return digest_of(
            [(row.slug, row.title, row.categories, row.tags) for row in rows], self._categories, self._tags
        )

    def index(self) -> str:
        """What the script fetches: of each product its slug, its title, and what else it is found by."""
        products = [
            (
                row.slug,
                title,
                " ".join((*self._categories_of(row), *(self._tags.get(tag, tag) for tag in row.tags))),
            )
            for row, title in self._titled()
        ]
        document = {"root": self._edition.root, "products": products}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def shelves(self) -> list[OutputDir]:
        """Every category with its products; with none of them where there are too many for one page."""
        held: dict[str, list[Link]] = {}
        if len(self._products) <= self._listed_max:
            for row, title in self._titled():
                for category in row.categories:
                    held.setdefault(f"/shop/{category}", []).append(Link(title, f"/products/{row.slug}"))
        return [
            (Link(title, path), sorted(held.get(path, ()), key=lambda link: link.title))
            for path, title in self._categories.items()
        ]

    def tags(self) -> list[Listing]:
        """The first page of every tag."""
        return [each for each in self._edition.listings if each.tags and each.number == 1]

    def _categories_of(self, row: ProductRow) -> list[str]:
        return [self._categories.get(f"/shop/{category}", "") for category in row.categories]

    def _titled(self) -> Iterator[tuple[ProductRow, str]]:
        locale = self._edition.shop.locale
        for row in self._products.rows:
            if self._translated:
                product = self._products.named(row.slug).product
                yield row, product.in_locale(locale, {}).title
            else:
                yield row, row.title
