"""Writes emails: the shop's words, the shopper's links, the headers mail clients act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from chalicelib.domain.email import Email
from chalicelib.domain.entry import Entry
from chalicelib.domain.links import Links, LinkSubject, Purpose
from chalicelib.domain.locales import root_of
from chalicelib.domain.sku import sku_tag
from chalicelib.domain.stock import StockedProduct
from chalicelib.mail.headers import SES_VALUE_CHARS_MAX
from chalicelib.mail.sender import OutgoingEmail
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Edition

# RFC 3834: no vacation notice is to answer an email that a machine sent. Precedence, which it calls no
# standard, would say nothing more, and some servers keep bounces of what is marked bulk.
HEADERS: Mapping[str, str] = {"Auto-Submitted": "auto-generated"}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """An email, cut where everybody's own link stands."""

    subject: str
    text: list[str]
    html: list[str]


class EmailComposer:
    """Writes the emails of the shop that `renderer` renders, each in the language of the page that its
    shopper asked on."""

    def __init__(self, renderer: Renderer, links: Links) -> None:
        self._renderer = renderer
        self._shop = renderer.theme.shop
        self._links = links

    @property
    def sender(self) -> str:
        """Who emails come from: an RFC 5322 mailbox."""
        return self._shop.sender

    def confirm(self, asked: Sequence[tuple[Entry, StockedProduct]]) -> OutgoingEmail:
        """Write the email that asks whether it was really this shopper who signed up.

        `asked` are entries of one shopper with their products, at least one, the newest last: it decides over
        language and address. The link names all of them.
        """
        newest, stocked = asked[-1]
        renderer = self._speaking(newest.page)
        token = self._links.sign(
            Purpose.CONFIRM, LinkSubject.of(newest.shopper, [entry.sku for entry, _ in asked])
        )
        email = renderer.email(
            "confirm",
            product=stocked.product,
            variant=stocked.product.variant(newest.sku),
            stock=stocked.stock,
            action_url=self._url(renderer.edition, "confirm", token),
            items=[(one.product, one.product.variant(entry.sku)) for entry, one in asked],
        )
        tags = _tags("confirm", newest)
        return OutgoingEmail(newest.mailbox, email, HEADERS, tags, reply_to=self._shop.reply_to)

    def already(self, entry: Entry, stocked: StockedProduct) -> OutgoingEmail:
        """Write the email that says to a shopper who asked again that they are on the list."""
        renderer = self._speaking(entry.page)
        token = self._leave_token(entry)
        link = self._url(renderer.edition, "unsubscribe", token)
        email = renderer.email(
            "already",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=f"{self._shop.base_url}{renderer.edition.at(stocked.product.path)}",
            unsubscribe_url=link,
        )
        headers = self._leaving_headers(link, token)
        tags = _tags("already", entry)
        return OutgoingEmail(entry.mailbox, email, headers, tags, reply_to=self._shop.reply_to)

    def available(self, waiting: Sequence[Entry], stocked: StockedProduct) -> list[OutgoingEmail]:
        """The emails that say one variant can be had now, with one-click leaving (RFC 8058).

        All of `waiting` wait for the same variant, so emails in one language differ in the link to leave
        by alone: each is written once, and everybody's own link is put in its place.
        """
        patterns: dict[str, _Pattern] = {}
        emails = []
        for entry in waiting:
            renderer = self._speaking(entry.page)
            token = self._leave_token(entry)
            link = self._url(renderer.edition, "unsubscribe", token)
            root = renderer.edition.root
            if root not in patterns:
                patterns[root] = self._pattern(renderer, entry.sku, stocked, link)
            emails.append(self._told(entry, patterns[root], link, token))
        return emails

    def _pattern(self, renderer: Renderer, sku: str, stocked: StockedProduct, link: str) -> _Pattern:
        email = renderer.email(
            "available",
            product=stocked.product,
            variant=stocked.product.variant(sku),
            stock=stocked.stock,
            action_url=f"{self._shop.base_url}{renderer.edition.at(stocked.product.path)}",
            unsubscribe_url=link,
        )
        # A signed link is its own marker: no text of a catalogue can hold it. In HTML, its & is escaped.
        return _Pattern(email.subject, email.text.split(link), email.html.split(escape(link)))

    def _told(self, entry: Entry, pattern: _Pattern, link: str, token: str) -> OutgoingEmail:
        return OutgoingEmail(
            entry.mailbox,
            Email(pattern.subject, link.join(pattern.text), escape(link).join(pattern.html)),
            self._leaving_headers(link, token),
            _tags("available", entry),
            reply_to=self._shop.reply_to,
        )

    def _leaving_headers(self, link: str, token: str) -> Mapping[str, str]:
        """Return the headers of an email about one entry that can be left.

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

    def my_waitlists(self, mailbox: str, shopper: str, *, page: str) -> OutgoingEmail:
        """The email that leads a shopper to all they wait for, who asked for it. `page` is one that they
        asked for something on."""
        token = self._links.sign(Purpose.MY_WAITLISTS, LinkSubject(shopper))
        renderer = self._speaking(page)
        email = renderer.note("my-waitlists", action_url=self._url(renderer.edition, "waitlists", token))
        tags = {"email": "my-waitlists", "shopper": shopper}
        return OutgoingEmail(mailbox, email, HEADERS, tags, reply_to=self._shop.reply_to)

    def _speaking(self, page: str) -> Renderer:
        return self._renderer.under(root_of(page))

    def _leave_token(self, entry: Entry) -> str:
        return self._links.sign(Purpose.UNSUBSCRIBE, LinkSubject(entry.shopper, entry.sku))

    def _url(self, edition: Edition, route: str, token: str) -> str:
        path = f"/api/{route}?token={quote(token, safe='')}"
        return f"{self._shop.base_url}{edition.at(path)}"


def _tags(email: str, entry: Entry) -> Mapping[str, str]:
    return {"email": email, "shopper": entry.shopper, "sku": sku_tag(entry.sku)}
