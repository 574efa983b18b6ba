"""The demo's story, from beginning to end, by shoppers without JavaScript.

Ada, Ben and Dora wait for one variant, Cleo for another; between Ada and Ben stand addresses that no email
reaches. Each shopper who waits for a restocked variant is emailed once, and nobody else. Pages are read
through the front door before and after they change: like the CDN, it serves its cached copy until an
invalidation names the page.
"""

import json
import secrets
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import TYPE_CHECKING

import httpx

from chalicelib.domain.domain_event import EventType
from chalicelib.domain.entry import EntryState, OptIn, Signup, shard_of, shards_of
from chalicelib.domain.ids import ShopperId, Sku, sku_tag
from chalicelib.domain.stock import Availability, AvailabilityEvent, StockedProduct
from chalicelib.rules.rule import Rule, RuleAction
from chalicelib.services.availability import Availabilities
from chalicelib.services.domain_events import RULES_KEY, RULES_MAX_AGE_MS, rules_to_json
from chalicelib.services.recount import Recount
from chalicelib.services.rules import DONE
from chalicelib.settings import clock_ms, new_id
from chalicelib.tables.demand import EntriesCount
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.suppressions import SuppressionsTable
from spillway.errors import WorkFailed
from spillway.local_cloud.demo import RunningDemo
from spillway.local_cloud.shopper import Shopper, until, waitlist_form
from spillway.project import Project
from spillway.stage import Stage
from spillway.terminal import Steps

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SHOWN_FIRST = "/products/field-jacket"
ANSWER_WITHIN_S = 30.0
FRONT_PAGE = "/"
REFRESHED_WITHIN_S = 60.0
# No form accepts this address; it stands for one that SES refuses.
BAD_MAILBOX = "nobody at example.com"
LATE = timedelta(hours=25)
SUPPRESSED_WITHIN_S = 30.0
COUNTED_WITHIN_S = 60.0
STORY_RULE = Rule(
    "story-complaints",
    EventType.EMAIL_COMPLAINED,
    {"data": {"complaints_of_day": [{"numeric": [">=", 2]}]}},
    RuleAction.PAUSE,
    {"reason": "two complaints about emails of one day"},
)


@dataclass(frozen=True, slots=True)
class SoldOut:
    """A variant that is sold out, and the path of its page."""

    sku: Sku
    path: str


def sold_out(stage: Stage) -> list[SoldOut]:
    """Return the variants that are sold out, by SKU, with those of the product to show first."""
    products = stage.container().products
    found = [variant for product in products.scan() for variant in sold_out_of(product)]
    return sorted(found, key=lambda variant: (variant.path != SHOWN_FIRST, variant.sku))


def still_available(stage: Stage) -> list[tuple[str, list[Sku]]]:
    """Return the path of each product with the SKUs still in stock, the fewest first."""
    found = []
    for product in stage.container().products.scan():
        gone = {variant.sku for variant in sold_out_of(product)}
        left = [variant.sku for variant in product.product.variants if variant.sku not in gone]
        if left:
            found.append((product.product.path, left))
    return sorted(found, key=lambda product: (len(product[1]), product))


def sold_out_of(stocked: StockedProduct) -> list[SoldOut]:
    """Return the variants of one product that are sold out."""
    return [
        SoldOut(variant.sku, stocked.product.path)
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
        and stocked.stock[variant.sku].availability is Availability.OUT_OF_STOCK
    ]


@dataclass(frozen=True, slots=True)
class _Scene:
    """The people and variants of the story: `wanted` is restocked first, `other` at its end."""

    ada: Shopper
    ben: Shopper
    cleo: Shopper
    dora: Shopper
    wanted: SoldOut
    other: SoldOut
    project: Project
    stage: Stage
    run: str


