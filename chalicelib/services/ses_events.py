"""Events of SES about our emails: stored on the entry, suppressions recorded, sending paused in time.

SES pauses an account whose emails bounce or cause complaints. Spillway pauses first: the emails wait in their
queues until an operator looks into it and resumes.
"""

from collections.abc import Callable, Sequence

from chalicelib.domain.domain_event import DomainEvent
from chalicelib.domain.emissions import feedback_event, paused_event
from chalicelib.domain.feedback import Feedback, FeedbackState, IgnoredFeedback, read_message
from chalicelib.domain.sending_limits import cohorts, day_of, days_judged, reason_to_pause
from chalicelib.domain.suppression import MailboxHistory
from chalicelib.log import log
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.suppressions import SuppressionsTable


class SesEventHandler:
    """Applies SES's events. Every step can be repeated; a repeat changes nothing.

    Args:
        deliverability: bounces and complaints, by entry and by day.
        suppressions: the shoppers that get no email.
        rate_limiter: pauses sending.
        clock_ms: the time in milliseconds since the epoch.
        topic: the SNS topic that events must come from.
        configuration_set: the SES configuration set that events must be of.
        emit: emits domain events; None for nowhere.
    """

    def __init__(
        self,
        deliverability: DeliverabilityTable,
        suppressions: SuppressionsTable,
        rate_limiter: RateLimiter,
        clock_ms: Callable[[], int],
        *,
        topic: str,
        configuration_set: str,
        emit: Callable[[Sequence[DomainEvent]], None] | None = None,
    ) -> None:
        self._deliverability = deliverability
        self._suppressions = suppressions
        self._rate_limiter = rate_limiter
        self._clock_ms = clock_ms
        self._topic = topic
        self._configuration_set = configuration_set
        self._emit = emit

    def handle(self, body: str) -> None:
        """Apply one message of the feedback queue: SNS's envelope around an event of SES.

        Only the topic may write to the queue, so a signature would prove nothing more. The topic's name is
        checked once more, and the configuration set of the event. A message about no email of ours is
        ignored and logged, without its content.

        Raises:
            NoFeedback: the message is about our emails but cannot be read; a person has to look.
        """
        feedback = read_message(body, topic=self._topic, configuration_set=self._configuration_set)
        if isinstance(feedback, IgnoredFeedback):
            log("feedback_ignored", why=feedback.why, kind=feedback.kind)
            return
        now_ms = self._clock_ms()
        if feedback.state.suppresses:
            self._record(feedback, now_ms)
        news = feedback.sku is not None and self._deliverability.store(feedback)
        if not feedback.state.suppresses:
            self._record(feedback, now_ms)
        shopper, sku = feedback.shopper, feedback.sku or ""
        log("email_feedback", state=feedback.state, shopper=shopper, sku=sku, news=news)
        if feedback.counts:
            self._deliverability.count(feedback, at_ms=now_ms)
            # A repeat, too: the worker of before may have died right after it counted.
            self._pause_if_needed(now_ms)
        if self._emit:
            event = feedback_event(feedback, complaints_of_day=self._complaints_of_day(feedback))
            self._emit([event] if event else [])

    def _complaints_of_day(self, feedback: Feedback) -> int:
        """Return the complaints about emails of the day of this one; 0 for other news."""
        if feedback.state is not FeedbackState.COMPLAINED:
            return 0
        day = day_of(feedback.sent_at_ms)
        return self._deliverability.bounced_and_complained([day]).get(day, (0, 0))[1]

    def _record(self, feedback: Feedback, now_ms: int) -> None:
        """Record the event in the history of its mailbox.

        A delivery is recorded only in a history that exists already, which takes one read: deliveries are
        stored on the entries, where a soft bounce looks for them.
        """
        shopper, sent = feedback.shopper, frozenset({feedback.sent_at_ms})
        match feedback.state:
            case FeedbackState.COMPLAINED:
                news = MailboxHistory(complained_at_ms=feedback.at_ms)
            case FeedbackState.BOUNCED:
                news = MailboxHistory(bounced=sent)
            case FeedbackState.BOUNCED_SOFT if feedback.mailbox_fault:
                news = MailboxHistory(bounced_soft=sent, delivered=self._deliverability.delivered(shopper))
            case FeedbackState.DELIVERED if self._suppressions.history(shopper):
                news = MailboxHistory(delivered=sent)
            case _:
                return
        self._suppressions.record(shopper, news, at_ms=now_ms)
        if news.bounced_soft:
            # A delivery that was stored meanwhile found no history to be recorded in.
            delivered = MailboxHistory(delivered=self._deliverability.delivered(shopper))
            self._suppressions.record(shopper, delivered, at_ms=now_ms)

    def _pause_if_needed(self, now_ms: int) -> None:
        days = days_judged(now_ms)
        found = cohorts(
            days, self._rate_limiter.emails_by_day(), self._deliverability.bounced_and_complained(days)
        )
        reason = reason_to_pause(found)
        if reason:
            self._rate_limiter.pause(reason)
            if self._emit:
                self._emit([paused_event(reason, at_ms=now_ms)])
