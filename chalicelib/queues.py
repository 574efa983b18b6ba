"""The queues of work for later."""

import json
from typing import TYPE_CHECKING

from chalicelib.domain.wave import WaveMessage, to_json

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class WavesQueue:
    """Steps of fan-outs."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def put(self, message: WaveMessage, *, delay_s: int = 0) -> None:
        """Queue one message, to be seen after `delay_s` seconds (at most 900)."""
        self._client.send_message(QueueUrl=self._url, MessageBody=to_json(message), DelaySeconds=delay_s)


class ConfirmationsQueue:
    """Letters that shoppers asked for: to confirm an entry, or to see all of theirs."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def put(self, shopper: str, sku: str) -> None:
        """Queue the confirmation letter of one entry."""
        body = json.dumps({"shopper": shopper, "sku": sku}, sort_keys=True)
        self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def put_back(self, body: str, *, delay_s: int) -> None:
        """Queue a letter's message again, as it came, to be seen after `delay_s` seconds (at most 900)."""
        self._client.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay_s)

    def put_yours(self, shopper: str) -> None:
        """Queue the letter that leads a shopper to all they wait for."""
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps({"shopper": shopper}))
