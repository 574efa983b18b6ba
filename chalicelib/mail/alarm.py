"""Alarms: notices to the subscribers of the shop's alarm topic."""

from typing import Any

SUBJECT_CHARS_MAX = 100


class Alarm:
    """Publishes to the topic of the shop's alarms, by boto3's SNS client."""

    def __init__(self, client: Any, topic: str) -> None:
        self._client = client
        self._topic = topic

    def ring(self, subject: str, text: str) -> None:
        """Publish a notice."""
        self._client.publish(TopicArn=self._topic, Subject=subject[:SUBJECT_CHARS_MAX], Message=text)
