"""Every page of a release, rendered; and every page the cloud will render later, tried once."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

from chalicelib.domain.entry import EntryState
from chalicelib.domain.form_stamp import FormStamps
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock
from chalicelib.services.yours import Awaited
from chalicelib.storage.pages import PAGE_CONTENT_TYPE, object_key
from chalicelib.storefront.checkout import CheckoutForm
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import HOME, Listing, Theme, covers_of
from spillway.build.catalogue import ContentPage, ProductRow
from spillway.build.memory import code_digest, digest_of
from spillway.build.products import Products
from spillway.build.recipes import Recipe, ThemeParts
from spillway.build.release import Kind
from spillway.build.syndication import FEED_ENTRIES_MAX, feed, sitemaps

StockBySlug = Mapping[str, Mapping[str, Stock]]

# Pages with nothing of the catalogue on them, by path.
_FIXED_PAGES = {
    "/404": "not-found.html",
    "/waitlist/thanks": "waitlist-thanks.html",
    "/waitlist/confirmed": "waitlist-confirmed.html",
    "/waitlist/left": "waitlist-left.html",
    "/waitlist/yours": "waitlist-yours.html",
    "/waitlist/sent": "waitlist-sent.html",
    "/waitlist/erased": "waitlist-erased.html",
}
_SAMPLE = "-"
# Some 30 MB of opened products.
_CARDS_KEPT_MAX = 4096
_SAMPLE_AWAITED = Awaited(sku="-", title="-", label="-", path="-", state=EntryState.PENDING)


class Rendering:
    """Every page of one release, as recipes: what each is made from, and how, but nothing made yet.

    `stock` counts where it says something, and else what the product's file states. `stamps` are those
    of the shop the pages are made for, if they are made for one.
    """

    def __init__(
        self,
        theme: Theme,
        products: Products,
        contents: Sequence[ContentPage],
        stock: StockBySlug,
        stamps: FormStamps | None = None,
    ) -> None:
        self._theme = theme
        self._base_url = theme.shop.base_url
        self._products = products
        self._contents = contents
        self._stock = stock
        self._stamps = stamps
        self._parts = ThemeParts(theme)
        self._renderer = Renderer(theme)
        # A product is shown on its page and on two shelves, mostly not far apart.
        self._card = lru_cache(maxsize=_CARDS_KEPT_MAX)(self._opened)

    def recipes(self) -> list[Recipe]:
        """Of all pages, the sitemap and robots.txt."""
        shelves = {each.path: each for each in self._theme.listings}
        shop = digest_of(self._theme.shop, code_digest())
        series = self._stamps.series if self._stamps else ""
        product_digest = digest_of(shop, self._parts.digest("product.html"), series)
        recipes = [
            self._product(row, f"{product_digest} {_crumb(shelves, row)}") for row in self._products.rows
        ]
        for content in self._contents:
            digest = digest_of(shop, self._parts.digest("content.html"), content)
            recipes.append(_page(content.path, Kind.PAGE, digest, partial(self._content, content)))
        for path, template in _FIXED_PAGES.items():
            digest = digest_of(shop, self._parts.digest(template))
            recipes.append(_page(path, Kind.PAGE, digest, partial(self._renderer.page, template)))
        recipes += [self._listing(listing, shop) for listing in self._theme.listings]
        return [
            *recipes,
            *(_text(key, text, "application/xml") for key, text in sitemaps(self._base_url, self._paths())),
            _text("feed.xml", feed(self._theme.shop, self._newest()), "application/atom+xml"),
            _text("robots.txt", _robots(self._base_url), "text/plain; charset=utf-8"),
        ]

    def try_cloud_templates(self) -> None:
        """Render what the cloud will render, and drop it: a mistake shows here and not at a shopper's.

        Raises:
            jinja2.TemplateError: a template that only the cloud renders is wrong.
        """
        try_cloud_templates(self._renderer, self._products[0].product)

    def _product(self, row: ProductRow, theme_digest: str) -> Recipe:
        def make() -> str:
            product, held = self._card(row.slug)
            return self._renderer.product(product, held, self._stamps)

        return _page(
            f"/products/{row.slug}", Kind.PAGE, f"{theme_digest} {self._card_digest(row.slug)}", make
        )

    def _listing(self, listing: Listing, shop: str) -> Recipe:
        covers = covers_of(self._theme.listings) if listing.path == HOME else ()
        digest = digest_of(
            shop,
            self._parts.digest(listing.template),
            listing,
            [(each.path, each.title, each.description, each.picture) for each in covers],
            [self._card_digest(slug) for slug in listing.slugs],
        )
        return _page(
            listing.path,
            Kind.INDEX,
            digest,
            lambda: self._renderer.listing(listing, [self._card(slug) for slug in listing.slugs]),
        )

    def _opened(self, slug: str) -> tuple[Product, Mapping[str, Stock]]:
        entry = self._products.named(slug)
        return entry.product, {**entry.stock, **self._stock.get(slug, {})}

    def _card_digest(self, slug: str) -> str:
        stock = self._stock.get(slug)
        digest = self._products.digest(slug)
        return f"{digest} {sorted(stock.items())}" if stock else digest

    def _content(self, content: ContentPage) -> str:
        return self._renderer.page(
            "content.html",
            path=content.path,
            title=content.title,
            description=content.description,
            body_html=content.body_html,
        )

    def _paths(self) -> list[str]:
        """Every page that a search engine may list."""
        checkout = CheckoutForm.of(self._theme.shop.checkout_url).action
        paths = [listing.path for listing in self._theme.listings]
        paths += [f"/products/{slug}" for slug in self._products.slugs]
        return paths + [content.path for content in self._contents if content.path != checkout]

    def _newest(self) -> list[Product]:
        rows = [row for row in self._products.rows if row.released_on]
        rows.sort(key=lambda row: (row.released_on or "", row.slug), reverse=True)
        return [self._products.named(row.slug).product for row in rows[:FEED_ENTRIES_MAX]]


def try_cloud_templates(renderer: Renderer, product: Product) -> None:
    """Render what the cloud will render, and drop it: a mistake shows here and not at a shopper's."""
    variant = product.variants[0]
    renderer.page("confirm.html", product=product, variant=variant, token=_SAMPLE)
    renderer.page("leave.html", token=_SAMPLE)
    renderer.page("yours.html", awaited=[_SAMPLE_AWAITED], token=_SAMPLE)
    renderer.page("link-problem.html")
    renderer.page("form-problem.html", problems=["-"], back_path="/")
    renderer.page("form-again.html", problems=["-"], fields=[("-", "-")])
    for letter in ("confirm", "available"):
        renderer.letter(letter, product=product, variant=variant, action_url="-", leave_url="-")
    renderer.note("yours", action_url="-")


def _crumb(shelves: Mapping[str, Listing], row: ProductRow) -> str:
    shelf = shelves.get(f"/shop/{row.category}")
    return f"{shelf.path} {shelf.title}" if shelf else ""


def _page(path: str, kind: Kind, digest: str, make: Callable[[], str]) -> Recipe:
    return Recipe(object_key(path), kind, PAGE_CONTENT_TYPE, digest, lambda: make().encode())


def _text(key: str, text: str, content_type: str) -> Recipe:
    body = text.encode()
    return Recipe(key, Kind.INDEX, content_type, digest_of(body), lambda: body)


def _robots(base_url: str) -> str:
    return f"User-agent: *\nDisallow: /api/\n\nSitemap: {base_url}/sitemap.xml\n"
