"""What is wrong with a stage, and the way out: each check asks one thing and answers in a sentence."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parseaddr, parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from spillway.deploy.stage import LOCAL, Stage
from spillway.errors import SpillwayError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sesv2 import SESV2Client

CLOCK_SKEW_S_MAX = 60
CERTIFICATES_LIVE_IN = "us-east-1"


class Result(StrEnum):
    """What a check found."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer. `way_out` says what to type where something is wrong."""

    check: str
    result: Result
    what: str
    way_out: str = ""


Check = Callable[[Stage, str], Finding]


def diagnose(stage: Stage, sender: str) -> Iterator[Finding]:
    """All checks of a stage whose letters come from `sender`. A check that cannot ask says so."""
    for name, check in CHECKS.items():
        try:
            yield check(stage, parseaddr(sender)[1])
        except (BotoCoreError, ClientError, SpillwayError, KeyError) as error:
            yield Finding(name, Result.UNKNOWN, f"could not be asked ({type(error).__name__})")


def _stack(stage: Stage, _: str) -> Finding:
    stack = stage.client("cloudformation").describe_stacks(StackName=stage.stack_name)["Stacks"][0]
    status = stack["StackStatus"]
    if status.endswith("_COMPLETE") and "ROLLBACK" not in status:
        return Finding("stack", Result.GOOD, f"{stage.stack_name} is {status}")
    return Finding(
        "stack",
        Result.BAD,
        f"{stage.stack_name} is {status}: the stage is not what the template says",
        f"spillway deploy --stage {stage.name}",
    )


def _clock(stage: Stage, _: str) -> Finding:
    answer = stage.client("sts").get_caller_identity()
    theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    apart_s = abs(time.time() - theirs)
    if apart_s <= CLOCK_SKEW_S_MAX:
        return Finding("clock", Result.GOOD, f"this machine's clock is within {CLOCK_SKEW_S_MAX} s of AWS's")
    return Finding("clock", Result.BAD, f"this machine's clock is {apart_s:.0f} s off", "set it by NTP")


def _identity(stage: Stage, sender: str) -> Finding:
    ses: SESV2Client = stage.client("sesv2")
    domain = sender.rpartition("@")[2]
    for identity in (sender, domain):
        try:
            answer: Any = ses.get_email_identity(EmailIdentity=identity)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotFoundException":
                continue
            raise
        if answer.get("VerifiedForSendingStatus"):
            return Finding("sender", Result.GOOD, f"{identity} is verified")
    return Finding(
        "sender",
        Result.BAD,
        f"neither {sender} nor {domain} is verified: SES takes no letter of ours",
        f"aws sesv2 create-email-identity --email-identity {domain}",
    )


def _dkim(stage: Stage, sender: str) -> Finding:
    if stage.name == LOCAL:
        return Finding("DKIM", Result.UNKNOWN, "the local cloud signs nothing")
    domain = sender.rpartition("@")[2]
    ses: SESV2Client = stage.client("sesv2")
    answer: Any = ses.get_email_identity(EmailIdentity=domain)
    status = answer.get("DkimAttributes", {}).get("Status", "NOT_STARTED")
    if status == "SUCCESS":
        return Finding("DKIM", Result.GOOD, f"letters of {domain} are signed")
    tokens = ", ".join(f"{token}._domainkey.{domain}" for token in answer["DkimAttributes"].get("Tokens", ()))
    return Finding(
        "DKIM", Result.BAD, f"{domain}: {status}", f"put these CNAME records into its zone: {tokens}"
    )


def _sandbox(stage: Stage, _: str) -> Finding:
    if stage.name == LOCAL:
        return Finding("sandbox", Result.UNKNOWN, "the local cloud has no sandbox to leave")
    ses: SESV2Client = stage.client("sesv2")
    account: Any = ses.get_account()
    if not account.get("SendingEnabled", True):
        return Finding(
            "sandbox", Result.BAD, "SES has paused this account", "see docs/runbooks/reputation.md"
        )
    if account.get("ProductionAccessEnabled"):
        return Finding("sandbox", Result.GOOD, "SES sends to anybody")
    return Finding(
        "sandbox",
        Result.BAD,
        "SES is in its sandbox: 200 letters a day, to verified addresses only",
        "aws sesv2 put-account-details --production-access-enabled"
        " --mail-type TRANSACTIONAL --website-url URL",
    )


def _private(stage: Stage, _: str) -> Finding:
    s3: S3Client = stage.client("s3")
    outputs = stage.outputs()
    for output in ("PagesBucket", "ReleaseBucket"):
        blocked = s3.get_public_access_block(Bucket=outputs[output])["PublicAccessBlockConfiguration"]
        if not all(blocked.values()) or len(blocked) < 4:
            return Finding(
                "buckets",
                Result.BAD,
                f"{output} could be made public",
                f"spillway deploy --stage {stage.name}",
            )
    return Finding("buckets", Result.GOOD, "both are private; only the distribution reads the pages")


def _published(stage: Stage, _: str) -> Finding:
    s3: S3Client = stage.client("s3")
    try:
        s3.head_object(Bucket=stage.outputs()["ReleaseBucket"], Key="theme.json")
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        way_out = f"spillway publish --stage {stage.name}"
        return Finding("release", Result.BAD, "nothing is published: the functions have no theme", way_out)
    return Finding("release", Result.GOOD, "a release is published")


def _region(stage: Stage, _: str) -> Finding:
    if stage.region == CERTIFICATES_LIVE_IN:
        return Finding("region", Result.GOOD, stage.region)
    what = f"{stage.region}; a certificate for a domain of yours must still be in {CERTIFICATES_LIVE_IN}"
    return Finding("region", Result.GOOD, what)


def _dmarc(_: Stage, sender: str) -> Finding:
    domain = sender.rpartition("@")[2]
    way_out = f"dig +short TXT _dmarc.{domain}; dig +short TXT {domain}"
    return Finding("SPF, DMARC", Result.UNKNOWN, "not AWS's to tell: look the records up", way_out)


CHECKS: dict[str, Check] = {
    "stack": _stack,
    "region": _region,
    "clock": _clock,
    "buckets": _private,
    "release": _published,
    "sender": _identity,
    "sandbox": _sandbox,
    "DKIM": _dkim,
    "SPF, DMARC": _dmarc,
}
