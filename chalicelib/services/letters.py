"""Writes letters: the shop's words, the shopper's links, the headers mail clients act on."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from chalicelib.domain.entry import Entry
from chalicelib.domain.letter import Letter
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

    def available(self, waiting: Sequence[Entry], stocked: StockedProduct) -> list[Envelope]:
        """The letters that say one variant can be had now, with one-click leaving (RFC 8058).

        All of `waiting` wait for the same variant, so their letters differ in the link to leave by
        alone: it is written once, for the first, and theirs is put in its place for the others.
        """
        if not waiting:
            return []
        links = [self._link("unsubscribe", Purpose.LEAVE, entry) for entry in waiting]
        pattern = self._renderer.letter(
            "available",
            product=stocked.product,
            variant=stocked.product.variant(waiting[0].sku),
            stock=stocked.stock,
            action_url=f"{self._shop.base_url}{stocked.product.path}",
            leave_url=links[0],
        )
        # A signed link is its own marker: no text of a catalogue can hold it.
        text, html = pattern.text.split(links[0]), pattern.html.split(links[0])
        return [
            Envelope(
                entry.mailbox,
                Letter(pattern.subject, link.join(text), link.join(html)),
                {
                    **self._headers(),
                    "List-Unsubscribe": f"<{link}>",
                    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                },
                _tags("available", entry),
            )
            for entry, link in zip(waiting, links, strict=True)
        ]

    def yours(self, mailbox: str, shopper: str) -> Envelope:
        """The letter that leads a shopper to all they wait for, who asked for it."""
        token = self._links.sign(Purpose.YOURS, LinkSubject(shopper))
        letter = self._renderer.note("yours", action_url=self._url("waitlists", token))
        return Envelope(mailbox, letter, self._headers(), {"letter": "yours", "shopper": shopper})

    def _link(self, route: str, purpose: Purpose, entry: Entry) -> str:
        return self._url(route, self._links.sign(purpose, LinkSubject(entry.shopper, entry.sku)))

    def _url(self, route: str, token: str) -> str:
        return f"{self._shop.base_url}/api/{route}?token={quote(token, safe='')}"

    def _headers(self) -> dict[str, str]:
        # RFC 3834: no vacation notice is to answer a letter that a machine sent. Precedence, which it calls
        # no standard, would say nothing more, and some servers keep bounces of what is marked bulk.
        headers = {"Auto-Submitted": "auto-generated"}
        return {**headers, "Reply-To": self._shop.reply_to} if self._shop.reply_to else headers


def _tags(letter: str, entry: Entry) -> Mapping[str, str]:
    return {"letter": letter, "shopper": entry.shopper, "sku": entry.sku}
