"""Puts the pieces together, once per environment and only when first needed: the cold start pays for
what the first request uses and no more."""

import os
import random
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.aws.errors import AwsError, code_of
from chalicelib.aws.services import Aws
from chalicelib.keys import Keys, read_keys
from chalicelib.log import log
from chalicelib.settings import Settings
from chalicelib.tables.entries import EntriesTable

if TYPE_CHECKING:
    from chalicelib.domain.form_stamp import FormStamps
    from chalicelib.domain.links import Links
    from chalicelib.http.merchant_keys import MerchantKeys
    from chalicelib.mail.postbox import Postbox
    from chalicelib.mail.smtp import SmtpServer
    from chalicelib.queues import ConfirmationsQueue, WavesQueue
    from chalicelib.services.admissions import Admissions
    from chalicelib.services.availability import Availabilities
    from chalicelib.services.confirmations import Confirmations
    from chalicelib.services.fan_out import FanOut
    from chalicelib.services.feedback import FeedbackDesk
    from chalicelib.services.pace import Pace
    from chalicelib.services.page_turn import PageTurn
    from chalicelib.services.restocking import Restocking
    from chalicelib.services.signups import Signups
    from chalicelib.services.waitlist import Waitlist
    from chalicelib.services.webhooks import Webhooks
    from chalicelib.services.yours import Yours
    from chalicelib.services.yours_letters import YoursLetters
    from chalicelib.storage.themes import ThemeStore
    from chalicelib.tables.domain_lists import DomainListsTable
    from chalicelib.tables.products import ProductsTable
    from chalicelib.tables.progress import ProgressTable
    from chalicelib.tables.recent_products import RecentProducts
    from chalicelib.tables.restocks import RestocksTable
    from chalicelib.tables.shoppers import ShoppersTable
    from chalicelib.tables.suppressions import SuppressionsTable

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 10
THEME_FRESH_FOR_MS = 10_000


def clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """An id that was never given before."""
    import uuid

    return uuid.uuid4().hex


@cache
def settings() -> Settings:
    """The environment, read once."""
    return Settings.from_environment(os.environ)


@cache
def client(service: Any, *, attempts_max: int = 4) -> Any:
    """A boto3 client that gives up before Lambda does. `attempts_max` counts the first try."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": attempts_max},
        # A fifth of the SDK's time; tests run with it on.
        parameter_validation=False,
    )
    return boto3.client(service, config=config)


@cache
def aws() -> Aws:
    """AWS for the calls of a signup, without the SDK."""
    return Aws(os.environ)


@cache
def keys() -> Keys:
    """The shop's secrets."""
    return read_keys(aws().secrets_manager(), settings().signing_keys_secret)


@cache
def signups() -> "Signups":
    """Takes signups. All it asks of its table is the one write that the client without the SDK has."""
    from chalicelib.services.signups import Signups

    dynamodb: Any = aws().dynamodb()
    return Signups(EntriesTable(dynamodb, settings().entries_table), keys().identity, clock_ms)


def form_stamps() -> "FormStamps":
    """The stamps of forms, as of now."""
    from chalicelib.domain.form_stamp import FormStamps

    return FormStamps.of(keys().identity, at_ms=clock_ms())


@cache
def domain_lists() -> "DomainListsTable":
    """Lists of domains, read on a shopper's way: without the SDK."""
    from chalicelib.tables.domain_lists import DomainListsTable

    dynamodb: Any = aws().dynamodb()
    return DomainListsTable(dynamodb, settings().products_table)


def refused_domains(name: str) -> frozenset[str]:
    """The domains of a list. Where it cannot be read just now, none: a signup is worth more than a check."""
    try:
        return domain_lists().named(name)
    except AwsError as error:
        log("domains_not_read", list=name, error=type(error).__name__, code=code_of(error))
        return frozenset()


def warm_up() -> None:
    """Be ready for the first signup before it comes: Lambda lends a whole processor until then.

    What cannot be had now is had by the first request that needs it, or refused to it.
    """
    try:
        signups()
    except AwsError as error:
        log("not_warmed_up", error=type(error).__name__, code=code_of(error))


