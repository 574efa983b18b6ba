import pytest

from chalicelib.domain.tokens import VALID_FOR_S, LinkRefused, LinkSubject, LinkTokens, Purpose
from tests.support.clock import Clock

ADA = LinkSubject("ada-id", "FJ-MOSS-M")


def test_a_link_speaks_for_whom_it_was_signed() -> None:
    links = LinkTokens(["key"], Clock())
    assert links.read(Purpose.CONFIRM, links.sign(Purpose.CONFIRM, ADA)) == ADA


@pytest.mark.parametrize(
    ("subject", "token"),
    [
        (LinkSubject("ada-id"), "WyJhZGEtaWQiLCIiXQ.arE7gA.l5FC0wF2FO31PmrLPbKOsqekWJ0"),
        (
            LinkSubject("ada-id", "A", ("a b",)),
            "WyJhZGEtaWQiLCJBIiwiX2JZRUNJQUJpIl0.arE7gA.0M0Wxj7WQJpW0PniGP5sXjmnGak",
        ),
    ],
)
def test_a_link_has_the_bytes_that_older_emails_have(subject: LinkSubject, token: str) -> None:
    links = LinkTokens(["key"], lambda: 1_790_000_000_000)
    purpose = Purpose.CONFIRM if subject.sku else Purpose.MY_WAITLISTS
    assert (links.sign(purpose, subject), links.read(purpose, token)) == (token, subject)


def test_a_confirm_link_never_unsubscribes() -> None:
    links = LinkTokens(["key"], Clock())
    with pytest.raises(LinkRefused):
        links.read(Purpose.UNSUBSCRIBE, links.sign(Purpose.CONFIRM, ADA))


def test_a_link_ends_when_its_time_is_over() -> None:
    clock = Clock()
    links = LinkTokens(["key"], clock)
    token = links.sign(Purpose.CONFIRM, ADA)
    clock.pass_s(VALID_FOR_S[Purpose.CONFIRM])
    assert links.read(Purpose.CONFIRM, token) == ADA
    clock.pass_s(1)
    with pytest.raises(LinkRefused):
        links.read(Purpose.CONFIRM, token)


def test_a_link_signed_before_the_keys_were_rotated_still_holds() -> None:
    clock = Clock()
    token = LinkTokens(["old"], clock).sign(Purpose.UNSUBSCRIBE, ADA)
    assert LinkTokens(["new", "old"], clock).read(Purpose.UNSUBSCRIBE, token) == ADA
    with pytest.raises(LinkRefused):
        LinkTokens(["new"], clock).read(Purpose.UNSUBSCRIBE, token)


def test_new_links_are_signed_with_the_newest_key() -> None:
    clock = Clock()
    token = LinkTokens(["new", "old"], clock).sign(Purpose.UNSUBSCRIBE, ADA)
    assert LinkTokens(["new"], clock).read(Purpose.UNSUBSCRIBE, token) == ADA


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "\ud800", "WyJhIiwiYiJd.aQ.sig", "." * 500])
def test_a_token_with_a_foreign_signature_is_refused(token: str) -> None:
    with pytest.raises(LinkRefused):
        LinkTokens(["key"], Clock()).read(Purpose.CONFIRM, token)


def test_a_link_cut_short_or_altered_is_refused() -> None:
    links = LinkTokens(["key"], Clock())
    token = links.sign(Purpose.CONFIRM, ADA)
    for broken in (token[:-1], token[1:], token[:-2] + "xx", token.swapcase()):
        with pytest.raises(LinkRefused):
            links.read(Purpose.CONFIRM, broken)


def test_a_clock_a_few_minutes_behind_reads_a_fresh_link() -> None:
    clock = Clock()
    token = LinkTokens(["key"], clock).sign(Purpose.CONFIRM, ADA)
    clock.pass_s(-300)
    assert LinkTokens(["key"], clock).read(Purpose.CONFIRM, token) == ADA
