"""A release as the CDN serves it: packed, with the template's headers, on a port of this machine."""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import brotli
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chalicelib.storage import object_key
from spillway.deploy.template import merged_resources, plain_values
from spillway.local_cloud import processes
from spillway.local_cloud.servers import served
from spillway.preflight.built_pages import BROTLI_QUALITY
from spillway.project import Project
from spillway.sitegen.release import SiteObject
from spillway.sitegen.site import build

ROOT = Path(__file__).parents[1]
# Content types that CloudFront compresses.
_PACKED = ("text/", "application/json", "application/xml", "application/atom+xml", "image/svg+xml")


@contextmanager
def shop_behind_cdn(root: Path) -> Iterator[str]:
    """Yield the sample shop, built for the address it is served under."""
    with TemporaryDirectory() as folder, processes.claim_port(0, "the shop") as claimed:
        url = f"http://{processes.HOST}:{claimed.getsockname()[1]}"
        release = build(Project(root), base_url=url, folder=Path(folder) / "site")
        with served(_cdn(release.objects), claimed):
            yield url


def _cdn(objects: Iterable[SiteObject]) -> Starlette:
    by_key = {object_.key: object_ for object_ in objects}
    security = _security_headers()

    @cache
    def packed(key: str, coding: str) -> bytes:
        body = by_key[key].read()
        if coding == "br":
            return bytes(brotli.compress(body, quality=BROTLI_QUALITY))
        return gzip.compress(body) if coding else body

    async def answer(request: Request) -> Response:
        key = object_key(request.url.path)
        status, key = (200, key) if key in by_key else (404, "404")
        found = by_key[key]
        coding = _coding(request.headers.get("accept-encoding", ""), found.content_type)
        headers = {**security, "Cache-Control": found.cache_control, "Vary": "Accept-Encoding"}
        if coding:
            headers["Content-Encoding"] = coding
        return Response(packed(key, coding), status, {**headers, "Content-Type": found.content_type})

    return Starlette(routes=[Route("/{path:path}", answer)])


def _coding(accepted: str, content_type: str) -> str:
    if not content_type.startswith(_PACKED):
        return ""
    codings = {part.partition(";")[0].strip() for part in accepted.split(",")}
    return next((item for item in ("br", "gzip") if item in codings), "")


def _security_headers() -> Mapping[str, str]:
    """Return the headers of every answer of the distribution, except for HTTPS, which this machine lacks."""
    resources = plain_values(merged_resources(ROOT))["Resources"]
    policy = resources["SecurityHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
    config = policy["SecurityHeadersConfig"]
    return {
        "Content-Security-Policy": config["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": config["FrameOptions"]["FrameOption"],
        "Referrer-Policy": config["ReferrerPolicy"]["ReferrerPolicy"],
    }
