"""The Lambda functions: routes and event handlers that parse, call a service and answer.

ARCHITECTURE.md lists the events and their reactions; chalicelib.services has what they do.
"""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING

from chalice.app import Chalice, CloudWatchEvent, DynamoDBEvent, Request, Response, SQSEvent

from chalicelib import (
    event_routes,
    merchant_action_routes,
    merchant_people_routes,
    merchant_routes,
    report_routes,
)
from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.entry import EntryState
from chalicelib.domain.ids import ShopperId, source_id
from chalicelib.domain.tokens import LinkRefused, Purpose
from chalicelib.http import link_forms, responses
from chalicelib.http.request import (
    RequestBody,
    body_of,
    link_address,
    refuse_foreign,
    requested_root,
    viewer_address,
)
from chalicelib.http.routing import ANY_TYPE, FORMS, POST, READ, add_middleware
from chalicelib.http.signup import answer_signup, once_more_page, parse_signup, undo_form, undo_refused
from chalicelib.log import log

if TYPE_CHECKING:
    from chalicelib.batches import BatchFailures
    from chalicelib.services.waitlist import LinkedEntry
    from chalicelib.storefront.renderer import Renderer

# Chalice requires an ARN here; .chalice/resources/functions.yaml replaces it by the stack's stream or queue.
REPLACED_BY_THE_STACK = "arn:aws:sqs:us-east-1:000000000000:replaced-by-the-stack"

app = Chalice(app_name="spillway")
container = Container.of_lambda()


def answering(view: Callable[[Request], Response]) -> Callable[[], Response]:
    """Return a view that gets the request as an argument, and whose errors become answers."""

    @wraps(view)
    def answer() -> Response:
        request = app.current_request
        assert request is not None, "Chalice sets the request before it calls a view"  # noqa: S101
        try:
            return view(request)
        except Exception as error:  # noqa: BLE001 - every error is an answer
            return responses.refusal(request, responses.problem_of(error), _live_theme)

    return answer


# Called late: tests put another container in its place.
add_middleware(app, lambda: container.clock_ms())  # noqa: PLW0108


@app.route("/waitlist", methods=POST, content_types=FORMS)
@answering
def sign_up(request: Request) -> Response:
    """Sign a shopper up: one conditional write per variant; the same answer to every shopper."""
    form = parse_signup(_own_form(request), container.form_tokens())
    with responses.form_kept(form.page, form.fields_for(form.address.mailbox)):
        decision = container.signups.decide(form, _source(request))
    return answer_signup(
        request,
        form,
        decision,
        undo_token=lambda at_ms: container.links.undo_token(_shopper(form.address), at_ms),
        theme=_live_theme,
        products_of=lambda skus: container.waitlist.products_of(skus),  # noqa: PLW0108 - built when asked
    )


@app.route("/waitlist/undo", methods=POST, content_types=FORMS)
@answering
def undo_signup(request: Request) -> Response:
    """Undo a signup of the last half an hour; the answer is the same if nothing was stored."""
    address, skus, token = undo_form(_own_form(request))
    try:
        container.waitlist.undo(_shopper(address), skus, token)
    except LinkRefused:
        raise undo_refused() from None
    return _redirect(request, "/waitlist/undone") if responses.wants_html(request) else responses.undone()


@app.route("/confirm", methods=READ)
@answering
def show_confirmation(request: Request) -> Response:
    """Show what a confirmation link confirms. Change nothing: scanners follow links."""
    token = link_forms.link_token(request)
    linked = container.waitlist.linked_entries(Purpose.CONFIRM, token)
    if any(entry.confirmable for entry in linked):
        return _confirmation_page(request, linked, token)
    if any(entry.confirmed for entry in linked):
        return _redirect(request, "/waitlist/confirmed")
    if any(entry.notified for entry in linked):
        return _redirect(request, "/waitlist/notified")
    raise LinkRefused


@app.route("/confirm", methods=POST, content_types=FORMS)
@answering
def confirm(request: Request) -> Response:
    """Confirm the entries of a link: from now on, the shopper waits."""
    state = container.waitlist.confirm(link_forms.posted_token(_own_form(request)))
    if state is None:
        raise LinkRefused
    return _redirect(request, f"/waitlist/{'notified' if state is EntryState.NOTIFIED else 'confirmed'}")


