"""The pages of a release as jobs: what each page depends on, and how to render it; nothing is rendered yet.

`SitePages` has the jobs of a whole release, `EditionPages` those of one language.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Any

from markupsafe import Markup

from chalicelib.domain.entry import EntryState
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock
from chalicelib.domain.tokens import FormTokens
from chalicelib.storage import HOME_KEY, PAGE_CONTENT_TYPE, object_key
from chalicelib.storefront.checkout import Checkout
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.sitemaps import sitemaps
from chalicelib.storefront.theme import HOME, Edition, Listing, covers_of
from spillway.sitegen.addresses import (
    FEED_PATH,
    FIXED_PAGES,
    INDEX_PATH,
    MERCHANT_PATH,
    NOT_FOUND_PATH,
    SEARCH_PATH,
    redirect_file,
    redirects_of_editions,
)
from spillway.sitegen.cache import code_digest, digest_of
from spillway.sitegen.feeds import ATOM_ENTRIES_MAX, ROBOTS_KEY, atom_feed, robots_text
from spillway.sitegen.listings import Search
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage, ProductRow
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.related import by_likeness
from spillway.sitegen.release import ObjectKind, PageDates, PageJob, ReleaseSource
from spillway.sitegen.theming import TemplateFingerprints

# The stock of each variant, by the product's slug and the variant's SKU.
StockBySlug = Mapping[Slug, Mapping[Sku, Stock]]

# Some 30 MB of unpacked products.
_PRODUCTS_KEPT_MAX = 4096
SITEMAP_TYPE = "application/xml"
_SAMPLE = "-"


class SitePages:
    """Every page of one release.

    Pages show the given stock, and where it says nothing of a variant the stock in the product's file. Forms
    carry tokens of the shop they are made for, by `form_tokens`; without it they work for none.
    """

    def __init__(
        self, source: ReleaseSource, stock: StockBySlug, form_tokens: FormTokens | None, dates: PageDates
    ) -> None:
        """Prepare the pages of `source`; `dates` knows the last changes of the release before."""
        self._source = source
        self._dates = dates
        self._renderer = Renderer(source.theme)
        products = StockedProducts(source.products, stock)
        self._editions = [
            EditionPages(
                renderer,
                products,
                [page for page in source.contents if page.locale == renderer.language],
                form_tokens,
            )
            for renderer in self._renderer.editions
        ]

    def jobs(self) -> list[PageJob]:
        """Return the jobs of all pages, the sitemap and robots.txt."""
        shop, root_files = self._source.theme.shop, self._source.root_files
        dated = [(pages.edition, pages.last_changes(self._dates)) for pages in self._editions]
        maps = sitemaps(shop.base_url, dated, self._source.theme.sitemap_parts)
        robots = robots_text(_robots(shop.base_url), root_files)
        return [
            self._editions[0].fixed(NOT_FOUND_PATH, "not-found.html", at=HOME),
            *(job for pages in self._editions for job in pages.jobs()),
            *(text_job(key, text, SITEMAP_TYPE) for key, text in maps.items()),
            text_job(ROBOTS_KEY, robots, "text/plain; charset=utf-8"),
        ]

    def root_files(self) -> list[PageJob]:
        """Return the jobs of the merchant's own files at the root, which are copied."""
        return [
            PageJob(
                file.key,
                file.key,
                ObjectKind.INDEX,
                file.content_type,
                "",
                digest_of(file.body),
                file.body.__bytes__,
            )
            for file in self._source.root_files
            if file.key != ROBOTS_KEY
        ]

    def redirects(self, redirects: tuple[Redirect, ...], keys: Set[str]) -> Iterator[PageJob]:
        """Yield the jobs of redirect pages. `keys` are those of the shop's own pages."""
        by_root = {pages.edition.root: pages for pages in self._editions}
        for root, redirect in redirects_of_editions(redirects, tuple(by_root), keys):
            for key in redirect.keys:
                yield by_root[root].moved(key, redirect.target)

    def try_cloud_templates(self) -> None:
        """Render what only the cloud renders, and drop it: an error shows now, and not to a shopper.

        Raises:
            jinja2.TemplateError: one of these templates is wrong.
        """
        for renderer in self._renderer.editions:
            try_cloud_templates(renderer, self._source.products[0].product)


