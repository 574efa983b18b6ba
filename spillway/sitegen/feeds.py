"""Files for machines: the Atom feed, the product feed for Google Merchant Center, and site/root/.

https://www.rfc-editor.org/rfc/rfc4287 (Atom)
https://support.google.com/merchants/answer/7052112 (product data specification)
https://support.google.com/merchants/answer/160589 (RSS 2.0, an item for each variant)

Files of site/root/ are served unchanged, such as ads.txt and /.well-known/security.txt. The one exception is
robots.txt: its lines follow those that the build writes.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from chalicelib.domain.ids import Sku
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.choices import VariantChoice, choices_of, option_kinds
from chalicelib.storefront.theme import Edition, ShippingPolicy
from spillway.project import Project
from spillway.sitegen.addresses import REDIRECTS_FOLDER
from spillway.sitegen.reading.toml_input import InputError
from spillway.terminal import pluralize

ATOM_ENTRIES_MAX = 20

# Google refuses or cuts what is longer; `MerchantFeed.warnings` counts such items.
ID_CHARS_MAX = 50
TITLE_CHARS_MAX = 150
DESCRIPTION_CHARS_MAX = 5_000
FURTHER_PICTURES_MAX = 10

# Google has no word for a discontinued variant, so the feed leaves it out. A variant that is coming soon
# takes no orders: out_of_stock, without a date, which belongs to preorder and backorder. json_ld.py cites it.
_AVAILABILITY = {
    Availability.IN_STOCK: "in_stock",
    Availability.OUT_OF_STOCK: "out_of_stock",
    Availability.COMING_SOON: "out_of_stock",
    Availability.PRE_ORDER: "preorder",
    Availability.BACK_ORDER: "backorder",
}

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

# Names and values of Google's attributes.
_Fields = Iterator[tuple[str, str]]


def atom_feed(edition: Edition, newest: Sequence[Product]) -> str:
    """Return the Atom feed of products with a release date, the newest first, in the words of `edition`.

    There is at least one product: a feed states when it changed, and a build has no clock.
    """
    shop = edition.shop
    home, own = (f"{shop.base_url}{edition.localized_path(path)}" for path in ("/", "/feed.xml"))
    addresses = [xml_text(f"{shop.base_url}{edition.localized_path(product.path)}") for product in newest]
    entries = "".join(
        f"<entry>\n<title>{xml_text(product.title)}</title>\n"
        f'<link href="{address}"/>\n'
        f"<id>{address}</id>\n<updated>{_time(product)}</updated>\n"
        f"<summary>{xml_text(product.summary)}</summary>\n</entry>\n"
        for product, address in zip(newest, addresses, strict=True)
    )
    return (
        f'{_XML_DECLARATION}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{xml_text(shop.locale)}">\n'
        f"<title>{xml_text(shop.name)}</title>\n<subtitle>{xml_text(shop.tagline or shop.name)}</subtitle>\n"
        f'<link href="{xml_text(home)}"/>\n'
        f'<link rel="self" href="{xml_text(own)}"/>\n'
        f"<id>{xml_text(home)}</id>\n<updated>{_time(newest[0])}</updated>\n"
        f"<author><name>{xml_text(shop.name)}</name></author>\n{entries}</feed>\n"
    )


class MerchantFeed(NamedTuple):
    """The text of a feed, a line for each kind of item that Google may refuse, and the number of items."""

    text: str
    warnings: tuple[str, ...]
    items: int


def merchant_feed(
    edition: Edition, products: Iterable[tuple[Product, Mapping[Sku, Stock]]], *, today: str
) -> MerchantFeed:
    """Return the feed of `products`, each with its stock, in the words of `edition`.

    A sale that has not ended by `today` (ISO 8601) has its effective dates; one that has ended keeps its
    price, as the product's page does.
    """
    feed = _Feed(edition, today)
    items = "".join(item for product, stock in products for item in feed.items(product, stock))
    shop = edition.shop
    text = (
        f'{_XML_DECLARATION}<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n<channel>\n'
        f"<title>{xml_text(shop.name)}</title>\n"
        f"<link>{xml_text(shop.base_url + edition.localized_path('/'))}</link>\n"
        f"<description>{xml_text(shop.tagline or shop.name)}</description>\n{items}</channel>\n</rss>\n"
    )
    return MerchantFeed(text, tuple(feed.warnings()), feed.count)


def xml_text(text: str) -> str:
    """Return `text` escaped for XML 1.0, without the characters that no XML document can hold.

    https://www.w3.org/TR/xml/#charsets
    """
    return escape(_NO_XML.sub("", text))


class _Feed:
    """The items of a feed, and what Google may refuse of them, counted by kind."""

    def __init__(self, edition: Edition, today: str) -> None:
        self._edition = edition
        self._shop = edition.shop
        self._today = today
        self._titles = {listing.path: listing.title for listing in edition.listings if listing.number == 1}
        self._doubtful_counts: Counter[str] = Counter()
        self.count = 0

    def items(self, original: Product, stock: Mapping[Sku, Stock]) -> Iterator[str]:
        """Yield an item for each variant of a product, discontinued ones aside."""
        kinds = option_kinds(original)
        product = original
        if self._edition.root:
            product = original.in_locale(self._shop.locale, self._edition.words)
        # Google groups variants only by options it knows; other variants are products of their own.
        grouped = len(product.variants) > 1 and all(kinds)
        about = tuple(self._of_product(product))
        for choice in choices_of(product, stock):
            if choice.availability not in _AVAILABILITY:
                self._doubtful_counts["{} left out: no longer made"] += 1
                continue
            self.count += 1
            fields = [*self._of_variant(product, choice, grouped=grouped), *about]
            kind_fields = zip(kinds, choice.variant.options, strict=False)
            fields += [(kind, value) for kind, (_, value) in kind_fields if kind]
            lines = "".join(f"<g:{name}>{xml_text(value)}</g:{name}>\n" for name, value in fields)
            yield f"<item>\n{lines}{self._shipping(choice.variant)}</item>\n"

    def warnings(self) -> Iterator[str]:
        """Yield a line for each kind of thing that Google may refuse, with the number of items."""
        for what, count in self._doubtful_counts.items():
            yield what.format(pluralize(count, "item"))

    def _of_product(self, product: Product) -> _Fields:
        if product.brand:
            yield "brand", product.brand
        yield "condition", product.condition
        for category in (product.category, *product.categories):
            yield "product_type", self._titles.get(f"/shop/{category}", category)

    def _of_variant(self, product: Product, choice: VariantChoice, *, grouped: bool) -> _Fields:
        variant = choice.variant
        if len(variant.sku) > ID_CHARS_MAX:
            self._doubtful_counts[
                f"{{}} with an SKU above {ID_CHARS_MAX} characters, which Google refuses"
            ] += 1
        yield "id", variant.sku
        title = product.title
        if grouped:
            yield "item_group_id", product.slug
        elif variant.label and len(product.variants) > 1:
            title = f"{title}, {variant.label}"
        if len(title) > TITLE_CHARS_MAX:
            self._doubtful_counts[
                f"{{}} with a title above {TITLE_CHARS_MAX} characters, which Google cuts"
            ] += 1
        yield "title", title
        yield "description", self._description(product)
        yield "link", f"{self._shop.base_url}{self._edition.localized_path(product.link_of(variant))}"
        yield from self._pictures(product, variant)
        yield from self._availability(choice)
        yield from self._prices(variant)
        yield from self._identifiers(product, variant)

    def _description(self, product: Product) -> str:
        text = Markup(product.description_html).striptags() or product.summary  # noqa: S704 - read, not shown
        if len(text) <= DESCRIPTION_CHARS_MAX:
            return text
        self._doubtful_counts[
            f"{{}} with a description cut to Google's {DESCRIPTION_CHARS_MAX:,} characters"
        ] += 1
        return f"{text[: DESCRIPTION_CHARS_MAX - 1].rpartition(' ')[0] or text[: DESCRIPTION_CHARS_MAX - 1]}…"

    def _pictures(self, product: Product, variant: Variant) -> _Fields:
        shown = product.picture_of(variant)
        if shown is None:
            self._doubtful_counts["{} without a picture, which Google refuses"] += 1
            return
        yield "image_link", f"{self._shop.base_url}{shown.url}"
        others = [picture.url for picture in product.pictures if picture.url != shown.url]
        for url in others[:FURTHER_PICTURES_MAX]:
            yield "additional_image_link", f"{self._shop.base_url}{url}"

    def _availability(self, choice: VariantChoice) -> _Fields:
        yield "availability", _AVAILABILITY[choice.availability]
        if choice.ships_on:
            yield "availability_date", f"{choice.ships_on}T00:00Z"
        elif choice.availability in {Availability.PRE_ORDER, Availability.BACK_ORDER}:
            self._doubtful_counts["{} for later without available_on, the date that Google asks for"] += 1

    def _prices(self, variant: Variant) -> _Fields:
        if variant.price_minor == 0:
            self._doubtful_counts["{} for nothing: Google lists no free products"] += 1
        if variant.compare_at_minor is None:
            yield "price", self._money(variant.price_minor)
            return
        yield "price", self._money(variant.compare_at_minor)
        yield "sale_price", self._money(variant.price_minor)
        ends_on = variant.sale_ends_on
        if ends_on and ends_on >= self._today:
            yield "sale_price_effective_date", f"{self._today}T00:00Z/{ends_on}T23:59Z"

    def _identifiers(self, product: Product, variant: Variant) -> _Fields:
        if variant.gtin:
            yield "gtin", variant.gtin
        if variant.mpn:
            yield "mpn", variant.mpn
        if not variant.gtin and not (variant.mpn and product.brand):
            yield "identifier_exists", "no"
        if variant.weight_g is not None:
            yield "shipping_weight", f"{variant.weight_g} g"

    def _shipping(self, variant: Variant) -> str:
        policy = self._shop.shipping
        return "" if policy is None else _shipping(policy, self._money(policy.cost_of(variant.price_minor)))

    def _money(self, amount_minor: int) -> str:
        return f"{self._edition.money.plain(amount_minor)} {self._shop.currency}"


def _shipping(policy: ShippingPolicy, price: str) -> str:
    (handling_min, handling_max), (transit_min, transit_max) = policy.handling_days, policy.transit_days
    fields: dict[str, object] = {
        "country": policy.country,
        "price": price,
        "min_handling_time": handling_min,
        "max_handling_time": handling_max,
        "min_transit_time": transit_min,
        "max_transit_time": transit_max,
    }
    lines = "".join(f"<g:{name}>{value}</g:{name}>\n" for name, value in fields.items())
    return f"<g:shipping>\n{lines}</g:shipping>\n"


def _time(product: Product) -> str:
    return f"{product.released_on}T00:00:00Z"


ROOT_FOLDER = "site/root"
ROBOTS_KEY = "robots.txt"
ROOT_FILES_MAX = 200
# Each release that a rollback can restore keeps them.
ROOT_FILE_BYTES_MAX = 1_000_000
ROOT_BYTES_MAX = 5_000_000

_RESERVED = ("api/", "assets/", "pictures/", f"{REDIRECTS_FOLDER}/")
_WELL_KNOWN = ".well-known"
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_BYTES = "application/octet-stream"
_HTML = "text/html; charset=utf-8"
_SCRIPT = "text/javascript; charset=utf-8"
_TYPES = {
    "txt": _TEXT,
    "html": _HTML,
    "htm": _HTML,
    "css": "text/css; charset=utf-8",
    "js": _SCRIPT,
    "mjs": _SCRIPT,
    "json": _JSON,
    "webmanifest": "application/manifest+json",
    "xml": "application/xml",
    "csv": "text/csv; charset=utf-8",
    "ics": "text/calendar; charset=utf-8",
    "ico": "image/x-icon",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "svg": "image/svg+xml",
    "webp": "image/webp",
    "avif": "image/avif",
    "mp4": "video/mp4",
    "woff2": "font/woff2",
    "pdf": "application/pdf",
    "asc": "application/pgp-keys",
}


@dataclass(frozen=True, slots=True)
class RootFile:
    """A file: the key it is served under, its type and its bytes."""

    key: str
    content_type: str
    body: bytes


def read_root_files(project: Project, mistakes: list[InputError]) -> tuple[RootFile, ...]:
    """Return the files of the folder by key, and add what is wrong with them to `mistakes`.

    Names that begin with a dot are skipped, /.well-known/ aside. Links are refused: they can lead to files
    that are not meant to be public. No folder is no mistake.
    """
    folder = project.root / ROOT_FOLDER
    files = []
    size_bytes = 0
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        key = file.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in key.removeprefix(f"{_WELL_KNOWN}/").split("/")):
            continue
        if problem := _file_problem(file):
            mistakes.append(InputError(f"{ROOT_FOLDER}/{key}", None, "file", key, problem))
        elif file.is_file():
            body = file.read_bytes()
            size_bytes += len(body)
            files.append(RootFile(key, _content_type(file.suffix, body), body))
    if len(files) > ROOT_FILES_MAX or size_bytes > ROOT_BYTES_MAX:
        found = f"{len(files)} files of {size_bytes} bytes"
        expected = f"at most {ROOT_FILES_MAX} files of {ROOT_BYTES_MAX} bytes together"
        mistakes.append(InputError(ROOT_FOLDER, None, "folder", found, expected))
    return tuple(files)


def root_mistakes(files: tuple[RootFile, ...], keys: Set[str]) -> list[InputError]:
    """Return a mistake for each file whose key collides with one of the shop's own `keys`."""
    folders = {parent for key in keys for parent in _parents(key)}
    return [
        InputError(
            f"{ROOT_FOLDER}/{file.key}",
            None,
            "file",
            file.key,
            "another name: the shop itself has a page or a file there",
        )
        for file in files
        if file.key != ROBOTS_KEY
        and (
            file.key in keys
            or file.key in folders
            or f"{file.key}/".startswith(_RESERVED)
            or any(parent in keys for parent in _parents(file.key))
        )
    ]


