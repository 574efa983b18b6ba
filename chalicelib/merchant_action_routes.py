"""The actions of the merchant's page on stock, waves and sending, under /api/merchant.

Each action needs the role "act", happens once for each key of a dialog, and writes its audit row before it
acts. An action that emails or deletes has two steps: a preview with a signed token, and the action itself,
which is refused with a new preview where the figures have changed.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Request, Response

from chalicelib.http.request import FieldError, Problem, body_of
from chalicelib.http.responses import json_answer
from chalicelib.http.routing import POST, READ, Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chalicelib.container import Container
    from chalicelib.domain.merchant import Session
    from chalicelib.services.merchant_actions import FilePreview, StockChange, StockPreview

# A file that a browser sends from an input has one of these.
CSV_TYPES = ["text/csv", "text/plain", "application/vnd.ms-excel"]
AUDIT_CHARS_MAX = 1_000
TEST_EMAILS_PER_HOUR_MAX = 10
HOUR_S = 3600

routes = Routes("/merchant")
route = routes.route


@route("/stock/preview", methods=POST)
def preview_stock(request: Request, container: "Container") -> Response:
    """Show what a change of one variant's stock would do, and how many people it emails."""
    session = acting(request, container)
    return json_answer(_stock_document(container, session, _stock_preview(container, _change(request))))


@route("/stock", methods=POST)
def change_stock(request: Request, container: "Container") -> Response:
    """Change one variant's stock, as its preview said."""
    from chalicelib.domain.stock import EventOutcome
    from chalicelib.http.merchant_actions import require_agreed
    from chalicelib.services.merchant_actions import stock_words

    session = acting(request, container)
    change = _change(request)

    def act(key: str) -> dict[str, Any]:
        seen = _stock_preview(container, change)
        document = _stock_document(container, session, seen)
        require_agreed(request, container.preview_tokens, session.merchant, seen.preview, document)
        container.audit.record(
            session, change.action.value, change.sku, stock_words(seen.before), stock_words(seen.after)
        )
        outcome = container.merchant_actions.change_stock(change, f"merchant-{key}").outcome
        if outcome is EventOutcome.UNKNOWN_SKU:
            raise _unknown_sku()
        if outcome is EventOutcome.BUSY:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many people at once. Try again in a moment.",
                retry_after_s=1,
            )
        return {"sku": change.sku, "outcome": outcome.value, "emails": seen.emails}

    return once(request, container, session, act)


@route("/stock-file/preview", methods=POST, content_types=CSV_TYPES)
def preview_stock_file(request: Request, container: "Container") -> Response:
    """Show each change of a stock file, its mistakes, and how many people it emails."""
    session = acting(request, container)
    return json_answer(_file_document(container, session, _file_preview(request, container)))


@route("/stock-file", methods=POST, content_types=CSV_TYPES)
def apply_stock_file(request: Request, container: "Container") -> Response:
    """Apply the valid lines of a stock file, as its preview said."""
    from chalicelib.http.merchant_actions import require_agreed
    from chalicelib.services.merchant_actions import change_words, mistakes_document

    session = acting(request, container)

    def act(_: str) -> dict[str, Any]:
        seen = _file_preview(request, container)
        document = _file_document(container, session, seen)
        require_agreed(request, container.preview_tokens, session.merchant, seen.preview, document)
        changes = seen.planned.changes
        listed = "; ".join(map(change_words, changes))[:AUDIT_CHARS_MAX]
        container.audit.record(session, "stock file", f"file {seen.digest[:16]}", None, listed or None)
        overtaken = container.merchant_actions.apply_file(seen)
        return {
            "changed": len(changes) - len(overtaken),
            "emails": seen.planned.mailed,
            "mistakes": mistakes_document(overtaken),
        }

    return once(request, container, session, act)


@route("/wave-policy", methods=READ)
def show_policy(request: Request, container: "Container") -> Response:
    """Return the wave policy of the shop, and of the product that `product` names."""
    from chalicelib.http.merchant_actions import policy_document, requested_product
    from chalicelib.http.merchant_session import signed_in

    signed_in(request, container)
    slug = requested_product(request)
    own = container.policies.own(slug) if slug else None
    shop = container.policies.of(None)
    return json_answer({"shop": policy_document(shop), "product": policy_document(own)})


@route("/wave-policy", methods=POST)
def set_policy(request: Request, container: "Container") -> Response:
    """Set how many people a restock notifies at once, for the shop or for one product."""
    from chalicelib.http.merchant_actions import policy_change, policy_document
    from chalicelib.services.merchant_actions import policy_words

    session = acting(request, container)
    change = policy_change(request)

    def act(_: str) -> dict[str, Any]:
        if change.slug and container.products.get(change.slug) is None:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "Some fields are not right.",
                (FieldError("product", "This shop has no such product."),),
            )
        before = container.policies.own(change.slug)
        container.audit.record(
            session,
            "wave policy",
            change.slug or "the shop",
            policy_words(before),
            policy_words(change.policy),
        )
        if change.policy is None:
            container.policies.remove(change.slug)
        else:
            container.policies.put(change.slug, change.policy)
        return {"before": policy_document(before), "after": policy_document(change.policy)}

    return once(request, container, session, act)


@route("/pause", methods=POST)
def pause(request: Request, container: "Container") -> Response:
    """Stop all sending, with a reason."""
    from chalicelib.http.merchant_actions import pause_reason

    session = acting(request, container)
    reason = pause_reason(request)

    def act(_: str) -> dict[str, Any]:
        state = container.sending_rate.state()
        earlier = state.paused if state else None
        container.audit.record(session, "pause", "sending", earlier, reason)
        paused = container.sending_rate.pause(reason)
        return {"paused": reason if paused else earlier, "was_paused": not paused}

    return once(request, container, session, act)


