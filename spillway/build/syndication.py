"""The shop's Atom feed: what is new, for feed readers."""

from collections.abc import Sequence
from html import escape

from chalicelib.domain.product import Product
from chalicelib.storefront.theme import Edition

FEED_ENTRIES_MAX = 20
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def feed(edition: Edition, newest: Sequence[Product]) -> str:
    """An Atom feed of products that say when they came, the newest first, in the words of an edition."""
    shop = edition.shop
    home, own = (f"{shop.base_url}{edition.at(path)}" for path in ("/", "/feed.xml"))
    addresses = [escape(f"{shop.base_url}{edition.at(product.path)}") for product in newest]
    updated = _time(newest[0]) if newest else "1970-01-01T00:00:00Z"
    entries = "".join(
        f"<entry>\n<title>{escape(product.title)}</title>\n"
        f'<link href="{address}"/>\n'
        f"<id>{address}</id>\n<updated>{_time(product)}</updated>\n"
        f"<summary>{escape(product.summary)}</summary>\n</entry>\n"
        for product, address in zip(newest, addresses, strict=True)
    )
    return (
        f'{_DECLARATION}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{escape(shop.locale)}">\n'
        f"<title>{escape(shop.name)}</title>\n<subtitle>{escape(shop.tagline)}</subtitle>\n"
        f'<link href="{escape(home)}"/>\n'
        f'<link rel="self" href="{escape(own)}"/>\n'
        f"<id>{escape(home)}</id>\n<updated>{updated}</updated>\n"
        f"<author><name>{escape(shop.name)}</name></author>\n{entries}</feed>\n"
    )


def _time(product: Product) -> str:
    return f"{product.released_on}T00:00:00Z"
