"""Relay requests to the emulator; the front door relays those of shoppers to the CDN."""

from collections.abc import AsyncIterator, Iterable

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from spillway.local_cloud.record import DOOR_HEADER

RawHeaders = Iterable[tuple[bytes, bytes]]

# RFC 9110, 7.6.1: these speak of one connection, and end with it.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
TIMEOUT_S = {"connect": 5.0, "read": 60.0, "write": 60.0, "pool": 60.0}


def end_to_end(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the headers that are meant for the far end, in their order, repeats included."""
    named = {
        name.strip().lower()
        for header, value in headers
        if header.lower() == b"connection"
        for name in value.split(b",")
    }
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP | named]


def with_headers(headers: RawHeaders, **replaced: str) -> list[tuple[bytes, bytes]]:
    """Return `headers` with some replaced; `x_forwarded_proto` names X-Forwarded-Proto."""
    fresh = {name.replace("_", "-").encode(): value.encode() for name, value in replaced.items()}
    return [(name, value) for name, value in headers if name.lower() not in fresh] + list(fresh.items())


class Relay:
    """Sends requests to one upstream; follows no redirect, adds no header, decodes no body.

    One for each server: its connections belong to that server's event loop.
    """

    def __init__(self, upstream: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.upstream = httpx.URL(upstream)
        self.transport = transport or httpx.AsyncHTTPTransport(trust_env=False)

    async def pass_on(self, request: Request, headers: RawHeaders) -> Response:
        """Return the upstream's answer to `request` with these headers; 502 when there is none."""
        try:
            answer = await self._send(request, headers, request.stream() if _has_body(request) else None)
        except httpx.TransportError as error:
            return no_answer(error)
        closing = BackgroundTask(answer.aclose)
        response = StreamingResponse(_chunks(answer), answer.status_code, background=closing)
        response.raw_headers = end_to_end(answer.headers.raw)
        return response

    async def pass_on_whole(self, request: Request, headers: RawHeaders) -> httpx.Response:
        """Return the same, read to its end, for who wants to look inside.

        Raises:
            httpx.TransportError: the upstream does not answer.
        """
        answer = await self._send(request, headers, await request.body())
        await answer.aread()
        return answer

    async def _send(
        self, request: Request, headers: RawHeaders, content: AsyncIterator[bytes] | bytes | None
    ) -> httpx.Response:
        target = self.upstream.copy_with(raw_path=_raw_target(request))
        sent = httpx.Request(
            request.method,
            target,
            headers=end_to_end(headers),
            content=content,
            extensions={"timeout": TIMEOUT_S},
        )
        return await self.transport.handle_async_request(sent)


def whole(answer: httpx.Response) -> Response:
    """Return an answer that was read to its end, as it came."""
    response = Response(answer.content, answer.status_code)
    # The content is decoded by now, so its length and its encoding are those of this response.
    own = {b"content-encoding", b"content-length"}
    response.raw_headers += [
        (name, value) for name, value in end_to_end(answer.headers.raw) if name.lower() not in own
    ]
    return response


def no_answer(error: httpx.TransportError) -> Response:
    """Return the answer of a gateway whose server does not answer."""
    return Response(f"The local cloud does not answer: {error}\n", 502, media_type="text/plain")


def _has_body(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


def _raw_target(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101 - what the async transport gives
    async for chunk in answer.stream:
        yield chunk


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def front(shop_url: str, relay: Relay, distribution_domain: str, door_secret: str) -> Starlette:
    """Return an application that answers as the distribution does, under `shop_url`.

    It stands for the TLS that a laptop does without: the distribution gets the viewer's request as one
    by https, and a viewer who typed `localhost` is sent to the origin that forms and links know. The emulator
    lets it in for `door_secret`.
    """
    shop_host = shop_url.partition("://")[2]

    async def answer(request: Request) -> Response:
        if request.headers.get("host", shop_host) != shop_host and request.method in {"GET", "HEAD"}:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{shop_url}{request.url.path}{query}", 307)
        headers = with_headers(
            request.headers.raw,
            host=distribution_domain,
            x_forwarded_proto="https",
            **{DOOR_HEADER: door_secret},
        )
        return await relay.pass_on(request, headers)

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])
