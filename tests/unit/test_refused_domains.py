"""The domains a shop does not take: read from a file, packed, and found again."""

import random
from typing import TYPE_CHECKING

from chalicelib.domain.address import is_listed, list_name
from chalicelib.tables.products import PACKED_BYTES_MAX
from spillway.sitegen.reading.shop_settings import read_domains

if TYPE_CHECKING:
    from spillway.sitegen.reading.toml_input import InputError

FILE = "site/thrown-away.txt"


def read(text: str) -> tuple[tuple[str, ...], list[str]]:
    mistakes: list[InputError] = []
    return read_domains(text, file=FILE, mistakes=mistakes), [str(mistake) for mistake in mistakes]


def test_a_file_has_one_domain_in_each_line_and_remarks() -> None:
    text = "# thrown away\n\nMailinator.com  # the oldest\nbücher.example\nmailinator.com\n"
    assert read(text) == (("mailinator.com", "xn--bcher-kva.example"), [])


def test_every_mistake_is_reported_with_its_line() -> None:
    domains, mistakes = read("mailinator.com\nno domain\n@example.com\nlocalhost\n-a.example\n")
    assert domains == ("mailinator.com",)
    assert [mistake.partition(": ")[0] for mistake in mistakes] == [f"{FILE}:{line}" for line in (2, 3, 4, 5)]
    assert all("one domain in a line" in mistake for mistake in mistakes)


def test_a_file_without_a_domain_is_a_mistake() -> None:
    assert read("# nothing\n")[1] == [f"{FILE}: domains = (missing): expected at least one domain"]


def test_a_list_that_no_row_can_hold_is_a_mistake() -> None:
    emails = random.Random(1)
    names = ("".join(emails.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=24)) for _ in range(25_000))
    _, (mistake,) = read("\n".join(f"{name}.example" for name in names))
    assert f"at most {PACKED_BYTES_MAX} bytes" in mistake


def test_a_listed_domain_takes_those_below_it_along_and_no_others() -> None:
    listed = {"mailinator.com"}
    assert is_listed("mailinator.com", listed)
    assert is_listed("a.b.mailinator.com", listed)
    assert not is_listed("notmailinator.com", listed)
    assert not is_listed("mailinator.com.example", listed)
    assert not is_listed("com", listed)


def test_another_list_has_another_name_and_its_order_does_not_matter() -> None:
    assert list_name(["a.com", "b.com"]) == list_name(["b.com", "a.com"]) != list_name(["a.com"])
    assert list_name([]) is None
