"""Numbers of things, as a sentence says them."""


def pluralize(count: int, one: str, many: str = "") -> str:
    """1 product, 2 products, 1,234 products. `many` is where it takes more than an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
