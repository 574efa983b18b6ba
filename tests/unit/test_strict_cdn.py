"""The CDN's cache: pages by the headers we publish, stale until an invalidation names them."""

import pytest

from spillway.local_cloud.strict.cdn import Distribution, EdgeCache, Lifetimes
from spillway.local_cloud.strict.refusals import AwsResponse

OPTIMIZED = Lifetimes(1, 86_400, 31_536_000)
DISABLED = Lifetimes(0, 0, 0)
PAGE = "public, max-age=0, s-maxage=86400"


class Edge:
    """A cache, a clock that it is asked by, and one distribution."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.cache = EdgeCache(lambda: self.now_s)
        self.distribution = Distribution(
            "E1",
            "index.html",
            lambda path: DISABLED if path.startswith("/api/") else OPTIMIZED,
            {404: 60.0},
        )

    def keep(
        self, path: str, body: bytes, control: str = PAGE, *, status: int = 200, method: str = "GET"
    ) -> None:
        headers = {"cache-control": control, "etag": f'"{body.decode()}"', "content-length": str(len(body))}
        self.cache.keep(self.distribution, method, path, AwsResponse(status, headers, body))

    def body(self, path: str, method: str = "GET") -> bytes | None:
        kept = self.cache.find(self.distribution, method, path)
        return kept.body if kept else None


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_a_page_is_served_stale_until_its_path_is_invalidated(edge: Edge) -> None:
    edge.keep("/products/cap", b"old")
    edge.cache.invalidate("E1", ["/products/ca", "/products/cap/", "/Products/cap"])
    edge.cache.invalidate("E2", ["/products/cap"])
    assert edge.body("/products/cap") == b"old"
    edge.cache.invalidate("E1", ["/products/cap"])
    assert edge.body("/products/cap") is None


def test_a_wildcard_names_all_that_begin_so(edge: Edge) -> None:
    for path in ("/products/cap", "/products/hat", "/about"):
        edge.keep(path, b"old")
    edge.cache.invalidate("E1", ["/products/*"])
    assert [edge.body(path) for path in ("/products/cap", "/products/hat", "/about")] == [None, None, b"old"]
    edge.cache.invalidate("E1", ["/*"])
    assert edge.body("/about") is None


def test_an_encoded_path_is_the_same_path(edge: Edge) -> None:
    edge.keep("/caf%C3%A9", b"old")
    edge.cache.invalidate("E1", ["/caf%c3%a9"])
    assert edge.body("/caf%C3%A9") is None


def test_the_root_is_kept_as_the_object_that_stands_for_it(edge: Edge) -> None:
    edge.keep("/", b"old")
    edge.cache.invalidate("E1", ["/"])
    assert edge.body("/") == b"old"
    assert edge.body("/index.html") == b"old"
    edge.cache.invalidate("E1", ["/index.html"])
    assert edge.body("/") is None


def test_the_api_is_never_kept(edge: Edge) -> None:
    edge.keep("/api/confirm", b"x", "public, s-maxage=60")
    edge.keep("/api/nothing", b"x", status=404)
    assert (edge.body("/api/confirm"), edge.body("/api/nothing")) == (None, None)


@pytest.mark.parametrize(
    ("control", "lifetime_s"),
    [
        (PAGE, 86_400),
        ("public, max-age=60", 60),
        ("S-MaxAge=10", 10),
        ("max-age=31536000, immutable", 31_536_000),
        ("s-maxage=99999999999", 31_536_000),
        ("", 86_400),
        ("public", 86_400),
        # A policy's minimum counts even where the origin forbids: CloudFront documents it so.
        ("max-age=0", 1),
        ("no-store", 1),
        ("private, max-age=60", 1),
    ],
)
def test_a_page_is_kept_as_long_as_it_says(control: str, lifetime_s: float) -> None:
    assert OPTIMIZED.of(control) == lifetime_s


def test_an_expired_secret_is_read_again(edge: Edge) -> None:
    edge.keep("/a", b"x", "s-maxage=10")
    edge.now_s += 9.9
    assert edge.body("/a") == b"x"
    edge.now_s += 0.1
    assert edge.body("/a") is None


def test_an_error_is_kept_for_its_own_time(edge: Edge) -> None:
    edge.keep("/gone", b"not found", status=404)
    edge.keep("/broken", b"broken", status=502)
    edge.now_s += 9.9
    assert (edge.body("/gone"), edge.body("/broken")) == (b"not found", b"broken")
    edge.now_s += 0.1
    assert (edge.body("/gone"), edge.body("/broken")) == (b"not found", None)
    edge.now_s += 50
    assert edge.body("/gone") is None


def test_only_get_fills_the_cache_and_head_is_answered_from_it(edge: Edge) -> None:
    edge.keep("/a", b"x", method="POST")
    edge.keep("/b", b"", method="HEAD")
    assert (edge.body("/a"), edge.body("/b")) == (None, None)
    edge.keep("/a", b"x")
    assert (edge.body("/a", "HEAD"), edge.body("/a", "POST")) == (b"", None)


def test_an_answer_says_how_old_it_is_and_a_known_one_is_not_sent_again(edge: Edge) -> None:
    edge.keep("/a", b"x")
    edge.now_s += 5
    kept = edge.cache.find(edge.distribution, "GET", "/a")
    assert kept is not None
    assert (kept.status, kept.headers["age"], kept.headers["x-cache"]) == (200, "5", "Hit from cloudfront")
    known = edge.cache.find(edge.distribution, "GET", "/a", '"x"')
    assert known is not None
    assert (known.status, known.body, "content-length" in known.headers) == (304, b"", False)
    other = edge.cache.find(edge.distribution, "GET", "/a", '"y"')
    assert other is not None
    assert other.status == 200
