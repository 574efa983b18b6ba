"""The input of a check of a stage, and its finding."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from chalicelib.mail.headers import parse_mailbox
from chalicelib.storefront.theme import Shop
from spillway.stage import LOCAL, Stage

CERTIFICATES_LIVE_IN = "us-east-1"
DNS_WITHIN_S = 5.0

Resolve = Callable[[str, str], tuple[str, ...] | None]


class Result(StrEnum):
    """The outcome of a check."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer. `hint` says what to type where something is wrong."""

    check: str
    result: Result
    what: str
    hint: str = ""

    def to_document(self) -> dict[str, str]:
        """Return the finding as a JSON object."""
        return {key: str(value) for key, value in asdict(self).items()}


def look_up(name: str, kind: str) -> tuple[str, ...] | None:
    """Return the values of a DNS record; empty when there is none, None when no server answers."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, kind, lifetime=DNS_WITHIN_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except (dns.exception.DNSException, OSError):
        return None
    if kind == "TXT":
        return tuple(b"".join(each.strings).decode("utf-8", "replace") for each in answer)
    return tuple(each.to_text().rstrip(".").lower() for each in answer)


@dataclass(frozen=True, slots=True)
class Examined:
    """A stage under examination, the shop that is published to it, and where a check may look things up.

    `emails_expected` is how many emails a campaign sends in a day; None takes the rows of the entries table.
    """

    stage: Stage
    shop: Shop
    emails_expected: int | None = None
    resolve: Resolve = look_up

    @property
    def local(self) -> bool:
        """Tell whether the stage is the demo's."""
        return self.stage.name == LOCAL

    @property
    def sender(self) -> str:
        """Return the address emails come from, as it travels."""
        return parse_mailbox(self.shop.sender).address

    @property
    def sender_domain(self) -> str:
        """Return the part of the sender after its @."""
        return self.sender.rpartition("@")[2]

    def certificate(self, arn: str) -> Mapping[str, Any]:
        """Return what ACM says of a certificate for CloudFront, which takes them from one region alone."""
        client = self.stage.session.client(
            "acm", region_name=CERTIFICATES_LIVE_IN, endpoint_url=self.stage.endpoint_url
        )
        found: Mapping[str, Any] = client.describe_certificate(CertificateArn=arn)["Certificate"]
        return found


Check = Callable[[Examined], Finding]


def good(check: str, what: str) -> Finding:
    """Return the finding that nothing has to be done."""
    return Finding(check, Result.GOOD, what)


def bad(check: str, what: str, hint: str) -> Finding:
    """Return the finding that something is wrong, with the way out of it."""
    return Finding(check, Result.BAD, what, hint)


def unknown(check: str, what: str, hint: str = "") -> Finding:
    """Return the finding that this cannot be found out here."""
    return Finding(check, Result.UNKNOWN, what, hint)


def lines(values: Iterable[object]) -> str:
    """Join the lines of a way out."""
    return "\n".join(str(value) for value in values)
