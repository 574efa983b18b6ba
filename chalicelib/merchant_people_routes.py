"""The actions of the merchant's page on shoppers and failed jobs, under /api/merchant.

Each look at a shopper's data is written to the access log before it takes place, as the commands do. An
address comes in the body of a request alone, never in a URL.
"""

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Request, Response

from chalicelib.http.request import FieldError, Problem
from chalicelib.http.responses import json_answer
from chalicelib.http.routing import POST, READ, Routes
from chalicelib.merchant_action_routes import acting, once

if TYPE_CHECKING:
    from chalicelib.container import Container
    from chalicelib.domain.address import Address
    from chalicelib.domain.previews import ActionPreview
    from chalicelib.http.merchant_actions import Fields
    from chalicelib.services.shopper_records import ShopperRecord

FAILED_SHOWN_MAX = 10

routes = Routes("/merchant")
route = routes.route


@route("/shopper", methods=POST)
def look_up_shopper(request: Request, container: "Container") -> Response:
    """Say whether a shopper is known; with `show`, everything that is stored. Both are logged."""
    from chalicelib.http.merchant_actions import Fields
    from chalicelib.services.shopper_records import masked_document, shown_document

    session = acting(request, container)
    fields = Fields.of(request, "email", "show")
    address, show = fields.address(), fields.flag("show")
    fields.check()
    assert address is not None, "checked"  # noqa: S101
    records = container.shopper_records
    shopper = records.id_of(address)
    container.note_access(session.merchant, "shopper show" if show else "shopper look-up", shopper)
    record = records.of(shopper)
    token = container.preview_tokens.sign(session.merchant, _erasure(record))
    if not show:
        return json_answer(masked_document(address, record, token))
    sold = container.products.selling(kept.entry.sku for kept in record.entries)
    titles = {sku: stocked.product.title for sku, stocked in sold.items()}
    return json_answer(shown_document(address, record, titles, token))


@route("/shopper/erase", methods=POST)
def erase_shopper(request: Request, container: "Container") -> Response:
    """Delete everything that is stored about a shopper; a suppression stays, as an id."""
    from chalicelib.http.merchant_actions import Fields, require_agreed
    from chalicelib.services.shopper_records import masked_document

    session = acting(request, container)
    fields = Fields.of(request, "email")
    address = fields.address()
    fields.check()
    assert address is not None, "checked"  # noqa: S101

    def act(_: str) -> dict[str, Any]:
        records = container.shopper_records
        shopper = records.id_of(address)
        record = records.of(shopper)
        seen = _erasure(record)
        document = masked_document(address, record, container.preview_tokens.sign(session.merchant, seen))
        require_agreed(request, container.preview_tokens, session.merchant, seen, document)
        container.note_access(session.merchant, "shopper erase", shopper)
        container.audit.record(session, "erase", shopper, f"{len(record.entries)} entries", None)
        rows = records.erase(shopper)
        return {"rows": rows, "suppressed": record.suppression is not None}

    return once(request, container, session, act)


@route("/shopper/lift", methods=POST)
def lift_suppression(request: Request, container: "Container") -> Response:
    """Allow emails to a shopper again, with a reason; a complaint needs the shopper's own request."""
    from chalicelib.http.merchant_actions import Fields
    from chalicelib.services.shopper_records import LiftRefused

    session = acting(request, container)
    fields = Fields.of(request, "email", "because", "shopper_asked")
    address, asked = fields.address(), fields.flag("shopper_asked")
    because = _reason(fields, address)
    fields.check()
    assert address is not None, "checked"  # noqa: S101

    def act(_: str) -> dict[str, Any]:
        records = container.shopper_records
        shopper = records.id_of(address)
        try:
            before = records.require_liftable(shopper, shopper_asked=asked)
            container.note_access(session.merchant, "suppressions lift", shopper)
            container.audit.record(session, "lift", shopper, before.reason.value if before else None, because)
            lifted = records.lift(address, because, container.take_off_ses_list, shopper_asked=asked)
        except LiftRefused:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "This shopper reported an email as spam, so the suppression stays.",
                (FieldError("shopper_asked", "Only where the shopper asked for emails in writing."),),
            ) from None
        return {"lifted": lifted.before is not None, "ses": lifted.ses}

    return once(request, container, session, act)


@route("/failed", methods=READ)
def show_failed(request: Request, container: "Container") -> Response:
    """Return the failed jobs of each queue, without addresses, and what became of the last retry."""
    from chalicelib.http.merchant_session import signed_in

    signed_in(request, container)
    dead = container.dead_letters
    counts = {name: dead.count(name) for name in dead.names}
    some = {
        name: [dict(letter.facts) for letter in dead.look(name, most=FAILED_SHOWN_MAX, hidden_s=0)]
        for name, count in counts.items()
        if count
    }
    retries = container.merchant_actions_table.retries()
    queues = [
        {
            "queue": name,
            "failed": count,
            "some": some.get(name, []),
            "retry": asdict(retries[name]) if name in retries else None,
        }
        for name, count in counts.items()
    ]
    return json_answer({"queues": queues})


@route("/failed/retry", methods=POST)
def retry_failed(request: Request, container: "Container") -> Response:
    """Queue the retry of a queue's failed jobs; a job that is out of date has no effect."""
    from chalicelib.http.merchant_actions import Fields
    from chalicelib.tables.merchant_actions import Retry

    session = acting(request, container)
    fields = Fields.of(request, "queue", "forget_gone")
    queue, forget_gone = fields.choice("queue", container.dead_letters.names), fields.flag("forget_gone")
    fields.check()

    def act(_: str) -> dict[str, Any]:
        count = container.dead_letters.count(queue)
        after = "retried, and those that are too old deleted" if forget_gone else "retried"
        container.audit.record(session, "retry", queue, f"{count} failed jobs", after)
        now_ms = container.clock_ms()
        container.merchant_actions_table.put_retry(Retry(queue, now_ms))
        container.retries_queue.put(queue, forget_gone=forget_gone, at_ms=now_ms)
        return {"queue": queue, "failed": count}

    return once(request, container, session, act)


def _reason(fields: "Fields", address: "Address | None") -> str:
    """Return the reason of a lift, which is stored; an error says what is wrong with it."""
    from chalicelib.services.shopper_records import BECAUSE_CHARS_MAX, names_address

    because = fields.text("because", chars_max=BECAUSE_CHARS_MAX, needed="Say why emails are allowed again.")
    if address and names_address(because, address):
        fields.add("because", "The reason is stored: leave the address out of it.")
    return because


def _erasure(record: "ShopperRecord") -> "ActionPreview":
    from chalicelib.domain.previews import ActionPreview

    return ActionPreview("erase", record.shopper, facts=(str(len(record.entries)),))
