"""Old addresses lead to where their pages are now."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.reading.redirects import (
    REDIRECTS_MAX,
    Redirect,
    add_redirects,
    parse_redirects,
    read_redirects,
    redirect_mistakes,
    remove_redirects,
    source_problem,
)
from spillway.sitegen.reading.toml_text import KeyLines

if TYPE_CHECKING:
    from spillway.sitegen.reading.toml_input import InputError


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    (tmp_path / "site").mkdir()
    return Project(tmp_path)


def parsed(*rows: str) -> tuple[dict[str, str], list[str]]:
    """Return where each source leads in the end, and the mistakes."""
    mistakes: list[InputError] = []
    found = parse_redirects("[redirects]\n" + "\n".join(rows), mistakes)
    return {redirect.source: redirect.target for redirect in found}, [str(mistake) for mistake in mistakes]


def text_of(shop: Project) -> str:
    return (shop.site / "redirects.toml").read_text(encoding="utf-8")


def test_a_shop_without_the_file_has_no_redirects(shop: Project) -> None:
    mistakes: list[InputError] = []

    assert (read_redirects(shop, mistakes), mistakes) == ((), [])


def test_a_chain_is_flattened_to_its_end() -> None:
    leads, mistakes = parsed('"/a" = "/b"', '"/b" = "/c/"', '"/c" = "/products/scarf#sizes"')

    assert mistakes == []
    assert leads == dict.fromkeys(["/a", "/b", "/c"], "/products/scarf#sizes")


@pytest.mark.parametrize(
    ("rows", "line", "loop"),
    [
        (['"/a" = "/a/"'], 2, "/a -> /a"),
        (['"/a" = "/b"', '"/b" = "/a?x=1"'], 3, "/a -> /b -> /a"),
        (['"/z" = "/a"', '"/a" = "/%62"', '"/b" = "/a"'], 4, "/a -> /b -> /a"),
    ],
)
def test_a_loop_is_named_once_with_its_line_and_leads_nowhere(rows: list[str], line: int, loop: str) -> None:
    leads, mistakes = parsed(*rows)

    assert leads == {}
    assert len(mistakes) == 1
    assert mistakes[0].startswith(f"site/redirects.toml:{line}: ")
    assert f"{loop} is a loop" in mistakes[0]


def test_two_spellings_of_one_address_are_one() -> None:
    leads, mistakes = parsed('"/caf%C3%A9" = "/a"', '"/café/" = "/b"')

    assert leads == {"/café": "/a"}
    assert mistakes == [
        "site/redirects.toml:3: \"/café/\" = '/café/': "
        "expected each address once; it is given as /caf%C3%A9 too"
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("old", "an absolute path"),
        ("//evil.example/x", "an absolute path"),
        ("/a?b=1", "without ? and #"),
        ("/", "home page"),
        ("/index.html", "home page"),
        ("/api/waitlist", "outside"),
        ("/assets", "outside"),
        ("/pictures/x.jpg", "outside"),
        ("/a/../b", "empty, . and .."),
        ("/a//b", "empty, . and .."),
        ("/a\\\\b", "backslashes"),
        ("/%ff", "UTF-8"),
        ("/a%0d%0ab", "control characters"),
        (f"/{'é' * 600}", "1000 bytes"),
    ],
)
def test_a_source_no_file_can_be_found_at_is_refused(source: str, expected: str) -> None:
    leads, mistakes = parsed(f'"{source}" = "/privacy"')

    assert leads == {}
    assert expected in mistakes[0]
    assert mistakes[0].startswith("site/redirects.toml:2: ")


@pytest.mark.parametrize(
    "target", ["x", "http://a.example/", "javascript:alert(1)", "//a.example", "/a b", ""]
)
def test_a_target_that_is_no_page_is_refused(target: str) -> None:
    assert parsed(f'"/old" = "{target}"')[0] == {}


def test_targets_are_encoded_as_a_page_can_have_them() -> None:
    leads, mistakes = parsed('"/a" = "/café?q=ä#x"', '"/b" = "https://a.example/%C3%A9?x=1&y=[2]"')

    assert mistakes == []
    assert leads == {"/a": "/caf%C3%A9?q=%C3%A4#x", "/b": "https://a.example/%C3%A9?x=1&y=[2]"}


def test_too_many_are_refused() -> None:
    rows = [f'"/{number}" = "/privacy"' for number in range(REDIRECTS_MAX + 1)]

    leads, mistakes = parsed(*rows)

    assert leads == {}
    assert f"at most {REDIRECTS_MAX} redirects" in mistakes[0]


def test_a_redirect_below_a_page_or_to_no_page_is_an_error_with_its_line() -> None:
    text = '[redirects]\n"/privacy/" = "/about"\n"/old" = "/nowhere"\n"/x" = "/about#team"\n'
    redirects = parse_redirects(text, [])

    found = redirect_mistakes(redirects, frozenset({"/privacy", "/about"}), KeyLines(text))

    assert sorted(map(str, found)) == [
        "site/redirects.toml:2: \"/privacy/\" = '/privacy/': expected an old address: "
        "there is a page at this one",
        "site/redirects.toml:3: \"/old\" = '/nowhere': expected the path of a page of this shop, "
        "or an https:// address",
    ]


def test_an_address_is_served_with_and_without_a_slash_at_its_end() -> None:
    assert Redirect("/product/mug", "/").keys == ("product/mug", "product/mug/")
    assert Redirect("/mug.html", "/").keys == ("mug.html",)
    assert Redirect("/a+b.php", "/").keys == ("a+b.php", "a b.php")


def test_added_lines_stand_below_what_is_there(shop: Project) -> None:
    before = '# Mine.\n[redirects]\n"/a" = "/b"  # keep\n'
    (shop.site / "redirects.toml").write_text(before)

    done = add_redirects(
        shop, {'/p"q': "/products/q", "/a": "/c", "/é/": "/products/e", "/x?y": "/z", "/s": "/s/"}
    )

    assert text_of(shop) == before + '"/p\\"q" = "/products/q"\n"/é/" = "/products/e"\n'
    assert dict(done.added) == {'/p"q': "/products/q", "/é/": "/products/e"}
    assert done.refused["/a"] == "it leads to /b already"
    assert done.refused["/s"] == "it leads to itself"
    assert "without ? and #" in done.refused["/x?y"]
    assert done.removed == ()


def test_the_file_is_made_where_there_is_none_and_left_alone_where_nothing_is_new(shop: Project) -> None:
    add_redirects(shop, {"/old": "/new"})
    assert text_of(shop) == '[redirects]\n"/old" = "/new"\n'
    written_ns = (shop.site / "redirects.toml").stat().st_mtime_ns

    assert dict(add_redirects(shop, {"/old/": "/new"}).added) == {}
    assert (shop.site / "redirects.toml").stat().st_mtime_ns == written_ns


def test_a_product_renamed_back_has_its_address_again(shop: Project) -> None:
    add_redirects(shop, {"/products/mug": "/products/cup"})

    done = add_redirects(shop, {"/products/cup": "/products/mug"})

    assert done.removed == ("/products/mug",)
    assert text_of(shop) == '[redirects]\n"/products/cup" = "/products/mug"\n'


def test_a_file_that_cannot_be_read_is_not_added_to(shop: Project) -> None:
    (shop.site / "redirects.toml").write_text("[redirects\n")

    with pytest.raises(BadInput, match=r"site/redirects\.toml:1: not TOML"):
        add_redirects(shop, {"/old": "/new"})

    assert text_of(shop) == "[redirects\n"


PATHS = st.text(alphabet="abé/ .%+\"'=#?\\\n", max_size=8).map(lambda text: f"/{text}")


@settings(max_examples=60, deadline=None)
@given(rounds=st.lists(st.dictionaries(PATHS, PATHS, max_size=4), max_size=4))
def test_any_added_redirect_can_be_read_and_added_to(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[dict[str, str]]
) -> None:
    shop = Project(tmp_path_factory.mktemp("shop"))
    (shop.root / "site").mkdir()
    known: dict[str, str] = {}
    for mapping in rounds:
        done = add_redirects(shop, mapping)
        known = {source: target for source, target in known.items() if source not in done.removed}
        known |= done.added
        assert all(not source_problem(source) for source in done.added)
    if known:
        assert tomllib.loads(text_of(shop))["redirects"] == known


def test_redirects_without_their_table_are_answered_with_its_line() -> None:
    mistakes: list[InputError] = []

    assert parse_redirects('# Mine.\n"/a" = "/b"\n"/c" = "/b"\n', mistakes) == ()

    assert [str(mistake) for mistake in mistakes] == [
        "site/redirects.toml:2: /a = '/b': expected the line [redirects] above the redirects"
    ]


def test_lines_are_removed_as_toml_counts_them_and_a_link_stays_a_link(shop: Project) -> None:
    shared = shop.root / "shared.toml"
    shared.write_text('# one\u2028line\n[redirects]\n"/gone" = "/new"\n"/old" = "/new"\n')
    (shop.site / "redirects.toml").symlink_to(shared)
    assert remove_redirects(shop, {"/gone"}) == ("/gone",)
    assert shared.read_text() == '# one\u2028line\n[redirects]\n"/old" = "/new"\n'
    assert (shop.site / "redirects.toml").is_symlink()