def try_cloud_templates(renderer: Renderer, product: Product) -> None:
    """Render every page and email that only the cloud renders, with sample values, and drop it.

    Raises:
        jinja2.TemplateError: a template is wrong.
    """
    # Imported here: a build in which little changed does not need it.
    from chalicelib.services.waitlist import Awaited

    variant = product.variants[0]
    awaited = Awaited(sku=Sku("-"), title="-", label="-", path="-", state=EntryState.PENDING)
    renderer.linked_items_page("confirm.html", [(product, variant, True)], at="/", token=_SAMPLE)
    renderer.page("unsubscribe.html", token=_SAMPLE, notified=False)
    renderer.page("my-waitlists.html", awaited=[awaited], token=_SAMPLE)
    renderer.page("merchant-sign-in.html", token=_SAMPLE)
    renderer.page("link-problem.html")
    renderer.page("form-problem.html", problems=["-"], back_path="/")
    renderer.page("form-again.html", problems=["-"], fields=[("-", "-")], action="-")
    renderer.page("signed-up.html", items=["-"], mailbox="-", fields=[("-", "-")])
    asked: dict[str, Any] = {"items": ["-"], "mailbox": "-", "fields": [("-", "-")]}
    renderer.page("did-you-mean.html", **asked, meant="-", meant_fields=[("-", "-")])
    for email in ("confirm", "already", "available"):
        renderer.product_email(email, product=product, variant=variant, action_url="-", unsubscribe_url="-")
    for email in ("my-waitlists", "sign-in", "test"):
        renderer.email(email, action_url="-")


class StockedProducts:
    """The products of a release with their stock, unpacked once for pages that are near each other."""

    def __init__(self, products: Products, stock: StockBySlug) -> None:
        """Overlay the stock in the products' files with `stock`."""
        self.all = products
        self._stock = stock
        # Each page that shows a product asks for its digest.
        self.digest = cache(self._digest)
        # A page and two listings show a product, mostly not far apart.
        self.unpacked = lru_cache(maxsize=_PRODUCTS_KEPT_MAX)(self._unpacked)

    def observed(self, slug: Slug) -> Iterable[Stock]:
        """Return the stock of a product's variants that does not come from its file."""
        return self._stock.get(slug, {}).values()

    def _digest(self, slug: Slug) -> str:
        """Return a digest that changes with the product and its stock."""
        stock = self._stock.get(slug)
        digest = self.all.digest(slug)
        return f"{digest} {sorted(stock.items())}" if stock else digest

    def _unpacked(self, slug: Slug) -> tuple[Product, Mapping[Sku, Stock]]:
        entry = self.all.named(slug)
        return entry.product, {**entry.stock, **self._stock.get(slug, {})}


