"""The application in front of the emulator's own, on its one socket: nothing reaches it any other way."""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from spillway.local_cloud.record import DOOR_HEADER
from spillway.local_cloud.servers import BrowserGuard
from spillway.local_cloud.strict import checks, rules
from spillway.local_cloud.strict.cdn import EdgeCache, emulated_distribution
from spillway.local_cloud.strict.refusals import AwsResponse, Refusal, answer_of, caller_of, refusal_of
from spillway.local_cloud.strict.requests import (
    TRACE_HEADER,
    AwsCall,
    HttpRequest,
    UnknownOperation,
    read_call,
    request_trace,
)
from spillway.local_cloud.strict.validation import MalformedRequest, first_violation

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]

CDN_HOST = re.compile(r"([a-z0-9]+)\.cloudfront\.(?:net|localhost)")
API_PATH = "/_aws/execute-api/"
CORS = b"access-control-"


@dataclass(slots=True)
class StrictLayer:
    """Lets through to `app` what AWS would do, and answers the rest as AWS would.

    Args:
        app: the emulator.
        guard: what it takes from browsers, which is nothing: no page has a business here.
        door_secret: what requests that are not signed have to carry.
        account: what the rules know about the account.
        cache: the CDN's.
        may_list: whether the caller with an access key may list the bucket of a call.
        refuse_members: whether calls are held to models and rules, and pages kept, as on AWS.
        log: takes a line about each call that is refused.
        background: runs from the emulator's start to its end.
    """

    app: App
    guard: BrowserGuard
    door_secret: str
    account: checks.AccountState
    cache: EdgeCache
    may_list: Callable[[AwsCall, str], bool] = field(default=lambda *_: True)
    refuse_members: bool = True
    log: Callable[[str], None] = field(default=lambda _: None)
    background: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection of an ASGI server."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(scope, receive, send)

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        working: asyncio.Task[None] | None = None

        async def send_and_work(message: Message) -> None:
            nonlocal working
            if message["type"] == "lifespan.startup.complete" and self.background is not None:
                working = asyncio.create_task(self.background())
            elif message["type"].startswith("lifespan.shutdown") and working is not None:
                working.cancel()
            await send(message)

        await self.app(scope, receive, send_and_work)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = _joined(scope["headers"])
        secret = headers.pop(DOOR_HEADER, "")
        if secret and hmac.compare_digest(secret.encode(), self.door_secret.encode()):
            scope = dict(scope) | {
                "headers": [pair for pair in scope["headers"] if pair[0] != DOOR_HEADER.encode()]
            }
            await self._unsigned(scope, headers, receive, send)
            return
        if "origin" in headers or "sec-fetch-site" in headers:
            await _send(send, _plain(HTTPStatus.FORBIDDEN, "no browser is answered here"))
            return
        refused = self.guard.refusal(scope["method"], headers)
        if refused is not None:
            await _send(send, _plain(*refused))
            return
        await self._call(scope, headers, receive, send)

    # -----------------------------------------------------------------------------------------------
    # Requests of our own servers: viewers of the CDN, the CDN's to its origins, health checks

    async def _unsigned(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> None:
        viewed = CDN_HOST.fullmatch(headers.get("host", "").partition(":")[0].lower())
        if viewed is not None:
            await self._view(viewed[1], scope, headers, receive, send)
            return
        if scope["path"].startswith(API_PATH) and _length(headers) > checks.API_BODY_BYTES_MAX:
            message = f"HTTP content length exceeded {checks.API_BODY_BYTES_MAX} bytes."
            body = f'{{"message":"{message}"}}'.encode()
            await _send(send, AwsResponse(413, {"content-type": "application/json"}, body))
            return
        await self.app(scope, receive, _without_cors(send))

    async def _view(
        self, label: str, scope: Message, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        from ministack.services import cloudfront

        record = cloudfront.find_distribution_for_label(label)
        if record is None or "range" in headers or not self.refuse_members:
            await self.app(scope, receive, send)
            return
        distribution = emulated_distribution(record)
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        kept = self.cache.find(distribution, scope["method"], path, headers.get("if-none-match", ""))
        if kept is None:
            seen = _RecordedSend(_without_cors(send))
            await self.app(scope, receive, seen)
            if seen.answer is not None:
                self.cache.keep(distribution, scope["method"], path, seen.answer)
        else:
            await _send(send, kept)

    # -----------------------------------------------------------------------------------------------
    # Calls to AWS

    async def _call(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> None:
        body = await _read(receive)
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        request = HttpRequest(
            scope["method"], raw_path, scope["query_string"].decode("latin-1"), headers, body
        )
        caller = caller_of(request, raw_path)
        if isinstance(caller, Refusal):
            await _send(send, self._denied(caller, headers))
            return
        token = request_trace.set(headers.get(TRACE_HEADER, ""))
        try:
            if not self.refuse_members:
                await self.app(scope, _replayed(body, receive), _without_cors(send))
                return
            call = self._read_call(caller.service, request)
            if isinstance(call, AwsResponse):
                await _send(send, call)
                return
            await self._checked(call, caller.access_key_id, scope, _replayed(body, receive), send)
        finally:
            request_trace.reset(token)

    def _read_call(self, signed_as: str, request: HttpRequest) -> AwsCall | AwsResponse:
        protocol = _likely_protocol(signed_as, request)
        try:
            call = read_call(signed_as, request)
        except UnknownOperation as error:
            refusal = Refusal("UnknownOperationException", f"{signed_as} has no operation {error}")
            return self._refused(refusal, signed_as, protocol, str(error))
        except MalformedRequest as error:
            code = "MalformedXML" if protocol == "rest-xml" else "SerializationException"
            return self._refused(Refusal(code, str(error)), signed_as, protocol, request.path)
        violation = first_violation(call.members, call.shape) if call.shape is not None else None
        wrong = refusal_of(violation, call.service, call.protocol) if violation else None
        wrong = wrong or rules.first_refusal(call, self.account)
        return self._refused(wrong, call.service, call.protocol, call.operation) if wrong else call

    async def _checked(
        self, call: AwsCall, access_key: str, scope: Message, receive: Receive, send: Send
    ) -> None:
        written = checks.conditional_write(call)
        if written:
            self.account.writing.add(written)
        send = _without_cors(send)
        if call.service == "s3" and call.operation in {"GetObject", "HeadObject"}:
            send = _Concealing(send, lambda: not self.may_list(call, access_key))
        seen = _RecordedSend(send)
        try:
            await self.app(scope, receive, seen)
        finally:
            if written:
                self.account.writing.discard(written)
        if call.operation == "CreateInvalidation" and seen.status == HTTPStatus.CREATED:
            self.cache.invalidate(call.members["DistributionId"], checks.invalidated_paths(call))

    def _refused(self, refusal: Refusal, service: str, protocol: str, what: str) -> AwsResponse:
        self.log(f"strict: {service} {what}: {refusal.code}: {refusal.message}")
        return answer_of(refusal, service, protocol)

    def _denied(self, refusal: Refusal, headers: dict[str, str]) -> AwsResponse:
        from ministack import app
        from ministack.core.iam_evaluator import AuthError
        from ministack.core.router import detect_service

        service = detect_service("POST", "/", headers, {})
        self.log(f"strict: {service}: {refusal.code}: {refusal.message}")
        status, answered, body = app._credential_failure(
            service, "", "", AuthError(refusal.code, refusal.message), headers
        )
        return AwsResponse(status, {name.lower(): str(value) for name, value in answered.items()}, body)


def _likely_protocol(signed_as: str, request: HttpRequest) -> str:
    if "smithy-protocol" in request.headers:
        return "cbor"
    if "x-amz-target" in request.headers:
        return "json"
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return "query"
    return "rest-xml" if signed_as in {"s3", "cloudfront"} else "rest-json"


@dataclass(slots=True)
class _RecordedSend:
    """Sends what the emulator answers, and remembers it."""

    send: Send
    status: int = 0
    answer: AwsResponse | None = None
    _headers: dict[str, str] = field(default_factory=dict)
    _body: list[bytes] = field(default_factory=list)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = _joined(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            if not message.get("more_body"):
                self.answer = AwsResponse(self.status, self._headers, b"".join(self._body))
        await self.send(message)


@dataclass(slots=True)
class _Concealing:
    """Answers 403 in place of 404 where the caller may not know what there is."""

    send: Send
    forbidden: Callable[[], bool]
    _done: bool = False

    async def __call__(self, message: Message) -> None:
        if self._done:
            return
        missing = message["type"] == "http.response.start" and message["status"] == HTTPStatus.NOT_FOUND
        if missing and self.forbidden():
            self._done = True
            denied = Refusal("AccessDenied", "Access Denied", HTTPStatus.FORBIDDEN)
            await _send(self.send, answer_of(denied, "s3", "rest-xml"))
        else:
            await self.send(message)


def _joined(headers: RawHeaders) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), _text(raw_value)
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(value: bytes) -> str:
    # As it was signed: by its UTF-8, where it is that.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _without_cors(send: Send) -> Send:
    """Return `send` without what lets pages of other origins read an answer."""

    async def send_without(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if not pair[0].lower().startswith(CORS)]
            message = dict(message) | {"headers": kept}
        await send(message)

    return send_without


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0


def _plain(status: int, reason: str) -> AwsResponse:
    return AwsResponse(
        status, {"content-type": "text/plain; charset=utf-8"}, f"Refused: {reason}.\n".encode()
    )


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _send(send: Send, answer: AwsResponse) -> None:
    raw = [(name.encode("latin-1"), value.encode()) for name, value in answer.headers.items()]
    length = (
        []
        if "content-length" in answer.headers or answer.status == HTTPStatus.NOT_MODIFIED
        else [(b"content-length", str(len(answer.body)).encode())]
    )
    await send({"type": "http.response.start", "status": answer.status, "headers": raw + length})
    await send({"type": "http.response.body", "body": answer.body})
