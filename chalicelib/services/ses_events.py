"""What came of emails: kept on the entry, suppressed where it must be, and watched as a whole.

SES pauses an account whose emails bounce or are complained about. We stop first: paused emails wait
in their queues, and leave when somebody has looked into it and resumes.
"""

from collections.abc import Callable

from chalicelib.domain.deliverability import cohorts, days_judged, reason_to_pause
from chalicelib.domain.feedback import Feedback, FeedbackState, Ignored, read_message
from chalicelib.domain.suppression import MailboxHistory
from chalicelib.log import log
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.tables.deliverability import DeliverabilityTable
from chalicelib.tables.suppressions import SuppressionsTable


class SesEventHandler:
    """Takes in what SES says. Every step may be repeated; a repeat changes nothing."""

    def __init__(
        self,
        health: DeliverabilityTable,
        suppressions: SuppressionsTable,
        rate_limiter: RateLimiter,
        clock_ms: Callable[[], int],
        *,
        topic: str,
        configuration_set: str,
    ) -> None:
        self._health = health
        self._suppressions = suppressions
        self._rate_limiter = rate_limiter
        self._clock_ms = clock_ms
        self._topic = topic
        self._configuration_set = configuration_set

    def take_in(self, body: str) -> None:
        """Take in one message of the feedback queue: SNS's outgoing around an event of SES's.

        Only the topic may write to the queue, which is what a signature would prove; its name is checked
        once more, and the configuration set that the event is of. A message about no email of ours is
        ignored and logged, without its content.

        Raises:
            NoFeedback: the message is about our emails, and cannot be read; a person should see it.
        """
        feedback = read_message(body, topic=self._topic, configuration_set=self._configuration_set)
        if isinstance(feedback, Ignored):
            log("feedback_ignored", why=feedback.why, kind=feedback.kind)
            return
        now_ms = self._clock_ms()
        if feedback.state.suppresses:
            self._remember(feedback, now_ms)
        news = bool(feedback.sku) and self._health.store(feedback)
        if not feedback.state.suppresses:
            self._remember(feedback, now_ms)
        log("email_feedback", state=feedback.state, shopper=feedback.shopper, sku=feedback.sku, news=news)
        if feedback.counts and self._health.count(feedback, at_ms=now_ms):
            self._judge(now_ms)

    def _remember(self, feedback: Feedback, now_ms: int) -> None:
        """Add to what is known of the mailbox.

        A delivery is noted only where something else is known already, which takes one read: deliveries stand
        on the entries, and a soft bounce looks for them there.
        """
        shopper, sent = feedback.shopper, frozenset({feedback.sent_at_ms})
        match feedback.state:
            case FeedbackState.COMPLAINED:
                news = MailboxHistory(complained_at_ms=feedback.at_ms)
            case FeedbackState.BOUNCED:
                news = MailboxHistory(bounced=sent)
            case FeedbackState.BOUNCED_SOFT if feedback.mailbox_fault:
                news = MailboxHistory(bounced_soft=sent, delivered=self._health.delivered(shopper))
            case FeedbackState.DELIVERED if self._suppressions.history(shopper):
                news = MailboxHistory(delivered=sent)
            case _:
                return
        self._suppressions.record(shopper, news, at_ms=now_ms)
        if news.bounced_soft:
            # A delivery that was stored meanwhile has found no row to note itself in.
            delivered = MailboxHistory(delivered=self._health.delivered(shopper))
            self._suppressions.record(shopper, delivered, at_ms=now_ms)

    def _judge(self, now_ms: int) -> None:
        days = days_judged(now_ms)
        found = cohorts(days, self._rate_limiter.emails_by_day(), self._health.bounced_and_complained(days))
        reason = reason_to_pause(found)
        if reason:
            self._rate_limiter.pause(reason)