class EditionPages:
    """The pages of one edition."""

    def __init__(
        self,
        renderer: Renderer,
        products: StockedProducts,
        contents: Sequence[ContentPage],
        form_tokens: FormTokens | None,
    ) -> None:
        """Prepare the pages that `renderer` renders; `contents` are those in its language."""
        self._renderer = renderer
        self.edition = renderer.edition
        self._products = products
        self._rows = products.all.rows
        self._contents = contents
        self._form_tokens = form_tokens
        self._templates = TemplateFingerprints(renderer.theme, renderer.edition)
        self._shop = digest_of(self.edition.shop, code_digest())
        # Half a dozen listings show the card of a product.
        self._card = cache(self._rendered_card)
        self._small_card = cache(self._rendered_small_card)

    def jobs(self) -> Iterator[PageJob]:
        """Yield the jobs of all its pages, and of its feed where a product states a release date."""
        # In this order, one process renders most of the small cards that its pages show.
        yield from self.product_pages(by_likeness(self._rows))
        for content in self._contents:
            digest = self._digest("content.html", content)
            yield self._page(content.path, ObjectKind.PAGE, digest, partial(self._content, content))
        for path, template in FIXED_PAGES.items():
            yield self.fixed(path, template, at=path)
        yield from self._merchant()
        for listing in self.edition.listings:
            yield self.listing_page(listing)
        yield self.search_page()
        yield text_job(self.search_key, self.search().index(), "application/json")
        if newest := newest_dated(self._rows):
            yield self.feed([row.slug for row in newest])

    def product_pages(self, rows: Iterable[ProductRow]) -> Iterator[PageJob]:
        """Yield the jobs of the pages of products."""
        series = self._form_tokens.series if self._form_tokens else ""
        common = self._digest("product.html", series, self._templates.digest("small-card.html"))
        crumbs = _Breadcrumbs(self.edition)
        for row in rows:
            yield self._product(row, f"{common} {crumbs.digest(row)}")

    def feed(self, newest: Sequence[Slug]) -> PageJob:
        """Return the job of the Atom feed of these products."""
        products = [self._renderer.localize(self._products.all.named(slug).product) for slug in newest]
        key = object_key(self.edition.localized_path(FEED_PATH))
        return text_job(key, atom_feed(self.edition, products), "application/atom+xml")

    def fixed(self, path: str, template: str, *, at: str, **context: Any) -> PageJob:
        """Return the job of a page that shows nothing of the catalogue; other editions have it under `at`."""
        digest = self._digest(template, at, repr(context)) if context else self._digest(template, at)
        return self._page(
            path, ObjectKind.PAGE, digest, partial(self._renderer.page, template, at=at, **context)
        )

    def _merchant(self) -> Iterator[PageJob]:
        from spillway.preflight.bill import traffic_prices

        page = self.fixed(MERCHANT_PATH, "merchant.html", at=MERCHANT_PATH, traffic_prices=traffic_prices())
        yield replace(page, file=f"{page.key}{HOME_KEY}")
        yield self.moved(page.key.removesuffix("/"), self.edition.localized_path(MERCHANT_PATH))

    def moved(self, key: str, target: str) -> PageJob:
        """Return the job of the page under `key` that redirects to `target`, a path or a URL."""
        url = f"{self.edition.shop.base_url}{target}" if target.startswith("/") else target
        return PageJob(
            key,
            redirect_file(key),
            ObjectKind.PAGE,
            PAGE_CONTENT_TYPE,
            self.edition.shop.locale,
            self._digest("moved.html", target),
            lambda: self._renderer.page("moved.html", target=target, target_url=url).encode(),
        )

    def last_changes(self, dates: PageDates) -> dict[str, str | None]:
        """Return the pages that search engines may list, with the times of their last changes.

        They are named by their paths in the first edition.
        """
        template = Checkout.of(self.edition.shop.checkout).template
        checkout = template.own_path if template else None
        contents = [content for content in self._contents if content.path != checkout]
        return dates.of_all(self.edition, self._products.all, contents, self._products.observed)

    def _product(self, row: ProductRow, common: str) -> PageJob:
        related = self._products.all.related(row.slug)
        digests = [self._products.digest(row.slug), *(self._products.all.digest(slug) for slug in related)]

        def make() -> str:
            product, stock = self._products.unpacked(row.slug)
            cards = [self._small_card(slug) for slug in related]
            return self._renderer.product(product, stock, self._form_tokens, related=cards)

        return self._page(f"/products/{row.slug}", ObjectKind.PAGE, f"{common} {' '.join(digests)}", make)

    def listing_page(self, listing: Listing) -> PageJob:
        """Return the job of a page of cards."""
        covers = covers_of(self.edition.listings) if listing.path == HOME else ()
        digest = digest_of(
            self._shop,
            self._templates.digest(listing.template, "card.html"),
            listing,
            [(cover.path, cover.title, cover.description, cover.picture) for cover in covers],
            [self._products.digest(slug) for slug in listing.slugs],
        )

        def make() -> str:
            # Made when the page is: all listings of a large shop have more cards than pages.
            return self._renderer.listing(
                listing, {slug: partial(self._card, slug) for slug in listing.slugs}
            )

        return self._page(listing.path, ObjectKind.INDEX, digest, make)

    def _rendered_card(self, slug: Slug, *, eager: bool = False, alone: bool = False) -> Markup:
        return self._renderer.card(*self._products.unpacked(slug), eager=eager, alone=alone)

    def _rendered_small_card(self, slug: Slug) -> Markup:
        return self._renderer.small_card(self._products.unpacked(slug)[0])

    @property
    def search_key(self) -> str:
        """The key of the index that the script of the search page fetches."""
        return object_key(self.edition.localized_path(INDEX_PATH))

    def search(self) -> Search:
        """Return the search of the edition."""
        translated = self.edition is not self._renderer.theme.editions[0]
        return Search(self.edition, self._products.all, translated=translated)

    def search_page(self) -> PageJob:
        """Return the job of the search page."""
        search = self.search()

        def make() -> str:
            context = {"categories": search.categories(), "tags": search.tags()}
            return self._renderer.page("search.html", at=SEARCH_PATH, **context)

        return self._page(
            SEARCH_PATH, ObjectKind.INDEX, self._digest("search.html", search.page_digest), make
        )

    def _content(self, content: ContentPage) -> str:
        return self._renderer.page(
            "content.html",
            path=content.path,
            title=content.title,
            description=content.description,
            body_html=content.body_html,
            language=content.language,
        )

    def _page(self, path: str, kind: ObjectKind, digest: str, make: Callable[[], str]) -> PageJob:
        key = object_key(self.edition.localized_path(path))
        # The home page of a further language has all of its other pages under its key.
        file = f"{key}/{HOME_KEY}" if path == HOME and self.edition.root else key
        language = self.edition.shop.locale
        return PageJob(key, file, kind, PAGE_CONTENT_TYPE, language, digest, lambda: make().encode())

    def _digest(self, template: str, *parts: object) -> str:
        return digest_of(self._shop, self._templates.digest(template), *parts)