def check_story(shop: RunningDemo, project: Project, steps: Steps) -> None:
    """Play the story in a running demo.

    Raises:
        WorkFailed: A step had another result than expected.
    """
    wanted, other = _choose_variants(sold_out(shop.stage))
    with ExitStack() as open_:
        front, inbox = (
            open_.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=ANSWER_WITHIN_S))
            for url in (shop.settings.shop_url, shop.settings.inbox_url)
        )
        run = secrets.token_hex(3)
        ada, ben, cleo, dora = (
            Shopper(name, f"{name.lower()}.{run}@example.com", front, inbox)
            for name in ("Ada", "Ben", "Cleo", "Dora")
        )
        _play(_Scene(ada, ben, cleo, dora, wanted, other, project, shop.stage, run), steps)


def _play(scene: _Scene, steps: Steps) -> None:
    ada, ben, cleo, dora = scene.ada, scene.ben, scene.cleo, scene.dora
    wanted, other = scene.wanted, scene.other
    with steps.step(f"Ada and Ben ask for {wanted.sku}, Cleo for {other.sku}"):
        ada.signs_up(wanted.path, wanted.sku)
        put_bad_addresses(scene.stage, wanted.sku, scene.run)
        ben.signs_up(wanted.path, wanted.sku)
        cleo.signs_up(other.path, other.sku)
    with steps.step("Dora's password manager fills in every field: she sends the form once more"):
        dora.signs_up(wanted.path, wanted.sku, filled_in="Dora")
    with steps.step("Each is sent one email; opening its link changes nothing, its button confirms"):
        for shopper in (ada, ben, cleo, dora):
            _confirm(scene, shopper, email_number=1)
    with steps.step(f"{wanted.sku} comes back: its page says so"):
        _await_page(ada, wanted, awaited=True)
        _spillway(scene, "available", "--stock", "5", "--", wanted.sku)
        _await_page(ada, wanted, awaited=False)
    with steps.step(
        "Ada, Ben and Dora are notified once each, whatever addresses stand between; Cleo is not"
    ):
        notified = ada.awaits_emails(2)[-1]
        ben.awaits_emails(2)
        dora.awaits_emails(2)
        cleo.awaits_emails(1)
    with steps.step(f"{wanted.sku} sells out: Ada, Ben and Dora ask again, and confirm"):
        _spillway(scene, "sold-out", "--", wanted.sku)
        _await_page(ada, wanted, awaited=True)
        for shopper in (ada, ben, dora):
            shopper.signs_up(wanted.path, wanted.sku)
        for shopper in (ada, ben, dora):
            _confirm(scene, shopper, email_number=3)
    with steps.step("Ada unsubscribes with one click in her mail program, which posts it as plain text"):
        ada.unsubscribes_with_one_click(notified, content_type="text/plain")
    with steps.step("A complaint about Dora's email of yesterday comes: she gets no more, all others do"):
        complain_late(scene.stage, shopper_of(scene.stage, dora.mailbox), wanted.sku)
    with steps.step("It comes back, and its stock flaps: Ben is notified once, Ada and Dora are not"):
        flap(scene.stage, wanted.sku, (5, 4, 0, 5, 0, 1, 5))
        ben.awaits_emails(4)
    with steps.step(f"{other.sku} comes back: Cleo is notified; nobody gets an email too many"):
        _spillway(scene, "available", "--stock", "5", "--", other.sku)
        cleo.awaits_emails(2)
        ada.awaits_emails(3)
        ben.awaits_emails(4)
        dora.awaits_emails(3)
    front_page = ada.reads(FRONT_PAGE)
    shown = [skus for path, skus in still_available(scene.stage) if f'href="{path}"' in front_page]
    for skus in shown[:1]:
        with steps.step(f"A product sells out ({', '.join(skus)}): the front page says so"):
            for sku in skus:
                _spillway(scene, "sold-out", "--", sku)
            _await_change(ada, FRONT_PAGE, front_page)
    with steps.step("A rule pauses sending at the second complaint of a day and says why; it is resumed"):
        check_rule(scene.stage, shopper_of(scene.stage, cleo.mailbox), other.sku)
        _spillway(scene, "resume")
    with steps.step("The merchant's counters of people waiting equal the entries"):
        until(
            lambda: True if counters_are_right(scene.stage) else None,
            "every counter equals a count of the entries (spillway waitlist recount)",
            within_s=COUNTED_WITHIN_S,
        )


