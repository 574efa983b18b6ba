"""The pages of one edition of a release, as jobs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial

from markupsafe import Markup

from chalicelib.domain.form_stamp import FormStamps
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock
from chalicelib.storage.pages import HOME_KEY, PAGE_CONTENT_TYPE, object_key
from chalicelib.storefront.checkout import CheckoutForm
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import HOME, Edition, Listing, covers_of
from spillway.sitegen.build_cache import code_digest, digest_of
from spillway.sitegen.dates import Dates
from spillway.sitegen.page_jobs import PageJob, TemplateFingerprints
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage, ProductRow
from spillway.sitegen.reading.redirects import redirect_file
from spillway.sitegen.release import Kind
from spillway.sitegen.search import INDEX_PATH, SEARCH_PATH, Search
from spillway.sitegen.syndication import FEED_ENTRIES_MAX, feed

StockBySlug = Mapping[str, Mapping[str, Stock]]

# Pages with nothing of the catalogue on them, by path.
_FIXED_PAGES = {
    "/waitlist/thanks": "waitlist-thanks.html",
    "/waitlist/confirmed": "waitlist-confirmed.html",
    "/waitlist/unsubscribed": "waitlist-unsubscribed.html",
    "/waitlist/notified": "waitlist-notified.html",
    "/waitlist/undone": "waitlist-undone.html",
    "/waitlist/my-waitlists": "waitlist-my-waitlists.html",
    "/waitlist/sent": "waitlist-sent.html",
    "/waitlist/erased": "waitlist-erased.html",
}
# Some 30 MB of opened products.
_CARDS_KEPT_MAX = 4096


class Cards:
    """Products as the pages of every edition show them, opened once for pages that are near each other."""

    def __init__(self, products: Products, stock: StockBySlug) -> None:
        self._products = products
        self._stock = stock
        # It is part of every page that shows the product.
        self.digest = cache(self._digest)
        # A product is shown on its page and on two shelves, mostly not far apart.
        self.opened = lru_cache(maxsize=_CARDS_KEPT_MAX)(self._opened)

    def _digest(self, slug: str) -> str:
        """Changes with anything known of a product and its stock."""
        stock = self._stock.get(slug)
        digest = self._products.digest(slug)
        return f"{digest} {sorted(stock.items())}" if stock else digest

    def observed(self, slug: str) -> Iterable[Stock]:
        """What is known of a product's stock beside its file."""
        return self._stock.get(slug, {}).values()

    def _opened(self, slug: str) -> tuple[Product, Mapping[str, Stock]]:
        entry = self._products.named(slug)
        return entry.product, {**entry.stock, **self._stock.get(slug, {})}


