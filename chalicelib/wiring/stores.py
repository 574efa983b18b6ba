"""Where things are kept: tables, the release bucket, queues."""

from functools import cache
from typing import TYPE_CHECKING

from chalicelib.tables.entries import EntriesTable
from chalicelib.wiring import client, clock_ms, settings

if TYPE_CHECKING:
    from chalicelib.queues import ConfirmationsQueue, WavesQueue
    from chalicelib.storage.themes import ThemeStore
    from chalicelib.tables.products import ProductsTable
    from chalicelib.tables.progress import ProgressTable
    from chalicelib.tables.recent_products import RecentProducts
    from chalicelib.tables.restocks import RestocksTable
    from chalicelib.tables.shoppers import ShoppersTable
    from chalicelib.tables.suppressions import SuppressionsTable

THEME_FRESH_FOR_MS = 10_000


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
    """The same, as of a few seconds ago: for emails and pages that only name what is sold."""
    from chalicelib.tables.recent_products import RecentProducts

    return RecentProducts(products(), clock_ms)


@cache
def suppressions() -> "SuppressionsTable":
    """The suppressions table."""
    from chalicelib.tables.suppressions import SuppressionsTable

    return SuppressionsTable(client("dynamodb"), settings().suppressions_table)


@cache
def shoppers() -> "ShoppersTable":
    """All that is kept of a shopper."""
    from chalicelib.tables.shoppers import ShoppersTable

    return ShoppersTable(client("dynamodb"), settings().entries_table)


@cache
def restocks() -> "RestocksTable":
    """The restocks table."""
    from chalicelib.tables.restocks import RestocksTable

    return RestocksTable(client("dynamodb"), settings().restocks_table)


@cache
def progress() -> "ProgressTable":
    """How far fan-outs have come."""
    from chalicelib.tables.progress import ProgressTable

    return ProgressTable(client("dynamodb"), settings().sending_table)


@cache
def themes() -> "ThemeStore":
    """The live theme."""
    from chalicelib.storage.themes import ThemeStore

    return ThemeStore(client("s3"), settings().release_bucket)


@cache
def recent_themes() -> "ThemeStore":
    """The same, as of a few seconds ago: for emails and answers, never to turn pages with."""
    from chalicelib.storage.themes import ThemeStore

    bucket = settings().release_bucket
    return ThemeStore(client("s3"), bucket, fresh_for_ms=THEME_FRESH_FOR_MS, clock_ms=clock_ms)


@cache
def confirmations_queue() -> "ConfirmationsQueue":
    """Where confirmation emails wait to be sent."""
    from chalicelib.queues import ConfirmationsQueue

    names = settings()
    return ConfirmationsQueue(
        client("sqs"), names.confirmations_queue_url, visit_s=names.confirmation_delay_s
    )


@cache
def waves_queue() -> "WavesQueue":
    """Where steps of fan-outs wait to be taken."""
    from chalicelib.queues import WavesQueue

    return WavesQueue(client("sqs"), settings().waves_queue_url)
