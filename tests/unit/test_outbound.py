"""Events to other systems: addresses that may be called, and signatures that another library accepts."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from chalicelib.outbound.addresses import (
    NameUnknown,
    Target,
    TargetRefused,
    is_public,
    parse_target,
    resolve_public,
)
from chalicelib.outbound.signing import (
    ROTATION_MS,
    EndpointSecret,
    in_force,
    make_secret,
    rotated,
    secrets_by_endpoint,
    secrets_document,
    signed_headers,
)

NOW_MS = 1_795_773_600_123
OLD, NEW = make_secret(bytes(range(24))), make_secret(bytes(range(32)))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.100.1"),
        *("100.64.0.1", "0.0.0.0", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1"),
        *("ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:db8::1", "100::1", "localhost", ""),
    ],
)
def test_an_address_of_a_private_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::8a"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def answers(*addresses: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a resolver that knows these addresses for every name."""
    return lambda *_, **__: [(2, 1, 6, "", (text, 0)) for text in addresses]


def unknown(*_: object, **__: object) -> list[tuple[Any, ...]]:
    raise OSError(-2, "Name or service not known")


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    assert resolve_public("shop.example", answers("8.8.8.8", "8.8.8.8", "1.1.1.1")) == ["8.8.8.8", "1.1.1.1"]
    with pytest.raises(TargetRefused, match=r"^shop.example leads to a private or local network$"):
        resolve_public("shop.example", answers("8.8.8.8", "10.0.0.1"))


@pytest.mark.parametrize("resolve", [unknown, answers()])
def test_a_name_without_an_address_is_unknown_and_may_be_tried_again(resolve: Any) -> None:
    with pytest.raises(NameUnknown):
        resolve_public("gone.example", resolve)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
def test_spellings_of_the_local_host_are_refused_by_the_address_they_resolve_to(host: str) -> None:
    with pytest.raises(TargetRefused):
        resolve_public(host)


def test_a_target_is_parsed_into_its_parts() -> None:
    assert parse_target("https://Shop.example/in?a=1") == Target("shop.example", 443, "/in?a=1")
    assert parse_target("https://shop.example").path == "/"
    assert parse_target("https://shop.example:8443/x").authority == "shop.example:8443"
    assert parse_target("https://[2606:4700::1]/x").authority == "[2606:4700::1]"
    assert parse_target("https://bücher.example/x").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://shop.example/", "it does not begin with https://"),
        ("file:///etc/passwd", "it does not begin with https://"),
        ("https://", "it names no host"),
        ("https://shop.example:0/", "it names no host"),
        ("https://shop.example:70000/", "it is no address"),
        ("https://[::1/", "it is no address"),
        ("https://me:word@shop.example/", "it has a user name or a password before the host"),
        ("https://shop.example/#x", "it has a fragment (#), which no server sees"),
        ("https://shop.example/a b", "it has a space or a control character"),
        ("https://shop.example/a\r\nHost: other", "it has a space or a control character"),
        ("https://shop.example/ä", "its path is not written in ASCII; encode other characters as %XX"),
        ("https://shop.example/" + "x" * 2048, "it has 2069 characters, more than 2048"),
    ],
)
def test_an_address_that_may_not_be_called_is_refused_with_its_reason(url: str, why: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        parse_target(url)
    assert str(refused.value) == why


@settings(max_examples=40)
@given(st.binary(max_size=300), st.binary(min_size=24, max_size=64), st.text("abc-_0", min_size=1))
def test_another_library_accepts_the_signature_and_refuses_a_flipped_bit(
    payload: bytes, key: bytes, message_id: str
) -> None:
    body = json.dumps({"data": payload.hex()}).encode()
    secret = make_secret(key)
    now_ms = int(time_of_oracle() * 1000)
    headers = signed_headers(message_id, body, [secret], at_ms=now_ms)
    assert Webhook(secret).verify(body, headers) == {"data": payload.hex()}
    flipped = bytes([body[0] ^ 1]) + body[1:]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(flipped, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers | {"webhook-id": f"{message_id}x"})


def time_of_oracle() -> float:
    """Return the time by which the library judges: it has no other clock."""
    import time

    return time.time()


def test_a_message_of_a_rotation_is_accepted_with_either_secret_for_a_day() -> None:
    kept = rotated((EndpointSecret(OLD),), NEW, at_ms=NOW_MS)
    assert kept == (EndpointSecret(NEW), EndpointSecret(OLD, NOW_MS + ROTATION_MS))
    assert ROTATION_MS == 86_400_000
    assert in_force(kept, at_ms=NOW_MS + ROTATION_MS - 1) == (NEW, OLD)
    assert in_force(kept, at_ms=NOW_MS + ROTATION_MS) == (NEW,)
    at_ms = int(time_of_oracle() * 1000)
    headers = signed_headers("m-1", b"{}", (NEW, OLD), at_ms=at_ms)
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(b"{}", headers) == {}
    assert headers["webhook-signature"].count("v1,") == 2
    assert headers["content-type"] == "application/cloudevents+json"


def test_a_rotation_keeps_no_secret_longer_than_the_one_before_said_and_at_most_three() -> None:
    third, fourth = make_secret(b"t" * 32), make_secret(b"f" * 32)
    kept = rotated((EndpointSecret(OLD),), NEW, at_ms=NOW_MS)
    kept = rotated(kept, third, at_ms=NOW_MS + 1000)
    assert kept[2] == EndpointSecret(OLD, NOW_MS + ROTATION_MS)
    kept = rotated(kept, fourth, at_ms=NOW_MS + 2000)
    assert [secret.text for secret in kept] == [fourth, third, NEW]
    ended = rotated(kept, OLD, at_ms=NOW_MS + 3 * ROTATION_MS)
    assert [secret.text for secret in ended] == [OLD, fourth]


def test_secrets_survive_their_document() -> None:
    known = {"a1": (EndpointSecret(NEW), EndpointSecret(OLD, 17)), "b2": (EndpointSecret(OLD),)}
    assert secrets_by_endpoint(secrets_document(known)) == known
    assert secrets_by_endpoint("{}") == {}


@pytest.mark.parametrize("length", [23, 65])
def test_a_key_of_another_length_makes_no_secret(length: int) -> None:
    with pytest.raises(ValueError, match=f"a key has 24 to 64 bytes, this one {length}"):
        make_secret(bytes(length))
