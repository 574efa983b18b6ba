"""Checks of how a stage sends: the sender's identity and its DNS records, the sandbox, the quota."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spillway.deploy.dns_records import SesIdentity
from spillway.operate.finding import Examined, Finding, bad, good, lines, unknown

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

LOCAL_SENDS_NOTHING = "the local cloud sends nothing, and looks no record up"


def identity_of(examined: Examined) -> SesIdentity | None:
    """Return the identity that covers the sender: the address itself, its domain, or one above; or None."""
    labels = examined.sender_domain.split(".")
    names = [examined.sender, *(".".join(labels[first:]) for first in range(max(1, len(labels) - 1)))]
    for name in names:
        try:
            return SesIdentity.asked(examined.stage, name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
    return None


def sender(examined: Examined) -> Finding:
    """Ask SES for the identity of the sender, and whether it may send."""
    found, stage = identity_of(examined), examined.stage
    if found is None:
        return bad(
            "sender",
            f"SES has no identity for {examined.sender}: it takes no email of ours",
            f"spillway deploy --stage {stage.name} --param SenderIdentity={examined.sender_domain}"
            " --param CreateSenderIdentity=yes",
        )
    if found.verified:
        return good("sender", f"{found.name} is verified")
    hint = lines(found.dkim_records()) or f"follow the link in the email that SES sent to {found.name}"
    return bad("sender", f"{found.name} is not verified yet: SES takes no email of ours", hint)


def dkim(examined: Examined) -> Finding:
    """Ask SES whether it found the DKIM records of the sender's domain."""
    if examined.local:
        return unknown("DKIM", "the local cloud signs nothing")
    found = SesIdentity.asked(examined.stage, examined.sender_domain)
    if found.dkim_status == "SUCCESS":
        return good("DKIM", f"emails of {found.domain} are signed")
    what = f"{found.domain}: {found.dkim_status}. These records belong into its zone"
    return bad("DKIM", what, lines(found.dkim_records()))


def mail_from(examined: Examined) -> Finding:
    """Look whether SPF passes for the shop's own domain, by a MAIL FROM domain."""
    if examined.local:
        return unknown("SPF", LOCAL_SENDS_NOTHING)
    found = SesIdentity.asked(examined.stage, examined.sender_domain)
    if not found.mail_from:
        # SES's own domain passes SPF; DMARC passes by DKIM alone.
        return good("SPF", "bounces return to SES's own domain (MailFromDomain sets one of yours)")
    if found.mail_from_status == "SUCCESS":
        return good("SPF", f"bounces return to {found.mail_from}")
    what = f"{found.mail_from}: {found.mail_from_status or 'PENDING'}. These records belong into its zone"
    return bad("SPF", what, lines(found.mail_from_records(examined.stage.region)))


def dmarc(examined: Examined) -> Finding:
    """Look the DMARC record up, of the sender's domain or one above it."""
    if examined.local:
        return unknown("DMARC", LOCAL_SENDS_NOTHING)
    labels = examined.sender_domain.split(".")
    for first in range(max(1, len(labels) - 1)):
        name = f"_dmarc.{'.'.join(labels[first:])}"
        texts = examined.resolve(name, "TXT")
        if texts is None:
            return unknown("DMARC", "no DNS server answered", f"dig +short TXT {name}")
        if any(text.startswith("v=DMARC1") for text in texts):
            return good("DMARC", f"{name} has a record")
    record = SesIdentity(examined.sender_domain, verified=False).dmarc_record()
    return bad("DMARC", f"{examined.sender_domain} has no record: Gmail and Yahoo ask for one", str(record))


def sandbox(examined: Examined) -> Finding:
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


def quota(examined: Examined) -> Finding:
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
    return bad(
        "quota",
        f"{rate}: the {expected:,} {whose} take {-(-expected // int(per_day))} days",
        f"ask for a higher one in {examined.stage.region}:"
        " https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-request-increase.html",
    )


def _rows(examined: Examined) -> int:
    table = examined.stage.outputs()["EntriesTable"]
    answer = examined.stage.client("dynamodb").describe_table(TableName=table)
    return int(answer["Table"].get("ItemCount", 0))


def _account(examined: Examined) -> Any:
    ses: SESV2Client = examined.stage.client("sesv2")
    return ses.get_account()
