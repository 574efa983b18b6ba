"""Rules that AWS documents and its models do not have: one row for each, with its page.

docs/aws-rules.md shows this table; a test holds the two together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spillway.local_cloud.strict import checks, expressions, functions, templates
from spillway.local_cloud.strict.checks import AccountState
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall

LAYER, EMULATOR, MODEL = "strict layer", "emulator", "service model"
TEMPLATE_OPERATIONS = (
    "CreateChangeSet",
    "CreateStack",
    "EstimateTemplateCost",
    "GetTemplateSummary",
    "UpdateStack",
    "ValidateTemplate",
)


@dataclass(frozen=True, slots=True)
class AwsRule:
    """One documented rule. Where `enforced` is not the strict layer, a test shows that it is."""

    service: str
    says: str
    source: str
    enforced: str = LAYER
    operations: tuple[str, ...] = ()
    check: checks.Check | None = None


def first_refusal(call: AwsCall, account: AccountState) -> Refusal | None:
    """Return what the first rule that a call breaks answers, or None."""
    for check in _CHECKS.get((call.service, call.operation), ()):
        refusal = check(call, account)
        if refusal is not None:
            return refusal
    return None


# ---------------------------------------------------------------------------------------------------
# The table

_DOCS = "https://docs.aws.amazon.com"
_IAM = f"{_DOCS}/IAM/latest/UserGuide"
_SES_QUOTAS = f"{_DOCS}/ses/latest/dg/quotas.html"
_LAMBDA_QUOTAS = f"{_DOCS}/lambda/latest/dg/gettingstarted-limits.html"
_DYNAMODB = f"{_DOCS}/amazondynamodb/latest/developerguide"
_SQS_QUOTAS = f"{_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"
_CLOUDFRONT = f"{_DOCS}/AmazonCloudFront/latest/DeveloperGuide"
_S3_CONDITIONS = f"{_DOCS}/AmazonS3/latest/userguide/conditional-writes.html"
_API_QUOTAS = f"{_DOCS}/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"
_SENDING = ("SendEmail", "SendBulkEmail")
_INVALIDATION = ("CreateInvalidation",)
_EXPRESSIONS = (
    *("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactWriteItems"),
    "UpdateItem",
)

RULES: tuple[AwsRule, ...] = (
    AwsRule(
        "every service",
        "required members, types, patterns, enumerations, lengths, ranges",
        "https://github.com/boto/botocore/tree/develop/botocore/data",
        MODEL,
    ),
    AwsRule(
        "every service",
        "a signature that is right and of now, for every caller, with IAM and without",
        f"{_IAM}/reference_sigv.html",
    ),
    AwsRule(
        "every service",
        "the policies of the caller's role allow it",
        f"{_IAM}/reference_policies_evaluation-logic.html",
        EMULATOR,
    ),
    AwsRule(
        "sesv2",
        "headers that SES sets itself, Reply-To among them, are no custom headers; none twice; "
        "15 at most; name and value 996 characters together",
        f"{_DOCS}/ses/latest/dg/header-fields.html",
        LAYER,
        _SENDING,
        checks.custom_headers,
    ),
    AwsRule(
        "sesv2",
        "addresses are ASCII, names in them encoded (RFC 2047); each has a domain, and at most 64 characters "
        "before it",
        f"{_DOCS}/ses/latest/APIReference-V2/API_SendEmail.html",
        LAYER,
        _SENDING,
        checks.encoded_addresses,
    ),
    AwsRule(
        "sesv2",
        "50 entries in a bulk call, 50 recipients of an email",
        _SES_QUOTAS,
        LAYER,
        _SENDING,
        checks.recipients,
    ),
    AwsRule(
        "sesv2",
        "an email is Simple, Raw or a Template, with a body and a recipient",
        f"{_DOCS}/ses/latest/APIReference-V2/API_EmailContent.html",
        LAYER,
        ("SendEmail",),
        checks.one_content,
    ),
    AwsRule(
        "sesv2",
        "50 tags; names and values of tags are 1 to 256 ASCII letters, digits, `_` and `-`",
        f"{_DOCS}/ses/latest/APIReference-V2/API_MessageTag.html",
    ),
    AwsRule(
        "sesv2", "GetAccount once a second", _SES_QUOTAS, LAYER, ("GetAccount",), checks.get_account_rate
    ),
    AwsRule(
        "cloudfront",
        "a caller reference used before with other paths: InvalidationBatchAlreadyExists",
        f"{_DOCS}/cloudfront/latest/APIReference/API_InvalidationBatch.html",
        EMULATOR,
        _INVALIDATION,
    ),
    AwsRule(
        "cloudfront",
        "as many paths as Quantity says",
        f"{_DOCS}/cloudfront/latest/APIReference/API_Paths.html",
        LAYER,
        _INVALIDATION,
        checks.path_quantity,
    ),
    AwsRule(
        "cloudfront",
        "paths begin with a slash and are encoded",
        f"{_CLOUDFRONT}/invalidation-specifying-objects.html",
        LAYER,
        _INVALIDATION,
        checks.path_syntax,
    ),
    AwsRule(
        "cloudfront",
        "3,000 files and 15 wildcards in progress",
        f"{_CLOUDFRONT}/InvalidationLimits.html",
        LAYER,
        _INVALIDATION,
        checks.invalidations_in_progress,
    ),
    AwsRule(
        "cloudfront",
        "pages are kept for as long as s-maxage says, errors for ErrorCachingMinTTL, "
        "until an invalidation names their path",
        f"{_CLOUDFRONT}/Expiration.html",
    ),
    AwsRule(
        "cloudfront",
        "the root is kept as the default root object: `/` alone does not invalidate it",
        f"{_CLOUDFRONT}/DefaultRootObject.html",
    ),
    AwsRule(
        "cloudformation",
        "no YAML alias or anchor in a template, 51,200 bytes inline, 1 MB from S3; "
        "GetTemplateSummary looks first",
        f"{_DOCS}/AWSCloudFormation/latest/UserGuide/template-formats.html",
        LAYER,
        TEMPLATE_OPERATIONS,
        templates.template_text,
    ),
    AwsRule(
        "cloudformation",
        "resources with letters and digits for a name, a type, and a policy that exists; in a template "
        "without a macro, no reference leads to nothing, or in a circle",
        f"{_DOCS}/AWSCloudFormation/latest/UserGuide/template-anatomy.html",
    ),
    AwsRule(
        "lambda",
        "a function is stopped after 16 invocations in one chain through SQS, SNS, S3 or Lambda, "
        "unless RecursiveLoop is Allow",
        f"{_DOCS}/lambda/latest/dg/invocation-recursion.html",
    ),
    AwsRule(
        "lambda",
        "reserved concurrency leaves 100 of the account's unreserved: an account with 10 reserves none",
        f"{_DOCS}/lambda/latest/api/API_PutFunctionConcurrency.html",
        LAYER,
        ("PutFunctionConcurrency",),
        functions.reserved_concurrency,
    ),
    AwsRule(
        "lambda",
        "MaximumConcurrency of an event source is 2 to 1,000",
        f"{_DOCS}/lambda/latest/api/API_ScalingConfig.html",
        MODEL,
    ),
    AwsRule(
        "lambda",
        "payloads of 6 MB, of 1 MB where nobody waits for the answer",
        _LAMBDA_QUOTAS,
        LAYER,
        ("Invoke",),
        functions.payload,
    ),
    AwsRule(
        "lambda",
        "an environment of 4 kB, as JSON, without Lambda's own names, also in a stack; a function's name of "
        "64 characters, 5 layers",
        _LAMBDA_QUOTAS,
        LAYER,
        ("CreateFunction", "UpdateFunctionConfiguration"),
        functions.environment,
    ),
    AwsRule(
        "lambda",
        "a queue's mapping has no member of a stream's, and a window for batches over 10; a stream's begins "
        "somewhere; 5 filters, each a pattern; also in a stack",
        f"{_DOCS}/lambda/latest/api/API_CreateEventSourceMapping.html",
        LAYER,
        ("CreateEventSourceMapping",),
        functions.event_source,
    ),
    AwsRule(
        "iam",
        "a role's policy of 10,240 characters, written by the grammar; also in a stack",
        f"{_IAM}/reference_policies_grammar.html",
        LAYER,
        ("PutRolePolicy",),
        functions.role_policy,
    ),
    AwsRule(
        "events",
        "a schedule is a cron of six fields, or a rate with its unit in the right number",
        f"{_DOCS}/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html",
    ),
    AwsRule(
        "dynamodb",
        "in an expression, each section and path once, 300 operators, 100 operands of IN, functions where "
        "they belong, no operand beside itself; key conditions by AND alone, filters without keys, and from "
        "an index what it projects",
        f"{_DYNAMODB}/Expressions.html",
        LAYER,
        _EXPRESSIONS,
        expressions.expressions,
    ),
    AwsRule(
        "dynamodb",
        "placeholders of 255 characters, with `#` or `:` before letters",
        f"{_DYNAMODB}/Constraints.html",
    ),
    AwsRule(
        "dynamodb", "reserved words only behind a placeholder", f"{_DYNAMODB}/ReservedWords.html", EMULATOR
    ),
    AwsRule(
        "dynamodb",
        "items of 400 KB, transactions of 100 items and 4 MB, each item once",
        f"{_DYNAMODB}/Constraints.html",
        EMULATOR,
    ),
    AwsRule(
        "dynamodb",
        "25 statements in a batch, 25 writes, 100 items in a transaction",
        f"{_DYNAMODB}/Constraints.html",
        MODEL,
    ),
    AwsRule(
        "dynamodb",
        "expressions of 4 KB",
        f"{_DYNAMODB}/Constraints.html",
        LAYER,
        ("DeleteItem", "PutItem", "Query", "Scan", "TransactWriteItems", "UpdateItem"),
        checks.expression_size,
    ),
    AwsRule("sqs", "messages and batches of 1 MiB, 10 messages in a batch", _SQS_QUOTAS, EMULATOR),
    AwsRule(
        "sqs",
        "a delay of 900 s at most",
        _SQS_QUOTAS,
        LAYER,
        ("SendMessage", "SendMessageBatch"),
        checks.delay,
    ),
    AwsRule(
        "sqs",
        "12 hours of visibility, a wait of 20 s, 10 attributes with a type and a value, queue names of 80 "
        "characters",
        _SQS_QUOTAS,
    ),
    AwsRule(
        "sns",
        "a message that is not empty, a subject of 1 to 100 characters without line breaks",
        f"{_DOCS}/sns/latest/api/API_Publish.html",
    ),
    AwsRule(
        "secretsmanager",
        "names of letters, digits and `/_+=.@!-`",
        f"{_DOCS}/secretsmanager/latest/apireference/API_CreateSecret.html",
    ),
    AwsRule("apigateway", "bodies of 10 MB", _API_QUOTAS),
    AwsRule("s3", "a failed condition: 412 PreconditionFailed", _S3_CONDITIONS, EMULATOR),
    AwsRule(
        "s3",
        "a conditional write beside another one to the same key: 409 ConditionalRequestConflict",
        _S3_CONDITIONS,
        LAYER,
        ("PutObject", "CompleteMultipartUpload", "DeleteObject"),
        checks.conditional_conflict,
    ),
    AwsRule(
        "s3",
        "keys of 1,024 bytes, user metadata of 2 KB; the expected owner; If-None-Match of a write is `*`",
        f"{_DOCS}/AmazonS3/latest/API/API_PutObject.html",
        LAYER,
        ("DeleteObject", "GetObject", "HeadBucket", "HeadObject", "PutObject"),
        checks.object_headers,
    ),
    AwsRule(
        "s3",
        "1,000 keys in one DeleteObjects",
        f"{_DOCS}/AmazonS3/latest/API/API_DeleteObjects.html",
        LAYER,
        ("DeleteObjects",),
        checks.deleted_keys,
    ),
    AwsRule(
        "s3",
        "without ListBucket, a key that is not there is answered 403",
        f"{_DOCS}/AmazonS3/latest/API/API_HeadObject.html",
    ),
)


def _checks() -> Mapping[tuple[str, str], tuple[checks.Check, ...]]:
    found: dict[tuple[str, str], tuple[checks.Check, ...]] = {}
    for rule in RULES:
        if rule.check is not None:
            for operation in rule.operations:
                key = (rule.service, operation)
                found[key] = (*found.get(key, ()), rule.check)
    return found


_CHECKS = _checks()


def as_table(rules: Iterable[AwsRule] = RULES) -> list[str]:
    """Return the rules as lines of a Markdown table."""
    rows = [f"| {rule.service} | {rule.says} | <{rule.source}> | {rule.enforced} |" for rule in rules]
    return ["| service | rule | source | enforced by |", "|---|---|---|---|", *rows]


if __name__ == "__main__":
    print("\n".join(as_table()))  # noqa: T201 - the output updates docs/aws-rules.md