@app.route("/unsubscribe", methods=READ)
@answering
def show_unsubscribe(request: Request) -> Response:
    """Show what an unsubscribe link ends. Change nothing."""
    token = link_forms.link_token(request)
    linked = container.waitlist.entry_to_unsubscribe(token)
    if linked is None:
        raise LinkRefused
    if linked.unsubscribed:
        return _redirect(request, "/waitlist/unsubscribed")
    renderer, at = _renderer_for(request), link_address(request, token)
    about = linked.product, linked.variant
    page = renderer.linked_page("unsubscribe.html", *about, at=at, token=token, notified=linked.notified)
    return responses.html_page(page, language=renderer.language)


@app.route("/unsubscribe", methods=POST, content_types=ANY_TYPE)
@answering
def unsubscribe(request: Request) -> Response:
    """Unsubscribe a shopper, by that page's button or by one click in a mail program (RFC 8058).

    The token alone counts: mail programs and scanners post other bodies and types than the RFC's, or none.
    """
    posted = link_forms.unsubscribe_tokens(request, body_of(request))
    link_forms.unsubscribe_by_any(posted.tokens, container.waitlist.unsubscribe)
    return _redirect(request, "/waitlist/unsubscribed") if posted.by_button else responses.done()


@app.route("/waitlists", methods=POST, content_types=FORMS)
@answering
def request_my_waitlists(request: Request) -> Response:
    """Queue the email with the link to a shopper's waitlists, which only known shoppers get."""
    address, honeypot = link_forms.asking_address(_own_form(request))
    if honeypot:
        log("honeypot")
        if responses.wants_html(request):
            return once_more_page("/api/waitlists", (("email", address.mailbox),), _renderer_for(request))
    else:
        container.confirmations_queue.put_my_waitlists(_shopper(address), _source(request))
    return _redirect(request, "/waitlist/sent") if responses.wants_html(request) else responses.accepted()


@app.route("/waitlists", methods=READ)
@answering
def show_my_waitlists(request: Request) -> Response:
    """Show each waitlist of a shopper. Change nothing."""
    token = link_forms.link_token(request)
    renderer = _renderer_for(request)
    awaited = container.my_waitlists.awaited(token, renderer.localize)
    page = renderer.page("my-waitlists.html", at=link_address(request, token), awaited=awaited, token=token)
    return responses.html_page(page, language=renderer.language)


@app.route("/waitlists/export", methods=READ)
@answering
def export_my_waitlists(request: Request) -> Response:
    """Return everything that is stored about a shopper, as JSON."""
    return responses.json_file(
        container.my_waitlists.export(link_forms.link_token(request)), name="waitlists.json"
    )


@app.route("/waitlists/leave", methods=POST, content_types=FORMS)
@answering
def unsubscribe_my_waitlists(request: Request) -> Response:
    """Unsubscribe a shopper from one waitlist, or from each."""
    token, sku = link_forms.unsubscribe_choice(_own_form(request))
    container.my_waitlists.unsubscribe(token, sku)
    return _redirect(request, "/waitlist/unsubscribed")


@app.route("/waitlists/erase", methods=POST, content_types=FORMS)
@answering
def erase_my_waitlists(request: Request) -> Response:
    """Erase everything about a shopper."""
    container.my_waitlists.erase(link_forms.posted_token(_own_form(request)))
    return _redirect(request, "/waitlist/erased")


@app.route("/openapi.json", methods=READ)
@answering
def describe(_: Request) -> Response:
    """Return the OpenAPI document, for authors of programs."""
    return responses.description()


for module in (event_routes, merchant_routes, merchant_action_routes, merchant_people_routes, report_routes):
    module.routes.register(app, answering, lambda: container)


@app.on_dynamodb_record(stream_arn=REPLACED_BY_THE_STACK, batch_size=25, starting_position="TRIM_HORIZON")
def on_entry_written(event: DynamoDBEvent) -> "BatchFailures":
    """React to written entries: ask pending ones to confirm, notify confirmed ones if available."""
    from chalicelib.events import on_entries_written

    return on_entries_written(container, event.to_dict()["Records"])


@app.on_dynamodb_record(stream_arn=REPLACED_BY_THE_STACK, batch_size=50, starting_position="TRIM_HORIZON")
def count_demand(event: DynamoDBEvent) -> "BatchFailures":
    """Count the people who wait, by SKU: each written entry once."""
    from chalicelib.events import on_entries_counted

    return on_entries_counted(container, event.to_dict()["Records"])


@app.on_dynamodb_record(stream_arn=REPLACED_BY_THE_STACK, batch_size=10, starting_position="TRIM_HORIZON")
def on_product_changed(event: DynamoDBEvent) -> "BatchFailures":
    """React to changed stock: refresh the product's pages, open a fan-out for a restock."""
    from chalicelib.events import on_products_changed

    return on_products_changed(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=10)
