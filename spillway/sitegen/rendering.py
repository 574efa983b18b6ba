"""Every page of a release, rendered; and every page the cloud will render later, tried once."""

from collections.abc import Iterator, Sequence, Set

from chalicelib.domain.entry import EntryState
from chalicelib.domain.form_stamp import FormStamps
from chalicelib.domain.product import Product
from chalicelib.services.my_waitlists import Awaited
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.sitemap import sitemaps
from chalicelib.storefront.theme import HOME, Theme
from spillway.sitegen.build_cache import digest_of
from spillway.sitegen.dates import Dates
from spillway.sitegen.edition_rendering import Cards, EditionRendering, StockBySlug, text_job
from spillway.sitegen.page_jobs import PageJob
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage
from spillway.sitegen.reading.redirects import Redirect, redirects_of_editions
from spillway.sitegen.release import Kind
from spillway.sitegen.root_files import ROBOTS_KEY, RootFile, robots_text

# The one page that has no address, and so no language but the first.
_NOT_FOUND = "/404"
_SAMPLE = "-"
_SAMPLE_AWAITED = Awaited(sku="-", title="-", label="-", path="-", state=EntryState.PENDING)


class Rendering:
    """Every page of one release, as jobs: what each is made from, and how, but nothing made yet.

    `stock` counts where it says something, and else what the product's file states. `stamps` are those
    of the shop the pages are made for, if they are made for one; `dates` know since when they say what they
    say.
    """

    def __init__(
        self,
        theme: Theme,
        products: Products,
        contents: Sequence[ContentPage],
        stock: StockBySlug,
        stamps: FormStamps | None = None,
        dates: Dates | None = None,
        root_files: tuple[RootFile, ...] = (),
    ) -> None:
        self._theme = theme
        self._dates = dates or Dates()
        self._root_files = root_files
        self._products = products
        self._renderer = Renderer(theme)
        cards = Cards(products, stock)
        self._editions = [
            EditionRendering(
                each, products, [page for page in contents if page.locale == each.language], cards, stamps
            )
            for each in self._renderer.editions
        ]

    def jobs(self) -> list[PageJob]:
        """Of all pages, the sitemap and robots.txt."""
        base_url = self._theme.shop.base_url
        dated = [(each.edition, each.listed(self._dates)) for each in self._editions]
        return [
            self._editions[0].fixed(_NOT_FOUND, "not-found.html", at=HOME),
            *(job for each in self._editions for job in each.jobs()),
            *(
                text_job(key, text, "application/xml")
                for key, text in sitemaps(base_url, dated, self._theme.sitemap_parts).items()
            ),
            text_job(
                ROBOTS_KEY, robots_text(_robots(base_url), self._root_files), "text/plain; charset=utf-8"
            ),
        ]

    def files_at_the_root(self) -> list[PageJob]:
        """Return the jobs of the merchant's own files, as they are."""
        files = [each for each in self._root_files if each.key != ROBOTS_KEY]
        return [
            PageJob(
                each.key,
                each.key,
                Kind.INDEX,
                each.content_type,
                "",
                digest_of(each.body),
                each.body.__bytes__,
            )
            for each in files
        ]

    def redirected(self, redirects: tuple[Redirect, ...], keys: Set[str]) -> Iterator[PageJob]:
        """Yield the jobs of pages that lead on. `keys` are those of the shop's pages."""
        by_root = {each.edition.root: each for each in self._editions}
        roots = tuple(by_root)
        for root, redirect in redirects_of_editions(redirects, roots, keys):
            for key in redirect.keys:
                yield by_root[root].moved(key, redirect.target)

    def try_cloud_templates(self) -> None:
        """Render what the cloud will render, and drop it: a mistake shows here and not at a shopper's.

        Raises:
            jinja2.TemplateError: a template that only the cloud renders is wrong.
        """
        for renderer in self._renderer.editions:
            try_cloud_templates(renderer, self._products[0].product)


def try_cloud_templates(renderer: Renderer, product: Product) -> None:
    """Render what the cloud will render, and drop it: a mistake shows here and not at a shopper's."""
    variant = product.variants[0]
    renderer.about_all("confirm.html", [(product, variant, True)], at="/", token=_SAMPLE)
    renderer.page("unsubscribe.html", token=_SAMPLE, notified=False)
    renderer.page("my-waitlists.html", awaited=[_SAMPLE_AWAITED], token=_SAMPLE)
    renderer.page("link-problem.html")
    renderer.page("form-problem.html", problems=["-"], back_path="/")
    renderer.page("form-again.html", problems=["-"], fields=[("-", "-")], action="-")
    renderer.page("signed-up.html", items=["-"], mailbox="-", fields=[("-", "-")])
    renderer.page("did-you-mean.html", typed="-", meant="-", fields=[("-", "-")], thanks_path="-")
    for email in ("confirm", "already", "available"):
        renderer.email(email, product=product, variant=variant, action_url="-", unsubscribe_url="-")
    renderer.note("my-waitlists", action_url="-")


def _robots(base_url: str) -> str:
    return f"User-agent: *\nDisallow: /api/\n\nSitemap: {base_url}/sitemap.xml\n"
