"""The theme of a release: everything that pages and emails are rendered from, except the products.

A shop has an edition for each of its locales. Editions have the same pages at the same paths; each but the
first has them under a root of its own.

`spillway publish` writes the theme as one JSON object to the release bucket, so that the function that
refreshes a page uses the templates of the live release, and an edit needs no deployment.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from chalicelib.domain.entry import OptIn
from chalicelib.domain.ids import Slug
from chalicelib.domain.product import Picture
from chalicelib.storefront.localization import DayFormat, MoneyFormat, Texts

HOME = "/"
EVERYTHING = "/shop/all"
# The parts of the home page, in the order of a shop that names none; a part without content is left out.
HOME_SECTIONS = ("hero", "featured", "categories", "text")
_MENU_CATEGORIES_MAX = 8


@dataclass(frozen=True, slots=True)
class ShippingPolicy:
    """The cost of a parcel to the shop's own country, and its days.

    `country` is an ISO 3166-1 code and `place` its name in the shop's locale. Costs are in minor units; an
    order from `free_from_minor` on ships free. Days are business days, (fewest, most).
    """

    country: str
    place: str
    cost_minor: int
    free_from_minor: int | None
    handling_days: tuple[int, int]
    transit_days: tuple[int, int]

    def cost_of(self, price_minor: int) -> int:
        """Return the cost of shipping an order of this price alone, in minor units."""
        is_free = self.free_from_minor is not None and price_minor >= self.free_from_minor
        return 0 if is_free else self.cost_minor

    @property
    def days(self) -> tuple[int, int]:
        """The days from the order to the door, (fewest, most)."""
        return tuple(sum(pair) for pair in zip(self.handling_days, self.transit_days, strict=True))  # type: ignore[return-value]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ShippingPolicy":
        """Return the policy of a document of its fields, after a round through JSON."""
        spans = {name: tuple(document[name]) for name in ("handling_days", "transit_days")}
        return cls(**{**document, **spans})


class ReturnBy(StrEnum):
    """The way of a return."""

    MAIL = "mail"
    STORE = "store"
    KIOSK = "kiosk"


@dataclass(frozen=True, slots=True)
class ReturnPolicy:
    """The terms of returns for a shopper in `country` (ISO 3166-1). Where `days` is 0, there are none."""

    country: str
    days: int
    is_free: bool
    by: ReturnBy

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ReturnPolicy":
        """Return the policy of a document of its fields, after a round through JSON."""
        return cls(**{**document, "by": ReturnBy(document["by"])})


@dataclass(frozen=True, slots=True)
class Shop:
    """The shop's identity and terms.

    `base_url` has no trailing slash; `sender` is an RFC 5322 mailbox; `checkout` is the address
    that "buy" leads to, with placeholders (`chalicelib.storefront.checkout`), None for a shop that does not
    sell on its pages. `refused_domains` names the list of refused email domains; None for none.
    `unsubscribe_mailbox` is an address that receives emails to unsubscribe; None for none.
    `low_stock` is the stock at which a page begins to say how many of a variant are left; None for never.
    `count_clicks`: the product's link in a restock email leads through the API, which counts it once.
    `direction` is that of the locale's script: "ltr" or "rtl", as HTML has it.
    """

    name: str
    tagline: str
    base_url: str
    currency: str
    locale: str
    sender: str
    reply_to: str
    checkout: str | None
    postal_address: tuple[str, ...]
    opt_in: OptIn = OptIn.DOUBLE
    refused_domains: str | None = None
    direction: str = "ltr"
    shipping: ShippingPolicy | None = None
    returns: ReturnPolicy | None = None
    unsubscribe_mailbox: str | None = None
    low_stock: int | None = None
    count_clicks: bool = False

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Shop":
        """Return the shop of a document of its fields, after a round through JSON."""
        shipping, returns = document.get("shipping"), document.get("returns")
        if "checkout_url" in document:  # a theme from before a checkout could have other placeholders
            document = {**document, "checkout": document["checkout_url"]}
            del document["checkout_url"]
        return cls(
            **{
                **document,
                "postal_address": tuple(document["postal_address"]),
                "opt_in": OptIn(document["opt_in"]),
                # A release of an earlier version has an empty text for none.
                "refused_domains": document.get("refused_domains") or None,
                "unsubscribe_mailbox": document.get("unsubscribe_mailbox") or None,
                "shipping": ShippingPolicy.from_document(shipping) if shipping else None,
                "returns": ReturnPolicy.from_document(returns) if returns else None,
            }
        )


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture in the place of the shop's name, and its size on a page in pixels.

    `url` and `dark_url` are paths of this shop. `dark_url` is the picture on a dark page, None for the same.
    """

    url: str
    width: int
    height: int
    dark_url: str | None = None


