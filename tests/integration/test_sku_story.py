"""A shop whose SKUs are the merchant's own: built, signed up for, restocked and emailed, each as itself."""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.entry import Entry, EntryState, Reaction, reaction_to, shard_of, shards_of
from chalicelib.domain.feedback import NoFeedback, feedback_from
from chalicelib.domain.ids import sku_tag
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.signup import SignupForm
from chalicelib.domain.stock import Availability, Stock, StockedProduct, restocks
from chalicelib.domain.tokens import FORM_TOKEN_CHARS_MAX, FormTokens, LinkSubject, LinkTokens, Offer, Purpose
from chalicelib.domain.wave import ShardStep, WaveMessage, from_json, to_json
from chalicelib.http.link_forms import TOKEN_CHARS_MAX
from chalicelib.http.merchant_requests import availability_event
from chalicelib.http.request import BODY_BYTES_MAX, FORM_TYPE, JSON_TYPE, Problem, RequestBody
from chalicelib.http.signup import parse_signup
from chalicelib.queues import ConfirmationsQueue
from chalicelib.services.availability import Availabilities
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.ses_events import SesEventHandler
from chalicelib.storefront.renderer import Renderer
from chalicelib.tables.entries import entry_from
from chalicelib.tables.products import stock_from
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.suppressions import ShoppersTable
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.clock import Clock
from tests.support.ses_events import SET, TOPIC, event, notification
from tests.support.shop import IDENTITY_KEY, TestShop
from tests.support.skus import HOSTILE, skus
from tests.support.small_shop import make_small_shop

OWN = (
    "Cam/4567",
    "cam-4567",
    "Grips - Oury - Grey",
    "0042",
    'Ärmel "XL" & Söhne',
    "日本-1",
    "a b",
    "100%",
    "#1",
    "?x",
    "<b>",
)
PLACE = "/products/odd-things"
ODD_THINGS = """\
title = "Odd things"
category = "accessories"
price = "9.00"
summary = "Things of every name."
description = "Odd."
released_on = 2026-09-01
"""
VARIANT = """
[[variants]]
sku = {sku}
options = {{ Name = "No {number}" }}
stock = {stock}
"""


@pytest.fixture(scope="module")
def odd_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The small shop, and a product with a variant for each of `OWN`, sold out but for the last."""
    project = make_small_shop(tmp_path_factory.mktemp("odd-shop"))
    variants = [
        VARIANT.format(sku=json.dumps(sku, ensure_ascii=False), number=number, stock=int(sku == OWN[-1]))
        for number, sku in enumerate(OWN)
    ]
    file = project.site / "products" / "odd-things.toml"
    file.write_text(ODD_THINGS + "".join(variants), encoding="utf-8")
    return build(project)


@pytest.fixture
def shop(clock: Clock, odd_release: Release) -> TestShop:
    return TestShop(odd_release, clock, slug="odd-things", sku=OWN[0])


class Inputs(HTMLParser):
    """The inputs, ids and links within a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inputs: list[dict[str, str]] = []
        self.ids: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.inputs += [values] if tag == "input" else []

    def values(self, *, awaited: bool) -> list[str]:
        return [
            values["value"]
            for values in self.inputs
            if values.get("name") == "sku" and ("data-wait" in values) is awaited
        ]


def page_of(shop: TestShop, release: Release) -> Inputs:
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    form_tokens = FormTokens.of(IDENTITY_KEY, at_ms=shop.clock())
    return Inputs(Renderer(release.theme).product(stocked.product, stocked.stock, form_tokens))


def posted(email: str, sku: str, form_token: str, at_ms: int, *, json_body: bool = False) -> SignupForm:
    """The form as the API reads it, from the bytes of a request."""
    fields = {"email": email, "sku": sku, "page": PLACE, "form_token": form_token, "knot": ""}
    body = (
        RequestBody(JSON_TYPE, json.dumps(fields).encode())
        if json_body
        else RequestBody(FORM_TYPE, urlencode(fields).encode())
    )
    form_tokens = FormTokens.of(IDENTITY_KEY, at_ms=at_ms)
    return parse_signup(body, form_tokens)


