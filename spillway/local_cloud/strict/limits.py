"""Limits that AWS documents in words and its models leave out; added to the models, they are refused alike.

A path leads from an operation to a member: `[]` stands for the members of a list, `{}` for the keys of a map,
`{}.` for its values.
"""

from collections.abc import Mapping
from typing import Any

Limits = Mapping[str, Any]

NAME_1_TO_255 = {"pattern": r"#\w{1,254}"}
VALUE_1_TO_255 = {"pattern": r":\w{1,254}"}
HOURS_12_S = {"min": 0, "max": 12 * 3600}
GROUP = {"min": 1, "max": 128, "pattern": r"[!-~]*"}
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
ATTRIBUTES: Mapping[str, Limits] = {
    "MessageAttributes": {"max": 10},
    "MessageAttributes.{}": {"max": 256, "pattern": r"(?i)(?!aws\.|amazon\.|\.)(?!.*\.\.)[\w.-]+(?<!\.)"},
    "MessageAttributes.{}.DataType": {"max": 256, "pattern": r"(String|Number|Binary)(\.[ -~]+)?"},
    "MessageAttributes.{}.StringValue": {"min": 1},
}
TAG = {"min": 1, "max": 256, "pattern": r"[A-Za-z0-9_-]*"}
WITH_EXPRESSIONS = ("DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")


def _below(place: str, limits: Mapping[str, Limits]) -> dict[str, Limits]:
    return {f"{place}.{path}": limit for path, limit in limits.items()}


def _tags(place: str) -> dict[str, Limits]:
    """Return the limits of tags: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html."""
    return {place: {"max": 50}, f"{place}.[].Name": TAG, f"{place}.[].Value": TAG}


LIMITS: Mapping[str, Mapping[str, Limits]] = {
    "dynamodb": {
        f"{operation}.{member}.{{}}": limit
        for operation in WITH_EXPRESSIONS
        for member, limit in (
            ("ExpressionAttributeNames", NAME_1_TO_255),
            ("ExpressionAttributeValues", VALUE_1_TO_255),
        )
        if (operation, member) != ("GetItem", "ExpressionAttributeValues")
    },
    "events": {
        "PutRule.ScheduleExpression": {
            "pattern": r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)"
            r"|cron\(\S+( \S+){5}\)|"
        },
    },
    "lambda": {
        "CreateFunction.FunctionName": {"pattern": r"(.*:)?[\w-]{1,64}"},
        "CreateFunction.Layers": {"max": 5},
    },
    "secretsmanager": {"CreateSecret.Name": {"pattern": r"[\w/+=.@!-]+"}},
    "sesv2": {
        **_tags("SendEmail.EmailTags"),
        **_tags("SendBulkEmail.DefaultEmailTags"),
        **_tags("SendBulkEmail.BulkEmailEntries.[].ReplacementTags"),
        "CreateConfigurationSet.ConfigurationSetName": {"pattern": r"[A-Za-z0-9_-]{1,64}"},
    },
    "sns": {
        "Publish.Message": {"min": 1},
        # AWS's page says less than 100; a subject of 100 is taken. https://github.com/getmoto/moto/issues/1503
        "Publish.Subject": {"min": 1, "max": 100, "pattern": r"[^\x00-\x1f\x7f]*"},
    },
    "sqs": {
        "ChangeMessageVisibility.VisibilityTimeout": HOURS_12_S,
        "ChangeMessageVisibilityBatch.Entries.[].VisibilityTimeout": HOURS_12_S,
        "CreateQueue.QueueName": {"pattern": r"[\w-]{1,80}|[\w-]{1,75}\.fifo"},
        "ReceiveMessage.VisibilityTimeout": HOURS_12_S,
        "ReceiveMessage.WaitTimeSeconds": {"min": 0, "max": 20},
        "SendMessage.MessageGroupId": GROUP,
        "SendMessageBatch.Entries.[].MessageGroupId": GROUP,
        **_below("SendMessage", ATTRIBUTES),
        **_below("SendMessageBatch.Entries.[]", ATTRIBUTES),
    },
}


def limit(service: str, operation: str, shape: Any) -> None:
    """Add the limits of an operation to the shape of its input."""
    for path, limits in LIMITS.get(service, {}).items():
        named, *steps = path.split(".")
        if named == operation:
            found = shape
            for number, step in enumerate(steps):
                if step == "[]":
                    found = found.member
                elif step == "{}":
                    found = found.key if number == len(steps) - 1 else found.value
                else:
                    found = found.members[step]
            found.metadata.update(limits)
