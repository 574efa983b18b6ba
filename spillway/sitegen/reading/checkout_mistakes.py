"""Find what products lack for the checkout that they lead to: ids, and pages of the shop's own.

A file of one product cannot say whether it lacks anything: the shop's checkout stands in site.toml.
"""

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from chalicelib.storefront.checkout import Checkout, CheckoutTemplate, Placeholder
from spillway.sitegen.reading.catalogue import ProductRow

_DROPPED = frozenset({".", ".."})


class CheckoutMistake(NamedTuple):
    """A field of a product that its checkout needs otherwise.

    `number` is that of the variant, None for a field of the product itself.
    """

    row: ProductRow
    number: int | None
    field: str
    value: str | None
    expected: str


def checkout_mistakes(
    checkout: str | None, rows: Sequence[ProductRow], page_slugs: Set[str]
) -> Iterator[CheckoutMistake]:
    """Yield a mistake for each product without the ids that it needs, and for each page that is not there.

    Args:
        checkout: the shop's; None where it has none.
        rows: the products.
        page_slugs: the slugs of the pages under site/pages, which an address may lead to.
    """
    template = Checkout.of(checkout).template
    needs_id = _needs_id(template)
    drops_skus = template is not None and Placeholder.SKU in template.path
    for row in rows:
        if row.own_checkouts:
            yield from _missing_pages(row, page_slugs)
        if row.without_id and (needs_id or row.own_checkouts):
            yield from _missing_ids(row, template)
        if drops_skus and not _DROPPED.isdisjoint(row.skus):
            yield from _dropped_skus(row)


def _missing_pages(row: ProductRow, page_slugs: Set[str]) -> Iterator[CheckoutMistake]:
    for field, url in row.own_checkouts:
        own_path = CheckoutTemplate.parse(url).own_path
        if own_path is not None and own_path.removeprefix("/") not in page_slugs:
            expected = f"a page of this shop: site/pages{own_path}.md does not exist"
            yield CheckoutMistake(row, _number_in(field), field, url, expected)


def _missing_ids(row: ProductRow, template: CheckoutTemplate | None) -> Iterator[CheckoutMistake]:
    """Yield one mistake that names every variant of the product without an id."""
    own = {field: CheckoutTemplate.parse(url) for field, url in row.own_checkouts}
    of_product = own.get("checkout_url", template)
    missing = [
        number
        for number in row.without_id
        if _needs_id(own.get(f"variants[{number}].checkout_url", of_product))
    ]
    if missing:
        skus = ", ".join(row.skus[number] for number in missing)
        expected = f"an id for {skus}, as the address of the checkout has {{variant_id}}"
        yield CheckoutMistake(row, missing[0], f"variants[{missing[0]}].variant_id", None, expected)


def _dropped_skus(row: ProductRow) -> Iterator[CheckoutMistake]:
    for number, sku in enumerate(row.skus):
        if sku in _DROPPED:
            expected = "another SKU: browsers drop this one from the path of the checkout's address"
            yield CheckoutMistake(row, number, f"variants[{number}].sku", sku, expected)


def _needs_id(template: CheckoutTemplate | None) -> bool:
    return template is not None and Placeholder.VARIANT_ID in template.placeholders


def _number_in(field: str) -> int | None:
    return int(field.removeprefix("variants[").partition("]")[0]) if field.startswith("variants[") else None
