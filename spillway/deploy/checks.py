"""Compare a stack with its surroundings: the shop's base_url and sender, and the sender's DNS records.

Links in pages and emails start with `base_url`: with another host than the stack serves they lead nowhere.
The functions may send from `SenderAddress` alone, so with another sender no email leaves. The DNS records are
DKIM, MAIL FROM with SPF, and DMARC, as lines of a zone file:

https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-easy-managing.html
https://docs.aws.amazon.com/ses/latest/dg/mail-from.html
https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dmarc.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chalicelib.mail.headers import parse_mailbox
from chalicelib.storefront.theme import Shop
from spillway.errors import BadInput
from spillway.stage import LOCAL, Stage


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A setting of the shop that its stack contradicts: both values, and which to change."""

    setting: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class StackSettings:
    """The host and the sender of a deployed stack. `domain` is empty without one of the shop's own."""

    stage: str
    domain: str
    distribution: str
    sender: str
    identity: str
    uses_ses: bool = True

    @classmethod
    def of(cls, stage: Stage) -> "StackSettings":
        """Read the settings of a stage.

        Raises:
            BadInput: nothing is deployed as this stage.
        """
        parameters = stage.parameters()
        return cls(
            stage.name,
            parameters.get("DomainName", ""),
            stage.outputs().get("DistributionDomain", ""),
            parameters.get("SenderAddress", ""),
            parameters.get("SenderIdentity", ""),
            uses_ses=not parameters.get("SmtpSecretArn"),
        )

    @property
    def host(self) -> str:
        """Return the host name under which shoppers reach the shop."""
        return self.domain or self.distribution

    def disagreements(self, shop: Shop) -> Iterator[Disagreement]:
        """Yield every setting of `shop` that this stack contradicts."""
        if urlsplit(shop.base_url).hostname != self.host.lower() or not _is_plain_https(shop.base_url):
            yield self._other_host(shop.base_url)
        if not self.uses_ses:  # another mail server has rules of its own
            return
        sender = parse_mailbox(shop.sender).address
        if sender != self.sender:
            yield self._other_sender(sender)
        elif not covers(self.identity, sender):
            yield Disagreement(
                "SenderIdentity",
                f"SenderAddress {sender} does not belong to SenderIdentity {self.identity}",
                f"spillway deploy --stage {self.stage} --param SenderIdentity={_domain(sender)}",
            )

    def _other_host(self, base_url: str) -> Disagreement:
        host = urlsplit(base_url).hostname
        deploy = (
            f"spillway deploy --stage {self.stage} --param DomainName={host} --param CertificateArn=ARN"
            " (docs/deploying.md)"
        )
        if self.domain:
            ways = f"set base_url in site/site.toml to https://{self.domain}"
            ways += "" if host == self.domain.lower() else f", or move the stack: {deploy}"
        else:
            ways = (
                f"until the domain is set up: spillway publish --stage {self.stage}"
                f" --base-url https://{self.host}; with the domain: {deploy}"
            )
        what = f"base_url is {base_url}, and stage {self.stage} serves https://{self.host}"
        return Disagreement("base_url", f"{what}: links would lead elsewhere", ways)

    def _other_sender(self, sender: str) -> Disagreement:
        parameters = f"--param SenderAddress={sender}"
        if not covers(self.identity, sender):
            parameters += f" --param SenderIdentity={_domain(sender)}"
        return Disagreement(
            "sender",
            f"sender is {sender}, and SenderAddress of stage {self.stage} is {self.sender or 'not set'}:"
            " SES would refuse each email",
            f"set sender in site/site.toml to {self.sender}, or:"
            f" spillway deploy --stage {self.stage} {parameters}",
        )


def covers(identity: str, address: str) -> bool:
    """Tell whether an SES identity lets `address` send: the address itself, its domain, or one above that.

    https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
    """
    domain, identity = _domain(address).lower(), identity.lower()
    return identity in {address.lower(), domain} or domain.endswith(f".{identity}")


