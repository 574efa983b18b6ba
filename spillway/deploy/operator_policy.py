"""The IAM policy of an operator: what commands call, and what CloudFormation does with the caller's rights.

Each scope is one statement: the resources, the actions that commands of this project perform on them, and for
each type of the stack's template the actions with which CloudFormation creates, reads, changes and deletes a
resource of that type. The whole is longer than IAM takes in one managed policy, so it has parts: one for
everybody who runs the shop, two more for those who deploy its stack and destroy it.

Resources are named by the stack where AWS lets CloudFormation name them so. A new type in the template, or a
new call in a command, has to be added here: a test walks both.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spillway.stage import stack_name_of

# The size limit of a managed policy, white space not counted.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICY_CHARS_MAX = 6_144
# CloudFormation shortens the stack's name in names that would become too long, to no less than this.
STACK_NAME_CHARS_KEPT = 24
TRANSFORM = "arn:aws:cloudformation:{region}:aws:transform/Serverless-2016-10-31"


class PolicyPart(StrEnum):
    """The purpose of a policy: running the shop; deploying its stack, in two parts; or all of that."""

    OPERATE = "operate"
    DEPLOY = "deploy"
    DEPLOY_DATA = "deploy-data"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Scope:
    """One statement of the policy. Actions have no service in front: it is that of the scope.

    `operating` is called by the commands that run a shop, `deploying` by deploy and destroy, `types` by
    CloudFormation for each type of resource.
    """

    sid: str
    service: str
    resources: tuple[str, ...]
    operating: str = ""
    deploying: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    condition: Mapping[str, Mapping[str, str]] | None = None
    deployed_by: PolicyPart = PolicyPart.DEPLOY

    def actions(self, part: PolicyPart) -> list[str]:
        """Return the statement's actions for a part, each once, without those that a wildcard covers."""
        texts = [self.operating] if part in {PolicyPart.OPERATE, PolicyPart.ALL} else []
        texts += [self.deploying, *self.types.values()] if part in {self.deployed_by, PolicyPart.ALL} else []
        names = {name for text in texts for name in text.split()}
        wide = tuple(name.removesuffix("*") for name in names if name.endswith("*"))
        kept = {name for name in names if name.endswith("*") or not name.startswith(wide)}
        tags = {name for name in kept if "Tag" in name}
        kept = kept - tags | {"*Tag*"} if len(tags) > 1 else kept
        return [f"{self.service}:{name}" for name in sorted(kept)]