@route("/resume", methods=POST)
def resume(request: Request, container: "Container") -> Response:
    """Start sending again; counts of bounces and complaints start at zero."""
    from chalicelib.tables.sending.deliverability import resume_sending

    session = acting(request, container)

    def act(_: str) -> dict[str, Any]:
        state = container.sending_rate.state()
        container.audit.record(session, "resume", "sending", state.paused if state else None, None)
        reason = resume_sending(container.sending_rate, container.deliverability, at_ms=container.clock_ms())
        return {"was_paused": reason}

    return once(request, container, session, act)


@route("/test-email", methods=POST)
def send_test_email(request: Request, container: "Container") -> Response:
    """Queue a test email to the merchant's own address, in the language that the address names."""
    from chalicelib.http.link_forms import MERCHANT_PAGE
    from chalicelib.http.merchant_actions import Fields
    from chalicelib.http.request import requested_root

    session = acting(request, container)
    Fields.of(request).check()
    page = f"{requested_root(request)}{MERCHANT_PAGE}"

    def act(_: str) -> dict[str, Any]:
        now_ms = container.clock_ms()
        if not container.merchants.count_requested(
            f"test#{session.merchant}",
            at_ms=now_ms,
            limit=TEST_EMAILS_PER_HOUR_MAX,
            expires_at_s=now_ms // 1000 + 2 * HOUR_S,
        ):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "You have sent ten test emails this hour. Try again in the next one.",
                retry_after_s=HOUR_S - now_ms // 1000 % HOUR_S,
            )
        container.audit.record(session, "test email", "sending", None, None)
        container.confirmations_queue.put_test(session.merchant, page)
        return {"status": "queued"}

    return once(request, container, session, act)


def acting(request: Request, container: "Container") -> "Session":
    """Return the session of a merchant who may act."""
    from chalicelib.http.merchant_session import may_act

    return may_act(request, container)


def once(
    request: Request, container: "Container", session: "Session", act: "Callable[[str], Mapping[str, Any]]"
) -> Response:
    """Act once for the key of the request.

    Raises:
        Problem: 400 without a key, 409 another request has it, or the action is under way.
    """
    from chalicelib.http.merchant_actions import answer_once
    from chalicelib.tables.merchant_actions import ActionKeyInUse

    store, now_ms = container.merchant_actions_table, container.clock_ms()
    try:
        return answer_once(request, store, session.merchant, now_ms, act)
    except ActionKeyInUse as taken:
        if taken.other:
            raise Problem(HTTPStatus.CONFLICT, "This key belongs to another request.") from None
        raise Problem(
            HTTPStatus.CONFLICT, "This action is under way. Look at the page in a moment."
        ) from None


def _change(request: Request) -> "StockChange":
    from chalicelib.http.merchant_actions import Fields, units_field
    from chalicelib.services.merchant_actions import StockAction, StockChange

    fields = Fields.of(request, "sku", "action", "units")
    action = fields.choice("action", tuple(StockAction))
    sku, units = fields.sku(), units_field(fields)
    if action == StockAction.AVAILABLE and units == 0:
        fields.add("units", "Nothing is in stock: mark it as sold out.")
    if action == StockAction.CORRECT and units is None and not fields.errors:
        fields.add("units", "Say how many there are.")
    fields.check()
    return StockChange(sku, StockAction(action), units)


def _unknown_sku() -> Problem:
    unknown = FieldError("sku", "This shop sells nothing under that name.")
    return Problem(HTTPStatus.BAD_REQUEST, "Some fields are not right.", (unknown,))


def _stock_preview(container: "Container", change: "StockChange") -> "StockPreview":
    from chalicelib.services.merchant_actions import UnknownSku

    try:
        return container.merchant_actions.preview_stock(change)
    except UnknownSku:
        raise _unknown_sku() from None


def _stock_document(container: "Container", session: "Session", seen: "StockPreview") -> dict[str, Any]:
    return seen.document(container.preview_tokens.sign(session.merchant, seen.preview))


def _file_preview(request: Request, container: "Container") -> "FilePreview":
    from chalicelib.domain.stock_file import NumberFormat, StockFileRefused
    from chalicelib.services.merchant_actions import FILE_BYTES_MAX, FILE_LINES_MAX

    money = container.recent_themes.live().theme.editions[0].money
    numbers = NumberFormat(money.decimal_sign, money.group_sign, money.group_sizes)
    try:
        return container.merchant_actions.preview_file(body_of(request).raw, numbers, container.new_id)
    except StockFileRefused as refused:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if refused.is_too_large else HTTPStatus.BAD_REQUEST
        error = FieldError(
            "file",
            "%(why)s. A file here begins with the line sku,stock and has at most %(variants)s variants and"
            " %(size)s kB; the command spillway stock takes larger ones.",
            values={"why": refused, "variants": FILE_LINES_MAX - 1, "size": FILE_BYTES_MAX // 1000},
        )
        raise Problem(status, "The file cannot be read.", (error,)) from None


def _file_document(container: "Container", session: "Session", seen: "FilePreview") -> dict[str, Any]:
    minutes = container.merchant_actions.minutes_for(seen.planned.mailed)
    return seen.document(minutes, container.preview_tokens.sign(session.merchant, seen.preview))