class KeptMessages:
    """An SQS that keeps the bodies it is sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - boto3's names
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        assert MessageBody.isascii()
        assert MessageBody.isprintable()
        self.bodies.append(MessageBody)


def images(shop: TestShop) -> Iterator[Mapping[str, Any]]:
    """The rows of the entries table, as a stream record has them, after a round through JSON."""
    for item in shop.dynamodb.scan(TableName=shop.entries_name)["Items"]:
        if not item["sku"]["S"].startswith(" "):
            yield json.loads(json.dumps(item))


def test_the_page_offers_every_sku_as_it_is_and_links_to_it_by_safe_ids(
    shop: TestShop, odd_release: Release
) -> None:
    page = page_of(shop, odd_release)
    assert page.values(awaited=True) == list(OWN[:-1])
    assert page.values(awaited=False) == [OWN[-1]]
    wanted = [id_ for id_ in page.ids if id_.startswith("v-")]
    assert len(set(wanted)) == len(OWN)
    product = odd_release.products.named(shop.slug).product
    links = [product.path_of(variant) for variant in product.variants]
    assert [link.partition("#")[2] for link in links] == wanted
    assert [parse_qs(urlsplit(link).query)["sku"] for link in links] == [[sku] for sku in OWN]
    assert "v-cam-4567" in wanted
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", item) for item in wanted)


def test_a_page_is_data_whatever_its_skus_are(odd_release: Release) -> None:
    variants = tuple(Variant(sku, 900, (("No", str(number)),)) for number, sku in enumerate(HOSTILE))
    product = Product("odd", "Odd", "Odd.", "", "accessories", (), variants)
    for availability in (Availability.IN_STOCK, Availability.OUT_OF_STOCK):
        stock = {sku: Stock(availability, None, 0, "e") for sku in HOSTILE}
        html = Renderer(odd_release.theme).product(product, stock)
        assert tuple(Inputs(html).values(awaited=not availability.can_buy)) == HOSTILE
        data = html.partition('<script type="application/ld+json">')[2].partition("</script>")[0]
        assert tuple(variant["sku"] for variant in json.loads(data)["hasVariant"]) == HOSTILE


def test_each_sku_is_signed_up_for_restocked_and_emailed_as_itself(
    shop: TestShop, odd_release: Release
) -> None:
    (form_token,) = (
        values["value"] for values in page_of(shop, odd_release).inputs if values.get("name") == "form_token"
    )
    names = {sku: f"s{number}" for number, sku in enumerate(OWN[:-1])}
    for sku, name in names.items():
        form = posted(f"{name}@example.com", sku, form_token, shop.clock(), json_body=len(sku) % 2 == 0)
        assert form.skus == (sku,)
        shop.signups.sign_up(form.address, form.skus, page=form.page, consent=form.consent)
        shop.clock.pass_s(1)

    client: Any = KeptMessages()
    queue = ConfirmationsQueue(client, "confirmations")
    for image in images(shop):
        entry = entry_from(image)
        assert reaction_to(None, entry) is Reaction.SEND_CONFIRMATION
        queue.put(entry.shopper, entry.sku)
    for body in client.bodies:
        shop.confirmations.send(**json.loads(body))
    confirmations = {email.mailbox: email for email in shop.sender.sent}
    for sku, name in names.items():
        email = confirmations[f"{name}@example.com"].email
        assert f"No {OWN.index(sku)}" in email.text
        found = re.search(r"confirm\?token=([\w.~-]+)", email.text)
        assert found
        assert len(found[1]) <= TOKEN_CHARS_MAX
        assert shop.waitlist.confirm(found[1])
        assert entry_state(shop, name, sku) is EntryState.CONFIRMED

    desk = SesEventHandler(
        DeliverabilityTable(shop.dynamodb, shop.entries_name, shop.sending_name),
        shop.suppressions,
        shop.rate_limiter,
        shop.clock,
        topic=TOPIC,
        configuration_set=SET,
    )
    for sku, name in names.items():
        shop.sender.sent.clear()
        restock(shop, sku)
        (sent,) = shop.sender.sent
        assert sent.mailbox == f"{name}@example.com"
        assert f"No {OWN.index(sku)}" in sent.email.subject + sent.email.text
        assert entry_state(shop, name, sku) is EntryState.NOTIFIED
        desk.handle(notification(event("Delivery", dict(sent.tags))))
        key = {"shopper": {"S": shop.shopper(name)}, "sku": {"S": sku}}
        item = shop.dynamodb.get_item(TableName=shop.entries_name, Key=key)["Item"]
        assert item["feedback"] == {"S": "delivered"}
    assert page_of(shop, odd_release).values(awaited=False) == list(OWN)


def entry_state(shop: TestShop, name: str, sku: str) -> EntryState:
    entry = shop.entries.get(shop.shopper(name), sku)
    assert entry is not None
    return entry.state


def restock(shop: TestShop, sku: str) -> None:
    """The merchant's system says there are 5, the stream says so, and the waves are walked off."""
    shop.clock.pass_s(60)
    body = RequestBody(JSON_TYPE, json.dumps({"sku": sku, "units": 5}).encode())
    known = availability_event(
        body, default_id=f"e{shop.clock()}", default_at_ms=shop.clock(), now_ms=shop.clock()
    )
    assert known.sku == sku
    before = row(shop)
    assert Availabilities(shop.products).apply(known).outcome == "changed"
    opened = restocks(shop.slug, stock_from(before), stock_from(row(shop)), at_ms=shop.clock())
    assert [item.sku for item in opened] == [sku]
    shop.restocking.open_restock(opened[0])
    messages: list[WaveMessage] = [from_json(to_json(message)) for message in shop.queue.messages]
    assert messages == shop.queue.messages
    assert {message.shard for message in messages if isinstance(message, ShardStep)} == set(shards_of(sku))
    shop.work()