SCOPES = (
    Scope(
        "Stack",
        "cloudformation",
        ("arn:aws:cloudformation:{region}:{account}:stack/{stack}/*", TRANSFORM),
        operating="DescribeStackResource DescribeStacks",
        deploying="CreateChangeSet DeleteChangeSet DeleteStack DescribeChangeSet DescribeStackEvents"
        " DescribeStacks ExecuteChangeSet GetTemplate ListStackResources",
    ),
    # Before the first deployment there is no stack to name; of SES and Lambda these are the account's own.
    Scope("Template", "cloudformation", ("*",), deploying="GetTemplateSummary"),
    Scope("SesAccount", "ses", ("*",), "DeleteSuppressedDestination GetAccount"),
    Scope("LambdaAccount", "lambda", ("*",), "GetAccountSettings"),
    Scope("Metrics", "cloudwatch", ("*",), "DescribeAlarms GetMetricData"),
    Scope("LogGroups", "logs", ("*",), types={"AWS::Logs::LogGroup": "DescribeLogGroups"}),
    Scope("Passwords", "secretsmanager", ("*",), types={"AWS::SecretsManager::Secret": "GetRandomPassword"}),
    Scope(
        "Artefacts",
        "s3",
        (
            "arn:aws:s3:::spillway-artefacts-{account}-{region}",
            "arn:aws:s3:::spillway-artefacts-{account}-{region}/*",
        ),
        deploying="CreateBucket GetObject ListBucket PutObject",
    ),
    Scope(
        "Buckets",
        "s3",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=("arn:aws:s3:::{names}-*",),
        operating="DeleteObject GetBucketPublicAccessBlock GetObject ListBucket PutObject",
        deploying="DeleteBucket DeleteObject DeleteObjectVersion ListBucketVersions",
        types={
            "AWS::S3::Bucket": "CreateBucket DeleteBucket GetBucket* GetEncryptionConfiguration"
            " GetLifecycleConfiguration PutBucketNotification"
            " PutBucketOwnershipControls PutBucketPublicAccessBlock PutBucketTagging"
            " PutBucketVersioning PutEncryptionConfiguration PutLifecycleConfiguration",
            "AWS::S3::BucketPolicy": "DeleteBucketPolicy GetBucketPolicy PutBucketPolicy",
        },
    ),
    Scope(
        "Tables",
        "dynamodb",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=("arn:aws:dynamodb:{region}:{account}:table/{names}-*",),
        operating="BatchGetItem DeleteItem DescribeContinuousBackups DescribeTable GetItem GetRecords"
        " GetShardIterator PutItem Query Scan UpdateItem UpdateTable",
        deploying="DeleteTable",
        types={
            "AWS::DynamoDB::Table": "CreateTable DeleteTable Describe*"
            " ListTagsOfResource TagResource UntagResource"
            " UpdateContinuousBackups UpdateTable UpdateTimeToLive",
        },
    ),
    Scope(
        "Queues",
        "sqs",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=("arn:aws:sqs:{region}:{account}:{names}-*",),
        operating="DeleteMessage GetQueueAttributes ReceiveMessage SendMessage",
        types={
            "AWS::SQS::Queue": "CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl ListQueueTags"
            " SetQueueAttributes TagQueue UntagQueue",
            "AWS::SQS::QueuePolicy": "GetQueueAttributes SetQueueAttributes",
        },
    ),
    Scope(
        "Topics",
        "sns",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=("arn:aws:sns:{region}:{account}:{names}-*",),
        operating="Publish",
        types={
            "AWS::SNS::Topic": "CreateTopic DeleteTopic GetDataProtectionPolicy GetTopicAttributes"
            " ListSubscriptionsByTopic ListTagsForResource SetTopicAttributes TagResource UntagResource",
            "AWS::SNS::TopicPolicy": "GetTopicAttributes SetTopicAttributes",
            "AWS::SNS::Subscription": "GetSubscriptionAttributes"
            " ListSubscriptionsByTopic SetSubscriptionAttributes"
            " Subscribe Unsubscribe",
        },
    ),
    Scope(
        "Functions",
        "lambda",
        ("arn:aws:lambda:{region}:{account}:function:{names}-*",),
        operating="DeleteFunctionConcurrency GetFunctionConcurrency InvokeFunction PutFunctionConcurrency",
        types={
            "AWS::Lambda::Function": "CreateFunction DeleteFunction"
            " DeleteFunctionConcurrency GetFunction* GetPolicy"
            " GetRuntimeManagementConfig ListTags PutFunctionConcurrency PutFunctionRecursionConfig"
            " TagResource UntagResource UpdateFunctionCode UpdateFunctionConfiguration",
            "AWS::Lambda::Permission": "AddPermission GetPolicy RemovePermission",
        },
    ),
    # A mapping's name is no more than an id; the function that it feeds has the stack's name.
    Scope(
        "EventSources",
        "lambda",
        ("*",),
        types={
            "AWS::Lambda::EventSourceMapping": "CreateEventSourceMapping DeleteEventSourceMapping"
            " GetEventSourceMapping UpdateEventSourceMapping",
        },
        condition={"ArnLike": {"lambda:FunctionArn": "arn:aws:lambda:{region}:{account}:function:{names}-*"}},
    ),
    Scope(
        "Roles",
        "iam",
        ("arn:aws:iam::{account}:role/{names}-*",),
        types={
            "AWS::IAM::Role": "CreateRole DeleteRole DeleteRolePolicy"
            " GetRole GetRolePolicy ListAttachedRolePolicies"
            " ListRolePolicies PutRolePolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole",
        },
    ),
    Scope(
        "RolesOfFunctions",
        "iam",
        ("arn:aws:iam::{account}:role/{names}-*",),
        types={"AWS::Lambda::Function": "PassRole"},
        condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    ),
    Scope(
        "Logs",
        "logs",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=("arn:aws:logs:{region}:{account}:log-group:{names}-*",),
        operating="FilterLogEvents",
        types={
            "AWS::Logs::LogGroup": "CreateLogGroup DeleteLogGroup DeleteRetentionPolicy ListTagsForResource"
            " PutRetentionPolicy TagResource UntagResource",
        },
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-V2-S3.html
    Scope(
        "AccessLogs",
        "logs",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=(
            "arn:aws:logs:us-east-1:{account}:delivery-source:{names}-*",
            "arn:aws:logs:us-east-1:{account}:delivery-destination:{names}-*",
            "arn:aws:logs:us-east-1:{account}:delivery:*",
        ),
        types={
            "AWS::Logs::DeliverySource": "DeleteDeliverySource GetDeliverySource ListTagsForResource"
            " PutDeliverySource TagResource UntagResource",
            "AWS::Logs::DeliveryDestination": "DeleteDeliveryDestination GetDeliveryDestination"
            " GetDeliveryDestinationPolicy ListTagsForResource PutDeliveryDestination TagResource"
            " UntagResource",
            "AWS::Logs::Delivery": "CreateDelivery DeleteDelivery GetDelivery ListTagsForResource TagResource"
            " UntagResource UpdateDeliveryConfiguration",
        },
    ),
    Scope(
        "AccessLogsOfDistribution",
        "cloudfront",
        ("arn:aws:cloudfront::{account}:distribution/*",),
        types={"AWS::Logs::DeliverySource": "AllowVendedLogDeliveryForResource"},
    ),
    # CloudFormation names secrets by their logical id alone, and so a configuration set.
    Scope(
        "Secrets",
        "secretsmanager",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=tuple(
            f"arn:aws:secretsmanager:{{region}}:{{account}}:secret:*{name}-*"
            for name in (
                *("MerchantKeysSecret", "OriginKeySecret", "SigningKeysSecret"),
                *("SourceSecrets", "StockAccountsSecret", "TrafficSaltsSecret", "WebhookSecrets"),
            )
        ),
        operating="GetSecretValue PutSecretValue",
        deploying="DeleteSecret",
        types={
            "AWS::SecretsManager::Secret": "CreateSecret DeleteSecret"
            " DescribeSecret GetSecretValue TagResource"
            " UntagResource UpdateSecret",
        },
    ),
    Scope(
        "Email",
        "ses",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=(
            "arn:aws:ses:{region}:{account}:configuration-set/*",
            "arn:aws:ses:{region}:{account}:identity/*",
        ),
        operating="GetEmailIdentity SendBulkEmail",
        deploying="GetEmailIdentity",
        types={
            "AWS::SES::ConfigurationSet": "CreateConfigurationSet"
            " DeleteConfigurationSet GetConfigurationSet*"
            " ListTagsForResource PutConfigurationSet* TagResource UntagResource",
            "AWS::SES::ConfigurationSetEventDestination": "CreateConfigurationSetEventDestination"
            " DeleteConfigurationSetEventDestination GetConfigurationSetEventDestinations"
            " UpdateConfigurationSetEventDestination",
            "AWS::SES::EmailIdentity": "CreateEmailIdentity DeleteEmailIdentity"
            " GetEmailIdentity PutEmailIdentity*"
            " ListTagsForResource TagResource UntagResource",
        },
    ),
    Scope("ApiAccount", "apigateway", ("arn:aws:apigateway:{region}::/account",), "GET"),
    Scope(
        "Api",
        "apigateway",
        tuple(
            f"arn:aws:apigateway:{{region}}::/{path}"
            for path in ("apikeys*", "restapis*", "tags/*", "usageplans*")
        ),
        types=dict.fromkeys(
            (
                f"AWS::ApiGateway::{kind}"
                for kind in ("ApiKey", "Deployment", "RestApi", "Stage", "UsagePlan", "UsagePlanKey")
            ),
            "DELETE GET PATCH POST PUT",
        ),
    ),
    # CloudFront names what it makes by ids.
    Scope(
        "Distribution",
        "cloudfront",
        tuple(
            f"arn:aws:cloudfront::{{account}}:{kind}/*"
            for kind in ("distribution", "origin-access-control", "response-headers-policy")
        ),
        operating="CreateInvalidation",
        types={
            "AWS::CloudFront::Distribution": "DeleteDistribution GetDistribution*"
            " ListTagsForResource TagResource"
            " UntagResource UpdateDistribution",
            "AWS::CloudFront::OriginAccessControl": "DeleteOriginAccessControl GetOriginAccessControl*"
            " UpdateOriginAccessControl",
            "AWS::CloudFront::ResponseHeadersPolicy": "DeleteResponseHeadersPolicy"
            " GetResponseHeadersPolicy*"
            " UpdateResponseHeadersPolicy",
        },
    ),
    Scope(
        "NewDistribution",
        "cloudfront",
        ("*",),
        types={
            "AWS::CloudFront::Distribution": "CreateDistribution",
            "AWS::CloudFront::OriginAccessControl": "CreateOriginAccessControl",
            "AWS::CloudFront::ResponseHeadersPolicy": "CreateResponseHeadersPolicy",
        },
    ),
    Scope(
        "Certificates",
        "acm",
        ("arn:aws:acm:us-east-1:{account}:certificate/*",),
        "DescribeCertificate",
    ),
    Scope(
        "FloodGuard",
        "wafv2",
        ("arn:aws:wafv2:us-east-1:{account}:global/webacl/*FloodGuardWebAcl-*",),
        types={
            "AWS::WAFv2::WebACL": "CreateWebACL DeleteWebACL GetWebACL ListTagsForResource TagResource"
            " UntagResource UpdateWebACL",
        },
    ),
    Scope(
        "Alarms",
        "cloudwatch",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=(
            "arn:aws:cloudwatch:{region}:{account}:alarm:{names}-*",
            "arn:aws:cloudwatch::{account}:dashboard/{stack}-*",
        ),
        types={
            "AWS::CloudWatch::Alarm": "DeleteAlarms DescribeAlarms"
            " ListTagsForResource PutMetricAlarm TagResource"
            " UntagResource",
            "AWS::CloudWatch::Dashboard": "DeleteDashboards GetDashboard PutDashboard",
        },
    ),
    Scope(
        "Clock",
        "events",
        ("arn:aws:events:{region}:{account}:rule/{names}-*",),
        types={
            "AWS::Events::Rule": "DeleteRule DescribeRule ListTagsForResource"
            " ListTargetsByRule PutRule PutTargets"
            " RemoveTargets TagResource UntagResource",
        },
    ),
    Scope(
        "Budget",
        "budgets",
        deployed_by=PolicyPart.DEPLOY_DATA,
        resources=("arn:aws:budgets::{account}:budget/*",),
        types={
            "AWS::Budgets::Budget": "ListTagsForResource ModifyBudget TagResource UntagResource ViewBudget"
        },
    ),
)


def operator_policy(
    stage_name: str, part: PolicyPart = PolicyPart.ALL, *, region: str = "*", account: str = "*"
) -> dict[str, Any]:
    """Return the policy document of an operator of one stage; "*" stands for any region, or any account.

    In a policy that is attached to a user or role, "*" as the account reaches no further than its own account
    and what others share with it.
    """
    stack = stack_name_of(stage_name)
    words = {"stack": stack, "names": stack[:STACK_NAME_CHARS_KEPT], "region": region, "account": account}
    statements = [_statement(scope, part, words) for scope in SCOPES if scope.actions(part)]
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(scope: Scope, part: PolicyPart, words: Mapping[str, str]) -> dict[str, Any]:
    resources = [resource.format(**words) for resource in scope.resources]
    statement: dict[str, Any] = {
        "Sid": scope.sid,
        "Effect": "Allow",
        "Action": scope.actions(part),
        "Resource": resources if len(resources) > 1 else resources[0],
    }
    if scope.condition:
        statement["Condition"] = {
            operator: {key: value.format(**words) for key, value in keys.items()}
            for operator, keys in scope.condition.items()
        }
    return statement
