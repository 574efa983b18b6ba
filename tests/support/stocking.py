"""Writes stock into a products table, whatever is known of it."""

from chalicelib.domain.stock import Stock
from chalicelib.tables.products import ProductsTable


def observe(products: ProductsTable, slug: str, sku: str, stock: Stock) -> bool:
    """Store `stock` as an event that is news would; false when the variant has none to begin with."""
    stocked = products.get(slug)
    if stocked is None or sku not in stocked.stock:
        return False
    known = stocked.stock[sku]
    news = Stock(
        stock.availability, stock.units, stock.observed_at_ms, stock.event_id, known.version + 1, ("key",)
    )
    return products.observe(slug, sku, news, known=known)
