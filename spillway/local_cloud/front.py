"""The shop's front door on a laptop: plain HTTP on one port, passed on to the emulated CloudFront."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from spillway.local_cloud.keys import DOOR_HEADER
from spillway.local_cloud.relay import Relay, with_headers

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def front(shop_url: str, relay: Relay, distribution_domain: str, door_secret: str) -> Starlette:
    """An application that answers as the distribution does, under `shop_url`.

    It stands for the TLS that a laptop does without: the distribution is told that the viewer came by
    https, and a viewer who typed `localhost` is sent to the origin that forms and links know. The emulator
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
