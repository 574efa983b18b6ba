"""Every page of a release, rendered; and every page the cloud will render later, tried once."""

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock
from chalicelib.storage.pages import PAGE_CACHE_CONTROL, PAGE_CONTENT_TYPE, object_key
from chalicelib.storefront.checkout import CheckoutForm
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Theme
from spillway.build.catalogue import CatalogueProduct, ContentPage
from spillway.build.release import Kind, SiteObject

StockBySlug = Mapping[str, Mapping[str, Stock]]

# Pages with nothing of the catalogue on them, by path.
_FIXED_PAGES = {
    "/404": "not-found.html",
    "/waitlist/thanks": "waitlist-thanks.html",
    "/waitlist/confirmed": "waitlist-confirmed.html",
    "/waitlist/left": "waitlist-left.html",
}
_SAMPLE = "-"


def pages_of(
    theme: Theme, entries: Sequence[CatalogueProduct], contents: Sequence[ContentPage], stock: StockBySlug
) -> Iterator[SiteObject]:
    """All pages, the sitemap and robots.txt, for `stock` where it says something and else as stated.

    Raises:
        jinja2.TemplateError: a template is wrong, also one that only the cloud renders.
    """
    renderer = Renderer(theme)
    cards: dict[str, tuple[Product, Mapping[str, Stock]]] = {
        entry.product.slug: (entry.product, {**entry.stock, **stock.get(entry.product.slug, {})})
        for entry in entries
    }
    for product, held in cards.values():
        yield _page(product.path, renderer.product(product, held), Kind.PAGE)
    for content in contents:
        yield _page(content.path, _content(renderer, content), Kind.PAGE)
    for path, template in _FIXED_PAGES.items():
        yield _page(path, renderer.page(template), Kind.PAGE)
    for listing in theme.listings:
        shown = [cards[slug] for slug in listing.slugs]
        yield _page(listing.path, renderer.listing(listing, shown), Kind.INDEX)
    yield _text("sitemap.xml", _sitemap(theme, entries, contents), "application/xml")
    yield _text("robots.txt", _robots(theme), "text/plain; charset=utf-8")
    try_cloud_templates(renderer, entries[0].product)


def try_cloud_templates(renderer: Renderer, product: Product) -> None:
    """Render what the cloud will render, and drop it: a mistake shows here and not at a shopper's."""
    variant = product.variants[0]
    renderer.page("confirm.html", product=product, variant=variant, token=_SAMPLE)
    renderer.page("leave.html", token=_SAMPLE)
    renderer.page("link-problem.html")
    renderer.page("form-problem.html", problems=["-"], back_path="/")
    for letter in ("confirm", "available"):
        renderer.letter(letter, product=product, variant=variant, action_url="-", leave_url="-")


def _content(renderer: Renderer, content: ContentPage) -> str:
    return renderer.page(
        "content.html",
        path=content.path,
        title=content.title,
        description=content.description,
        body_html=content.body_html,
    )


def _page(path: str, html: str, kind: Kind) -> SiteObject:
    return SiteObject.of(
        object_key(path),
        html.encode(),
        content_type=PAGE_CONTENT_TYPE,
        cache_control=PAGE_CACHE_CONTROL,
        kind=kind,
    )


def _text(key: str, text: str, content_type: str) -> SiteObject:
    return SiteObject.of(
        key, text.encode(), content_type=content_type, cache_control=PAGE_CACHE_CONTROL, kind=Kind.INDEX
    )


def _sitemap(theme: Theme, entries: Sequence[CatalogueProduct], contents: Sequence[ContentPage]) -> str:
    checkout = CheckoutForm.of(theme.shop.checkout_url).action
    paths = [listing.path for listing in theme.listings]
    paths += [entry.product.path for entry in entries]
    paths += [content.path for content in contents if content.path != checkout]
    rows = "".join(f"<url><loc>{escape(theme.shop.base_url + path)}</loc></url>\n" for path in paths)
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{schema}">\n{rows}</urlset>\n'


def _robots(theme: Theme) -> str:
    return f"User-agent: *\nDisallow: /api/\n\nSitemap: {theme.shop.base_url}/sitemap.xml\n"