def _choose_variants(candidates: list[SoldOut]) -> tuple[SoldOut, SoldOut]:
    # Both are often of one product: an email about the wrong variant is then most likely.
    if len(candidates) < 2:
        raise WorkFailed(
            f"the story needs two variants that are sold out, the shop has {len(candidates)}",
            hint="run it with --fresh",
        )
    return candidates[0], candidates[1]


def _confirm(scene: _Scene, shopper: Shopper, *, email_number: int) -> None:
    email = shopper.awaits_emails(email_number)[-1]
    before = _entry_states(scene.stage)
    form = shopper.opens(email.link("/api/confirm"))
    if _entry_states(scene.stage) != before:
        raise WorkFailed(f"{shopper.name} only opened the link of email {email.number}: an entry changed")
    shopper.presses(form)
    after = _entry_states(scene.stage)
    changed = [state for key, state in after.items() if state != before.get(key)]
    if changed != [EntryState.CONFIRMED]:
        raise WorkFailed(
            f"{shopper.name} pressed the button of email {email.number}: entries became {changed}"
        )


def _spillway(scene: _Scene, *words: str) -> None:
    ran = subprocess.run(  # noqa: S603 - our own command, no shell
        [sys.executable, "-m", "spillway", *words],
        cwd=scene.project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise WorkFailed(f"spillway {' '.join(words)} failed:\n{ran.stdout}{ran.stderr}")


def _await_page(shopper: Shopper, variant: SoldOut, *, awaited: bool) -> None:
    def refreshed() -> bool | None:
        form = waitlist_form(shopper.shop.get(variant.path).text)
        is_awaited = form is not None and form.is_awaited(variant.sku)
        return True if is_awaited is awaited else None

    until(refreshed, f"{variant.path} is refreshed for {variant.sku}", within_s=REFRESHED_WITHIN_S)


def _await_change(shopper: Shopper, path: str, before: str) -> None:
    until(
        lambda: True if shopper.reads(path) != before else None,
        f"{path} is another page than before",
        within_s=REFRESHED_WITHIN_S,
    )


def _entry_states(stage: Stage) -> dict[tuple[str, str], str]:
    """Return the state of each entry by (shopper, SKU)."""
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=stage.outputs()["EntriesTable"],
        ConsistentRead=True,
        # The table also has rows that count emails, without a mailbox.
        FilterExpression="attribute_exists(mailbox)",
    )
    items = (item for page in pages for item in page["Items"])
    return {(item["shopper"]["S"], item["sku"]["S"]): item["state"]["S"] for item in items}


def put_bad_addresses(stage: Stage, sku: Sku, run: str) -> None:
    """Add a shopper with an unreachable address to the end of each shard of a variant's waitlist."""
    entries = EntriesTable(stage.client("dynamodb"), stage.outputs()["EntriesTable"])
    shards = set(shards_of(sku))
    number = 0
    while shards:
        shopper = ShopperId(f"bad-{run}-{number}")
        number += 1
        if (shard := shard_of(sku, shopper)) in shards:
            shards.remove(shard)
            signup = Signup(shopper, BAD_MAILBOX, sku, "/", "demo", OptIn.SINGLE)
            entries.sign_up(signup, at_ms=clock_ms())


def counters_are_right(stage: Stage) -> bool:
    """Return whether each counter of demand equals a count of the entries."""
    container = stage.container()
    entries = EntriesCount(container.client("dynamodb"), container.settings.entries_table)
    return not Recount(entries, container.demand, clock_ms, sleep).run().drifts