def row(shop: TestShop) -> Mapping[str, Any]:
    key = {"id": {"S": f"product#{shop.slug}"}}
    item = shop.dynamodb.get_item(TableName=shop.table_names["ProductsTable"], Key=key)["Item"]
    return dict(json.loads(json.dumps(item)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(skus(), min_size=1, max_size=5, unique=True), st.booleans())
def test_a_form_is_read_as_it_was_filled_in(clock: Clock, chosen: list[str], json_body: bool) -> None:
    form_token = FormTokens.of(IDENTITY_KEY, at_ms=clock()).sign(Offer.of(chosen))
    for sku in chosen:
        assert posted("ada@example.com", f" {sku} ", form_token, clock(), json_body=json_body).skus == (sku,)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(skus())
def test_feedback_about_an_email_finds_the_entry_it_was_about(
    shop: TestShop, odd_release: Release, sku: str
) -> None:
    form_token = FormTokens.of(IDENTITY_KEY, at_ms=shop.clock()).sign(Offer.of([sku]))
    form = posted("ada@example.com", sku, form_token, shop.clock())
    shop.signups.sign_up(form.address, form.skus, page=form.page, consent=form.consent)
    (entry,) = (entry for entry in map(entry_from, images(shop)) if entry.sku == sku)
    shopper = entry.shopper
    assert shop.entries.confirm(shopper, sku, at_ms=shop.clock())
    (waiting,) = shop.shards.first_waiting(sku, limit=10)
    product = Product("odd", "Odd", "", "", "accessories", (), (Variant(sku, 900),))
    stocked = StockedProduct(product, {sku: Stock(Availability.IN_STOCK, 1, 0, "e")})
    writer = EmailComposer(Renderer(odd_release.theme), shop.links)
    (sent,) = writer.available([waiting], stocked)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag) for tag in sent.tags.values())
    feedback = feedback_from(event("Bounce", dict(sent.tags)), configuration_set=SET)
    assert feedback is not None
    assert (feedback.shopper, feedback.sku) == (shopper, sku)
    assert DeliverabilityTable(shop.dynamodb, shop.entries_name, shop.sending_name).store(feedback)
    kept = ShoppersTable(shop.dynamodb, shop.entries_name).kept(shopper)
    assert {item.entry.sku: item.facts.get("feedback") for item in kept}[sku] == "bounced"
    ShoppersTable(shop.dynamodb, shop.entries_name).erase(shopper)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(skus())
def test_a_link_is_about_its_sku_and_short_enough(clock: Clock, sku: str) -> None:
    links = LinkTokens(["key"], clock)
    subject = LinkSubject("3dkmlgxmmoilvfwvtnbeh3uc7m", sku)
    token = links.sign(Purpose.UNSUBSCRIBE, subject)
    assert len(token) <= TOKEN_CHARS_MAX
    assert links.read(Purpose.UNSUBSCRIBE, token) == subject


@settings(max_examples=40)
@given(skus(), skus())
def test_a_form_token_is_good_for_its_own_skus_alone(one: str, other: str) -> None:
    form_tokens = FormTokens.of(IDENTITY_KEY, at_ms=0)
    offer = form_tokens.read(form_tokens.sign(Offer.of([one])))
    assert offer.has(one)
    assert offer.has(other) is (one == other)
    # A new form token offers the same.
    assert form_tokens.read(form_tokens.sign(Offer(offer.sku_ids))) == offer


def test_a_page_of_a_hundred_long_skus_has_a_form_token_that_a_form_can_carry(clock: Clock) -> None:
    many = [f"{number:02}" + "👕" * 62 for number in range(50)] + [
        f"{number:02}" + "S" * 38 for number in range(50)
    ]
    form_token = FormTokens.of(IDENTITY_KEY, at_ms=clock()).sign(Offer.of(many))
    assert len(form_token) <= FORM_TOKEN_CHARS_MAX
    fields = [("sku", sku) for sku in many[:5]] + [
        ("email", "ada@example.com"),
        ("page", PLACE),
        ("form_token", form_token),
    ]
    body = urlencode(fields).encode()
    assert len(body) <= BODY_BYTES_MAX
    form_tokens = FormTokens.of(IDENTITY_KEY, at_ms=clock())
    form = parse_signup(RequestBody(FORM_TYPE, body), form_tokens)
    assert form.skus == tuple(many[:5])


