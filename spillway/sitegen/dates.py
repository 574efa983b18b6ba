"""Since when each page says what it says: what sitemaps tell search engines."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chalicelib.domain.stock import Stock
from chalicelib.storefront.sitemap import written_time
from chalicelib.storefront.theme import Edition
from spillway.sitegen.build_cache import digest_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage

_DIGEST_LENGTH = 12


class Dated(NamedTuple):
    """What a page says, as a digest, and since when. (A NamedTuple: there are many.)"""

    digest: str
    since_ms: int


class Dates:
    """The dates of the pages of one release, those kept of the release before where nothing changed.

    What is new or says something else does so since `now_ms`. Without that, in a build that is put before
    nobody, only the merchant's own dates are known.
    """

    def __init__(self, before: Mapping[str, Dated] | None = None, now_ms: int | None = None) -> None:
        self._before = before or {}
        self._now_ms = now_ms
        self.pages: dict[str, Dated] = {}

    def of(self, path: str, content: object, stated: str | None, stock: Iterable[Stock] = ()) -> str | None:
        """The time of a page's last change: of its `content`, or of the `stock` on it. `stated` is the
        merchant's own date for it."""
        observed_ms = max((each.observed_at_ms for each in stock), default=0)
        if self._now_ms is not None:
            digest = digest_of(content)[:_DIGEST_LENGTH]
            known = self._before.get(path)
            kept = known if known and known.digest == digest else Dated(digest, self._now_ms)
            self.pages[path] = kept
            observed_ms = max(observed_ms, kept.since_ms)
        return written_time(observed_ms) if observed_ms else stated

    def of_all(
        self,
        edition: Edition,
        products: Products,
        contents: Iterable[ContentPage],
        observed: Callable[[str], Iterable[Stock]],
    ) -> dict[str, str | None]:
        """The time of every page of an edition, by its path in the first: listings, products, contents.

        A listing changes by itself, and with the products on it; `observed` is what is known of the stock of
        a product, by its slug.
        """
        of_products = {
            row.slug: self.of(
                edition.at(f"/products/{row.slug}"),
                products.digest(row.slug),
                row.released_on,
                observed(row.slug),
            )
            for row in products.rows
        }
        of_listings = {}
        for listing in edition.listings:
            own = self.of(edition.at(listing.path), listing, None)
            times = (own, *(of_products.get(slug) for slug in listing.slugs))
            of_listings[listing.path] = max((each for each in times if each), default=None)
        return {
            **of_listings,
            **{f"/products/{slug}": time for slug, time in of_products.items()},
            **{each.path: self.of(edition.at(each.path), each, None) for each in contents},
        }
