"""The figures of the load test, and the behaviour of its shoppers."""

from pathlib import Path
from random import Random

import pytest

from loadtests.ledger import Ledger, Line, Outcome, Wish, account
from loadtests.pages import picked, read_page
from loadtests.report import said
from loadtests.retry import PAUSE_S_MAX, TRIES_MAX, asked_for_s, pauses_s
from loadtests.shapes import PHASES, Shape, duration_s, phase_at

ADA, BEN = Wish("ada@example.com", "HAT"), Wish("ben@example.com", "HAT")


def line(wish: Wish, *statuses: int) -> Line:
    """A form that was sent, and how it was answered each time; accepted at once when nothing is said."""
    return Line(wish.mailbox, wish.sku, statuses or (202,))


def test_every_accepted_signup_stored_once_is_right() -> None:
    result = account([line(ADA), line(BEN)], [BEN, ADA])
    assert result.right
    assert result.accepted == 2


def test_a_signup_that_was_accepted_twice_is_one_entry() -> None:
    assert account([line(ADA), line(ADA)], [ADA]).right


def test_an_accepted_signup_that_is_not_stored_is_wrong() -> None:
    result = account([line(ADA), line(BEN)], [ADA])
    assert not result.right
    assert result.missing == (BEN,)


def test_an_accepted_signup_that_is_stored_twice_is_wrong() -> None:
    result = account([line(ADA)], [ADA, ADA])
    assert not result.right
    assert result.repeated == (ADA,)


def test_an_entry_for_another_variant_does_not_stand_in() -> None:
    assert account([line(ADA)], [Wish(ADA.mailbox, "SCARF")]).missing == (ADA,)


def test_an_entry_whose_shopper_got_no_answer_is_counted_and_no_mistake() -> None:
    result = account([line(ADA), line(BEN, 503, 429, 0)], [ADA, BEN])
    assert result.right
    assert (result.stored_unanswered, result.gave_up, result.retried, result.retried_in_vain) == (1, 1, 1, 1)


def test_every_form_and_every_answer_is_accounted_for() -> None:
    cy = Wish("cy@example.com", "HAT")
    called_away = Line("dee@example.com", "HAT", ())
    result = account(
        [line(ADA, 429, 429, 202), line(ADA), line(BEN, 503, 503), line(cy, 400), called_away], [ADA]
    )
    assert (result.forms, result.accepted, result.accepted_forms) == (5, 1, 2)
    assert (result.refused, result.gave_up) == (1, 2)
    assert (result.retried, result.retried_in_vain) == (2, 1)
    assert result.turned_away == {429: 2, 503: 2}
    words = said(result)
    assert "1 of 1 accepted signups are in the Entries table" in words
    assert "5 forms: 2 accepted" in words
    assert "2 times with 429, 2 times with 503; 2 forms were sent again" in words


def test_a_lost_signup_is_named() -> None:
    assert "missing: ben@example.com for HAT" in said(account([line(BEN), line(ADA)], [ADA]))
    assert "nothing is proven" in said(account([line(BEN, 429)], []))


def test_nothing_accepted_proves_nothing() -> None:
    assert not account([], []).right
    assert not account([line(ADA, 400)], []).right


def test_a_ledger_gives_back_what_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert list(ledger.lines()) == []
    written = [line(ADA, 429, 202), line(BEN, 503), Line(BEN.mailbox, BEN.sku, ())]
    for item in written:
        ledger.write(item)
    assert list(ledger.lines()) == written


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (202, Outcome.ACCEPTED),
        (400, Outcome.REFUSED),
        (503, Outcome.GAVE_UP),
        (0, Outcome.GAVE_UP),
        (200, Outcome.GAVE_UP),
    ],
)
def test_only_the_one_answer_is_an_acceptance(status: int, outcome: Outcome) -> None:
    assert line(ADA, status).outcome is outcome


def test_the_first_try_is_at_once_and_the_later_ones_are_spread() -> None:
    one, other = list(pauses_s(Random(1))), list(pauses_s(Random(2)))
    assert len(one) == TRIES_MAX
    assert one[0] == other[0] == 0
    assert set(one[1:]).isdisjoint(other[1:])
    assert all(0 <= pause <= PAUSE_S_MAX for pause in one)


def test_a_retry_after_is_followed_up_to_a_maximum() -> None:
    assert asked_for_s({"Retry-After": "2"}) == 2
    assert asked_for_s({"Retry-After": "86400"}) == PAUSE_S_MAX
    assert asked_for_s({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}) == 0
    assert asked_for_s(None) == 0


def test_a_flood_is_quiet_then_loud_then_quiet_then_over() -> None:
    before, flood, after = PHASES[Shape.SPIKE]
    assert phase_at(Shape.SPIKE, 0) == before
    assert phase_at(Shape.SPIKE, before.until_s) == flood
    assert phase_at(Shape.SPIKE, duration_s(Shape.SPIKE) - 1) == after
    assert phase_at(Shape.SPIKE, duration_s(Shape.SPIKE)) is None
    assert flood.shoppers > before.shoppers


def test_the_picture_is_wide_enough_and_no_wider_than_it_must_be() -> None:
    srcset = "/pictures/a-480.avif 480w, /pictures/a-960.avif 960w, /pictures/a-1440.avif 1440w"
    assert picked(srcset, width_px=824) == "/pictures/a-960.avif"
    assert picked(srcset, width_px=960) == "/pictures/a-960.avif"
    assert picked(srcset, width_px=4000) == "/pictures/a-1440.avif"


def test_a_page_is_read_as_a_browser_reads_it() -> None:
    page = read_page("""
        <link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/shop.css">
        <script type="application/ld+json">{}</script><script src="/assets/shop.js" defer></script>
        <a href="/shop/hats">Hats</a> <a href="https://elsewhere.example/">Elsewhere</a>
        <a href="/shop/hats">Hats again</a>
        <picture><source srcset="/p/hat-900.avif 900w"><source srcset="/p/hat-900.webp 900w">
        <img src="/p/hat.jpg"></picture>
        <input type="radio" name="sku" form="waitlist" value="HAT-L">
        <input type="radio" name="sku" form="waitlist" value="HAT-S" data-wait>
        <input type="radio" name="sku" form="waitlist" value="HAT-M" data-wait>
        <form id="waitlist" action="/api/waitlist" method="post">
        <input type="hidden" name="form_token" value="20700.HAT-S.HAT-M.x"></form>
    """)
    assert page.stylesheets == ("/assets/shop.css",)
    assert page.form_token == "20700.HAT-S.HAT-M.x"
    assert page.scripts == ("/assets/shop.js",)
    assert page.pictures == ("/p/hat-900.avif",)
    assert page.links == ("/shop/hats",)
    assert page.awaited_skus == ("HAT-S", "HAT-M")


@pytest.mark.parametrize("shape", list(Shape))
def test_every_shape_goes_forward_and_ends(shape: Shape) -> None:
    ends_s = [phase.until_s for phase in PHASES[shape]]
    assert ends_s == sorted(set(ends_s))
    assert phase_at(shape, ends_s[-1]) is None
