"""Every request for pages, whole, and what each refusal of S3 and CloudFront means."""

import hashlib
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.storage import (
    Cdn,
    CdnBusy,
    PageChange,
    PageContested,
    PagesBucket,
    object_key,
    page_path,
)
from tests.support.recorded_calls import scripted

PAGE = b"<p>Hat</p>"
ETAG = f'"{hashlib.md5(PAGE, usedforsecurity=False).hexdigest()}"'
MARK = hashlib.sha256(b"e1").hexdigest()[:12]
CACHED = "public, max-age=0, s-maxage=86400, must-revalidate"
STORED: dict[str, Any] = {
    "ETag": ETAG,
    "VersionId": "v1",
    "ContentType": "text/html; charset=utf-8",
    "ContentLanguage": "de",
    "CacheControl": CACHED,
    "Metadata": {"by": MARK},
}
HEAD = ("head_object", {"Bucket": "pages", "Key": "products/hat"})
GET = ("get_object", {"Bucket": "pages", "Key": "products/hat"})
WRITTEN = {"ETag": '"new"', "VersionId": "v2"}


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "Call")


def put(**terms: str) -> tuple[str, dict[str, Any]]:
    headers = {
        "ContentType": "text/html; charset=utf-8",
        "ContentLanguage": "de",
        "CacheControl": CACHED,
        "Metadata": {"by": MARK},
    }
    return "put_object", {"Bucket": "pages", "Key": "products/hat", "Body": PAGE, **headers, **terms}


def turn(s3: Any) -> PageChange | None:
    return PagesBucket(s3, "pages").refresh("/products/hat", PAGE.decode, language="de", event="e1")


@pytest.mark.parametrize("code", ["403", "404"])
def test_a_page_that_is_not_there_is_put_while_nobody_else_does(code: str) -> None:
    s3 = scripted(error(code), WRITTEN)
    assert turn(s3) == PageChange("/products/hat", 'v2 "new"')
    assert s3.asked == [HEAD, put(IfNoneMatch="*")]


def test_a_page_that_is_there_is_put_while_it_is_the_same() -> None:
    s3 = scripted({**STORED, "ETag": '"old"'}, {"ETag": '"new"'})
    assert turn(s3) == PageChange("/products/hat", ' "new"')
    assert s3.asked == [HEAD, put(IfMatch='"old"')]


def test_a_page_with_these_bytes_and_headers_is_not_put() -> None:
    s3 = scripted(STORED)
    assert turn(s3) == PageChange("/products/hat", f"v1 {ETAG}")
    assert turn(scripted({**STORED, "Metadata": {}})) is None
    assert turn(scripted({name: STORED[name] for name in STORED if name != "Metadata"})) is None
    assert s3.asked == [HEAD]


@pytest.mark.parametrize("header", ["ContentType", "ContentLanguage", "CacheControl"])
def test_a_page_with_another_header_is_put(header: str) -> None:
    s3 = scripted({**STORED, header: "other"}, WRITTEN)
    assert turn(s3) == PageChange("/products/hat", 'v2 "new"')
    assert s3.asked == [HEAD, put(IfMatch=ETAG)]


@pytest.mark.parametrize(
    "code", ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404"]
)
def test_a_page_that_others_write_is_tried_six_times(code: str) -> None:
    s3 = scripted(*[{**STORED, "ETag": '"old"'}, error(code)] * 6)
    with pytest.raises(PageContested, match=r"^/products/hat$"):
        turn(s3)
    assert s3.asked == [HEAD, put(IfMatch='"old"')] * 6


def test_a_refusal_of_another_kind_is_raised() -> None:
    with pytest.raises(ClientError, match="500"):
        turn(scripted(error("500")))
    with pytest.raises(ClientError, match="AccessDenied"):
        turn(scripted({**STORED, "ETag": '"old"'}, error("AccessDenied")))


def there(text: str = "Hüte", **more: Any) -> dict[str, Any]:
    return {
        "Body": BytesIO(text.encode()),
        "ContentType": "application/xml",
        "ETag": '"old"',
        "VersionId": "v1",
        **more,
    }


def edit(s3: Any) -> PageChange | None:
    return PagesBucket(s3, "pages").edit(
        "/products/hat", lambda text: text.replace("Hüte", "Mäntel"), event="e1"
    )


def test_an_edit_reads_and_puts_while_it_is_the_same() -> None:
    s3 = scripted(there(), WRITTEN)
    assert edit(s3) == PageChange("/products/hat", 'v2 "new"')
    wanted = {
        "Bucket": "pages",
        "Key": "products/hat",
        "Body": "Mäntel".encode(),
        "Metadata": {"by": MARK},
        "ContentType": "application/xml",
        "CacheControl": CACHED,
        "IfMatch": '"old"',
    }
    assert s3.asked == [GET, ("put_object", wanted)]


def test_an_edit_that_changes_nothing_puts_nothing() -> None:
    s3 = scripted(there("Mäntel", Metadata={"by": MARK}))
    assert edit(s3) == PageChange("/products/hat", 'v1 "old"')
    assert s3.asked == [GET]
    assert edit(scripted(there("Mäntel", Metadata={"by": "another"}))) is None


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey"])
def test_an_edit_of_what_is_not_there_does_nothing(code: str) -> None:
    s3 = scripted(error(code))
    assert edit(s3) is None
    assert s3.asked == [GET]


def test_an_edit_that_conflicts_is_tried_six_times() -> None:
    s3 = scripted(*[item for _ in range(6) for item in (there(), error("412"))])
    with pytest.raises(PageContested, match=r"^/products/hat$"):
        edit(s3)
    assert [method for method, _ in s3.asked] == ["get_object", "put_object"] * 6
    with pytest.raises(ClientError, match="500"):
        edit(scripted(error("500")))


def test_keys_and_paths_of_pages() -> None:
    keys = {"/": "index.html", "/de": "de", "/products/hat": "products/hat"}
    assert {path: object_key(path) for path in keys} == keys
    assert {page_path(key): key for key in keys.values()} == keys


def invalidation(*paths: str) -> tuple[str, dict[str, Any]]:
    digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]
    batch = {"Paths": {"Quantity": len(paths), "Items": [*paths]}, "CallerReference": f"e1-{digest}"}
    return "create_invalidation", {"DistributionId": "E1", "InvalidationBatch": batch}


def test_an_invalidation_is_one_request_with_a_reference_of_its_paths() -> None:
    cloudfront = scripted({})
    assert Cdn(cloudfront, "E1").invalidate(["/b", "/a"], reference="e1") == ("/a", "/b")
    assert cloudfront.asked == [invalidation("/a", "/b")]


def test_paths_that_are_refused_become_a_wildcard_that_waits() -> None:
    busy = error("TooManyInvalidationsInProgress")
    pauses_s: list[float] = []
    cloudfront = scripted(busy, busy, {})
    cdn = Cdn(cloudfront, "E1", sleep=pauses_s.append)
    assert cdn.invalidate(["/a"], reference="e1") == ("/*",)
    assert cloudfront.asked == [invalidation("/a"), invalidation("/*"), invalidation("/*")]
    assert pauses_s == [0.0, 1.0]


def test_a_wildcard_is_asked_for_three_times() -> None:
    busy = scripted(error("TooManyInvalidationsInProgress"))
    pauses_s: list[float] = []
    cdn = Cdn(busy, "E1", pauses_s.append)
    with pytest.raises(CdnBusy, match=r"^e1$"):
        cdn.invalidate(["/ä"], reference="e1")
    assert busy.asked == [invalidation("/*")] * 3
    assert pauses_s == [0.0, 1.0, 2.0]
