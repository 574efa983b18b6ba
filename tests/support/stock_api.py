"""A small https server that answers as the APIs of other systems do."""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.outbound.fetching import HttpsFetcher
from tests.support.certificate import write_certificate


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its path, query, headers by name in lower case, and body."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; a body that is no text is sent as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class StockApi:
    """The server: `answer` decides, `asked` remembers, `waited` are the seconds that the client slept."""

    url: str
    context: ssl.SSLContext
    answer: Callable[[Asked], Said]
    asked: list[Asked] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def fetcher(self) -> HttpsFetcher:
        """Return a client that trusts the server and sleeps in no time."""
        return HttpsFetcher(
            addresses_of=lambda host: [host],
            context=self.context,
            sleep=self.waited.append,
            jitter=lambda: 0.0,
        )


@contextmanager
def stock_api(folder: Path) -> Iterator[StockApi]:
    """Run a server for as long as the block lasts."""
    certificate = write_certificate(folder)
    api = StockApi("", ssl.create_default_context(cafile=str(certificate)), lambda _: Said("", 500))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            asked = Asked(parts.path, query, headers, body)
            api.asked.append(asked)
            said = api.answer(asked)
            sent = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = _answer  # noqa: N815 - as the base class calls them

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    api.url = f"https://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
