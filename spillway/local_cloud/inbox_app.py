"""The inbox as a small web application: it stands between the shop and SES, and shows what was sent."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

import httpx
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from spillway.local_cloud.inbox_emails import Email, Mailbox, emails_of_bulk, emails_of_send
from spillway.local_cloud.relay import Relay, no_answer, whole

Clock = Callable[[], datetime]

SHOWN_MAX = 200
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# An email may show its pictures and its own styles, and open its links in a new tab; nothing else.
EMAIL_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


def inbox(mailbox: Mailbox, ses: Relay, shop_url: str, now: Clock) -> Starlette:
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
            Route("/v2/email/outbound-emails", desk.send, methods=["POST"]),
            Route("/v2/email/outbound-bulk-emails", desk.send_bulk, methods=["POST"]),
            Route("/v2/email/{rest:path}", desk.other, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


class _Desk:
    """Takes emails in: SES decides, the mailbox keeps what it accepted."""

    def __init__(self, mailbox: Mailbox, ses: Relay, now: Clock) -> None:
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
        emails_of: Callable[[Any], Sequence[Sequence[Email]]],
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

    def _keep(self, emails: Sequence[Email], message_id: str | None) -> None:
        if message_id is None:  # refused by SES
            return
        for email in emails:
            self.mailbox.keep(email.to_bytes(message_id=message_id, sent_at=self.now()))


class _Pages:
    """Shows emails to a person, and to a program as JSON."""

    def __init__(self, mailbox: Mailbox, shop_url: str) -> None:
        self.mailbox = mailbox
        self.templates = Environment(
            loader=PackageLoader("spillway.local_cloud", "inbox"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals["shop_url"] = shop_url

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

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        page = self.templates.get_template(name).render(**values)
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
        return HTMLResponse(page, status, headers=headers)


def _require_sendable(emails: Sequence[Email], at: datetime) -> None:
    for email in emails:
        email.to_bytes(message_id="draft", sent_at=at)


def _bad_request(error: Exception) -> Response:
    message = {"message": f"The email cannot be sent: {error}"}
    return JSONResponse(message, 400, headers={"x-amzn-errortype": "BadRequestException"})


def _asset(name: str) -> str:
    return files("spillway.local_cloud").joinpath("inbox", name).read_text()
