"""The shop that the last build into a folder made, as rows: what a small change has to know of the rest.

`keep_shop` stores it after a whole build. `KnownShop` answers questions about few products without reading
the others: where a product stands, what shows it, whether another has its SKU.
"""

import marshal
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.storefront.theme import EVERYTHING, Edition, Listing, Theme
from spillway.sitegen.last_build import LastBuild, unpacked
from spillway.sitegen.reading.catalogue import ContentPage, ProductRow
from spillway.sitegen.release import DatedDigest, Release

# The format of `marshal` in which equal values have equal bytes.
_MARSHAL = 2
_COLUMNS = "slug, digest, related, row, packed"
_PRODUCTS = f"SELECT {_COLUMNS} FROM products JOIN contents USING (slug)"  # noqa: S608 - no value of a shop
# Products of so many places are read at once.
_AT_ONCE = 48


class KnownProduct(NamedTuple):
    """A product: its row, a digest that changes with its pictures, too, and what its page shows below it."""

    row: ProductRow
    digest: str
    related: tuple[Slug, ...]

    @classmethod
    def of(cls, stored: tuple[Any, ...]) -> "KnownProduct":
        """Return the product of the columns `_COLUMNS`."""
        _, digest, related, row, packed = stored
        values = unpacked(marshal.loads, row)
        return cls(ProductRow._make((*values, packed)), digest, tuple(map(Slug, related.split())))

    def stored(self) -> tuple[Any, ...]:
        """Return the row of the table `products`."""
        row = self.row
        return (
            *(row.slug, row.category, row.price_minor, row.released_on or "", row.title),
            *(row.is_discontinued, row.sale_ends_on, self.digest, " ".join(self.related)),
            marshal.dumps(tuple(row[:-1]), _MARSHAL),
        )


class Frame(NamedTuple):
    """The whole shop but its products and its listings.

    Attributes:
        theme: has the first page of each listing alone.
        frame_digest: see `ReleaseSource`.
        parts: the same.
        featured: the products that the shop's settings name for the home page.
        contents: the pages under site/pages.
        first: the product that emails are tried with.
    """

    theme: Theme
    frame_digest: str
    parts: int
    featured: tuple[Slug, ...]
    contents: tuple[ContentPage, ...]
    first: Slug


def place_of(row: ProductRow) -> tuple[int, str, Slug]:
    """Return a key that sorts products as listings have them; see `newest_first`."""
    return -int((row.released_on or "0").replace("-", "")), row.title, row.slug


