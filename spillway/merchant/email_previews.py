"""Sample emails: each email of the shop, rendered with a real product."""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.domain.email import OutgoingEmail
from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.domain.tokens import Links
from chalicelib.services.email_composer import EmailComposer
from chalicelib.storefront.renderer import Renderer
from spillway.errors import BadInput
from spillway.merchant.stock_import import SkuIndex, require_sku
from spillway.sitegen.release import Release

# Signs the links of samples: no stage accepts them, so a sample unsubscribes nobody.
SAMPLE_KEY = "sample"


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample email with its name ("available-preorder", "confirm-de")."""

    name: str
    sender: str
    outgoing: OutgoingEmail


def samples(release: Release, *, sku: str | None, mailbox: str, at_ms: int) -> Iterator[Sample]:
    """Yield each email in each locale, about the variant `sku`; without one, the first of the catalogue.

    Raises:
        BadInput: The catalogue has no such SKU.
    """
    product, variant = _choose(release, sku)
    renderer = Renderer(release.theme)
    writer = EmailComposer(renderer, Links([SAMPLE_KEY], lambda: at_ms))

    def stocked(availability: Availability) -> StockedProduct:
        return StockedProduct(product, {variant: Stock(availability, 5, at_ms, "sample")})

    back, pre_order = stocked(Availability.IN_STOCK), stocked(Availability.PRE_ORDER)
    for edition in release.theme.editions:
        page, tail = edition.localized_path(product.path), edition.root.replace("/", "-")
        entry = Entry("sample", variant, mailbox, EntryState.CONFIRMED, at_ms, page=page)
        yield Sample(f"confirm{tail}", writer.sender, writer.confirm([(entry, back)]))
        yield Sample(f"already{tail}", writer.sender, writer.already(entry, back))
        yield Sample(f"available{tail}", writer.sender, writer.available([entry], back)[0])
        yield Sample(f"my-waitlists{tail}", writer.sender, writer.my_waitlists(mailbox, "sample", page=page))
        yield Sample(f"available-preorder{tail}", writer.sender, writer.available([entry], pre_order)[0])


def _choose(release: Release, sku: str | None) -> tuple[Product, str]:
    wanted = None if sku is None else require_sku(sku)
    for entry in release.products:
        for variant in entry.product.variants:
            if wanted in {None, variant.sku}:
                return entry.product, variant.sku
    index = SkuIndex(
        (variant.sku, entry.product.slug) for entry in release.products for variant in entry.product.variants
    )
    hint = index.near_miss(wanted or "") or "SKUs are in site/products/*.toml"
    raise BadInput(f"--sku {wanted!r}: no product has it", hint=hint)
