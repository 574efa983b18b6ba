import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.address import PLAIN, Address, AddressFault, AddressRefused

KEY = b"identity"


@pytest.mark.parametrize(
    ("typed", "mailbox"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.Lovelace@Example.COM", "Ada.Lovelace@example.com"),
        ("ada+shop@example.com", "ada+shop@example.com"),
        ("ada@münchen.example", "ada@xn--mnchen-3ya.example"),
        ("ada@ｅxample.com", "ada@example.com"),
        ("o'brien@example.ie", "o'brien@example.ie"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
)
def test_an_address_keeps_its_local_part_and_its_domain_becomes_an_a_label(typed: str, mailbox: str) -> None:
    assert Address.parse(typed).mailbox == mailbox


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@example.com,eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\n@example.com",
        "ada@example.com\0",
        "ada@[127.0.0.1]",
        '"a b"@example.com',
        "Ada <ada@example.com>",
        "ünal@example.com",
        "\u212aelvin@example.com",
        "\ud800@example.com",
        "ada\u202e@example.com",
        "ada\u200b@example.com",
        "x" * 65 + "@example.com",
        "a@" + "b" * 63 + "." + "c" * 63 + "." + "d" * 63 + "." + "e" * 63 + ".com",
        "a" * 10_000 + "@example.com",
    ],
)
def test_an_unusable_address_is_refused_with_a_reason(typed: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        Address.parse(typed)
    assert refused.value.reason


def test_two_spellings_that_differ_in_ascii_case_are_one_shopper() -> None:
    upper, lower = Address.parse("ADA@EXAMPLE.COM"), Address.parse("ada@example.com")
    assert upper.shopper_id(KEY) == lower.shopper_id(KEY)


@pytest.mark.parametrize(
    ("typed", "mailbox"),
    [
        # IDNA maps these to the email itself: the same domain, and so the same person.
        ("ada@\u212aelvin.example", "ada@kelvin.example"),
        ("ada@\u017fhop.example", "ada@shop.example"),
        ("ada@\ufb01n.example", "ada@fin.example"),
        ("ada@\u2177.example", "ada@viii.example"),
        ("ada@e\u0301cole.example", "ada@xn--cole-9oa.example"),
        ("ADA@\u00c9COLE.example", "ADA@xn--cole-9oa.example"),
        # These are other domains than istanbul.example, strasse.example and each other, as in the DNS.
        ("ada@\u0130stanbul.example", "ada@xn--istanbul-o0e.example"),
        ("ada@\u0131stanbul.example", "ada@xn--stanbul-qfb.example"),
        ("ada@stra\u00dfe.example", "ada@xn--strae-oqa.example"),
        ("ada@\u03c3\u03b1\u03c2.example", "ada@xn--mxa8ab.example"),
        ("ada@\u03a3\u0391\u03a3.example", "ada@xn--mxa9ab.example"),
    ],
)
def test_a_domain_is_lower_cased_as_the_dns_does_it(typed: str, mailbox: str) -> None:
    address = Address.parse(typed)
    assert (address.mailbox, address.key) == (mailbox, mailbox.lower())
    assert address.shopper_id(KEY) == Address.parse(mailbox).shopper_id(KEY)
    for plain in ("ada@istanbul.example", "ada@stanbul.example", "ada@strasse.example"):
        assert address.shopper_id(KEY) != Address.parse(plain).shopper_id(KEY)


@pytest.mark.parametrize(
    ("trap", "ascii_email"),
    [("\u212a", "k"), ("\u0130", "i"), ("\u0131", "i"), ("\u017f", "s"), ("\ufb01", "fi")],
)
def test_a_local_part_that_lower_cases_to_somebody_elses_is_refused(trap: str, ascii_email: str) -> None:
    # Python itself would have these two be one.
    assert trap.casefold().startswith(ascii_email) or trap.upper().casefold() == ascii_email
    for local in (f"{trap}elvin", f"jac{trap}", f"a+{trap}", f"a.{trap}.b"):
        assert Address.parse(f"{local.replace(trap, ascii_email)}@gmail.com").key
        with pytest.raises(AddressRefused, match="before the @-sign are not supported"):
            Address.parse(f"{local}@gmail.com")


@pytest.mark.parametrize("other", ["a.da@example.com", "ada+x@example.com", "ada@example.org"])
def test_dots_tags_and_domains_are_different_shoppers(other: str) -> None:
    assert Address.parse("ada@example.com").shopper_id(KEY) != Address.parse(other).shopper_id(KEY)


def test_an_id_reveals_nothing_without_the_key() -> None:
    ada = Address.parse("ada@example.com")
    assert ada.shopper_id(b"one") != ada.shopper_id(b"two")
    assert "ada" not in ada.shopper_id(KEY)


@settings(max_examples=40)
@given(st.text(max_size=300))
def test_any_text_is_either_refused_or_becomes_printable_ascii(typed: str) -> None:
    try:
        address = Address.parse(typed)
    except AddressRefused:
        return
    assert address.mailbox.isascii()
    assert address.mailbox.isprintable()
    assert " " not in address.mailbox
    assert Address.parse(address.mailbox) == address


PIECES = st.lists(
    st.sampled_from(["ada", "x" * 31, "1", "-", "--", "xn--", ".", "+", "_", "A", "\n"]), max_size=4
)
ENDINGS = st.sampled_from([".com", ".test", ".c", ".1", ".com\n", ""])


def by_the_library(typed: str) -> str | None:
    """Return the mailbox that email-validator makes of a text; None where it refuses."""
    try:
        valid = email_validator.validate_email(typed, check_deliverability=False, strict=True)
    except email_validator.EmailNotValidError:
        return None
    return f"{valid.local_part}@{valid.ascii_domain}"


@settings(max_examples=200)
@given(PIECES.map("".join), PIECES.map("".join), ENDINGS)
def test_a_plain_address_is_what_the_library_makes_of_it(local: str, domain: str, ending: str) -> None:
    typed = f"{local}@shop{domain}{ending}"
    assert not PLAIN.fullmatch(typed) or by_the_library(typed) == typed


@pytest.mark.parametrize(
    "typed",
    ["a@b.co", "1_a.b-c+d@1-2.x--y.museum", f"{'x' * 64}@{'y' * 63}.{'z' * 63}", "ada@test.arpa.local.com"],
)
def test_an_address_in_lower_case_and_ascii_is_plain(typed: str) -> None:
    assert PLAIN.fullmatch(typed)
    assert by_the_library(typed) == typed
    assert Address.parse(typed) == Address(mailbox=typed, key=typed)


@pytest.mark.parametrize(
    "typed",
    [
        "ada@ab--c.com",
        f"ada@{'y' * 64}.com",
        f"ada@shop.{'z' * 64}",
        "ada@shop.c1",
        "ada@shop.com\n",
        "ada@com",
    ],
)
def test_a_text_that_the_library_refuses_is_not_plain(typed: str) -> None:
    assert by_the_library(typed) is None
    assert not PLAIN.fullmatch(typed)
    with pytest.raises(AddressRefused):
        Address.parse(typed)


def test_a_reserved_domain_is_no_plain_one() -> None:
    assert PLAIN.fullmatch("ada@shop.example.com")
    for name in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        assert not PLAIN.fullmatch(f"ada@shop.{name}")
        with pytest.raises(AddressRefused):
            Address.parse(f"ada@shop.{name}")


@pytest.mark.parametrize(
    "typed",
    [
        "=?utf-8?q?a=40b.example=3e?=@example.com",
        "=?utf-8?q?a=0ab?=@example.com",
        "=?UTF-8?B?YUBi?=@example.com",
        "x=?iso-8859-1*en?Q?a?=y@example.com",
        "=?utf-8?q?@example.com",
        "=??b?@example.com",
    ],
)
def test_an_address_that_a_mail_program_would_decode_is_refused(typed: str) -> None:
    with pytest.raises(AddressRefused):
        Address.parse(typed)


@pytest.mark.parametrize("typed", ["a=?b@example.com", "=?=@example.com", "q?=a=?b?c@example.com"])
def test_an_address_that_only_holds_its_signs_is_taken(typed: str) -> None:
    assert Address.parse(typed).mailbox == typed


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("ada", AddressFault.NO_AT),
        ("ada@ada@example.com", AddressFault.SEVERAL_AT),
        ("@example.com", AddressFault.NOTHING_BEFORE_AT),
        ("ada@", AddressFault.NOTHING_AFTER_AT),
        ("ada lovelace@example.com", AddressFault.SPACE),
        ("ada..l@example.com", AddressFault.DOT_ASTRAY),
        ("ada.@example.com", AddressFault.DOT_ASTRAY),
        ("ada@example.com.", AddressFault.DOT_ASTRAY),
        ("ada@.example.com", AddressFault.DOT_ASTRAY),
        ("ada@example", AddressFault.NO_ENDING),
        ("adä@example.com", AddressFault.LETTERS_BEFORE_AT),
        (f"{'a' * 300}@example.com", AddressFault.TOO_LONG),
        ("ada,l@example.com", AddressFault.OTHER),
        ("ada@exa_mple.com", AddressFault.OTHER),
    ],
)
def test_the_mistake_of_a_refused_address_is_one_that_its_writer_sees(
    typed: str, fault: AddressFault
) -> None:
    with pytest.raises(AddressRefused) as refused:
        Address.parse(typed)
    assert refused.value.fault is fault
