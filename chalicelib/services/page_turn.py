"""Turns a product's pages when its availability changed, in every locale: the product's own, and those
with its card."""

from collections.abc import Callable, Sequence
from functools import partial

from chalicelib.domain.form_stamp import FormStamps
from chalicelib.domain.product import Product
from chalicelib.domain.stock import StockedProduct
from chalicelib.log import log
from chalicelib.storage.pages import Cdn, PagesBucket
from chalicelib.storage.themes import ThemeStore
from chalicelib.storefront.sitemap import dated_anew, part_key, written_time
from chalicelib.storefront.theme import Edition, Listing
from chalicelib.tables.products import ProductsTable


class PageTurn:
    """Renders with the live theme and the stock as it is now, never as it was when the event was made,
    and only over the page that was there before it looked: of two turns, or a turn and a publish, at
    once, the one that looked last writes last."""

    def __init__(
        self,
        products: ProductsTable,
        themes: ThemeStore,
        pages: PagesBucket,
        cdn: Cdn,
        stamps: Callable[[], FormStamps],
    ) -> None:
        self._products = products
        self._themes = themes
        self._pages = pages
        self._cdn = cdn
        self._stamps = stamps

    def turn(self, slug: str, *, reference: str) -> None:
        """Write the product's page and its listings anew, date them in the sitemap, and tell the CDN.

        `reference` names the event, so that a repeat is one invalidation.
        """
        stocked = self._products.get(slug)
        if stocked is None or not stocked.product.variants:
            log("page_not_turned", slug=slug, reason="product is not in the catalogue")
            return
        paths: list[str] = []
        for edition in self._themes.live().theme.editions:
            paths += self._turn_in(edition, stocked.product)
        paths += self._date_anew(stocked, paths)
        self._cdn.invalidate(paths, reference=reference)
        log("pages_turned", slug=slug, paths=paths)

    def _turn_in(self, edition: Edition, product: Product) -> list[str]:
        """Turn the pages of one edition; the paths they have in it."""
        path, language = edition.at(product.path), edition.shop.locale
        self._pages.turn(path, partial(self._product_page, edition.root, product.slug), language=language)
        paths = [path]
        for listing in edition.listings_of(product.slug):
            paths.append(edition.at(listing.path))
            self._pages.turn(paths[-1], partial(self._listing_page, edition.root, listing), language=language)
        return paths

    def _date_anew(self, stocked: StockedProduct, paths: Sequence[str]) -> list[str]:
        """Tell search engines that these pages changed; the paths of the sitemaps that now say so."""
        theme = self._themes.live().theme
        changed_ms = max(stock.observed_at_ms for stock in stocked.stock.values())

        def edited(text: str) -> str:
            return dated_anew(text, theme.shop.base_url, paths, written_time(changed_ms))

        keys = sorted({part_key(path, theme.sitemap_parts) for path in paths}) if changed_ms else ()
        return [f"/{key}" for key in keys if self._pages.edit(f"/{key}", edited)]

    def _product_page(self, root: str, slug: str) -> str:
        stocked = self._products.get_many([slug])[slug]
        return self._themes.live().under(root).product(stocked.product, stocked.stock, self._stamps())

    def _listing_page(self, root: str, listing: Listing) -> str:
        renderer = self._themes.live().under(root)
        # A publish in the meantime may have put other cards on it.
        listings = renderer.edition.listings
        listing = next((each for each in listings if each.path == listing.path), listing)
        products = self._products.get_many(listing.slugs)
        cards = [
            partial(renderer.card, products[slug].product, products[slug].stock)
            for slug in listing.slugs
            if slug in products
        ]
        return renderer.listing(listing, cards)
