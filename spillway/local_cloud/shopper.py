"""A shopper without JavaScript: reads pages, fills in HTML forms, opens emails, presses buttons."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from chalicelib.domain.ids import Sku
from chalicelib.http.signup import HONEYPOT
from spillway.errors import WorkFailed
from spillway.terminal import pluralize

CHOSEN_TYPES = frozenset({"checkbox", "radio"})
UNSENT_TYPES = frozenset({"submit", "button", "reset", "image", "file"})
Found = TypeVar("Found")
LINK = re.compile(r"https?://[^\s<>\"]+")
ONE_CLICK = "List-Unsubscribe=One-Click"
# A browser's Accept header when a person follows a link or sends a form.
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FORM_TYPE = "application/x-www-form-urlencoded"
EMAIL_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class FormField:
    """One named control.

    An untouched form sends the ones that are `sent`. The page marks the variants that are `sold_out`.
    """

    name: str
    value: str
    type: str = "text"
    sent: bool = True
    sold_out: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a page."""

    action: str
    method: str
    fields: tuple[FormField, ...]

    def choices(self, name: str) -> tuple[str, ...]:
        """Return the values that the form offers for `name`."""
        return tuple(field.value for field in self.fields if field.name == name)

    def is_awaited(self, sku: Sku) -> bool:
        """Return True where the form takes signups for this variant: the only one, or marked as sold out."""
        return any(
            field.sold_out or field.type == "hidden"
            for field in self.fields
            if (field.name, field.value) == ("sku", sku)
        )

    def filled(self, answers: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """Return the fields to send when a person fills in `answers` and leaves the others unchanged.

        Raises:
            KeyError: The form has no such field, or does not offer that choice.
        """
        for name, values in answers.items():
            self._check(name, values)
        sent = []
        for field in self.fields:
            if field.name not in answers:
                sent += [(field.name, field.value)] if field.sent else []
            elif field.type in CHOSEN_TYPES:
                sent += [(field.name, field.value)] if field.value in answers[field.name] else []
            else:
                sent += [(field.name, value) for value in answers[field.name]]
        return sent

    def _check(self, name: str, values: Sequence[str]) -> None:
        fields = [field for field in self.fields if field.name == name]
        fixed = CHOSEN_TYPES | {"hidden"}
        if not fields or (fields[0].type in fixed and not set(values) <= set(self.choices(name))):
            raise KeyError(f"{name}={values}")


def forms_of(html: str) -> tuple[Form, ...]:
    """Return the forms of a page, in order."""
    reader = _FormReader()
    reader.feed(html)
    reader.close()
    return tuple(
        Form(action, method, (*reader.outside.get(id_, ()), *fields))
        for id_, action, method, fields in reader.found
    )


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str, list[FormField]]] = []
        # Controls that name their form instead of standing in it, by its id.
        self.outside: dict[str, list[FormField]] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            method = attributes.get("method", "get").lower()
            self.found.append((attributes.get("id", ""), attributes.get("action", ""), method, []))
        elif tag == "input" and attributes.get("name"):
            if "form" in attributes:
                self._take(attributes, self.outside.setdefault(attributes["form"], []))
            elif self._inside:
                self._take(attributes, self.found[-1][-1])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def _take(self, attributes: dict[str, str], fields: list[FormField]) -> None:
        kind = attributes.get("type", "text").lower()
        if kind in UNSENT_TYPES or "disabled" in attributes:
            return
        chosen = kind not in CHOSEN_TYPES or "checked" in attributes
        value = attributes.get("value", "on" if kind in CHOSEN_TYPES else "")
        fields.append(FormField(attributes["name"], value, kind, chosen, "data-wait" in attributes))


@dataclass(frozen=True, slots=True)
class ReceivedEmail:
    """An email that a shopper received."""

    number: int
    subject: str
    text: str
    headers: dict[str, str]

    def link(self, path: str) -> str:
        """Return the link of this email to `path`."""
        for found in LINK.findall(self.text):
            if httpx.URL(found).path == path:
                return str(found)
        raise WorkFailed(f"email {self.number} ({self.subject}): its text has no link to {path}")


