"""Everything that runs in the cloud starts here: routes and event handlers that parse, call and answer.

The events and their reactions are listed in ARCHITECTURE.md; what each does is in chalicelib.services.
"""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING

from chalice.app import BaseLambdaEvent, Chalice, CloudWatchEvent, DynamoDBEvent, Request, Response, SQSEvent

from chalicelib.container import Container
from chalicelib.domain.entry import EntryState
from chalicelib.domain.links import LinkRefused, Purpose
from chalicelib.domain.locales import root_of
from chalicelib.domain.source import source_id
from chalicelib.domain.typos import suggestion
from chalicelib.http.forms import FORM_TYPE, JSON_TYPE, Body
from chalicelib.http.language import link_address, root_asked
from chalicelib.http.my_waitlists_form import asking_address, unsubscribe_choice
from chalicelib.http.origins import refuse_foreign
from chalicelib.http.refusals import in_problem_terms, problem_of, refusal
from chalicelib.http.responses import (
    accepted,
    description,
    done,
    html_page,
    json_file,
    see_other,
    undone,
    wants_html,
)
from chalicelib.http.signup_form import SignupForm, signup_form, undo_form, undo_refused
from chalicelib.http.token_form import link_token, posted_token, unsubscribe_by_any, unsubscribe_tokens
from chalicelib.http.viewer import viewer_address
from chalicelib.log import NAMESPACE, begin_request, log, measure

if TYPE_CHECKING:
    from chalicelib.events.batches import BatchFailures
    from chalicelib.services.waitlist import LinkedEntry
    from chalicelib.storefront.renderer import Renderer

FORMS = [FORM_TYPE, JSON_TYPE]
# A mail program may post anything, or nothing at all, to leave.
ANY_TYPE = ["*/*"]
# RFC 9110, section 9.3.2: HEAD is answered as GET is, without the body.
READ = ["GET", "HEAD"]
# Streams and queues are made by the stack: .chalice/resources.yaml says which one each handler gets.
TEMPLATE_NAMES_IT = "arn:aws:sqs:us-east-1:000000000000:see-resources-yaml"
DRY_RUN = "dry-run"
UNHURRIED_MS = 900_000

app = Chalice(app_name="spillway")
container = Container.of_lambda()


def answering(view: Callable[[Request], Response]) -> Callable[[], Response]:
    """A view that is handed its request, and whose errors become answers."""

    @wraps(view)
    def answer() -> Response:
        request = app.current_request
        assert request is not None, "Chalice sets the request before it calls a view"  # noqa: S101
        try:
            return view(request)
        except Exception as error:  # noqa: BLE001 - every error is an answer to somebody
            return refusal(request, problem_of(error), _live_theme)

    return answer


