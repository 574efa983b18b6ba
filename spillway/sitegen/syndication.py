"""The shop's Atom feed: what is new, for feed readers."""

import re
from collections.abc import Sequence
from html import escape

from chalicelib.domain.product import Product
from chalicelib.storefront.theme import Edition

FEED_ENTRIES_MAX = 20
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def feed(edition: Edition, newest: Sequence[Product]) -> str:
    """An Atom feed of products that say when they came, the newest first, in the words of an edition.

    There is at least one: a feed has to say when it changed, and the build has no clock.
    """
    shop = edition.shop
    home, own = (f"{shop.base_url}{edition.at(path)}" for path in ("/", "/feed.xml"))
    addresses = [xml_text(f"{shop.base_url}{edition.at(product.path)}") for product in newest]
    entries = "".join(
        f"<entry>\n<title>{xml_text(product.title)}</title>\n"
        f'<link href="{address}"/>\n'
        f"<id>{address}</id>\n<updated>{_time(product)}</updated>\n"
        f"<summary>{xml_text(product.summary)}</summary>\n</entry>\n"
        for product, address in zip(newest, addresses, strict=True)
    )
    return (
        f'{_DECLARATION}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{xml_text(shop.locale)}">\n'
        f"<title>{xml_text(shop.name)}</title>\n<subtitle>{xml_text(shop.tagline)}</subtitle>\n"
        f'<link href="{xml_text(home)}"/>\n'
        f'<link rel="self" href="{xml_text(own)}"/>\n'
        f"<id>{xml_text(home)}</id>\n<updated>{_time(newest[0])}</updated>\n"
        f"<author><name>{xml_text(shop.name)}</name></author>\n{entries}</feed>\n"
    )


def xml_text(text: str) -> str:
    """Return `text` for a place in XML 1.0, without the characters that no XML document may have.

    https://www.w3.org/TR/xml/#charsets
    """
    return escape(_NO_XML.sub("", text))


def _time(product: Product) -> str:
    return f"{product.released_on}T00:00:00Z"
