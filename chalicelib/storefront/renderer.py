"""The one renderer: the operator's build and the cloud render each page and email with it."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jinja2 import FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import FormTokens, Offer
from chalicelib.storefront.checkout import Checkout
from chalicelib.storefront.choices import (
    VariantChoices,
    availability_of,
    badge_of,
    choices_of,
    launch_day_of,
    option_kinds,
)
from chalicelib.storefront.environment import EditionContext, LocalizedEnvironment
from chalicelib.storefront.json_ld import organization_json_ld, product_json_ld
from chalicelib.storefront.localization import in_sentence
from chalicelib.storefront.picker import picker_of
from chalicelib.storefront.theme import HOME, Edition, Listing, Theme, covers_of

if TYPE_CHECKING:
    from chalicelib.domain.email import Email

# Tags and spaces, and a word without an entity.
_FIRST_WORD = re.compile(r"(?:\s|<[^!<>]*>)*([^\s<&]*)")

# Returns the card of one product; its argument says if a reader sees it without scrolling.
Card = Callable[..., Markup]


class Renderer:
    """Renders pages and emails of one theme in one of its editions; equal input gives equal text.

    Catalogue text is data: it is escaped and never read as a template. Only `Product.description_html` and
    `body_html` of a content page are markup, because the build has sanitised them; so are translations,
    which replace words of templates.
    """

    def __init__(self, theme: Theme, edition: Edition | None = None) -> None:
        self._theme = theme
        self._edition = edition or theme.editions[0]
        self._siblings = {self._edition.root: self}
        self._environment = LocalizedEnvironment(
            EditionContext(theme, self._edition),
            loader=FunctionLoader(self._source),
            autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._categories = {listing.path: listing for listing in self._edition.listings}
        self._tags = {
            tag: listing for listing in self._edition.listings if listing.number == 1 for tag in listing.tags
        }
        self._checkout = Checkout.of(theme.shop.checkout, self._edition.localized_path)
        self._environment.filters.update(
            money=self._edition.money.write,
            day=self._edition.days.write,
            in_sentence=partial(in_sentence, locale=self.language),
            csp_hash=csp_hash,
            begins_with=begins_with,
        )
        self._environment.globals["editions"] = theme.editions

    @property
    def theme(self) -> Theme:
        """The theme."""
        return self._theme

    @property
    def edition(self) -> Edition:
        """The edition."""
        return self._edition

    @property
    def language(self) -> str:
        """The locale of the texts."""
        return self._edition.shop.locale

    @property
    def in_english(self) -> bool:
        """True for English, the language of templates and of texts without a translation."""
        return self.language.partition("-")[0] == "en"

    @property
    def editions(self) -> tuple["Renderer", ...]:
        """A renderer for each edition of the theme, the first first."""
        return tuple(self._sibling(edition) for edition in self._theme.editions)

    def for_root(self, root: str) -> "Renderer":
        """Return the renderer of the edition under `root`; that of the first for an unknown root."""
        editions = self._theme.editions
        return self._sibling(next((edition for edition in editions if edition.root == root), editions[0]))

    def product(
        self,
        product: Product,
        stock: Mapping[Sku, Stock],
        form_tokens: FormTokens | None = None,
        *,
        related: Sequence[Markup] = (),
    ) -> str:
        """Return a product's page, with a button for variants in stock and a waitlist for the others.

        Args:
            product: The product.
            stock: The stock of its variants.
            form_tokens: Makes the token of the form; a shop refuses the form of a preview, which has none.
            related: The small cards of the products below it.
        """
        kinds = option_kinds(product)
        product = self.localize(product)
        choices = choices_of(product, stock, self._checkout, low_stock=self._edition.shop.low_stock)
        return self.page(
            "product.html",
            path=product.path,
            description=product.seo_description or product.summary,
            product=product,
            choices=choices,
            picker=picker_of(product, choices, kinds),
            category=self._categories.get(f"/shop/{product.category}"),
            related=related,
            tags=dict.fromkeys(self._tags[tag] for tag in product.tags if tag in self._tags),
            form_token=form_tokens.sign(self._offer(choices)) if form_tokens else "",
            json_ld=product_json_ld(product, choices, self._edition, kinds),
        )

    def _offer(self, choices: VariantChoices) -> Offer:
        shop = self._edition.shop
        skus = [choice.variant.sku for choice in choices.to_wait_for]
        return Offer.of(skus, shop.opt_in, shop.refused_domains)

    def card(
        self, product: Product, stock: Mapping[Sku, Stock], *, eager: bool = False, alone: bool = False
    ) -> Markup:
        """Return a product's card in a listing.

        Args:
            product: The product.
            stock: The stock of its variants.
            eager: A reader sees it without scrolling.
            alone: It is the only one, which is shown larger.
        """
        text = self.page(
            "card.html",
            product=self.localize(product),
            badge=badge_of(product, stock),
            launches_on=launch_day_of(product, stock),
            eager=eager,
            alone=alone,
        )
        return Markup(text)  # noqa: S704 - a template's own work

    def small_card(self, product: Product) -> Markup:
        """Return a product's card below another product, without stock: no stock event changes it."""
        template = self._environment.get_template("small-card.html")
        return Markup(template.render(product=self.localize(product)))  # noqa: S704 - see `card`

    def listing(self, listing: Listing, cards: Mapping[Slug, Card]) -> str:
        """Return a page of cards: the home page, a category or a tag.

        `cards` are those of the products that are there, by slug, in the order of the page.
        """
        has_sections = bool(listing.featured or listing.newest)
        is_home = listing.path == HOME
        return self.page(
            listing.template,
            path=listing.path,
            description=listing.description or listing.title,
            listing=listing,
            cards=_cards_of(listing.featured, cards) if has_sections else tuple(cards.values()),
            newest=_cards_of(listing.newest, cards),
            covers=covers_of(self._edition.listings) if is_home else (),
            organization=organization_json_ld(self._edition) if is_home else None,
        )

    def page(self, template: str, *, at: str = HOME, **context: Any) -> str:
        """Return any other page. A template names its needs at its top; a missing one raises UndefinedError.

        A page with a `path` and a `description` is one that a search engine may list under that path; any
        other has its address in `at`, for the links to its other editions.
        """
        at = context.get("path", at)
        others = [
            (edition, edition.localized_path(at))
            for edition in self._theme.editions
            if edition is not self._edition
        ]
        return self._environment.get_template(template).render(context, others=others)

    def linked_page(
        self,
        template: str,
        product: Product | None,
        variant: Variant | None,
        *,
        at: str,
        token: str,
        **context: Any,
    ) -> str:
        """Return the page at `at` about one variant, behind a link's `token`; None if no longer sold."""
        product = self.localize(product) if product else None
        variant = product.variant(variant.sku) if product and variant else None
        return self.page(template, at=at, product=product, variant=variant, token=token, **context)

    def linked_items_page(
        self,
        template: str,
        items: Sequence[tuple[Product, Variant, bool]],
        *,
        at: str,
        token: str,
        coming: int = 0,
    ) -> str:
        """Return the page at `at` about several variants, behind a link's `token`.

        `items` are variants with their products, and true if the shop has them in stock; `coming` of them
        were never on sale. `product` and `variant` are the first, for a template about one alone.
        """
        localized = [(*self._item(product, variant), orderable) for product, variant, orderable in items]
        product, variant, _ = localized[0]
        return self.page(
            template, at=at, product=product, variant=variant, items=localized, token=token, coming=coming
        )

    def gettext(self, text: str) -> str:
        """Return a text of the API in the language of this edition, or unchanged without a translation."""
        return self._edition.texts.one(text)

    def localize(self, product: Product) -> Product:
        """Return the product in the words of this edition."""
        if self._edition is self._theme.editions[0]:
            return product
        return product.in_locale(self._edition.shop.locale, self._edition.words)

    def product_email(
        self,
        name: str,
        *,
        product: Product,
        variant: Variant,
        action_url: str,
        unsubscribe_url: str | None = None,
        stock: Mapping[Sku, Stock] | None = None,
        items: Sequence[tuple[Product, Variant]] = (),
        coming: int | None = None,
    ) -> "Email":
        """Return the email `name` about one variant, or about several: `items`, with that one among them.

        `coming` is the number of them that were never on sale; without it, the one variant decides.

        `action_url` leads to the confirmation or the product. `unsubscribe_url` is None before there is a
        subscription.
        """
        product = self.localize(product)
        known = (stock or {}).get(variant.sku)
        if coming is None:
            coming = int(known is not None and known.availability is Availability.COMING_SOON)
        context: dict[str, Any] = {
            "product": product,
            "variant": product.variant(variant.sku),
            "action_url": action_url,
            "unsubscribe_url": unsubscribe_url,
            "can_buy_online": self._checkout.template_of(product, variant) is not None,
            "availability": availability_of(variant, stock or {}),
            "is_launch": known is not None and known.is_launch,
            "coming": coming,
            "items": [self._item(*item) for item in items or [(product, variant)]],
        }
        return self.email(name, **context)

    def email(self, name: str, **context: Any) -> "Email":
        """Return the email `name` about anything but a variant."""
        # Imported here: a build of pages makes no email.
        from chalicelib.domain.email import Email

        folder = f"emails/{name}"
        return Email(
            # A title with a line break in it must not start a second header.
            subject=" ".join(self.page(f"{folder}/subject.txt", **context).split()),
            text=self.page(f"{folder}/body.txt", **context),
            html=self.page(f"{folder}/body.html", **context),
        )

    def _item(self, product: Product, variant: Variant) -> tuple[Product, Variant]:
        product = self.localize(product)
        return product, product.variant(variant.sku)

    def _sibling(self, edition: Edition) -> "Renderer":
        if edition.root not in self._siblings:
            sibling = Renderer(self._theme, edition)
            sibling._siblings = self._siblings
            self._siblings[edition.root] = sibling
        return self._siblings[edition.root]

    def _source(self, name: str) -> tuple[str, str, None] | None:
        """Return a template with its name as its file's, which traces show."""
        text = self._theme.templates.get(name)
        return None if text is None else (text, name, None)


def _cards_of(slugs: Sequence[Slug], cards: Mapping[Slug, Card]) -> tuple[Card, ...]:
    return tuple(cards[slug] for slug in slugs if slug in cards)


def begins_with(html: str, text: str) -> bool:
    """Return whether the text of some markup begins with a text, as `striptags` reads markup."""
    # Most markup begins with another word: the tags of the rest need not be looked for.
    first = _FIRST_WORD.match(html)
    word = first[1] if first else ""
    if not (text.startswith(word) or word.startswith(text)):
        return False
    return Markup(html).striptags().startswith(text)  # noqa: S704 - nothing is shown of it


def csp_hash(text: str) -> str:
    """Return the name of an inline style in a content security policy."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
