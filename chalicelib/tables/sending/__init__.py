"""The sending table: small rows that coordinate sending, each kind under a prefix of the key `id`."""

from enum import StrEnum


class Row(StrEnum):
    """Key prefixes of the sending table, one for each kind of row."""

    RATE = "sending-rate"
    """The one row of the rate limit, see `rate`."""
    ALERT_STATE = "alert-state"
    """The one row of alerts that were sent, see `once`."""
    LEASE = "lease#"
    """`lease#SHARD`, see `once`."""
    WEBHOOK = "webhook#"
    """`webhook#DIGEST`, see `once`."""
    POLICY = "policy#"
    """`policy#` (the shop's wave policy) and `policy#SLUG`, see `waves`."""
    WAVE = "wave#"
    """`wave#SKU`, the budget of a SKU's limited waves, see `waves`."""
    NOTIFIED = "notified#"
    """`notified#RESTOCK#SHARD`, counters of a fan-out, see `waves`."""
    RECEIVED = "received#"
    """`received#TAG`, counters of how a restock's emails were received, see `waves`."""
    HEALTH = "health#"
    """`health#DAY`, bounces and complaints of a day, and `health#from`, see `deliverability`."""
    FEEDBACK = "feedback#"
    """`feedback#MESSAGE#STATE`, an event that was counted, see `deliverability`."""
    ACCESS = "access#"
    """`access#TIME#ID`, an operator's access to people's data, see `spillway.waitlist.people`."""

    def key(self, suffix: str = "") -> dict[str, str]:
        """Return the key of one row."""
        return {"id": f"{self}{suffix}"}
