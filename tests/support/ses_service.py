"""SES, answered at botocore's client: its requests are held to the model of the service."""

import re
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import (
    ClientError,
)

from chalicelib.domain.email import (
    Email,
    OutgoingEmail,
)
from chalicelib.mail.ses import SesSender

SENDER = "Heron & Daughters <hello@heron.example>"


LINK = f"<https://www.heron.example/api/unsubscribe?token={'t' * 300}>"


Answer = Callable[[list[dict[str, Any]]], list[str]]


def emails(count: int, **facts: Any) -> list[OutgoingEmail]:
    headers = {"Auto-Submitted": "auto-generated", "List-Unsubscribe": LINK}
    return [
        OutgoingEmail(
            f"s{number}@example.com", Email("It is back ☔", "Text.", "<p>Text.</p>"), headers, **facts
        )
        for number in range(count)
    ]


def held_to(shape: Any, value: Any) -> None:
    """Check the limits of a model that botocore's own validation leaves to the service."""
    if shape.type_name == "structure":
        for name, member in value.items():
            held_to(shape.members[name], member)
    elif shape.type_name == "list":
        assert len(value) <= shape.metadata.get("max", len(value)), shape.name
        for item in value:
            held_to(shape.member, item)
    elif shape.type_name == "string":
        assert not shape.enum or value in shape.enum, shape.name
        assert shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", len(value)), shape.name
        assert re.fullmatch(shape.metadata.get("pattern", ".*"), value, re.DOTALL), (shape.name, value)


class SesService:
    """SES, as far as its model goes: `answer` gives a status for each entry, or raises."""

    def __init__(self) -> None:
        self.client: Any = boto3.client(
            "sesv2", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.requests: list[dict[str, Any]] = []
        self.answer: Answer = lambda entries: ["SUCCESS"] * len(entries)
        # Validated and serialised by botocore; answered before anything is sent.
        self.client.meta.events.register("before-parameter-build.sesv2.SendBulkEmail", self._build)
        self.client.meta.events.register("before-call.sesv2.SendBulkEmail", self._call)

    def _build(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        held_to(model.input_shape, params)
        self.requests.append(params)

    def _call(self, **_: Any) -> Any:
        entries = self.requests[-1]["BulkEmailEntries"]
        results = [
            ({"Status": status} if status else {})
            | ({"MessageId": f"m{number}"} if status == "SUCCESS" else {})
            for number, status in enumerate(self.answer(entries))
        ]
        return _Http(200), {"BulkEmailEntryResults": results}


class _Http:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


def sender(ses: SesService) -> SesSender:
    return SesSender(ses.client, "emails")


def refuse(code: str, status: int = 400) -> Answer:
    def answer(_: list[dict[str, Any]]) -> list[str]:
        raise ClientError(
            {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
            "SendBulkEmail",
        )

    return answer


def address(entry: dict[str, Any]) -> str:
    return str(entry["Destination"]["ToAddresses"][0])