def newest_dated(rows: Iterable[ProductRow]) -> list[ProductRow]:
    """Return the products that the Atom feed shows: the newest of those with a release date."""
    dated = [row for row in rows if row.released_on]
    return sorted(dated, key=lambda row: (row.released_on or "", row.slug), reverse=True)[:ATOM_ENTRIES_MAX]


class _Breadcrumbs:
    """Digests of what the page of a product shows of the listings that it links to."""

    def __init__(self, edition: Edition) -> None:
        first = [listing for listing in edition.listings if listing.number == 1]
        self._by_path = {listing.path: repr((listing.path, listing.title)) for listing in first}
        self._by_tag = {tag: self._by_path[listing.path] for listing in first for tag in listing.tags}

    def digest(self, row: ProductRow) -> str:
        category = self._by_path.get(f"/shop/{row.category}", "")
        return " ".join([category, *(self._by_tag.get(tag, "") for tag in row.tags)])


def text_job(key: str, text: str, content_type: str) -> PageJob:
    """Return the job of a file whose text is known already."""
    body = text.encode()
    digest = hashlib.sha256(body).hexdigest()
    return PageJob(key, key, ObjectKind.INDEX, content_type, "", digest, lambda: body)


def _robots(base_url: str) -> str:
    return f"User-agent: *\nDisallow: /api/\n\nSitemap: {base_url}/sitemap.xml\n"