def send_confirmations(event: SQSEvent) -> "BatchFailures":
    """Send the emails that shoppers requested and that are due."""
    from chalicelib.events import on_requested_emails, remaining_ms

    return on_requested_emails(container, event.to_dict()["Records"], remaining_ms(event.context))


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=1)
def send_wave(event: SQSEvent) -> "BatchFailures":
    """Work on a step of a fan-out: send and mark the next batches of a shard or a limited wave."""
    from chalicelib.events import on_wave_messages

    return on_wave_messages(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=10)
def on_feedback(event: SQSEvent) -> "BatchFailures":
    """Apply SES's events about emails: delivered, bounced, complained about."""
    from chalicelib.events import on_ses_events

    return on_ses_events(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=1)
def retry_failed_jobs(event: SQSEvent) -> "BatchFailures":
    """Process failed jobs again, as a merchant asked on the page."""
    from chalicelib.events import on_retry_messages

    return on_retry_messages(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=10)
def on_log_delivered(event: SQSEvent) -> "BatchFailures":
    """Count access logs that CloudFront delivered, and add them up by hour."""
    from chalicelib.events import on_logs_delivered

    return on_logs_delivered(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=10)
def on_inbound_event(event: SQSEvent) -> "BatchFailures":
    """Apply stock events of producers inside the merchant's AWS account."""
    from chalicelib.events import on_inbound_messages

    return on_inbound_messages(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=10)
def on_domain_event(event: SQSEvent) -> "BatchFailures":
    """Record domain events, fire their rules, pass them on."""
    from chalicelib.events import on_domain_events

    return on_domain_events(container, event.to_dict()["Records"])


@app.schedule("rate(1 hour)")
def emit_schedule(_: CloudWatchEvent) -> None:
    """Emit the hour, and a low coverage of access logs, as events, if a rule is about them."""
    from chalicelib.events import emit_hour

    emit_hour(container)


@app.on_sqs_message(queue_arn=REPLACED_BY_THE_STACK, batch_size=10)
def deliver_webhook(event: SQSEvent) -> "BatchFailures":
    """Deliver events to other systems; retry a failed delivery for 75 hours."""
    from chalicelib.events import on_webhook_deliveries

    return on_webhook_deliveries(container, event.to_dict()["Records"])


@app.schedule("rate(1 minute)")
def autopilot(_: CloudWatchEvent) -> None:
    """Watch the shop and act within the operator's bounds; the stack turns this on."""
    container.autopilot.run(dry_run=container.settings.autopilot_mode == "dry-run")


@app.schedule("rate(1 hour)")
def reconcile_stock(_: CloudWatchEvent) -> None:
    """Compare the stock with the lists of other systems whose accounts are known, and apply differences."""
    from chalicelib.events import on_hour

    on_hour(container)


@app.schedule("rate(1 day)")
def recount_demand(_: CloudWatchEvent) -> None:
    """Compare the counters of demand with the entries, and publish the difference."""
    from chalicelib.events import on_day

    on_day(container)


def _own_form(request: Request) -> RequestBody:
    refuse_foreign(request, container.settings.shop_origin, lambda: _live_theme().theme.shop.base_url)
    return body_of(request)


def _source(request: Request) -> str | None:
    """Return the id of the network that a request came from; None where it is not known."""
    return source_id(viewer_address(request), container.keys.identity)


def _shopper(address: Address) -> ShopperId:
    return address.shopper_id(container.keys.identity)


def _confirmation_page(request: Request, linked: "Sequence[LinkedEntry]", token: str) -> Response:
    renderer = _renderer_for(request)
    items = [
        (entry.product, entry.variant, entry.orderable)
        for entry in linked
        if entry.product and entry.variant and entry.confirmable
    ]
    page = renderer.linked_items_page(
        "confirm.html",
        items,
        at=link_address(request, token),
        token=token,
        coming=sum(entry.is_coming for entry in linked if entry.confirmable),
    )
    return responses.html_page(page, language=renderer.language)


def _live_theme() -> "Renderer":
    return container.recent_themes.live()


def _renderer_for(request: Request) -> "Renderer":
    return _live_theme().for_root(requested_root(request))


def _redirect(request: Request, path: str) -> Response:
    return responses.see_page(request, path, _live_theme)


# Every function imports this file; only the API's function serves signups.
if os.environ.get("_HANDLER") == "app.app":
    container.warm_up()
