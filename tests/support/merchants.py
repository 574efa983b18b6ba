"""Merchants for tests: added as the commands add them, signed in as the emailed link signs them in."""

from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.merchant import Merchant, Role, merchant_id
from chalicelib.http.merchant_session import BROWSER_DIGITS, COOKIE
from chalicelib.tables.merchant import MerchantRow

OWNER = "owner@heron.example"
# The digest of a browser without a name.
NO_BROWSER = "e3b0c44298fc1c14"[:BROWSER_DIGITS]


def add_merchant(container: Container, email: str = OWNER, role: Role | None = Role.ACT) -> Merchant:
    """Add a merchant, give them another role, or (None) remove them."""
    known = merchant_id(Address.parse(email), container.keys.identity)
    container.merchants.put(MerchantRow(known, email, role, container.clock_ms()))
    return Merchant(known, email, role or Role.SEE)


def signed_in_headers(
    container: Container, email: str = OWNER, role: Role = Role.ACT, *, browser: str = NO_BROWSER
) -> dict[str, str]:
    """Sign a merchant in, and return the header with the cookie of the session."""
    sessions = container.merchant_sessions
    token = sessions.link_token(add_merchant(container, email, role))
    return {"cookie": f"{COOKIE}={sessions.sign_in(token, browser)}"}