@cache
def links() -> "Links":
    """Signs and reads the links in letters."""
    from chalicelib.domain.links import Links

    return Links(keys().signing, clock_ms)


@cache
def entries() -> EntriesTable:
    """The entries table."""
    return EntriesTable(client("dynamodb"), settings().entries_table)


@cache
def products() -> "ProductsTable":
    """The products table."""
    from chalicelib.tables.products import ProductsTable

    return ProductsTable(client("dynamodb"), settings().products_table)


@cache
def recent_products() -> "RecentProducts":
    """The same, as of a few seconds ago: for letters and pages that only name what is sold."""
    from chalicelib.tables.recent_products import RecentProducts

    return RecentProducts(products(), clock_ms)


@cache
def merchant_keys() -> "MerchantKeys":
    """The keys that the merchant's own systems show, or sign with."""
    from chalicelib.http.merchant_keys import MerchantKeys

    secret = client("secretsmanager").get_secret_value(SecretId=settings().merchant_keys_secret)
    return MerchantKeys.from_json(secret["SecretString"])


@cache
def availabilities() -> "Availabilities":
    """Takes in events about availability."""
    from chalicelib.services.availability import Availabilities

    return Availabilities(products())


@cache
def webhooks() -> "Webhooks":
    """The same, of signed requests."""
    from chalicelib.services.webhooks import Webhooks
    from chalicelib.tables.webhooks import WebhooksTable

    table = WebhooksTable(client("dynamodb"), settings().sending_table)
    return Webhooks(availabilities(), table, clock_ms)


@cache
def suppressions() -> "SuppressionsTable":
    """The suppressions table."""
    from chalicelib.tables.suppressions import SuppressionsTable

    return SuppressionsTable(client("dynamodb"), settings().suppressions_table)


@cache
def themes() -> "ThemeStore":
    """The live theme."""
    from chalicelib.storage.themes import ThemeStore

    return ThemeStore(client("s3"), settings().release_bucket)


@cache
def recent_themes() -> "ThemeStore":
    """The same, as of a few seconds ago: for what no page is turned with."""
    from chalicelib.storage.themes import ThemeStore

    bucket = settings().release_bucket
    return ThemeStore(client("s3"), bucket, fresh_for_ms=THEME_FRESH_FOR_MS, clock=clock_ms)


@cache
def smtp_server() -> "SmtpServer | None":
    """The mail server of a shop that is not on SES."""
    from chalicelib.mail.smtp import SmtpServer

    if not settings().smtp_secret:
        return None
    secret = client("secretsmanager").get_secret_value(SecretId=settings().smtp_secret)
    return SmtpServer.from_json(secret["SecretString"])


@cache
def postbox() -> "Postbox":
    """SES, or the shop's own mail server. A send is never retried below us: SES would send twice."""
    from chalicelib.mail.ses import SesPostbox
    from chalicelib.mail.smtp import SmtpPostbox

    server = smtp_server()
    if server:
        return SmtpPostbox(server, clock_ms, new_id)
    return SesPostbox(client("sesv2", attempts_max=1), settings().configuration_set)


@cache
def paced_postbox() -> "Postbox":
    """The same, for letters that await their turn one by one."""
    from chalicelib.services.pace import PacedPostbox

    return PacedPostbox(postbox(), pace())


@cache
def waitlist() -> "Waitlist":
    """The shopper's side once a letter has come."""
    from chalicelib.services.waitlist import Waitlist

    return Waitlist(entries(), recent_products(), links(), clock_ms)


@cache
def confirmations_queue() -> "ConfirmationsQueue":
    """Where confirmation letters wait to be sent."""
    from chalicelib.queues import ConfirmationsQueue

    return ConfirmationsQueue(client("sqs"), settings().confirmations_queue_url)


@cache
def confirmations() -> "Confirmations":
    """Sends confirmation letters."""
    from chalicelib.services.confirmations import Confirmations

    return Confirmations(
        entries(),
        recent_products(),
        suppressions(),
        recent_themes(),
        links(),
        paced_postbox(),
        clock_ms,
    )