class EditionRendering:
    """The pages of one edition."""

    def __init__(
        self,
        renderer: Renderer,
        products: Products,
        contents: Sequence[ContentPage],
        cards: Cards,
        stamps: FormStamps | None,
    ) -> None:
        self._renderer = renderer
        self.edition = renderer.edition
        self._products = products
        self._contents = contents
        self._cards = cards
        self._stamps = stamps
        self._parts = TemplateFingerprints(renderer.theme, renderer.edition)
        self._shop = digest_of(self.edition.shop, code_digest())
        # A product has one on half a dozen listings.
        self._card = cache(self._made_card)

    def jobs(self) -> Iterator[PageJob]:
        """Return the jobs of all its pages, and of its feed where a product says when it came."""
        crumbs = _Crumbs(self.edition)
        series = self._stamps.series if self._stamps else ""
        theme_digest = digest_of(self._shop, self._parts.digest("product.html"), series)
        for row in self._products.rows:
            yield self._product(row, f"{theme_digest} {crumbs.of(row)}")
        for content in self._contents:
            digest = digest_of(self._shop, self._parts.digest("content.html"), content)
            yield self._page(content.path, Kind.PAGE, digest, partial(self._content, content))
        for path, template in _FIXED_PAGES.items():
            yield self.fixed(path, template, at=path)
        for listing in self.edition.listings:
            yield self._listing(listing)
        yield from self._search()
        if newest := self._newest():
            key = object_key(self.edition.at("/feed.xml"))
            yield text_job(key, feed(self.edition, newest), "application/atom+xml")

    def fixed(self, path: str, template: str, *, at: str) -> PageJob:
        """Of a page with nothing of the catalogue on it, which is found at `at` in every edition."""
        digest = digest_of(self._shop, self._parts.digest(template), at)
        return self._page(path, Kind.PAGE, digest, partial(self._renderer.page, template, at=at))

    def moved(self, key: str, target: str) -> PageJob:
        """Return the job of the page under `key` that leads on to `target`, a path or an address."""
        url = f"{self.edition.shop.base_url}{target}" if target.startswith("/") else target
        return PageJob(
            key,
            redirect_file(key),
            Kind.PAGE,
            PAGE_CONTENT_TYPE,
            self.edition.shop.locale,
            digest_of(self._shop, self._parts.digest("moved.html"), target),
            lambda: self._renderer.page("moved.html", target=target, target_url=url).encode(),
        )

    def listed(self, dates: Dates) -> dict[str, str | None]:
        """Every page that a search engine may list, by its path in the first edition, with the time of its
        last change."""
        checkout = CheckoutForm.of(self.edition.shop.checkout_url).action
        contents = [each for each in self._contents if each.path != checkout]
        return dates.of_all(self.edition, self._products, contents, self._cards.observed)

    def _product(self, row: ProductRow, theme_digest: str) -> PageJob:
        digest = f"{theme_digest} {self._cards.digest(row.slug)}"
        return self._page(
            f"/products/{row.slug}",
            Kind.PAGE,
            digest,
            lambda: self._renderer.product(*self._cards.opened(row.slug), self._stamps),
        )

    def _listing(self, listing: Listing) -> PageJob:
        covers = covers_of(self.edition.listings) if listing.path == HOME else ()
        digest = digest_of(
            self._shop,
            self._parts.digest(listing.template, "card.html"),
            listing,
            [(each.path, each.title, each.description, each.picture) for each in covers],
            [self._cards.digest(slug) for slug in listing.slugs],
        )
        return self._page(
            listing.path,
            Kind.INDEX,
            digest,
            lambda: self._renderer.listing(listing, [partial(self._card, slug) for slug in listing.slugs]),
        )

    def _made_card(self, slug: str, *, eager: bool = False) -> Markup:
        return self._renderer.card(*self._cards.opened(slug), eager=eager)

    def _search(self) -> Iterator[PageJob]:
        """Of the search page, and of what its script looks through."""
        translated = self.edition is not self._renderer.theme.editions[0]
        search = Search(self.edition, self._products, translated=translated)

        def make() -> str:
            context = {"shelves": search.shelves(), "tags": search.tags()}
            return self._renderer.page("search.html", at=SEARCH_PATH, **context)

        digest = digest_of(self._shop, self._parts.digest("search.html"), search.digest)
        yield self._page(SEARCH_PATH, Kind.INDEX, digest, make)
        key = object_key(self.edition.at(INDEX_PATH))
        yield PageJob(
            key, key, Kind.INDEX, "application/json", "", search.digest, lambda: search.index().encode()
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

    def _newest(self) -> list[Product]:
        rows = [row for row in self._products.rows if row.released_on]
        rows.sort(key=lambda row: (row.released_on or "", row.slug), reverse=True)
        newest = [self._products.named(row.slug).product for row in rows[:FEED_ENTRIES_MAX]]
        return [self._renderer.told(product) for product in newest]

    def _page(self, path: str, kind: Kind, digest: str, make: Callable[[], str]) -> PageJob:
        key = object_key(self.edition.at(path))
        # The home page of another locale than the first has all its pages under it.
        file = f"{key}/{HOME_KEY}" if path == HOME and self.edition.root else key
        language = self.edition.shop.locale
        return PageJob(key, file, kind, PAGE_CONTENT_TYPE, language, digest, lambda: make().encode())


class _Crumbs:
    """What the page of a product says of the listings it leads to."""

    def __init__(self, edition: Edition) -> None:
        first = [each for each in edition.listings if each.number == 1]
        self._shelves = {each.path: repr((each.path, each.title)) for each in first}
        self._tags = {tag: repr((each.path, each.title)) for each in first for tag in each.tags}

    def of(self, row: ProductRow) -> str:
        """Changes when any of it does."""
        tags = [self._tags.get(tag, "") for tag in row.tags]
        return " ".join([self._shelves.get(f"/shop/{row.category}", ""), *tags])


def text_job(key: str, text: str, content_type: str) -> PageJob:
    """Of a file whose text is there already."""
    body = text.encode()
    return PageJob(key, key, Kind.INDEX, content_type, "", digest_of(body), lambda: body)
