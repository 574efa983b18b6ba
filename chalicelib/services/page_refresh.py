"""Refreshes the pages of a product whose stock changed, in every language: its own page and its listings."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from markupsafe import Markup

from chalicelib.domain.ids import Slug
from chalicelib.domain.product import Product
from chalicelib.domain.stock import StockedProduct
from chalicelib.domain.tokens import FormTokens
from chalicelib.log import log
from chalicelib.storage import Cdn, PageChange, PagesBucket, ThemeStore
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.sitemaps import part_key, with_lastmod, written_time
from chalicelib.storefront.theme import Edition, Listing
from chalicelib.tables.products import ProductsTable


class PageRefresh:
    """Renders pages with the live theme and the stock of now, not of the event.

    A page is written only over the version that was there before the stock was read. So of two refreshes at
    once, or a refresh and a publish, the one that read last writes last.
    """

    def __init__(
        self,
        products: ProductsTable,
        themes: ThemeStore,
        pages: PagesBucket,
        cdn: Cdn,
        form_tokens: Callable[[], FormTokens],
    ) -> None:
        self._products = products
        self._themes = themes
        self._pages = pages
        self._cdn = cdn
        self._form_tokens = form_tokens

    def refresh(self, slug: Slug, *, reference: str) -> None:
        """Render the pages of a product, write the changed ones, and invalidate them.

        Changed pages are dated in the sitemap. Pages whose bytes stay the same are left alone.

        Args:
            slug: the product.
            reference: names the event. Each object that it writes is marked with it: the repeat of an event
                that died after a write finds its mark and invalidates that path, though its bytes are the
                same by then.
        """
        stocked = self._products.get(slug)
        if stocked is None or not stocked.product.variants:
            log("page_not_refreshed", slug=slug, reason="product is not in the catalogue")
            return
        changes: list[PageChange] = []
        for edition in self._themes.live().theme.editions:
            changes += self._refresh_edition(edition, stocked.product, reference)
        invalidated: tuple[str, ...] = ()
        if changes:
            changes += self._with_lastmod(stocked, [change.path for change in changes], reference)
            invalidated = self._cdn.invalidate(
                [change.path for change in changes], reference=f"{reference}-{_digest(changes)}"
            )
        log("pages_refreshed", slug=slug, paths=[change.path for change in changes], invalidated=invalidated)

    def _refresh_edition(self, edition: Edition, product: Product, event: str) -> list[PageChange]:
        """Refresh the pages of one edition; return the changes that this event made."""
        language = edition.shop.locale
        pages = [(product.path, partial(self._product_page, edition.root, product.slug))]
        pages += [
            (listing.path, partial(self._listing_page, edition.root, listing))
            for listing in edition.listings_of(product.slug)
        ]
        changes = [
            self._pages.refresh(edition.localized_path(path), render, language=language, event=event)
            for path, render in pages
        ]
        return [change for change in changes if change]

    def _with_lastmod(self, stocked: StockedProduct, paths: Sequence[str], event: str) -> list[PageChange]:
        """Date the changed pages in the sitemap, for search engines; return the changed sitemaps."""
        theme = self._themes.live().theme
        changed_ms = max(stock.observed_at_ms for stock in stocked.stock.values())

        def edited(text: str) -> str:
            return with_lastmod(text, theme.shop.base_url, paths, written_time(changed_ms))

        keys = sorted({part_key(path, theme.sitemap_parts) for path in paths}) if changed_ms else ()
        changes = [self._pages.edit(f"/{key}", edited, event=event) for key in keys]
        return [change for change in changes if change]

    def _product_page(self, root: str, slug: Slug) -> str:
        stocked = self._products.get_many([slug])[slug]
        renderer = self._themes.live().for_root(root)
        return renderer.product(
            stocked.product,
            stocked.stock,
            self._form_tokens(),
            related=list(self._small_cards(stocked.product, renderer)),
        )

    def _small_cards(self, product: Product, renderer: Renderer) -> Iterator[Markup]:
        """Yield the cards of the products below this one, if the live theme shows them."""
        slugs = product.related if renderer.edition.settings.related else ()
        others = self._products.get_many(slugs) if slugs else {}
        for slug in slugs:
            if slug in others and others[slug].product.variants:
                yield renderer.small_card(others[slug].product)

    def _listing_page(self, root: str, listing: Listing) -> str:
        renderer = self._themes.live().for_root(root)
        # A publish in the meantime may have put other cards on it.
        listings = renderer.edition.listings
        listing = next((live for live in listings if live.path == listing.path), listing)
        products = self._products.get_many(listing.slugs)
        cards = {
            slug: partial(renderer.card, products[slug].product, products[slug].stock)
            for slug in listing.slugs
            # A product that a publish just withdrew has no variants; the theme without it follows.
            if slug in products and products[slug].product.variants
        }
        return renderer.listing(listing, cards)


def _digest(changes: Sequence[PageChange]) -> str:
    """Digest the versions that were written: a repeat that writes a page again needs a new invalidation."""
    versions = "\n".join(sorted(f"{change.path} {change.version}" for change in changes))
    return hashlib.sha256(versions.encode()).hexdigest()[:16]
