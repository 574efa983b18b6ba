"""The findings of a check of a stage, and the checks of its sender: identity, DNS records, sandbox, quota."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.mail.headers import parse_mailbox
from chalicelib.storefront.theme import Shop
from spillway.deploy.checks import SesIdentity
from spillway.stage import LOCAL, Stage

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

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
class ExaminedStage:
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


Check = Callable[[ExaminedStage], Finding]


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


LOCAL_SENDS_NOTHING = "the local cloud sends nothing, and looks no record up"


def domains_of(examined: ExaminedStage) -> list[str]:
    """Return the sender's domain and those above it, but for the top level."""
    labels = examined.sender_domain.split(".")
    return [".".join(labels[first:]) for first in range(max(1, len(labels) - 1))]


def identity_of(examined: ExaminedStage, names: Iterable[str]) -> SesIdentity | None:
    """Return the first of these identities that SES has, or None."""
    for name in names:
        try:
            return SesIdentity.read(examined.stage, name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
    return None


def sender(examined: ExaminedStage) -> Finding:
    """Ask SES for the identity of the sender, and whether it may send."""
    found = identity_of(examined, [examined.sender, *domains_of(examined)])
    if found is None:
        what = f"SES has no identity for {examined.sender}: it takes no email of ours"
        return bad("sender", what, _create_identity(examined))
    if found.verified:
        return good("sender", f"{found.name} is verified")
    hint = lines(found.dkim_records()) or f"follow the link in the email that SES sent to {found.name}"
    return bad("sender", f"{found.name} is not verified yet: SES takes no email of ours", hint)


def _create_identity(examined: ExaminedStage) -> str:
    return (
        f"spillway deploy --stage {examined.stage.name} --param SenderIdentity={examined.sender_domain}"
        " --param CreateSenderIdentity=yes"
    )


def dkim(examined: ExaminedStage) -> Finding:
    """Ask SES whether it found the DKIM records of the sender's domain."""
    if examined.local:
        return unknown("DKIM", "the local cloud signs nothing")
    found = identity_of(examined, domains_of(examined))
    if found is None:
        what = f"SES has no identity for {examined.sender_domain}: emails of an address alone are not signed"
        return bad("DKIM", what, _create_identity(examined))
    if found.dkim_status == "SUCCESS":
        return good("DKIM", f"emails of {found.domain} are signed")
    what = f"{found.domain}: {found.dkim_status}. These records belong into its zone"
    return bad("DKIM", what, lines(found.dkim_records()))


def mail_from(examined: ExaminedStage) -> Finding:
    """Look whether SPF passes for the shop's own domain, by a MAIL FROM domain."""
    if examined.local:
        return unknown("SPF", LOCAL_SENDS_NOTHING)
    found = identity_of(examined, domains_of(examined))
    if found is None or not found.mail_from:
        # SES's own domain passes SPF; DMARC passes by DKIM alone.
        return good("SPF", "bounces return to SES's own domain (MailFromDomain sets one of yours)")
    if found.mail_from_status == "SUCCESS":
        return good("SPF", f"bounces return to {found.mail_from}")
    what = f"{found.mail_from}: {found.mail_from_status or 'PENDING'}. These records belong into its zone"
    return bad("SPF", what, lines(found.mail_from_records(examined.stage.region)))


def dmarc(examined: ExaminedStage) -> Finding:
    """Look the DMARC record up, of the sender's domain or one above it."""
    if examined.local:
        return unknown("DMARC", LOCAL_SENDS_NOTHING)
    for domain in domains_of(examined):
        name = f"_dmarc.{domain}"
        texts = examined.resolve(name, "TXT")
        if texts is None:
            return unknown("DMARC", "no DNS server answered", f"dig +short TXT {name}")
        if any(text.startswith("v=DMARC1") for text in texts):
            return good("DMARC", f"{name} has a record")
    record = SesIdentity(examined.sender_domain, verified=False).dmarc_record()
    return bad("DMARC", f"{examined.sender_domain} has no record: Gmail and Yahoo ask for one", str(record))


def sandbox(examined: ExaminedStage) -> Finding:
    """Ask SES whether the account may send to anybody."""
    if examined.local:
        return unknown("sandbox", "the local cloud has no sandbox to leave")
    account = _account(examined)
    if not account.get("SendingEnabled", True):
        return bad("sandbox", "SES has paused this account", "see docs/runbooks/reputation.md")
    if account.get("ProductionAccessEnabled"):
        return good("sandbox", "SES sends to anybody")
    return bad(
        "sandbox",
        "SES is in its sandbox: 200 emails a day, to verified addresses only",
        "aws sesv2 put-account-details --production-access-enabled --mail-type TRANSACTIONAL"
        f" --website-url {examined.shop.base_url} (docs/deploying.md says what AWS asks)",
    )


def quota(examined: ExaminedStage) -> Finding:
    """Compare what SES lets leave in a day with what a campaign is expected to send."""
    if examined.local:
        return unknown("quota", "the local cloud has no quotas")
    allowed = _account(examined)["SendQuota"]
    per_day, per_s = allowed["Max24HourSend"], allowed["MaxSendRate"]
    expected = examined.emails_expected
    whose = "expected"
    if expected is None:
        expected, whose = _rows(examined), "that the entries table may ask for"
    rate = f"SES lets {per_day:,.0f} emails leave in 24 h, {per_s:g} a second"
    # -1 stands for no limit.
    if per_day < 0 or expected <= per_day:
        minutes = expected / per_s / 60 if per_s > 0 else 0
        return good("quota", f"{rate}: {expected:,} {whose} take {minutes:,.0f} min")
    takes = f"take {-(-expected // int(per_day))} days" if per_day else "never leave"
    return bad(
        "quota",
        f"{rate}: the {expected:,} {whose} {takes}",
        f"ask for a higher one in {examined.stage.region}:"
        " https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-request-increase.html",
    )


def _rows(examined: ExaminedStage) -> int:
    table = examined.stage.outputs()["EntriesTable"]
    answer = examined.stage.client("dynamodb").describe_table(TableName=table)
    return int(answer["Table"].get("ItemCount", 0))


def _account(examined: ExaminedStage) -> Any:
    ses: SESV2Client = examined.stage.client("sesv2")
    return ses.get_account()