class KnownShop:
    """The shop in the database of the last build."""

    def __init__(self, last: LastBuild, frame: Frame) -> None:
        """Take the frame that `keep_shop` stored."""
        self._last = last
        self.frame = frame
        first = frame.theme.editions[0].listings
        self._tags = {tag: listing for listing in first for tag in listing.tags}

    @classmethod
    def of(cls, last: LastBuild) -> "KnownShop | None":
        """Return the shop that the last build kept; None where it kept none."""
        frame = last.get("frame")
        return cls(last, Frame(*frame)) if frame else None

    def put(self, products: Iterable[KnownProduct]) -> None:
        """Keep products that are known already as they are now."""
        rows = list(products)
        self._last.put("products", (known.stored() for known in rows))
        self._last.put("contents", ((known.row.slug, known.row.packed) for known in rows))

    def put_frame(self, frame: Frame) -> None:
        """Keep another frame."""
        self._last.set("frame", tuple(frame))

    def put_listing(self, path: str, slugs: Sequence[Slug]) -> None:
        """Keep the products of a listing."""
        self._last.put("listings", [(path, marshal.dumps(list(slugs), _MARSHAL))])

    def __len__(self) -> int:
        ((count,),) = self._last.query("SELECT count(*) FROM products")
        return int(count)

    def products(self, slugs: Iterable[Slug]) -> dict[Slug, KnownProduct]:
        """Return these products; those that are not known are missing."""
        found = self._last.query_each(f"{_PRODUCTS} WHERE slug IN (...)", slugs)
        return {Slug(stored[0]): KnownProduct.of(stored) for stored in found}

    def all_products(self) -> dict[Slug, KnownProduct]:
        """Return every product, by its slug and in that order."""
        found = self._last.query(f"{_PRODUCTS} ORDER BY slug")
        return {Slug(stored[0]): KnownProduct.of(stored) for stored in found}

    def in_order(self, slugs: Sequence[Slug]) -> Iterator[ProductRow]:
        """Yield the rows of products in the order of `slugs`, read a few at a time."""
        for start in range(0, len(slugs), _AT_ONCE):
            some = slugs[start : start + _AT_ONCE]
            known = self.products(some)
            yield from (known[slug].row for slug in some)

    def paths_of(self, row: ProductRow) -> dict[str, None]:
        """Return the path of each listing that shows a product, the home page aside."""
        tags = (self._tags[tag].path for tag in row.tags if tag in self._tags)
        return dict.fromkeys((EVERYTHING, *(f"/shop/{slug}" for slug in row.categories), *tags))

    def listing_of_tag(self, tag: str) -> Listing | None:
        """Return the listing of a tag that several products have."""
        return self._tags.get(tag)

    def listing(self, path: str) -> list[Slug] | None:
        """Return the products of a listing, in the order of all its pages; None where there is none."""
        for (slugs,) in self._last.query("SELECT slugs FROM listings WHERE path = ?", path):
            return list(map(Slug, unpacked(marshal.loads, slugs)))
        return None

    def by_place(self) -> Iterator[ProductRow]:
        """Yield products, not their contents, as the home page has them: discontinued ones last."""
        statement = "SELECT row FROM products ORDER BY is_discontinued, released_on DESC, title, slug"
        for (row,) in self._last.each(statement):
            yield ProductRow._make((*unpacked(marshal.loads, row), b""))

    def newest_dated(self, count: int) -> tuple[Slug, ...]:
        """Return the newest products with a release date; see `pages.newest_dated`."""
        found = self._last.query(
            "SELECT slug FROM products WHERE released_on != '' ORDER BY released_on DESC, slug DESC LIMIT ?",
            count,
        )
        return tuple(Slug(slug) for (slug,) in found)

    def released_on(self, slugs: Iterable[Slug]) -> dict[Slug, str | None]:
        """Return the release dates of products."""
        found = self._last.query_each("SELECT slug, released_on FROM products WHERE slug IN (...)", slugs)
        return {Slug(slug): date or None for slug, date in found}

    def by_likeness(self, category: str) -> list[tuple[int, Slug, bool]]:
        """Return (price, slug, is discontinued) of the products of a main category; see `related`."""
        return [
            (price_minor, Slug(slug), bool(is_discontinued))
            for price_minor, slug, is_discontinued in self._last.query(
                "SELECT price_minor, slug, is_discontinued FROM products WHERE category = ?"
                " ORDER BY price_minor, slug",
                category,
            )
        ]

    def shown_by(self, slug: Slug, category: str) -> list[Slug]:
        """Return the products of a main category whose pages show `slug` below them."""
        statement = (
            "SELECT slug FROM products WHERE category = ? AND instr(' ' || related || ' ', ' ' || ? || ' ')"
        )
        return [Slug(found) for (found,) in self._last.query(statement, category, slug)]

    def has_sku(self, sku: str, *, but: Slug) -> bool:
        """Return whether another product has an SKU."""
        return any(sku in row.skus for row in self._with_text(sku, but))

    def has_picture(self, name: str, *, but: Slug) -> bool:
        """Return whether another product has a picture."""
        return any(name in row.image_names for row in self._with_text(name, but))

    def picture_names(self) -> set[str]:
        """Return the names of all pictures that the shop shows."""
        return {name for (name,) in self._last.query("SELECT name FROM pictures")}

    def image_variants(self, rows: Iterable[ProductRow]) -> dict[str, Any]:
        """Return the image variants of the pictures of products."""
        names = (name for row in rows for name in row.image_names)
        found = self._last.query_each("SELECT name, variants FROM pictures WHERE name IN (...)", names)
        return {name: unpacked(pickle.loads, variants) for name, variants in found}

    def dates(self, paths: Iterable[str]) -> dict[str, DatedDigest]:
        """Return the dates of published pages, as the last publish left them."""
        found = self._last.query_each("SELECT path, digest, since_ms FROM dates WHERE path IN (...)", paths)
        return {path: DatedDigest(digest, since_ms) for path, digest, since_ms in found}

    def put_dates(self, dates: Mapping[str, DatedDigest]) -> None:
        """Keep other dates of published pages."""
        self._last.put("dates", ((path, *dated) for path, dated in dates.items()))

    def sales(self) -> tuple[tuple[str, str], ...]:
        """Return the file and the last day of each product with a sale that has an end."""
        found = self._last.query("SELECT slug FROM products WHERE sale_ends_on IS NOT NULL ORDER BY slug")
        rows = (known.row for known in self.products(Slug(slug) for (slug,) in found).values())
        return tuple((row.file, row.sale_ends_on or "") for row in sorted(rows, key=lambda row: row.slug))

    def _with_text(self, text: str, but: Slug) -> Iterator[ProductRow]:
        """Yield the rows of other products that have a text anywhere."""
        statement = "SELECT slug FROM products WHERE instr(row, CAST(? AS BLOB)) AND slug != ?"
        yield from self.in_order([Slug(slug) for (slug,) in self._last.query(statement, text, but)])


def keep_shop(release: Release, featured: tuple[Slug, ...], last: LastBuild) -> None:
    """Store what a small change needs of a release that was just built without stock or tokens.

    `featured` are the products that the shop's settings name for the home page.
    """
    source, products = release.source, release.products
    theme, listings = source.theme, source.theme.editions[0].listings
    shown = [(listing.path, listing.slugs) for listing in listings]
    if any(
        [(listing.path, listing.slugs) for listing in other.listings] != shown for other in theme.editions
    ):
        last.set("frame", None)
        return
    rows = {}
    for row in products.rows:
        rows[row.slug] = KnownProduct(row, products.digest(row.slug), products.related(row.slug)).stored()
    last.replace("products", "slug", rows)
    last.replace("contents", "slug", {row.slug: (row.slug, row.packed) for row in products.rows})
    slugs: dict[str, list[Slug]] = {}
    first_path = ""
    for listing in listings:
        first_path = listing.path if listing.number == 1 else first_path
        slugs.setdefault(first_path, []).extend(listing.slugs)
    dumped = {path: (path, marshal.dumps(listed, _MARSHAL)) for path, listed in slugs.items()}
    last.replace("listings", "path", dumped)
    variants = products.image_variants.items()
    last.replace("pictures", "name", {name: (name, _pickled(tuple(made))) for name, made in variants})
    editions = tuple(map(_with_first_pages, theme.editions))
    frame = Frame(
        replace(theme, editions=editions),
        source.frame_digest,
        source.parts,
        featured,
        source.contents,
        products.slugs[0],
    )
    last.set("frame", tuple(frame))


def _with_first_pages(edition: Edition) -> Edition:
    return replace(edition, listings=tuple(page for page in edition.listings if page.number == 1))


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
