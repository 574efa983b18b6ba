"""The web applications before the emulator: the front door, and the inbox.

Both relay: the front door a shopper's requests to the CDN, the inbox the shop's calls to SES. The inbox keeps
and shows what was sent.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import httpx
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from spillway.local_cloud.access_logs import HEAD_BYTES, Hit
from spillway.local_cloud.inbox_emails import InboxEmail, InboxFolder, emails_of_bulk, emails_of_send
from spillway.local_cloud.record import DOOR_HEADER
from spillway.local_cloud.servers import EMAIL_POLICY, EMAIL_SANDBOX

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


def front(
    shop_url: str,
    relay: Relay,
    distribution_domain: str,
    door_secret: str,
    log: Callable[[Hit], None] = lambda hit: None,
) -> Starlette:
    """Return an application that answers as the distribution does, under `shop_url`.

    It stands for the TLS that a laptop does without: the distribution gets the viewer's request as one
    by https, and a viewer who typed `localhost` is sent to the origin that forms and links know. The emulator
    lets it in for `door_secret`. Each answer of the distribution is handed to `log`.
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
        response = await relay.pass_on(request, headers)
        log(_hit(request, response))
        return response

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])


def _hit(request: Request, response: Response) -> Hit:
    """Return an answered request as an access log has it."""
    length = response.headers.get("content-length", "0")
    cached = response.headers.get("x-cache", "")
    return Hit(
        datetime.now(UTC),
        HEAD_BYTES + (int(length) if length.isdigit() and request.method != "HEAD" else 0),
        request.client.host if request.client else "-",
        request.method,
        (request.scope.get("raw_path") or request.url.path.encode()).partition(b"?")[0].decode("latin-1"),
        response.status_code,
        request.headers.get("referer"),
        request.headers.get("user-agent"),
        "RefreshHit" if cached.startswith("RefreshHit") else "Hit" if cached.startswith("Hit") else "Miss",
    )


Clock = Callable[[], datetime]

SHOWN_MAX = 200
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def inbox(mailbox: InboxFolder, ses: Relay, shop_url: str, now: Clock) -> Starlette:
    """Return the application. Every SES call is passed on unchanged; emails that SES accepts are kept."""
    pages = _Pages(mailbox, shop_url)
    desk = _Desk(mailbox, ses, now)
    return Starlette(
        routes=[
            Route("/", pages.list),
            Route("/emails.json", pages.list_json),
            Route("/emails/{number:int}", pages.email),
            Route("/emails/{number:int}.json", pages.email_json),
            Route("/emails/{number:int}.eml", pages.email_file),
            Route("/emails/{number:int}/body.html", pages.email_body),
            Route("/inbox.css", pages.style),
            Route("/inbox.js", pages.script),
            Route("/fit.js", pages.fit),
            Route("/v2/email/outbound-emails", desk.send, methods=["POST"]),
            Route("/v2/email/outbound-bulk-emails", desk.send_bulk, methods=["POST"]),
            Route("/v2/email/{rest:path}", desk.other, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


class _Desk:
    """Takes emails in: SES decides, the mailbox keeps what it accepted."""

    def __init__(self, mailbox: InboxFolder, ses: Relay, now: Clock) -> None:
        self.mailbox, self.ses, self.now = mailbox, ses, now

    async def send(self, request: Request) -> Response:
        return await self._send(request, lambda call: (emails_of_send(call),), lambda answer: (answer,))

    async def send_bulk(self, request: Request) -> Response:
        return await self._send(request, emails_of_bulk, lambda answer: answer["BulkEmailEntryResults"])

    async def other(self, request: Request) -> Response:
        return await self.ses.pass_on(request, request.headers.raw)

    async def _send(
        self,
        request: Request,
        emails_of: Callable[[Any], Sequence[Sequence[InboxEmail]]],
        results_of: Callable[[Any], Sequence[Any]],
    ) -> Response:
        try:
            entries = emails_of(json.loads(await request.body()))
            for emails in entries:
                _require_sendable(emails, self.now())
        except (ValueError, KeyError) as error:
            return _bad_request(error)
        try:
            # The Host header stays as it was signed: the emulator checks signatures when it enforces IAM.
            answer = await self.ses.pass_on_whole(request, request.headers.raw)
        except httpx.TransportError as error:
            return no_answer(error)
        if answer.is_success:
            for emails, result in zip(entries, results_of(answer.json()), strict=True):
                self._keep(emails, result.get("MessageId"))
        return whole(answer)

    def _keep(self, emails: Sequence[InboxEmail], message_id: str | None) -> None:
        if message_id is None:  # refused by SES
            return
        for email in emails:
            self.mailbox.keep(email.to_bytes(message_id=message_id, sent_at=self.now()))


class _Pages:
    """Shows emails to a person, and to a program as JSON."""

    def __init__(self, mailbox: InboxFolder, shop_url: str) -> None:
        self.mailbox = mailbox
        self.templates = Environment(
            loader=PackageLoader("spillway.local_cloud", "inbox"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals.update(shop_url=shop_url, email_sandbox=EMAIL_SANDBOX)

    def list(self, _: Request) -> Response:
        emails = self.mailbox.emails()
        return self._page("list.html", emails=emails[:SHOWN_MAX], count=len(emails))

    def list_json(self, _: Request) -> Response:
        return JSONResponse([outgoing.to_document() for outgoing in self.mailbox.emails()])

    def email(self, request: Request) -> Response:
        email = self.mailbox.email(request.path_params["number"])
        return self._page("email.html", email=email) if email else self._page("missing.html", 404)

    def email_json(self, request: Request) -> Response:
        email = self.mailbox.email(request.path_params["number"])
        return JSONResponse(email.to_document()) if email else JSONResponse({"status": 404}, 404)

    def email_file(self, request: Request) -> Response:
        file = self.mailbox.file(request.path_params["number"])
        if not file.is_file():
            return self._page("missing.html", 404)
        return FileResponse(file, media_type="message/rfc822", filename=file.name)

    def email_body(self, request: Request) -> Response:
        email = self.mailbox.email(request.path_params["number"])
        if email is None:
            return self._page("missing.html", 404)
        body = email.html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(body, headers={"Content-Security-Policy": EMAIL_POLICY})

    def style(self, _: Request) -> Response:
        return Response(_asset("inbox.css"), media_type="text/css")

    def script(self, _: Request) -> Response:
        return Response(_asset("inbox.js"), media_type="text/javascript")

    def fit(self, _: Request) -> Response:
        script = files("spillway.sitegen").joinpath("preview_pages", "fit.js").read_text()
        return Response(script, media_type="text/javascript")

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        page = self.templates.get_template(name).render(**values)
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
        return HTMLResponse(page, status, headers=headers)


def _require_sendable(emails: Sequence[InboxEmail], at: datetime) -> None:
    for email in emails:
        email.to_bytes(message_id="draft", sent_at=at)


def _bad_request(error: Exception) -> Response:
    message = {"message": f"The email cannot be sent: {error}"}
    return JSONResponse(message, 400, headers={"x-amzn-errortype": "BadRequestException"})


def _asset(name: str) -> str:
    return files("spillway.local_cloud").joinpath("inbox", name).read_text()
