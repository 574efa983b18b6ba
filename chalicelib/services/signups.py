"""Asking to be told: the one thing a flood does, and so the one that costs next to nothing."""

from collections.abc import Callable, Sequence

from chalicelib.domain.address import Address
from chalicelib.domain.entry import OptIn, Signup
from chalicelib.tables.entries import EntriesTable


class Signups:
    """Takes signups. `identity_key` turns addresses into shoppers' ids."""

    def __init__(self, entries: EntriesTable, identity_key: bytes, clock_ms: Callable[[], int]) -> None:
        self._entries = entries
        self._identity_key = identity_key
        self._clock_ms = clock_ms

    def sign_up(
        self,
        address: Address,
        skus: Sequence[str],
        *,
        page: str,
        consent: str,
        opt_in: OptIn = OptIn.DOUBLE,
        source: str = "",
    ) -> int:
        """Write down that `address` wants `skus`: one conditional write for each, and nothing else.

        Nothing is read first, not even whether the shop sells such a thing: the form's stamp said so.
        The email that asks for confirmation follows from the written row, not from here. Nothing
        tells whether the address was known before. Returns the time of asking in milliseconds, one for all
        of `skus`, which are written in their order: the newest entry of a visit is one that all agree on.
        `source` is the id of the network that asked, empty where none is known.
        """
        at_ms = self._clock_ms()
        shopper = address.shopper_id(self._identity_key)
        for sku in sorted(skus):
            signup = Signup(shopper, address.mailbox, sku, page, consent, opt_in, source)
            self._entries.ask(signup, at_ms=at_ms)
        return at_ms
