"""The one renderer: whoever makes a page or an email, the operator's build or the cloud, makes it here."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from chalicelib.domain.email import Email
from chalicelib.domain.form_stamp import FormStamps, Offer
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Stock
from chalicelib.storefront.choices import (
    CheckoutForm,
    Choices,
    availability_of,
    badge_of,
    choices_of,
    option_kinds,
)
from chalicelib.storefront.environment import Common, LocalizedEnvironment
from chalicelib.storefront.json_ld import product_json_ld
from chalicelib.storefront.theme import HOME, Edition, Listing, Theme, covers_of

# Gives the card of one product, told whether it is seen without scrolling.
Card = Callable[..., Markup]


class Renderer:
    """Pages and emails of one theme in one of its editions. The same input always gives the same text.

    Catalogue text is data: it is escaped where it stands and never read as a template. Only
    `Product.description_html` and `body_html` of a content page are taken as markup, because the
    build has sanitised them; so are the texts of catalogues, which stand for words of templates.
    """

    def __init__(self, theme: Theme, edition: Edition | None = None) -> None:
        self._theme = theme
        self._edition = edition or theme.editions[0]
        self._siblings = {self._edition.root: self}
        self._environment = LocalizedEnvironment(
            Common(theme, self._edition),
            loader=FunctionLoader(self._source),
            autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shelves = {listing.path: listing for listing in self._edition.listings}
        self._tags = {tag: each for each in self._edition.listings if each.number == 1 for tag in each.tags}
        self._checkout = CheckoutForm.of(theme.shop.checkout_url, at=self._edition.at)
        self._environment.filters.update(
            money=self._edition.money.write, day=self._edition.days.write, csp_hash=csp_hash
        )
        self._environment.globals["editions"] = theme.editions

    @property
    def theme(self) -> Theme:
        """The theme everything is rendered in."""
        return self._theme

    @property
    def edition(self) -> Edition:
        """The edition everything is rendered in."""
        return self._edition

    @property
    def language(self) -> str:
        """The locale of all texts."""
        return self._edition.shop.locale

    @property
    def in_english(self) -> bool:
        """Whether that is the language of templates, and of whatever has no translation."""
        return self.language.partition("-")[0] == "en"

    @property
    def editions(self) -> tuple["Renderer", ...]:
        """A renderer for each edition of the theme, the first first."""
        return tuple(self._sibling(edition) for edition in self._theme.editions)

    def under(self, root: str) -> "Renderer":
        """The renderer of the edition under `root`; that of the first for a root the shop has not."""
        editions = self._theme.editions
        return self._sibling(next((each for each in editions if each.root == root), editions[0]))

    def product(self, product: Product, stock: Mapping[str, Stock], stamps: FormStamps | None = None) -> str:
        """The product's page: what can be bought now, and a waitlist for what cannot.

        Without `stamps` its form is for looking at: a shop takes signups of stamped forms only.
        """
        kinds = option_kinds(product)
        product = self.told(product)
        choices = choices_of(product, stock)
        return self.page(
            "product.html",
            path=product.path,
            description=product.seo_description or product.summary,
            product=product,
            choices=choices,
            category=self._shelves.get(f"/shop/{product.category}"),
            tags=dict.fromkeys(self._tags[tag] for tag in product.tags if tag in self._tags),
            checkout=self._checkout,
            stamp=stamps.stamp(self._offer(choices)) if stamps else "",
            json_ld=product_json_ld(product, choices, self._edition, kinds),
        )

    def _offer(self, choices: Choices) -> Offer:
        shop = self._edition.shop
        skus = [choice.variant.sku for choice in choices.to_wait_for]
        return Offer.of(skus, shop.opt_in, shop.refused_domains)

    def card(self, product: Product, stock: Mapping[str, Stock], *, eager: bool = False) -> Markup:
        """What listings show of a product; `eager` where it is seen without scrolling."""
        text = self.page("card.html", product=self.told(product), badge=badge_of(product, stock), eager=eager)
        return Markup(text)  # noqa: S704 - a template's own work

    def listing(self, listing: Listing, cards: Sequence[Card]) -> str:
        """A page of cards, in the order given: the home page or a category."""
        return self.page(
            listing.template,
            path=listing.path,
            description=listing.description,
            listing=listing,
            cards=cards,
            covers=covers_of(self._edition.listings) if listing.path == HOME else (),
        )

    def page(self, template: str, *, at: str = HOME, **context: Any) -> str:
        """Any other page. A template says at its top what it needs; what is missing raises UndefinedError.

        A page with a `path` and a `description` is one that a search engine may list under that path;
        any other says by `at` where it is, for the links to its other editions.
        """
        at = context.get("path", at)
        others = [(each, each.at(at)) for each in self._theme.editions if each is not self._edition]
        return self._environment.get_template(template).render(context, others=others)

    def about(
        self,
        template: str,
        product: Product | None,
        variant: Variant | None,
        *,
        at: str,
        token: str,
        **context: Any,
    ) -> str:
        """The page at `at` about one variant, behind a link's `token`; None for what is sold no more."""
        product = self.told(product) if product else None
        variant = product.variant(variant.sku) if product and variant else None
        return self.page(template, at=at, product=product, variant=variant, token=token, **context)

    def about_all(
        self, template: str, items: Sequence[tuple[Product, Variant, bool]], *, at: str, token: str
    ) -> str:
        """Render the page at `at` about several variants, behind a link's `token`.

        Each comes with its product and whether it can be ordered at this moment; `product` and `variant` are
        the first for a template that knows of one alone.
        """
        localized = [(*self._item(product, variant), orderable) for product, variant, orderable in items]
        product, variant, _ = localized[0]
        return self.page(template, at=at, product=product, variant=variant, items=localized, token=token)

    def say(self, text: str) -> str:
        """A text of the API's in the language of this edition, or as it is where there is none."""
        return self._edition.texts.one(text)

    def told(self, product: Product) -> Product:
        """The product in the words of this edition."""
        if self._edition is self._theme.editions[0]:
            return product
        return product.in_locale(self._edition.shop.locale, self._edition.words)

    def email(
        self,
        name: str,
        *,
        product: Product,
        variant: Variant,
        action_url: str,
        unsubscribe_url: str | None = None,
        stock: Mapping[str, Stock] | None = None,
        items: Sequence[tuple[Product, Variant]] = (),
    ) -> Email:
        """The email `name` about one variant, or about several: `items`, with that one among them.

        `action_url` is what the email asks for: confirming, or looking at the product. `unsubscribe_url`
        is None where there is nothing to leave yet.
        """
        product = self.told(product)
        context: dict[str, Any] = {
            "product": product,
            "variant": product.variant(variant.sku),
            "action_url": action_url,
            "unsubscribe_url": unsubscribe_url,
            "availability": availability_of(variant, stock or {}),
            "items": [self._item(*item) for item in items or [(product, variant)]],
        }
        return self.note(name, **context)

    def note(self, name: str, **context: Any) -> Email:
        """The email `name` about anything else."""
        folder = f"emails/{name}"
        return Email(
            # A title with a line break in it must not start a second header.
            subject=" ".join(self.page(f"{folder}/subject.txt", **context).split()),
            text=self.page(f"{folder}/body.txt", **context),
            html=self.page(f"{folder}/body.html", **context),
        )

    def _item(self, product: Product, variant: Variant) -> tuple[Product, Variant]:
        product = self.told(product)
        return product, product.variant(variant.sku)

    def _sibling(self, edition: Edition) -> "Renderer":
        if edition.root not in self._siblings:
            sibling = Renderer(self._theme, edition)
            sibling._siblings = self._siblings
            self._siblings[edition.root] = sibling
        return self._siblings[edition.root]

    def _source(self, name: str) -> tuple[str, str, None] | None:
        """A template with its own name as its file's: traces then say where, which a plain dict's do not."""
        text = self._theme.templates.get(name)
        return None if text is None else (text, name, None)


def csp_hash(text: str) -> str:
    """What a content security policy calls a style that is part of the page."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
