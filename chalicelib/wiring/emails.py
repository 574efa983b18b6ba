"""What sends emails, one by one, and hears what became of them."""

import time
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.wiring import client, clock_ms, keys, links, new_id, settings
from chalicelib.wiring.stores import entries, recent_products, recent_themes, shoppers, suppressions

if TYPE_CHECKING:
    from chalicelib.mail.sender import EmailSender
    from chalicelib.mail.smtp import SmtpServer
    from chalicelib.services.confirmations import Confirmations
    from chalicelib.services.my_waitlists_email import MyWaitlistsEmail
    from chalicelib.services.rate_limiter import RateLimiter
    from chalicelib.services.requested_emails import RequestedEmails
    from chalicelib.services.ses_events import SesEventHandler


@cache
def smtp_server() -> "SmtpServer | None":
    """The mail server of a shop that is not on SES."""
    from chalicelib.mail.smtp import SmtpServer

    if not settings().smtp_secret:
        return None
    secret = client("secretsmanager").get_secret_value(SecretId=settings().smtp_secret)
    return SmtpServer.from_json(secret["SecretString"])


@cache
def sender() -> "EmailSender":
    """SES, or the shop's own mail server. A send is never retried below us: SES would send twice."""
    from chalicelib.mail.ses import SesSender
    from chalicelib.mail.smtp import SmtpSender

    server = smtp_server()
    if server:
        return SmtpSender(server, clock_ms, new_id)
    return SesSender(client("sesv2", attempts_max=1), settings().configuration_set)


@cache
def rate_limited_sender() -> "EmailSender":
    """The same, for emails that await their turn one by one."""
    from chalicelib.services.rate_limiter import RateLimitedSender

    return RateLimitedSender(sender(), rate_limiter())


@cache
def rate_limiter() -> "RateLimiter":
    """Keeps all workers together to what SES allows."""
    from chalicelib.mail.account import SesAccount
    from chalicelib.mail.alarm import Alarm
    from chalicelib.services.rate_limiter import RateLimiter
    from chalicelib.tables.sending_rate import SendingRateTable

    table = SendingRateTable(client("dynamodb"), settings().sending_table)
    alarm = Alarm(client("sns"), settings().alarms_topic)
    account = smtp_server() or SesAccount(client("sesv2"))
    return RateLimiter(table, account, clock_ms, time.sleep, alarm.ring)


@cache
def requested_emails() -> "RequestedEmails":
    """Sends what leaves at anybody's asking."""
    from chalicelib.services.requested_emails import RequestedEmails

    return RequestedEmails(
        entries(), recent_themes(), links(), rate_limited_sender(), clock_ms, keys().identity
    )


@cache
def confirmations() -> "Confirmations":
    """Sends confirmation emails."""
    from chalicelib.services.confirmations import Confirmations

    return Confirmations(
        entries(),
        recent_products(),
        suppressions(),
        requested_emails(),
        clock_ms,
        visit_s=settings().confirmation_delay_s,
    )


@cache
def my_waitlists_email() -> "MyWaitlistsEmail":
    """Sends the emails with the link to all that a shopper waits for."""
    from chalicelib.services.my_waitlists_email import MyWaitlistsEmail

    return MyWaitlistsEmail(shoppers(), suppressions(), requested_emails())


@cache
def ses_event_handler() -> "SesEventHandler":
    """Takes in what SES says of emails."""
    from chalicelib.services.ses_events import SesEventHandler
    from chalicelib.tables.deliverability import DeliverabilityTable

    names = settings()
    health = DeliverabilityTable(client("dynamodb"), names.entries_table, names.sending_table)
    return SesEventHandler(
        health,
        suppressions(),
        rate_limiter(),
        clock_ms,
        topic=names.feedback_topic,
        configuration_set=names.configuration_set,
    )
