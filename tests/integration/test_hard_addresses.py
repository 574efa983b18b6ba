"""The hard addresses of RFC 5321, 5322 and 6531: what becomes of each, and the words that a person reads."""

from html import escape

import pytest
from chalice.test import Client

from chalicelib.domain.address import Address, AddressRefused
from tests.integration import test_app as playing_aws

deployed = playing_aws.deployed
api = playing_aws.api

LABEL = "d" * 61
# The text typed, and the mailbox an email goes to, or else a part of the reason for refusing it.
ACCEPTED = {
    "x@example.com": "x@example.com",
    "FirstName.LastName@EasierReading.example": "FirstName.LastName@easierreading.example",
    "user.name+tag+sorting@example.com": "user.name+tag+sorting@example.com",
    "name/surname@example.com": "name/surname@example.com",
    "mailhost!username@example.org": "mailhost!username@example.org",
    "user%example.com@example.org": "user%example.com@example.org",
    "user-@example.org": "user-@example.org",
    "_test@example.org": "_test@example.org",
    "a!#$%&'*+-/=?^_`{|}~b@example.com": "a!#$%&'*+-/=?^_`{|}~b@example.com",
    "=cmd@example.com": "=cmd@example.com",
    "ada%0d%0a@example.com": "ada%0d%0a@example.com",
    "ada@123.example": "ada@123.example",
    "ada@xn--mnchen-3ya.example": "ada@xn--mnchen-3ya.example",
    "ada@屋企.香港": "ada@xn--hoqu73a.xn--j6w193g",
    "ada@faß.example": "ada@xn--fa-hia.example",
    "ada@①.example": "ada@1.example",
    "ada@EXAMPLE。com": "ada@example.com",
    # A homograph: another domain, and shown as one.
    "ada@exаmple.com": "ada@xn--exmple-4nf.com",
    f"{'l' * 64}@{LABEL}.{LABEL}.{LABEL}.com": f"{'l' * 64}@{LABEL}.{LABEL}.{LABEL}.com",
}
REFUSED = {
    "abc.example.com": "@-sign",
    "a@b@c@example.com": "invalid characters",
    "admin@example": "a period",
    '" "@example.org': "Quoting",
    '"john..doe"@example.org': "Quoting",
    'just"not"right@example.com': "invalid characters",
    "postmaster@[123.123.123.123]": "bracketed IP address",
    "postmaster@[IPv6:2001:0db8:85a3::1]": "bracketed IP address",
    ".ada@example.com": "start with a period",
    "ada.@example.com": "period immediately before",
    "a..b@example.com": "two periods",
    "ada@example..com": "two periods",
    "ada@.example.com": "period immediately after",
    "ada@example.com.": "end with a period",
    "ada@-example.com": "hyphen immediately after",
    "ada@example-.com": "period and a hyphen",
    "ada@under_score.example": "invalid characters",
    "ada@xn--zzzzzz.example": "IDNA",
    "ada@onion.onion": "special-use",
    "ada(comment)@example.com": "invalid characters",
    "ada @example.com": "SPACE",
    "mailto:ada@example.com": "invalid characters",
    "ada@example.com?subject=x": "invalid characters",
    "<script>alert(1)</script>@example.com": "after the email address",
    '"<script>"@example.com': "Quoting",
    "ada@<img src=x>.example": "invalid characters",
    # SES has no SMTPUTF8: only a domain may be in other letters.
    "mañana@example.com": "Internationalized characters before",
    "我買@屋企.香港": "Internationalized characters before",
    "İada@example.com": "Internationalized characters before",
    "adа@example.com": "Internationalized characters before",
    "ada@exam\u00adple.com": "SOFT HYPHEN",
    "ada@\u200eexample.com": "LEFT-TO-RIGHT MARK",
    f"{'l' * 65}@example.com": "before the @-sign",
    f"ada@{'d' * 64}.com": "too many",
    f"{'l' * 64}@{LABEL}.{LABEL}.{LABEL}.comm": "at most 254",
}


@pytest.mark.parametrize(("typed", "mailbox"), ACCEPTED.items())
def test_it_is_accepted(typed: str, mailbox: str) -> None:
    assert Address.parse(typed).mailbox == mailbox


@pytest.mark.parametrize(("typed", "reason"), REFUSED.items())
def test_it_is_refused_with_its_reason(typed: str, reason: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        Address.parse(typed)
    assert reason in refused.value.reason


def test_none_of_them_crashes_the_api_or_comes_back_unescaped(api: Client) -> None:
    for typed in [*ACCEPTED, *REFUSED]:
        form = playing_aws.waitlist_form(email=typed)
        answer = playing_aws.post(api, "/waitlist", form, playing_aws.PERSON)
        assert answer.status_code == (200 if typed in ACCEPTED else 400), typed
        if escape(typed) != typed:
            assert typed.encode() not in answer.body
