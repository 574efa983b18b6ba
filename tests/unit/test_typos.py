"""Slips of the finger in well-known domains."""

import pytest

from chalicelib.domain.address import DOMAINS_BY_TYPO, Address, suggest_domain


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Ada.L+shop@gmial.com", "Ada.L+shop@gmail.com"),
        ("ada@HOTMIAL.com", "ada@hotmail.com"),
        ("ada@gmail.com", None),
        ("ada@example.com", None),
    ],
)
def test_a_slip_is_asked_about_and_nothing_else(typed: str, meant: str | None) -> None:
    assert suggest_domain(Address.parse(typed)) == meant


def test_no_suggestion_is_itself_a_slip() -> None:
    assert not DOMAINS_BY_TYPO.keys() & set(DOMAINS_BY_TYPO.values())
