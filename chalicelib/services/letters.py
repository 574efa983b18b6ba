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
from chalicelib.mail.headers import SES_VALUE_CHARS_MAX
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

    def confirm(self, asked: Sequence[tuple[Entry, StockedProduct]]) -> Envelope:
        """Write the letter that asks whether it was really this shopper who signed up.

        `asked` are entries of one shopper with their products, at least one, the newest last: it decides over
        language and address. The link names all of them.
        """
        newest, stocked = asked[-1]
        renderer = self._speaking(newest.page)
        token = self._links.sign(
            Purpose.CONFIRM, LinkSubject.of(newest.shopper, [entry.sku for entry, _ in asked])
        )
        letter = renderer.letter(
            "confirm",
            product=stocked.product,
            variant=stocked.product.variant(newest.sku),
            stock=stocked.stock,
            action_url=self._url(renderer.edition, "confirm", token),
            items=[(one.product, one.product.variant(entry.sku)) for entry, one in asked],
        )
        tags = _tags("confirm", newest)
        return Envelope(newest.mailbox, letter, HEADERS, tags, reply_to=self._shop.reply_to)

    def already(self, entry: Entry, stocked: StockedProduct) -> Envelope:
        """Write the letter that says to a shopper who asked again that they are on the list."""
        renderer = self._speaking(entry.page)
        token = self._leave_token(entry)
        link = self._url(renderer.edition, "unsubscribe", token)
        letter = renderer.letter(
            "already",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=f"{self._shop.base_url}{renderer.edition.at(stocked.product.path)}",
            leave_url=link,
        )
        headers = self._leaving_headers(link, token)
        tags = _tags("already", entry)
        return Envelope(entry.mailbox, letter, headers, tags, reply_to=self._shop.reply_to)

    def available(self, waiting: Sequence[Entry], stocked: StockedProduct) -> list[Envelope]:
        """The letters that say one variant can be had now, with one-click leaving (RFC 8058).

        All of `waiting` wait for the same variant, so letters in one language differ in the link to leave
        by alone: each is written once, and everybody's own link is put in its place.
        """
        patterns: dict[str, _Pattern] = {}
        envelopes = []
        for entry in waiting:
            renderer = self._speaking(entry.page)
            token = self._leave_token(entry)
            link = self._url(renderer.edition, "unsubscribe", token)
            root = renderer.edition.root
            if root not in patterns:
                patterns[root] = self._pattern(renderer, entry.sku, stocked, link)
            envelopes.append(self._told(entry, patterns[root], link, token))
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

    def _told(self, entry: Entry, pattern: _Pattern, link: str, token: str) -> Envelope:
        return Envelope(
            entry.mailbox,
            Letter(pattern.subject, link.join(pattern.text), escape(link).join(pattern.html)),
            self._leaving_headers(link, token),
            _tags("available", entry),
            reply_to=self._shop.reply_to,
        )

    def _leaving_headers(self, link: str, token: str) -> Mapping[str, str]:
        """Return the headers of a letter about one entry that can be left.

        RFC 2369, 3.2: one header, the way that is liked best first. RFC 8058 asks for one https link in it.
        The subject of the other way carries the token, for `spillway unsubscribe`.
        """
        ways = f"<{link}>"
        if self._shop.unsubscribe_mailbox:
            subject = f"unsubscribe%20{quote(token, safe='')}"
            both = f"{ways}, <mailto:{self._shop.unsubscribe_mailbox}?subject={subject}>"
            ways = both if len(both) <= SES_VALUE_CHARS_MAX - len("List-Unsubscribe") else ways
        return {
            **HEADERS,
            "List-Unsubscribe": ways,
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }

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

    def _leave_token(self, entry: Entry) -> str:
        return self._links.sign(Purpose.LEAVE, LinkSubject(entry.shopper, entry.sku))

    def _url(self, edition: Edition, route: str, token: str) -> str:
        path = f"/api/{route}?token={quote(token, safe='')}"
        return f"{self._shop.base_url}{edition.at(path)}"


def _tags(letter: str, entry: Entry) -> Mapping[str, str]:
    return {"letter": letter, "shopper": entry.shopper, "sku": sku_tag(entry.sku)}
