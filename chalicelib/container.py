"""The container: builds every object of the shop, once and lazily, from settings, clients, clock and ids.

A property imports what it builds, so that a cold start pays for what its first request uses and no more.
The Lambda functions, the operator's commands and the tests use this class with different clients.
"""

import random
import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from chalicelib.aws.connections import AwsError, code_of
from chalicelib.inbound_parts import InboundParts
from chalicelib.log import log
from chalicelib.rule_parts import RuleParts
from chalicelib.tables.entries import EntriesTable

if TYPE_CHECKING:
    from chalicelib.domain.email import EmailSender
    from chalicelib.domain.tokens import Offer
    from chalicelib.mail.smtp import SmtpServer
    from chalicelib.services.autopilot import Autopilot
    from chalicelib.services.confirmations import Confirmations
    from chalicelib.services.fan_out.rate_limiter import RateLimiter
    from chalicelib.services.fan_out.restocking import Restocking, SingleOptIn
    from chalicelib.services.fan_out.worker import FanOutWorker
    from chalicelib.services.merchants import Audit, MerchantSessions, SignInEmails
    from chalicelib.services.ordering import Ordering
    from chalicelib.services.overview import Overviews
    from chalicelib.services.page_refresh import PageRefresh
    from chalicelib.services.recount import Recount
    from chalicelib.services.reports import Reports
    from chalicelib.services.requested_emails import MyWaitlistsEmail, RequestedEmails
    from chalicelib.services.ses_events import SesEventHandler
    from chalicelib.services.signups import Signups
    from chalicelib.services.traffic import RecentTraffic, TrafficCounter, TrafficReports
    from chalicelib.services.waitlist import MyWaitlists, Waitlist
    from chalicelib.storage import TrafficBucket


