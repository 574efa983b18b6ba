"""Events as SES publishes them, and the outgoing in which SNS puts each into a queue.

After https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html, with every field.
"""

import json
from typing import Any

TOPIC, SET = "arn:aws:sns:us-east-1:123456789012:feedback", "emails"
SENT = "2026-11-23T17:00:00.000Z"
AT = "2026-11-23T17:00:02.669Z"
MAILBOX = "ada@example.com"

BOUNCED = [{"emailAddress": MAILBOX, "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550"}]
DELAYED = [{"emailAddress": MAILBOX, "status": "4.4.1", "diagnosticCode": "smtp; 421 Unable to connect"}]
STATUS = [{"topicName": "t", "subscriptionStatus": "OptOut"}]
TOPICS = {"unsubscribeAll": False, "topicSubscriptionStatus": STATUS}

# By the type of the event: the name of the object with its details, and what is in it.
DETAILS: dict[str, tuple[str, dict[str, Any]]] = {
    "Send": ("send", {}),
    "Delivery": (
        "delivery",
        {
            "timestamp": AT,
            "processingTimeMillis": 2669,
            "recipients": [MAILBOX],
            "smtpResponse": "250 2.6.0 Message received",
            "remoteMtaIp": "192.0.2.7",
            "reportingMTA": "mta.example.com",
        },
    ),
    "Bounce": (
        "bounce",
        {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": BOUNCED,
            "timestamp": AT,
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "reportingMTA": "dsn; mta.example.com",
        },
    ),
    "Complaint": (
        "complaint",
        {
            "complainedRecipients": [{"emailAddress": MAILBOX}],
            "timestamp": AT,
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "complaintSubType": None,
            "userAgent": "Mail provider's feedback loop",
            "complaintFeedbackType": "abuse",
            "arrivalDate": AT,
        },
    ),
    "Reject": ("reject", {"reason": "Bad content"}),
    "Rendering Failure": (
        "failure",
        {"errorMessage": "Attribute 'x' is not present in the rendering data.", "templateName": "t"},
    ),
    "DeliveryDelay": (
        "deliveryDelay",
        {
            "timestamp": AT,
            "delayType": "TransientCommunicationFailure",
            "expirationTime": "2026-11-24T17:00:00.914Z",
            "delayedRecipients": DELAYED,
        },
    ),
    "Subscription": (
        "subscription",
        {
            "contactList": "c",
            "timestamp": AT,
            "source": "UnsubscribeHeader",
            "newTopicPreferences": TOPICS,
            "oldTopicPreferences": TOPICS,
        },
    ),
    "Open": ("open", {"timestamp": AT, "userAgent": "Mozilla/5.0", "ipAddress": "192.0.2.1"}),
    "Click": ("click", {"timestamp": AT, "link": "https://www.heron.example/", "ipAddress": "192.0.2.1"}),
}


def event(
    kind: str, tags: dict[str, str], *, message_id: str = "m1", sent: str = SENT, **details: Any
) -> dict[str, Any]:
    """An event about an email that was sent with `tags`; `details` replace those of its kind."""
    name, usual = DETAILS[kind]
    own = {
        "ses:operation": "SendBulkEmail",
        "ses:configuration-set": SET,
        "ses:source-ip": "192.0.2.0",
        "ses:from-domain": "heron.example",
        "ses:caller-identity": "send-wave",
    }
    headers = {"From": "hello@heron.example", "To": MAILBOX, "Subject": "It is back"}
    return {
        "eventType": kind,
        "mail": {
            "timestamp": sent,
            "messageId": message_id,
            "source": "Heron & Daughters <hello@heron.example>",
            "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/heron.example",
            "sendingAccountId": "123456789012",
            "destination": [MAILBOX],
            "headersTruncated": False,
            "headers": [{"name": header, "value": value} for header, value in headers.items()],
            "commonHeaders": {"from": ["hello@heron.example"], "to": [MAILBOX], "messageId": message_id},
            "tags": {tag: [value] for tag, value in {**own, **tags}.items()},
        },
        name: {**usual, **details},
    }


def notification(document: Any, topic: str = TOPIC) -> str:
    """The body of the queue's message."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": topic,
            "Subject": "Amazon SES Email Event Notification",
            "Message": json.dumps(document),
            "Timestamp": AT,
            "SignatureVersion": "1",
            "Signature": "c2lnbmF0dXJl",
            "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
        }
    )
