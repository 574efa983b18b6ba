"""The checkout of a shop: an address with placeholders, and the address of each variant made from it.

    https://shop.example/cart/{variant_id}:{quantity}                          Shopify's cart permalink
    https://shop.example/cart/?add-to-cart={variant_id}&quantity={quantity}    WooCommerce
    /checkout?sku={sku}                                                        a page of the shop's own

A product or a variant with a `checkout_url` of its own, such as a payment link, leads there instead.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, urlsplit

from chalicelib.domain.product import Product, Variant

# In site.toml: the shop shows its products and keeps waitlists, and sells elsewhere or not yet.
NO_CHECKOUT = "none"


class Placeholder(Enum):
    """A name in braces that an address has in place of a value of the variant."""

    SKU = "sku"
    VARIANT_ID = "variant_id"
    QUANTITY = "quantity"
    PRODUCT = "product"


PLACEHOLDERS = ", ".join(f"{{{placeholder.value}}}" for placeholder in Placeholder)
# Longer than any payment link, and than what old servers take.
CHECKOUT_LENGTH_MAX = 2_000

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_ORIGIN = re.compile(r"https://[^/?#]*", re.IGNORECASE)
# Characters of an address that mean something in it, and stay as the merchant wrote them.
_LITERAL = "/?#:@!$&'()*+,;=~%[]"
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = frozenset({".", ".."})
_NAMES = frozenset(placeholder.value for placeholder in Placeholder)

# Literal texts and placeholders, in their order.
Parts = tuple[str | Placeholder, ...]
Values = Mapping[Placeholder, str | None]


class CheckoutRefused(ValueError):
    """An address that no page may lead to; its text says what was expected."""


@dataclass(frozen=True, slots=True)
class CheckoutTemplate:
    """An address with placeholders anywhere after its host.

    `origin` is "https://HOST", empty for a page of the shop's own; `path` is everything up to the query, and
    `rest` begins with the "?" or "#" after it.
    """

    origin: str
    path: Parts
    rest: Parts

    @classmethod
    def parse(cls, text: str) -> "CheckoutTemplate":
        """Return the template that a merchant wrote; a doubled brace stands for a brace.

        Raises:
            CheckoutRefused: it is neither an https:// address nor a path, or has a wrong placeholder.
        """
        if not text.isprintable() or any(sign.isspace() or sign == "\\" for sign in text):
            raise CheckoutRefused("an address without spaces, backslashes and invisible characters")
        origin = found[0] if (found := _ORIGIN.match(text)) else ""
        if origin:
            _judge_origin(origin)
        elif not text.startswith("/") or text.startswith("//"):
            raise CheckoutRefused("an https:// address or a path of this shop")
        after = text[len(origin) :]
        path = re.match(r"[^?#]*", after)
        end = path.end() if path else 0
        return cls(origin, tuple(_parts(after[:end])), tuple(_parts(after[end:])))

    @property
    def placeholders(self) -> frozenset[Placeholder]:
        """The placeholders that it has."""
        return frozenset(part for part in (*self.path, *self.rest) if isinstance(part, Placeholder))

    @property
    def own_path(self) -> str | None:
        """The path of the page of the shop's own that it leads to; None for an address elsewhere."""
        return None if self.origin else "".join(_written(part) for part in self.path)

    def address(self, values: Values, path_for: Callable[[str], str] = str) -> str | None:
        """Return the address with `values` in it, percent-encoded.

        `path_for` localizes the path of a page of the shop's own. None where a value is missing, or would
        make a part of the path that browsers drop: "..".
        """
        path = _filled(self.path, values)
        rest = _filled(self.rest, values)
        if path is None or rest is None:
            return None
        if not _DOTS.isdisjoint(path.split("/")):
            written = "".join(part for part in self.path if not isinstance(part, Placeholder))
            if _DOTS.isdisjoint(written.split("/")):
                return None
        return f"{self.origin}{path}{rest}" if self.origin else f"{path_for(path)}{rest}"


@dataclass(frozen=True, slots=True)
class Checkout:
    """The checkout of a shop in one edition; `template` is None where only some products have one."""

    template: CheckoutTemplate | None
    path_for: Callable[[str], str] = str

    @classmethod
    def of(cls, checkout: str | None, path_for: Callable[[str], str] = str) -> "Checkout":
        """Return the checkout that site.toml names; `path_for` localizes a path of the shop's own."""
        return cls(CheckoutTemplate.parse(checkout) if checkout else None, path_for)

    def buy_url(self, product: Product, variant: Variant) -> str | None:
        """Return the address that buys one of a variant; None where the shop has no checkout for it."""
        template = self.template_of(product, variant)
        return template.address(_values(product, variant), self.path_for) if template else None

    def template_of(self, product: Product, variant: Variant) -> CheckoutTemplate | None:
        """Return the template of a variant: its own, or its product's, or else the shop's."""
        own = variant.checkout_url or product.checkout_url
        return CheckoutTemplate.parse(own) if own else self.template


def _values(product: Product, variant: Variant) -> dict[Placeholder, str | None]:
    return {
        Placeholder.SKU: variant.sku,
        Placeholder.VARIANT_ID: variant.variant_id,
        # A static page has no field for more.
        Placeholder.QUANTITY: "1",
        Placeholder.PRODUCT: product.slug,
    }


def _judge_origin(origin: str) -> None:
    if "{" in origin or "}" in origin:
        raise CheckoutRefused("a host without a placeholder: placeholders stand in the path or the query")
    try:
        address = urlsplit(origin)
        is_fine = bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:
        is_fine = False
    if not is_fine:
        raise CheckoutRefused("an https:// address with a host: https://pay.example/cart?sku={sku}")
    if "@" in origin:
        raise CheckoutRefused("an address without a user name or a password before its host")


def _parts(text: str) -> Iterator[str | Placeholder]:
    end = 0
    for token in _TOKEN.finditer(text):
        if literal := text[end : token.start()]:
            yield _encoded(literal)
        end = token.end()
        if token[0] in {"{{", "}}"}:
            yield quote(token[0][0])
        elif token[1] is None:
            raise CheckoutRefused("pairs of braces; a brace of the address itself is doubled: {{ or }}")
        elif token[1] in _NAMES:
            yield Placeholder(token[1])
        else:
            raise CheckoutRefused(f"one of {PLACEHOLDERS} instead of {token[0]}")
    if literal := text[end:]:
        yield _encoded(literal)


def _encoded(literal: str) -> str:
    if _LONE_PERCENT.search(literal):
        raise CheckoutRefused("a percent sign of the address itself written as %25")
    return quote(literal, safe=_LITERAL)


def _written(part: str | Placeholder) -> str:
    return f"{{{part.value}}}" if isinstance(part, Placeholder) else part


def _filled(parts: Parts, values: Values) -> str | None:
    texts = []
    for part in parts:
        text = values[part] if isinstance(part, Placeholder) else part
        if text is None:
            return None
        # A value is one part of a path or one value of a query: nothing in it separates anything.
        texts.append(quote(text, safe="") if isinstance(part, Placeholder) else text)
    return "".join(texts)