class Container(InboundParts, RuleParts):
    """Everything that a shop is made of: `Stores`, and the services over them."""

    # ---- Requests of shoppers and merchants ----

    @cached_property
    def signups(self) -> "Signups":
        """Decides and stores signups."""
        from chalicelib.services.signups import Signups

        return Signups(
            EntriesTable(self._signup_dynamodb, self.settings.entries_table),
            self.keys.identity,
            self.clock_ms,
            refused_domains=self._refused_domains,
            renew_form_token=self._renew_form_token,
        )

    def warm_up(self) -> None:
        """Build what the first signup needs: during its start a function has a full processor.

        After an error, the first request builds it, or is refused.
        """
        try:
            _ = self.signups
        except AwsError as error:
            log("not_warmed_up", error=type(error).__name__, code=code_of(error))

    def _refused_domains(self, name: str) -> frozenset[str]:
        """Return the domains of a list; none where it cannot be read: a signup is worth more than a check."""
        try:
            return self.domain_lists.named(name)
        except AwsError as error:
            log("domains_not_read", list=name, error=type(error).__name__, code=code_of(error))
            return frozenset()

    def _renew_form_token(self, offer: "Offer") -> str:
        """Return the form token of a page made now that offers the same, on the terms of the live shop."""
        shop = self.recent_themes.live().theme.shop
        now = replace(offer, opt_in=shop.opt_in, refused_domains=shop.refused_domains)
        return self.form_tokens().sign(now)

    @cached_property
    def waitlist(self) -> "Waitlist":
        """Confirms and ends entries, by the links in emails."""
        from chalicelib.services.waitlist import Waitlist

        return Waitlist(self.entries, self.recent_products, self.links, self.clock_ms)

    @cached_property
    def my_waitlists(self) -> "MyWaitlists":
        """Shows, exports and erases everything that is stored about a shopper."""
        from chalicelib.services.waitlist import MyWaitlists

        tables = self.entries, self.shoppers, self.suppressions, self.products
        return MyWaitlists(*tables, self.links, self.clock_ms)

    @cached_property
    def merchant_sessions(self) -> "MerchantSessions":
        """Signs merchants in and out, and knows their sessions."""
        from chalicelib.domain.merchant import MerchantTokens, first_merchants
        from chalicelib.services.merchants import MerchantSessions

        first = first_merchants(self.settings.merchant_addresses, self.keys.identity)
        tokens = MerchantTokens(self.keys.signing, self.clock_ms)
        return MerchantSessions(self.merchants, tokens, first, self.clock_ms, self.new_id)

    @cached_property
    def audit(self) -> "Audit":
        """Writes what merchants do, before they do it."""
        from chalicelib.services.merchants import Audit
        from chalicelib.tables.merchant import AuditTable

        table = AuditTable(self.client("dynamodb"), self.settings.merchant_table)
        return Audit(table, self.clock_ms, self.new_id)

    @cached_property
    def overviews(self) -> "Overviews":
        """Answers the polls of the merchant's page."""
        from chalicelib.services.overview import Overviews, Tables
        from chalicelib.tables.overview import OverviewTable

        snapshots = OverviewTable(self.client("dynamodb"), self.settings.merchant_table)
        tables = Tables(
            snapshots, self.demand, self.products, self.restocks, self.progress, self.sending_rate
        )
        return Overviews(tables, lambda: self.recent_themes.live().theme.shop.low_stock, self.clock_ms)

    @cached_property
    def reports(self) -> "Reports":
        """Counts orders, and reports on restocks."""
        from chalicelib.services.reports import Reports

        return Reports(self.report_rows, self.restocks, self.progress, self.clock_ms)

    @cached_property
    def ordering(self) -> "Ordering":
        """Advises how many units to order."""
        from chalicelib.services.ordering import Ordering

        return Ordering(self.demand, self.products, self.reports, self.clock_ms)

    @cached_property
    def clicks(self) -> "Reports":
        """Counts clicks, each by one attempt: a shopper waits for the page behind it."""
        from chalicelib.services.reports import Reports
        from chalicelib.tables.reports import ReportsTable

        client = self.client("dynamodb", attempts_max=1)
        table = ReportsTable(client, self.settings.merchant_table)
        return Reports(table, self.restocks, self.progress, self.clock_ms)

    # ---- Emails ----

    @cached_property
    def smtp_server(self) -> "SmtpServer | None":
        """The mail server of a shop that does not send through SES."""
        from chalicelib.mail.smtp import SmtpServer

        if not self.settings.smtp_secret:
            return None
        return SmtpServer.from_json(self.secret(self.settings.smtp_secret))

    @cached_property
    def sender(self) -> "EmailSender":
        """SES, or the shop's own mail server. The client never retries: SES would send twice."""
        from chalicelib.mail.ses import SesSender
        from chalicelib.mail.smtp import SmtpSender

        if self.smtp_server:
            return SmtpSender(self.smtp_server, self.clock_ms, self.new_id)
        return SesSender(self.client("sesv2", attempts_max=1), self.settings.configuration_set)

    @cached_property
    def rate_limiter(self) -> "RateLimiter":
        """Holds all workers together to what SES allows."""
        from chalicelib.mail.ses import SesAccount
        from chalicelib.queues import Alarm
        from chalicelib.services.fan_out.rate_limiter import RateLimiter

        alarm = Alarm(self.client("sns"), self.settings.alarms_topic)
        account = self.smtp_server or SesAccount(self.client("sesv2"))
        return RateLimiter(self.sending_rate, account, self.clock_ms, time.sleep, alarm.ring)

    @cached_property
    def requested_emails(self) -> "RequestedEmails":
        """Sends an email that a shopper requested, within the day's limits."""
        from chalicelib.services.fan_out.rate_limiter import RateLimitedSender
        from chalicelib.services.requested_emails import RequestedEmails

        sender = RateLimitedSender(self.sender, self.rate_limiter)
        return RequestedEmails(
            self.entries, self.recent_themes, self.links, sender, self.clock_ms, self.keys.identity
        )

    @cached_property
    def confirmations(self) -> "Confirmations":
        """Sends confirmation emails."""
        from chalicelib.services.confirmations import Confirmations

        return Confirmations(
            self.entries,
            self.recent_products,
            self.suppressions,
            self.requested_emails,
            self.clock_ms,
            visit_s=self.settings.confirmation_delay_s,
        )

    @cached_property
    def my_waitlists_email(self) -> "MyWaitlistsEmail":
        """Sends the email with the link to a shopper's waitlists."""
        from chalicelib.services.requested_emails import MyWaitlistsEmail

        return MyWaitlistsEmail(self.shoppers, self.suppressions, self.requested_emails)

    @cached_property
    def sign_in_emails(self) -> "SignInEmails":
        """Sends merchants the links by which they sign in."""
        from chalicelib.services.merchants import SignInEmails

        return SignInEmails(self.merchant_sessions, self.merchants, self.requested_emails, self.clock_ms)

    @cached_property
    def ses_event_handler(self) -> "SesEventHandler":
        """Applies SES's events about emails."""
        from chalicelib.services.ses_events import SesEventHandler

        return SesEventHandler(
            self.deliverability,
            self.suppressions,
            self.rate_limiter,
            self.clock_ms,
            topic=self.settings.known("feedback_topic"),
            configuration_set=self.settings.configuration_set,
            emit=self.event_emitter.emit,
        )

    # ---- Reactions to stock and to the clock ----

    @cached_property
    def page_refresh(self) -> "PageRefresh":
        """Refreshes the pages that show a product."""
        from chalicelib.services.page_refresh import PageRefresh
        from chalicelib.storage import PagesBucket

        bucket = PagesBucket(self.client("s3"), self.settings.pages_bucket)
        return PageRefresh(self.products, self.themes, bucket, self.cdn, self.form_tokens)

    @cached_property
    def restocking(self) -> "Restocking":
        """Opens fan-outs."""
        from chalicelib.services.fan_out.restocking import Restocking

        return Restocking(self.products, self.restocks, self.progress, self.policies, self.waves_queue)

    @cached_property
    def single_opt_in(self) -> "SingleOptIn":
        """Accepts entries that need no confirmation."""
        from chalicelib.services.fan_out.restocking import SingleOptIn

        return SingleOptIn(self.entries, self.restocking, self.clock_ms)

    @cached_property
    def fan_out(self) -> "FanOutWorker":
        """Does what the messages of the waves queue say."""
        from chalicelib.services.email_composer import EmailComposer
        from chalicelib.services.fan_out.notifier import Notifier
        from chalicelib.services.fan_out.restocking import FanOutStore
        from chalicelib.services.fan_out.walks import walks_by_message
        from chalicelib.services.fan_out.worker import FanOutWorker
        from chalicelib.tables.sending import LeasesTable

        leases = LeasesTable(self.client("dynamodb"), self.settings.sending_table)
        store = FanOutStore(self.entries, self.shards, self.products, self.restocks, self.progress, leases)
        notifier = Notifier(
            store,
            lambda: EmailComposer(self.recent_themes.live(), self.links),
            self.sender,
            self.rate_limiter,
            self.waves_queue,
            self.clock_ms,
        )
        walks = walks_by_message(store, self.rate_limiter, notifier, self.clock_ms)
        return FanOutWorker(
            walks,
            store,
            self.waves_queue,
            self.clock_ms,
            self.new_id,
            random.random,
            emit=self.event_emitter.emit,
        )

    @cached_property
    def recount(self) -> "Recount":
        """Compares the counters of demand with the entries."""
        from chalicelib.services.recount import Recount
        from chalicelib.tables.demand import EntriesCount

        entries = EntriesCount(self.client("dynamodb"), self.settings.entries_table)
        return Recount(entries, self.demand, self.clock_ms, time.sleep)

    @cached_property
    def traffic_counter(self) -> "TrafficCounter":
        """Counts access logs."""
        from chalicelib.services.traffic import TrafficCounter, WeeklySalts, hosts_of

        salts = WeeklySalts(
            self.client("secretsmanager"), self.settings.known("traffic_salts_secret"), self.clock_ms
        )
        return TrafficCounter(
            self._traffic_bucket, salts, lambda: hosts_of(self.recent_themes.live().theme.shop.base_url)
        )

    @cached_property
    def traffic_reports(self) -> "TrafficReports":
        """Reads the statistics of access logs."""
        from chalicelib.services.traffic import TrafficReports

        return TrafficReports(self._traffic_bucket, self._signups_counted)

    @cached_property
    def recent_traffic(self) -> "RecentTraffic":
        """Answers the polls of the merchant's page for the traffic of a day."""
        from chalicelib.services.traffic import RecentTraffic

        return RecentTraffic(
            self._traffic_bucket, self._signups_counted, self.clock_ms, is_delivered=self.has_traffic_logs
        )

    @property
    def has_traffic_logs(self) -> bool:
        """True where CloudFront delivers access logs."""
        return self.settings.traffic_logs == "yes"

    def _signups_counted(self, since: str, until: str) -> int | None:
        """Return how many signups the API counted from one hour to another; None where none is known."""
        from chalicelib.services.traffic import signups_counted

        namespace = self.settings.known("metrics_namespace")
        return signups_counted(self.client("cloudwatch"), namespace, since, until)

    @cached_property
    def _traffic_bucket(self) -> "TrafficBucket":
        from chalicelib.storage import TrafficBucket

        return TrafficBucket(self.client("s3"), self.settings.known("traffic_bucket"))

    @cached_property
    def autopilot(self) -> "Autopilot":
        """Watches the shop and acts within bounds."""
        from chalicelib.domain.autopilot import Bounds
        from chalicelib.services.autopilot import Autopilot, CloudActionLog, Resources
        from chalicelib.tables.sending import AlertStateTable

        names = self.settings
        resources = Resources(
            names.entries_table,
            names.sending_table,
            names.known("api_function"),
            names.alarms_topic,
            names.dead_letter_queue_urls,
        )
        bounds = Bounds(names.entries_write_units_max, names.api_concurrency_max)
        action_log = CloudActionLog(AlertStateTable(self.client("dynamodb"), names.sending_table))
        return Autopilot(self.client, resources, bounds, action_log, self.clock_ms, self.rule_bounds.get)
