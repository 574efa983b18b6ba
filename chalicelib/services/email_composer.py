"""Composes emails: the shop's words, the shopper's links, the headers that mail clients act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from chalicelib.domain.email import Email, OutgoingEmail
from chalicelib.domain.entry import Entry
from chalicelib.domain.ids import ShopperId, Sku, sku_tag
from chalicelib.domain.locales import root_of
from chalicelib.domain.merchant import Merchant
from chalicelib.domain.product import Product
from chalicelib.domain.reports import Click
from chalicelib.domain.stock import StockedProduct
from chalicelib.domain.tokens import LinkSubject, LinkTokens, Purpose
from chalicelib.mail.headers import SES_VALUE_CHARS_MAX
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Edition

# RFC 3834: no vacation notice may answer an email that a machine sent. Precedence is no standard by that RFC
# and adds nothing; some servers keep the bounces of emails that it marks as bulk.
HEADERS: Mapping[str, str] = {"Auto-Submitted": "auto-generated"}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """An email of one shopper, whose own links every other shopper's replace.

    A signed link is its own marker: no text of a catalogue can hold it. In HTML, its & is escaped.
    """

    email: Email
    links: tuple[str, ...]

    def of(self, links: tuple[str, ...]) -> Email:
        """Return the email with the links of another shopper."""
        text, html = self.email.text, self.email.html
        for known, own in zip(self.links, links, strict=True):
            text, html = text.replace(known, own), html.replace(escape(known), escape(own))
        return Email(self.email.subject, text, html)


class EmailComposer:
    """Composes the emails of the shop that `renderer` renders.

    Each email is in the language of the page that its shopper signed up on.
    """

    def __init__(self, renderer: Renderer, links: LinkTokens) -> None:
        self._renderer = renderer
        self._shop = renderer.theme.shop
        self._links = links

    @property
    def sender(self) -> str:
        """Return the mailbox (RFC 5322) that emails come from."""
        return self._shop.sender

    def confirm(self, signups: Sequence[tuple[Entry, StockedProduct]]) -> OutgoingEmail:
        """Compose the email that asks a shopper to confirm their signup.

        Args:
            signups: entries of one shopper with their products, at least one, the newest last. The newest
                decides on language and address; the link confirms all of them.
        """
        newest, stocked = signups[-1]
        renderer = self._renderer_for(newest.page)
        token = self._links.sign(
            Purpose.CONFIRM, LinkSubject.of(newest.shopper, [entry.sku for entry, _ in signups])
        )
        email = renderer.product_email(
            "confirm",
            product=stocked.product,
            variant=stocked.product.variant(newest.sku),
            stock=stocked.stock,
            action_url=self._url(renderer.edition, "confirm", token),
            items=[(one.product, one.product.variant(entry.sku)) for entry, one in signups],
            coming=sum(one.is_coming(entry.sku) for entry, one in signups),
        )
        tags = _tags("confirm", newest)
        return OutgoingEmail(newest.mailbox, email, HEADERS, tags, reply_to=self._shop.reply_to)

    def already(self, entry: Entry, stocked: StockedProduct) -> OutgoingEmail:
        """Compose the email that says to a shopper who signed up again that they are on the list."""
        renderer = self._renderer_for(entry.page)
        token = self._unsubscribe_token(entry)
        link = self._url(renderer.edition, "unsubscribe", token)
        email = renderer.product_email(
            "already",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=self._variant_url(renderer.edition, stocked.product, entry.sku),
            unsubscribe_url=link,
        )
        headers = self._unsubscribe_headers(link, token)
        tags = _tags("already", entry)
        return OutgoingEmail(entry.mailbox, email, headers, tags, reply_to=self._shop.reply_to)

    def available(
        self, waiting: Sequence[Entry], stocked: StockedProduct, *, restock_tag: str | None = None
    ) -> list[OutgoingEmail]:
        """Compose the emails that say a variant is available, with one-click unsubscribe (RFC 8058).

        Every entry of `waiting` is about the same variant, so emails in one language differ only in the
        shopper's own links: each language is rendered once, and each shopper's links are filled in. In a
        shop that counts clicks, the link to the product counts them for the restock of `restock_tag`, which
        is a tag of the emails, too: it comes back with their feedback.
        """
        about = {} if restock_tag is None else {"restock": restock_tag}
        patterns: dict[str, _Pattern] = {}
        emails = []
        for entry in waiting:
            edition = self._renderer_for(entry.page).edition
            token = self._unsubscribe_token(entry)
            link = self._url(edition, "unsubscribe", token)
            to_product = self._product_link(edition, entry, stocked.product, restock_tag)
            if edition.root not in patterns:
                patterns[edition.root] = self._pattern(entry, stocked, link, to_product)
            emails.append(
                OutgoingEmail(
                    entry.mailbox,
                    patterns[edition.root].of((link, to_product)),
                    self._unsubscribe_headers(link, token),
                    {**_tags("available", entry), **about},
                    reply_to=self._shop.reply_to,
                )
            )
        return emails

    def _pattern(self, entry: Entry, stocked: StockedProduct, link: str, to_product: str) -> _Pattern:
        email = self._renderer_for(entry.page).product_email(
            "available",
            product=stocked.product,
            variant=stocked.product.variant(entry.sku),
            stock=stocked.stock,
            action_url=to_product,
            unsubscribe_url=link,
        )
        return _Pattern(email, (link, to_product))

    def _product_link(self, edition: Edition, entry: Entry, product: Product, restock_tag: str | None) -> str:
        """Return the address of the variant's page, or of the click that leads there and is counted."""
        if restock_tag is None or not self._shop.count_clicks:
            return self._variant_url(edition, product, entry.sku)
        path = edition.localized_path(product.path_of(product.variant(entry.sku)))
        token = self._links.sign_click(Click(entry.shopper, entry.sku, restock_tag, path))
        return self._url(edition, "click", token)

    def _unsubscribe_headers(self, link: str, token: str) -> Mapping[str, str]:
        """Return the headers of an email whose entry can be unsubscribed.

        RFC 2369, 3.2: one header, the preferred way first. RFC 8058 asks for one https link in it. The
        subject of the mailto link carries the token, for `spillway unsubscribe`.
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

    def my_waitlists(self, mailbox: str, shopper: ShopperId, *, page: str) -> OutgoingEmail:
        """Compose the email with the link to a shopper's waitlists, in the language of `page`."""
        token = self._links.sign(Purpose.MY_WAITLISTS, LinkSubject(shopper))
        renderer = self._renderer_for(page)
        email = renderer.email("my-waitlists", action_url=self._url(renderer.edition, "waitlists", token))
        tags = {"email": "my-waitlists", "shopper": shopper}
        return OutgoingEmail(mailbox, email, HEADERS, tags, reply_to=self._shop.reply_to)

    def sign_in(self, merchant: Merchant, token: str, *, page: str) -> OutgoingEmail:
        """Compose the email with the link by which a merchant signs in, in the language of `page`."""
        renderer = self._renderer_for(page)
        link = self._url(renderer.edition, "merchant/sign-in", token)
        email = renderer.email("sign-in", action_url=link)
        tags = {"email": "sign-in", "shopper": merchant.id}
        return OutgoingEmail(merchant.email, email, HEADERS, tags)

    def test(self, merchant: Merchant, *, page: str) -> OutgoingEmail:
        """Compose the email by which a merchant sees that emails arrive, in the language of `page`."""
        renderer = self._renderer_for(page)
        email = renderer.email("test", action_url=f"{self._shop.base_url}{page}")
        tags = {"email": "test", "shopper": merchant.id}
        return OutgoingEmail(merchant.email, email, HEADERS, tags, reply_to=self._shop.reply_to)

    def _renderer_for(self, page: str) -> Renderer:
        return self._renderer.for_root(root_of(page))

    def _unsubscribe_token(self, entry: Entry) -> str:
        return self._links.sign(Purpose.UNSUBSCRIBE, LinkSubject(entry.shopper, entry.sku))

    def _variant_url(self, edition: Edition, product: Product, sku: Sku) -> str:
        """Return the address of the product's page with that variant selected."""
        return f"{self._shop.base_url}{edition.localized_path(product.path_of(product.variant(sku)))}"

    def _url(self, edition: Edition, route: str, token: str) -> str:
        path = f"/api/{route}?token={quote(token, safe='')}"
        return f"{self._shop.base_url}{edition.localized_path(path)}"


def _tags(email: str, entry: Entry) -> Mapping[str, str]:
    return {"email": email, "shopper": entry.shopper, "sku": sku_tag(entry.sku)}
