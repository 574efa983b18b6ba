"""The columns of other tools' exports, by the names that the tools give them.

Sources of the names: Klaviyo's export of a list (Email Marketing Consent with SUBSCRIBED, UNSUBSCRIBED and
NEVER_SUBSCRIBED; Email Suppressions) <https://help.klaviyo.com/hc/en-us/articles/115005078687>; the
post states of Back In Stock Notifier for WooCommerce (cwg_subscribed, cwg_mailsent, cwg_converted,
cwg_unsubscribed); Swym's API <https://developers.swym.it/docs/request-a-back-in-stock-alert>.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum


class Column(StrEnum):
    """A kind of column."""

    EMAIL = "email"
    SKU = "sku"
    TIME = "time"
    STATUS = "status"
    CONSENT = "consent"
    SUPPRESSED = "suppressed"
    TEXT = "text"


class Tool(StrEnum):
    """The tools whose exports are known."""

    KLAVIYO = "klaviyo"
    SWYM = "swym"
    WOOCOMMERCE = "woocommerce"
    CSV = "csv"


# Compared without case, signs and spaces; the first that the file has counts.
NAMES: Mapping[Tool, Mapping[Column, Sequence[str]]] = {
    Tool.KLAVIYO: {
        Column.EMAIL: ("Email", "$email", "Profile Email"),
        Column.SKU: ("SKU", "Variant SKU", "$variant_sku", "Variant ID", "$variant_id", "Catalog Variant ID"),
        Column.TIME: ("Event Timestamp", "Timestamp", "Date Added", "Email Marketing Consent Timestamp"),
        Column.CONSENT: ("Email Marketing Consent",),
        Column.SUPPRESSED: ("Email Suppressions", "Suppressed"),
    },
    Tool.SWYM: {
        Column.EMAIL: ("Email", "Customer Email", "User Email", "Medium Value"),
        Column.SKU: ("SKU", "Variant SKU", "Product SKU", "Variant ID", "epi"),
        Column.TIME: (
            "Created At",
            "Subscribed At",
            "Subscribed On",
            "Subscription Date",
            "Date",
            "Timestamp",
        ),
        Column.STATUS: ("Status", "Alert Status", "Subscription Status"),
    },
    Tool.WOOCOMMERCE: {
        Column.EMAIL: (
            "Email",
            "Email Address",
            "User Email",
            "Subscriber Email",
            "cwginstock_subscriber_email",
        ),
        Column.SKU: ("SKU", "Product SKU", "Variation SKU"),
        Column.TIME: ("Subscribed Date", "Date Added", "Date", "Created At", "create_date", "post_date"),
        Column.STATUS: ("Status", "post_status"),
    },
    Tool.CSV: {
        Column.EMAIL: ("Email", "Email Address", "Address"),
        Column.SKU: ("SKU",),
        Column.TIME: ("Asked At", "Time", "Date", "Created At", "Timestamp"),
        Column.STATUS: ("Status",),
        Column.CONSENT: ("Consent",),
        Column.TEXT: ("Consent Text",),
    },
}
