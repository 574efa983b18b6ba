"""Writes letters: the shop's words, the shopper's links, the headers mail clients act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from chalicelib.domain.entry import Entry
from chalicelib.domain.letter import Letter
from chalicelib.domain.links import Links, LinkSubject, Purpose
from chalicelib.domain.locales import root_of
from chalicelib.domain.sku import sku_tag
from chalicelib.domain.stock import StockedProduct
from chalicelib.mail.postbox import Envelope
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Edition

# RFC 3834: no vacation notice is to answer a letter that a machine sent. Precedence, which it calls no
# standard, would say nothing more, and some servers keep bounces of what is marked bulk.
HEADERS: Mapping[str, str] = {"Auto-Submitted": "auto-generated"}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A letter, cut where everybody's own link stands."""

    subject: str
    text: list[str]
    html: list[str]


class LetterWriter:
    """Writes the letters of the shop that `renderer` renders, each in the language of the page that its
    shopper asked on."""

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
        renderer = self._speaking(entry.page)
        letter = renderer.letter(
            "confirm",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=self._link(renderer.edition, "confirm", Purpose.CONFIRM, entry),
        )
        return Envelope(entry.mailbox, letter, HEADERS, _tags("confirm", entry), reply_to=self._shop.reply_to)

    def available(self, waiting: Sequence[Entry], stocked: StockedProduct) -> list[Envelope]:
        """The letters that say one variant can be had now, with one-click leaving (RFC 8058).

        All of `waiting` wait for the same variant, so letters in one language differ in the link to leave
        by alone: each is written once, and everybody's own link is put in its place.
        """
        patterns: dict[str, _Pattern] = {}
        envelopes = []
        for entry in waiting:
            renderer = self._speaking(entry.page)
            link = self._link(renderer.edition, "unsubscribe", Purpose.LEAVE, entry)
            root = renderer.edition.root
            if root not in patterns:
                patterns[root] = self._pattern(renderer, entry.sku, stocked, link)
            envelopes.append(self._told(entry, patterns[root], link))
        return envelopes

    def _pattern(self, renderer: Renderer, sku: str, stocked: StockedProduct, link: str) -> _Pattern:
        letter = renderer.letter(
            "available",
            product=stocked.product,
            variant=stocked.product.variant(sku),
            stock=stocked.stock,
            action_url=f"{self._shop.base_url}{renderer.edition.at(stocked.product.path)}",
            leave_url=link,
        )
        # A signed link is its own marker: no text of a catalogue can hold it. In HTML, its & is escaped.
        return _Pattern(letter.subject, letter.text.split(link), letter.html.split(escape(link)))

    def _told(self, entry: Entry, pattern: _Pattern, link: str) -> Envelope:
        return Envelope(
            entry.mailbox,
            Letter(pattern.subject, link.join(pattern.text), escape(link).join(pattern.html)),
            {
                **HEADERS,
                "List-Unsubscribe": f"<{link}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
            _tags("available", entry),
            reply_to=self._shop.reply_to,
        )

    def yours(self, mailbox: str, shopper: str, *, page: str) -> Envelope:
        """The letter that leads a shopper to all they wait for, who asked for it. `page` is one that they
        asked for something on."""
        token = self._links.sign(Purpose.YOURS, LinkSubject(shopper))
        renderer = self._speaking(page)
        letter = renderer.note("yours", action_url=self._url(renderer.edition, "waitlists", token))
        tags = {"letter": "yours", "shopper": shopper}
        return Envelope(mailbox, letter, HEADERS, tags, reply_to=self._shop.reply_to)

    def _speaking(self, page: str) -> Renderer:
        return self._renderer.under(root_of(page))

    def _link(self, edition: Edition, route: str, purpose: Purpose, entry: Entry) -> str:
        return self._url(edition, route, self._links.sign(purpose, LinkSubject(entry.shopper, entry.sku)))

    def _url(self, edition: Edition, route: str, token: str) -> str:
        path = f"/api/{route}?token={quote(token, safe='')}"
        return f"{self._shop.base_url}{edition.at(path)}"


def _tags(letter: str, entry: Entry) -> Mapping[str, str]:
    return {"letter": letter, "shopper": entry.shopper, "sku": sku_tag(entry.sku)}