@app.middleware("http")
def problem_documents(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """The framework's own refusals leave as problem documents too."""
    return in_problem_terms(get_response(request))


@app.middleware("http")
def without_body(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Answer HEAD as GET, without the body."""
    response = get_response(request)
    if request.method == "HEAD":
        response.body = ""
    return response


@app.middleware("http")
def pluralize(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Every answer is a line in the log, and counted by route and status."""
    begin_request(getattr(app.lambda_context, "aws_request_id", ""))
    response = get_response(request)
    route = f"{request.method} {request.context.get('resourcePath', '')}"
    by = {"route": route, "status": str(response.status_code)}
    namespace = os.environ.get("METRICS_NAMESPACE", NAMESPACE)
    measure("answered", {"answers": 1}, at_ms=container.clock_ms(), by=by, namespace=namespace)
    return response


@app.middleware("dynamodb")
@app.middleware("sqs")
def traced(
    event: BaseLambdaEvent, get_response: "Callable[[BaseLambdaEvent], BatchFailures]"
) -> "BatchFailures":
    """What is logged about a batch of records names the request that brought it."""
    begin_request(getattr(event.context, "aws_request_id", ""))
    return get_response(event)


@app.route("/waitlist", methods=["POST"], content_types=FORMS)
@answering
def sign_up(request: Request) -> Response:
    """A shopper signs up: one conditional write per variant; the same answer whoever they are."""
    form = signup_form(
        _own_form(request), container.form_stamps(), container.refused_domains, container.offered_now
    )
    by_script = not wants_html(request)
    if form.trapped:
        log("trapped")
        if not by_script:
            from chalicelib.http.did_you_mean import once_more_page

            return once_more_page("/api/waitlist", form.fields_for(form.address.mailbox), _live(form.page))
        at_ms = container.clock_ms()
    else:
        at_ms = _take_in(form, _source(request))
    meant = suggestion(form.address)
    if by_script:
        return accepted(meant, _undo_token(form, at_ms) if form.undoable else "")
    return _signed_up(form, meant, at_ms)


def _take_in(form: SignupForm, source: str) -> int:
    try:
        return container.signups.sign_up(
            form.address,
            form.skus,
            page=form.page,
            consent=form.consent,
            opt_in=form.opt_in,
            source=source,
        )
    except Exception as error:
        problem = problem_of(error)
        problem.back_path, problem.again = form.page, form.fields_for(form.address.mailbox)
        raise problem from error


def _source(request: Request) -> str:
    """Return the id of the network that a request came from; empty where none is known."""
    return source_id(viewer_address(request), container.keys.identity)


def _undo_token(form: SignupForm, at_ms: int) -> str:
    return container.links.undo_token(form.address.shopper_id(container.keys.identity), at_ms)


def _signed_up(form: SignupForm, meant: str | None, at_ms: int) -> Response:
    """Answer a browser without the shop's script. The signup is stored, whatever fails here."""
    from chalicelib.http.did_you_mean import did_you_mean_page, signed_up_page

    try:
        renderer = _live(form.page)
        if meant:
            thanks_path = f"{renderer.edition.root}/waitlist/thanks"
            return did_you_mean_page(form, meant, renderer, thanks_path=thanks_path)
        products = container.waitlist.products_of(form.skus)
        return signed_up_page(form, _undo_token(form, at_ms), renderer, products)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is a page for it that is always there
        log("thanks_not_rendered", error=type(error).__name__)
        return see_other("/waitlist/thanks")


@app.route("/waitlist/undo", methods=["POST"], content_types=FORMS)
@answering
def undo_signup(request: Request) -> Response:
    """A shopper takes back what they just asked for. The answer is the same whether anything was stored."""
    address, skus, token = undo_form(_own_form(request))
    try:
        container.waitlist.undo(address.shopper_id(container.keys.identity), skus, token)
    except LinkRefused:
        raise undo_refused() from None
    return _onward(request, "/waitlist/undone") if wants_html(request) else undone()


@app.route("/confirm", methods=READ)
@answering
def show_confirmation(request: Request) -> Response:
    """The link of a confirmation email shows what it is about. It changes nothing: scanners follow links."""
    token = link_token(request)
    linked = container.waitlist.linked_entries(Purpose.CONFIRM, token)
    if any(one.confirmable for one in linked):
        return _confirmation_page(request, linked, token)
    if any(one.confirmed for one in linked):
        return _onward(request, "/waitlist/confirmed")
    if any(one.notified for one in linked):
        return _onward(request, "/waitlist/notified")
    raise LinkRefused


@app.route("/confirm", methods=["POST"], content_types=FORMS)
@answering
def confirm(request: Request) -> Response:
    """The button of that page puts the shopper into the line."""
    state = container.waitlist.confirm(posted_token(_own_form(request)))
    if state is None:
        raise LinkRefused
    notified = state is EntryState.NOTIFIED
    return _onward(request, "/waitlist/notified" if notified else "/waitlist/confirmed")


@app.route("/unsubscribe", methods=READ)
@answering
def show_unsubscribe(request: Request) -> Response:
    """The leave link of an email shows what it is about. It changes nothing."""
    token = link_token(request)
    linked = _linked(Purpose.UNSUBSCRIBE, token)
    return (
        _onward(request, "/waitlist/unsubscribed")
        if linked.unsubscribed
        else _linked_page(request, "unsubscribe.html", linked, token)
    )


@app.route("/unsubscribe", methods=["POST"], content_types=ANY_TYPE)
@answering
def leave(request: Request) -> Response:
    """The shopper leaves: by that page's button, or by one click in their mail program (RFC 8058).

    The token alone counts: mail programs and scanners post other bodies than the RFC asks for, or none.
    """
    leaving = unsubscribe_tokens(request, _body(request))
    unsubscribe_by_any(leaving.tokens, container.waitlist.unsubscribe)
    return _onward(request, "/waitlist/unsubscribed") if leaving.by_button else done()


@app.route("/availability", methods=["POST"], content_types=[JSON_TYPE])
@answering
def post_availability(request: Request) -> Response:
    """The merchant's own systems say what is in stock, with the key of the shop."""
    from chalicelib.http.merchant_requests import event_by_key, ignored_fields, outcome_answer

    body = _body(request)
    event = event_by_key(request, body, container.merchant_keys, container.clock_ms, container.new_id)
    return outcome_answer(event, container.availabilities.take_in(event), ignored_fields(body))


@app.route("/availability/webhook", methods=["POST"], content_types=[JSON_TYPE])
@answering
def availability_webhook(request: Request) -> Response:
    """The same, signed over the raw body instead of showing the key."""
    from chalicelib.http.merchant_requests import event_by_signature, ignored_fields, outcome_answer

    body = _body(request)
    event, digest = event_by_signature(request, body, container.merchant_keys, container.clock_ms)
    return outcome_answer(event, container.webhooks.take_in(event, digest), ignored_fields(body))


@app.route("/waitlists", methods=["POST"], content_types=FORMS)
@answering
def request_my_waitlists(request: Request) -> Response:
    """A shopper asks to see all they wait for: an email brings the link, if the shop knows them."""
    address, trapped = asking_address(_own_form(request))
    if trapped:
        log("trapped")
        if wants_html(request):
            from chalicelib.http.did_you_mean import once_more_page

            return once_more_page("/api/waitlists", (("email", address.mailbox),), _speaking(request))
    else:
        container.confirmations_queue.put_my_waitlists(
            address.shopper_id(container.keys.identity), _source(request)
        )
    return _onward(request, "/waitlist/sent") if wants_html(request) else accepted()


@app.route("/waitlists", methods=READ)
@answering
def show_my_waitlists(request: Request) -> Response:
    """The link of that email shows all they wait for. It changes nothing."""
    token = link_token(request)
    renderer = _speaking(request)
    awaited = container.my_waitlists.awaited(token, renderer.told)
    page = renderer.page("my-waitlists.html", at=link_address(request, token), awaited=awaited, token=token)
    return html_page(page, language=renderer.language)


@app.route("/waitlists/export", methods=READ)
@answering
def export_my_waitlists(request: Request) -> Response:
    """Everything that is stored about the shopper, as JSON."""
    return json_file(container.my_waitlists.export(link_token(request)), name="waitlists.json")


@app.route("/waitlists/leave", methods=["POST"], content_types=FORMS)
@answering
def unsubscribe_my_waitlists(request: Request) -> Response:
    """The shopper leaves one list, or all of them."""
    token, sku = unsubscribe_choice(_own_form(request))
    container.my_waitlists.unsubscribe(token, sku)
    return _onward(request, "/waitlist/unsubscribed")


@app.route("/waitlists/erase", methods=["POST"], content_types=FORMS)
@answering
def erase_my_waitlists(request: Request) -> Response:
    """Everything about the shopper is erased."""
    container.my_waitlists.erase(posted_token(_own_form(request)))
    return _onward(request, "/waitlist/erased")


@app.route("/openapi.json", methods=READ)
@answering
def describe(_: Request) -> Response:
    """What this API is, for those who write programs for it."""
    return description()


@app.on_dynamodb_record(stream_arn=TEMPLATE_NAMES_IT, batch_size=25, starting_position="TRIM_HORIZON")
def on_entry_written(event: DynamoDBEvent) -> "BatchFailures":
    """React to written entries: ask pending ones to confirm, notify confirmed ones if available."""
    from chalicelib.events.streams import on_entries_written

    return on_entries_written(container, event.to_dict()["Records"])


@app.on_dynamodb_record(stream_arn=TEMPLATE_NAMES_IT, batch_size=10, starting_position="TRIM_HORIZON")
def on_product_changed(event: DynamoDBEvent) -> "BatchFailures":
    """React to changed stock: refresh the product's pages, open a fan-out for a restock."""
    from chalicelib.events.streams import on_products_changed

    return on_products_changed(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=TEMPLATE_NAMES_IT, batch_size=10)
def send_confirmations(event: SQSEvent) -> "BatchFailures":
    """Send the emails that shoppers requested and that are due."""
    from chalicelib.events.queues import on_requested_emails

    return on_requested_emails(container, event.to_dict()["Records"], _remaining_ms(event))


@app.on_sqs_message(queue_arn=TEMPLATE_NAMES_IT, batch_size=1)
def send_wave(event: SQSEvent) -> "BatchFailures":
    """Work on a step of a fan-out: send and mark the next batches of a shard or a limited wave."""
    from chalicelib.events.queues import on_wave_messages

    return on_wave_messages(container, event.to_dict()["Records"])


@app.on_sqs_message(queue_arn=TEMPLATE_NAMES_IT, batch_size=10)
def on_feedback(event: SQSEvent) -> "BatchFailures":
    """Apply SES's events about emails: delivered, bounced, complained about."""
    from chalicelib.events.queues import on_ses_events

    return on_ses_events(container, event.to_dict()["Records"])


@app.schedule("rate(1 minute)")
def autopilot(_: CloudWatchEvent) -> None:
    """The shop is looked at, and reacts within the bounds its operator set; off unless the stack says so."""
    container.autopilot.run(dry_run=container.settings.autopilot_mode == DRY_RUN)


def _remaining_ms(event: BaseLambdaEvent) -> Callable[[], int]:
    """Says how long Lambda lets this function run on; without Lambda, long enough."""
    ask: Callable[[], int] | None = getattr(event.context, "get_remaining_time_in_millis", None)
    return ask or (lambda: UNHURRIED_MS)


def _body(request: Request) -> Body:
    raw = request.raw_body
    return Body(request.headers.get("content-type", ""), raw.encode() if isinstance(raw, str) else raw)


def _own_form(request: Request) -> Body:
    refuse_foreign(request, container.settings.shop_origin, lambda: _live_theme().theme.shop.base_url)
    return _body(request)


def _linked(purpose: Purpose, token: str) -> "LinkedEntry":
    linked = container.waitlist.linked_entry(purpose, token)
    if linked is None:
        raise LinkRefused
    return linked


def _linked_page(request: Request, template: str, linked: "LinkedEntry", token: str) -> Response:
    renderer = _speaking(request)
    at = link_address(request, token)
    page = renderer.about(
        template, linked.product, linked.variant, at=at, token=token, notified=linked.notified
    )
    return html_page(page, language=renderer.language)


def _confirmation_page(request: Request, linked: "Sequence[LinkedEntry]", token: str) -> Response:
    renderer = _speaking(request)
    items = [(one.product, one.variant, one.orderable) for one in linked if one.product and one.confirmable]
    page = renderer.about_all(
        "confirm.html",
        [(product, variant, orderable) for product, variant, orderable in items if variant],
        at=link_address(request, token),
        token=token,
    )
    return html_page(page, language=renderer.language)


def _live_theme() -> "Renderer":
    return container.recent_themes.live()


def _speaking(request: Request) -> "Renderer":
    return _live_theme().under(root_asked(request))


def _live(page: str) -> "Renderer":
    """Return the renderer of the language that a page is in; that of the shop's first for any other."""
    return _live_theme().under(root_of(page))


def _onward(request: Request, path: str) -> Response:
    """Lead to one of the shop's pages in the language asked for, or in the shop's first."""
    root = ""
    if root_asked(request):
        try:
            root = _speaking(request).edition.root
        except Exception as error:  # noqa: BLE001 - what was asked for is done: the shop's first language will do
            log("language_not_known", error=type(error).__name__)
    return see_other(f"{root}{path}")


# Lambda starts each of its functions with this file; only the API's has a shopper waiting.
if os.environ.get("_HANDLER") == "app.app":
    container.warm_up()
