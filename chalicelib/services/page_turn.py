"""Turns a product's pages when its availability changed: the product's own, and those with its card."""

from chalicelib.log import log
from chalicelib.storage.pages import Cdn, PagesBucket
from chalicelib.storage.themes import ThemeStore
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Listing
from chalicelib.tables.products import ProductsTable


class PageTurn:
    """Renders with the live theme and the stock as it is now, never as it was when the event was made:
    of two events turned in the wrong order, the second still writes what is true."""

    def __init__(self, products: ProductsTable, themes: ThemeStore, pages: PagesBucket, cdn: Cdn) -> None:
        self._products = products
        self._themes = themes
        self._pages = pages
        self._cdn = cdn

    def turn(self, slug: str, *, reference: str) -> None:
        """Write the product's page and its listings anew, and tell the CDN.

        `reference` names the event, so that a repeat is one invalidation.
        """
        stocked = self._products.get(slug)
        if stocked is None:
            log("page_not_turned", slug=slug, reason="product is not in the catalogue")
            return
        renderer = self._themes.live()
        paths = [stocked.product.path]
        self._pages.put(stocked.product.path, renderer.product(stocked.product, stocked.stock))
        for listing in renderer.theme.listings_of(slug):
            self._turn_listing(renderer, listing)
            paths.append(listing.path)
        self._cdn.invalidate(paths, reference=reference)
        log("pages_turned", slug=slug, paths=paths)

    def _turn_listing(self, renderer: Renderer, listing: Listing) -> None:
        products = self._products.get_many(listing.slugs)
        cards = [(products[slug].product, products[slug].stock) for slug in listing.slugs if slug in products]
        self._pages.put(listing.path, renderer.listing(listing, cards))
