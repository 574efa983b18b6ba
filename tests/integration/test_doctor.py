"""The doctor finds each missing step between an account and the first email, and says the way out of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

import pytest
from click.testing import CliRunner

from spillway.commands.health import doctor_command
from spillway.deploy.checks import SesIdentity
from spillway.operate.doctor import CHECKS, CHECKS_OF_SES, TABLES, ExaminedStage, Finding, Result, examine
from spillway.operate.findings import Resolve
from tests.integration.test_agreement import SHOP
from tests.support.stubbed_stage import OUTPUTS, Client, FakeStage, account, error, stage

DISTRIBUTION = "d111.cloudfront.net"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"
PARAMETERS = {
    "SenderAddress": "hello@heron.example",
    "SenderIdentity": "heron.example",
    "DomainName": "www.heron.example",
    "CertificateArn": CERTIFICATE,
}
IDENTITY = {
    "VerifiedForSendingStatus": True,
    "DkimAttributes": {"Status": "SUCCESS", "Tokens": ["aa", "bb"]},
    "MailFromAttributes": {"MailFromDomain": "bounce.heron.example", "MailFromDomainStatus": "SUCCESS"},
}
RECORDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("_dmarc.heron.example", "TXT"): ("v=DMARC1; p=none",),
    ("www.heron.example", "CNAME"): (DISTRIBUTION,),
}
BLOCKED = dict.fromkeys("abcd", True)
BACKED_UP = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}


class DoctorsStage(FakeStage):
    """A stage whose stack has every output."""

    def outputs(self) -> dict[str, str]:
        return {name: name.lower() for name in (*OUTPUTS, *TABLES)} | {"DistributionDomain": DISTRIBUTION}


@dataclass(frozen=True, slots=True)
class Visited(ExaminedStage):
    """An examined stage whose certificate is at hand."""

    issued: Any = None

    def certificate(self, arn: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.issued
        return found


def looked_up(records: Mapping[tuple[str, str], tuple[str, ...]]) -> Resolve:
    return lambda name, kind: records.get((name, kind), ())


def visited(
    *,
    parameters: Mapping[str, str] = PARAMETERS,
    identity: Any = IDENTITY,
    records: Mapping[tuple[str, str], tuple[str, ...]] | None = RECORDS,
    certificate: Any = None,
    status: str = "UPDATE_COMPLETE",
    emails: int | None = None,
    **clients: Client,
) -> ExaminedStage:
    """A stage where all is well, but for what is given."""
    given = [{"ParameterKey": key, "ParameterValue": text} for key, text in parameters.items()]
    stack = {"StackStatus": status, "Outputs": [], "Parameters": given}
    fakes: Any = {
        "cloudformation": Client(describe_stacks={"Stacks": [stack]}),
        "sts": Client(
            get_caller_identity={"ResponseMetadata": {"HTTPHeaders": {"date": formatdate(usegmt=True)}}}
        ),
        "s3": Client(get_public_access_block={"PublicAccessBlockConfiguration": BLOCKED}, head_object={}),
        "dynamodb": Client(
            describe_continuous_backups={"ContinuousBackupsDescription": BACKED_UP},
            describe_table={"Table": {"ItemCount": 4_000}},
        ),
        "lambda": Client(get_account_settings={"AccountLimit": {"ConcurrentExecutions": 1_000}}),
        "sesv2": Client(get_email_identity=identity, **account().answers),
        **clients,
    }
    made = stage(**fakes)
    place = DoctorsStage(made.name, made.region, made.session, clients=made.clients)
    issued = certificate or {"Status": "ISSUED", "DomainName": "*.heron.example"}
    resolve: Resolve = (lambda *_: None) if records is None else looked_up(records)
    return Visited(place, SHOP, emails, resolve, issued)


def findings(examined: ExaminedStage) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(examined)}


def test_nothing_is_wrong_with_a_stage_that_is_well() -> None:
    found = findings(visited())
    assert list(found) == list(CHECKS)
    assert {value.result for value in found.values()} == {Result.GOOD}, found
    assert found["quota"].what == (
        "SES lets 50,000 emails leave in 24 h, 14 a second:"
        " 4,000 that the entries table may ask for take 5 min"
    )


def test_every_check_answers_even_where_nothing_can_be_asked() -> None:
    found = findings(ExaminedStage(stage(), SHOP, resolve=lambda *_: None))
    assert list(found) == list(CHECKS)
    assert {value.result for value in found.values()} == {Result.UNKNOWN, Result.GOOD}


NEW_ACCOUNT: Any = {"lambda": Client(get_account_settings={"AccountLimit": {"ConcurrentExecutions": 10}})}
NOT_FOUND = error("NotFoundException")
PENDING: dict[str, Any] = {
    "VerifiedForSendingStatus": False,
    "DkimAttributes": {"Status": "PENDING", "Tokens": ["aa"], "SigningHostedZone": "dkim.eu.amazonses.com"},
    "MailFromAttributes": {"MailFromDomain": "bounce.heron.example", "MailFromDomainStatus": "PENDING"},
}
DKIM_RECORD = "aa._domainkey.heron.example. 3600 IN CNAME aa.dkim.eu.amazonses.com."
OPEN = {"BlockPublicAcls": True, "BlockPublicPolicy": False}


@pytest.mark.parametrize(
    ("check", "examined", "what", "hint"),
    [
        (
            "stack",
            visited(cloudformation=Client(describe_stacks=error("ValidationError", "x does not exist"))),
            "there is no spillway-production in us-east-1",
            "spillway deploy --stage production, or set AWS_REGION to the region it is deployed in",
        ),
        (
            "stack",
            visited(status="UPDATE_ROLLBACK_COMPLETE"),
            "spillway-production is UPDATE_ROLLBACK_COMPLETE: the stage is not what the template says",
            "spillway deploy --stage production",
        ),
        (
            "clock",
            visited(
                sts=Client(get_caller_identity={"ResponseMetadata": {"HTTPHeaders": {"date": formatdate(0)}}})
            ),
            " s off",
            "NTP",
        ),
        (
            "settings",
            visited(parameters=PARAMETERS | {"SenderAddress": "hello@egret.example"}),
            "sender is hello@heron.example, and SenderAddress of stage production is hello@egret.example",
            "set sender in site/site.toml to hello@egret.example",
        ),
        (
            "settings",
            visited(parameters=PARAMETERS | {"DomainName": ""}),
            f"base_url is https://www.heron.example, and stage production serves https://{DISTRIBUTION}",
            f"--base-url https://{DISTRIBUTION}",
        ),
        (
            "domain",
            visited(
                parameters=PARAMETERS | {"CertificateArn": CERTIFICATE.replace("us-east-1", "eu-west-1")}
            ),
            "CloudFront takes certificates of us-east-1",
            "aws acm request-certificate --region us-east-1",
        ),
        (
            "domain",
            visited(certificate={"Status": "PENDING_VALIDATION", "DomainName": "www.heron.example"}),
            "the certificate of www.heron.example is PENDING_VALIDATION",
            "aws acm request-certificate",
        ),
        (
            "domain",
            visited(certificate={"Status": "ISSUED", "DomainName": "heron.example"}),
            "the certificate is for heron.example",
            "--domain-name www.heron.example",
        ),
        (
            "domain",
            visited(records={}),
            "www.heron.example does not lead to the distribution",
            f"www.heron.example. 3600 IN CNAME {DISTRIBUTION}.",
        ),
        (
            "buckets",
            visited(
                s3=Client(get_public_access_block={"PublicAccessBlockConfiguration": OPEN}, head_object={})
            ),
            "PagesBucket could be made public",
            "spillway deploy --stage production",
        ),
        (
            "backups",
            visited(dynamodb=Client(describe_continuous_backups={"ContinuousBackupsDescription": {}})),
            "EntriesTable cannot be restored to a point in time",
            "spillway deploy --stage production",
        ),
        (
            "release",
            visited(
                s3=Client(
                    get_public_access_block={"PublicAccessBlockConfiguration": BLOCKED},
                    head_object=error("404"),
                )
            ),
            "nothing is published",
            "spillway publish --stage production",
        ),
        (
            "concurrency",
            visited(**NEW_ACCOUNT),
            "Lambda runs no more than 10 instances at once in this region, and reserves none of them",
            "--quota-code L-B99A9384 --desired-value 1000 --region us-east-1",
        ),
        (
            "sender",
            visited(identity=NOT_FOUND),
            "SES has no identity for hello@heron.example",
            "--param SenderIdentity=heron.example --param CreateSenderIdentity=yes",
        ),
        ("sender", visited(identity=PENDING), "is not verified yet", "IN CNAME"),
        ("DKIM", visited(identity=PENDING), "heron.example: PENDING", DKIM_RECORD),
        (
            "SPF",
            visited(identity=PENDING),
            "bounce.heron.example: PENDING",
            "bounce.heron.example. 3600 IN MX 10 feedback-smtp.us-east-1.amazonses.com.\n"
            'bounce.heron.example. 3600 IN TXT "v=spf1 include:amazonses.com ~all"',
        ),
        (
            "DMARC",
            visited(records={}),
            "heron.example has no record",
            '_dmarc.heron.example. 3600 IN TXT "v=DMARC1; p=none"',
        ),
        (
            "sandbox",
            visited(sesv2=account(ProductionAccessEnabled=False)),
            "SES is in its sandbox: 200 emails a day",
            "--website-url https://www.heron.example",
        ),
        ("sandbox", visited(sesv2=account(SendingEnabled=False)), "SES has paused", "runbooks/reputation.md"),
        (
            "quota",
            visited(emails=120_000),
            "SES lets 50,000 emails leave in 24 h, 14 a second: the 120,000 expected take 3 days",
            "ask for a higher one in us-east-1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_the_doctor_finds_what_is_wrong_and_says_the_way_out(
    check: str, examined: ExaminedStage, what: str, hint: str
) -> None:
    found = findings(examined)[check]
    assert found.result is Result.BAD
    assert what in found.what
    assert hint in found.hint


def test_a_region_without_a_service_is_found() -> None:
    examined = visited()
    elsewhere = replace(examined, stage=replace(examined.stage, region="ap-east-1"))
    found = findings(elsewhere)["region"]
    assert (found.result, "region ap-east-1" in found.what) == (Result.BAD, True)


def test_a_domain_at_a_zones_top_leads_there_by_its_addresses() -> None:
    alias = {("www.heron.example", "A"): ("192.0.2.1",), (DISTRIBUTION, "A"): ("192.0.2.2", "192.0.2.1")}
    assert findings(visited(records=alias))["domain"].result is Result.GOOD
    other = {("www.heron.example", "A"): ("192.0.2.9",), (DISTRIBUTION, "A"): ("192.0.2.1",)}
    assert findings(visited(records=other))["domain"].result is Result.BAD


def test_a_dns_server_that_does_not_answer_proves_nothing() -> None:
    found = findings(visited(records=None))
    assert {check for check, item in found.items() if item.result is Result.UNKNOWN} == {"domain", "DMARC"}


def test_an_identity_above_the_senders_domain_counts_and_so_does_its_dmarc_record() -> None:
    def only_above(EmailIdentity: str) -> Any:  # noqa: N803 - as boto3 calls it
        if EmailIdentity != "heron.example":
            raise NOT_FOUND
        return IDENTITY

    examined = visited(sesv2=Client(get_email_identity=only_above, **account().answers))
    below = replace(examined, shop=replace(SHOP, sender="hello@news.heron.example"))
    found = findings(below)
    assert found["sender"].what == "heron.example is verified"
    assert found["DKIM"].what == "emails of heron.example are signed"
    assert found["SPF"].what == "bounces return to bounce.heron.example"
    assert found["DMARC"].what == "_dmarc.heron.example has a record"


def test_the_identity_of_an_address_alone_signs_nothing() -> None:
    def address_alone(EmailIdentity: str) -> Any:  # noqa: N803 - as boto3 calls it
        if "@" not in EmailIdentity:
            raise NOT_FOUND
        return IDENTITY

    found = findings(visited(sesv2=Client(get_email_identity=address_alone, **account().answers)))
    assert (found["sender"].result, found["DKIM"].result) == (Result.GOOD, Result.BAD)
    assert "SenderIdentity=heron.example" in found["DKIM"].hint


def test_ses_is_not_asked_about_emails_that_another_mail_server_sends() -> None:
    parameters = {**PARAMETERS, "SmtpSecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:smtp"}
    found = findings(visited(parameters=parameters, sesv2=Client(), records={}))
    assert {check for check, item in found.items() if "SmtpSecretArn sends" in item.what} == CHECKS_OF_SES
    assert {found[check].result for check in CHECKS_OF_SES} == {Result.UNKNOWN}
    assert found["DMARC"].result is Result.BAD


@pytest.mark.parametrize(
    ("per_day", "result", "what"), [(-1.0, Result.GOOD, "take 143 min"), (0.0, Result.BAD, "never leave")]
)
def test_a_quota_may_be_without_limit_or_nothing(per_day: float, result: Result, what: str) -> None:
    quota = {"Max24HourSend": per_day, "MaxSendRate": 14.0, "SentLast24Hours": 0.0}
    found = findings(visited(sesv2=account(SendQuota=quota), emails=120_000))["quota"]
    assert (found.result, what in found.what) == (result, True)


def test_a_right_that_is_missing_is_named() -> None:
    refused = error(
        "AccessDeniedException", "User is not authorized to perform: ses:GetAccount on resource: *"
    )
    found = findings(visited(sesv2=Client(get_email_identity=IDENTITY, get_account=refused)))["sandbox"]
    assert found.result is Result.UNKNOWN
    assert found.what == "these credentials may not perform ses:GetAccount"
    assert "spillway deploy --print-policy" in found.hint


def test_a_demo_has_no_backups_that_a_deployment_would_switch_on() -> None:
    without = visited(dynamodb=Client(describe_continuous_backups={"ContinuousBackupsDescription": {}}))
    demo = replace(without, stage=replace(without.stage, name="local"))
    found = findings(demo)["backups"]
    assert found == Finding("backups", Result.UNKNOWN, "the local cloud has no backups")


def test_records_are_lines_of_a_zone_file() -> None:
    identity = SesIdentity.from_answer("heron.example", IDENTITY)
    assert [str(record) for record in identity.records("eu-west-1")] == [
        "aa._domainkey.heron.example. 3600 IN CNAME aa.dkim.amazonses.com.",
        "bb._domainkey.heron.example. 3600 IN CNAME bb.dkim.amazonses.com.",
        "bounce.heron.example. 3600 IN MX 10 feedback-smtp.eu-west-1.amazonses.com.",
        'bounce.heron.example. 3600 IN TXT "v=spf1 include:amazonses.com ~all"',
        '_dmarc.heron.example. 3600 IN TXT "v=DMARC1; p=none"',
    ]


def test_the_command_speaks_json() -> None:
    assert any(option.name == "as_json" for option in doctor_command.params)
    ended = CliRunner().invoke(doctor_command, ["--help"])
    assert "--json" in ended.output
    document = [item.to_document() for item in examine(visited(records={}))]
    assert json.loads(json.dumps(document))[-3]["result"] == "bad"
