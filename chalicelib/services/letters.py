"""Writes letters: the shop's words, the shopper's links, the headers mail clients act on."""

from collections.abc import Mapping
from urllib.parse import quote

from chalicelib.domain.entry import Entry
from chalicelib.domain.links import Links, LinkSubject, Purpose
from chalicelib.domain.stock import StockedProduct
from chalicelib.mail.postbox import Envelope
from chalicelib.storefront.renderer import Renderer


class LetterWriter:
    """Writes the letters of the shop that `renderer` renders."""

    def __init__(self, renderer: Renderer, links: Links) -> None:
        self._renderer = renderer
        self._shop = renderer.theme.shop
        self._links = links

    @property
    def sender(self) -> str:
        """Who letters come from: an RFC 5322 mailbox."""
        return self._shop.sender

    def confirm(self, entry: Entry, stocked: StockedProduct) -> Envelope:
        """The letter that asks whether it was really this shopper who signed up."""
        letter = self._renderer.letter(
            "confirm",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=self._link("confirm", Purpose.CONFIRM, entry),
        )
        return Envelope(entry.mailbox, letter, self._headers(), _tags("confirm", entry))

    def available(self, entry: Entry, stocked: StockedProduct) -> Envelope:
        """The letter that says it can be had now, with one-click leaving (RFC 8058)."""
        leave_url = self._link("unsubscribe", Purpose.LEAVE, entry)
        letter = self._renderer.letter(
            "available",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=f"{self._shop.base_url}{stocked.product.path}",
            leave_url=leave_url,
        )
        headers = {
            **self._headers(),
            "List-Unsubscribe": f"<{leave_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        return Envelope(entry.mailbox, letter, headers, _tags("available", entry))

    def _link(self, route: str, purpose: Purpose, entry: Entry) -> str:
        token = self._links.sign(purpose, LinkSubject(entry.shopper, entry.sku))
        return f"{self._shop.base_url}/api/{route}?token={quote(token, safe='')}"

    def _headers(self) -> dict[str, str]:
        # RFC 3834: no vacation notice is to answer a letter that a machine sent.
        headers = {"Auto-Submitted": "auto-generated"}
        return {**headers, "Reply-To": self._shop.reply_to} if self._shop.reply_to else headers


def _tags(letter: str, entry: Entry) -> Mapping[str, str]:
    return {"letter": letter, "shopper": entry.shopper, "sku": entry.sku}
