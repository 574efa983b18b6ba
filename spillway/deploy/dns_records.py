"""The DNS records that a sender's domain needs: DKIM, MAIL FROM with SPF, and DMARC, as lines of a zone file.

https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-easy-managing.html
https://docs.aws.amazon.com/ses/latest/dg/mail-from.html
https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dmarc.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spillway.stage import Stage

TTL_S = 3600
DKIM_ZONE = "dkim.amazonses.com"
SPF = "v=spf1 include:amazonses.com ~all"
# Reports nothing and rejects nothing: the policy to begin with.
DMARC = "v=DMARC1; p=none"


@dataclass(frozen=True, slots=True)
class Record:
    """One DNS record. Names have no dot at their end, except within `value`."""

    name: str
    kind: str
    value: str

    def __str__(self) -> str:
        """Return the record as a line of a zone file."""
        return f"{self.name}. {TTL_S} IN {self.kind} {self.value}"


@dataclass(frozen=True, slots=True)
class SesIdentity:
    """An identity as SES describes it. Statuses are SES's words; an address as an identity has no tokens."""

    name: str
    verified: bool
    dkim_status: str = "NOT_STARTED"
    tokens: tuple[str, ...] = ()
    dkim_zone: str = DKIM_ZONE
    mail_from: str = ""
    mail_from_status: str = ""

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
            mail_from.get("MailFromDomain") or "",
            mail_from.get("MailFromDomainStatus") or "",
        )

    @classmethod
    def asked(cls, stage: Stage, name: str) -> "SesIdentity":
        """Ask SES about the identity `name`."""
        return cls.from_answer(name, stage.client("sesv2").get_email_identity(EmailIdentity=name))

    @property
    def domain(self) -> str:
        """Return the domain of the identity, or of its address."""
        return self.name.rpartition("@")[2]

    def dkim_records(self) -> list[Record]:
        """Return the three records with which receivers find the keys of DKIM."""
        return [
            Record(f"{token}._domainkey.{self.domain}", "CNAME", f"{token}.{self.dkim_zone}.")
            for token in self.tokens
        ]

    def mail_from_records(self, region: str) -> list[Record]:
        """Return the records of the MAIL FROM domain; none without one of the shop's own."""
        if not self.mail_from:
            return []
        return [
            Record(self.mail_from, "MX", f"10 feedback-smtp.{region}.amazonses.com."),
            Record(self.mail_from, "TXT", f'"{SPF}"'),
        ]

    def dmarc_record(self) -> Record:
        """Return the least record that mailbox providers ask of senders of many emails."""
        return Record(f"_dmarc.{self.domain}", "TXT", f'"{DMARC}"')

    def records(self, region: str) -> list[Record]:
        """Return all of them."""
        return [*self.dkim_records(), *self.mail_from_records(region), self.dmarc_record()]