@dataclass(frozen=True, slots=True)
class ThemeSettings:
    """The settings of a theme that templates read; the build writes the others into the style sheet.

    Colours are "#rrggbb"; `on_accent` is that of a text on the accent. `sections` are the parts of the home
    page, in order. `announcement_url` is a path of this shop or an address elsewhere. `fonts` are the
    paths of the font files that a page needs at once. `related` says that pages of products show others.
    """

    accent: str = "#8c3a1c"
    on_accent: str = "#fffdf9"
    accent_dark: str = "#f0b294"
    on_accent_dark: str = "#2a140a"
    logo: Logo | None = None
    email_logo: Logo | None = None
    sections: tuple[str, ...] = HOME_SECTIONS
    cards_per_row: int = 4
    announcement: str | None = None
    announcement_url: str | None = None
    fonts: tuple[str, ...] = ()
    related: bool = True

    @property
    def card_sizes(self) -> str:
        """The width of a card's picture on a desk, a tablet and a phone, as the attribute `sizes` has it."""
        tablet = "46vw" if self.cards_per_row == 2 else "30vw"
        return f"(min-width:64rem) {72 // self.cards_per_row}rem, (min-width:40rem) {tablet}, 46vw"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ThemeSettings":
        """Return the settings of a document of their fields, after a round through JSON."""
        logo, email_logo = document.get("logo"), document.get("email_logo")
        return cls(
            **{
                **document,
                "logo": Logo(**logo) if logo else None,
                "email_logo": Logo(**email_logo) if email_logo else None,
                "sections": tuple(document.get("sections", HOME_SECTIONS)),
                "fonts": tuple(document.get("fonts", ())),
                # A theme from before pages showed other products shows none.
                "related": document.get("related", False),
            }
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """A page that shows cards of products: the home page (path "/"), a category or a tag.

    `picture` stands for the whole page: the home page's opening picture, a category's cover. A listing too
    long for one page continues at `next_path`; `number` is the number of this page. The page of a tag has
    each of its spellings in `tags`. `slugs` are all cards, each once; the home page shows
    `featured` and `newest` of them in sections of their own. `text_html` is its text, sanitised.
    """

    path: str
    template: str
    title: str
    description: str
    slugs: tuple[Slug, ...]
    picture: Picture | None = None
    number: int = 1
    count: int = 1
    previous_path: str | None = None
    next_path: str | None = None
    tags: tuple[str, ...] = ()
    featured: tuple[Slug, ...] = ()
    newest: tuple[Slug, ...] = ()
    text_html: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Listing":
        """Return the listing of a document of its fields, after a round through JSON."""
        picture = document["picture"]
        return cls(
            **{
                **document,
                "slugs": tuple(document["slugs"]),
                "tags": tuple(document["tags"]),
                "featured": tuple(document.get("featured", ())),
                "newest": tuple(document.get("newest", ())),
                "picture": Picture.from_document(picture) if picture else None,
            }
        )


@dataclass(frozen=True, slots=True)
class MenuLink:
    """A link in the footer or the menu."""

    title: str
    path: str


@dataclass(frozen=True, slots=True)
class Edition:
    """The shop in one locale.

    `root` is the path of its pages ("/de", empty for the first), `name` its language's own name. Paths of
    listings and links are those of the first edition. `words` are names and values of options, by those of
    the catalogue. `has_feed` where products have dates. `settings` are those of the theme.
    """

    shop: Shop
    money: MoneyFormat
    listings: tuple[Listing, ...]
    navigation: tuple[MenuLink, ...] = ()
    root: str = ""
    name: str = ""
    texts: Texts = field(default_factory=Texts)
    words: Mapping[str, str] = field(default_factory=dict)
    days: DayFormat = field(default_factory=DayFormat)
    has_feed: bool = True
    settings: ThemeSettings = field(default_factory=ThemeSettings)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Edition":
        """Return the edition of a document of its fields, after a round through JSON."""
        return cls(
            shop=Shop.from_document(document["shop"]),
            money=MoneyFormat.from_document(document["money"]),
            listings=tuple(Listing.from_document(listing) for listing in document["listings"]),
            navigation=tuple(MenuLink(**link) for link in document["navigation"]),
            root=document["root"],
            name=document["name"],
            texts=Texts.from_document(document["texts"]),
            words=document["words"],
            # A theme from before pages had dates has no format for one.
            days=DayFormat.from_document(document["days"]) if "days" in document else DayFormat(),
            has_feed=document["has_feed"],
            # A theme from before it had settings looks as it did.
            settings=ThemeSettings.from_document(document.get("settings", {})),
        )

    def localized_path(self, path: str) -> str:
        """Return a path in this edition; a path of the API gets a parameter for the language."""
        if path.startswith("/api/"):
            return f"{path}{'&' if '?' in path else '?'}lang={self.root[1:]}" if self.root else path
        return self.root or HOME if path == HOME else f"{self.root}{path}"

    def listings_of(self, slug: Slug) -> tuple[Listing, ...]:
        """Return the listings on which the product `slug` has a card."""
        return tuple(listing for listing in self.listings if slug in listing.slugs)


@dataclass(frozen=True, slots=True)
class Theme:
    """Templates, assets and editions.

    `templates` by name ("product.html", "emails/confirm/body.txt"), `assets` by logical name ("shop.css" ->
    "/assets/shop-3fa9.css"), the first locale first in `editions`. The sitemap has `sitemap_parts` files.
    `rules` are those of the release, as documents: a rollback restores them with it.
    """

    release: str
    templates: Mapping[str, str]
    assets: Mapping[str, str]
    editions: tuple[Edition, ...]
    sitemap_parts: int = 1
    rules: tuple[Mapping[str, Any], ...] = ()

    @property
    def shop(self) -> Shop:
        """The shop in its first locale."""
        return self.editions[0].shop

    def to_json(self) -> str:
        """Return one JSON object; equal themes give equal texts."""
        # A listing of a big shop names ten thousand products: `asdict` would copy every name.
        return json.dumps(self, default=_fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Theme":
        """Return the theme of a text made by `to_json`."""
        document = json.loads(text)
        return cls(
            release=document["release"],
            templates=document["templates"],
            assets=document["assets"],
            editions=tuple(Edition.from_document(edition) for edition in document["editions"]),
            sitemap_parts=document["sitemap_parts"],
            # A theme from before shops had rules has none.
            rules=tuple(document.get("rules", ())),
        )


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def covers_of(listings: Sequence[Listing]) -> tuple[Listing, ...]:
    """Return the first page of each category, as the home page shows them."""
    return tuple(
        listing
        for listing in listings
        if listing.path.startswith("/shop/") and listing.number == 1 and listing.path != EVERYTHING
    )


def menu_of(listings: Sequence[Listing]) -> tuple[MenuLink, ...]:
    """Return the menu at the top of each page: the first few categories, and everything."""
    categories = covers_of(listings)[:_MENU_CATEGORIES_MAX]
    return tuple(
        MenuLink(listing.title, listing.path)
        for listing in (*categories, *(listing for listing in listings if listing.path == EVERYTHING))
    )