@dataclass(frozen=True, slots=True)
class Shopper:
    """A person with an address, a shop and an inbox."""

    name: str
    mailbox: str
    shop: httpx.Client
    inbox: httpx.Client

    def reads(self, page: str) -> str:
        """Return a page of the shop, as the front door serves it."""
        return self._get(page)

    def signs_up(self, page: str, *skus: Sku, filled_in: str = "") -> None:
        """Send the waitlist form of a product page.

        Args:
            page: The path of the product page.
            skus: The variants to wait for.
            filled_in: A program's value for the hidden honeypot field. The shop then shows the form again,
                and the shopper sends it again.
        """
        form = waitlist_form(self._get(page))
        if form is None:
            raise WorkFailed(f"{page}: has no form for the waitlist")
        try:
            answers = {"email": [self.mailbox], "sku": skus}
            sent = form.filled({**answers, **({HONEYPOT: [filled_in]} if filled_in else {})})
        except KeyError as error:
            raise WorkFailed(f"{page}: the form does not take {error}") from error
        again = waitlist_form(self._submit(form, sent))
        if bool(again) != bool(filled_in):
            raise WorkFailed(f"{page}: the form is {'' if again else 'not '}asked for once more")
        if again:
            self._submit(again, again.filled({}))

    def emails(self) -> list[ReceivedEmail]:
        """Return the emails to this shopper, oldest first."""
        listed = self.inbox.get("/emails.json").raise_for_status().json()
        mine = [email["number"] for email in listed if email["recipient"] == self.mailbox]
        return [self._email(number) for number in sorted(mine)]

    def awaits_emails(self, count: int) -> list[ReceivedEmail]:
        """Wait until there are `count` emails and return them; more are an error."""
        emails = until(
            lambda: got if len(got := self.emails()) >= count else None,
            f"{self.name} gets email {count}",
            within_s=EMAIL_WITHIN_S,
        )
        if len(emails) > count:
            subjects = ", ".join(repr(email.subject) for email in emails)
            raise WorkFailed(
                f"{self.name} got {pluralize(len(emails), 'email')} instead of {count}: {subjects}"
            )
        return emails

    def opens(self, link: str) -> Form:
        """Follow an email's link; return the one form of its page."""
        forms = [form for form in forms_of(self._get(link)) if form.method == "post"]
        if len(forms) != 1:
            raise WorkFailed(f"{link}: {len(forms)} forms instead of one button")
        return forms[0]

    def presses(self, form: Form) -> None:
        """Press the button of a form."""
        self._submit(form, form.filled({}))

    def unsubscribes_with_one_click(self, email: ReceivedEmail, *, content_type: str = FORM_TYPE) -> None:
        """Post as a mail program does for its "unsubscribe" button (RFC 8058), with any media type."""
        if email.headers.get("List-Unsubscribe-Post") != ONE_CLICK:
            raise WorkFailed(f"email {email.number}: cannot be unsubscribed from with one click")
        link = email.headers.get("List-Unsubscribe", "").strip("<>")
        answer = self.shop.post(link, content=ONE_CLICK, headers={"Content-Type": content_type})
        if answer.status_code != httpx.codes.OK:
            raise WorkFailed(f"one click on unsubscribe was answered with {answer.status_code}")

    def _email(self, number: int) -> ReceivedEmail:
        kept: dict[str, Any] = self.inbox.get(f"/emails/{number}.json").raise_for_status().json()
        return ReceivedEmail(number, kept["subject"], kept["text"], dict(kept["headers"]))

    def _get(self, address: str) -> str:
        answer = self.shop.get(address, headers={"Accept": ACCEPT})
        if answer.status_code != httpx.codes.OK:
            raise WorkFailed(f"GET {address} was answered with {answer.status_code}")
        return answer.text

    def _submit(self, form: Form, sent: list[tuple[str, str]]) -> str:
        """Send a form; return the page that it leads to."""
        headers = {"Accept": ACCEPT, "Content-Type": FORM_TYPE, "Origin": _origin(self.shop)}
        answer = self.shop.post(form.action, content=urlencode(sent), headers=headers)
        if answer.status_code == httpx.codes.OK and form.action.startswith("/api/waitlist"):
            # The page confirms the signup, with a button to undo it.
            return answer.text
        if answer.status_code != httpx.codes.SEE_OTHER:
            said = f"{answer.status_code}: {answer.text[:300]}"
            raise WorkFailed(f"POST {form.action} was answered with {said}")
        return self._get(answer.headers["Location"])


def waitlist_form(page: str) -> Form | None:
    """Return the waitlist form of a page, if it has one."""
    return next((form for form in forms_of(page) if form.action == "/api/waitlist"), None)


def until(look: Callable[[], Found | None], what: str, *, within_s: float) -> Found:
    """Call `look` until it returns something, and return that.

    Raises:
        WorkFailed: It did not happen within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise WorkFailed(f"waited {within_s:.0f} s in vain: {what}")
        time.sleep(0.2)
    return found


def _origin(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")
