"""What answers the API's requests. A signup makes the first three and nothing else."""

from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.aws.errors import AwsError, code_of
from chalicelib.log import log
from chalicelib.tables.entries import EntriesTable
from chalicelib.wiring import aws, client, clock_ms, keys, links, settings
from chalicelib.wiring.stores import entries, products, recent_products, recent_themes, shoppers

if TYPE_CHECKING:
    from chalicelib.domain.form_stamp import Offer
    from chalicelib.http.merchant_keys import MerchantKeys
    from chalicelib.services.availability import Availabilities
    from chalicelib.services.my_waitlists import MyWaitlists
    from chalicelib.services.signups import Signups
    from chalicelib.services.waitlist import Waitlist
    from chalicelib.services.webhooks import Webhooks
    from chalicelib.tables.domain_lists import DomainListsTable


@cache
def signups() -> "Signups":
    """Takes signups. All it asks of its table is the one write that the client without the SDK has."""
    from chalicelib.services.signups import Signups

    dynamodb: Any = aws().dynamodb()
    return Signups(EntriesTable(dynamodb, settings().entries_table), keys().identity, clock_ms)


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


def offered_now(sku_ids: tuple[str, ...]) -> "Offer":
    """What a page made now would offer: the same, on the terms of the live shop."""
    from chalicelib.domain.form_stamp import Offer

    shop = recent_themes().live().theme.shop
    return Offer(sku_ids, shop.opt_in, shop.refused_domains)


def warm_up() -> None:
    """Be ready for the first signup before it comes: Lambda lends a whole processor until then.

    What cannot be had now is had by the first request that needs it, or refused to it.
    """
    try:
        signups()
    except AwsError as error:
        log("not_warmed_up", error=type(error).__name__, code=code_of(error))


@cache
def waitlist() -> "Waitlist":
    """The shopper's side once an email has come."""
    from chalicelib.services.waitlist import Waitlist

    return Waitlist(entries(), recent_products(), links(), clock_ms)


@cache
def my_waitlists() -> "MyWaitlists":
    """What a shopper sees and does about all they wait for."""
    from chalicelib.services.my_waitlists import MyWaitlists

    return MyWaitlists(entries(), shoppers(), products(), links(), clock_ms)


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
    """Takes in events of signed webhooks."""
    from chalicelib.services.webhooks import Webhooks
    from chalicelib.tables.webhooks import WebhooksTable

    table = WebhooksTable(client("dynamodb"), settings().sending_table)
    return Webhooks(availabilities(), table, clock_ms)