@cache
def shoppers() -> "ShoppersTable":
    """All that is kept of a shopper."""
    from chalicelib.tables.shoppers import ShoppersTable

    return ShoppersTable(client("dynamodb"), settings().entries_table)


@cache
def yours() -> "Yours":
    """What a shopper sees and does about all they wait for."""
    from chalicelib.services.yours import Yours

    return Yours(entries(), shoppers(), products(), links(), clock_ms)


@cache
def yours_letters() -> "YoursLetters":
    """Sends the letter that leads there."""
    from chalicelib.services.yours_letters import YoursLetters

    return YoursLetters(
        entries(), shoppers(), suppressions(), recent_themes(), links(), paced_postbox(), clock_ms
    )


@cache
def page_turn() -> "PageTurn":
    """Turns pages."""
    from chalicelib.services.page_turn import PageTurn
    from chalicelib.storage.pages import Cdn, PagesBucket

    cdn = Cdn(client("cloudfront"), settings().distribution_id)
    bucket = PagesBucket(client("s3"), settings().pages_bucket)
    return PageTurn(products(), themes(), bucket, cdn, form_stamps)


@cache
def restocks() -> "RestocksTable":
    """The restocks table."""
    from chalicelib.tables.restocks import RestocksTable

    return RestocksTable(client("dynamodb"), settings().restocks_table)


@cache
def waves_queue() -> "WavesQueue":
    """Where steps of fan-outs wait to be taken."""
    from chalicelib.queues import WavesQueue

    return WavesQueue(client("sqs"), settings().waves_queue_url)


@cache
def progress() -> "ProgressTable":
    """How far fan-outs have come."""
    from chalicelib.tables.progress import ProgressTable

    return ProgressTable(client("dynamodb"), settings().sending_table)


@cache
def restocking() -> "Restocking":
    """Opens fan-outs."""
    from chalicelib.services.restocking import Restocking
    from chalicelib.tables.policies import PoliciesTable

    policies = PoliciesTable(client("dynamodb"), settings().sending_table)
    return Restocking(products(), restocks(), progress(), policies, waves_queue())


@cache
def admissions() -> "Admissions":
    """Lets in who needs no confirmation."""
    from chalicelib.services.admissions import Admissions

    return Admissions(entries(), restocking(), clock_ms)


@cache
def feedback_desk() -> "FeedbackDesk":
    """Takes in what SES says of letters."""
    from chalicelib.services.feedback import FeedbackDesk
    from chalicelib.tables.health import HealthTable

    names = settings()
    health = HealthTable(client("dynamodb"), names.entries_table, names.sending_table)
    return FeedbackDesk(
        health,
        suppressions(),
        pace(),
        clock_ms,
        topic=names.feedback_topic,
        configuration_set=names.configuration_set,
    )


@cache
def pace() -> "Pace":
    """Keeps all workers together to what SES allows."""
    from chalicelib.mail.account import SesAccount
    from chalicelib.mail.alarm import Alarm
    from chalicelib.services.pace import Pace
    from chalicelib.tables.pace import PaceTable

    table = PaceTable(client("dynamodb"), settings().sending_table)
    alarm = Alarm(client("sns"), settings().alarms_topic)
    account = smtp_server() or SesAccount(client("sesv2"))
    return Pace(table, account, clock_ms, time.sleep, alarm.ring)


@cache
def fan_out() -> "FanOut":
    """Walks the waves."""
    from chalicelib.services.batches import Batches
    from chalicelib.services.fan_out import FanOut
    from chalicelib.services.letters import LetterWriter
    from chalicelib.services.teller import Teller
    from chalicelib.tables.leases import LeasesTable
    from chalicelib.tables.line import LineTable

    line = LineTable(client("dynamodb"), settings().entries_table, settings().suppressions_table)
    teller = Teller(
        entries(),
        line,
        progress(),
        lambda: LetterWriter(themes().live(), links()),
        postbox(),
        clock_ms,
    )
    batches = Batches(entries(), line, products(), restocks(), progress(), pace(), teller, clock_ms)
    leases = LeasesTable(client("dynamodb"), settings().sending_table)
    return FanOut(batches, leases, pace(), waves_queue(), clock_ms, new_id, random.random)
