"""The front door passes requests on to the distribution and its answers back, byte for byte."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from spillway.local_cloud.web_apps import Relay, front

SHOP = "http://127.0.0.1:8000"
DOMAIN = "d123.cloudfront.net"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class FakeDistribution(httpx.AsyncBaseTransport):
    """Answers every request the same, and remembers what it was asked."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    content: bytes = b"a page"
    requests: list[httpx.Request] = field(default_factory=list)
    fails: bool = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.fails:
            raise httpx.ConnectError("refused")
        await request.aread()
        self.requests.append(request)
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(self.content))


async def ask(distribution: FakeDistribution, method: str, path: str, **request: Any) -> httpx.Response:
    app = front(SHOP, Relay("http://cloud.test", distribution), DOMAIN, "secret")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=SHOP) as client:
        return await client.request(method, path, **request)


async def test_the_distribution_is_asked_by_its_name_as_if_by_https() -> None:
    distribution = FakeDistribution()
    await ask(distribution, "GET", "/products/field%20jacket?size=M&size=L")
    (request,) = distribution.requests
    assert request.headers["host"] == DOMAIN
    assert request.headers["x-forwarded-proto"] == "https"
    assert request.url.raw_path == b"/products/field%20jacket?size=M&size=L"


async def test_a_form_arrives_as_it_was_sent() -> None:
    distribution = FakeDistribution(303, [("Location", "/waitlist/thanks")])
    answer = await ask(distribution, "POST", "/api/waitlist", data={"email": "ada@example.com"})
    assert distribution.requests[0].content == b"email=ada%40example.com"
    assert (answer.status_code, answer.headers["location"]) == (303, "/waitlist/thanks")


async def test_headers_for_one_connection_go_no_further() -> None:
    distribution = FakeDistribution(headers=[("Connection", "x-mine"), ("X-Mine", "1"), ("X-Cache", "Miss")])
    answer = await ask(distribution, "GET", "/", headers={"Keep-Alive": "5", "Accept-Language": "de"})
    assert "keep-alive" not in distribution.requests[0].headers
    assert distribution.requests[0].headers["accept-language"] == "de"
    assert ("x-mine" in answer.headers, answer.headers["x-cache"]) == (False, "Miss")


async def test_repeated_headers_stay_apart_and_encoded_bodies_stay_encoded() -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    distribution = FakeDistribution(headers=[*cookies, ("Content-Encoding", "br")], content=b"\x0b\x00")
    app = front(SHOP, Relay("http://cloud.test", distribution), DOMAIN, "secret")
    transport = httpx.ASGITransport(app)
    answer = await transport.handle_async_request(httpx.Request("GET", SHOP))
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    assert b"".join([chunk async for chunk in answer.stream]) == b"\x0b\x00"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_a_viewer_by_another_name_is_sent_to_the_shops_own() -> None:
    distribution = FakeDistribution()
    answer = await ask(distribution, "GET", "http://localhost:8000/about?from=mail")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{SHOP}/about?from=mail")
    assert distribution.requests == []


async def test_nobody_behind_the_door_is_a_bad_gateway() -> None:
    assert (await ask(FakeDistribution(fails=True), "GET", "/")).status_code == 502
