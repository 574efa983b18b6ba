"""Sample emails: each email of the shop, rendered with a real product."""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.domain.email import OutgoingEmail
from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.merchant import Merchant, MerchantId, Role
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.domain.tokens import LinkTokens
from chalicelib.mail.smtp import message_of
from chalicelib.services.email_composer import EmailComposer
from chalicelib.storefront.renderer import Renderer
from spillway.errors import BadInput
from spillway.merchant.stock_import import SkuIndex
from spillway.sitegen.release import Release

# Signs the links of samples: no stage accepts them, so a sample unsubscribes nobody.
SAMPLE_KEY = "sample"
SAMPLE_SHOPPER = ShopperId("sample")
SAMPLE_MAILBOX = "shopper@example.com"


@dataclass(frozen=True, slots=True)
class SampleEmail:
    """A sample email: `kind` is its name in English ("available-preorder"), `tail` its edition's ("-de")."""

    kind: str
    tail: str
    locale: str
    sender: str
    outgoing: OutgoingEmail

    @property
    def name(self) -> str:
        """The name of this sample: "available-preorder", "confirm-de"."""
        return f"{self.kind}{self.tail}"

    def message(self) -> bytes:
        """Return the email as it travels (RFC 5322)."""
        return message_of(
            self.sender, self.outgoing, message_id=f"{self.name}@sample.invalid", sent_at=datetime.now(UTC)
        )


def samples(release: Release, *, sku: Sku | None, mailbox: str, at_ms: int) -> Iterator[SampleEmail]:
    """Yield each email in each locale, about the variant `sku`; without one, the first of the catalogue.

    Raises:
        BadInput: The catalogue has no such SKU.
    """
    product, variant = _choose(release, sku)
    renderer = Renderer(release.theme)
    writer = EmailComposer(renderer, LinkTokens([SAMPLE_KEY], lambda: at_ms))

    def stocked(availability: Availability) -> StockedProduct:
        return StockedProduct(product, {variant: Stock(availability, 5, at_ms, "sample")})

    back = stocked(Availability.IN_STOCK)
    merchant = Merchant(MerchantId(SAMPLE_SHOPPER), mailbox, Role.ACT)
    for edition in release.theme.editions:
        page, tail = edition.localized_path(product.path), edition.root.replace("/", "-")
        entry = Entry(SAMPLE_SHOPPER, variant, mailbox, EntryState.CONFIRMED, at_ms, page=page)
        for kind, outgoing in (
            ("confirm", writer.confirm([(entry, back)])),
            ("already", writer.already(entry, back)),
            ("available", writer.available([entry], back)[0]),
            ("my-waitlists", writer.my_waitlists(mailbox, SAMPLE_SHOPPER, page=page)),
            ("sign-in", writer.sign_in(merchant, SAMPLE_KEY, page=page)),
            ("test", writer.test(merchant, page=page)),
            ("available-preorder", writer.available([entry], stocked(Availability.PRE_ORDER))[0]),
            ("available-backorder", writer.available([entry], stocked(Availability.BACK_ORDER))[0]),
        ):
            yield SampleEmail(kind, tail, edition.shop.locale, writer.sender, outgoing)


def with_pictures(html: str, release: Release) -> str:
    """Return an email with its pictures in it, as a browser shows it before the shop is published."""
    objects = {site_object.key: site_object for site_object in release.objects}
    base_url = re.escape(release.theme.shop.base_url)

    def embedded(found: re.Match[str]) -> str:
        picture = objects.get(found["key"])
        if picture is None:
            return found[0]
        body = b64encode(picture.read()).decode()
        return f'src="data:{picture.content_type};base64,{body}"'

    return re.sub(rf'src="{base_url}/(?P<key>[^"]*)"', embedded, html)


def _choose(release: Release, sku: Sku | None) -> tuple[Product, Sku]:
    for entry in release.products:
        for variant in entry.product.variants:
            if sku in {None, variant.sku}:
                return entry.product, variant.sku
    index = SkuIndex(
        (variant.sku, entry.product.slug) for entry in release.products for variant in entry.product.variants
    )
    hint = index.near_miss(sku or Sku("")) or "SKUs are in site/products/*.toml"
    raise BadInput(f"--sku {sku!r}: no product has it", hint=hint)