def require_agreement(stage: Stage, shop: Shop) -> None:
    """Verify that the stage's stack contradicts no setting of `shop`. The local stage has no such settings.

    Raises:
        BadInput: it does, or nothing is deployed as this stage.
    """
    if stage.name == LOCAL:
        return
    found = list(StackSettings.of(stage).disagreements(shop))
    if found:
        raise BadInput(
            "\n  ".join(disagreement.what for disagreement in found),
            hint="\n  ".join([*(disagreement.hint for disagreement in found), "nothing was published"]),
        )


def _is_plain_https(base_url: str) -> bool:
    address = urlsplit(base_url)
    return address.scheme == "https" and address.port in {None, 443}


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


TTL_S = 3600
DKIM_ZONE = "dkim.amazonses.com"
SPF = "v=spf1 include:amazonses.com ~all"
# Reports nothing and rejects nothing: the policy to begin with.
DMARC = "v=DMARC1; p=none"


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One DNS record. Names have no dot at their end, except within `value`."""

    name: str
    kind: str
    value: str

    def __str__(self) -> str:
        """Return the record as a line of a zone file."""
        return f"{self.name}. {TTL_S} IN {self.kind} {self.value}"


@dataclass(frozen=True, slots=True)
class SesIdentity:
    """An identity as SES describes it. Statuses are SES's words; an address as an identity has no tokens.

    `mail_from` is its own domain for bounces; None without one.
    """

    name: str
    verified: bool
    dkim_status: str = "NOT_STARTED"
    tokens: tuple[str, ...] = ()
    dkim_zone: str = DKIM_ZONE
    mail_from: str | None = None
    mail_from_status: str | None = None

    @classmethod
    def from_answer(cls, name: str, answer: Mapping[str, Any]) -> "SesIdentity":
        """Read GetEmailIdentity's answer about the identity `name`."""
        dkim, mail_from = answer.get("DkimAttributes") or {}, answer.get("MailFromAttributes") or {}
        return cls(
            name,
            bool(answer.get("VerifiedForSendingStatus")),
            dkim.get("Status") or "NOT_STARTED",
            tuple(dkim.get("Tokens") or ()),
            dkim.get("SigningHostedZone") or DKIM_ZONE,
            mail_from.get("MailFromDomain") or None,
            mail_from.get("MailFromDomainStatus"),
        )

    @classmethod
    def read(cls, stage: Stage, name: str) -> "SesIdentity":
        """Ask SES about the identity `name`."""
        return cls.from_answer(name, stage.client("sesv2").get_email_identity(EmailIdentity=name))

    @property
    def domain(self) -> str:
        """Return the domain of the identity, or of its address."""
        return self.name.rpartition("@")[2]

    def dkim_records(self) -> list[DnsRecord]:
        """Return the three records with which receivers find the keys of DKIM."""
        return [
            DnsRecord(f"{token}._domainkey.{self.domain}", "CNAME", f"{token}.{self.dkim_zone}.")
            for token in self.tokens
        ]

    def mail_from_records(self, region: str) -> list[DnsRecord]:
        """Return the records of the MAIL FROM domain; none without one of the shop's own."""
        if not self.mail_from:
            return []
        return [
            DnsRecord(self.mail_from, "MX", f"10 feedback-smtp.{region}.amazonses.com."),
            DnsRecord(self.mail_from, "TXT", f'"{SPF}"'),
        ]

    def dmarc_record(self) -> DnsRecord:
        """Return the least record that mailbox providers ask of senders of many emails."""
        return DnsRecord(f"_dmarc.{self.domain}", "TXT", f'"{DMARC}"')

    def records(self, region: str) -> list[DnsRecord]:
        """Return all of them."""
        return [*self.dkim_records(), *self.mail_from_records(region), self.dmarc_record()]
