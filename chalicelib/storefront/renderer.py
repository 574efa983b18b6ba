"""The one renderer: whoever makes a page or a letter, the operator's build or the cloud, makes it here."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateRuntimeError, select_autoescape

from chalicelib.domain.entry import OptIn
from chalicelib.domain.form_stamp import FormStamps, stamp_of
from chalicelib.domain.letter import Letter
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.checkout import CheckoutForm
from chalicelib.storefront.choices import availability_of, choices_of
from chalicelib.storefront.compiled import COMPILED
from chalicelib.storefront.json_ld import product_json_ld
from chalicelib.storefront.theme import HOME, Listing, Theme, covers_of, menu_of


class Renderer:
    """Pages and letters of one theme. The same input always gives the same text.

    Catalogue text is data: it is escaped where it stands and never read as a template. Only
    `Product.description_html` and `body_html` of a content page are taken as markup, because the
    build has sanitised them.
    """

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._environment = Environment(
            loader=FunctionLoader(self._source),
            autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
            undefined=StrictUndefined,
            auto_reload=False,
            bytecode_cache=COMPILED,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shelves = {listing.path: listing for listing in theme.listings}
        self._checkout = CheckoutForm.of(theme.shop.checkout_url)
        self._environment.filters.update(money=theme.money.write, csp_hash=csp_hash)
        self._environment.globals.update(
            shop=theme.shop,
            asset=self._asset,
            menu=menu_of(theme.listings),
            navigation=theme.navigation,
            choices_of=choices_of,
            Availability=Availability,
            OptIn=OptIn,
        )

    @property
    def theme(self) -> Theme:
        """The theme everything is rendered in."""
        return self._theme

    def product(self, product: Product, stock: Mapping[str, Stock], stamps: FormStamps | None = None) -> str:
        """The product's page: what can be bought now, and a waitlist for what cannot.

        Without `stamps` its form is for looking at: a shop takes signups of stamped forms only.
        """
        theme, choices = self._theme, choices_of(product, stock)
        return self.page(
            "product.html",
            path=product.path,
            description=product.summary,
            product=product,
            choices=choices,
            category=self._shelves.get(f"/shop/{product.category}"),
            checkout=self._checkout,
            stamp=stamp_of(stamps, [each.variant.sku for each in choices.to_wait_for], theme.shop.opt_in),
            json_ld=product_json_ld(product, choices, theme.shop, theme.money),
        )

    def listing(self, listing: Listing, cards: Sequence[tuple[Product, Mapping[str, Stock]]]) -> str:
        """A page of cards, in the order given: the home page or a category."""
        return self.page(
            listing.template,
            path=listing.path,
            description=listing.description,
            listing=listing,
            cards=cards,
            covers=covers_of(self._theme.listings) if listing.path == HOME else (),
        )

    def page(self, template: str, **context: Any) -> str:
        """Any other page. A template says at its top what it needs; what is missing raises UndefinedError.

        A page with a `path` and a `description` is one that a search engine may list under that path.
        """
        return self._environment.get_template(template).render(context)

    def letter(
        self,
        name: str,
        *,
        product: Product,
        variant: Variant,
        action_url: str,
        leave_url: str | None = None,
        stock: Mapping[str, Stock] | None = None,
    ) -> Letter:
        """The letter `name` about one variant.

        `action_url` is what the letter asks for: confirming, or looking at the product. `leave_url`
        is None where there is nothing to leave yet.
        """
        context: dict[str, Any] = {
            "product": product,
            "variant": variant,
            "product_url": f"{self._theme.shop.base_url}{product.path}",
            "action_url": action_url,
            "leave_url": leave_url,
            "availability": availability_of(variant, stock or {}),
        }
        return self.note(name, **context)

    def note(self, name: str, **context: Any) -> Letter:
        """The letter `name` about anything else."""
        folder = f"letters/{name}"
        return Letter(
            # A title with a line break in it must not start a second header.
            subject=" ".join(self.page(f"{folder}/subject.txt", **context).split()),
            text=self.page(f"{folder}/body.txt", **context),
            html=self.page(f"{folder}/body.html", **context),
        )

    def _source(self, name: str) -> tuple[str, str, None] | None:
        """A template with its own name as its file's: traces then say where, which a plain dict's do not."""
        text = self._theme.templates.get(name)
        return None if text is None else (text, name, None)

    def _asset(self, name: str) -> str:
        try:
            return self._theme.assets[name]
        except KeyError:
            raise TemplateRuntimeError(f"no asset is named {name}") from None


def csp_hash(text: str) -> str:
    """What a content security policy calls a style that is part of the page."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
