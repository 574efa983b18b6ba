"""What sends letters, one by one, and hears what became of them."""

import time
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.wiring import client, clock_ms, keys, links, new_id, settings
from chalicelib.wiring.stores import entries, recent_products, recent_themes, shoppers, suppressions

if TYPE_CHECKING:
    from chalicelib.mail.postbox import Postbox
    from chalicelib.mail.smtp import SmtpServer
    from chalicelib.services.asked_letters import AskedLetters
    from chalicelib.services.confirmations import Confirmations
    from chalicelib.services.feedback import FeedbackDesk
    from chalicelib.services.pace import Pace
    from chalicelib.services.yours_letters import YoursLetters


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
def asked_letters() -> "AskedLetters":
    """Sends what leaves at anybody's asking."""
    from chalicelib.services.asked_letters import AskedLetters

    return AskedLetters(entries(), recent_themes(), links(), paced_postbox(), clock_ms, keys().identity)


@cache
def confirmations() -> "Confirmations":
    """Sends confirmation letters."""
    from chalicelib.services.confirmations import Confirmations

    return Confirmations(
        entries(),
        recent_products(),
        suppressions(),
        asked_letters(),
        clock_ms,
        visit_s=settings().confirmation_delay_s,
    )


@cache
def yours_letters() -> "YoursLetters":
    """Sends the letters with the link to all that a shopper waits for."""
    from chalicelib.services.yours_letters import YoursLetters

    return YoursLetters(shoppers(), suppressions(), asked_letters())


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
