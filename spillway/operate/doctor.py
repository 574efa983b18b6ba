"""Find out what is wrong with a stage, and the way out: each check asks one thing, answers in a sentence."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from spillway.deploy.checks import DnsRecord, StackSettings
from spillway.deploy.template import require_region
from spillway.errors import POLICY, BadInput, SpillwayError
from spillway.operate import findings
from spillway.operate.findings import (
    CERTIFICATES_LIVE_IN,
    Check,
    ExaminedStage,
    Finding,
    Result,
    bad,
    good,
    unknown,
)
from spillway.stage import Stage, missing_right

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

__all__ = ["CHECKS", "ExaminedStage", "Finding", "Result", "examine"]

CLOCK_SKEW_S_MAX = 60
# Lambda leaves as many to functions that nothing is reserved for, and a new account may have fewer in all.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
CONCURRENCY_UNRESERVED_MIN = 100
TABLES = (
    "EntriesTable",
    "ProductsTable",
    "RestocksTable",
    "SuppressionsTable",
    "SendingTable",
    "DemandTable",
    "EventsTable",
    "MerchantTable",
)


def examine(examined: ExaminedStage) -> Iterator[Finding]:
    """Yield what every check finds. A check that cannot ask says so, and which right it lacks."""
    sends_by_ses = _sends_by_ses(examined.stage)
    for name, check in CHECKS.items():
        if name in CHECKS_OF_SES and not sends_by_ses:
            yield unknown(name, "the mail server of SmtpSecretArn sends, and cannot be asked here")
            continue
        try:
            yield check(examined)
        except ClientError as error:
            action = missing_right(error)
            if action:
                yield unknown(name, f"these credentials may not perform {action}", POLICY)
            else:
                yield unknown(name, f"could not be asked ({error.response['Error'].get('Code', '')})")
        except (BotoCoreError, SpillwayError, KeyError) as error:
            yield unknown(name, f"could not be asked ({type(error).__name__})")


def _sends_by_ses(stage: Stage) -> bool:
    try:
        return not stage.parameters().get("SmtpSecretArn")
    except (BotoCoreError, ClientError, SpillwayError, KeyError):
        return True  # the first check says what is wrong with the stack


def _stack(examined: ExaminedStage) -> Finding:
    stage = examined.stage
    try:
        stack = stage.client("cloudformation").describe_stacks(StackName=stage.stack_name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return bad(
            "stack",
            f"there is no {stage.stack_name} in {stage.region}",
            f"spillway deploy --stage {stage.name}, or set AWS_REGION to the region it is deployed in",
        )
    status = stack["StackStatus"]
    if status.endswith("_COMPLETE") and "ROLLBACK" not in status:
        return good("stack", f"{stage.stack_name} is {status}")
    what = f"{stage.stack_name} is {status}: the stage is not what the template says"
    return bad("stack", what, f"spillway deploy --stage {stage.name}")


def _region(examined: ExaminedStage) -> Finding:
    region = examined.stage.region
    try:
        require_region(region)
    except BadInput as error:
        return bad("region", error.message, error.hint)
    if region == CERTIFICATES_LIVE_IN:
        return good("region", region)
    return good(
        "region", f"{region}; a certificate for a domain of yours must still be in {CERTIFICATES_LIVE_IN}"
    )


def _clock(examined: ExaminedStage) -> Finding:
    answer = examined.stage.client("sts").get_caller_identity()
    theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    apart_s = abs(time.time() - theirs)
    if apart_s <= CLOCK_SKEW_S_MAX:
        return good("clock", f"this machine's clock is within {CLOCK_SKEW_S_MAX} s of AWS's")
    return bad("clock", f"this machine's clock is {apart_s:.0f} s off", "set it by NTP")


def _settings(examined: ExaminedStage) -> Finding:
    if examined.local:
        return good("settings", "the demo serves whatever site.toml says")
    settings = StackSettings.of(examined.stage)
    found = list(settings.disagreements(examined.shop))
    if found:
        ways = "\n".join(each.hint for each in found)
        return bad("settings", "; ".join(each.what for each in found), ways)
    return good("settings", f"site.toml and the stack agree: {examined.shop.base_url}, {examined.sender}")


def _domain(examined: ExaminedStage) -> Finding:
    if examined.local:
        return unknown("domain", "the local cloud has no domain")
    settings, stage = StackSettings.of(examined.stage), examined.stage
    if not settings.domain:
        return good("domain", f"none of your own: {settings.distribution} serves the shop")
    arn = stage.parameters().get("CertificateArn", "")
    wrong = _certificate_problem(examined, arn, settings.domain)
    if wrong:
        hint = f"aws acm request-certificate --region {CERTIFICATES_LIVE_IN} --validation-method DNS"
        return bad("domain", wrong, f"{hint} --domain-name {settings.domain}")
    record = DnsRecord(settings.domain, "CNAME", f"{settings.distribution}.")
    leads = _leads_to(examined, settings.domain, settings.distribution)
    if leads is None:
        return unknown("domain", "no DNS server answered", f"dig +short {settings.domain}")
    if not leads:
        what = f"{settings.domain} does not lead to the distribution"
        return bad(
            "domain", what, f"{record}\nat a zone's top, which takes no CNAME: an ALIAS or ANAME to it"
        )
    return good("domain", f"{settings.domain} leads to the distribution, and its certificate is issued")


def _certificate_problem(examined: ExaminedStage, arn: str, domain: str) -> str | None:
    if arn.split(":")[3:4] != [CERTIFICATES_LIVE_IN]:
        return (
            f"CertificateArn {arn or 'is not set'}: CloudFront takes certificates of {CERTIFICATES_LIVE_IN}"
        )
    certificate = examined.certificate(arn)
    if certificate["Status"] != "ISSUED":
        return f"the certificate of {domain} is {certificate['Status']}"
    names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", ())}
    wildcard = f"*.{domain.partition('.')[2]}"
    return None if names & {domain, wildcard} else f"the certificate is for {', '.join(sorted(names))}"


def _leads_to(examined: ExaminedStage, domain: str, distribution: str) -> bool | None:
    named = examined.resolve(domain, "CNAME")
    if named is None or distribution.lower() in named:
        return None if named is None else True
    # An alias answers with the distribution's own addresses.
    ours, theirs = examined.resolve(domain, "A"), examined.resolve(distribution, "A")
    return None if ours is None or theirs is None else bool({*ours} & {*theirs})


def _private(examined: ExaminedStage) -> Finding:
    stage = examined.stage
    s3: S3Client = stage.client("s3")
    outputs = stage.outputs()
    for output in ("PagesBucket", "ReleaseBucket"):
        blocked = s3.get_public_access_block(Bucket=outputs[output])["PublicAccessBlockConfiguration"]
        if not all(blocked.values()) or len(blocked) < 4:
            return bad("buckets", f"{output} could be made public", f"spillway deploy --stage {stage.name}")
    return good("buckets", "both are private; only the distribution reads the pages")


def _backups(examined: ExaminedStage) -> Finding:
    if examined.local:
        return unknown("backups", "the local cloud has no backups")
    dynamodb: DynamoDBClient = examined.stage.client("dynamodb")
    outputs = examined.stage.outputs()
    for output in TABLES:
        if output not in outputs:
            what = f"{output} is not deployed yet"
            return bad("backups", what, f"spillway deploy --stage {examined.stage.name}")
        answer = dynamodb.describe_continuous_backups(TableName=outputs[output])[
            "ContinuousBackupsDescription"
        ]
        recovery = answer.get("PointInTimeRecoveryDescription", {})
        if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
            what = f"{output} cannot be restored to a point in time"
            return bad("backups", what, f"spillway deploy --stage {examined.stage.name}")
    return good("backups", "every table can be restored to any second of the last 35 days")


def _published(examined: ExaminedStage) -> Finding:
    stage = examined.stage
    s3: S3Client = stage.client("s3")
    try:
        s3.head_object(Bucket=stage.outputs()["ReleaseBucket"], Key="theme.json")
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        hint = f"spillway publish --stage {stage.name}"
        return bad("release", "nothing is published: the functions have no theme", hint)
    return good("release", "a release is published")


def _concurrency(examined: ExaminedStage) -> Finding:
    if examined.local:
        return unknown("concurrency", "the local cloud has no quotas")
    limit = examined.stage.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if limit > CONCURRENCY_UNRESERVED_MIN:
        return good("concurrency", f"Lambda runs {limit:,} instances at once in this region")
    return bad(
        "concurrency",
        f"Lambda runs no more than {limit:,} instances at once in this region, and reserves none of them",
        "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384"
        f" --desired-value 1000 --region {examined.stage.region}",
    )


CHECKS: dict[str, Check] = {
    "stack": _stack,
    "region": _region,
    "clock": _clock,
    "settings": _settings,
    "domain": _domain,
    "buckets": _private,
    "backups": _backups,
    "release": _published,
    "concurrency": _concurrency,
    "sender": findings.sender,
    "DKIM": findings.dkim,
    "SPF": findings.mail_from,
    "DMARC": findings.dmarc,
    "sandbox": findings.sandbox,
    "quota": findings.quota,
}
CHECKS_OF_SES = frozenset({"sender", "DKIM", "SPF", "sandbox", "quota"})
