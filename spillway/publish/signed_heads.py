"""Heads of signed requests. What those of one kind have in common is put together once a second."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.aws.signing import Credentials, Signer

_DIGEST = "x-amz-content-sha256"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Requests with the same headers, within one second: `before` and `after` are the canonical lines around
    that of the body's digest, `names` all that are signed, `lines` what is sent of them."""

    credentials: Credentials
    stamp: str
    before: str
    after: str
    names: str
    lines: str

    @classmethod
    def of(cls, headers: Mapping[str, str], credentials: Credentials, stamp: str) -> "_Kind":
        sent = {**headers, "x-amz-date": stamp}
        if credentials.session_token:
            sent["x-amz-security-token"] = credentials.session_token
        for name, value in sent.items():
            if not value.isprintable():
                raise ValueError(f"{name} {value!r} is no header")
        canonical = {name: f"{name}:{' '.join(sent[name].split())}\n" for name in sorted(sent)}
        return cls(
            credentials,
            stamp,
            "".join(line for name, line in canonical.items() if name < _DIGEST),
            "".join(line for name, line in canonical.items() if name > _DIGEST),
            ";".join(sorted([*sent, _DIGEST])),
            "".join(f"{name}: {value}\r\n" for name, value in sent.items()),
        )


class RequestHeaders:
    """Makes them for one host. `credentials` are asked for anew each second."""

    def __init__(
        self, signer: Signer, host: str, credentials: Callable[[], Credentials], clock_s: Callable[[], float]
    ) -> None:
        self._signer = signer
        self._host = host
        self._credentials = credentials
        self._clock_s = clock_s
        self._second = 0
        self._kinds: dict[tuple[tuple[str, str], ...], _Kind] = {}

    def head(self, method: str, path: str, headers: Mapping[str, str], sha256: str, size_bytes: int) -> bytes:
        """The head of a request whose body has that digest and size; all of `headers` are signed.

        `path` is as it goes over the wire; names of headers are in lower case.

        Raises:
            ValueError: a header is more than one line.
        """
        kind = self._kind(headers)
        request = f"{method}\n{path}\n\n{kind.before}{_DIGEST}:{sha256}\n{kind.after}\n{kind.names}\n{sha256}"
        proof = self._signer.authorization(kind.credentials, kind.stamp, kind.names, request)
        return (
            f"{method} {path} HTTP/1.1\r\n{kind.lines}{_DIGEST}: {sha256}\r\nauthorization: {proof}\r\n"
            f"content-length: {size_bytes}\r\n\r\n"
        ).encode("latin-1")

    def _kind(self, headers: Mapping[str, str]) -> _Kind:
        at_s = self._clock_s()
        if int(at_s) != self._second:
            self._second = int(at_s)
            self._kinds.clear()
        name = tuple(headers.items())
        if name not in self._kinds:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
            self._kinds[name] = _Kind.of({**headers, "host": self._host}, self._credentials(), stamp)
        return self._kinds[name]
