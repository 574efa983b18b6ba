"""The choices on a product page: its variants, to buy and to wait for."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from chalicelib.domain.ids import Sku
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.checkout import Checkout

_LATER = frozenset({Availability.PRE_ORDER, Availability.BACK_ORDER})
# A page asks dozens of times, and a member of a class is looked up more slowly than a name.
_COMING_SOON, _DISCONTINUED = Availability.COMING_SOON, Availability.DISCONTINUED


@dataclass(frozen=True, slots=True)
class VariantChoice:
    """One variant with its availability.

    `buy_url` is the address that buys one of it; None where it cannot be bought, or not in this shop.
    `left` is the stock of it where the page says that little is left.
    """

    variant: Variant
    availability: Availability
    buy_url: str | None = None
    left: int | None = None

    @property
    def can_buy(self) -> bool:
        return self.availability.can_buy

    @property
    def is_coming(self) -> bool:
        """True for a variant that was never on sale."""
        return self.availability is _COMING_SOON

    @property
    def can_wait(self) -> bool:
        """False for a discontinued variant too, which never comes back."""
        return not self.availability.can_buy and self.availability is not _DISCONTINUED

    @property
    def ships_on(self) -> str | None:
        """The day on which a pre-order or a back-order ships (ISO 8601), if the shop names one."""
        return self.variant.available_on if self.availability in _LATER else None

    @property
    def launches_on(self) -> str | None:
        """The day on which a variant that is coming soon goes on sale (ISO 8601), if the shop names one."""
        return self.variant.available_on if self.is_coming else None


@dataclass(frozen=True, slots=True)
class VariantChoices:
    """Every variant of one product, in catalogue order."""

    all: tuple[VariantChoice, ...]

    def __iter__(self) -> Iterator[VariantChoice]:
        return iter(self.all)

    @property
    def to_buy(self) -> tuple[VariantChoice, ...]:
        return tuple(choice for choice in self.all if choice.can_buy)

    @property
    def to_wait_for(self) -> tuple[VariantChoice, ...]:
        return tuple(choice for choice in self.all if choice.can_wait)

    @property
    def ships_on(self) -> str | None:
        """The day on which everything in stock ships; None if days differ or it ships now."""
        return _one_day({choice.ships_on for choice in self.all if choice.can_buy})

    @property
    def all_coming(self) -> bool:
        """True where each variant to wait for was never on sale."""
        return all(choice.is_coming for choice in self.to_wait_for)

    @property
    def some_coming(self) -> bool:
        """True where a variant to wait for was never on sale."""
        return any(choice.is_coming for choice in self.all)

    @property
    def launches_on(self) -> str | None:
        """The day on which everything that is coming soon goes on sale; None if days differ or are open."""
        return _one_day({choice.launches_on for choice in self.all if choice.is_coming})

    @property
    def badge(self) -> Availability | None:
        """The one word about the whole product; None when it is simply in stock."""
        return _badge({choice.availability for choice in self.all})

    @property
    def has_one_price(self) -> bool:
        """True where each variant has the same price, former price and last day of a sale."""
        first = self.all[0].variant
        terms = (first.price_minor, first.compare_at_minor, first.sale_ends_on)
        return all(
            (variant.price_minor, variant.compare_at_minor, variant.sale_ends_on) == terms
            for variant in (choice.variant for choice in self.all)
        )


def availability_of(variant: Variant, stock: Mapping[Sku, Stock]) -> Availability:
    """Return the availability of a variant; one without a count is out of stock."""
    known = stock.get(variant.sku)
    return known.availability if known else Availability.OUT_OF_STOCK


def badge_of(product: Product, stock: Mapping[Sku, Stock]) -> Availability | None:
    """Return the badge of the product's choices, for a card without them."""
    return _badge({availability_of(variant, stock) for variant in product.variants})


def launch_day_of(product: Product, stock: Mapping[Sku, Stock]) -> str | None:
    """Return the day on which everything coming soon goes on sale (ISO 8601), for a card without choices."""
    return _one_day(
        {
            variant.available_on
            for variant in product.variants
            if availability_of(variant, stock) is Availability.COMING_SOON
        }
    )


def choices_of(
    product: Product,
    stock: Mapping[Sku, Stock],
    checkout: Checkout | None = None,
    *,
    low_stock: int | None = None,
) -> VariantChoices:
    """Return the product's variants with their stock.

    Without `checkout`, no choice has an address that buys it. `low_stock` is the stock at
    which a choice begins to say how many are left; None for never.
    """
    choices = []
    for variant in product.variants:
        availability = availability_of(variant, stock)
        buy_url = checkout.buy_url(product, variant) if checkout and availability.can_buy else None
        left = _left(stock.get(variant.sku), low_stock)
        choices.append(VariantChoice(variant, availability, buy_url, left))
    return VariantChoices(tuple(choices))


def _left(known: Stock | None, low_stock: int | None) -> int | None:
    """Return the units of a variant in stock where they are few; a variant without a count has none."""
    if known is None or known.units is None or low_stock is None:
        return None
    is_low = known.availability is Availability.IN_STOCK and 0 < known.units <= low_stock
    return known.units if is_low else None


def _badge(found: Collection[Availability]) -> Availability | None:
    for availability in (Availability.IN_STOCK, Availability.BACK_ORDER, Availability.PRE_ORDER):
        if availability in found:
            return availability if availability is Availability.PRE_ORDER else None
    # Once a variant was on sale, its product is not new any more.
    for availability in (Availability.OUT_OF_STOCK, Availability.COMING_SOON):
        if availability in found:
            return availability
    return Availability.DISCONTINUED


def _one_day(days: Collection[str | None]) -> str | None:
    """Return the one day of a set; None where there are several, or a variant without a day."""
    return next(iter(days)) if len(days) == 1 else None


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
