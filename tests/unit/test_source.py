"""Which network a request came from, whatever it says of itself."""

from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.domain.ids import is_ipv6, source_id
from chalicelib.http.request import viewer_address

KEY = b"identity"
EDGE = "130.176.1.2"


def request(forwarded: str | None, peer: str = EDGE) -> Any:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    return SimpleNamespace(headers=headers, context={"identity": {"sourceIp": peer}})


@pytest.mark.parametrize(
    ("forwarded", "viewer"),
    [
        (f"203.0.113.9, {EDGE}", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        (f"10.0.0.1, 8.8.8.8, 203.0.113.9, {EDGE}", "203.0.113.9"),
        (f"2a00:1:2:3::9, {EDGE}", "2a00:1:2:3::9"),
        (None, EDGE),
        ("", EDGE),
        (EDGE, EDGE),
    ],
)
def test_the_viewer_is_who_the_distribution_saw_not_who_they_say_they_are(
    forwarded: str | None, viewer: str
) -> None:
    assert viewer_address(request(forwarded)) == viewer


def test_a_network_is_one_source_and_its_id_holds_no_address() -> None:
    first = source_id("81.2.69.10", KEY) or ""
    assert first == source_id(" 81.2.69.250 ", KEY) == source_id("::ffff:81.2.69.1", KEY)
    assert first != source_id("81.2.70.10", KEY)
    assert first != source_id("81.2.69.10", b"another shop")
    assert "81.2" not in first
    assert not is_ipv6(first)
    sixth = source_id("2a00:1450:4001:82a::200e", KEY) or ""
    assert sixth == source_id("2a00:1450:4001:82a:ffff::1", KEY)
    assert sixth != source_id("2a00:1450:4001:82b::200e", KEY)
    assert is_ipv6(sixth)
    assert 0 < len(first) <= len("net4-") + 16


@pytest.mark.parametrize(
    "address",
    ["", "unknown", "127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fe80::1", "1.2.3", "1.2.3.4:80"],
)
def test_an_address_outside_the_internet_is_no_source(address: str) -> None:
    assert source_id(address, KEY) is None