def test_a_form_for_what_the_page_does_not_offer_is_refused(clock: Clock) -> None:
    form_token = FormTokens.of(IDENTITY_KEY, at_ms=clock()).sign(Offer.of(["Cam/4567", "0042"]))
    for sku, detail in (
        ("cam/4567", "This page does not offer that. Choose from what it shows."),
        ("42", "This page does not offer that. Choose from what it shows."),
        ("a\u200bb", "An SKU must not contain an invisible mark: U+200B ZERO WIDTH SPACE."),
        (
            "a\u202eb",
            "An SKU must not contain a mark that turns the text's direction: U+202E RIGHT-TO-LEFT OVERRIDE.",
        ),
        ("", "An SKU has 1 to 64 characters; this one is empty."),
    ):
        with pytest.raises(Problem) as refused:
            posted("ada@example.com", sku, form_token, clock())
        assert [(error.name, error.detail) for error in refused.value.errors] == [("sku", detail)]


@pytest.mark.parametrize(
    ("sku", "read"),
    [
        ("0042", "0042"),
        (42, "42"),
        (0, "0"),
        (" A\u0308 ", "Ä"),
        ("日本-1", "日本-1"),
        (10**18, "1" + "0" * 18),
    ],
)
def test_an_event_names_an_sku_as_a_text_or_by_its_digits(sku: object, read: str) -> None:
    body = RequestBody(JSON_TYPE, json.dumps({"sku": sku, "units": 1}).encode())
    assert availability_event(body, default_id="e", default_at_ms=0, now_ms=0).sku == read


@pytest.mark.parametrize(
    ("sku", "detail"),
    [
        (None, "Write the SKU as a text, in quotes."),
        (True, "Write the SKU as a text, in quotes."),
        (-5, "Write the SKU as a text, in quotes."),
        (42.0, "Write the SKU as a text, in quotes."),
        ([], "Write the SKU as a text, in quotes."),
        ("", "An SKU has 1 to 64 characters; this one is empty."),
        ("x" * 65, "An SKU has at most 64 characters; this one has 65."),
        ("a\nb", "An SKU must not contain a line break: U+000A."),
        ("\ud800", "An SKU must not contain half of a surrogate pair: U+D800."),
    ],
)
def test_an_event_without_an_sku_says_why(sku: object, detail: str) -> None:
    body = RequestBody(JSON_TYPE, json.dumps({"sku": sku, "units": 1}).encode())
    with pytest.raises(Problem) as refused:
        availability_event(body, default_id="e", default_at_ms=0, now_ms=0)
    assert [(error.name, error.detail) for error in refused.value.errors] == [("sku", detail)]


def test_no_two_skus_share_a_line() -> None:
    lines = [line for sku in HOSTILE for line in shards_of(sku)]
    assert len(set(lines)) == len(lines)
    assert shard_of("FJ-INK-L", "ada").startswith("FJ-INK-L#")


def test_an_sku_like_a_counter_is_an_entry_and_counters_are_none(shop: TestShop) -> None:
    shop.sku = "#confirmations#2026-11-23"
    shop.sign_up("ada")
    shopper = shop.shopper("ada")
    assert shop.entries.count_requested_email(shopper, at_ms=shop.clock())
    assert shop.entries.count_single_opt_in(Entry(shopper, shop.sku, "m", EntryState.CONFIRMED, shop.clock()))
    kept = ShoppersTable(shop.dynamodb, shop.entries_name)
    assert [item.entry.sku for item in kept.kept(shopper)] == [shop.sku]
    assert kept.erase(shopper) == 3


def test_feedback_with_a_tag_of_no_sku_is_none_of_ours(shop: TestShop) -> None:
    tags = {"email": "available", "shopper": "ada"}
    with pytest.raises(NoFeedback):
        feedback_from(event("Delivery", {**tags, "sku": "_!"}), configuration_set=SET)
    known = feedback_from(event("Delivery", {**tags, "sku": sku_tag("a b")}), configuration_set=SET)
    assert known is not None
    assert known.sku == "a b"


def test_a_product_file_keeps_the_sku_in_nfc_and_trimmed(tmp_path: Path) -> None:
    project = make_small_shop(tmp_path)
    file = project.site / "products" / "scarf.toml"
    file.write_text(file.read_text().replace('"SCARF"', '" A\u0308rmel "'), encoding="utf-8")
    (scarf,) = (product for product in build(project).products if product.product.slug == "scarf")
    assert [variant.sku for variant in scarf.product.variants] == ["Ärmel"]
