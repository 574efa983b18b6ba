"""Report sales that have ended: a page does not change its price by the clock."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # A build that finds nothing changed reports sales too, and loads no module it does not need.
    from spillway.sitegen.reading.catalogue import ProductRow

# Further ones are only counted.
_NAMED_MAX = 10


def sales_of(rows: Iterable["ProductRow"]) -> tuple[tuple[str, str], ...]:
    """Return (file, last day in ISO 8601) of each product with a sale that ends."""
    return tuple((row.file, row.sale_ends_on) for row in rows if row.sale_ends_on)


def ended_sales(sales: Iterable[Sequence[str]], *, today: str) -> Iterator[str]:
    """Yield a line for each of `sales` whose last day is before `today` (ISO 8601).

    The shop still charges the sale price then, as the product's file states.
    """
    ended = [(file, ends_on) for file, ends_on in sales if ends_on < today]
    for file, ends_on in ended[:_NAMED_MAX]:
        yield (
            f"{file}: the sale ended on {ends_on}, and the sale price is still charged and shown: "
            "set price, and remove compare_at_price and sale_ends_on"
        )
    if len(ended) > _NAMED_MAX:
        yield f"and {len(ended) - _NAMED_MAX} more sales that have ended"
