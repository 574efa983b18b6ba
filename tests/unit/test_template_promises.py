"""Promises of ARCHITECTURE.md, docs/ and the code about the stack, read from the template SAM has translated.

Each promise is checked, and each check is shown a template that breaks it.
"""

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.entry import SHARDS
from chalicelib.domain.traffic.lines import LOGGED_FIELDS
from chalicelib.storage import LOGS_PREFIX, PARTS_PREFIX, STATS_PREFIX
from chalicelib.tables.demand import COUNTED_ATTRIBUTES, EVENTS_MAX
from tests.support.uploaded import translated

DOCS = Path(__file__).parents[2] / "docs"
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"} | {
    13: "thirteen",
    14: "fourteen",
    15: "fifteen",
    16: "sixteen",
}
Resources = Mapping[str, Mapping[str, Any]]
Promise = Callable[[Resources], None]
PROMISES: list[Promise] = []

FUNCTIONS = frozenset(
    {
        *("APIHandler", "OnEntryWritten", "OnProductChanged", "SendConfirmations", "SendWave", "OnFeedback"),
        *("RetryFailedJobs", "Autopilot", "CountDemand", "RecountDemand", "OnLogDelivered"),
        *("OnInboundEvent", "ReconcileStock", "DeliverWebhook"),
        *("OnDomainEvent", "EmitSchedule"),
    }
)
SECURITY_POLICY = (
    "script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HOURS_1_S = 3600
HOURS_12_S = 12 * 3600
DAYS_14_S = 14 * 24 * 3600
# Where the gateway answers by itself. None is a 403: CloudFront makes that the shop's 404 page.
GATEWAY_STATUSES = {
    "MISSING_AUTHENTICATION_TOKEN": 404,
    "INVALID_API_KEY": 404,
    "REQUEST_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "THROTTLED": 429,
    "DEFAULT_4XX": 400,
    "DEFAULT_5XX": 500,
}
# RFC 9110 renamed what Python's HTTPStatus still calls so.
REASONS = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large"}
SECRET_WORD = re.compile(r"SECRET|PASSWORD|TOKEN|KEY|CREDENTIAL")
SECRETS_BY_NAME = {
    "SIGNING_KEYS_SECRET": {"Ref": "SigningKeysSecret"},
    "MERCHANT_KEYS_SECRET": {"Ref": "MerchantKeysSecret"},
    "SOURCE_SECRETS": {"Ref": "SourceSecrets"},
    "SMTP_SECRET": {"Ref": "SmtpSecretArn"},
}
SECRETS_OF_FUNCTIONS = {
    "OnLogDelivered": {"TRAFFIC_SALTS_SECRET": "TrafficSaltsSecret"},
    "ReconcileStock": {"STOCK_ACCOUNTS_SECRET": "StockAccountsSecret"},
    "DeliverWebhook": {"WEBHOOK_SECRETS": "WebhookSecrets"},
}
# Calls that AWS knows no resource for.
FOR_EVERYTHING = frozenset({"ses:DeleteSuppressedDestination", "ses:GetAccount", "cloudwatch:GetMetricData"})


def promise(check: Promise) -> Promise:
    """Have `check` tried on the template."""
    PROMISES.append(check)
    return check


def of_type(resources: Resources, kind: str) -> dict[str, Any]:
    """The properties of every resource of a kind, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in resources.items()
        if resource["Type"] == kind
    }


def mapping_of(resources: Resources, function: str) -> Any:
    """The event sources of a function."""
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    (found,) = [mapping for mapping in mappings if mapping["FunctionName"] == {"Ref": function}]
    return found


def statements(resources: Resources, function: str) -> list[Any]:
    """The permissions of a function; what only some shops need is in force under a condition."""
    (policy,) = resources[f"{function}Role"]["Properties"]["Policies"]
    return [item["Fn::If"][1] if "Fn::If" in item else item for item in policy["PolicyDocument"]["Statement"]]


def listed(value: Any) -> list[Any]:
    """A policy may give one thing alone, or a list."""
    return value if isinstance(value, list) else [value]


@promise
def streams_try_eight_times_within_twelve_hours_then_hand_over(resources: Resources) -> None:
    for function, table in (
        ("OnEntryWritten", "EntriesTable"),
        ("CountDemand", "EntriesTable"),
        ("OnProductChanged", "ProductsTable"),
    ):
        mapping = mapping_of(resources, function)
        assert mapping["EventSourceArn"] == {"Fn::GetAtt": [table, "StreamArn"]}
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["MaximumRetryAttempts"] == 8
        assert mapping["MaximumRecordAgeInSeconds"] == HOURS_12_S
        assert mapping["BisectBatchOnFunctionError"] is True
        dead_letters = {"Fn::GetAtt": ["StreamDeadLetterQueue", "Arn"]}
        assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": dead_letters}}


@promise
def what_failed_of_a_batch_is_reported_alone(resources: Resources) -> None:
    for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@promise
def entries_start_something_when_pending_confirmed_or_left_after_an_email(resources: Resources) -> None:
    filters = mapping_of(resources, "OnEntryWritten")["FilterCriteria"]["Filters"]
    assert [json.loads(filter_["Pattern"])["dynamodb"] for filter_ in filters] == [
        {"NewImage": {"state": {"S": ["pending"]}}},
        {"NewImage": {"state": {"S": ["confirmed"]}}},
        {"NewImage": {"state": {"S": ["unsubscribed"]}}, "OldImage": {"state": {"S": ["notified"]}}},
    ]


@promise
def each_written_or_deleted_entry_is_counted_and_no_other_row(resources: Resources) -> None:
    mapping = mapping_of(resources, "CountDemand")
    assert [
        json.loads(filter_["Pattern"])["dynamodb"] for filter_ in mapping["FilterCriteria"]["Filters"]
    ] == [{image: {"state": {"S": [{"exists": True}]}}} for image in ("NewImage", "OldImage")]
    # Twice this fits into one transaction.
    assert mapping["BatchSize"] == EVENTS_MAX
    assert mapping["MaximumBatchingWindowInSeconds"] == 1


@promise
def a_recount_reads_no_address_and_has_a_quarter_of_an_hour(resources: Resources) -> None:
    (scan,) = [
        statement
        for statement in statements(resources, "RecountDemand")
        if statement["Action"] == "dynamodb:Scan"
    ]
    read = scan["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
    assert set(read) == {"shopper", *COUNTED_ATTRIBUTES}
    assert resources["RecountDemand"]["Properties"]["Timeout"] == 900
    alarm = resources["DemandDriftAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("demand_drift", 0)
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["Dimensions"] == [{"Name": "function", "Value": "recount_demand"}]


@promise
def only_a_changed_product_starts_something(resources: Resources) -> None:
    (only,) = mapping_of(resources, "OnProductChanged")["FilterCriteria"]["Filters"]
    keys = {"id": {"S": [{"prefix": "product#"}]}}
    assert json.loads(only["Pattern"]) == {"eventName": ["MODIFY"], "dynamodb": {"Keys": keys}}


@promise
def a_message_is_hidden_six_times_as_long_as_its_function_may_take(resources: Resources) -> None:
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    fed_by = {
        mapping["EventSourceArn"]["Fn::GetAtt"][0]: resources[mapping["FunctionName"]["Ref"]]["Properties"]
        for mapping in mappings
        if mapping["EventSourceArn"]["Fn::GetAtt"][1] == "Arn"
    }
    expected = {"ConfirmationsQueue", "WavesQueue", "FeedbackQueue", "RetriesQueue", "TrafficQueue"}
    expected |= {"InboundEventsQueue", "DomainEventsQueue", "WebhookDeliveriesQueue"}
    assert set(fed_by) == expected
    for queue, function in fed_by.items():
        assert resources[queue]["Properties"]["VisibilityTimeout"] >= 6 * function["Timeout"]


@promise
def a_message_is_tried_five_times_then_kept_two_weeks_for_a_person(resources: Resources) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    redrives = {name: item["RedrivePolicy"] for name, item in queues.items() if "RedrivePolicy" in item}
    assert redrives == {
        f"{name}Queue": {
            "deadLetterTargetArn": {"Fn::GetAtt": [f"{name}DeadLetterQueue", "Arn"]},
            "maxReceiveCount": 5,
        }
        for name in (
            *("Confirmations", "Waves", "Feedback", "Traffic", "InboundEvents", "DomainEvents"),
            "WebhookDeliveries",
        )
    }
    # A merchant asks for a retry again, and nothing is lost.
    assert queues["RetriesQueue"]["MessageRetentionPeriod"] == HOURS_1_S
    for name, queue in queues.items():
        assert queue["SqsManagedSseEnabled"] is True
        if name.endswith("DeadLetterQueue"):
            assert queue["MessageRetentionPeriod"] == DAYS_14_S


@promise
def a_backlog_starts_no_more_workers_than_can_send(resources: Resources) -> None:
    most = {
        function: mapping_of(resources, function)["ScalingConfig"]["MaximumConcurrency"]
        for function in ("SendConfirmations", "SendWave", "OnFeedback", "OnLogDelivered")
    }
    assert most == {"SendConfirmations": 5, "SendWave": 2 * SHARDS, "OnFeedback": 8, "OnLogDelivered": 10}


@promise
def the_three_functions_that_queue_to_themselves_may_and_no_other(resources: Resources) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    assert set(functions) == FUNCTIONS
    allowed = {name for name, function in functions.items() if function.get("RecursiveLoop") == "Allow"}
    assert allowed == {"SendConfirmations", "SendWave", "DeliverWebhook"}


@promise
def only_the_two_senders_may_send_and_only_from_the_shops_address(resources: Resources) -> None:
    senders = set()
    for function in FUNCTIONS:
        for statement in statements(resources, function):
            if any(action.startswith("ses:Send") for action in listed(statement["Action"])):
                senders.add(function)
                assert statement["Condition"] == {
                    "StringEquals": {"ses:FromAddress": {"Ref": "SenderAddress"}}
                }
                assert all(
                    "identity/${SenderIdentity}" in str(item) or "configuration-set/" in str(item)
                    for item in statement["Resource"]
                )
    assert senders == {"SendConfirmations", "SendWave"}


@promise
def who_sends_or_judges_sending_may_read_how_it_is_sent(resources: Resources) -> None:
    readers = {
        function
        for function in FUNCTIONS
        for statement in statements(resources, function)
        if statement["Resource"] == {"Ref": "SmtpSecretArn"}
        and statement["Action"] == "secretsmanager:GetSecretValue"
    }
    assert readers == {"SendConfirmations", "SendWave", "OnFeedback"}


@promise
def suppressions_are_written_by_who_hears_asks_or_confirms_and_ses_holds_back_complaints(
    resources: Resources,
) -> None:
    writers = {
        function: listed(statement["Action"])
        for function in FUNCTIONS
        for statement in statements(resources, function)
        if "SuppressionsTable" in json.dumps(statement["Resource"]) and "Put" in json.dumps(statement)
    }
    assert writers == {
        "OnFeedback": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "SendConfirmations": ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"],
        "OnEntryWritten": ["dynamodb:GetItem", "dynamodb:PutItem"],
        # A merchant who is signed in lifts one.
        "APIHandler": ["dynamodb:GetItem", "dynamodb:PutItem"],
    }
    # SES would drop the one email that asks a bounced shopper again, in silence.
    assert resources["EmailConfigurationSet"]["Properties"]["SuppressionOptions"] == {
        "SuppressedReasons": ["COMPLAINT"]
    }


@promise
def nothing_may_be_done_to_everything_but_what_has_no_resource(resources: Resources) -> None:
    for function in FUNCTIONS:
        for statement in statements(resources, function):
            assert "*" not in str(statement["Action"])
            if "*" in listed(statement["Resource"]):
                assert set(listed(statement["Action"])) <= FOR_EVERYTHING
            elif "*" in json.dumps(statement["Resource"]):
                # Below one bucket: every page, which a product may have; access logs and their statistics,
                # of which the merchant's page reads hours, and no log.
                assert isinstance(statement["Resource"], dict)
                assert statement["Resource"]["Fn::Sub"] in {
                    *("${PagesBucket.Arn}/*", "${TrafficBucket.Arn}/*", "${TrafficBucket.Arn}/stats/*"),
                    "${TrafficBucket.Arn}/stats/2*",
                }
    # Nothing is granted beside what is read here.
    assert set(of_type(resources, "AWS::IAM::Role")) == {f"{function}Role" for function in FUNCTIONS}
    for role in of_type(resources, "AWS::IAM::Role").values():
        assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}
    kinds = {resource["Type"] for resource in resources.values() if resource["Type"].startswith("AWS::IAM::")}
    assert kinds == {"AWS::IAM::Role"}


@promise
def deliveries_write_their_log_their_endpoint_and_kept_events_and_no_other_row(resources: Resources) -> None:
    writes = {
        listed(statement["Action"])[0]: statement.get("Condition")
        for statement in statements(resources, "DeliverWebhook")
        if re.search("(Put|Update|Delete|Write)Item|PartiQL", json.dumps(statement["Action"]))
    }
    assert writes == {
        # Events are kept as rows: those of an endpoint that is down, and those that a queue refused.
        "dynamodb:PutItem": {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["delivery#*", "held#*", "unsent"]}
        },
        "dynamodb:DeleteItem": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["held#*"]}},
        "dynamodb:UpdateItem": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["endpoint"]}},
    }
    readers = {
        function
        for function in FUNCTIONS
        for statement in statements(resources, function)
        if "WebhookSecrets" in json.dumps(statement["Resource"])
    }
    assert readers == {"DeliverWebhook"}


@promise
def each_function_that_asks_rules_about_an_event_may_ask_endpoints_too(resources: Resources) -> None:
    rules, endpoints = (
        {
            function
            for function in FUNCTIONS
            for statement in statements(resources, function)
            if text in json.dumps(statement)
        }
        for text in ("rules.json", '"dynamodb:LeadingKeys": ["endpoint"]')
    )
    assert {"OnEntryWritten", "OnFeedback", "EmitSchedule", "OnDomainEvent", "OnLogDelivered"} <= rules
    assert endpoints == rules | {"DeliverWebhook"}


@promise
def traffic_becomes_events_by_functions_that_may_read_it_and_queue_them(resources: Resources) -> None:
    queue = {"Fn::GetAtt": ["DomainEventsQueue", "Arn"]}
    for function in ("OnLogDelivered", "EmitSchedule"):
        granted = [(item["Action"], item["Resource"]) for item in statements(resources, function)]
        assert ("sqs:SendMessage", queue) in granted
    assert ("s3:GetObject", {"Fn::Sub": "${TrafficBucket.Arn}/stats/2*"}) in granted
    assert ("cloudwatch:GetMetricData", "*") in granted
    listing = statement_with(resources, "EmitSchedule", "s3:ListBucket")
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "stats/2*"}}
    variables = resources["EmitSchedule"]["Properties"]["Environment"]["Variables"]
    assert variables["TRAFFIC_LOGS"] == {"Ref": "TrafficLogs"}


@promise
def pages_are_read_by_this_distribution_alone(resources: Resources) -> None:
    (statement,) = resources["PagesBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert statement["Action"] == "s3:GetObject"
    distribution = "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}"
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceArn": {"Fn::Sub": distribution}}}
    access = resources["PagesOriginAccessControl"]["Properties"]["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], access["SigningProtocol"]) == ("always", "sigv4")
    (pages,) = [origin for origin in origins(resources) if origin["Id"] == "pages"]
    assert pages["OriginAccessControlId"] == {"Ref": "PagesOriginAccessControl"}
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        if name == "TrafficBucket":
            continue
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        (rule,) = bucket["LifecycleConfiguration"]["Rules"]
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}


@promise
def access_logs_hold_no_query_and_end_after_two_days_with_no_version_left(resources: Resources) -> None:
    bucket = resources["TrafficBucket"]["Properties"]
    assert "VersioningConfiguration" not in bucket
    ends = {
        rule.get("Prefix"): rule.get("ExpirationInDays") for rule in bucket["LifecycleConfiguration"]["Rules"]
    }
    assert (ends[LOGS_PREFIX], ends[PARTS_PREFIX], ends[f"{STATS_PREFIX}2"]) == (2, 8, 400)
    assert resources["TrafficDestination"]["Properties"]["DestinationResourceArn"] == {
        "Fn::Sub": f"${{TrafficBucket.Arn}}/{LOGS_PREFIX.removesuffix('/')}"
    }
    assert resources["TrafficDelivery"]["Properties"]["RecordFields"] == list(LOGGED_FIELDS)
    logging = [name for name, resource in resources.items() if "AWS::Logs::Delivery" in resource["Type"]]
    assert {resources[name]["Condition"] for name in logging} == {"LogsTraffic"}
    assert len(logging) == 3


@promise
def only_a_delivered_log_starts_the_function_that_writes_beside_it(resources: Resources) -> None:
    notified = resources["TrafficBucket"]["Properties"]["NotificationConfiguration"]
    (queue,) = notified["QueueConfigurations"]
    assert queue["Queue"] == {"Fn::GetAtt": ["TrafficQueue", "Arn"]}
    assert queue["Filter"] == {"S3Key": {"Rules": [{"Name": "suffix", "Value": ".gz"}]}}
    (statement,) = resources["TrafficQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def origins(resources: Resources) -> Any:
    return resources["Distribution"]["Properties"]["DistributionConfig"]["Origins"]


@promise
def pages_cannot_be_framed_and_bear_the_security_headers(resources: Resources) -> None:
    headers = resources["SecurityHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"][
        "SecurityHeadersConfig"
    ]
    assert headers["ContentSecurityPolicy"] == {"ContentSecurityPolicy": SECURITY_POLICY, "Override": True}
    assert headers["FrameOptions"] == {"FrameOption": "DENY", "Override": True}
    assert headers["ContentTypeOptions"] == {"Override": True}
    assert headers["ReferrerPolicy"] == {
        "ReferrerPolicy": "strict-origin-when-cross-origin",
        "Override": False,
    }
    config = resources["Distribution"]["Properties"]["DistributionConfig"]
    for behavior in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        assert behavior["ResponseHeadersPolicyId"] == {"Ref": "SecurityHeadersPolicy"}


@promise
def subdomains_are_bound_to_https_only_when_asked(resources: Resources) -> None:
    headers = resources["SecurityHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"][
        "SecurityHeadersConfig"
    ]
    transport = headers["StrictTransportSecurity"]
    assert transport["IncludeSubdomains"] == {"Fn::If": ["SecuresSubdomains", True, False]}
    assert transport["AccessControlMaxAgeSec"] == 2 * 365 * 24 * 3600


@promise
def data_outlives_the_stack_but_not_a_failed_first_deployment(resources: Resources) -> None:
    kept = {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}
    secrets = {
        "SigningKeysSecret",
        "MerchantKeysSecret",
        "SourceSecrets",
        "StockAccountsSecret",
        "WebhookSecrets",
    }
    data = {name for name, resource in resources.items() if resource["Type"] in kept} | secrets
    assert {name for name, resource in resources.items() if "DeletionPolicy" in resource} == data
    for name in data:
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate", name
        assert resources[name]["UpdateReplacePolicy"] == "Retain", name


@promise
def the_docs_count_the_data_that_outlives_the_stack_and_the_secrets_that_cost(resources: Resources) -> None:
    kept = [resource["Type"] for resource in resources.values() if "DeletionPolicy" in resource]
    tables, buckets, secrets = (
        NUMBERS[kept.count(kind)]
        for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret")
    )
    deploying = (DOCS / "deploying.md").read_text()
    assert f"leaves {tables} tables, {buckets} buckets and {secrets} secrets" in deploying
    assert f"Name all {NUMBERS[len(kept)]}." in deploying
    paid = NUMBERS[len(of_type(resources, "AWS::SecretsManager::Secret"))]
    assert f"{paid} secrets at 0.40 dollars" in (DOCS / "preflight.md").read_text()


@promise
def a_cookie_reaches_the_api_alone_and_no_answer_of_it_is_cached(resources: Resources) -> None:
    config = resources["Distribution"]["Properties"]["DistributionConfig"]
    # Managed-CachingOptimized: neither part of a page's key nor sent to the bucket without a policy for it.
    assert config["DefaultCacheBehavior"]["CachePolicyId"] == "658327ea-f89d-4fab-a63d-7e88639e58f6"
    assert "OriginRequestPolicyId" not in config["DefaultCacheBehavior"]
    (api,) = config["CacheBehaviors"]
    assert api["PathPattern"] == "/api/*"
    # Managed-CachingDisabled, and Managed-AllViewerExceptHostHeader with every cookie and the User-Agent.
    assert api["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert api["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert api["ViewerProtocolPolicy"] == "https-only"


@promise
def tables_are_restorable_on_demand_and_encrypted_for_nothing(resources: Resources) -> None:
    tables = of_type(resources, "AWS::DynamoDB::Table")
    for table in tables.values():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert "SSESpecification" not in table
    expiring = {name for name, item in tables.items() if "TimeToLiveSpecification" in item}
    assert expiring == {
        *("DemandTable", "EntriesTable", "EventsTable", "MerchantTable", "SendingTable"),
        "SuppressionsTable",
    }
    for name in expiring:
        ttl = {"AttributeName": "expires_at_s", "Enabled": True}
        assert tables[name]["TimeToLiveSpecification"] == ttl


@promise
def the_api_has_one_stage_and_it_is_throttled_and_measured_as_a_whole(resources: Resources) -> None:
    stages = list(of_type(resources, "AWS::ApiGateway::Stage").values())
    assert [stage["StageName"] for stage in stages] == ["api"]
    assert stages[0]["MethodSettings"] == [
        {
            "HttpMethod": "*",
            "ResourcePath": "/*",
            "ThrottlingBurstLimit": {"Ref": "ApiBurstRequestsMax"},
            "ThrottlingRateLimit": {"Ref": "ApiRequestsPerSecondMax"},
        }
    ]
    for deployment in of_type(resources, "AWS::ApiGateway::Deployment").values():
        assert "StageName" not in deployment


@promise
def the_api_is_open_to_the_distribution_alone(resources: Resources) -> None:
    body = resources["RestAPI"]["Properties"]["Body"]
    methods = [method for path in body["paths"].values() for method in path.values()]
    assert len(methods) > 10
    assert all(method["security"] == [{"api_key": []}] for method in methods)
    assert body["securityDefinitions"]["api_key"] == {"type": "apiKey", "name": "x-api-key", "in": "header"}
    secret = {"Fn::Sub": "{{resolve:secretsmanager:${OriginKeySecret}:SecretString:key-${OriginKeyNumber}}}"}
    generated = resources["OriginKeySecret"]["Properties"]["GenerateSecretString"]
    assert generated["GenerateStringKey"] == {"Fn::Sub": "key-${OriginKeyNumber}"}
    assert generated["PasswordLength"] == 64
    (api,) = [origin for origin in origins(resources) if origin["Id"] == "api"]
    assert api["OriginCustomHeaders"] == [{"HeaderName": "x-api-key", "HeaderValue": secret}]
    assert resources["OriginApiKey"]["Properties"] == {"Enabled": True, "Value": secret}
    assert resources["OriginUsagePlanKey"]["Properties"] == {
        "KeyId": {"Ref": "OriginApiKey"},
        "KeyType": "API_KEY",
        "UsagePlanId": {"Ref": "OriginUsagePlan"},
    }
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage")
    stages = [{"ApiId": {"Ref": "RestAPI"}, "Stage": {"Ref": stage}}]
    assert resources["OriginUsagePlan"]["Properties"] == {"ApiStages": stages}
    answers = body["x-amazon-apigateway-gateway-responses"]
    assert answers["INVALID_API_KEY"]["statusCode"] == "404"


@promise
def what_the_gateway_answers_by_itself_reads_like_an_answer_of_ours(resources: Resources) -> None:
    answers = resources["RestAPI"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
    assert {kind: int(answer["statusCode"]) for kind, answer in answers.items()} == GATEWAY_STATUSES
    for kind, answer in answers.items():
        document = json.loads(answer["responseTemplates"]["application/json"])
        status = HTTPStatus(GATEWAY_STATUSES[kind])
        assert document.keys() == {"type", "title", "status", "detail"}
        assert (document["title"], document["status"]) == (REASONS.get(status, status.phrase), status)
        # Without a star, and without a word that another origin may read it.
        retry = {"gatewayresponse.header.Retry-After": "'2'"} if kind == "THROTTLED" else {}
        assert answer["responseParameters"] == {
            "gatewayresponse.header.Content-Type": "'application/problem+json'",
            "gatewayresponse.header.Cache-Control": "'no-store'",
            **retry,
        }


@promise
def no_secret_reaches_an_environment(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        variables = function["Environment"]["Variables"]
        for own, secret in SECRETS_OF_FUNCTIONS.get(name, {}).items():
            variables = dict(variables)
            assert variables.pop(own) == {"Ref": secret}
        assert "resolve:" not in json.dumps(variables)
        # A secret is named, by its ARN or the parameter of it; no value of one is taken out of it.
        secrets = {name: value for name, value in variables.items() if "secret" in json.dumps(value).lower()}
        assert secrets == SECRETS_BY_NAME
        words = {name for name in variables if SECRET_WORD.search(name)}
        assert words == set(SECRETS_BY_NAME)


@promise
def each_dead_letter_queue_alarms_at_its_first_message(resources: Resources) -> None:
    queues = {name for name in of_type(resources, "AWS::SQS::Queue") if name.endswith("DeadLetterQueue")}
    assert len(queues) == 8
    for queue in queues:
        alarm = resources[queue.replace("DeadLetterQueue", "DeadLettersAlarm")]["Properties"]
        assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
        assert (alarm["MetricName"], alarm["Statistic"]) == ("ApproximateNumberOfMessagesVisible", "Maximum")
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
        assert alarm["AlarmActions"] == [{"Ref": "AlarmsTopic"}]


@promise
def logs_are_kept_as_long_as_asked_and_no_longer(resources: Resources) -> None:
    logs = of_type(resources, "AWS::Logs::LogGroup")
    assert set(logs) == {f"{function}LogGroup" for function in FUNCTIONS}
    assert all(log == {"RetentionInDays": {"Ref": "LogRetentionDays"}} for log in logs.values())


@promise
def only_the_topic_may_say_what_became_of_an_email(resources: Resources) -> None:
    (statement,) = resources["FeedbackQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "FeedbackTopic"}}}


@pytest.mark.parametrize("check", PROMISES, ids=lambda check: check.__name__)
def test_a_promise_holds(check: Promise) -> None:
    check(translated()["Resources"])


def at(*path: Any) -> tuple[Any, ...]:
    """Where in the resources something is broken."""
    return path


COUNTING = "CountDemandCountDemandDynamodbEventSource"
STREAM = "OnEntryWrittenOnEntryWrittenDynamodbEventSource"
PRODUCTS = "OnProductChangedOnProductChangedDynamodbEventSource"
WAVES = "SendWaveSendWaveSqsEventSource"
HEADERS = at("SecurityHeadersPolicy", "Properties", "ResponseHeadersPolicyConfig", "SecurityHeadersConfig")
RULES = at("PagesBucketPolicy", "Properties", "PolicyDocument", "Statement", 0)
CONFIG = at("Distribution", "Properties", "DistributionConfig")
FIRST_METHOD = at("RestAPI", "Properties", "Body", "paths", "/waitlist", "post")
ROLE = at("SendWaveRole", "Properties", "Policies", 0, "PolicyDocument", "Statement")
GATEWAY = at("RestAPI", "Properties", "Body", "x-amazon-apigateway-gateway-responses")
GONE = object()

BROKEN: list[tuple[Promise, tuple[Any, ...], Any]] = [
    (streams_try_eight_times_within_twelve_hours_then_hand_over, at(STREAM, "Properties", path), value)
    for path, value in (
        ("MaximumRetryAttempts", -1),
        ("MaximumRecordAgeInSeconds", 60),
        ("BisectBatchOnFunctionError", False),
        ("DestinationConfig", {}),
        ("StartingPosition", "LATEST"),
    )
]
BROKEN += [
    (
        each_written_or_deleted_entry_is_counted_and_no_other_row,
        at(COUNTING, "Properties", "FilterCriteria", "Filters", 1),
        {"Pattern": '{"dynamodb": {}}'},
    ),
    (
        each_written_or_deleted_entry_is_counted_and_no_other_row,
        at(COUNTING, "Properties", "BatchSize"),
        51,
    ),
    (
        a_recount_reads_no_address_and_has_a_quarter_of_an_hour,
        at("DemandDriftAlarm", "Properties", "Threshold"),
        5,
    ),
    (what_failed_of_a_batch_is_reported_alone, at(WAVES, "Properties", "FunctionResponseTypes"), []),
    (
        entries_start_something_when_pending_confirmed_or_left_after_an_email,
        at(STREAM, "Properties", "FilterCriteria", "Filters", 1),
        {"Pattern": '{"dynamodb": {}}'},
    ),
    (
        only_a_changed_product_starts_something,
        at(PRODUCTS, "Properties", "FilterCriteria", "Filters", 0, "Pattern"),
        '{"eventName": ["INSERT"], "dynamodb": {}}',
    ),
    (
        a_message_is_hidden_six_times_as_long_as_its_function_may_take,
        at("WavesQueue", "Properties", "VisibilityTimeout"),
        119,
    ),
    (
        a_message_is_hidden_six_times_as_long_as_its_function_may_take,
        at("SendConfirmations", "Properties", "Timeout"),
        30,
    ),
    (
        a_message_is_tried_five_times_then_kept_two_weeks_for_a_person,
        at("FeedbackQueue", "Properties", "RedrivePolicy"),
        GONE,
    ),
    (
        a_message_is_tried_five_times_then_kept_two_weeks_for_a_person,
        at("StreamDeadLetterQueue", "Properties", "MessageRetentionPeriod"),
        345600,
    ),
    (a_backlog_starts_no_more_workers_than_can_send, at(WAVES, "Properties", "ScalingConfig"), GONE),
    (
        the_three_functions_that_queue_to_themselves_may_and_no_other,
        at("SendWave", "Properties", "RecursiveLoop"),
        GONE,
    ),
    (
        the_three_functions_that_queue_to_themselves_may_and_no_other,
        at("OnEntryWritten", "Properties", "RecursiveLoop"),
        "Allow",
    ),
    (nothing_may_be_done_to_everything_but_what_has_no_resource, at(*ROLE, 1, "Resource"), "*"),
    (nothing_may_be_done_to_everything_but_what_has_no_resource, at(*ROLE, 1, "Action"), "sqs:*"),
    (
        nothing_may_be_done_to_everything_but_what_has_no_resource,
        at(*ROLE, 2, "Resource"),
        "arn:aws:dynamodb:*:*:table/*",
    ),
    (
        nothing_may_be_done_to_everything_but_what_has_no_resource,
        at("SendWaveRole", "Properties", "ManagedPolicyArns"),
        ["arn:aws:iam::aws:policy/AdministratorAccess"],
    ),
    (
        nothing_may_be_done_to_everything_but_what_has_no_resource,
        at("AnotherPolicy"),
        {"Type": "AWS::IAM::Policy", "Properties": {}},
    ),
    (pages_are_read_by_this_distribution_alone, at(*RULES, "Condition", "StringEquals"), {"x": "*"}),
    (pages_are_read_by_this_distribution_alone, at(*RULES, "Principal"), "*"),
    (
        each_function_that_asks_rules_about_an_event_may_ask_endpoints_too,
        at("DeliverWebhookRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 6),
        {"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": "*"},
    ),
    (
        traffic_becomes_events_by_functions_that_may_read_it_and_queue_them,
        at("EmitSchedule", "Properties", "Environment", "Variables", "TRAFFIC_LOGS"),
        "no",
    ),
    (
        deliveries_write_their_log_their_endpoint_and_kept_events_and_no_other_row,
        at("DeliverWebhookRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 4, "Condition"),
        GONE,
    ),
    (pages_are_read_by_this_distribution_alone, at(*CONFIG, "Origins", 0, "OriginAccessControlId"), ""),
    (
        pages_are_read_by_this_distribution_alone,
        at("ReleaseBucket", "Properties", "PublicAccessBlockConfiguration", "BlockPublicPolicy"),
        False,
    ),
    (
        pages_cannot_be_framed_and_bear_the_security_headers,
        at(*HEADERS, "ContentSecurityPolicy", "ContentSecurityPolicy"),
        SECURITY_POLICY.replace("; frame-ancestors 'none'", ""),
    ),
    (pages_cannot_be_framed_and_bear_the_security_headers, at(*HEADERS, "FrameOptions"), {}),
    (
        pages_cannot_be_framed_and_bear_the_security_headers,
        at(*CONFIG, "CacheBehaviors", 0, "ResponseHeadersPolicyId"),
        "",
    ),
    (
        subdomains_are_bound_to_https_only_when_asked,
        at(*HEADERS, "StrictTransportSecurity", "IncludeSubdomains"),
        True,
    ),
    (data_outlives_the_stack_but_not_a_failed_first_deployment, at("EntriesTable", "DeletionPolicy"), GONE),
    (
        the_docs_count_the_data_that_outlives_the_stack_and_the_secrets_that_cost,
        at("EventsTable", "DeletionPolicy"),
        GONE,
    ),
    (
        data_outlives_the_stack_but_not_a_failed_first_deployment,
        at("SigningKeysSecret", "DeletionPolicy"),
        "Retain",
    ),
    (
        data_outlives_the_stack_but_not_a_failed_first_deployment,
        at("PagesBucket", "UpdateReplacePolicy"),
        "Delete",
    ),
    (
        suppressions_are_written_by_who_hears_asks_or_confirms_and_ses_holds_back_complaints,
        at("EmailConfigurationSet", "Properties", "SuppressionOptions", "SuppressedReasons"),
        ["BOUNCE", "COMPLAINT"],
    ),
    (
        a_cookie_reaches_the_api_alone_and_no_answer_of_it_is_cached,
        (*CONFIG, "CacheBehaviors", 0, "CachePolicyId"),
        "658327ea-f89d-4fab-a63d-7e88639e58f6",
    ),
    (
        a_cookie_reaches_the_api_alone_and_no_answer_of_it_is_cached,
        (*CONFIG, "CacheBehaviors", 0, "OriginRequestPolicyId"),
        GONE,
    ),
    (
        a_cookie_reaches_the_api_alone_and_no_answer_of_it_is_cached,
        (*CONFIG, "DefaultCacheBehavior", "OriginRequestPolicyId"),
        "b689b0a8-53d0-40ab-baf2-68738e2966ac",
    ),
    (
        tables_are_restorable_on_demand_and_encrypted_for_nothing,
        at("SuppressionsTable", "Properties", "PointInTimeRecoverySpecification"),
        {"PointInTimeRecoveryEnabled": False},
    ),
    (
        tables_are_restorable_on_demand_and_encrypted_for_nothing,
        at("EntriesTable", "Properties", "SSESpecification"),
        {"SSEEnabled": True},
    ),
    (
        tables_are_restorable_on_demand_and_encrypted_for_nothing,
        at("SendingTable", "Properties", "TimeToLiveSpecification"),
        GONE,
    ),
    (
        the_api_has_one_stage_and_it_is_throttled_and_measured_as_a_whole,
        at("RestAPIStage"),
        {"Type": "AWS::ApiGateway::Stage", "Properties": {"StageName": "Stage"}},
    ),
    (
        the_api_has_one_stage_and_it_is_throttled_and_measured_as_a_whole,
        at("RestAPIapiStage", "Properties", "MethodSettings", 0, "ThrottlingRateLimit"),
        GONE,
    ),
    (
        the_api_has_one_stage_and_it_is_throttled_and_measured_as_a_whole,
        at("RestAPIapiStage", "Properties", "MethodSettings", 0, "MetricsEnabled"),
        True,
    ),
    (the_api_is_open_to_the_distribution_alone, at(*FIRST_METHOD, "security"), []),
    (the_api_is_open_to_the_distribution_alone, at(*CONFIG, "Origins", 1, "OriginCustomHeaders"), []),
    (the_api_is_open_to_the_distribution_alone, at("OriginApiKey", "Properties", "Value"), "known to all"),
    (
        no_secret_reaches_an_environment,
        at("APIHandler", "Properties", "Environment", "Variables", "KEY"),
        "{{resolve:secretsmanager:x}}",
    ),
    (
        no_secret_reaches_an_environment,
        at("SendWave", "Properties", "Environment", "Variables", "SMTP_PASSWORD"),
        "hunter2",
    ),
    (
        no_secret_reaches_an_environment,
        at("SendWave", "Properties", "Environment", "Variables", "HOW"),
        {"Fn::GetAtt": ["SigningKeysSecret", "SecretString"]},
    ),
    (
        what_the_gateway_answers_by_itself_reads_like_an_answer_of_ours,
        at(*GATEWAY, "DEFAULT_4XX"),
        GONE,
    ),
    (
        what_the_gateway_answers_by_itself_reads_like_an_answer_of_ours,
        at(*GATEWAY, "REQUEST_TOO_LARGE", "responseParameters", "gatewayresponse.header.Cache-Control"),
        GONE,
    ),
    (
        what_the_gateway_answers_by_itself_reads_like_an_answer_of_ours,
        at(*GATEWAY, "THROTTLED", "responseParameters", "gatewayresponse.header.Access-Control-Allow-Origin"),
        "'*'",
    ),
    (
        what_the_gateway_answers_by_itself_reads_like_an_answer_of_ours,
        at(*GATEWAY, "MISSING_AUTHENTICATION_TOKEN", "statusCode"),
        "403",
    ),
    (each_dead_letter_queue_alarms_at_its_first_message, at("FeedbackDeadLettersAlarm", "Properties"), {}),
    (
        each_dead_letter_queue_alarms_at_its_first_message,
        at("WavesDeadLettersAlarm", "Properties", "Threshold"),
        10,
    ),
    (
        logs_are_kept_as_long_as_asked_and_no_longer,
        at("AutopilotLogGroup", "Properties", "RetentionInDays"),
        GONE,
    ),
    (
        only_the_topic_may_say_what_became_of_an_email,
        at("FeedbackQueuePolicy", "Properties", "PolicyDocument", "Statement", 0, "Condition"),
        {},
    ),
    (
        access_logs_hold_no_query_and_end_after_two_days_with_no_version_left,
        at("TrafficDelivery", "Properties", "RecordFields", 3),
        "cs-uri-query",
    ),
    (
        only_a_delivered_log_starts_the_function_that_writes_beside_it,
        at("TrafficQueuePolicy", "Properties", "PolicyDocument", "Statement", 0, "Condition"),
        {},
    ),
]


def broken(resources: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Resources with one thing changed, or gone."""
    *above, last = path
    part: Any = resources
    for key in above:
        part = part[key]
    if value is GONE:
        del part[last]
    else:
        part[last] = value
    return resources


@pytest.mark.parametrize(
    ("check", "path", "value"),
    BROKEN,
    ids=[f"{check.__name__}-{'.'.join(str(key) for key in path[-2:])}" for check, path, _ in BROKEN],
)
def test_a_broken_promise_is_seen(check: Promise, path: tuple[Any, ...], value: Any) -> None:
    resources = broken(translated()["Resources"], path, value)
    with pytest.raises((AssertionError, KeyError)):
        check(resources)


def statement_with(resources: dict[str, Any], function: str, word: str) -> Any:
    """The one statement of a function's role that speaks of `word`."""
    (found,) = [statement for statement in statements(resources, function) if word in json.dumps(statement)]
    return found


def test_sending_from_any_address_is_seen() -> None:
    resources = translated()["Resources"]
    del statement_with(resources, "SendWave", "ses:SendBulkEmail")["Condition"]
    with pytest.raises(KeyError):
        only_the_two_senders_may_send_and_only_from_the_shops_address(resources)


def test_another_function_that_may_send_is_seen() -> None:
    resources = translated()["Resources"]
    policy = resources["OnFeedbackRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    policy["Statement"].append(statement_with(resources, "SendWave", "ses:SendBulkEmail"))
    with pytest.raises(AssertionError):
        only_the_two_senders_may_send_and_only_from_the_shops_address(resources)


def test_feedback_without_the_right_to_read_the_smtp_secret_is_seen() -> None:
    resources = translated()["Resources"]
    policy = resources["OnFeedbackRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    policy["Statement"] = [item for item in policy["Statement"] if "SmtpSecretArn" not in json.dumps(item)]
    with pytest.raises(AssertionError):
        who_sends_or_judges_sending_may_read_how_it_is_sent(resources)


def test_each_promise_is_broken_once() -> None:
    alone = {
        only_the_two_senders_may_send_and_only_from_the_shops_address,
        who_sends_or_judges_sending_may_read_how_it_is_sent,
    }
    assert {check for check, _, _ in BROKEN} | alone == set(PROMISES)
