"""Date the last change of each page, for the sitemap's `lastmod`."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chalicelib.domain.stock import Stock
from chalicelib.storefront.sitemap import written_time
from chalicelib.storefront.theme import Edition
from spillway.sitegen.cache import digest_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage

_DIGEST_LENGTH = 12


class Dated(NamedTuple):
    """A digest of a page's content, and since when it has that content (ms). A NamedTuple: there are many."""

    digest: str
    since_ms: int


class Dates:
    """The dates of the pages of one release.

    A page with the content it has in `before`, the dates of the previous release, keeps its date; a new or
    changed page gets `now_ms`. Without `now_ms`, in a build that is not published, a page has no date but
    the one its file states.
    """

    def __init__(self, before: Mapping[str, Dated] | None = None, now_ms: int | None = None) -> None:
        self._before = before or {}
        self._now_ms = now_ms
        self.pages: dict[str, Dated] = {}

    def of(self, path: str, content: object, stated: str | None, stock: Iterable[Stock] = ()) -> str | None:
        """Return the time of a page's last change (ISO 8601): of its `content`, or of the `stock` it shows.

        `stated` is the date in the merchant's file, used where no other is known.
        """
        observed_ms = max((known.observed_at_ms for known in stock), default=0)
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
        """Return the time of the last change of every page of an edition, by its path in the first edition.

        A listing changes by itself and with its products. `observed` returns the observed stock of a
        product, given its slug.
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
            of_listings[listing.path] = max((time for time in times if time), default=None)
        return {
            **of_listings,
            **{f"/products/{slug}": time for slug, time in of_products.items()},
            **{page.path: self.of(edition.at(page.path), page, None) for page in contents},
        }
