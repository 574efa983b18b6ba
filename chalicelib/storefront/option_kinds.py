"""What an option is to a search engine: "Colour", "Farbe" and "Color" are schema.org's `color`."""

from collections.abc import Iterable

from chalicelib.domain.product import Product

# The properties that variants may differ by, by what merchants call them.
# https://developers.google.com/search/docs/appearance/structured-data/product-variants
_NAMES = {
    "color": "color colour farbe couleur colore cor kleur färg farve kolor väri",
    "size": "size größe grösse groesse taille talla taglia tamanho maat storlek størrelse rozmiar koko",
    "material": "material matériau matière materiale materiaal materiał",
    "pattern": "pattern muster motif patrón motivo padrão patroon mönster mønster wzór",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def option_kind(name: str) -> str | None:
    """Return the schema.org property that the option `name` is: color, size, material or pattern."""
    return _KINDS.get(name.strip().casefold())


def option_kinds(product: Product) -> tuple[str | None, ...]:
    """Return the property of each option of a product, in their order; a property only once."""
    kinds: list[str | None] = []
    for name in _names(product):
        kind = option_kind(name)
        kinds.append(None if kind in kinds else kind)
    return tuple(kinds)


def _names(product: Product) -> Iterable[str]:
    return [name for name, _ in product.variants[0].options] if product.variants else ()