def robots_text(own: str, files: tuple[RootFile, ...]) -> str:
    """Return robots.txt: the build's `own` lines, then the merchant's."""
    added = next((file.body for file in files if file.key == ROBOTS_KEY), b"")
    text = added.decode("utf-8-sig").replace("\r\n", "\n").strip()
    return f"{own}\n{text}\n" if text else own


def _file_problem(file: Path) -> str | None:
    if file.is_symlink():
        return "a file or a folder, not a link"
    if not file.is_file():
        return None
    if file.stat().st_size > ROOT_FILE_BYTES_MAX:
        return f"at most {ROOT_FILE_BYTES_MAX} bytes"
    if "\\" in file.name or not file.name.isprintable():
        return "a name without backslashes and control characters"
    if file.name == ROBOTS_KEY and _content_type("", file.read_bytes()) == _BYTES:
        return "a text in UTF-8"
    return None


def _content_type(suffix: str, body: bytes) -> str:
    """Return the type of a file by its suffix; by its content where the suffix is none or unknown."""
    known = _TYPES.get(suffix.lower().removeprefix("."))
    if known:
        return known
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _BYTES
    if "\0" in text:
        return _BYTES
    try:
        return _JSON if isinstance(json.loads(text), dict | list) else _TEXT
    except (ValueError, RecursionError):
        return _TEXT


def _parents(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
