"""Merchants: who may sign in, their sessions, and the audit of what they do.

A merchant is known by a row that a command wrote, or else by the stack's parameter. Each request reads the
row, the session's own and the epoch by one call: a role that changes, a merchant who is removed and
`spillway merchant sign-out --all` count at once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from chalicelib.domain.email import SendRefused
from chalicelib.domain.merchant import (
    SESSION_S,
    SIGN_IN_WITHIN_S,
    Merchant,
    MerchantId,
    MerchantTokens,
    Role,
    Session,
    SignInLink,
)
from chalicelib.domain.tokens import LinkRefused
from chalicelib.log import log
from chalicelib.tables.merchant import AuditRow, AuditTable, MerchantRow, MerchantTable, SessionRow

if TYPE_CHECKING:
    # A request of the page sends no email, and should not wait for what composes them.
    from chalicelib.services.requested_emails import RequestedEmails


class MerchantSessions:
    """Signs merchants in and out, and knows the session that a cookie names.

    Args:
        table: the rows.
        tokens: signs links and cookies.
        first: the merchants that the stack's parameter names, by id.
        clock_ms: the time in milliseconds since the epoch.
        new_id: returns an id that was never returned before.
    """

    def __init__(
        self,
        table: MerchantTable,
        tokens: MerchantTokens,
        first: Mapping[MerchantId, Merchant],
        clock_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._table = table
        self._tokens = tokens
        self._first = first
        self._clock_ms = clock_ms
        self._new_id = new_id

    def merchant(self, merchant: MerchantId) -> Merchant | None:
        """Return a merchant who may sign in; None for any other id."""
        return self._known(merchant, self._table.get(merchant))

    def link_token(self, merchant: Merchant) -> str:
        """Return the token of a link by which a merchant signs in once, within 15 minutes."""
        return self._tokens.link(SignInLink(merchant.id, self._new_id(), self._table.epoch()))

    def check_link(self, token: str) -> None:
        """Check that a link signs somebody in. Change nothing.

        Raises:
            LinkRefused: it does not.
        """
        self._linked(token)

    def sign_in(self, token: str, browser: str) -> str:
        """Use a link up, begin a session in `browser` (a digest), and return the value of its cookie.

        Raises:
            LinkRefused: the link is not ours, too old, used, or of a merchant who may not sign in.
        """
        link, merchant = self._linked(token)
        now_ms = self._clock_ms()
        if not self._table.use_link(link.id, expires_at_s=now_ms // 1000 + 2 * SIGN_IN_WITHIN_S):
            log("sign_in_link_used_again", merchant=merchant.id)
            raise LinkRefused
        session = SessionRow(self._new_id(), merchant.id, link.epoch, browser)
        self._table.open_session(session, expires_at_s=now_ms // 1000 + SESSION_S)
        log("merchant_signed_in", merchant=merchant.id)
        return self._tokens.session(merchant.id, session.id)

    def of(self, cookie: str, browser: str) -> Session | None:
        """Return the session that a cookie names, with the role of now; None when it is over.

        A cookie that another browser sends is a stolen one: the session ends for both.
        """
        try:
            merchant_id, session_id = self._tokens.read_session(cookie)
        except LinkRefused:
            return None
        standing = self._table.standing(merchant_id, session_id=session_id)
        merchant, row = self._known(merchant_id, standing.merchant), standing.session
        if merchant is None or row is None or (row.merchant, row.epoch) != (merchant_id, standing.epoch):
            return None
        if row.browser != browser:
            log("session_in_another_browser", merchant=merchant_id)
            self._table.end_session(session_id)
            return None
        return Session(merchant.id, merchant.role, merchant.email)

    def sign_out(self, cookie: str) -> None:
        """End the session that a cookie names, in whatever browser it is."""
        try:
            merchant_id, session_id = self._tokens.read_session(cookie)
        except LinkRefused:
            return
        log("merchant_signed_out", merchant=merchant_id)
        self._table.end_session(session_id)

    def _linked(self, token: str) -> tuple[SignInLink, Merchant]:
        link = self._tokens.read_link(token)
        standing = self._table.standing(link.merchant, link_id=link.id)
        merchant = self._known(link.merchant, standing.merchant)
        if merchant is None or standing.link_used or link.epoch != standing.epoch:
            raise LinkRefused
        return link, merchant

    def _known(self, merchant: MerchantId, row: MerchantRow | None) -> Merchant | None:
        return row.merchant if row else self._first.get(merchant)


# In an hour. A network's limit is the lower one: nobody uses up a merchant's emails from one place.
SIGN_INS_OF_MERCHANT_MAX = 10
SIGN_INS_OF_NETWORK_MAX = 5
REQUESTED_KEPT_S = 2 * 3600


class SignInEmails:
    """Sends a merchant the link by which they sign in, or a test email; any other address gets nothing.

    Anybody can cause a link by typing an address, so a merchant and a network have so many in an hour.
    """

    def __init__(
        self,
        sessions: MerchantSessions,
        table: MerchantTable,
        emails: "RequestedEmails",
        clock_ms: Callable[[], int],
    ) -> None:
        self._sessions = sessions
        self._table = table
        self._emails = emails
        self._clock_ms = clock_ms

    def send(self, merchant_id: MerchantId, page: str, source: str | None = None) -> None:
        """Send the email, in the language of `page`, if the id is that of a merchant within the caps.

        Args:
            merchant_id: the id of the address that was typed.
            page: a path in the language of the email.
            source: the id of the network that requested it, None where none is known.

        Raises:
            SendRefused: the email was not taken and has to be tried again.
            OutcomeUnknown: the email may have left.
        """
        merchant = self._sessions.merchant(merchant_id)
        if merchant is None:
            log("sign_in_not_due", merchant=merchant_id)
            return
        now_ms = self._clock_ms()
        limits: dict[str, int] = {merchant.id: SIGN_INS_OF_MERCHANT_MAX}
        if source:
            limits[source] = SIGN_INS_OF_NETWORK_MAX
        counted: list[str] = []
        for requester, limit in limits.items():
            if not self._count(requester, limit, now_ms):
                log("sign_ins_of_the_hour_used_up", merchant=merchant_id, source=source)
                self._give_back(counted, limits, now_ms)
                return
            counted.append(requester)
        composer = self._emails.composer()
        outgoing = composer.sign_in(merchant, self._sessions.link_token(merchant), page=page)
        try:
            self._emails.hand_over(merchant.id, composer, outgoing)
        except SendRefused:
            self._give_back(counted, limits, now_ms)
            raise

    def send_test(self, merchant_id: MerchantId, page: str) -> None:
        """Send a test email to a merchant who may act, in the language of `page`.

        Raises:
            SendRefused: the email was not taken and has to be tried again.
            OutcomeUnknown: the email may have left.
        """
        merchant = self._sessions.merchant(merchant_id)
        if merchant is None or merchant.role is not Role.ACT:
            log("test_email_not_due", merchant=merchant_id)
            return
        composer = self._emails.composer()
        self._emails.hand_over(merchant.id, composer, composer.test(merchant, page=page))

    def _give_back(self, counted: Sequence[str], limits: Mapping[str, int], now_ms: int) -> None:
        for requester in counted:
            self._count(requester, limits[requester], now_ms, emails=-1)

    def _count(self, requester: str, limit: int, now_ms: int, *, emails: int = 1) -> bool:
        return self._table.count_requested(
            requester,
            at_ms=now_ms,
            limit=limit,
            expires_at_s=now_ms // 1000 + REQUESTED_KEPT_S,
            emails=emails,
        )


class AuditNotWritten(RuntimeError):
    """The row of an action could not be written: the action must not act."""


class Audit:
    """Writes what merchants do, before they do it: an action that cannot be logged does nothing."""

    def __init__(self, table: AuditTable, clock_ms: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._table = table
        self._clock_ms = clock_ms
        self._new_id = new_id

    def record(
        self, session: Session, action: str, target: str, before: str | None, after: str | None
    ) -> None:
        """Write down that a merchant is about to act.

        Args:
            session: the merchant who acts.
            action: the name of the action, such as `stock`.
            target: what it acts on: an SKU, a shopper's id. Never the address of a shopper.
            before: the value before; None without one.
            after: the value after; None without one.

        Raises:
            AuditNotWritten: another row has the key; or as the table raises.
        """
        row = AuditRow(
            self._new_id(), self._clock_ms(), session.merchant, session.email, action, target, before, after
        )
        if not self._table.add(row):
            raise AuditNotWritten(f"audit row {row.at_ms}#{row.id}")

    def recent(self, limit: int) -> list[AuditRow]:
        """Return the newest actions, the newest first."""
        return self._table.recent(limit)
