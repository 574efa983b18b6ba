"""Lets the emulator's IAM judge a call that sends emails as AWS does: by whom it sends from.

The emulator asks whether the caller may send from anything (`*`), and does not know the condition key
`ses:FromAddress`: a role that may send from one identity and one address alone could not send at all.
"""

import json
from contextvars import ContextVar
from email.utils import parseaddr
from typing import Any

SENDING_PATHS = ("/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails")


def sender_of(path: str, body: bytes) -> str | None:
    """The address that a SES v2 call sends from; None when it does not send."""
    if path.rstrip("/") not in SENDING_PATHS:
        return None
    try:
        return parseaddr(str(json.loads(body)["FromEmailAddress"]))[1]
    except (ValueError, KeyError, TypeError):
        return None


def judge_by_sender() -> None:
    """Have every policy check of a sending call in this process see the sender's identity and address."""
    from ministack import app
    from ministack.core.responses import get_account_id, get_region

    check_call, check = app._enforce_ses_v2, app._enforce_data_plane
    sender: ContextVar[str | None] = ContextVar("sender", default=None)

    def check_call_of_sender(method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        token = sender.set(sender_of(path, body))
        try:
            return check_call(method, path, headers, body, *rest)
        finally:
            sender.reset(token)

    def check_sender(service: str, *rest: Any, **named: Any) -> Any:
        if service == "sesv2" and (address := sender.get()):
            named["resource_arn"] = f"arn:aws:ses:{get_region()}:{get_account_id()}:identity/{address}"
            named["service_context"] = {"ses:FromAddress": address}
        return check(service, *rest, **named)

    app._enforce_ses_v2, app._enforce_data_plane = check_call_of_sender, check_sender