def flap(stage: Stage, sku: Sku, units: tuple[int, ...]) -> None:
    """Report each count in turn, as fast as it is stored."""
    availabilities = Availabilities(stage.container().products)
    for count in units:
        state = Availability.IN_STOCK if count else Availability.OUT_OF_STOCK
        event = AvailabilityEvent(new_id(), sku, state, count, clock_ms(), by_arrival=True)
        availabilities.apply(event)


def complain_late(stage: Stage, shopper: ShopperId, sku: Sku) -> None:
    """Publish a complaint about an old email.

    Raises:
        WorkFailed: It does not suppress the shopper, or it pauses all sending.
    """
    publish_complaint(stage, shopper, sku)
    suppressions = SuppressionsTable(stage.client("dynamodb"), stage.outputs()["SuppressionsTable"])
    until(
        lambda: suppressions.among([shopper]) or None,
        "a complaint suppresses its shopper",
        within_s=SUPPRESSED_WITHIN_S,
    )
    state = stage.container().sending_rate.state()
    if state is not None and state.paused:
        raise WorkFailed(f"one late complaint paused all sending: {state.paused}")


def check_rule(stage: Stage, shopper: ShopperId, sku: Sku) -> None:
    """Put a rule in force, and publish a complaint that it pauses sending at. The rules of before come back.

    Raises:
        WorkFailed: Sending is not paused, or the rule's log does not say why.
    """
    s3, bucket, rows = stage.client("s3"), stage.outputs()["ReleaseBucket"], stage.container().rule_rows
    before = s3.get_object(Bucket=bucket, Key=RULES_KEY)["Body"].read()
    known = {firing.event_id for firing in rows.firings()}
    rules = rules_to_json("story", [STORY_RULE.to_document()])
    s3.put_object(Bucket=bucket, Key=RULES_KEY, Body=rules.encode())
    try:
        sleep(RULES_MAX_AGE_MS / 1000)
        publish_complaint(stage, shopper, sku)
        found = until(
            lambda: [f for f in rows.firings() if f.event_id not in known and f.result] or None,
            "a complaint fires the rule",
            within_s=SUPPRESSED_WITHIN_S,
        )
    finally:
        s3.put_object(Bucket=bucket, Key=RULES_KEY, Body=before)
    state = stage.container().sending_rate.state()
    if [(f.rule, f.event_type, f.subject, f.result) for f in found] != [
        (STORY_RULE.name, EventType.EMAIL_COMPLAINED, sku, DONE)
    ]:
        raise WorkFailed(f"the log of rules shows {found}")
    if state is None or state.paused is None:
        raise WorkFailed("a rule fired, and sending is not paused")


def publish_complaint(stage: Stage, shopper: ShopperId, sku: Sku) -> None:
    """Publish a complaint about an old email, as SES does."""
    stack = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId="FeedbackTopic"
    )
    names = stage.outputs()
    sent_at = datetime.now(UTC) - LATE
    tags = {"email": ["available"], "shopper": [shopper], "sku": [sku_tag(sku)]}
    event = {
        "eventType": "Complaint",
        "mail": {
            "timestamp": sent_at.isoformat(),
            "messageId": new_id(),
            "tags": {**tags, "ses:configuration-set": [names["EmailConfigurationSet"]]},
        },
        "complaint": {
            "timestamp": datetime.now(UTC).isoformat(),
            "complaintFeedbackType": "abuse",
            "complaintSubType": None,
        },
    }
    topic = stack["StackResourceDetail"]["PhysicalResourceId"]
    stage.client("sns").publish(TopicArn=topic, Message=json.dumps(event))


def shopper_of(stage: Stage, mailbox: str) -> ShopperId:
    """Return the id of the shopper with an address.

    Raises:
        WorkFailed: No entry has it.
    """
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=stage.outputs()["EntriesTable"],
        FilterExpression="mailbox = :mailbox",
        ExpressionAttributeValues={":mailbox": {"S": mailbox}},
        ConsistentRead=True,
    )
    for page in pages:
        for item in page["Items"]:
            return ShopperId(item["shopper"]["S"])
    raise WorkFailed(f"{mailbox}: no entry")
